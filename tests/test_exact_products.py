"""Products of small data in double-double, against rational numbers and against passes over the rows."""

from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction

import numpy as np
import pytest

from sgdlinreg import MiniBatchSGDRegressor
from sgdlinreg._blocks import Block
from sgdlinreg._double_double import DoubleDouble
from sgdlinreg._solvers import exact_products
from sgdlinreg._solvers.exact_products import ExactProducts
from sgdlinreg._solvers.moments import Moments
from sgdlinreg._threads import n_threads

from .helpers import make_problem


def fractions(values):
    return [[Fraction(float(v)) for v in row] for row in np.atleast_2d(values)]


def small_block(weighted, dtype=np.float64):
    X, y, weight = make_problem(3, n_rows=37, n_features=3, n_targets=2, weighted=weighted)
    X = (X * [1e-7, 1.0, 1e9] + [0.0, 1e3, 0.0]).astype(dtype)
    return Block(X, np.ascontiguousarray(y), weight if weighted else None)


def rows_of(block):
    return fractions(np.column_stack([block.X.astype(np.float64), block.y, np.ones(block.n_rows)]))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("weighted", [False, True])
def test_products_have_28_digits(weighted, dtype):
    block = small_block(weighted, dtype)
    found = ExactProducts.none().add(block)
    rows, n = rows_of(block), 6
    weight = [
        Fraction(float(w)) for w in (np.ones(block.n_rows) if block.sample_weight is None else block.sample_weight)
    ]
    size = [Fraction(float(s)) for s in found.size]
    for i in range(n):
        for j in range(n):
            expected = sum(w * row[i] * row[j] for w, row in zip(weight, rows, strict=True)) / size[i] / size[j]
            given = Fraction(float(found.products.high[i, j])) + Fraction(float(found.products.low[i, j]))
            assert abs(given - expected) <= Fraction(1, 10**28) * sum(weight)


@pytest.mark.parametrize("weighted", [False, True])
def test_moments_are_those_of_a_pass_over_the_rows(weighted):
    block = small_block(weighted)
    found, expected = ExactProducts.none().add(block).moments(), Moments.empty(3, 2, True).add(block)
    np.testing.assert_allclose(found.mean, expected.mean, rtol=1e-15)
    unit = np.outer(found.unit, found.unit)
    size = np.sqrt(np.outer(expected.products.diagonal(), expected.products.diagonal()))
    np.testing.assert_allclose(found.products * unit / size, expected.products / size, atol=1e-14)
    assert found.total_weight == pytest.approx(expected.total_weight, rel=1e-15)
    assert found.n_rows == 37


@pytest.mark.parametrize("weighted", [False, True])
def test_residuals_of_any_solution(weighted):
    block = small_block(weighted)
    coef = np.random.default_rng(0).standard_normal((4, 2)) / [[1e-7], [1.0], [1e9], [1.0]]
    found = ExactProducts.none().add(block).residuals(DoubleDouble(coef, 1e-17 * coef), 2)
    weight = np.ones(37) if block.sample_weight is None else block.sample_weight
    exact = [[Fraction(v) + Fraction(1e-17 * v) for v in row] for row in coef.tolist()]
    for t in range(2):
        of_coef = [0, 1, 2, -1]
        residual = [row[3 + t] - sum(row[of_coef[j]] * exact[j][t] for j in range(4)) for row in rows_of(block)]
        squares = sum(Fraction(float(w)) * r * r for w, r in zip(weight, residual, strict=True))
        assert found.squares[t] == pytest.approx(float(squares), rel=1e-14)
        for j in range(4):
            column = [Fraction(float(w)) * row[of_coef[j]] for w, row in zip(weight, rows_of(block), strict=True)]
            expected = sum(x * r for x, r in zip(column, residual, strict=True)) / Fraction([*found.size, 1.0][j])
            given = Fraction(float(found.gradient.high[j, t])) + Fraction(float(found.gradient.low[j, t]))
            assert abs(given - expected) <= Fraction(1, 10**24) * 37 * int(np.abs(block.y).max() + 1) * int(
                weight.max() + 1
            )


