"""The finish against solvers of other kinds: least squares by SVD, SciPy's minimisers, linear programmes."""

import warnings

import numpy as np
import pytest
from scipy.optimize import linprog, minimize
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import QuantileRegressor

from sgdlinreg import MiniBatchSGDRegressor
from sgdlinreg._core.blocks import Block, as_scipy
from sgdlinreg._core.coordinates import scaled_coordinates
from sgdlinreg._core.measurement import Measurement
from sgdlinreg._core.objective import LOSSES, Objective, SquaredError, make_loss
from sgdlinreg._core.sampling import Reservoir
from sgdlinreg._core.statistics import column_statistics, target_statistics
from sgdlinreg._loop.data import InMemory, Streamed
from sgdlinreg._solvers.finish.conjugate_gradients import conjugate_gradients
from sgdlinreg._solvers.finish.finish import Finish
from sgdlinreg._solvers.finish.full_gradients import FullGradients
from sgdlinreg._solvers.finish.gap import Gap
from sgdlinreg._solvers.finish.preconditioner import Preconditioner
from sgdlinreg._solvers.sgd.kernel_numpy import ReferenceKernel

from ..helpers import SGD_SOLVERS, as_csr, block_of, fit_form, make_problem, missing_of, weighted_least_squares

MOST_MISSING = 3e-5


class Recorded:
    """What is recorded of each pass; allows so many."""

    def __init__(self, max_iter=10**6):
        self.max_iter, self.coef, self.losses, self.gaps = max_iter, [], [], []

    def __call__(self, coef, losses, gaps):
        self.coef.append(coef.copy())
        self.losses.append(np.array(losses))
        self.gaps.append(np.array(gaps))
        return len(self.losses) < self.max_iter


def finish_of(block, objective, tol=1e-3, max_iter=10**6, n_random=4096, n_blocks=1):
    """A finish by the reference kernel, and what it records."""
    rng, columns = np.random.default_rng(0), column_statistics(block)
    dense = as_scipy(block.X).toarray() if block.is_sparse else block.X
    norms = np.square((dense - columns.mean) / np.sqrt(columns.variance)).sum(axis=1)
    sample = Reservoir(n_random, 100).add(block, norms, rng).sample(block.n_rows / block.total_weight)
    measured = Measurement(None, block.n_rows, block.total_weight, columns, target_statistics(block))
    parts = [block]
    if n_blocks > 1:
        cuts = np.array_split(np.arange(block.n_rows), n_blocks)
        parts = [Block(block.X[rows], block.y[rows], block.sample_weight[rows]) for rows in cuts]
    data, unit = Streamed(parts, block), objective.constant_value(block)
    return Finish(data, ReferenceKernel(), objective, measured, sample, unit, tol), Recorded(max_iter)


def zeros(block):
    return np.zeros((block.n_targets, block.n_features + 1))


# conjugate gradients


@pytest.mark.parametrize("n_targets", [1, 3])
@pytest.mark.parametrize("alpha", [0.0, 0.4])
def test_conjugate_gradients_without_a_preconditioner_reach_lstsq(alpha, n_targets):
    X, y, weight = make_problem(0, n_targets=n_targets)
    block, objective = block_of(X, y, weight), Objective(SquaredError(), alpha)
    coordinates = scaled_coordinates(column_statistics(block), objective)
    varies = np.ones(block.n_features, dtype=bool)
    gradients = FullGradients(InMemory(block), ReferenceKernel(), objective, coordinates, 301, varies)
    identity, record = Preconditioner(np.empty((0, 0)), np.empty(0)), Recorded(60)
    start = zeros(block)
    start[:, -1] = np.average(block.y, axis=0, weights=weight)
    gap = Gap(objective.constant_value(block), 0.0, identity, certifies=False)
    coef, _ = conjugate_gradients(gradients, identity, start, gap, record, 0)
    expected, intercept = weighted_least_squares(X, y, weight, alpha)
    found = coordinates.to_raw(coef)
    np.testing.assert_allclose(found[:, :-1], np.reshape(expected, (n_targets, 7)), rtol=1e-9)
    np.testing.assert_allclose(found[:, -1], intercept, rtol=1e-9)
    # what follows by recurrence is the objective
    for scaled, losses in zip(record.coef, record.losses, strict=True):
        np.testing.assert_allclose(losses, objective.value(coordinates.to_raw(scaled), block), rtol=1e-10)
    assert np.all(np.diff(record.losses, axis=0) <= 1e-14 * record.losses[0])


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("alpha", [0.0, 0.4])
def test_one_pass_is_exact_where_the_sample_is_all_rows(alpha, fit_intercept, sparse):
    X, y, weight = make_problem(1)
    block = block_of(X, y, weight, sparse)
    finish, record = finish_of(block, Objective(SquaredError(), alpha, fit_intercept))
    coef, converged = finish.run(zeros(block), record, at_least=1)
    rows, scale = np.column_stack([X, np.ones(301)])[:, : 7 + fit_intercept], weight / weight.sum()
    moment = (rows.T * scale) @ rows + alpha * np.diag([1.0] * 7 + [0.0] * fit_intercept)
    expected = np.linalg.solve(moment, rows.T @ (scale * y))
    np.testing.assert_allclose(coef[0, : 7 + fit_intercept], expected, rtol=1e-9)
    assert fit_intercept or coef[0, -1] == 0.0
    assert converged
    assert len(record.losses) == 3  # where it starts, a pass, and the gradient computed anew
    np.testing.assert_allclose(record.coef[1], coef, rtol=1e-12)


