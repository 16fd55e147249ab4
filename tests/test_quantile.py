"""loss="quantile", against QuantileRegressor, which solves a linear programme."""

import numpy as np
import pytest
from scipy.optimize import linprog
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import QuantileRegressor
from sklearn.metrics import d2_pinball_score, mean_pinball_loss

from sgdlinreg import MiniBatchSGDRegressor
from sgdlinreg._core.blocks import Block
from sgdlinreg._core.objective import Objective, make_loss

from .helpers import SGD_SOLVERS, as_csr, fit_form, make_problem

QUANTILES = [0.1, 0.5, 0.9]


def growing_noise(n_rows, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n_rows, 20))
    return X, 1.0 + X @ rng.standard_normal(20) + (0.5 + np.abs(X[:, 0])) * rng.standard_normal(n_rows)


def fit(X, y, weight=None, **parameters):
    return MiniBatchSGDRegressor("quantile", **{"solver": "numba", "random_state": 0} | parameters).fit(X, y, weight)


def loss_of(model, X, y, quantile, weight=None):
    return mean_pinball_loss(y, model.predict(X), alpha=quantile, sample_weight=weight)


@pytest.mark.parametrize("solver", SGD_SOLVERS)
@pytest.mark.parametrize("quantile", QUANTILES)
@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("weighted", [True, False])
@pytest.mark.parametrize("form", ["dense", "csr", "source"])
def test_loss_is_that_of_the_linear_programme(form, weighted, fit_intercept, quantile, solver):
    X, y, weight = make_problem(1, n_rows=400, weighted=weighted)
    theirs = QuantileRegressor(quantile=quantile, alpha=0.0, fit_intercept=fit_intercept, solver="highs")
    theirs.fit(X, y, sample_weight=weight)
    about = {"quantile": quantile, "fit_intercept": fit_intercept, "tol": 1e-6, "solver": solver, "random_state": 0}
    model = MiniBatchSGDRegressor("quantile", **about)
    if form == "source":
        parts = np.array_split(np.arange(400), 3)
        model.fit_source([[X[i], y[i]] if weight is None else [X[i], y[i], weight[i]] for i in parts])
    else:
        model.fit(as_csr(X) if form == "csr" else X, y, weight)
    best = loss_of(theirs, X, y, quantile, weight)
    assert -1e-9 < loss_of(model, X, y, quantile, weight) / best - 1.0 < 1e-5


@pytest.mark.parametrize("solver", SGD_SOLVERS)
@pytest.mark.parametrize("quantile", QUANTILES)
def test_default_fits_are_within_a_ten_thousandth(quantile, solver):
    X, y = growing_noise(3000)
    best = loss_of(QuantileRegressor(quantile=quantile, alpha=0.0, solver="highs").fit(X, y), X, y, quantile)
    assert loss_of(fit(X, y, quantile=quantile, solver=solver), X, y, quantile) / best - 1.0 < 1e-4


@pytest.mark.parametrize("solver", SGD_SOLVERS)
def test_quantiles_cover_their_share_of_the_rows(solver):
    X, y = growing_noise(10_000)
    for quantile in QUANTILES:
        model = fit(X, y, quantile=quantile, solver=solver)
        assert np.mean(y <= model.predict(X)) == pytest.approx(quantile, abs=0.01)


@pytest.mark.parametrize("alpha", [0.0, 0.2])
def test_median_is_half_of_the_tube_of_width_zero(alpha):
    X, y, weight = make_problem(2, n_rows=2000)
    median = fit(X, y, weight, alpha=0.5 * alpha, tol=1e-6)
    tube = MiniBatchSGDRegressor("epsilon_insensitive", epsilon=0.0, alpha=alpha, solver="numba", tol=1e-6)
    tube.fit(X, y, weight)
    assert 2.0 * median.loss_curve_[-1] == pytest.approx(tube.loss_curve_[-1], rel=1e-5)
    np.testing.assert_allclose(median.coef_, tube.coef_, atol=2e-2)


