"""Losses, penalties, constraints, schedules: against SGDRegressor's steps and against optimisers of another kind."""

import numpy as np
import pytest
from scipy.optimize import minimize
from sklearn.datasets import load_diabetes
from sklearn.linear_model import ElasticNet, Lasso, LinearRegression, SGDRegressor

from sgdlinreg import MiniBatchSGDRegressor
from sgdlinreg._core.blocks import Block
from sgdlinreg._core.objective import LOSSES, Objective, make_loss

from .helpers import SGD_SOLVERS, as_csr, make_problem

EPSILON = 0.3


def objective_of(loss="squared_error", alpha=0.0, l1_ratio=0.0, epsilon=EPSILON):
    return Objective(make_loss(loss, epsilon), alpha, True, l1_ratio)


def value(objective, model, X, y, weight=None):
    """Objective of a fitted model of one target."""
    coef = np.append(model.coef_, model.intercept_)[None]
    return objective.value(coef, Block(X, y[:, None], weight))[0]


WIDTHS = [1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6]
LBFGS = {"maxiter": 20_000, "maxfun": 50_000, "ftol": 1e-16, "gtol": 1e-12, "maxcor": 30}


def rounded(loss, residual, width):
    """Value and slope of a loss; a kink is rounded over a width, so that L-BFGS can follow it."""
    if type(loss).__name__ == "Quantile":
        value = np.logaddexp(0.0, -residual / width) * width + (1.0 - loss.quantile) * residual
        return value, 1.0 - loss.quantile - 1.0 / (1.0 + np.exp(np.clip(residual / width, -500, 500)))
    if type(loss).__name__ != "EpsilonInsensitive":
        return loss.value(residual), loss.slope(residual)
    excess = (np.abs(residual) - loss.epsilon) / width
    return np.logaddexp(0.0, excess) * width, np.sign(residual) / (1.0 + np.exp(-np.clip(excess, -500, 500)))


def optimum(objective, X, y, weight=None, positive=False):
    """Smallest value of an objective without kinks in the penalty, by L-BFGS on standardised columns.

    The kink of the epsilon-insensitive loss is rounded, in the end over 1e-6 of y's spread.
    """
    mean, scale = X.mean(axis=0), X.std(axis=0)
    Z = (X - mean) / scale
    s = np.ones(len(X)) if weight is None else weight
    s = s / s.sum()
    unit = y.std()

    def function(v, width):
        values, slopes = rounded(objective.loss, Z @ v[:-1] + v[-1] - y, width)
        w = v[:-1] / scale
        f = s @ values + 0.5 * objective.l2 * w @ w
        return f / unit, np.append(Z.T @ (s * slopes) + objective.l2 * w / scale, s @ slopes) / unit

    v = np.append(np.linalg.lstsq(Z, y - y.mean(), rcond=None)[0], y.mean())
    bounds = [(0, None)] * X.shape[1] + [(None, None)] if positive else None
    if positive:
        v = np.maximum(v, [0.0] * X.shape[1] + [-np.inf])
    for width in WIDTHS:
        v = minimize(function, v, (width * unit,), "L-BFGS-B", jac=True, bounds=bounds, options=LBFGS).x
    coef = np.append(v[:-1] / scale, v[-1] - v[:-1] @ (mean / scale))[None]
    return objective.value(coef, Block(X, y[:, None], weight))[0], coef


@pytest.mark.filterwarnings("ignore:The model is worse than the best constant")  # after a few small steps
@pytest.mark.parametrize("loss", sorted(set(LOSSES) - {"quantile"}))
@pytest.mark.parametrize("schedule", ["constant", "invscaling", "adaptive", "optimal"])
@pytest.mark.parametrize("average", [False, True, 50])
def test_steps_are_those_of_sgd_regressor(loss, schedule, average):
    X, y, _ = make_problem(0, n_rows=97)
    X = 0.1 * X  # "optimal" starts with a large step
    common = {
        "loss": loss,
        "epsilon": EPSILON,
        "alpha": 0.5,
        "learning_rate": schedule,
        "eta0": 0.01,
        "power_t": 0.3,
        "average": average,
        "shuffle": False,
        "max_iter": 4,
        "tol": None,
    }
    ours = MiniBatchSGDRegressor(solver="numba", batch_size=1, **common).fit(X, y)
    theirs = SGDRegressor(**common).fit(X, y)
    np.testing.assert_allclose(ours.coef_, theirs.coef_, rtol=1e-9)
    assert ours.intercept_ == pytest.approx(theirs.intercept_[0], rel=1e-9)
    assert ours.t_ == theirs.t_


