"""The safe step, against eigenvalues computed by NumPy."""

import numpy as np
import pytest

from sgdlinreg._core import sampling as _sampling
from sgdlinreg._core.blocks import CSR, Block
from sgdlinreg._core.contract import Options
from sgdlinreg._core.objective import Objective, SquaredError
from sgdlinreg._loop.data import InMemory
from sgdlinreg._loop.monitor import Monitor
from sgdlinreg._solvers.sgd import safe_step as step_size
from sgdlinreg._solvers.sgd.kernel_numpy import ReferenceKernel
from sgdlinreg._solvers.sgd.safe_step import safe_step
from sgdlinreg._solvers.sgd.solver import SGD
from sgdlinreg._solvers.sgd.stability import largest_stable_step, surely_diverges

from ..helpers import as_csr, make_problem

SQUARED = SquaredError()


def block_of(X, y, weight=None, sparse=False):
    if sparse:
        csr = as_csr(X)
        X = CSR(csr.data, csr.indices, csr.indptr, X.shape[1])
    return Block(X, np.reshape(y, (len(y), -1)).astype(float), weight)


def measured(block, objective=None, seed=0, **options):
    """The state of a fit after its measuring pass."""
    options = Options(**({"batch_size": 16} | options))
    solver, data = SGD(objective or Objective(SQUARED), options, ReferenceKernel(), seed), InMemory(block)
    return solver.end_pass(solver.add(solver.init(data), block), data, Monitor(1))[0]


def expected_step(Z, weight, penalty, batch_size):
    """The rule on a dense matrix, with columns of ones for intercepts."""
    n_rows = len(Z)
    weight = np.ones(n_rows) if weight is None else weight / weight.mean()
    lam = np.linalg.eigvalsh((Z.T * weight) @ Z / n_rows + np.diag(penalty))[-1]
    norm = (weight * (Z**2).sum(axis=1)).max() + penalty.max()
    return 1.0 / (lam + (norm - lam) / batch_size * (n_rows - batch_size) / (n_rows - 1))


def test_safe_step_between_its_limits():
    steps = [safe_step(20.0, 2.0, m, 1000) for m in (1, 2, 10, 100, 999, 1000)]
    assert steps[0] == pytest.approx(1 / 20)
    assert steps[-1] == pytest.approx(1 / 2)
    assert np.all(np.diff(steps) > 0)


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("alpha", [0.0, 0.5, 1e6])
@pytest.mark.parametrize("batch_size", [1, 16, 301])
def test_step_is_the_rule_on_dense_matrices(batch_size, alpha, fit_intercept, sparse):
    X, y, weight = make_problem(3)
    X[3, 2] = 0.0  # as CSR this column is not centred
    state = measured(block_of(X, y, weight, sparse), Objective(SQUARED, alpha, fit_intercept), batch_size=batch_size)
    share = weight / weight.sum()
    is_centred = np.array([fit_intercept and not (sparse and j == 2) for j in range(7)])
    centre = np.where(is_centred, share @ X, 0.0)
    scale = np.sqrt(share @ (X - centre) ** 2 + alpha)
    Z, penalty = (X - centre) / scale, alpha / scale**2
    if fit_intercept:
        Z, penalty = np.column_stack([Z, np.ones(301)]), np.append(penalty, 0.0)
    expected = expected_step(Z, weight, penalty, batch_size)
    assert state.step_size == pytest.approx(expected, rel=1e-3 if sparse else 1e-9)  # Lanczos stops at 1e-3


def test_units_do_not_change_the_step():
    X, y, _ = make_problem(4)
    step = measured(block_of(X, y)).step_size
    units = 10.0 ** np.arange(-6, 8, 2)
    assert measured(block_of(X * units + 3 * units, 1e5 * y)).step_size == pytest.approx(step, rel=1e-6)


def test_rows_as_they_are_take_the_step_of_single_rows():
    block = block_of(*make_problem(4))
    single = measured(block, batch_size=1).step_size
    assert measured(block, shuffle=False).step_size == pytest.approx(single, rel=1e-12)
    assert measured(block, shuffle=False, batch_size="full").step_size > 1.5 * single


