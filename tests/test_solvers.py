"""Every kernel against the NumPy reference, step by step."""

import pickle
from dataclasses import fields

import numpy as np
import pytest

from sgdlinreg import MiniBatchSGDRegressor
from sgdlinreg._blocks import CSR, Block
from sgdlinreg._objective import LOSSES, Objective
from sgdlinreg._solvers import Options, choose_solver, make_solver
from sgdlinreg._solvers.base import Visit
from sgdlinreg._solvers.sgd_state import State

from .helpers import RTOL, SGD_SOLVERS, SOLVERS, as_csr, make_problem, run_with_narrow_vectors

SQUARED = LOSSES["squared_error"]


def layouts(X):
    wide = np.zeros((X.shape[0] * 2, X.shape[1] * 3), dtype=X.dtype)
    wide[::2, 1::3] = X
    int32, int64 = as_csr(X), as_csr(X, np.int64)
    return {
        "C": np.ascontiguousarray(X),
        "F": np.asfortranarray(X),
        "strided": wide[::2, 1::3],
        "int32": CSR(int32.data, int32.indices, int32.indptr, X.shape[1]),
        "int64": CSR(int64.data, int64.indices, int64.indptr, X.shape[1]),
    }


def run(name, block, objective, options, n_epochs=5, seed=0, visit=Visit.ALL):
    solver = make_solver(name, "squared_error", objective, options)
    rng = np.random.default_rng(seed)
    state, ready = solver.prepare(solver.init(block.n_features, block.n_targets, None), block, rng, visit)
    path, losses = [], []
    for _ in range(n_epochs):
        state = solver.update(state, ready, rng)
        path.append(np.stack([state.coef, state.coef_sum / state.n_steps]))
        losses.append(solver.losses_of(state, block))
    return np.array(path), np.array(losses), state


def assert_same_path(name, block, objective, options, **kwargs):
    path, losses, _ = run(name, block, objective, options, **kwargs)
    expected_path, expected_losses, _ = run("reference", block, objective, options, **kwargs)
    rtol = RTOL[block.dtype]
    np.testing.assert_allclose(path, expected_path, rtol=rtol, atol=rtol * np.abs(expected_path).max())
    np.testing.assert_allclose(losses, expected_losses, rtol=rtol, atol=rtol * expected_losses.max())


@pytest.mark.parametrize("name", SGD_SOLVERS)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("layout", ["C", "F", "strided", "int32", "int64"])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("n_targets", [1, 3])
def test_kernels_follow_the_reference(name, dtype, layout, weighted, n_targets):
    X, y, weight = make_problem(0, n_targets=n_targets, weighted=weighted)
    block = Block(layouts(X.astype(dtype))[layout], y.reshape(301, -1), weight)
    for eta0 in ("auto", 0.01):  # 301 rows, batches of 16: the last batch is ragged
        assert_same_path(name, block, Objective(SQUARED(), 0.1), Options(batch_size=16, eta0=eta0))