@pytest.mark.parametrize("n_random", [300, 1000])
@pytest.mark.parametrize("alpha", [0.0, 0.4])
def test_every_pass_knows_what_is_missing(alpha, n_random):
    X, y, _ = make_problem(2, n_rows=5000, n_targets=2)
    block, objective = block_of(X, y), Objective(SquaredError(), alpha)
    finish, record = finish_of(block, objective, tol=1e-7, n_random=n_random)
    coef, converged = finish.run(zeros(block), record)
    assert converged
    expected, intercept = weighted_least_squares(X, y, None, alpha)
    best = objective.value(np.column_stack([expected, intercept]), block)
    compared = 0
    for here, losses, gaps in zip(record.coef, record.losses, record.gaps, strict=True):
        np.testing.assert_allclose(losses, objective.value(here, block), rtol=1e-10)
        missing = (losses - best) / objective.constant_value(block)
        seen = missing > 1e-11
        compared += seen.sum()
        np.testing.assert_array_less(gaps[seen], 3.0 * missing[seen])
        np.testing.assert_array_less(missing[seen], 3.0 * gaps[seen])
    assert compared >= 6
    np.testing.assert_allclose(coef[:, :-1], expected, rtol=1e-3)


def test_blocks_are_one_block():
    X, y, weight = make_problem(3, n_rows=1000)
    block = block_of(X, y, weight)
    found = []
    for n_blocks in (1, 7):
        finish, record = finish_of(block, Objective(SquaredError(), 0.1), n_blocks=n_blocks)
        found.append(finish.run(zeros(block), record, 1)[0])
    np.testing.assert_allclose(*found, rtol=1e-10)


def test_passes_that_are_wanted_at_least():
    X, y, _ = make_problem(4)
    block, objective = block_of(X, y), Objective(SquaredError())
    expected, intercept = weighted_least_squares(X, y)
    best = np.append(expected, intercept)[None]
    lengths = []
    for at_least in (0, 1):
        finish, record = finish_of(block, objective)
        coef, converged = finish.run(best, record, at_least)
        assert converged
        np.testing.assert_allclose(coef, best, rtol=1e-9)
        lengths.append(len(record.losses))
    assert lengths == [1, 3]


@pytest.mark.parametrize("sparse", [False, True])
def test_intercept_is_closed_first(sparse):
    X, y, weight = make_problem(4)
    block = block_of(X, y, weight, sparse)
    expected, intercept = weighted_least_squares(X, y, weight)
    finish, record = finish_of(block, Objective(SquaredError()))
    coef, converged = finish.run(np.append(expected, intercept + 5.0)[None], record)
    assert converged
    assert len(record.losses) == 1
    assert coef[0, -1] == pytest.approx(intercept, rel=1e-10)