@pytest.mark.parametrize("loss", ["squared_error", "huber"])
def test_adaptive_steps_stop_where_sgd_regressor_does(loss):
    X, y, _ = make_problem(1, n_rows=97)
    unit = Objective(make_loss(loss, EPSILON)).constant_value(Block(X, y[:, None], None))[0]
    common = {"loss": loss, "epsilon": EPSILON, "alpha": 1e-4, "learning_rate": "adaptive", "eta0": 0.01}
    common |= {"shuffle": False, "max_iter": 1000, "n_iter_no_change": 3}
    ours = MiniBatchSGDRegressor(solver="numba", batch_size=1, tol=1e-4, **common).fit(X, y)
    theirs = SGDRegressor(tol=1e-4 * unit, **common).fit(X, y)
    assert ours.n_iter_ == theirs.n_iter_ > 3 * 3
    np.testing.assert_allclose(ours.coef_, theirs.coef_, rtol=1e-9)


def test_momentum_is_that_of_the_textbook():
    X, y, _ = make_problem(4)
    X1 = np.column_stack([X, np.ones(301)])
    for nesterov in (False, True):
        w, v = np.zeros(8), np.zeros(8)
        for _ in range(20):
            gradient = X1.T @ (X1 @ w - y) / 301
            v = 0.9 * v - 0.01 * gradient
            w = w + (0.9 * v - 0.01 * gradient if nesterov else v)
        model = MiniBatchSGDRegressor(
            eta0=0.01, momentum=0.9, nesterovs_momentum=nesterov, batch_size="full", max_iter=20, tol=None
        ).fit(X, y)
        np.testing.assert_allclose(np.append(model.coef_, model.intercept_), w, rtol=1e-10)


def test_callable_schedule():
    X, y, _ = make_problem(5)
    common = {"solver": "numba", "eta0": 0.02, "max_iter": 3, "tol": None, "random_state": 0}
    ours = MiniBatchSGDRegressor(learning_rate=lambda steps: steps**-0.25, **common).fit(X, y)
    theirs = MiniBatchSGDRegressor(learning_rate="invscaling", power_t=0.25, **common).fit(X, y)
    np.testing.assert_array_equal(ours.coef_, theirs.coef_)
    for wrong in (lambda steps: 0.1, lambda steps: -1.0 * steps, lambda steps: steps * np.nan):
        with pytest.raises(ValueError, match="learning_rate was called with the numbers of 10 steps"):
            MiniBatchSGDRegressor(learning_rate=wrong, **common).fit(X, y)


@pytest.mark.filterwarnings("ignore:The model is worse than the best constant")  # after a few small steps
def test_average_of_an_int_counts_samples():
    X, y, _ = make_problem(6, n_rows=320)
    common = {"solver": "numba", "eta0": 0.02, "batch_size": 10, "shuffle": False, "tol": None}
    iterates = []
    for n_rows in range(10, 330, 10):  # 32 steps
        iterates.append(MiniBatchSGDRegressor(max_iter=1, **common).fit(X[:n_rows], y[:n_rows]).coef_)
    averaged = MiniBatchSGDRegressor(max_iter=1, average=101, **common).fit(X, y)
    np.testing.assert_allclose(averaged.coef_, np.mean(iterates[10:], axis=0), rtol=1e-10)
    late = MiniBatchSGDRegressor(max_iter=1, average=1000, **common).fit(X, y)
    np.testing.assert_array_equal(late.coef_, iterates[-1])


@pytest.mark.parametrize("solver", SGD_SOLVERS)
@pytest.mark.parametrize("seed", range(5))
def test_l1_in_full_batches_has_the_support_of_lasso(solver, seed):
    X, y, _ = make_problem(seed, n_rows=120, n_features=20, weighted=False)
    alpha, l1_ratio = [(0.3, 1.0), (1.0, 1.0), (0.5, 0.5), (0.1, 0.9), (2.0, 0.7)][seed]
    theirs = (Lasso(alpha, tol=1e-12) if l1_ratio == 1 else ElasticNet(alpha, l1_ratio=l1_ratio, tol=1e-12)).fit(X, y)
    ours = MiniBatchSGDRegressor(
        solver=solver,
        penalty="l1" if l1_ratio == 1 else "elasticnet",
        alpha=alpha,
        l1_ratio=l1_ratio,
        batch_size="full",
        tol=1e-15,
        max_iter=20_000,
    ).fit(X, y)
    assert 0 < np.count_nonzero(theirs.coef_) < 20
    np.testing.assert_array_equal(ours.coef_ != 0, theirs.coef_ != 0)
    np.testing.assert_allclose(ours.coef_, theirs.coef_, atol=1e-5)


