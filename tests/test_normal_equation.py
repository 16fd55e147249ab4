import numpy as np
import pytest
from scipy import linalg
from sklearn.linear_model import LinearRegression, Ridge

from sgdlinreg import MiniBatchSGDRegressor
from sgdlinreg._blocks import Block
from sgdlinreg._objective import LOSSES, Objective

from .helpers import as_csr, make_problem, weighted_least_squares


def exact(**kwargs):
    return MiniBatchSGDRegressor(solver="normal_equation", **kwargs)


@pytest.mark.parametrize("n_targets", [1, 3])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("alpha", [0.0, 0.3])
@pytest.mark.parametrize("sparse", [False, True])
def test_weighted_ridge_by_svd(n_targets, weighted, alpha, sparse):
    X, y, weight = make_problem(0, n_targets=n_targets, weighted=weighted)
    model = exact(alpha=alpha).fit(as_csr(X) if sparse else X, y, weight)
    coef, intercept = weighted_least_squares(X, y, weight, alpha)
    np.testing.assert_allclose(model.coef_, coef, rtol=1e-11)
    np.testing.assert_allclose(model.intercept_, intercept, rtol=1e-11)
    assert model.rank_ == 7
    centred = X - np.average(X, axis=0, weights=weight)
    if alpha == 0:
        scaled = centred * np.sqrt(np.ones(301) if weight is None else weight)[:, None]
        scaled /= np.linalg.norm(scaled, axis=0)
        assert model.condition_number_ == pytest.approx(np.linalg.cond(scaled), rel=1.0)


@pytest.mark.parametrize("fit_intercept", [True, False])
def test_the_objective_is_flat_at_the_solution(fit_intercept):
    X, y, weight = make_problem(1, n_targets=2)
    model = exact(alpha=0.2, fit_intercept=fit_intercept).fit(X, y, weight)
    objective = Objective(LOSSES["squared_error"](), 0.2, fit_intercept)
    coef = np.column_stack([model.coef_, model.intercept_])
    assert np.abs(objective.gradient(coef, Block(X, y, weight))).max() < 1e-13


def test_offset_costs_no_digits():
    X, y, weight = make_problem(2)
    coef, _ = weighted_least_squares(X, y, weight)
    np.testing.assert_allclose(exact().fit(X + 1e6, y, weight).coef_, coef, rtol=1e-8)


def test_units_do_not_matter():
    X, y, weight = make_problem(3)
    units = 10.0 ** np.linspace(-8, 8, 7)
    model = exact().fit(X * units, y, weight)
    np.testing.assert_allclose(model.predict(X * units), exact().fit(X, y, weight).predict(X), rtol=1e-9)
    assert model.rank_ == 7
    assert LinearRegression().fit(X * units, y, weight).rank_ < 7  # what we are not


@pytest.mark.parametrize("n_rows", [4, 301])
def test_dependent_columns_get_the_solution_of_least_norm(n_rows):
    X, y, _ = make_problem(4, n_rows=n_rows)
    X = np.column_stack([X, 2 * X[:, 0] - X[:, 1], X[:, 2], np.full(n_rows, 3.0)])
    model = exact().fit(X, y)
    expected = linalg.pinv(X - X.mean(axis=0), rtol=1e-10) @ (y - y.mean())
    np.testing.assert_allclose(model.coef_, expected, atol=1e-9 * np.abs(expected).max())
    assert model.rank_ == min(n_rows - 1, 7)
    assert model.condition_number_ == np.inf


def test_least_norm_is_in_the_units_of_the_data():
    X, y, _ = make_problem(5)
    X = np.column_stack([X, 10 * X[:, 0]])
    coef = exact().fit(X, y).coef_
    assert coef[7] == pytest.approx(10 * coef[0], rel=1e-8)


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("n_parts", [1, 7, 301])
def test_partial_fit_in_any_cut_is_fit(n_parts, sparse):
    X, y, weight = make_problem(6)
    X = X + (0.0 if sparse else 1e3)
    model = exact(alpha=0.1)
    for rows in np.array_split(np.arange(301), n_parts):
        model.partial_fit(as_csr(X[rows]) if sparse else X[rows], y[rows], weight[rows])
    whole = exact(alpha=0.1).fit(X, y, weight)
    np.testing.assert_allclose(model.coef_, whole.coef_, rtol=1e-11)
    np.testing.assert_allclose(model.intercept_, whole.intercept_, rtol=1e-11)
    assert model.n_samples_seen_ == 301
    assert model.n_iter_ == n_parts


def test_weights_are_repeated_rows():
    X, y, _ = make_problem(7)
    times = np.random.default_rng(0).integers(0, 4, 301)
    repeated = exact(alpha=0.1).fit(np.repeat(X, times, axis=0), np.repeat(y, times))
    weighted = exact(alpha=0.1).fit(X, y, times)
    np.testing.assert_allclose(weighted.coef_, repeated.coef_, rtol=1e-12)


def test_ridge_in_our_scale():
    X, y, weight = make_problem(8)
    ridge = Ridge(alpha=0.3 * weight.sum(), solver="svd").fit(X, y, weight)
    np.testing.assert_allclose(exact(alpha=0.3).fit(X, y, weight).coef_, ridge.coef_, rtol=1e-11)
    np.testing.assert_allclose(exact(alpha=0.3, penalty=None).fit(X, y).coef_, exact().fit(X, y).coef_)


@pytest.mark.parametrize(
    ("X", "y", "coef", "intercept"),
    [
        ([[1.0, 2.0]], [3.0], [0.0, 0.0], 3.0),
        ([[1.0], [2.0]], [3.0, 5.0], [2.0], 1.0),
        ([[5.0], [5.0], [5.0]], [1.0, 2.0, 3.0], [0.0], 2.0),
        ([[0.1, 1.0], [0.1, 2.0], [0.1, 4.0]], [1.0, 2.0, 4.0], [0.0, 1.0], 0.0),
        ([[1.0], [2.0], [3.0]], [7.0, 7.0, 7.0], [0.0], 7.0),
    ],
)
def test_tiny_data(X, y, coef, intercept):
    model = exact().fit(X, y)
    np.testing.assert_allclose(model.coef_, coef, atol=1e-12)
    assert model.intercept_ == pytest.approx(intercept, abs=1e-12)


def test_float32():
    X, y, weight = make_problem(9)
    X = X.astype(np.float32)
    model = exact().fit(X, y, weight)
    reference = exact().fit(X.astype(np.float64), y, weight)
    assert model.coef_.dtype == np.float32
    np.testing.assert_array_equal(model.coef_, reference.coef_.astype(np.float32))
