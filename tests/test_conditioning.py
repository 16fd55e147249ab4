import numpy as np
import pytest

from sgdlinreg import _blocks, _coordinates, _statistics
from sgdlinreg._blocks import CSR, Block
from sgdlinreg._conditioning import condition, no_conditioning, safe_step
from sgdlinreg._coordinates import largest_values, rows_of_largest
from sgdlinreg._objective import LOSSES, Objective
from sgdlinreg._stability import largest_stable_step
from sgdlinreg._statistics import ColumnStatistics, column_statistics, measure, target_statistics

from .helpers import as_csr, make_problem

SQUARED = LOSSES["squared_error"]()


def block_of(X, y, weight=None, sparse=False):
    if weight is not None:
        weight = weight / weight.mean()
    if sparse:
        csr = as_csr(X)
        X = CSR(csr.data, csr.indices, csr.indptr, X.shape[1])
    return Block(X, np.reshape(y, (len(y), -1)).astype(float), weight)


def measured(block, objective=None, batch_size=16, gap=2.5e-4, seed=0):
    objective = objective or Objective(SQUARED)
    rng = np.random.default_rng(seed)
    unexplained = gap * target_statistics(block).variance
    return condition(block, column_statistics(block), objective, batch_size, unexplained, rng)


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
def test_column_statistics(sparse, weighted):
    X, y, weight = make_problem(0, weighted=weighted)
    found = column_statistics(block_of(X, y, weight, sparse))
    np.testing.assert_allclose(found.mean, np.average(X, axis=0, weights=weight), rtol=1e-12)
    expected = np.average((X - found.mean) ** 2, axis=0, weights=weight)
    np.testing.assert_allclose(found.variance, expected, rtol=1e-10)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("weighted", [False, True])
def test_compiled_passes_measure_the_same(monkeypatch, dtype, weighted):
    passes = pytest.importorskip("sgdlinreg._solvers.passes_numba")
    monkeypatch.setattr(_blocks, "COMPILED_VALUES", 0)
    monkeypatch.setattr(passes, "PANEL_ROWS", 37)
    X, y, weight = make_problem(0, weighted=weighted, n_targets=2)
    X = (X + 10.0 ** np.arange(X.shape[1])).astype(dtype)
    X[0] *= 30.0
    block = block_of(X, y, weight)._replace(compiled=True)
    assert block.compiles
    assert not block_of(np.asfortranarray(X), y)._replace(compiled=True).compiles
    found = column_statistics(block)
    mean = np.average(X.astype(np.float64), axis=0, weights=weight)
    np.testing.assert_allclose(found.mean, mean, rtol=1e-13)
    np.testing.assert_allclose(found.variance, np.average((X - mean) ** 2, axis=0, weights=weight), rtol=1e-9)
    coordinates = _coordinates.scaled_coordinates(found, Objective(SQUARED))
    norms, moment = _coordinates.norms_and_moment(block, coordinates)
    w = np.ones(len(y)) if weight is None else weight / weight.mean()
    Z = (X - found.mean) / coordinates.scale
    np.testing.assert_allclose(norms, w * (1.0 + (Z**2).sum(axis=1)), rtol=1e-10)
    error = w[:, None] * (y - np.average(y, axis=0, weights=weight))
    np.testing.assert_allclose(moment, Z.T @ error / len(y), rtol=1e-9, atol=1e-9 * np.abs(y).max())


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("weighted", [False, True])
def test_columns_of_x_and_y_measured_together(monkeypatch, dtype, weighted):
    X, y, weight = make_problem(0, weighted=weighted, n_targets=2)
    block = block_of((X + 1e3).astype(dtype), y - 1e6, weight)
    together = measure(block, with_columns=True)
    monkeypatch.setattr(_statistics, "JOINED_VALUES", 0)
    apart = measure(block, with_columns=True)
    for one, other in ((together.columns, apart.columns), (together.targets, apart.targets)):
        assert one.total_weight == other.total_weight
        np.testing.assert_array_equal(one.complete, other.complete)
        np.testing.assert_allclose(one.mean, other.mean, rtol=1e-14)
        np.testing.assert_allclose(one.variance, other.variance, rtol=1e-12)


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
def test_small_blocks_are_measured_as_others_are(fit_intercept, sparse, weighted):
    X, y, weight = make_problem(2, weighted=weighted, n_targets=2)
    block, objective = block_of(X, y, weight, sparse), Objective(SQUARED, 0.1, fit_intercept=fit_intercept)
    coordinates = _coordinates.scaled_coordinates(column_statistics(block), objective)
    found = _coordinates.measured_rows(block, coordinates, None)
    norms, moment = _coordinates.norms_and_moment(block, coordinates)
    Z, complete = _coordinates.sample_of(block, norms, coordinates, None)
    assert found.complete
    assert complete
    np.testing.assert_allclose(found.norms, norms, rtol=1e-13)
    np.testing.assert_allclose(found.moment, moment, rtol=1e-11, atol=1e-13 * np.abs(y).max())
    assert abs(found.Z - Z).max() == 0.0


