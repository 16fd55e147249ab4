"""The preconditioner against the inverse of the curvature of all rows, computed by NumPy."""

import numpy as np
import pytest

from sgdlinreg._core.blocks import CSR, Block
from sgdlinreg._core.coordinates import norms_of, scaled_coordinates
from sgdlinreg._core.objective import Objective, SquaredError, make_loss
from sgdlinreg._core.sampling import Reservoir
from sgdlinreg._core.statistics import column_statistics
from sgdlinreg._solvers.finish import preconditioner as preconditioner
from sgdlinreg._solvers.finish.preconditioner import FLOOR, make_preconditioner

from ..helpers import as_csr, make_problem


def made_of(block, objective=None, coef=None, n_random=4096, n_largest=512, seed=0):
    """The preconditioner, and the coordinates that it is for."""
    objective = objective or Objective(SquaredError())
    columns = column_statistics(block)
    coordinates = scaled_coordinates(columns, objective)
    norms = np.square(coordinates.features(dense_of(block))).sum(axis=1)
    norms = norms if block.sample_weight is None else norms * block.sample_weight
    sample = Reservoir(n_random, n_largest).add(block, norms, np.random.default_rng(seed)).sample()
    coef = np.zeros((block.n_targets, block.n_features + 1)) if coef is None else coef
    return make_preconditioner(sample, columns, coordinates, objective, coef), coordinates


def dense_of(block):
    if not isinstance(block.X, CSR):
        return block.X
    X = np.zeros((block.n_rows, block.n_features))
    X[np.repeat(np.arange(block.n_rows), np.diff(block.X.indptr)), block.X.indices] = block.X.data
    return X


def curvature_of(block, coordinates, alpha=0.0, intercept=True):
    """Second derivative of least squares in scaled coordinates, the intercept last."""
    share = np.full(block.n_rows, 1.0) if block.sample_weight is None else block.sample_weight
    Z = np.column_stack([coordinates.features(dense_of(block)), np.full(block.n_rows, float(intercept))])
    return (Z.T * (share / share.sum())) @ Z + np.diag(np.append(alpha / coordinates.scale**2, 0.0))


def matrix_of(made, n_columns):
    return made.apply(np.eye(n_columns))


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("alpha", [0.0, 0.5])
@pytest.mark.parametrize("fit_intercept", [True, False])
def test_complete_sample_gives_the_inverse(fit_intercept, alpha, sparse):
    X, y, weight = make_problem(0)
    csr = as_csr(X)
    block = Block(CSR(csr.data, csr.indices, csr.indptr, 7) if sparse else X, y[:, None], weight)
    made, coordinates = made_of(block, Objective(SquaredError(), alpha, fit_intercept))
    assert made.is_matrix
    assert not made.blind
    curvature = curvature_of(block, coordinates, alpha)[:7, :7]
    found = matrix_of(made, 8)
    np.testing.assert_allclose(found[:7, :7] @ curvature, np.eye(7), atol=1e-9)
    np.testing.assert_array_equal(found[7], np.eye(8)[7])  # the intercept is no column of centred least squares


def test_root_twice_is_the_preconditioner_and_along_gives_both():
    X, y, weight = make_problem(1, n_targets=2)
    made, _ = made_of(Block(X, y, weight))
    gradient = np.random.default_rng(0).standard_normal((2, 8))
    twice = made.apply(made.apply(gradient, power=1), power=1)
    np.testing.assert_allclose(twice, made.apply(gradient), rtol=1e-10)
    along, decrement = made.along(gradient)
    np.testing.assert_array_equal(along, made.apply(gradient))
    np.testing.assert_allclose(decrement, (gradient @ matrix_of(made, 8) * gradient).sum(axis=1), rtol=1e-10)


@pytest.mark.parametrize("seed", range(3))
def test_sampled_curvature_is_near_that_of_all_rows(seed):
    rng = np.random.default_rng(seed)
    X = rng.standard_t(2.5, (20_000, 8)) @ rng.standard_normal((8, 8)) + 5.0
    block = Block(X, X[:, :1].copy(), None)
    made, coordinates = made_of(block, n_random=1000, n_largest=128, seed=seed)
    curvature = curvature_of(block, coordinates)[:8, :8]
    values = np.linalg.eigvals(matrix_of(made, 9)[:8, :8] @ curvature).real
    assert values.min() > 0.5
    assert values.max() < 2.0


def test_rare_columns_get_what_the_sample_lacks_of_their_variance():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((20_000, 3))
    X[:, 2] = 0.0
    X[rng.choice(20_000, 5, replace=False), 2] = 1.0
    block = Block(X, X[:, :1].copy(), None)
    curvature = curvature_of(block, made_of(block)[1])
    for seed in range(5):
        made, _ = made_of(block, n_random=100, n_largest=0, seed=seed)
        found = matrix_of(made, 4)[:3, :3]
        values = np.linalg.eigvals(found @ curvature[:3, :3]).real
        assert values.min() > 0.4
        assert values.max() < 2.5


