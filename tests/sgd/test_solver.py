"""Steps around a kernel: what a fit by SGD does with every kernel, and what it keeps."""

import pickle
from dataclasses import fields, is_dataclass, replace

import numpy as np
import pytest

from sgdlinreg import MiniBatchSGDRegressor
from sgdlinreg._core.blocks import CSR, Block
from sgdlinreg._core.contract import Options
from sgdlinreg._core.objective import LOSSES, Objective, SquaredError, make_loss
from sgdlinreg._loop.data import InMemory
from sgdlinreg._loop.monitor import Monitor
from sgdlinreg._loop.training import train
from sgdlinreg._solvers import make_solver
from sgdlinreg._solvers.sgd.kernel_numpy import ReferenceKernel
from sgdlinreg._solvers.sgd.solver import SGD

from ..helpers import RTOL, SGD_SOLVERS, SOLVERS, as_csr, make_problem

SQUARED = SquaredError()


def solver_of(name, objective=None, **options):
    return make_solver(name, "squared_error", objective or Objective(SQUARED), Options(**options), lambda: 0)


def begun(solver, block, coef=None):
    """The state before the first epoch, and the rows as the kernel wants them."""
    data = InMemory(block).map(solver.place)
    state = solver.add(solver.init(data, coef), data.block)
    state, data, done = solver.end_pass(state, data, Monitor(10**6))
    assert not done
    return state, data


def after_epoch(solver, state, data):
    """The state after an epoch of steps alone, which are judged but do not stop."""
    state, _, _ = solver.end_pass(solver.add(state, data.block), data, Monitor(10**6))
    return state


def on_the_data(state, coef):
    return state.coordinates.to_raw(coef)


def path_of(name, block, objective, options, n_epochs=5):
    """Iterates, means of iterates, models and losses after every epoch."""
    solver = make_solver(name, "squared_error", objective, replace(options, tol=None), lambda: 0)
    state, data = begun(solver, block)
    path, losses = [], []
    for _ in range(n_epochs):
        state = after_epoch(solver, state, data)
        mean = on_the_data(state, state.iterate.coef_sum) / max(1, state.n_steps)
        path.append(np.stack([on_the_data(state, state.iterate.coef), mean, solver.coef(state)]))
        losses.append(state.losses)
    return np.array(path), np.array(losses), state


def assert_same_path(name, block, objective, options, **kwargs):
    path, losses, _ = path_of(name, block, objective, options, **kwargs)
    expected_path, expected_losses, _ = path_of("reference", block, objective, options, **kwargs)
    rtol = RTOL[block.dtype]
    np.testing.assert_allclose(path, expected_path, rtol=rtol, atol=rtol * np.abs(expected_path).max())
    np.testing.assert_allclose(losses, expected_losses, rtol=rtol, atol=rtol * expected_losses.max())
    assert np.abs(np.diff(path[:, 0], axis=0)).max() > 0.0


def inverse_root(steps):
    return 1.0 / np.sqrt(steps)


def csr_of(X):
    rows = as_csr(X)
    return CSR(rows.data, rows.indices, rows.indptr, X.shape[1])


@pytest.mark.parametrize("name", SGD_SOLVERS)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("eta0", ["auto", 0.01])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"batch_size": 1},
        {"batch_size": "full"},
        {"shuffle": False},
        {"shuffle": "blocks", "batch_size": 7},
        {"drop_last": True},
        {"momentum": 0.6},
        {"momentum": 0.6, "nesterovs_momentum": True, "average": False},
        {"average": True},
        {"average": 100},
        {"learning_rate": "invscaling"},
        {"learning_rate": "adaptive"},
        {"learning_rate": "optimal"},
        {"learning_rate": inverse_root},
    ],
    ids=lambda options: getattr(options.get("learning_rate"), "__name__", str(options)),
)
def test_kernels_follow_the_reference(options, eta0, sparse, dtype, name):
    X, y, weight = make_problem(0, n_rows=200, n_targets=2)
    X = (0.1 * X).astype(dtype)  # "optimal" starts with a large step
    block = Block(csr_of(X) if sparse else X, y, weight)
    assert_same_path(name, block, Objective(SQUARED, 0.5), Options(**{"batch_size": 16, "eta0": eta0} | options))


@pytest.mark.parametrize("name", SGD_SOLVERS)
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("batch_size", [16, "full"])
@pytest.mark.parametrize("penalty", [{}, {"alpha": 0.1, "l1_ratio": 0.4}, {"positive": True}], ids=str)
def test_kernels_follow_the_reference_over_objectives(penalty, batch_size, loss, name):
    X, y, weight = make_problem(1, n_rows=200)
    objective = Objective(make_loss(loss, 0.3), **penalty)
    assert_same_path(name, Block(X, y[:, None], weight), objective, Options(batch_size=batch_size), n_epochs=4)


