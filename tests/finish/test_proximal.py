"""Objectives with an l1 penalty or coefficients >= 0, beside scikit-learn, SciPy and a linear programme."""

import warnings

import numpy as np
import pytest
from scipy.optimize import approx_fprime, linprog, minimize
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import ElasticNet, Lasso, LinearRegression

from sgdlinreg import MiniBatchSGDRegressor
from sgdlinreg._core.coordinates import scaled_coordinates
from sgdlinreg._core.objective import Objective, SquaredError, make_loss
from sgdlinreg._core.statistics import column_statistics
from sgdlinreg._loop.data import InMemory
from sgdlinreg._solvers.finish.full_gradients import FullGradients
from sgdlinreg._solvers.finish.preconditioner import IDENTITY
from sgdlinreg._solvers.finish.proximal import Parts
from sgdlinreg._solvers.sgd.kernel_numpy import ReferenceKernel

from ..helpers import SGD_SOLVERS, as_csr, block_of, fit_form, make_problem

NEAR = 1e-4
"""Of the loss of the constant model: what a default fit may miss."""
PENALTIES = {
    "l1": {"penalty": "l1", "alpha": 0.3},
    "elastic net": {"penalty": "elasticnet", "alpha": 0.3, "l1_ratio": 0.4},
    "positive": {"positive": True},
    "l1, positive": {"penalty": "l1", "alpha": 0.3, "positive": True},
}


def objective_of(loss="squared_error", penalty="l2", alpha=0.0, l1_ratio=0.5, positive=False, epsilon=0.5):
    ratio = {"l1": 1.0, "l2": 0.0}.get(penalty, l1_ratio)
    return Objective(make_loss(loss, epsilon), alpha, True, ratio, positive)


def value_of(model, objective, X, y, weight=None):
    coef = np.column_stack([np.atleast_2d(model.coef_), np.atleast_1d(model.intercept_)])
    return objective.value(coef, block_of(X, y, weight))


def theirs_of(about, X, y, weight=None):
    """Fit scikit-learn's estimator of the squared error."""
    positive, common = about.get("positive", False), {"tol": 1e-12, "max_iter": 100_000}
    if "penalty" not in about:
        return LinearRegression(positive=True).fit(X, y, weight)
    ratio = 1.0 if about["penalty"] == "l1" else about["l1_ratio"]
    return ElasticNet(about["alpha"], l1_ratio=ratio, positive=positive, **common).fit(X, y, weight)


def smallest_value(objective, X, y, weight):
    """The smallest value of a loss without a kink, by SciPy's SLSQP over parts of the coefficients that are not < 0."""
    n, share = X.shape[1], weight / weight.sum()
    signs = [1.0] if objective.positive else [1.0, -1.0]

    def function(v):
        coef = np.tensordot(signs, v[:-1].reshape(len(signs), n), 1)
        loss = share @ objective.loss.value(X @ coef + v[-1] - y)
        return loss + objective.l1 * v[:-1].sum() + 0.5 * objective.l2 * coef @ coef

    def slope(v):
        coef = np.tensordot(signs, v[:-1].reshape(len(signs), n), 1)
        slopes = share * objective.loss.slope(X @ coef + v[-1] - y)
        parts = np.outer(signs, X.T @ slopes + objective.l2 * coef) + objective.l1
        return np.append(parts, slopes.sum())

    bounds = [(0, None)] * (len(signs) * n) + [(None, None)]
    start = np.append(np.zeros(len(bounds) - 1), share @ y)
    options = {"ftol": 1e-15, "maxiter": 5000}
    return minimize(function, start, jac=slope, method="SLSQP", bounds=bounds, options=options).fun


@pytest.mark.parametrize("solver", SGD_SOLVERS)
@pytest.mark.parametrize("form", ["dense", "csr", "source"])
@pytest.mark.parametrize("penalty", PENALTIES)
def test_least_squares_are_those_of_scikit_learn(penalty, form, solver):
    about = PENALTIES[penalty]
    X, y, weight = make_problem(0, n_rows=500, n_features=20, n_targets=2)
    model = MiniBatchSGDRegressor(solver=solver, random_state=0, tol=1e-8, **about)
    fit_form(model, form, X, y, weight)  # a warning is an error
    for t in range(2):
        theirs = theirs_of(about, X, y[:, t], weight)
        np.testing.assert_array_equal(model.coef_[t] == 0.0, theirs.coef_ == 0.0)
        np.testing.assert_allclose(model.coef_[t], theirs.coef_, atol=1e-4)
        assert model.intercept_[t] == pytest.approx(theirs.intercept_, abs=1e-4)
    assert model.optimality_gap_ <= 1e-10


