"""Streams: what partial_fit keeps of rows that are gone."""

import numpy as np
import pytest

from sgdlinreg import MiniBatchSGDRegressor
from sgdlinreg._blocks import Block
from sgdlinreg._conditioning import MAX_WHITENED
from sgdlinreg._coordinates import Coordinates
from sgdlinreg._objective import LOSSES, Objective
from sgdlinreg._past import Past
from sgdlinreg._solvers import Options, make_solver
from sgdlinreg._solvers.base import Visit

from .helpers import RTOL, SGD_SOLVERS, as_csr, make_problem


def streamed(X, y, n_blocks, weight=None, **parameters):
    model = MiniBatchSGDRegressor(**({"solver": "numba", "random_state": 0} | parameters))
    for rows in np.array_split(np.arange(len(y)), n_blocks):
        model.partial_fit(X[rows], y[rows], None if weight is None else weight[rows])
    return model


def drifting(n_rows=6000, seed=0):
    """Rows in order of time: levels, spreads and correlations of the features drift, the model does not."""
    rng = np.random.default_rng(seed)
    time = np.linspace(0, 1, n_rows)[:, None]
    common = rng.standard_normal((n_rows, 1))
    X = rng.standard_normal((n_rows, 6)) * (0.05 + time) + time * common + 3 * np.sin(6 * time * np.arange(1, 7))
    X = X * [1, 1e3, 1e-3, 1, 10, 1] + [0, 1e4, 0, 5, 0, -1]
    y = X @ [1.0, 2e-3, -1e3, 0.5, -0.1, 2.0] + rng.standard_normal(n_rows)
    return X, y


def r2_of_least_squares(X, y):
    Z = np.column_stack([np.ones(len(y)), (X - X.mean(axis=0)) / X.std(axis=0)])
    fitted = Z @ np.linalg.lstsq(Z, y)[0]
    return 1 - np.square(y - fitted).mean() / y.var()


@pytest.mark.parametrize("solver", SGD_SOLVERS)
@pytest.mark.parametrize("n_blocks", [2, 10, 60])
def test_blocks_in_order_of_time_give_the_fit_of_all_rows(solver, n_blocks):
    X, y = drifting()
    best = r2_of_least_squares(X, y)
    assert best - streamed(X, y, n_blocks, solver=solver).score(X, y) < 1e-3
    assert best - streamed(X.astype(np.float32), y, n_blocks, solver=solver).score(X, y) < 1e-3


@pytest.mark.parametrize("solver", SGD_SOLVERS)
@pytest.mark.parametrize("alpha", [0.0, 0.3])
@pytest.mark.parametrize("fit_intercept", [True, False])
def test_blocks_of_one_batch_are_recursive_least_squares(solver, alpha, fit_intercept):
    X, y, weight = make_problem(1, n_rows=320)
    parameters = {"alpha": alpha, "fit_intercept": fit_intercept}
    found = streamed(X, y, 16, weight, solver=solver, **parameters)
    rows = np.column_stack([X, np.ones(320)]) if fit_intercept else X
    scaled = rows * weight[:, None] / weight.sum()
    moment = scaled.T @ rows + alpha * np.diag([1.0] * 7 + [0.0] * fit_intercept)
    expected = np.linalg.solve(moment, scaled.T @ y)
    np.testing.assert_allclose(found.coef_, expected[:7], rtol=1e-7)
    if fit_intercept:
        assert found.intercept_ == pytest.approx(expected[7], rel=1e-7)


def test_fewer_rows_than_features_at_first():
    X, y, _ = make_problem(2, n_rows=200, n_features=50)
    first = streamed(X[:10], y[:10], 1)
    np.testing.assert_allclose(first.predict(X[:10]), y[:10], atol=1e-6 * np.ptp(y))
    X[:100, 7] = 0.0  # nothing is known of a column that comes to life later
    best = r2_of_least_squares(X, y)
    assert best - streamed(X, y, 20).score(X, y) < 1e-9


def test_several_targets_are_independent():
    X, y, _ = make_problem(3, n_rows=600, n_targets=3)
    together = streamed(X, y, 6)
    for target in range(3):
        alone = streamed(X, y[:, target], 6)
        np.testing.assert_allclose(together.coef_[target], alone.coef_, rtol=1e-9)