def test_gradient_is_computed_anew_before_a_fit_is_called_converged(monkeypatch):
    """Where the gradient by recurrence is wrong, the search starts again from the right one."""
    X, y, _ = make_problem(5)
    block, calls = block_of(X, y), []
    curvature_along = FullGradients.curvature_along

    def wrong_at_first(self, direction):
        calls.append(direction)
        return curvature_along(self, direction) * (1.2 if len(calls) == 1 else 1.0)

    monkeypatch.setattr(FullGradients, "curvature_along", wrong_at_first)
    finish, record = finish_of(block, Objective(SquaredError()))
    coef, converged = finish.run(zeros(block), record, 1)
    assert converged
    assert record.gaps[1] < 1e-10 < 1e-3 < record.gaps[2]  # the recurrence said 0
    np.testing.assert_allclose(coef[0, :-1], weighted_least_squares(X, y)[0], rtol=1e-9)


# through the estimator


def fit(X, y, weight=None, **parameters):
    parameters = {"solver": "numba", "random_state": 0} | parameters
    return MiniBatchSGDRegressor(**parameters).fit(X, y, weight)


@pytest.mark.parametrize("solver", SGD_SOLVERS)
@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("n_rows", [300, 6000])
def test_weights_are_repeated_rows(n_rows, sparse, solver):
    X, y, _ = make_problem(6, n_rows=n_rows)
    times = np.random.default_rng(0).integers(0, 4, n_rows) if n_rows == 300 else np.ones(n_rows, dtype=int)
    form = as_csr if sparse else np.asarray
    weighted = fit(form(X), y, times, solver=solver)
    repeated = fit(form(np.repeat(X, times, axis=0)), np.repeat(y, times), solver=solver)
    np.testing.assert_allclose(weighted.coef_, repeated.coef_, rtol=1e-7)
    assert weighted.intercept_ == pytest.approx(repeated.intercept_, rel=1e-7)


@pytest.mark.parametrize("solver", SGD_SOLVERS)
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("n_rows", [300, 6000])
def test_fewer_passes_are_the_first_ones(n_rows, loss, solver):
    X, y, weight = make_problem(7, n_rows=n_rows)
    about = {"solver": solver, "loss": loss, "epsilon": 0.5, "tol": 1e-4, "batch_size": 32}
    whole = fit(X, y, weight, **about)
    n_iter, at_once = whole.n_iter_, n_rows == 300 and hasattr(LOSSES[loss], "rounded")
    assert len(whole.loss_curve_) == len(whole.optimality_gap_curve_) == n_iter
    assert n_iter == 2 if at_once else n_iter > 3
    for max_iter in [1] if at_once else sorted({1, 2, 3, n_iter - 2, n_iter - 1}):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            cut = fit(X, y, weight, **about, max_iter=max_iter)
        # of the squared error only the check of the last gradient may be missing
        is_there = loss == "squared_error" and cut.optimality_gap_ <= about["tol"] / 100
        messages = [str(one.message) for one in caught if one.category is ConvergenceWarning]
        assert len(messages) == (not is_there)
        assert is_there or f"max_iter={max_iter} passes" in messages[0]
        assert cut.n_iter_ == max_iter
        np.testing.assert_array_equal(cut.loss_curve_, whole.loss_curve_[:max_iter])
        np.testing.assert_array_equal(cut.optimality_gap_curve_, whole.optimality_gap_curve_[:max_iter])
        assert cut.optimality_gap_ == cut.optimality_gap_curve_[-1] or max_iter == 1
        if max_iter > 1:  # the loss is that of the model, not a mean over an epoch
            objective = Objective(make_loss(loss, 0.5))
            coef = np.append(cut.coef_, cut.intercept_)[None]
            exact = not hasattr(objective.loss, "rounded")
            value = objective.value(coef, Block(X, y[:, None], weight))[0]
            assert cut.loss_curve_[-1] == pytest.approx(value, rel=1e-9) if exact else cut.loss_curve_[-1] > value
    exactly = fit(X, y, weight, **about, max_iter=n_iter)
    np.testing.assert_array_equal(exactly.coef_, whole.coef_)


@pytest.mark.parametrize("solver", SGD_SOLVERS)
@pytest.mark.parametrize("loss", ["huber", "epsilon_insensitive", "squared_epsilon_insensitive"])
def test_targets_of_other_losses_and_scales_are_each_alone(loss, solver):
    X, y, weight = make_problem(8, n_rows=1000, n_targets=2)
    y[:, 1] *= 1e3
    together = fit(X, y, weight, solver=solver, loss=loss, epsilon=0.5, tol=1e-5)
    for target in range(2):
        alone = fit(X, y[:, target], weight, solver=solver, loss=loss, epsilon=0.5, tol=1e-5)
        gap = np.abs(together.predict(X)[:, target] - alone.predict(X)).max()
        assert gap < 2e-3 * y[:, target].std()