def collinear(share, n_rows=500):
    """Two columns that differ by a share of their spread."""
    rng = np.random.default_rng(0)
    column, other = rng.standard_normal((2, n_rows))
    X = np.column_stack([column, column + share * other])
    return Block(X, other[:, None], None)


def test_small_singular_values_are_raised_and_make_it_blind():
    made, coordinates = made_of(collinear(1e-10))
    largest = np.linalg.svd(coordinates.features(collinear(1e-10).X) / np.sqrt(500))[1].max()
    assert made.blind
    np.testing.assert_allclose(np.sort(made.roots), [1.0 / largest, 1.0 / (FLOOR * largest)], rtol=1e-9)


@pytest.mark.parametrize(("share", "blind"), [(1e-3, False), (1e-6, False), (1e-9, True), (1e-12, True), (0.0, False)])
def test_blind_is_between_rounding_and_the_floor(share, blind):
    assert made_of(collinear(share))[0].blind is blind


def test_offsets_hide_what_rounding_is():
    # two clocks a third of a second apart: their difference is constant but for rounding
    rng = np.random.default_rng(0)
    seconds = rng.uniform(0.0, 3e5, 500)
    X = 1.7e9 + np.column_stack([seconds, seconds + 1.0 / 3.0])
    assert np.ptp(X[:, 1] - X[:, 0]) > 1e-7
    block = Block(X, rng.standard_normal((500, 1)), None)
    assert not made_of(block)[0].blind
    assert made_of(Block(X - 1.7e9, block.y, None))[0].blind  # nothing says that this is rounding


@pytest.mark.parametrize("n_rows", [5, 40])
def test_fewer_rows_than_columns(n_rows):
    X = np.random.default_rng(0).standard_normal((n_rows, 60))
    block = Block(X, X[:, :1].copy(), None)
    made, coordinates = made_of(block)
    assert not made.blind
    curvature = curvature_of(block, coordinates)[:60, :60]
    # a pseudoinverse where rows say something
    np.testing.assert_allclose(curvature @ matrix_of(made, 61)[:60, :60] @ curvature, curvature, atol=1e-9)


@pytest.mark.parametrize("alpha", [0.0, 0.3])
def test_many_columns_in_the_space_of_few_rows(alpha, monkeypatch):
    monkeypatch.setattr(preconditioner, "MAX_COLUMNS", 30)
    rng = np.random.default_rng(0)
    X = rng.standard_normal((20, 50))
    X /= X.std(axis=0)  # the penalty is the same along all coordinates then
    block = Block(X, X[:, :1].copy(), None)
    made, coordinates = made_of(block, Objective(SquaredError(), alpha))
    assert made.is_matrix
    curvature = curvature_of(block, coordinates, alpha)[:50, :50]
    found = matrix_of(made, 51)[:50, :50]
    np.testing.assert_allclose(curvature @ found @ curvature, curvature, atol=1e-9)


def test_many_columns_of_many_or_sparse_rows_have_the_diagonal(monkeypatch):
    monkeypatch.setattr(preconditioner, "MAX_COLUMNS", 30)
    X = np.random.default_rng(0).standard_normal((40, 50))
    csr = as_csr(X[:20])
    for block in (Block(X, X[:, :1].copy(), None), Block(CSR(csr.data, csr.indices, csr.indptr, 50), X[:20, :1], None)):
        columns, objective = column_statistics(block), Objective(SquaredError())
        coordinates = scaled_coordinates(columns, objective)
        sample = Reservoir(4096, 512).add(block, np.ones(block.n_rows), np.random.default_rng(0)).sample()
        made = make_preconditioner(sample, columns, coordinates, objective, np.zeros((1, 51)))
        assert not made.is_matrix
        assert not made.blind
        np.testing.assert_array_equal(matrix_of(made, 51), np.eye(51))


def test_nothing_but_constant_columns():
    made, coordinates = made_of(Block(np.full((10, 3), 5.0), np.arange(10.0)[:, None], None))
    np.testing.assert_array_equal(matrix_of(made, 4), np.eye(4))
    assert np.all(norms_of(Block(np.full((10, 3), 5.0), np.ones((10, 1)), None), coordinates) == 0.0)


@pytest.mark.parametrize("loss", ["huber", "squared_epsilon_insensitive"])
def test_rows_of_other_losses_count_their_curvature(loss):
    X, y, weight = make_problem(2)
    block, objective = Block(X, y[:, None], weight), Objective(make_loss(loss, 0.4), 0.2)
    coef = np.random.default_rng(0).standard_normal((1, 8))
    made, coordinates = made_of(block, objective, coef)
    residual = X @ coef[0, :-1] + coef[0, -1] - y
    Z = np.column_stack([coordinates.features(X), np.ones(301)])
    touching = objective.loss.slope(residual) / residual if loss == "huber" else 2.0
    share = weight / weight.sum() * touching
    curvature = (Z.T * share) @ Z + np.diag(np.append(0.2 / coordinates.scale**2, 0.0))
    np.testing.assert_allclose(matrix_of(made, 8) @ curvature, np.eye(8), atol=1e-9)
