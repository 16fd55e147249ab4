"""The closed form over the range of float64: weights and data from 1e-150 to 1e150, in one call and in chunks."""

import warnings
from fractions import Fraction

import numpy as np
import pytest
from scipy.linalg import LinAlgWarning

from sgdlinreg import MiniBatchSGDRegressor

from .helpers import SGD_SOLVERS

CHUNK = 7


def draw(seed):
    """X, y and weights: of like size, of any size, or one row far heavier than the others."""
    rng = np.random.default_rng(seed)
    n_rows, n_features = int(rng.integers(6, 40)), int(rng.integers(1, 4))
    X = rng.standard_normal((n_rows, n_features)) + rng.choice([0.0, 1.0, 1e3])
    y = X @ rng.standard_normal(n_features) + rng.standard_normal(n_rows) + rng.choice([0.0, 10.0])
    X = X * 10.0 ** rng.uniform(-150, 150, n_features)
    y = y * 10.0 ** rng.uniform(-150, 150)
    weight = [
        rng.uniform(0.5, 2.0, n_rows) * 10.0 ** rng.uniform(-150, 150),
        10.0 ** rng.uniform(-150, 150, n_rows),
        10.0 ** (rng.uniform(-3, 3, n_rows) + rng.uniform(-147, 147)),
        np.where(np.arange(n_rows) == 0, 10.0 ** rng.uniform(0, 150), 1.0),
    ][seed % 4]
    return X, y, weight


def exact_solution(X, y, weight):
    """Coefficients, the intercept last, by elimination in rational numbers."""
    rows = [[*map(Fraction, map(float, row)), Fraction(1), Fraction(float(t))] for row, t in zip(X, y, strict=True)]
    weight, size = [Fraction(float(w)) for w in weight], X.shape[1] + 1
    system = [
        [sum(w * row[i] * row[j] for w, row in zip(weight, rows, strict=True)) for j in range(size + 1)]
        for i in range(size)
    ]
    for i in range(size):
        system[i] = [value / system[i][i] for value in system[i]]
        for k in set(range(size)) - {i}:
            factor = system[k][i]
            system[k] = [a - factor * b for a, b in zip(system[k], system[i], strict=True)]
    return [system[i][size] for i in range(size)]


def condition_of(X, weight):
    """Condition number of the weighted, centred columns of unit norm."""
    share = weight / weight.max()
    rows = X - X[share.argmax()]
    rows = (rows - (share @ rows) / share.sum()) * np.sqrt(share)[:, None]
    rows = rows / np.abs(rows).max(axis=0)
    return np.linalg.cond(rows / np.linalg.norm(rows, axis=0))


@pytest.mark.parametrize("first", range(0, 500, 50))
def test_coefficients_are_the_exact_ones_in_any_unit_and_of_any_weights(first):
    checked = 0
    for seed in range(first, first + 50):
        X, y, weight = draw(seed)
        with np.errstate(all="ignore"):
            condition = condition_of(X, weight)
        if not condition < 1e6:  # one row has all the weight but that of others, say
            continue
        expected = exact_solution(X, y, weight)
        model = MiniBatchSGDRegressor(solver="normal_equation")
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            model.fit(X, y, weight)
        # what refinement cannot make good: of very uneven weights the condition number counts twice
        uneven = weight.max() / weight.min() > 1e12
        rtol = max(1e-12, 1e-15 * condition**2) if uneven else 1e-12
        for found, true in zip(model.coef_, expected[:-1], strict=True):
            assert abs(Fraction(float(found)) - true) <= rtol * abs(true)
        assert uneven or not caught
        chunks = MiniBatchSGDRegressor(solver="normal_equation")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", LinAlgWarning)
            for rows in np.split(np.arange(len(y)), range(CHUNK, len(y), CHUNK)):
                chunks.partial_fit(X[rows], y[rows], weight[rows])
        np.testing.assert_allclose(chunks.coef_, model.coef_, rtol=1e-12 + 1e-14 * condition**2)
        checked += 1
    assert checked > 35


@pytest.mark.parametrize("size", [5e-324, 1e-310, 1e-200, 1e155, 1e300, 1.7e308])
@pytest.mark.parametrize("solver", ["normal_equation", "numba"])
def test_only_ratios_of_weights_matter(solver, size):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((300, 3))
    y = X @ [1.0, 2.0, 3.0] + rng.standard_normal(300)
    plain = MiniBatchSGDRegressor(solver=solver, random_state=0).fit(X, y)
    model = MiniBatchSGDRegressor(solver=solver, random_state=0).fit(X, y, np.full(300, size))
    np.testing.assert_allclose(model.coef_, plain.coef_, rtol=1e-12)
    np.testing.assert_allclose(model.intercept_, plain.intercept_, rtol=1e-12)
    if solver == "normal_equation":
        np.testing.assert_allclose(model.coef_std_error_, plain.coef_std_error_, rtol=1e-12)
        np.testing.assert_allclose(model.residual_std_, plain.residual_std_ * np.sqrt(size), rtol=1e-12)