@pytest.mark.parametrize("momentum", [0.5, 0.995])
def test_momentum_makes_the_step_of_mini_batches_as_much_shorter(momentum):
    block = block_of(*make_problem(4))
    for batch_size, factor in ((16, 1.0 - momentum), ("full", 1.0)):
        plain = measured(block, batch_size=batch_size).step_size
        found = measured(block, batch_size=batch_size, momentum=momentum).step_size
        assert found == pytest.approx(factor * plain, rel=1e-12)


def test_one_large_row_makes_the_step_short():
    X, y, _ = make_problem(5, n_rows=20_000)
    X[12_345] *= 300.0
    Z = np.column_stack([(X - X.mean(axis=0)) / X.std(axis=0), np.ones(20_000)])
    norm = (Z**2).sum(axis=1).max()  # the sample has 4,096 other rows, and this one for sure
    step = measured(block_of(X, y), batch_size=1).step_size
    assert step == pytest.approx(1.0 / norm, rel=1e-3)
    assert step < 1e-3


def test_a_sample_has_a_margin(monkeypatch):
    X, y, _ = make_problem(8, n_rows=4000)
    exact = measured(block_of(X, y), batch_size="full").step_size
    monkeypatch.setattr(_sampling, "SAMPLE_ROWS", 1000)
    sampled = [measured(block_of(X, y), batch_size="full", seed=seed).step_size for seed in range(20)]
    assert len(set(sampled)) == 20
    assert np.mean(sampled) == pytest.approx(exact / step_size.SAMPLE_MARGIN, rel=0.02)


@pytest.mark.parametrize("sparse", [False, True])
def test_many_columns_use_lanczos(sparse):
    rng = np.random.default_rng(9)
    X = (rng.uniform(size=(300, 1300)) < 0.02) * rng.uniform(1, 2, (300, 1300))
    block = block_of(X, rng.standard_normal(300), sparse=sparse)
    found = measured(block, Objective(SQUARED, fit_intercept=False), batch_size="full").step_size
    scale = np.sqrt((X**2).mean(axis=0))
    scale[scale == 0] = 1
    assert found == pytest.approx(300 / np.linalg.norm(X / scale, 2) ** 2, rel=2e-3)


def test_nothing_but_zeros_has_a_finite_step():
    assert measured(block_of(np.zeros((10, 3)), np.ones(10)), Objective(SQUARED, 0.0, False)).step_size == 1.0


def test_largest_stable_step_is_that_of_the_raw_data():
    X, y, weight = make_problem(10)
    found = largest_stable_step(block_of(X, y, weight), Objective(SQUARED, 0.2), 301, np.random.default_rng(0))
    rows = np.column_stack([X, np.ones(301)])
    curvature = (rows.T * weight) @ rows / weight.sum() + np.diag([0.2] * 7 + [0.0])
    assert found == pytest.approx(1 / np.linalg.eigvalsh(curvature)[-1], rel=1e-9)


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_what_surely_diverges_is_beyond_the_largest_curvature(momentum):
    X, y, _ = make_problem(11)  # few rows: all of them give the direction
    rows = np.column_stack([X, np.ones(301)])
    limit = 2.0 * (1.0 + momentum) / np.linalg.eigvalsh(rows.T @ rows / 301)[-1]
    block, rng = block_of(X, y), np.random.default_rng(0)
    assert not surely_diverges(block, Objective(SQUARED), 0.999 * limit, momentum, rng)
    assert surely_diverges(block, Objective(SQUARED), 1.001 * limit, momentum, rng)
    for weight in np.random.default_rng(1).uniform(0.2, 3.0, (5, 301)):  # a lower bound then
        limit = 2.0 * (1.0 + momentum) / np.linalg.eigvalsh((rows.T * weight) @ rows / weight.sum())[-1]
        weighted = block_of(X, y, weight)
        assert not surely_diverges(weighted, Objective(SQUARED), 0.999 * limit, momentum, rng)
        assert surely_diverges(weighted, Objective(SQUARED), 1.1 * limit, momentum, rng)