@pytest.mark.parametrize("solver", SGD_SOLVERS)
@pytest.mark.parametrize("form", ["dense", "csr", "source"])
@pytest.mark.parametrize("loss", ["huber", "squared_epsilon_insensitive"])
@pytest.mark.parametrize("penalty", PENALTIES)
def test_other_losses_reach_the_optimum_of_slsqp(penalty, loss, form, solver):
    about = PENALTIES[penalty] | {"loss": loss, "epsilon": 0.5}
    X, y, weight = make_problem(1)
    objective = objective_of(**about)
    best, unit = smallest_value(objective, X, y, weight), objective.constant_value(block_of(X, y, weight))[0]
    model = MiniBatchSGDRegressor(solver=solver, random_state=0, **about)
    fit_form(model, form, X, y, weight)
    missing = (value_of(model, objective, X, y, weight)[0] - best) / unit
    assert -1e-8 < missing < NEAR
    assert missing < max(3.0 * model.optimality_gap_, 1e-8)
    assert model.loss_curve_[-1] == pytest.approx(value_of(model, objective, X, y, weight)[0], rel=1e-9)


@pytest.mark.parametrize("solver", SGD_SOLVERS)
@pytest.mark.parametrize("penalty", ["l1", "positive"])
def test_a_kink_reaches_the_optimum_of_a_linear_programme(penalty, solver):
    X, y, weight = make_problem(2)
    share, n, about = weight / weight.sum(), X.shape[1], PENALTIES[penalty]
    parts = np.hstack([X] if penalty == "positive" else [X, -X])
    alpha = about.get("alpha", 0.0)
    rows = np.hstack([parts, np.ones((len(X), 1)), np.zeros((len(X), len(X)))])
    slack = np.hstack([np.zeros((len(X), parts.shape[1] + 1)), np.eye(len(X))])
    cost = np.concatenate([np.full(parts.shape[1], alpha), [0.0], share])
    bounds = [(0, None)] * parts.shape[1] + [(None, None)] + [(0, None)] * len(X)
    right = np.concatenate([y, -y]) + 0.5
    best = linprog(cost, np.vstack([rows - slack, -rows - slack]), right, bounds=bounds).fun
    objective = objective_of("epsilon_insensitive", **about)
    model = MiniBatchSGDRegressor("epsilon_insensitive", epsilon=0.5, solver=solver, random_state=0, **about)
    model.fit(X, y, weight)
    unit = objective.constant_value(block_of(X, y, weight))[0]
    assert -1e-10 < (value_of(model, objective, X, y, weight)[0] - best) / unit < NEAR
    assert model.coef_.shape == (n,)


@pytest.mark.parametrize("solver", SGD_SOLVERS)
@pytest.mark.parametrize("loss", ["squared_error", "huber", "epsilon_insensitive"])
def test_targets_are_each_alone(loss, solver):
    X, y, weight = make_problem(3, n_targets=2)
    y[:, 1] *= 1e3
    about = {"loss": loss, "epsilon": 0.5, "penalty": "l1", "alpha": 0.3, "solver": solver, "random_state": 0}
    together, objective = MiniBatchSGDRegressor(**about).fit(X, y, weight), objective_of(loss, "l1", 0.3)
    unit = objective.constant_value(block_of(X, y, weight))
    for t in range(2):
        alone = MiniBatchSGDRegressor(**about).fit(X, y[:, t], weight)
        both = value_of(together, objective, X, y, weight)[t], value_of(alone, objective, X, y[:, t], weight)[0]
        assert abs(both[0] - both[1]) < 2 * NEAR * unit[t]
    assert together.loss_curve_[-1] == pytest.approx(value_of(together, objective, X, y, weight).mean(), rel=1e-9)


@pytest.mark.parametrize("solver", SGD_SOLVERS)
def test_many_more_columns_than_rows_have_the_support_of_lasso(solver):
    rng = np.random.default_rng(4)
    X, coef = rng.standard_normal((300, 5000)), np.zeros(5000)
    coef[:10] = 3.0 * rng.standard_normal(10)
    y = X @ coef + rng.standard_normal(300)
    model = MiniBatchSGDRegressor(solver=solver, penalty="l1", alpha=0.1, random_state=0).fit(X, y)
    theirs, objective = Lasso(0.1, tol=1e-10, max_iter=100_000).fit(X, y), objective_of(penalty="l1", alpha=0.1)
    missing = value_of(model, objective, X, y)[0] - value_of(theirs, objective, X, y)[0]
    assert missing < NEAR * 0.5 * y.var()
    size = np.count_nonzero(theirs.coef_)
    assert 0 < size < 300
    assert np.count_nonzero((model.coef_ != 0) != (theirs.coef_ != 0)) <= 0.05 * size