@pytest.mark.parametrize("sizes", [(1e-200, 1e-200), (1e155, 1e155), (1e-300, 1e300), (1e300, 1e-300), (1.0, 1e-310)])
def test_weights_of_chunks_keep_their_ratios(sizes):
    rng = np.random.default_rng(1)
    X = rng.standard_normal((40, 1))
    y = X[:, 0] + rng.standard_normal(40)
    model = MiniBatchSGDRegressor()
    for rows, size in zip((slice(20), slice(20, 40)), sizes, strict=True):
        model.partial_fit(X[rows], y[rows], np.full(20, size))
    part = {-1: slice(20, 40), 0: slice(40), 1: slice(20)}[
        int(np.sign(np.log(sizes[0] / 1e10) - np.log(sizes[1] / 1e10)))
    ]
    np.testing.assert_allclose(model.coef_, MiniBatchSGDRegressor().fit(X[part], y[part]).coef_, rtol=1e-12)


@pytest.mark.parametrize("heavy", [1e16, 1e32, 1e100])
def test_rows_beside_one_of_all_the_weight_give_the_slope(heavy):
    rng = np.random.default_rng(2)
    X = rng.standard_normal((50, 1)) + 5.0
    y = 2.0 * X[:, 0] + rng.standard_normal(50)
    weight = np.ones(50)
    weight[7] = heavy
    through = X[:, 0] - X[7, 0], y - y[7]  # the line goes through that row
    model = MiniBatchSGDRegressor().fit(X, y, weight)
    np.testing.assert_allclose(model.coef_, through[0] @ through[1] / (through[0] @ through[0]), rtol=1e-9)
    with pytest.raises(ValueError, match="One row has more than"):
        MiniBatchSGDRegressor(solver="numba").fit(X, y, weight)


def test_weights_too_far_apart_are_refused():
    X, y = np.arange(8.0).reshape(4, 2), np.arange(4.0)
    with pytest.raises(ValueError, match=r"between 1e-200 and 1e\+200.*Leave rows"):
        MiniBatchSGDRegressor().fit(X, y, [1e-200, 1e200, 1.0, 1.0])
    steps = MiniBatchSGDRegressor(solver="numba").partial_fit(X, y, np.full(4, 1e-200))
    with pytest.raises(ValueError, match="too far apart for steps"):
        steps.partial_fit(X, y, np.full(4, 1e200))


def test_coefficients_out_of_the_range_of_float32_are_refused():
    X = np.linspace(1e20, 2e20, 20, dtype=np.float32)[:, None]
    with pytest.raises(ValueError, match="too small for float32"):
        MiniBatchSGDRegressor().fit(X, np.linspace(0.0, 1e-30, 20))
    with pytest.raises(ValueError, match="too large for float32"):
        MiniBatchSGDRegressor().fit(X * np.float32(1e-20) * np.float32(1e-20), np.linspace(0.0, 1e30, 20))


@pytest.mark.parametrize("solver", SGD_SOLVERS)
@pytest.mark.parametrize("sizes", [(1e-25, 1e-25), (1e-30, 1e-20), (1e19, 1e19), (1.0, 1e37)])
@pytest.mark.parametrize("parameters", [{"tol": None, "max_iter": 5}, {"early_stopping": True}, {"positive": True}])
def test_steps_on_float32_whose_products_leave_its_range(solver, sizes, parameters):
    rng = np.random.default_rng(3)
    Z = rng.standard_normal((3000, 3))
    y = (Z @ [1.0, 2.0, 3.0] + 0.1 * rng.standard_normal(3000)) * sizes[1]
    X = (Z * sizes[0]).astype(np.float32)
    model = MiniBatchSGDRegressor(solver=solver, random_state=0, **parameters).fit(X, y)
    assert model.score(X.astype(float), y) > 0.998
    assert model.coef_.dtype == np.float32


def test_a_small_coefficient_without_effect_is_no_error():
    rng = np.random.default_rng(4)
    X = np.column_stack([rng.standard_normal(200), 1e37 * rng.uniform(1, 2, 200)]).astype(np.float32)
    model = MiniBatchSGDRegressor().fit(X, 3.0 * X[:, 0].astype(float))  # the second is 0 up to rounding
    assert model.score(X, 3.0 * X[:, 0]) > 1.0 - 1e-6


@pytest.mark.parametrize("span", [2e4, 1e4, 5e3])
def test_columns_of_few_roundings_count(span):
    t = np.sort(np.random.default_rng(5).uniform(0.0, span, 500))
    X = (1.7e18 + t)[:, None]  # nanoseconds since 1970, of which float64 tells multiples of 256
    y = X[:, 0] - 1.7e18
    assert MiniBatchSGDRegressor().fit(X, y).score(X, y) > 0.98


def test_a_direction_lost_under_uneven_weights_is_told():
    rng = np.random.default_rng(8)
    X = rng.standard_normal((20, 2))
    y = X @ [1.0, 2.0] + 1.0 + rng.standard_normal(20)
    weight = 10.0 ** rng.uniform(-40, 40, 20)
    exact = [float(value) for value in exact_solution(X, y, weight)]
    np.testing.assert_allclose(MiniBatchSGDRegressor().fit(X, y, weight).coef_, exact[:2], rtol=1e-9)
    chunks = MiniBatchSGDRegressor().partial_fit(X[:7], y[:7], weight[:7])
    with pytest.warns(LinAlgWarning, match="weights are so uneven"):
        chunks.partial_fit(X[7:], y[7:], weight[7:])