@pytest.mark.parametrize("name", SGD_SOLVERS)
def test_sparse_rows_with_rare_columns(name):
    rng = np.random.default_rng(6)
    X = rng.standard_normal((301, 60)) * (rng.uniform(size=(301, 60)) < 0.03)
    X[:, 0] = rng.standard_normal(301) + 5.0  # stored in every row: centred
    X[7, 1:] *= 100.0
    X[:, 59] = 0.0
    block = Block(csr_of(X), rng.standard_normal((301, 2)), rng.uniform(0.5, 2, 301))
    for batch_size in (4, 300):
        assert_same_path(name, block, Objective(SQUARED, 1e-3), Options(batch_size=batch_size), n_epochs=3)


def test_steps_are_those_of_the_textbook():
    X, y, weight = make_problem(3, n_targets=2)
    options = Options(batch_size=16, eta0=0.01, shuffle=False)
    _, _, state = path_of("reference", Block(X, y, weight), Objective(SQUARED, 0.1), options, n_epochs=1)
    w, b, s = np.zeros((7, 2)), np.zeros(2), weight / weight.mean()
    for start in range(0, 301, 16):
        rows = slice(start, min(start + 16, 301))
        residual = s[rows, None] * (X[rows] @ w + b - y[rows])
        w = w - 0.01 * (X[rows].T @ residual / len(residual) + 0.1 * w)
        b = b - 0.01 * residual.mean(axis=0)
    np.testing.assert_allclose(on_the_data(state, state.iterate.coef), np.column_stack([w.T, b]), rtol=1e-12)


def test_automatic_steps_are_those_of_the_textbook_on_standardised_columns():
    X, y, weight = make_problem(4)
    options = Options(batch_size=16, shuffle=False, average=False)
    _, _, state = path_of("reference", Block(X, y[:, None], weight), Objective(SQUARED), options, n_epochs=2)
    mean, s = np.average(X, axis=0, weights=weight), weight / weight.mean()
    scale = np.sqrt(np.average((X - mean) ** 2, axis=0, weights=weight))
    Z, w = np.column_stack([(X - mean) / scale, np.ones(301)]), np.zeros(8)
    w[-1] = np.average(y, weights=weight)  # where automatic steps start
    for _ in range(2):
        for start in range(0, 301, 16):
            rows = slice(start, min(start + 16, 301))
            length = len(Z[rows])  # a short batch takes a step as much shorter
            gradient = Z[rows].T @ (s[rows] * (Z[rows] @ w - y[rows])) / length
            w = w - state.step_size * length / 16 * gradient
    coef = on_the_data(state, state.iterate.coef)
    np.testing.assert_allclose(coef[0, :-1], w[:-1] / scale, rtol=1e-10)
    assert coef[0, -1] == pytest.approx(w[-1] - w[:-1] @ (mean / scale), rel=1e-10)


@pytest.mark.parametrize("name", SGD_SOLVERS)
@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("momentum", [0.0, 0.5])
def test_an_intercept_that_is_not_fitted_stays_and_is_averaged(name, sparse, momentum):
    X, y, _ = make_problem(8)
    options = {"batch_size": 16, "eta0": 0.01, "momentum": momentum}
    solver = solver_of(name, Objective(SQUARED, fit_intercept=False), **options)
    block = Block(csr_of(X) if sparse else X, y[:, None], None)
    state, data = begun(solver, block, np.append(np.zeros(7), 1.5)[None])
    state = after_epoch(solver, state, data)
    assert state.iterate.coef[0, -1] == 1.5
    np.testing.assert_allclose(state.iterate.coef_sum[0, -1] / state.n_steps, 1.5, rtol=1e-12)


class Recording(ReferenceKernel):
    """Takes the batches one by one and keeps every iterate."""

    def __init__(self):
        super().__init__()
        self.iterates = []

    def run_batches(self, block, order, step_sizes, batch_size, *rest):
        total = 0.0
        for batch, step in enumerate(step_sizes):
            rows = order[batch * batch_size : (batch + 1) * batch_size]
            total = total + super().run_batches(block, rows, step[None], batch_size, *rest)
            self.iterates.append(rest[-1].coef.copy())
        return total


