"""Divergence, stopping, and what a failed fit leaves behind."""

import re

import numpy as np
import pytest
from scipy import sparse

from sgdlinreg import MiniBatchSGDRegressor
from sgdlinreg._blocks import Block
from sgdlinreg._objective import LOSSES, Objective
from sgdlinreg._solvers.base import Options, Visit
from sgdlinreg._solvers.sgd import SGD
from sgdlinreg._solvers.sgd_reference import ReferenceKernel
from sgdlinreg._stopping import Limits, Stopping
from sgdlinreg.datasets import make_linear

from .helpers import ALL_SOLVERS, SGD_SOLVERS, as_csr, make_problem


@pytest.mark.parametrize("solver", SGD_SOLVERS)
@pytest.mark.parametrize(("eta0", "max_iter"), [(1e3, 3), (1e3, 1), (10.0, 100), (1e9, 1000)])
def test_diverging_steps_are_an_error_with_advice(solver, eta0, max_iter):
    X, y = make_linear(1000, random_state=0)
    model = MiniBatchSGDRegressor(solver=solver, eta0=eta0, batch_size=10, max_iter=max_iter, random_state=0)
    with pytest.raises(ValueError, match=r"SGD would diverge from the first step on.*eta0='auto'") as caught:
        model.fit(X, y)
    stable = float(re.search(r"0 < eta0 <= ([\d.e+-]+),", str(caught.value))[1])
    model.set_params(eta0=stable, max_iter=100).fit(X, y)
    assert model.score(X, y) > 0.999
    with pytest.raises(ValueError, match=r"SGD (diverged|would diverge)"):
        model.set_params(eta0=20 * stable).fit(X, y)


@pytest.mark.parametrize("solver", SGD_SOLVERS)
def test_where_squares_overflow_no_step_is_called_stable(solver):
    X, y = make_linear(100, random_state=0)
    with pytest.raises(
        ValueError, match=r"Squares of X overflow, so that no eta0 can be called stable; got eta0=0.01. Rescale X."
    ):
        MiniBatchSGDRegressor(solver=solver, eta0=0.01, random_state=0).fit(X * 1e160, y)


def test_the_numbers_can_still_be_finite():
    X, y = make_linear(100, random_state=0)
    model = MiniBatchSGDRegressor(solver="numba", eta0=1e3, learning_rate="adaptive", batch_size="full", max_iter=3)
    with pytest.raises(ValueError, match=r"epoch 2 is \d\.\d+e\+\d+, above 6\.\d+, that of the constant model"):
        model.fit(X, y)


@pytest.mark.parametrize("solver", SGD_SOLVERS)
def test_raw_units_diverge_with_a_fixed_step_and_not_with_auto(solver):
    X, y, _ = make_problem(0)
    X = X * 1e3
    with pytest.raises(ValueError, match=r"SGD (diverged|would diverge)"):
        MiniBatchSGDRegressor(solver=solver, eta0=0.01, random_state=0).fit(X, y)
    assert MiniBatchSGDRegressor(solver=solver, random_state=0).fit(X, y).score(X, y) > 0.9


@pytest.mark.parametrize("solver", SGD_SOLVERS)
@pytest.mark.parametrize("seed", range(5))
def test_noise_is_no_divergence(solver, seed):
    rng = np.random.default_rng(seed)
    X, y = rng.standard_normal((200, 10)), rng.standard_normal(200)
    for eta0 in ("auto", 0.01):
        model = MiniBatchSGDRegressor(solver=solver, eta0=eta0, random_state=seed).fit(X, y)
        assert model.score(X, y) >= -0.01


@pytest.mark.parametrize("solver", SGD_SOLVERS)
def test_slow_steps_are_no_divergence(solver):
    X, y = make_linear(1000, random_state=0)
    model = MiniBatchSGDRegressor(solver=solver, eta0=1e-6, max_iter=3, tol=None, random_state=0)
    with pytest.warns(UserWarning, match="worse than the best constant"):
        model.fit(X, y)
    assert np.all(np.diff(model.loss_curve_) < 0)


@pytest.mark.parametrize("solver", ALL_SOLVERS)
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_a_failed_fit_leaves_the_estimator_as_it_was(solver, method):
    X, y, weight = make_problem(1)
    model = MiniBatchSGDRegressor(solver=solver, random_state=0).fit(X, y, weight)
    before = model.predict(X)
    attributes = {name: value for name, value in vars(model).items() if name.endswith("_")}
    bad = X.copy()
    bad[5, 3] = np.nan
    for arguments in (
        (bad, y),
        (X, y[:-1]),
        (X, y, -weight),
        (X, y, np.zeros(301)),
        (X[:, :0], y),
        (X[:0], y[:0]),
    ):
        with pytest.raises(ValueError, match=r"NaN|inconsistent|[Nn]egative|zero|minimum"):
            getattr(model, method)(*arguments)
        assert {name: value for name, value in vars(model).items() if name.endswith("_")} == attributes
        np.testing.assert_array_equal(model.predict(X), before)