@pytest.mark.parametrize("solver", SGD_SOLVERS)
@pytest.mark.parametrize("seed", range(5))
def test_l1_in_mini_batches(solver, seed):
    X, y, _ = make_problem(seed, n_rows=2000, n_features=20, weighted=False)
    objective = objective_of(alpha=0.5, l1_ratio=1.0)
    model = MiniBatchSGDRegressor(solver=solver, penalty="l1", alpha=0.5, random_state=seed).fit(X, y)
    theirs = Lasso(0.5, tol=1e-12).fit(X, y)
    best, unit = value(objective, theirs, X, y), 0.5 * np.var(y)
    assert value(objective, model, X, y) - best < 1e-3 * unit
    assert np.count_nonzero(model.coef_ == 0) > 0


@pytest.mark.parametrize("solver", SGD_SOLVERS)
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("alpha", [0.0, 0.1])
def test_full_batches_reach_the_optimum_of_lbfgs(solver, loss, alpha):
    X, y, weight = make_problem(7)
    objective = objective_of(loss, alpha)
    best, _ = optimum(objective, X, y, weight)
    model = MiniBatchSGDRegressor(
        loss=loss,
        epsilon=EPSILON,
        alpha=alpha,
        solver=solver,
        batch_size="full",
        tol=1e-9,
        max_iter=20_000,
    ).fit(X, y, weight)
    assert value(objective, model, X, y, weight) - best < 1e-6 * best


@pytest.mark.parametrize("solver", SGD_SOLVERS)
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("l1_ratio", [0.5, 1.0])
def test_every_loss_with_l1_in_full_batches(solver, loss, l1_ratio):
    X, y, weight = make_problem(8)
    # l1 as a linear penalty on the parts w = p - q with p, q >= 0, which L-BFGS-B can do
    objective = objective_of(loss, 0.3, l1_ratio)
    mean_one = weight / weight.sum()

    def function(v, width):
        w = v[:7] - v[7:14]
        values, slopes = rounded(objective.loss, X @ w + v[14] - y, width)
        f = mean_one @ values + 0.5 * objective.l2 * w @ w + objective.l1 * v[:14].sum()
        g = X.T @ (mean_one * slopes) + objective.l2 * w
        return f, np.concatenate([g + objective.l1, objective.l1 - g, [mean_one @ slopes]])

    bounds = [(0, None)] * 14 + [(None, None)]
    v = np.r_[np.zeros(14), y.mean()]
    for width in WIDTHS:
        v = minimize(function, v, (width * y.std(),), "L-BFGS-B", jac=True, bounds=bounds, options=LBFGS).x
    best = objective.value(np.append(v[:7] - v[7:14], v[14])[None], Block(X, y[:, None], weight))[0]
    model = MiniBatchSGDRegressor(
        solver=solver,
        loss=loss,
        epsilon=EPSILON,
        penalty="elasticnet",
        alpha=0.3,
        l1_ratio=l1_ratio,
        batch_size="full",
        tol=1e-6,
        max_iter=20_000,
    ).fit(X, y, weight)
    assert value(objective, model, X, y, weight) - best < 1e-6 * best


@pytest.mark.parametrize("solver", ["normal_equation", *SGD_SOLVERS])
@pytest.mark.parametrize("alpha", [0.0, 0.2])
def test_positive(solver, alpha):
    X, y, weight = make_problem(9)
    _, coef = optimum(objective_of(alpha=alpha), X, y, weight, positive=True)
    step = {} if solver == "normal_equation" else {"batch_size": "full", "tol": 1e-15, "max_iter": 20_000}
    model = MiniBatchSGDRegressor(solver=solver, positive=True, alpha=alpha, **step).fit(X, y, weight)
    assert model.coef_.min() == 0.0
    np.testing.assert_allclose(model.coef_, coef[0, :-1], atol=1e-5)
    if alpha == 0:
        theirs = LinearRegression(positive=True).fit(X, y, weight)
        np.testing.assert_allclose(model.coef_, theirs.coef_, atol=1e-6)


@pytest.mark.parametrize("solver", SGD_SOLVERS)
def test_positive_in_mini_batches(solver):
    X, y, _ = make_problem(10, n_rows=4000, n_targets=2)
    model = MiniBatchSGDRegressor(solver=solver, positive=True, random_state=0).fit(X, y)
    theirs = LinearRegression(positive=True).fit(X, y)
    assert model.coef_.min() >= 0.0
    assert theirs.score(X, y) - model.score(X, y) < 1e-3