@pytest.mark.parametrize("name", SGD_SOLVERS)
@pytest.mark.parametrize("layout", ["C", "int32"])
@pytest.mark.parametrize("loss", [SQUARED(), LOSSES["huber"](0.8)])
def test_accelerated_full_batches_follow_the_reference(name, layout, loss):
    X, y, weight = make_problem(4, n_rows=200, n_features=1)  # one feature is never whitened
    block = Block(layouts(X)[layout], y[:, None], weight)
    objective, options = Objective(loss, 0.0), Options(batch_size="full")
    assert_same_path(name, block, objective, options)
    velocities = [run(one, block, objective, options)[2].velocity for one in (name, "reference")]
    np.testing.assert_allclose(*velocities, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("n_features", [1, 2, 3, 4, 7, 8, 9, 16, 17, 31, 40])
def test_the_compiled_kernel_follows_the_reference_over_widths(dtype, n_features):
    """Rows are worked on in eights and columns in vectors: what is left over of both."""
    pytest.importorskip("numba")
    X, y, weight = make_problem(3, n_rows=83, n_features=n_features)
    block = Block(X.astype(dtype), y[:, None], weight)
    for batch_size in (1, 3, 4, 5, 8, 11, 12, 13, 40):
        for eta0 in ("auto", 0.01 / n_features):
            assert_same_path("numba", block, Objective(SQUARED(), 0.1), Options(batch_size=batch_size, eta0=eta0))


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("layout", ["C", "strided"])
@pytest.mark.parametrize("n_features", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("loss", [SQUARED(), LOSSES["huber"](0.8)])
def test_few_columns_follow_the_reference(dtype, layout, n_features, loss):
    """Rows of up to four columns are turned into columns."""
    pytest.importorskip("numba")
    for n_targets, weighted, batch_size in ((1, False, 10), (2, True, 19), (3, False, 83)):
        X, y, weight = make_problem(5, n_rows=83, n_features=n_features, n_targets=n_targets, weighted=weighted)
        block = Block(layouts(X.astype(dtype))[layout], y.reshape(83, -1), weight)
        for eta0 in ("auto", 0.02):
            assert_same_path("numba", block, Objective(loss, 0.1), Options(batch_size=batch_size, eta0=eta0))


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("centre", [0.0, 1e3])
@pytest.mark.parametrize(
    "options",
    [{}, {"shuffle": False}, {"learning_rate": "invscaling"}, {"average": True}, {"momentum": 0.5}, {"batch_size": 80}],
)
def test_few_columns_follow_the_reference_over_options(options, centre, fit_intercept):
    """One target whose coefficients stay in registers, and what steps that are not plain do with such rows."""
    pytest.importorskip("numba")
    X, y, weight = make_problem(7, n_rows=83, n_features=3, weighted=True)
    block = Block(X + centre * np.arange(3), y[:, None], weight)
    for alpha in (0.0, 0.2):
        assert_same_path(
            "numba", block, Objective(SQUARED(), alpha, fit_intercept), Options(**({"batch_size": 10} | options))
        )


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("n_features", [2, 5])
def test_many_short_rows_follow_the_reference(dtype, n_features):
    """Rows in windows, which are fetched ahead, and groups of a batch."""
    pytest.importorskip("numba")
    X, y, _ = make_problem(6, n_rows=150_001, n_features=n_features)
    block = Block(X.astype(dtype), y[:, None], None)
    for batch_size in (33, 300):
        options = Options(batch_size=batch_size, eta0=0.01)
        assert_same_path("numba", block, Objective(SQUARED()), options, n_epochs=1)


def test_the_compiled_kernel_with_narrow_vectors(tmp_path):
    """What a processor without AVX-512 runs, compiled anew and checked by the test over widths."""
    pytest.importorskip("numba")
    run_with_narrow_vectors(__file__, "over_widths", tmp_path)


@pytest.mark.parametrize("name", SGD_SOLVERS)
@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("alpha", [0.0, 0.5])
@pytest.mark.parametrize("batch_size", [1, 7, 301])
def test_kernels_follow_the_reference_over_options(name, fit_intercept, alpha, batch_size):
    X, y, weight = make_problem(1)
    block = Block(X, y[:, None], weight)
    objective = Objective(SQUARED(), alpha, fit_intercept)
    for shuffle in (True, False, "full"):
        assert_same_path(name, block, objective, Options(batch_size=batch_size, shuffle=shuffle))
    assert_same_path(name, block, objective, Options(batch_size=batch_size), visit=Visit.FIRST)


@pytest.mark.parametrize("name", SGD_SOLVERS)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_kernels_follow_the_reference_with_extreme_rows_and_whitening(name, dtype):
    rng = np.random.default_rng(2)
    X = rng.standard_normal((1000, 1)) + 1e-2 * rng.standard_normal((1000, 5))
    X[[3, 700]] *= 100
    y = X @ [[1.0], [-2.0], [3.0], [0.5], [-2.5]] * 300
    block = Block(X.astype(dtype), y + rng.standard_normal((1000, 1)), rng.uniform(0.5, 2, 1000))
    solver = make_solver("reference", "squared_error", Objective(SQUARED()), Options(batch_size=16))
    state, _ = solver.prepare(solver.init(5, 1, None), block, np.random.default_rng(0), Visit.ALL)
    assert len(state.conditioning.extreme_rows)
    assert state.conditioning.whitener.shape[1]
    assert_same_path(name, block, Objective(SQUARED()), Options(batch_size=16), n_epochs=2)


@pytest.mark.parametrize("name", SGD_SOLVERS)
@pytest.mark.parametrize("n_features", [3, 7])
@pytest.mark.parametrize("layout", ["C", "int32"])
@pytest.mark.parametrize("momentum", [0.0, 0.5])
def test_an_intercept_that_is_not_fitted_stays_and_is_averaged(name, n_features, layout, momentum):
    X, y, _ = make_problem(8, n_features=n_features)
    options = Options(batch_size=16, eta0=0.01, momentum=momentum)
    solver = make_solver(name, "squared_error", Objective(SQUARED(), fit_intercept=False), options)
    start = solver.init(n_features, 1, np.append(np.zeros(n_features), 1.5)[None])
    rng = np.random.default_rng(0)
    state, ready = solver.prepare(start, Block(layouts(X)[layout], y[:, None], None), rng, Visit.ALL)
    state = solver.update(state, ready, rng)
    assert state.coef[0, -1] == 1.5
    np.testing.assert_allclose(state.coef_sum[0, -1] / state.n_steps, 1.5, rtol=1e-12)


def test_reference_takes_the_textbook_step():
    X, y, weight = make_problem(3, n_targets=2)
    options = Options(batch_size=16, eta0=0.01, shuffle=False)
    _, _, state = run("reference", Block(X, y, weight), Objective(SQUARED(), 0.1), options, n_epochs=1)
    w, b, s = np.zeros((7, 2)), np.zeros(2), weight / weight.mean()
    for start in range(0, 301, 16):
        rows = slice(start, min(start + 16, 301))
        residual = s[rows, None] * (X[rows] @ w + b - y[rows])
        w = w - 0.01 * (X[rows].T @ residual / len(residual) + 0.1 * w)
        b = b - 0.01 * residual.mean(axis=0)
    np.testing.assert_allclose(state.coef, np.column_stack([w.T, b]), rtol=1e-12)


@pytest.mark.parametrize("name", SGD_SOLVERS)
def test_update_leaves_the_old_state_as_it_was(name):
    X, y, _ = make_problem(4)
    block = Block(X, y[:, None], None)
    solver = make_solver(name, "squared_error", Objective(SQUARED()), Options())
    rng = np.random.default_rng(0)
    empty = solver.init(7, 1, None)
    state, ready = solver.prepare(empty, block, rng, Visit.ALL)
    before = pickle.dumps([state, empty])
    first = solver.update(state, ready, rng)
    again = pickle.dumps(first)
    solver.update(first, ready, rng)
    assert pickle.dumps([state, empty]) == before
    assert pickle.dumps(first) == again


@pytest.mark.parametrize(
    "options",
    [
        Options(batch_size=16),
        Options(batch_size=16, momentum=0.5, average=False),
        Options(batch_size="full"),
        Options(batch_size=16, eta0=0.01),
    ],
)
def test_an_epoch_goes_on_as_from_the_coefficients_of_the_one_before(options):
    """Accelerated full batches lose their velocity where the objective rises, which happens here."""
    X, y, _ = make_problem(3, n_rows=100, n_targets=2)
    block = Block(X * np.logspace(-1.0, 1.0, 7) + 5.0, y, None)
    solver = make_solver("numba", "squared_error", Objective(SQUARED(), 0.01), options)
    start, ready = solver.prepare(solver.init(7, 2, None), block, np.random.default_rng(0), Visit.ALL)
    on, anew, lengths = start, start, []
    rng, same_rng = np.random.default_rng(1), np.random.default_rng(1)
    for _ in range(12):  # full batches have converged after 14: then rounding decides what rises
        anew = anew.copy()
        anew.scaled = None
        on, anew = solver.update(on, ready, rng), solver.update(anew, ready, same_rng)
        lengths.append(on.since_restart)
        for name in ("coef", "coef_sum", "velocity"):
            one, other = getattr(on, name), getattr(anew, name)
            np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-12 * np.abs(anew.coef).max())
    assert (np.diff(lengths) < 0).any() == (options.batch_size == "full")


def test_rows_of_heavy_tailed_data_are_read_in_shorter_blocks():
    bits = []
    for sigma in (1.25, 0.5):
        X = np.random.default_rng(0).lognormal(0.0, sigma, (300_000, 1))
        solver = make_solver("numba", "squared_error", Objective(SQUARED()), Options(batch_size=1))
        state, ready = solver.prepare(
            solver.init(1, 1, None), Block(X, X.copy(), None), np.random.default_rng(0), Visit.ALL
        )
        bits.append(solver._order(state, ready, np.random.default_rng(0))[0].bits)
    assert bits == [3, 4]


def test_state_is_numpy_at_the_boundary():
    X, y, _ = make_problem(4)
    _, _, state = run("numba", Block(X, y[:, None], None), Objective(SQUARED()), Options())
    assert isinstance(state, State)
    for field in fields(state):
        assert type(getattr(state, field.name)).__module__.split(".")[0] in ("builtins", "numpy", "sgdlinreg")


@pytest.mark.parametrize("name", SGD_SOLVERS)
def test_read_only_data(name):
    X, y, weight = make_problem(5)
    for array in (X, y, weight):
        array.flags.writeable = False
    block = Block(X, y[:, None], weight)
    assert_same_path(name, block, Objective(SQUARED()), Options(batch_size=16), n_epochs=1)


@pytest.mark.parametrize(
    ("kwargs", "expected"),
    [
        ({}, "normal_equation"),
        ({"n_features": 1000}, "normal_equation"),
        ({"n_features": 1001}, "numba"),
        ({"steps_are_default": False}, "numba"),
        ({"has_start": True}, "numba"),
        ({"least_squares": False}, "numba"),
        ({"device": "cpu"}, "normal_equation"),
        ({"device": "cuda"}, "torch"),
        ({"solver": "numba"}, "numba"),
        ({"solver": "normal_equation", "steps_are_default": False}, "normal_equation"),
    ],
)
def test_rule_of_auto(kwargs, expected):
    asked = {
        "solver": "auto",
        "n_features": 5,
        "device": "auto",
        "least_squares": True,
        "steps_are_default": True,
        "has_start": False,
    }
    assert choose_solver(**(asked | kwargs))[0] == expected


@pytest.mark.parametrize("name", SOLVERS)
def test_make_solver_refuses_what_a_solver_cannot_do(name):
    with pytest.raises(ValueError, match=r"cannot minimise loss='poisson'; use solver='numba'"):
        make_solver(name, "poisson", Objective(SQUARED()), Options())


def test_make_solver_refuses_unknown_names():
    with pytest.raises(ValueError, match="No solver 'adam'; there are normal_equation, numba, torch"):
        make_solver("adam", "squared_error", Objective(SQUARED()), Options())


@pytest.mark.parametrize("name", SGD_SOLVERS)
@pytest.mark.parametrize("alpha", [0.0, 1e-3, 2.0])
@pytest.mark.parametrize("n_targets", [1, 3])
@pytest.mark.parametrize(
    "options",
    [
        Options(batch_size=4),
        Options(batch_size=300),
        Options(batch_size=4, eta0=0.3),
        Options(batch_size=4, eta0=0.01, learning_rate="invscaling"),
        Options(batch_size=4, eta0=0.01, momentum=0.9),
    ],
    ids=["auto", "large", "decay", "schedule", "momentum"],
)
def test_sparse_rows_with_rare_columns(name, alpha, n_targets, options):
    rng = np.random.default_rng(6)
    X = rng.standard_normal((301, 60)) * (rng.uniform(size=(301, 60)) < 0.03)
    X[:, 0] = rng.standard_normal(301) + 5.0  # stored in every row: centred
    X[7, 1:] *= 100.0  # joins every batch
    X[:, 59] = 0.0
    y = rng.standard_normal((301, n_targets))
    csr = as_csr(X)
    block = Block(CSR(csr.data, csr.indices, csr.indptr, 60), y, rng.uniform(0.5, 2, 301))
    if options.eta0 != "auto":
        block = block._replace(X=block.X._replace(data=block.X.data / 20.0))
    assert_same_path(name, block, Objective(SQUARED(), alpha), options, n_epochs=3)


@pytest.mark.parametrize("name", SGD_SOLVERS)
def test_bits_do_not_depend_on_where_arrays_lie(name):
    X, y, _ = make_problem(7)
    rng, moved, found = np.random.default_rng(0), [], set()
    for _ in range(100):
        moved.append(np.empty(rng.integers(1, 60)))
        block = Block(X.copy(), y[:, None].copy(), None)
        path, _, _ = run(name, block, Objective(SQUARED()), Options(batch_size="full"), n_epochs=3)
        found.add(path.tobytes())
    assert len(found) == 1


@pytest.mark.parametrize("layout", ["C", "F", "int32"])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("batch_size", [5, 64, 301])
def test_parts_of_large_batches_follow_the_reference_in_any_number_of_threads(monkeypatch, layout, dtype, batch_size):
    module = pytest.importorskip("sgdlinreg._solvers.sgd_numba")
    monkeypatch.setattr(module, "LARGE_BATCH_BYTES", 0)
    X, y, weight = make_problem(8, n_targets=2)
    X[[3, 200]] *= 30.0  # they join every batch of 64
    block = Block(layouts(X.astype(dtype))[layout], y, weight)
    paths = set()
    for n_jobs in (None, 1, 2, 3):
        options = Options(batch_size=batch_size, momentum=0.5, n_jobs=n_jobs)
        assert_same_path("numba", block, Objective(SQUARED(), 0.1), options)
        paths.add(run("numba", block, Objective(SQUARED(), 0.1), options)[0].tobytes())
    assert len(paths) == 1


def test_n_jobs_does_not_change_a_bit():
    rng = np.random.default_rng(9)
    X = rng.standard_normal((400_000, 6))
    y = X @ rng.standard_normal(6) + rng.standard_normal(400_000)
    models = [
        MiniBatchSGDRegressor(solver="numba", batch_size="full", n_jobs=n_jobs, random_state=0).fit(X, y)
        for n_jobs in (None, 2, -1)
    ]
    assert len({(*model.coef_, model.intercept_, model.n_iter_) for model in models}) == 1
    best = np.linalg.lstsq(np.column_stack([X, np.ones(len(X))]), y, rcond=None)[0]
    np.testing.assert_allclose(models[0].coef_, best[:-1], atol=1e-3)