@pytest.mark.parametrize("solver", SGD_SOLVERS)
def test_a_diverged_fit_leaves_the_estimator_as_it_was(solver):
    X, y, weight = make_problem(2)
    model = MiniBatchSGDRegressor(solver=solver, random_state=0).fit(X, y, weight)
    before = model.predict(X)
    model.set_params(eta0=1e3)
    for method in (model.fit, model.partial_fit):
        with pytest.raises(ValueError, match=r"SGD (diverged|would diverge)"):
            method(1e150 * X if method == model.partial_fit else X, y)
        np.testing.assert_array_equal(model.predict(X), before)
        assert model.n_samples_seen_ == 301


def test_an_unfitted_estimator_stays_unfitted():
    X, y, _ = make_problem(3)
    model = MiniBatchSGDRegressor()
    with pytest.raises(ValueError, match="NaN"):
        model.fit(X * np.nan, y)
    assert set(vars(model)) == set(model.get_params())


@pytest.mark.parametrize("solver", SGD_SOLVERS)
def test_tol_is_in_units_of_r2(solver):
    X, y, _ = make_problem(4)
    for eta0 in ("auto", 0.01):
        epochs, gaps = [], []
        best = MiniBatchSGDRegressor().fit(X, y).score(X, y)
        for tol in (1e-2, 1e-6):
            model = MiniBatchSGDRegressor(solver=solver, eta0=eta0, tol=tol, batch_size=32, random_state=0).fit(X, y)
            epochs.append(model.n_iter_)
            gaps.append(best - model.score(X, y))
            if eta0 == "auto":
                assert model.set_params(random_state=0).fit(X, 1e6 * y).n_iter_ == epochs[-1]
        assert epochs[0] < epochs[1]
        assert gaps[1] < 1e-3


class Recording(ReferenceKernel):
    """Takes the batches one by one and keeps every iterate."""

    def __init__(self):
        super().__init__()
        self.iterates = []

    def run_batches(self, block, order, positions, step_sizes, batch_size, *rest):
        total = 0.0
        for batch, step in enumerate(step_sizes):
            first = positions[0] + batch * batch_size
            one = (first, min(first + batch_size, positions[1]))
            total = total + super().run_batches(block, order, one, step[None], batch_size, *rest)
            self.iterates.append(rest[-1].coef.copy())
        return total


@pytest.mark.parametrize("n_epochs", [1, 2, 5, 8, 100, 1000])
def test_the_model_is_the_mean_of_the_second_half(n_epochs):
    X, y, _ = make_problem(5, n_rows=330)
    block = Block(X, y[:, None], None)
    kernel = Recording()
    solver = SGD(Objective(LOSSES["squared_error"]()), Options(batch_size=5), kernel)
    rng = np.random.default_rng(0)
    state, ready = solver.prepare(solver.init(7, 1, None), block, rng, Visit.ALL)
    for _ in range(n_epochs):
        state = solver.update(state, ready, rng)
    found = solver.fitted(state).coef
    n_steps = 66 * n_epochs
    first = {1: 0, 2: 66, 5: 132, 8: 264}.get(n_epochs)  # the last mark in the first half
    assert len(kernel.iterates) == n_steps
    if n_epochs >= 100:  # marks have been thinned out by then
        assert len(state.marks) <= 64
        first = max(mark.n_steps for mark in state.marks if mark.n_steps <= n_steps / 2)
        assert n_steps / 2 - first <= n_steps / 24
    mean = state.conditioning.to_raw(np.mean(kernel.iterates[first:], axis=0))
    np.testing.assert_allclose(found[0, :-1], mean[0, :-1], rtol=1e-9)
    assert found[0, -1] == pytest.approx(y.mean() - found[0, :-1] @ X.mean(axis=0), rel=1e-12)


def test_without_averaging_the_model_is_the_last_iterate():
    X, y, _ = make_problem(5)
    options = Options(batch_size=16, average=False)
    solver = SGD(Objective(LOSSES["squared_error"]()), options, ReferenceKernel())
    rng = np.random.default_rng(0)
    state, ready = solver.prepare(solver.init(7, 1, None), Block(X, y[:, None], None), rng, Visit.ALL)
    state = solver.update(state, ready, rng)
    np.testing.assert_array_equal(solver.fitted(state).coef[:, :-1], state.coef[:, :-1])


def test_values_whose_squares_overflow():
    X, y, _ = make_problem(6)
    X[:, 2] *= 1e180
    with pytest.raises(ValueError, match="squares of column 2 of X overflow"):
        MiniBatchSGDRegressor(solver="numba").fit(X, y)


@pytest.mark.parametrize("solver", ALL_SOLVERS)
def test_without_an_intercept_there_is_no_false_warning(solver):
    X, y, _ = make_problem(7)
    model = MiniBatchSGDRegressor(solver=solver, fit_intercept=False, random_state=0)
    assert model.fit(X, y + 1e3).n_iter_ < 1000