def test_statistics_of_parts_merge_to_those_of_the_whole(monkeypatch):
    X, y, weight = make_problem(1)
    X = X + 1e6
    whole = column_statistics(block_of(X, y, weight))
    merged = None
    for rows in np.array_split(np.arange(301), 7):
        part = column_statistics(Block(X[rows], y[rows, None], weight[rows] / weight.mean()))
        merged = part.merge(merged)
    np.testing.assert_allclose(merged.mean, whole.mean, rtol=1e-14)
    np.testing.assert_allclose(merged.variance, whole.variance, rtol=1e-9)
    np.testing.assert_allclose(whole.variance, np.average((X - whole.mean) ** 2, axis=0, weights=weight), rtol=1e-9)


def test_variance_of_a_constant_column_is_exactly_zero():
    X = np.full((1000, 3), [0.1, 1e9 / 3, 0.0])
    assert not column_statistics(Block(X, X[:, :1], None)).variance.any()


def test_safe_step_between_its_limits():
    steps = [safe_step(20.0, 2.0, m, 1000) for m in (1, 2, 10, 100, 999, 1000)]
    assert steps[0] == pytest.approx(1 / 20)
    assert steps[-1] == pytest.approx(1 / 2)
    assert np.all(np.diff(steps) > 0)
    assert safe_step(20.0, 2.0, 1000, np.inf) < 1 / 2


def test_coordinates_there_and_back():
    X, y, weight = make_problem(2)
    conditioning = measured(block_of(X * 1e3 + 1e4, y, weight))
    coef = np.random.default_rng(0).standard_normal((2, 8))
    scaled = conditioning.to_scaled(coef)
    np.testing.assert_allclose(conditioning.to_raw(scaled), coef, rtol=1e-9)
    x = X[:5] * 1e3 + 1e4
    z = (x - conditioning.centre) / conditioning.scale
    np.testing.assert_allclose(z @ scaled[:, :-1].T + scaled[:, -1], x @ coef[:, :-1].T + coef[:, -1], rtol=1e-9)


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("alpha", [0.0, 0.5, 1e6])
@pytest.mark.parametrize("batch_size", [1, 16, 301])
def test_step_is_the_rule_on_dense_matrices(sparse, alpha, batch_size):
    X, y, weight = make_problem(3)
    block = block_of(X, y, weight, sparse)
    objective = Objective(SQUARED, alpha)
    found = measured(block, objective, batch_size, gap=np.inf)
    s = block.sample_weight
    Z = np.column_stack([(X - found.centre) / found.scale, np.ones(301)])
    penalty = np.append(alpha / found.scale**2, 0.0)
    curvature = (Z.T * s) @ Z / 301 + np.diag(penalty)
    lam = np.linalg.eigvalsh(curvature)[-1]
    norms = np.sort(s * (Z**2).sum(axis=1))[::-1] + penalty.max()
    norm = norms[len(found.extreme_rows)]
    without = (301 - batch_size) / 300
    expected = 1 / lam if batch_size == 301 else 1 / (lam + (norm - lam) / batch_size * without)
    assert found.step == pytest.approx(expected, rel=1e-9)
    np.testing.assert_allclose(np.diag(curvature)[:-1], 1.0, rtol=1e-9)  # each coordinate has curvature 1


def test_units_do_not_change_the_step():
    X, y, _ = make_problem(4)
    step = measured(block_of(X, y)).step
    units = 10.0 ** np.arange(-6, 8, 2)
    assert measured(block_of(X * units + 3 * units, 1e5 * y)).step == pytest.approx(step, rel=1e-6)


def test_few_extreme_rows_join_every_batch():
    X, y, _ = make_problem(5, n_rows=2000)
    X[[10, 500, 1500]] *= 300.0
    found = measured(block_of(X, y))
    assert {10, 500, 1500} <= set(found.extreme_rows)
    np.testing.assert_array_equal(np.sort(np.r_[found.extreme_rows, found.regular_rows]), np.arange(2000))
    assert len(measured(block_of(*make_problem(5, n_rows=2000)[:2])).extreme_rows) == 0


