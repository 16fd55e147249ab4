"""When steps alone stop."""

from itertools import product

import numpy as np
import pytest

from sgdlinreg import MiniBatchSGDRegressor
from sgdlinreg._core.objective import LOSSES
from sgdlinreg._solvers.sgd.stopping import Progress

from ..helpers import SGD_SOLVERS, epochs_until_stop, make_problem


@pytest.mark.parametrize("n_iter_no_change", [1, 3, 5])
@pytest.mark.parametrize("unit", [1.0, 100.0])
def test_each_target_stops_for_itself(n_iter_no_change, unit):
    rng, tol, stops = np.random.default_rng(0), 1e-2, []
    for _ in range(20):
        losses = unit * (1.0 / np.arange(1, 101)[:, None] + 0.02 * rng.standard_normal((100, 3)))
        progress = Progress(tol, n_iter_no_change, 3)
        stalled = np.array([progress.has_stalled(row, unit) for row in losses])
        for target in range(3):
            expected = epochs_until_stop(losses[:, target], tol, n_iter_no_change, unit)
            assert np.argmax(stalled[:, target]) + 1 == expected
            stops.append(expected)
    assert len(set(stops)) > 1


def test_units_of_targets_differ():
    progress = Progress(0.1, 1, 2)
    progress.has_stalled(np.array([10.0, 10.0]), np.array([1.0, 1.0]))
    np.testing.assert_array_equal(progress.has_stalled(np.array([9.5, 9.5]), np.array([1.0, 10.0])), [False, True])


def test_counting_starts_again_for_some_targets():
    progress = Progress(0.1, 2, 2)
    stalled = []
    for epoch in range(4):
        stalled.append(progress.has_stalled(np.ones(2), 1.0).tolist())
        if epoch == 2:
            progress.go_on(np.array([True, False]))
    assert stalled == [[False, False], [False, False], [True, True], [False, True]]


def test_without_tol_nothing_stalls():
    progress = Progress(None, 1, 2)
    assert not any(progress.has_stalled(np.ones(2), 1.0).any() for _ in range(10))


def test_what_stays_equal_makes_no_progress():
    progress = Progress(1e-3, 2, 2)
    stalled = [progress.has_stalled(np.array([0.0, 1.0]), np.array([0.0, 0.0])).all() for _ in range(3)]
    assert stalled == [False, False, True]


STEPS = [{}, {"alpha": 0.1}, {"early_stopping": True}, {"penalty": "l1", "alpha": 0.01}, {"positive": True}]
STEPS += [{"positive": True, "batch_size": "full"}, {"positive": True, "early_stopping": True}]


@pytest.mark.parametrize(("loss", "epsilon"), [pair for pair in product(LOSSES, [0.0, 0.1]) if pair != ("huber", 0.0)])
@pytest.mark.parametrize("options", STEPS, ids=str)
@pytest.mark.parametrize("solver", SGD_SOLVERS)
def test_constant_targets_are_found_at_once(solver, options, epsilon, loss):
    X, _, weight = make_problem(0)
    model = MiniBatchSGDRegressor(loss, epsilon=epsilon, solver=solver, random_state=0, **options)
    for value in (0.0, 3.0, 0.1, -1e-300, 1e150):
        for weights in (None, weight):
            model.fit(X, np.full(301, value), weights)
            np.testing.assert_allclose(model.predict(X), value, rtol=1e-14)
            assert model.n_iter_ <= 6
            assert np.isfinite(model.loss_curve_).all()
            if options.get("early_stopping"):
                assert model.best_validation_score_ == 1.0
    both = np.column_stack([X @ np.ones(7), np.full(301, 0.1)])
    model.fit(X, both)
    np.testing.assert_allclose(model.predict(X)[:, 1], 0.1, rtol=1e-9)
    assert model.n_iter_ < 300


@pytest.mark.parametrize("value", [0.1, -1e-300])
def test_median_of_many_equal_targets(value):
    X = np.random.default_rng(0).standard_normal((70_000, 4))
    model = MiniBatchSGDRegressor("epsilon_insensitive", epsilon=0, solver="numba", random_state=0)
    model.fit(X, np.full(len(X), value))
    np.testing.assert_allclose(model.predict(X), value, rtol=1e-12)
    assert (model.n_iter_, model.optimality_gap_) == (2, 0.0)


@pytest.mark.parametrize("loss", ["squared_error", "huber", "squared_epsilon_insensitive"])
@pytest.mark.parametrize("options", [{}, {"alpha": 0.1}, {"early_stopping": True}], ids=str)
@pytest.mark.parametrize("value", [0.0, 0.1, 2.0])
def test_steps_of_the_user_come_to_a_constant_as_close_as_objectives_tell(value, options, loss):
    X = np.random.default_rng(0).standard_normal((301, 7))  # no direction in which steps of this size crawl
    model = MiniBatchSGDRegressor(loss, epsilon=(loss == "huber"), solver="numba", eta0=0.02, random_state=0, **options)
    model.fit(X, np.full(301, value))
    np.testing.assert_allclose(model.predict(X), value, rtol=1e-6)
    assert model.n_iter_ < 500


@pytest.mark.parametrize("y_val", [[4.0], [4.0, 4.0]], ids=["one row", "two equal ones"])
@pytest.mark.parametrize("eta0", ["auto", 0.01])
def test_early_stopping_by_validation_data_without_variance(y_val, eta0):
    X, y, _ = make_problem(2, noise=0.1)
    model = MiniBatchSGDRegressor(solver="numba", eta0=eta0, early_stopping=True, random_state=0)
    model.fit(X, y, X_val=X[: len(y_val)] * 0.0, y_val=y_val)
    assert model.n_iter_ < 500
    assert model.best_validation_score_ in (0.0, 1.0)
    assert model.score(X, y) > 0.9


def test_where_the_objective_falls_no_more_before_max_iter_the_warning_says_so():
    X, _, _ = make_problem(3)
    model = MiniBatchSGDRegressor("huber", solver="numba", fit_intercept=False, random_state=0)
    with pytest.warns(UserWarning, match=r"after \d+ passes the objective falls no more.*scale of about 1"):
        model.fit(X, np.full(301, 1e150))
    assert model.n_iter_ < 1000


def test_constant_targets_whose_squares_overflow_are_an_error_as_others_are():
    X, _, _ = make_problem(4)
    with pytest.raises(ValueError, match="squares of column 0 of y overflow"):
        MiniBatchSGDRegressor(solver="numba").fit(X, np.full(301, 1e300))