@pytest.mark.parametrize("solver", SGD_SOLVERS)
@pytest.mark.parametrize("sparse", [False, True])
def test_a_step_beyond_the_stable_range_is_told_before_the_first_epoch(monkeypatch, solver, sparse):
    X, y, weight = make_problem(6, n_rows=2000, weighted=True)
    rows = np.column_stack([X, np.ones(len(X))])
    curvature = np.linalg.eigvalsh((rows * weight[:, None]).T @ rows / weight.sum())[-1]
    X = as_csr(X) if sparse else X
    epochs = []
    monkeypatch.setattr(SGD, "update", lambda *args: epochs.append(1))
    for momentum in (0.0, 0.9):
        model = MiniBatchSGDRegressor(solver=solver, momentum=momentum, eta0=2.2 * (1 + momentum) / curvature)
        before = vars(model).copy()
        with pytest.raises(ValueError, match="would diverge from the first step on"):
            model.fit(X, y, weight)
        assert vars(model) == before
    assert not epochs
    monkeypatch.undo()
    model = MiniBatchSGDRegressor(solver=solver, eta0=1.9 / curvature, batch_size="full", max_iter=2000)
    assert model.fit(X, y, weight).score(X, y, weight) > 0.9


@pytest.mark.parametrize("power", [0.3, 0.5, 1.0, 1.4])
def test_what_is_left_to_fall_follows_a_power_law(power):
    # the objective falls like 0.8 / t^power, so that what is left is known; 2 tol of the constant model's are 0.04
    block = Block(np.zeros((1, 1)), np.zeros((1, 1)), None)
    objective = Objective(LOSSES["squared_error"]())
    stopping = Stopping(Limits(10**6, 5e-3, 5), block, objective, np.full(1, 4.0), np.random.default_rng(0))
    left = np.array([0.8 / epoch**power for epoch in range(1, 10**5)])
    first = np.argmax(left <= 0.04) + 1
    for epoch in range(1, 10**5):
        if stopping.by_fall(lambda epoch=epoch: np.array([3.0 + left[epoch - 1]])).all():
            break
    assert first <= epoch < max(7, 1.02 * first + 6)


@pytest.mark.parametrize("n_targets", [1, 3])
def test_a_target_stops_where_it_is_the_same_at_two_epochs_in_a_row(n_targets):
    """As if every epoch were compared, though those at which nothing can stop are passed over."""
    objective, tol = Objective(LOSSES["squared_error"]()), 0.05
    stops, looks, n_epochs = set(), [], 0
    for seed in range(30):
        rng = np.random.default_rng(seed)
        X = rng.standard_normal((50, 2))
        with_ones = np.column_stack([X, np.ones(50)])
        path = np.cumsum(rng.standard_normal((40, n_targets, 3)) / np.arange(1, 41)[:, None, None] ** 1.5, axis=0)
        block, unit = Block(X, np.zeros((50, n_targets)), None), np.ones(n_targets)
        stopping = Stopping(Limits(100, tol, 5), block, objective, unit, rng)
        same_before = np.zeros(n_targets, dtype=bool)
        for epoch in range(1, 40):
            models = path[[epoch, epoch // 2, epoch // 4]] if epoch > 1 else path[:1]
            found, _ = stopping.by_change(lambda models=models: looks.append(0) or models, unit, len(models))
            same = np.zeros(n_targets, dtype=bool)
            if epoch > 1:
                last, earlier = 0.5 * np.mean(np.square((models[:-1] - models[1:]) @ with_ones.T), axis=2)
                same = last * np.clip(last / earlier, 0.5, 1.0) <= tol / 4.0
            np.testing.assert_array_equal(found, same & same_before)
            same_before = same
            if found.all():
                break
        stops.add(epoch)
        n_epochs += epoch
    assert len(stops) > 3
    assert len(looks) < (0.85 if n_targets == 1 else 1.0) * n_epochs


@pytest.mark.parametrize("solver", SGD_SOLVERS)
def test_crossed_levels_in_few_epochs(solver):
    # 20,000 marks that 1,000 people give to 300 others: as sparse and as noisy as such data are
    rng = np.random.default_rng(0)
    n_rows, n_givers, n_takers = 20_000, 1_000, 300
    giver, taker = rng.integers(n_givers, size=n_rows), rng.integers(n_takers, size=n_rows)
    y = rng.normal(size=n_givers)[giver] + rng.normal(size=n_takers)[taker] + 2.0 * rng.normal(size=n_rows)
    columns = np.column_stack([giver, n_givers + taker]).ravel()
    starts = np.arange(0, 2 * n_rows + 1, 2)
    X = sparse.csr_matrix((np.ones(2 * n_rows), columns, starts), shape=(n_rows, n_givers + n_takers))
    best = sparse.linalg.lsmr(sparse.hstack([X, np.ones((n_rows, 1))], format="csr"), y, atol=1e-12, btol=1e-12)[0]
    least = np.mean((X @ best[:-1] + best[-1] - y) ** 2)
    for seed in range(6 if solver == "numba" else 2):
        model = MiniBatchSGDRegressor(solver=solver, random_state=seed).fit(X, y)
        assert model.n_iter_ <= 12
        assert np.mean((model.predict(X) - y) ** 2) - least < 2e-3 * np.var(y)