@pytest.mark.parametrize(("sigma", "batch_size", "heavy"), [(1.25, 1, True), (1.25, 16, False), (0.5, 1, False)])
def test_heavy_tails_are_told_by_the_rows_in_the_order(sigma, batch_size, heavy):
    X = np.random.default_rng(0).lognormal(0.0, sigma, (50_000, 1))
    found = measured(block_of(X, X[:, 0]), batch_size=batch_size)
    norms = np.square((X - X.mean()) / X.std()).ravel() + 1.0
    in_order = norms if found.regular_rows is None else norms[found.regular_rows]
    assert found.heavy_tailed is heavy is bool(in_order.max() > 200 * norms.mean())
    assert (norms.max() > 200 * norms.mean()) == (sigma > 1.0)  # with batches of 16 the largest rows leave the order


def test_collinear_columns_are_whitened():
    rng = np.random.default_rng(6)
    base = rng.standard_normal((500, 1))
    X = base + 1e-3 * rng.standard_normal((500, 4))
    y = X @ [1.0, -2.0, 3.0, -2.0] * 1e3
    found = measured(block_of(X, y))
    assert found.whitener.shape == (4, 4)
    Z = (X - found.centre) / found.scale @ found.whitener
    np.testing.assert_allclose(Z.T @ Z / 500, np.eye(4), atol=1e-6)
    independent = rng.standard_normal((4000, 4))
    assert measured(block_of(independent, independent @ np.ones(4))).whitener.shape[1] == 0


def test_directions_without_variance_stay_as_they_are():
    X, _, _ = make_problem(7, n_rows=20, n_features=40)
    found = measured(block_of(X, X[:, 0] * 100), batch_size=20, gap=1e-9)
    assert found.whitener.shape == (40, 19)


def test_large_blocks_are_measured_on_a_sample(monkeypatch):
    X, y, _ = make_problem(8, n_rows=4000)
    exact = measured(block_of(X, y), batch_size=4000, gap=np.inf)
    monkeypatch.setattr(_coordinates, "SAMPLE_ROWS", 500)
    monkeypatch.setattr(_coordinates, "SAMPLE_EXTREME", 50)
    sampled = measured(block_of(X, y), batch_size=4000, gap=np.inf)
    assert sampled.step == pytest.approx(exact.step / _coordinates.SAMPLE_MARGIN, rel=0.15)


def test_wide_and_sparse_data_use_lanczos():
    rng = np.random.default_rng(9)
    X = (rng.uniform(size=(300, 1300)) < 0.02) * rng.uniform(1, 2, (300, 1300))
    y = rng.standard_normal(300)
    dense_step = measured(block_of(X, y), Objective(SQUARED, fit_intercept=False), 300, gap=np.inf).step
    sparse_step = measured(block_of(X, y, sparse=True), Objective(SQUARED, fit_intercept=False), 300).step
    scale = np.sqrt((X**2).mean(axis=0))
    scale[scale == 0] = 1
    expected = 300 / np.linalg.norm(X / scale, 2) ** 2
    assert dense_step == pytest.approx(expected, rel=2e-3)
    assert sparse_step == pytest.approx(expected, rel=2e-3)


def test_largest_stable_step_is_that_of_the_raw_data():
    X, y, _ = make_problem(10)
    found = largest_stable_step(block_of(X, y), Objective(SQUARED, 0.2), 301, np.random.default_rng(0))
    rows = np.column_stack([X, np.ones(301)])
    curvature = rows.T @ rows / 301 + np.diag([0.2] * 7 + [0.0])
    assert found == pytest.approx(1 / np.linalg.eigvalsh(curvature)[-1], rel=1e-9)


def test_no_conditioning_changes_nothing():
    coef = np.random.default_rng(0).standard_normal((2, 8))
    plain = no_conditioning(7)
    np.testing.assert_array_equal(plain.to_scaled(coef), coef)
    np.testing.assert_array_equal(plain.to_raw(coef), coef)


def test_merge_with_nothing():
    statistics = ColumnStatistics(2.0, np.ones(1), np.ones(1), np.ones(1, dtype=bool))
    assert statistics.merge(None) is statistics


@pytest.mark.parametrize("n_largest", [1, 3, 40, 999])
@pytest.mark.parametrize("n_different", [1, 7, 10**6])
def test_largest_values_are_those_of_a_sort(n_largest, n_different):
    values = np.random.default_rng(0).integers(n_different, size=999).astype(np.float32)
    for replaced in ([], [3], range(0, 999, 20)):
        values[replaced] = np.nan
        np.testing.assert_array_equal(largest_values(values, n_largest), np.sort(values)[::-1][:n_largest])


def test_rows_of_equal_norm_are_told_apart_by_their_place():
    rng = np.random.default_rng(0)
    norms = np.repeat([7.0, 2.0, 3.0], 200)
    rounded = norms * (1.0 + 1e-14 * rng.normal(size=600))
    assert len(set(rounded)) > 100
    np.testing.assert_array_equal(rows_of_largest(rounded, 20), rows_of_largest(norms, 20))
    assert list(rows_of_largest(norms, 200)) == list(range(200))