@pytest.mark.parametrize("quantile", QUANTILES)
@pytest.mark.parametrize("solver", SGD_SOLVERS)
def test_weights_are_repeated_rows(solver, quantile):
    X, y, _ = make_problem(3, n_rows=500)
    weight = np.random.default_rng(0).integers(1, 4, 500)
    rows = np.repeat(np.arange(500), weight)
    about = {"quantile": quantile, "solver": solver, "tol": 1e-7}
    weighted, repeated = fit(X, y, weight, **about), fit(X[rows], y[rows], **about)
    losses = [loss_of(model, X, y, quantile, weight) for model in (weighted, repeated)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


@pytest.mark.parametrize("solver", SGD_SOLVERS)
@pytest.mark.parametrize("quantile", QUANTILES)
@pytest.mark.parametrize("value", [0.0, 3.0, 0.1, -1e-300])
def test_constant_y(value, quantile, solver):
    X, _, weight = make_problem(4)
    for weights in (None, weight):
        model = fit(X, np.full(301, value), weights, quantile=quantile, solver=solver)
        np.testing.assert_allclose(model.predict(X), value, rtol=1e-14)
        assert model.optimality_gap_ == 0.0


@pytest.mark.parametrize("quantile", QUANTILES)
def test_columns_that_say_nothing_leave_the_quantile_of_y(quantile):
    rng = np.random.default_rng(0)
    X, y = np.zeros((2000, 3)), rng.exponential(size=2000)
    model = fit(X, y, quantile=quantile)
    np.testing.assert_array_equal(model.coef_, 0.0)
    assert np.mean(y <= model.intercept_) == pytest.approx(quantile, abs=2e-3)


@pytest.mark.parametrize("solver", SGD_SOLVERS)
def test_several_targets_are_one_fit_each(solver):
    X, y, weight = make_problem(5, n_rows=2000, n_targets=3)
    about = {"quantile": 0.9, "solver": solver, "tol": 1e-5}
    together = fit(X, y, weight, **about)
    for target in range(3):
        alone = fit(X, y[:, target], weight, **about)
        ours = mean_pinball_loss(y[:, target], together.predict(X)[:, target], alpha=0.9, sample_weight=weight)
        assert ours == pytest.approx(loss_of(alone, X, y[:, target], 0.9, weight), rel=1e-4)


@pytest.mark.parametrize("solver", SGD_SOLVERS)
def test_l2_is_in_the_objective(solver):
    X, y, weight = make_problem(6, n_rows=2000)
    model = fit(X, y, weight, quantile=0.8, alpha=0.1, solver=solver, tol=1e-6)
    rng = np.random.default_rng(0)

    def value(coef, intercept):
        loss = mean_pinball_loss(y, X @ coef + intercept, alpha=0.8, sample_weight=weight)
        return loss + 0.05 * coef @ coef

    best = value(model.coef_, model.intercept_)
    assert model.loss_curve_[-1] == pytest.approx(best, rel=1e-10)
    for size in (1e-1, 1e-2, 1e-3):
        for _ in range(50):
            moved = value(model.coef_ + size * rng.standard_normal(7), model.intercept_ + size * rng.standard_normal())
            assert moved > best * (1.0 - 1e-5)


@pytest.mark.parametrize("solver", SGD_SOLVERS)
@pytest.mark.parametrize("options", [{}, {"early_stopping": True}, {"eta0": 0.05}, {"tol": None, "max_iter": 20}])
def test_steps_alone_and_early_stopping_come_near(options, solver):
    X, y = growing_noise(8000)
    best = fit(X, y, quantile=0.9)
    model = fit(X, y, quantile=0.9, solver=solver, **options)
    assert loss_of(model, X, y, 0.9) / loss_of(best, X, y, 0.9) - 1.0 < 0.02
    assert np.mean(y <= model.predict(X)) == pytest.approx(0.9, abs=0.02)


@pytest.mark.parametrize("solver", SGD_SOLVERS)
def test_partial_fit_comes_near(solver):
    X, y = growing_noise(20_000)
    model = MiniBatchSGDRegressor("quantile", quantile=0.1, solver=solver, random_state=0)
    for rows in np.array_split(np.arange(20_000), 40):
        model.partial_fit(X[rows], y[rows])
    assert loss_of(model, X, y, 0.1) / loss_of(fit(X, y, quantile=0.1), X, y, 0.1) - 1.0 < 0.02
    assert np.mean(y <= model.predict(X)) == pytest.approx(0.1, abs=0.02)


def test_early_stopping_looks_at_the_quantile():
    X, y = growing_noise(4000)
    model = MiniBatchSGDRegressor("quantile", quantile=0.9, solver="numba", early_stopping=True, random_state=0)
    model.fit(X[:3000], y[:3000], X_val=X[3000:], y_val=y[3000:])
    score = d2_pinball_score(y[3000:], model.predict(X[3000:]), alpha=0.9)
    assert model.best_validation_score_ == pytest.approx(score, abs=1e-4)  # theirs interpolates quantiles
    assert model.best_validation_score_ == max(model.validation_scores_)


def test_quantile_without_its_loss_is_warned_about():
    X, y, _ = make_problem(7)
    with pytest.warns(UserWarning, match="quantile=0.9 has no effect with loss='squared_error'"):
        MiniBatchSGDRegressor(quantile=0.9).fit(X, y)


def test_max_iter_is_said():
    X, y, _ = make_problem(8, n_rows=6000)
    with pytest.warns(ConvergenceWarning, match="max_iter=3"):
        fit(X, y, quantile=0.3, max_iter=3)


def best_by_linear_programme(X, y, weight, quantile):
    """The smallest mean loss, by the dual linear programme on standardised columns."""
    scale, share = X.std(axis=0), np.full(len(y), 1.0) if weight is None else weight / weight.mean()
    Z = np.column_stack([(X - X.mean(axis=0)) / np.where(scale > 0.0, scale, 1.0), np.ones(len(y))])
    about = {"A_eq": (Z * share[:, None]).T, "b_eq": np.zeros(Z.shape[1]), "bounds": (quantile - 1.0, quantile)}
    return -linprog(-y * share, **about, method="highs").fun / len(y)


def draw_hard(kind, n_rows, rng):
    n_features = int(rng.integers(1, 26))
    X, noise = rng.standard_normal((n_rows, n_features)), rng.standard_normal(n_rows)
    if kind == "heavy tails":
        X, noise = rng.standard_t(1.5, X.shape), rng.standard_t(2, n_rows)
    elif kind == "levels":
        X = np.eye(n_features + 1)[rng.integers(0, n_features + 1, n_rows)]
    y = X @ rng.standard_normal(X.shape[1]) + noise
    return (X, np.round(y)) if kind == "integers" else (X, y)


@pytest.mark.parametrize("solver", SGD_SOLVERS)
@pytest.mark.parametrize("form", ["dense", "csr", "source"])
@pytest.mark.parametrize("kind", ["normal", "heavy tails", "levels", "integers"])
def test_small_data_end_at_the_optimum(kind, form, solver):
    rng = np.random.default_rng(1)
    for quantile in (0.001, 0.1, 0.5, 0.999):
        for n_rows in (20, 27, 300):
            X, y = draw_hard(kind, n_rows, rng)
            weight = rng.uniform(0.2, 3.0, n_rows) if n_rows > 20 else None
            model = MiniBatchSGDRegressor("quantile", quantile=quantile, solver=solver, random_state=0)
            fit_form(model, form, X, y, weight)
            best = best_by_linear_programme(X, y, weight, quantile)
            unit = loss_of(fit(np.zeros((n_rows, 1)), y, weight, quantile=quantile), X[:, :1], y, quantile, weight)
            assert loss_of(model, X, y, quantile, weight) - best < 1e-7 * unit
            assert model.optimality_gap_ < 1e-7


@pytest.mark.parametrize("solver", SGD_SOLVERS)
@pytest.mark.parametrize("quantile", [0.001, 0.1, 0.5, 0.99])
@pytest.mark.parametrize("kind", ["normal", "heavy tails", "levels", "integers"])
@pytest.mark.parametrize("form", ["dense", "csr", "source"])
def test_gap_is_a_bound(form, kind, quantile, solver):
    X, y = draw_hard(kind, 9000, np.random.default_rng(2))  # more rows than a sample
    model = MiniBatchSGDRegressor("quantile", quantile=quantile, solver=solver, random_state=0)
    fit_form(model, form, X, y, None)
    unit = Objective(make_loss("quantile", 0.0, quantile)).constant_value(Block(X, y[:, None]))[0]
    missing = (loss_of(model, X, y, quantile) - best_by_linear_programme(X, y, None, quantile)) / unit
    assert missing < model.optimality_gap_ + 1e-8
    assert model.optimality_gap_ <= 1e-4