@pytest.mark.parametrize("solver", SGD_SOLVERS)
@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("n_features", [1, 3])
def test_constant_columns_alone(n_features, sparse, solver):
    X = np.full((500, n_features), 0.1)
    y = np.random.default_rng(0).standard_normal(500)
    model = fit(as_csr(X) if sparse else X, y, solver=solver)
    np.testing.assert_array_equal(model.coef_, np.zeros(n_features))
    assert model.intercept_ == pytest.approx(y.mean())


@pytest.mark.parametrize("solver", SGD_SOLVERS)
@pytest.mark.parametrize(("loss", "epsilon"), [("huber", 1e3), ("squared_epsilon_insensitive", 0.0)])
def test_losses_that_are_parabolas_end_as_least_squares(loss, epsilon, solver):
    X, y, weight = make_problem(9, n_rows=800)
    model = fit(X, y, weight, solver=solver, loss=loss, epsilon=epsilon)  # a warning is an error
    coef, intercept = weighted_least_squares(X, y, weight)
    np.testing.assert_allclose(np.append(model.coef_, model.intercept_), np.append(coef, intercept), rtol=1e-6)
    assert model.optimality_gap_ < 1e-10


@pytest.mark.parametrize("solver", SGD_SOLVERS)
@pytest.mark.parametrize("sparse", [False, True])
def test_several_targets_are_each_alone(sparse, solver):
    X, y, weight = make_problem(8, n_rows=6000, n_targets=3)
    y[:, 1] *= 1e6
    X = as_csr(X) if sparse else X
    together = fit(X, y, weight, solver=solver, tol=1e-8)
    for target in range(3):
        alone = fit(X, y[:, target], weight, solver=solver, tol=1e-8)
        np.testing.assert_allclose(together.coef_[target], alone.coef_, rtol=1e-5)
    assert together.optimality_gap_ <= 1e-10
    assert missing_of(together, X.toarray() if sparse else X, y, weight) < 1e-9


@pytest.mark.parametrize("solver", SGD_SOLVERS)
def test_passes_of_several_targets_are_those_of_each(solver):
    """Passes that all take: a target that is done before the others only gets closer."""
    X, y, weight = make_problem(8, n_rows=6000, n_targets=2)
    for max_iter in (1, 2, 3):
        with pytest.warns(ConvergenceWarning):
            together = fit(X, y, weight, solver=solver, tol=1e-12, max_iter=max_iter)
        for target in range(2):
            with pytest.warns(ConvergenceWarning):
                alone = fit(X, y[:, target], weight, solver=solver, tol=1e-12, max_iter=max_iter)
            np.testing.assert_allclose(together.coef_[target], alone.coef_, rtol=1e-9)


@pytest.mark.parametrize("solver", SGD_SOLVERS)
@pytest.mark.parametrize("loss", LOSSES)
def test_start_that_is_converged_takes_one_pass(loss, solver):
    X, y, weight = make_problem(9, n_rows=6000)
    about = {"solver": solver, "loss": loss, "epsilon": 0.5}
    first = fit(X, y, weight, **about, tol=1e-7)
    assert first.n_iter_ > 3
    model = MiniBatchSGDRegressor(**about, random_state=0, tol=1e-2)
    model.fit(X, y, weight, coef_init=first.coef_, intercept_init=first.intercept_)
    assert model.t_ == 1  # no steps
    objective, block = Objective(make_loss(loss, 0.5)), Block(X, y[:, None], weight)
    unit = objective.constant_value(block)[0]
    assert (value_of(model, objective, X, y, weight) - value_of(first, objective, X, y, weight)) / unit < 1e-2
    if loss == "squared_error":
        np.testing.assert_array_equal(model.coef_, first.coef_)
        assert model.n_iter_ == 1
        warm = MiniBatchSGDRegressor(**about, random_state=0, warm_start=True).fit(X, y, weight)
        assert warm.fit(X, y, weight).n_iter_ == 1