@pytest.mark.parametrize("seed", range(8))
def test_a_fit_is_the_same_by_passes_over_the_rows(monkeypatch, seed):
    X, y, weight = make_problem(seed, n_rows=200 + seed, n_targets=1 + seed % 2, weighted=seed % 3 == 1)
    X = X * 10.0 ** np.linspace(-6, 6, X.shape[1])
    parameters = {"alpha": 0.1 * (seed % 4 == 3), "fit_intercept": seed != 2, "solver": "normal_equation"}
    made = []
    original = ExactProducts.residuals
    monkeypatch.setattr(ExactProducts, "residuals", lambda *args: made.append(1) or original(*args))
    at_once = MiniBatchSGDRegressor(**parameters).fit(X, y, weight)
    assert made
    monkeypatch.setattr(exact_products, "MOST_PRODUCTS", 0)
    made.clear()
    by_passes = MiniBatchSGDRegressor(**parameters).fit(X, y, weight)
    assert not made
    for attribute in ("coef_", "intercept_", "best_loss_"):
        np.testing.assert_allclose(getattr(at_once, attribute), getattr(by_passes, attribute), rtol=4e-16)
    assert (at_once.rank_, at_once.factorization_) == (by_passes.rank_, by_passes.factorization_)
    if not parameters["alpha"]:
        np.testing.assert_allclose(at_once.coef_std_error_, by_passes.coef_std_error_, rtol=1e-15)
        np.testing.assert_allclose(at_once.residual_std_, by_passes.residual_std_, rtol=1e-15)


@pytest.mark.parametrize(
    "case", ["offset", "offset of y", "heavy row", "collinear", "twice", "no noise", "no noise, huge"]
)
def test_where_products_do_not_tell_the_rows_are_read_again(monkeypatch, case):
    X, y, _ = make_problem(1, n_rows=50, n_features=3, noise=0.0 if "no noise" in case else 1.0)
    weight = np.ones(50)
    if case == "offset":
        X = X + 1e8
    elif case == "offset of y":
        y = y + 1e8
    elif "huge" in case:  # squares of y overflow
        X, y = X * 1e163, y * 1e163
    elif case == "heavy row":
        weight[0] = 1e14
    elif case == "collinear":
        X[:, 1] = X[:, 0] + 3e-5 * X[:, 1]
    elif case == "twice":
        X[:, 1] = X[:, 0]
    monkeypatch.setattr(ExactProducts, "residuals", None)
    assert MiniBatchSGDRegressor().fit(X, y, weight).n_refinements_ >= 1


@pytest.mark.parametrize("fit_intercept", [False, True])
@pytest.mark.parametrize("value", [0.0, 0.1])
def test_a_constant_target_is_met_exactly(value, fit_intercept):
    X, _, weight = make_problem(2, n_rows=50, n_features=3, weighted=True)
    model = MiniBatchSGDRegressor(fit_intercept=fit_intercept).fit(X, np.full(50, value), weight)
    if fit_intercept or not value:
        np.testing.assert_array_equal([*model.coef_, model.intercept_], [0.0, 0.0, 0.0, value])
        assert model.best_loss_ == 0.0
    else:
        assert model.best_loss_ > 0.0


def test_only_small_data_are_multiplied_at_once():
    assert not ExactProducts.affordable(Block(np.zeros((100_000, 6)), np.zeros((100_000, 1)), None))
    assert ExactProducts.affordable(Block(np.zeros((1_000, 60)), np.zeros((1_000, 3)), None))


def test_products_of_many_rows_have_27_digits():
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((30_000, 1)), rng.standard_normal((30_000, 1))
    found = ExactProducts.none().add(Block(X, y, None))
    x, t, size = fractions(X.T)[0], fractions(y.T)[0], [Fraction(float(s)) for s in found.size]
    for i, j, expected in [(0, 0, sum(v * v for v in x)), (0, 1, sum(v * w for v, w in zip(x, t, strict=True)))]:
        given = Fraction(float(found.products.high[i, j])) + Fraction(float(found.products.low[i, j]))
        assert abs(given - expected / size[i] / size[j]) <= Fraction(30_000, 10**27)


def test_positive_coefficients_keep_their_digits_where_columns_have_an_offset():
    rng = np.random.default_rng(0)
    X = np.round(rng.standard_normal((200, 3)) * 1024.0) / 1024.0  # an offset is exact
    y = X @ [1.0, 2.0, 0.5] + rng.standard_normal(200)
    plain, offset = (MiniBatchSGDRegressor(positive=True).fit(X + by, y) for by in (0.0, 2.0**36))
    np.testing.assert_allclose(offset.coef_, plain.coef_, rtol=1e-13)


def test_values_near_the_end_of_the_range_are_not_multiplied_at_once():
    rng = np.random.default_rng(0)
    X, weight = rng.standard_normal((60, 3)), rng.exponential(size=60)
    y = X @ [1.0, 2.0, 3.0] + rng.standard_normal(60)
    X[2:4, 1] = 1e308
    with pytest.raises(ValueError, match="Rescale them"):
        MiniBatchSGDRegressor().fit(X, y, weight)


def test_threads_do_not_leave_blas_limited():
    X, y, _ = make_problem(0, n_rows=250, n_features=40)
    before = n_threads()
    with ThreadPoolExecutor(4) as pool:
        coefs = list(pool.map(lambda _: MiniBatchSGDRegressor().fit(X, y).coef_, range(40)))
    assert n_threads() == before
    assert all(np.array_equal(coef, coefs[0]) for coef in coefs)