def test_the_order_of_the_blocks_hardly_matters():
    X, y = drifting()
    there, back = streamed(X, y, 20), streamed(X[::-1], y[::-1], 20)
    assert np.square(there.predict(X) - back.predict(X)).mean() < 1e-4 * y.var()


def test_a_later_block_with_an_outlier_row():
    X, y = drifting()
    X[4000] = X.mean(axis=0) + 1e4 * X.std(axis=0)
    y[4000] = y.mean()
    best = r2_of_least_squares(X, y)
    assert best - streamed(X, y, 20).score(X, y) < 1e-2


@pytest.mark.parametrize("name", SGD_SOLVERS)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("n_targets", [1, 3])
def test_kernels_follow_the_reference(name, dtype, fit_intercept, n_targets):
    X, y, weight = make_problem(4, n_targets=n_targets)
    y = y.reshape(301, -1)
    rtol, paths = RTOL[np.dtype(dtype)], []
    for kernel in ("reference", name):
        options = Options(batch_size=16, momentum=0.5, nesterovs_momentum=True)
        solver = make_solver(kernel, "squared_error", Objective(LOSSES["squared_error"](), 0.1, fit_intercept), options)
        state, rng = solver.init(7, n_targets, None), np.random.default_rng(0)
        for rows in (slice(0, 100), slice(100, 301)):
            state, ready = solver.prepare(state, Block(X[rows].astype(dtype), y[rows], weight[rows]), rng, Visit.ONCE)
            state = solver.update(state, ready, rng)
        assert state.memory.curvature.shape == (8, 8)
        paths.append(np.stack([state.coef, solver.fitted(state).coef]))
    np.testing.assert_allclose(paths[1], paths[0], rtol=rtol, atol=rtol * np.abs(paths[0]).max())


def test_the_moment_does_not_depend_on_its_coordinates():
    rng = np.random.default_rng(5)
    X = rng.standard_normal((50, 3)) * [1, 100, 0.1] + [5, 0, 1]

    def moment(centre, scale):
        rows = np.column_stack([(X - centre) / scale, np.ones(50)])
        return rows.T @ rows / 50

    first, second = (np.zeros(3), np.ones(3)), (np.array([5.0, 1, 0]), np.array([1.0, 50, 0.2]))
    found = Past(50.0, *first, moment(*first), True).moment_in(Coordinates(*second, np.zeros(3), True))
    np.testing.assert_allclose(found, moment(*second), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(
    "parameters",
    [{"loss": "huber"}, {"penalty": "l1", "alpha": 1e-3}, {"positive": True}, {"average": False}, {"eta0": 0.01}],
)
def test_no_second_moment_is_kept_where_it_does_not_say_what_rows_want(parameters):
    X, y, _ = make_problem(6)
    assert streamed(X, y, 2)._state.past is not None
    assert streamed(X, y, 2, **parameters)._state.past is None


def test_no_second_moment_is_kept_of_many_features_or_sparse_rows():
    X = np.random.default_rng(7).standard_normal((20, MAX_WHITENED + 1))
    assert streamed(X, X[:, 0], 1)._state.past is None
    assert streamed(X[:, 1:], X[:, 0], 1)._state.past is not None
    assert streamed(as_csr(X[:, :5]), X[:, 0], 1)._state.past is None


def test_a_stream_that_turns_sparse_goes_on_without():
    X, y, _ = make_problem(8, n_rows=3000)
    model = streamed(X[:1000], y[:1000], 5)
    for rows in np.array_split(np.arange(1000, 3000), 10):
        model.partial_fit(as_csr(X[rows]), y[rows])
    assert model._state.past is None
    assert r2_of_least_squares(X, y) - model.score(X, y) < 2e-3


def test_steps_without_shuffling_are_stable_on_sorted_rows():
    X, y = drifting()
    for order in (np.arange(6000), np.argsort(y), np.argsort(X[:, 0])):
        for max_iter in (1, 100):
            model = MiniBatchSGDRegressor(solver="numba", shuffle=False, max_iter=max_iter, tol=None)
            assert model.fit(X[order], y[order]).score(X, y) > 0.0