@pytest.mark.parametrize("solver", SGD_SOLVERS)
def test_start_better_than_the_constant_model_goes_straight_to_the_finish(solver):
    X, y, weight = make_problem(10, n_rows=6000)
    coef, intercept = weighted_least_squares(X, y, weight)
    model = MiniBatchSGDRegressor(solver=solver, random_state=0)
    model.fit(X, y, weight, coef_init=0.9 * coef, intercept_init=intercept)
    assert model.t_ == 1
    assert not np.isnan(model.optimality_gap_curve_).any()
    assert missing_of(model, X, y, weight) < MOST_MISSING
    model.fit(X, y, weight, coef_init=-coef, intercept_init=intercept)  # worse
    assert model.t_ > 1
    assert np.isnan(model.optimality_gap_curve_[0])
    assert missing_of(model, X, y, weight) < MOST_MISSING


@pytest.mark.parametrize("solver", SGD_SOLVERS)
@pytest.mark.parametrize(
    "parameters",
    [
        {"tol": None, "max_iter": 3},
        {"eta0": 0.01},
        {"early_stopping": True},
        {"early_stopping": True, "penalty": "l1", "alpha": 1e-3},
        {"early_stopping": True, "positive": True},
    ],
    ids=str,
)
def test_steps_alone_have_no_gap(parameters, solver):
    X, y, _ = make_problem(11, n_rows=500)
    X, y = np.abs(X), np.abs(X) @ np.arange(1.0, 8.0) + y / 10.0
    model = fit(X, y, solver=solver, **parameters)
    assert np.isnan(model.optimality_gap_)
    assert len(model.optimality_gap_curve_) == model.n_iter_
    assert np.isnan(model.optimality_gap_curve_).all()
    assert model.n_iter_ == parameters.get("max_iter", model.n_iter_)
    n_train = 450 if "early_stopping" in parameters else 500
    assert model.t_ == 1 + model.n_iter_ * -(-n_train // model.batch_size_)


def test_gap_of_other_ways_to_fit():
    X, y, _ = make_problem(12)
    assert MiniBatchSGDRegressor().fit(X, y).optimality_gap_ == 0.0
    assert MiniBatchSGDRegressor().partial_fit(X, y).optimality_gap_ == 0.0
    assert MiniBatchSGDRegressor().fit_source([(X, y)]).optimality_gap_curve_ == [0.0]
    model = fit(X, y)
    n_iter, gap = model.n_iter_, model.optimality_gap_
    assert 0.0 <= gap <= 1e-5
    model.partial_fit(X, y)
    assert np.isnan(model.optimality_gap_)
    assert len(model.optimality_gap_curve_) == model.n_iter_ == n_iter + 1
    assert np.isnan(MiniBatchSGDRegressor(solver="numba").partial_fit(X, y).optimality_gap_)


@pytest.mark.parametrize("solver", SGD_SOLVERS)
@pytest.mark.parametrize("max_iter", [2, 3])
def test_what_is_not_converged_warns_with_the_gap(max_iter, solver):
    X, y, _ = make_problem(13, n_rows=6000)
    with pytest.warns(ConvergenceWarning) as caught:
        model = fit(X, y, solver=solver, tol=1e-9, max_iter=max_iter)
    assert len(caught) == 1
    message = str(caught[0].message)
    assert f"tol=1e-09) was not met in max_iter={max_iter} passes" in message
    assert f"(optimality_gap_ is {model.optimality_gap_:.2g})" in message
    missing = missing_of(model, X, y)
    assert missing / 3.0 < model.optimality_gap_ < 3.0 * missing


@pytest.mark.parametrize("solver", SGD_SOLVERS)
@pytest.mark.parametrize("constant", [0.0, 2.5, 1e9 / 3])
@pytest.mark.parametrize("loss", LOSSES)
def test_constant_y(loss, constant, solver):
    X, _, weight = make_problem(14)
    model = fit(X, np.full(301, constant), weight, solver=solver, loss=loss)
    assert model.optimality_gap_ == 0.0
    np.testing.assert_allclose(model.predict(X), constant, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("solver", SGD_SOLVERS)
@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("n_rows", [30, 6000])
def test_constant_columns(n_rows, sparse, solver):
    X, y, weight = make_problem(15, n_rows=n_rows)
    X = np.column_stack([X, np.full(n_rows, 1e9 / 3), np.zeros(n_rows), np.ones(n_rows)])
    model = fit(as_csr(X) if sparse else X, y, weight, solver=solver)
    assert missing_of(model, X, y, weight) < MOST_MISSING
    assert np.isfinite(model.coef_).all()


@pytest.mark.parametrize("solver", SGD_SOLVERS)
@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("shape", [(1, 3), (2, 3), (20, 50), (30, 1500)])
@pytest.mark.parametrize("alpha", [0.0, 0.1])
def test_fewer_rows_than_columns(alpha, shape, sparse, solver):
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal(shape) + 3.0, rng.standard_normal(shape[0])
    model = fit(as_csr(X) if sparse else X, y, solver=solver, alpha=alpha)
    assert model.optimality_gap_ <= 1e-3
    if shape[0] > 1:  # one row is a constant y
        assert missing_of(model, X, y, alpha=alpha) < (MOST_MISSING if shape[1] < 1024 else 3e-4)


@pytest.mark.parametrize("solver", SGD_SOLVERS)
def test_start_that_is_wrong_where_only_the_penalty_sees_it(solver):
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((20, 1500)), rng.standard_normal(20)
    X /= X.std(axis=0)
    unseen = np.linalg.svd(X - X.mean(axis=0), full_matrices=False)[2][-1]  # centring leaves 19 dimensions
    model = fit(X, y, solver=solver, alpha=0.3)
    assert missing_of(model, X, y, alpha=0.3) < MOST_MISSING
    for size in (0.02, 0.1, 1.0):
        model.fit(X, y, coef_init=model.coef_ + size * unseen, intercept_init=model.intercept_)
        assert missing_of(model, X, y, alpha=0.3) < MOST_MISSING


@pytest.mark.parametrize("solver", SGD_SOLVERS)
@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("offset", [1e3, 1e5])
@pytest.mark.parametrize("n_rows", [300, 6000])
def test_float32_with_large_offsets(n_rows, offset, sparse, solver):
    X, y, weight = make_problem(16, n_rows=n_rows)
    X = (X + offset).astype(np.float32)
    model = fit(as_csr(X) if sparse else X, y, weight, solver=solver)
    # coefficients are rounded to float32, which the intercept makes up for in the mean
    missing = missing_of(model_in_float64(model), X.astype(np.float64), y, weight)
    assert missing < MOST_MISSING
    assert model.optimality_gap_ <= 1e-5


def model_in_float64(model):
    """The same coefficients, for predictions in float64."""
    double = MiniBatchSGDRegressor()
    vars(double).update(vars(model))
    double.coef_ = model.coef_.astype(np.float64)
    return double


@pytest.mark.parametrize("solver", SGD_SOLVERS)
@pytest.mark.parametrize("n_rows", [300, 6000])
def test_penalty_far_above_the_unit_of_the_columns(n_rows, solver):
    X, y, _ = make_problem(17, n_rows=n_rows)
    X = 1e-10 * X
    model = fit(X, y, solver=solver, alpha=0.1)
    assert missing_of(model, X, y, alpha=0.1) < MOST_MISSING
    expected, _ = weighted_least_squares(X, y, alpha=0.1)
    np.testing.assert_allclose(model.coef_, expected, rtol=2e-2)


@pytest.mark.parametrize("solver", SGD_SOLVERS)
@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("n_rows", [300, 6000])
@pytest.mark.parametrize("alpha", [0.0, 0.5])
def test_without_an_intercept(alpha, n_rows, sparse, solver):
    X, y, weight = make_problem(18, n_rows=n_rows)
    X = X + 2.0
    model = fit(as_csr(X) if sparse else X, y, weight, solver=solver, fit_intercept=False, alpha=alpha)
    assert model.intercept_ == 0.0
    missing = missing_of(model, X, y, weight, alpha, fit_intercept=False)
    assert missing < MOST_MISSING
    # in units of the mean square of y
    assert model.optimality_gap_ <= 1e-5


@pytest.mark.parametrize("solver", SGD_SOLVERS)
@pytest.mark.parametrize("form", ["dense", "csr", "source"])
def test_columns_that_rounding_nearly_hides_are_told(form, solver):
    rng = np.random.default_rng(19)
    column, other = rng.standard_normal((2, 6000))
    X, y = np.column_stack([column, column + 1e-9 * other]), other + 0.1 * rng.standard_normal(6000)
    model = MiniBatchSGDRegressor(solver=solver, random_state=0)
    with pytest.warns(ConvergenceWarning, match=r"too collinear for steps.*solver='normal_equation', which is exact"):
        fit_form(model, form, X, y)
    assert model.n_iter_ >= 6  # not before several passes gained nothing


@pytest.mark.parametrize("solver", SGD_SOLVERS)
@pytest.mark.parametrize("form", ["dense", "csr", "source"])
def test_collinear_columns_are_fitted(form, solver):
    rng = np.random.default_rng(20)
    base = rng.standard_normal((20_000, 1))
    X = base + 1e-3 * rng.standard_normal((20_000, 6))
    y = X @ [1.0, -2.0, 3.0, -2.0, 1.0, -1.0] * 1e3 + rng.standard_normal(20_000)
    model = MiniBatchSGDRegressor(solver=solver, random_state=0)
    fit_form(model, form, X, y)
    missing = missing_of(model, X, y)
    assert missing < MOST_MISSING
    assert missing < 1e-10 or missing / 3.0 < model.optimality_gap_ < 3.0 * missing


@pytest.mark.parametrize("solver", SGD_SOLVERS)
@pytest.mark.parametrize("r2", [0.06, 0.9])
@pytest.mark.parametrize(
    "parameters",
    [
        {"momentum": 0.995},
        {"momentum": 0.9, "nesterovs_momentum": True},
        {"learning_rate": "adaptive"},
        {"learning_rate": "invscaling"},
        {"learning_rate": "optimal", "alpha": 1e-9},
        {"average": False},
        {"average": True},
        {"average": 500},
        {"shuffle": False},
        {"shuffle": "blocks"},
        {"batch_size": 1},
        {"drop_last": True, "batch_size": 4000},
    ],
    ids=str,
)
def test_parameters_of_the_steps_change_the_way_and_not_the_end(parameters, r2, solver):
    rng = np.random.default_rng(21)
    X = rng.standard_normal((5000, 20))
    signal = X @ rng.standard_normal(20)
    y = signal / signal.std() * np.sqrt(r2 / (1.0 - r2)) + rng.standard_normal(5000)
    model = fit(X, y, solver=solver, **parameters)
    assert missing_of(model, X, y, alpha=parameters.get("alpha", 0.0)) < MOST_MISSING
    assert model.n_iter_ < 10


@pytest.mark.parametrize("solver", SGD_SOLVERS)
@pytest.mark.parametrize(
    "parameters", [{"momentum": 0.995}, {"learning_rate": "adaptive"}, {"average": False}, {"average": True}], ids=str
)
def test_automatic_steps_alone_do_not_diverge_on_noise(parameters, solver):
    rng = np.random.default_rng(22)
    X = rng.standard_normal((2000, 20))
    y = X @ rng.standard_normal(20) * 0.25 / np.sqrt(20) + rng.standard_normal(2000)
    assert 0.04 < MiniBatchSGDRegressor().fit(X, y).score(X, y) < 0.09
    model = MiniBatchSGDRegressor(solver=solver, random_state=0, tol=None, max_iter=20, **parameters)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model.fit(X, y)
    told = any("worse than the best constant" in str(one.message) for one in caught)
    assert told or model.score(X, y) > -0.01
    assert model.score(X, y) > -10.0  # noisy, but no divergence


# losses but the squared error

LBFGS = {"maxiter": 20_000, "maxfun": 50_000, "ftol": 1e-16, "gtol": 1e-13, "maxcor": 30}


def smallest_value(objective, X, y, weight):
    """The optimum of a smooth objective by SciPy, on standardised columns."""
    mean, scale, share = X.mean(axis=0), X.std(axis=0), weight / weight.sum()
    Z = np.column_stack([(X - mean) / scale, np.ones(len(X))])
    penalty = np.append(objective.l2 / scale**2, 0.0)

    def function(v):
        residual = Z @ v - y
        gradient = Z.T @ (share * objective.loss.slope(residual)) + penalty * v
        return share @ objective.loss.value(residual) + 0.5 * penalty @ v**2, gradient

    start = np.linalg.lstsq(Z, y, rcond=None)[0]
    return minimize(function, start, jac=True, method="L-BFGS-B", options=LBFGS).fun


def value_of(model, objective, X, y, weight):
    coef = np.append(model.coef_, model.intercept_)[None]
    return objective.value(coef, Block(X, y[:, None], weight))[0]


@pytest.mark.parametrize("solver", SGD_SOLVERS)
@pytest.mark.parametrize("loss", ["huber", "squared_epsilon_insensitive"])
@pytest.mark.parametrize("alpha", [0.0, 0.3])
@pytest.mark.parametrize("form", ["dense", "csr", "source"])
def test_smooth_losses_reach_the_optimum(form, alpha, loss, solver):
    X, y, weight = make_problem(23, n_rows=3000)
    X = X * 10.0 ** np.arange(-3, 4)
    y[::50] += 30.0
    objective = Objective(make_loss(loss, 0.5), alpha)
    model = MiniBatchSGDRegressor(loss, solver=solver, alpha=alpha, epsilon=0.5, tol=1e-6, random_state=0)
    fit_form(model, form, X, y, weight)
    best = smallest_value(objective, X, y, weight)
    unit = objective.constant_value(Block(X, y[:, None], weight))[0]
    assert -1e-9 < (value_of(model, objective, X, y, weight) - best) / unit < 1e-6
    assert model.loss_curve_[-1] == pytest.approx(value_of(model, objective, X, y, weight), rel=1e-9)


def tube_by_linear_programme(X, y, weight, epsilon):
    """Smallest mean of max(0, |residual| - epsilon): excess t >= 0, t >= r - epsilon and t >= -r - epsilon."""
    n, d = X.shape
    share = weight / weight.sum()
    A = np.column_stack([X, np.ones(n)])
    rows = np.block([[A, -np.eye(n)], [-A, -np.eye(n)]])
    bounds = [(None, None)] * (d + 1) + [(0, None)] * n
    cost = np.concatenate([np.zeros(d + 1), share])
    return linprog(cost, rows, np.concatenate([y + epsilon, epsilon - y]), bounds=bounds, method="highs").fun


@pytest.mark.parametrize("solver", SGD_SOLVERS)
@pytest.mark.parametrize("epsilon", [0.0, 0.3, 2.0])
@pytest.mark.parametrize("form", ["dense", "csr", "source"])
def test_kink_reaches_the_optimum_of_a_linear_programme(form, epsilon, solver):
    X, y, weight = make_problem(24, n_rows=400)
    objective = Objective(make_loss("epsilon_insensitive", epsilon))
    model = MiniBatchSGDRegressor("epsilon_insensitive", solver=solver, epsilon=epsilon, tol=1e-5, random_state=0)
    fit_form(model, form, X, y, weight)
    best = tube_by_linear_programme(X, y, weight, epsilon)
    unit = objective.constant_value(Block(X, y[:, None], weight))[0]
    missing = (value_of(model, objective, X, y, weight) - best) / unit
    assert -1e-9 < missing < 1e-5
    assert model.optimality_gap_ <= 1e-5


@pytest.mark.parametrize("solver", SGD_SOLVERS)
def test_kink_at_zero_is_the_median_regression_of_scikit_learn(solver):
    X, y, weight = make_problem(25, n_rows=400)
    theirs = QuantileRegressor(quantile=0.5, alpha=0.0).fit(X, y, sample_weight=weight)
    ours = MiniBatchSGDRegressor("epsilon_insensitive", solver=solver, epsilon=0.0, tol=1e-7, random_state=0)
    ours.fit(X, y, weight)
    error = [np.average(np.abs(model.predict(X) - y), weights=weight) for model in (ours, theirs)]
    assert error[0] / error[1] - 1.0 < 1e-6
    np.testing.assert_allclose(ours.coef_, theirs.coef_, atol=1e-2)


def test_last_pass_over_a_kink_is_over_the_loss_as_it_is():
    X, y, weight = make_problem(26)
    model = fit(X, y, weight, loss="epsilon_insensitive", epsilon=0.3)
    objective = Objective(make_loss("epsilon_insensitive", 0.3))
    assert model.loss_curve_[-1] == pytest.approx(value_of(model, objective, X, y, weight), rel=1e-10)


@pytest.mark.parametrize("loss", ["huber", "epsilon_insensitive", "squared_epsilon_insensitive", "quantile"])
def test_exact_fit_of_other_losses(loss):
    X, _, _ = make_problem(27, n_rows=6000)
    y = X @ np.arange(7.0) + 1.0
    model = fit(X, y, loss=loss, epsilon=0.1)
    objective = Objective(make_loss(loss, 0.1))
    unit = objective.constant_value(Block(X, y[:, None], None))[0]
    assert value_of(model, objective, X, y, None) < 1e-3 * unit