@pytest.mark.parametrize("solver", SGD_SOLVERS)
def test_weight_decay_on_coefficients_only(solver):
    from sgdlinreg.datasets import make_linear

    found = []
    for seed in range(20):
        X, y = make_linear(1000, random_state=seed)
        model = MiniBatchSGDRegressor(
            solver=solver, alpha=0.005, eta0=0.06, batch_size=10, max_iter=20, tol=None, random_state=seed
        ).fit(X, y)
        found.append([*model.coef_, model.intercept_])
    np.testing.assert_allclose(np.median(found, axis=0), [1.990, -3.383, 4.200], atol=2e-3)


@pytest.mark.parametrize("solver", SGD_SOLVERS)
def test_recipe_with_the_incomplete_batch_dropped(solver):
    rng = np.random.RandomState(0)
    x = 2 * rng.rand(103, 1)
    y = 4 + 3 * x[:, 0] + rng.randn(103)
    common = {"solver": solver, "eta0": 0.02, "batch_size": 10, "max_iter": 50, "tol": None, "shuffle": False}
    dropped = MiniBatchSGDRegressor(drop_last=True, **common).fit(x, y)
    cut = MiniBatchSGDRegressor(**common).fit(x[:100], y[:100])
    np.testing.assert_allclose(dropped.coef_, cut.coef_, rtol=1e-12)
    assert dropped.t_ == cut.t_ == 501
    assert MiniBatchSGDRegressor(**common).fit(x, y).t_ == 551


@pytest.mark.parametrize("loss", ["huber", "epsilon_insensitive", "squared_epsilon_insensitive", "quantile"])
@pytest.mark.parametrize("solver", SGD_SOLVERS)
@pytest.mark.parametrize("sparse", [False, True])
def test_other_losses_with_automatic_steps(loss, solver, sparse):
    X, y, _ = make_problem(11, n_rows=3000)
    y[::50] += 30.0
    epsilon = 0.1 * y.std()
    objective = objective_of(loss, epsilon=epsilon)
    best, _ = optimum(objective, X, y)
    model = MiniBatchSGDRegressor(loss=loss, epsilon=epsilon, solver=solver, random_state=0)
    model.fit(as_csr(X) if sparse else X, y)
    unit = objective.constant_value(Block(X, y[:, None], None))[0]
    assert (value(objective, model, X, y) - best) / unit < 1e-3
    assert model.n_iter_ <= 100


@pytest.mark.parametrize("loss", ["huber", "epsilon_insensitive"])
@pytest.mark.parametrize("batch_size", ["full", 32])
def test_weights_that_hide_outliers(loss, batch_size):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((2000, 3))
    outlier = np.arange(2000) >= 100
    y = X @ [1.0, 2.0, 3.0] + outlier * 1000 * rng.standard_normal(2000) + 0.01 * rng.standard_normal(2000)
    weight = np.where(outlier, 1e-7, 1.0)
    model = MiniBatchSGDRegressor(loss, solver="numba", batch_size=batch_size, random_state=0).fit(X, y, weight)
    np.testing.assert_allclose(model.coef_, [1.0, 2.0, 3.0], atol=0.1)


def test_the_tube_in_full_batches_with_heavy_tails():
    rng = np.random.default_rng(0)
    X = rng.standard_t(2.2, size=(3000, 3))
    y = X @ [1.0, 2.0, 3.0] + 100 * rng.standard_normal(3000) * (np.linalg.norm(X, axis=1) < 3)
    objective = objective_of("epsilon_insensitive", epsilon=0.1)
    best, _ = optimum(objective, X, y)
    model = MiniBatchSGDRegressor("epsilon_insensitive", solver="numba", batch_size="full").fit(X, y)
    assert value(objective, model, X, y) - best < 1e-2 * best


@pytest.mark.parametrize("loss", ["huber", "epsilon_insensitive"])
@pytest.mark.parametrize("solver", SGD_SOLVERS)
def test_other_losses_on_raw_real_data(loss, solver):
    X, y = load_diabetes(return_X_y=True, scaled=False)
    objective = objective_of(loss, epsilon=0.1 * y.std())
    best, _ = optimum(objective, X, y)
    for seed in range(5):
        model = MiniBatchSGDRegressor(loss, epsilon=0.1 * y.std(), solver=solver, random_state=seed).fit(X, y)
        assert value(objective, model, X, y) - best < 1e-3 * best
        assert model.n_iter_ <= 100