@pytest.mark.parametrize(
    ("n_epochs", "first"), [(1, 0.5), (2, 1), (3, 1), (4, 2), (7, 2), (8, 4), (100, 32), (300, 128)]
)
def test_the_model_is_the_mean_of_the_last_half_to_three_quarters(n_epochs, first):
    X, y, _ = make_problem(5, n_rows=660)
    block, kernel = Block(X, y[:, None], None), Recording()
    solver = SGD(Objective(SQUARED), Options(batch_size=5, tol=None), kernel, seed=0)
    state, data = begun(solver, block)
    for _ in range(n_epochs):
        state = after_epoch(solver, state, data)
    found = solver.coef(state)
    assert len(kernel.iterates) == 132 * n_epochs
    mean = state.coordinates.to_raw(np.mean(kernel.iterates[int(132 * first) :], axis=0))
    np.testing.assert_allclose(found[0, :-1], mean[0, :-1], rtol=1e-9)
    assert found[0, -1] == pytest.approx(y.mean() - found[0, :-1] @ X.mean(axis=0), rel=1e-12)


def test_without_averaging_the_model_is_the_last_iterate():
    X, y, _ = make_problem(5)
    solver = solver_of("reference", batch_size=16, average=False, tol=None)
    state, data = begun(solver, Block(X, y[:, None], None))
    state = after_epoch(solver, state, data)
    np.testing.assert_array_equal(solver.coef(state)[:, :-1], on_the_data(state, state.iterate.coef)[:, :-1])


@pytest.mark.parametrize("name", SGD_SOLVERS)
def test_a_call_of_partial_fit_leaves_the_old_state_as_it_was(name):
    X, y, _ = make_problem(4)
    kept, before = None, []
    for rows in (slice(0, 100), slice(100, None)):
        kept = train(solver_of(name), InMemory(Block(X[rows], y[rows, None]), once=True), Monitor(1), kept=kept).kept
        before.append((kept, pickle.dumps(kept)))
    for kept, pickled in before:
        assert pickle.dumps(kept) == pickled


def leaves_of(value):
    """Everything that a state is made of, down to arrays and numbers."""
    if isinstance(value, list | tuple):
        for part in value:
            yield from leaves_of(part)
    elif is_dataclass(value):
        for field in fields(value):
            yield from leaves_of(getattr(value, field.name))
    else:
        yield value


@pytest.mark.parametrize("name", SOLVERS)
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_state_is_numpy_at_the_boundary(method, name):
    X, y, _ = make_problem(4)
    model = getattr(MiniBatchSGDRegressor(solver=name, random_state=0), method)(X, y)
    if method == "fit" and name != "normal_equation":
        assert model._state is None
        return
    leaves = list(leaves_of(model._state))
    assert sum(isinstance(leaf, np.ndarray) for leaf in leaves) > 2
    for leaf in leaves:
        assert leaf is None or isinstance(leaf, np.ndarray | np.generic | int | float | str | bool), type(leaf)


@pytest.mark.parametrize("name", SGD_SOLVERS)
def test_what_is_kept_with_the_estimator_is_small(name):
    X, y, _ = make_problem(4, n_rows=5000)
    model = MiniBatchSGDRegressor(solver=name, random_state=0).fit(X, y)
    assert len(pickle.dumps(model)) < 20_000
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(model)).predict(X), model.predict(X))


@pytest.mark.parametrize("name", SGD_SOLVERS)
def test_bits_do_not_depend_on_where_arrays_lie(name):
    X, y, _ = make_problem(7)
    rng, moved, found = np.random.default_rng(0), [], set()
    for _ in range(50):
        moved.append(np.empty(rng.integers(1, 60)))
        block = Block(X.copy(), y[:, None].copy(), None)
        path, _, _ = path_of(name, block, Objective(SQUARED), Options(batch_size="full"), n_epochs=3)
        found.add(path.tobytes())
    assert len(found) == 1


def test_n_jobs_does_not_change_a_bit():
    rng = np.random.default_rng(9)
    X = rng.standard_normal((400_000, 6))
    y = X @ rng.standard_normal(6) + rng.standard_normal(400_000)
    models = [
        MiniBatchSGDRegressor(solver="numba", batch_size="full", tol=1e-6, n_jobs=n_jobs, random_state=0).fit(X, y)
        for n_jobs in (None, 2, -1)
    ]
    assert len({(*model.coef_, model.intercept_, model.n_iter_) for model in models}) == 1
    best = np.linalg.lstsq(np.column_stack([X, np.ones(len(X))]), y, rcond=None)[0]
    np.testing.assert_allclose(models[0].coef_, best[:-1], atol=1e-3)


@pytest.mark.parametrize("name", SGD_SOLVERS)
def test_accelerated_full_batches_start_again_where_the_objective_rises(name):
    X, y, _ = make_problem(3, n_rows=100)
    solver = solver_of(name, batch_size="full", tol=None)
    state, data = begun(solver, Block(X, y[:, None], None))
    lengths, losses = [], []
    for _ in range(60):
        state = after_epoch(solver, state, data)
        lengths.append(state.since_restart)
        losses.append(state.losses[0])
    rose = np.diff(losses) > 0
    assert rose.any()
    np.testing.assert_array_equal(np.array(lengths[1:]) == 0, rose)