@pytest.mark.parametrize("penalty", PENALTIES)
def test_gap_of_squared_error_is_at_least_what_is_missing(penalty):
    about = PENALTIES[penalty]
    X, y, _ = make_problem(5, n_features=12)
    objective, unit = objective_of(**about), 0.5 * y.var()
    best = value_of(theirs_of(about, X, y), objective, X, y)[0]
    for max_iter in range(2, 12):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            model = MiniBatchSGDRegressor(solver="numba", random_state=0, max_iter=max_iter, **about).fit(X, y)
        missing = (value_of(model, objective, X, y)[0] - best) / unit
        assert missing <= model.optimality_gap_ * (1.0 + 1e-6) + 1e-9


def test_exactly_dependent_columns_do_not_hide_what_is_missing():
    """Curvature says nothing along them, but an l1 penalty does."""
    rng = np.random.default_rng(6)
    level = rng.integers(0, 5, 1000)
    X = np.column_stack([level[:, None] == np.arange(5), rng.standard_normal(1000)]).astype(float)
    y = rng.standard_normal(5)[level] + 0.5 * X[:, -1] + 0.1 * rng.standard_normal(1000)
    about = {"penalty": "l1", "alpha": 1e-3}
    model = MiniBatchSGDRegressor(solver="numba", random_state=0, **about).fit(X, y)
    objective = objective_of(**about)
    missing = value_of(model, objective, X, y)[0] - value_of(theirs_of(about, X, y), objective, X, y)[0]
    assert missing < 1e-5 * 0.5 * y.var()


@pytest.mark.parametrize("about", [{"positive": True}, {"penalty": "l1", "alpha": 0.2}], ids=str)
def test_what_is_not_converged_warns_with_the_gap(about):
    X, y, _ = make_problem(7, n_features=20)
    with pytest.warns(ConvergenceWarning, match=r"not met in max_iter=3 passes \(optimality_gap_ is") as caught:
        model = MiniBatchSGDRegressor(solver="numba", random_state=0, max_iter=3, **about).fit(X, y)
    assert f"{model.optimality_gap_:.2g}" in str(caught[0].message)
    assert len(model.optimality_gap_curve_) == model.n_iter_ == 3


@pytest.mark.parametrize("penalty", PENALTIES)
def test_a_start_at_the_optimum_stays(penalty):
    about = PENALTIES[penalty]
    X, y, weight = make_problem(8)
    model = MiniBatchSGDRegressor(solver="numba", random_state=0, tol=1e-6, **about).fit(X, y, weight)
    again = MiniBatchSGDRegressor(solver="numba", random_state=0, tol=1e-4, **about)
    again.fit(X, y, weight, coef_init=model.coef_, intercept_init=model.intercept_)
    assert again.n_iter_ <= 5
    np.testing.assert_allclose(again.coef_, model.coef_, atol=1e-3)


@pytest.mark.parametrize("sparse", [False, True])
def test_constant_columns_have_no_coefficients(sparse):
    X, y, weight = make_problem(9)
    X = np.column_stack([X, np.full(301, 1e6 / 3), np.zeros(301)])
    model = MiniBatchSGDRegressor(solver="numba", penalty="l1", alpha=0.1, random_state=0)
    model.fit(as_csr(X) if sparse else X, y, weight)
    np.testing.assert_array_equal(model.coef_[-2:], 0.0)
    theirs = theirs_of({"penalty": "l1", "alpha": 0.1}, X[:, :7], y, weight)
    np.testing.assert_allclose(model.coef_[:7], theirs.coef_, atol=1e-2)


@pytest.mark.parametrize("positive", [False, True])
def test_slopes_are_those_of_differences(positive):
    X, y, weight = make_problem(10)
    block = block_of(X, y, weight)
    objective = Objective(SquaredError(), 0.3, True, 0.4, positive)
    coordinates = scaled_coordinates(column_statistics(block), objective)
    varies = np.ones(7, dtype=bool)
    gradients = FullGradients(InMemory(block), ReferenceKernel(), objective, coordinates, 301, varies)
    variables = Parts(gradients, IDENTITY, np.zeros((1, 8)))
    at = np.abs(np.random.default_rng(0).standard_normal(len(variables.first)))
    here = variables.evaluate(at)
    numeric = approx_fprime(at, lambda v: variables.evaluate(v).value, 1e-6)
    np.testing.assert_allclose(here.slope, numeric, rtol=1e-4, atol=1e-4)
    coef = coordinates.to_raw(here.coef)  # parts that are both above 0 cost more than their difference
    assert here.losses == pytest.approx(objective.value(coef, block), rel=1e-9)
    assert here.value == pytest.approx(here.losses[0]) if positive else here.value > here.losses[0]
