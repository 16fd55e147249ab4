"""Columns that depend on each other, exactly or up to the rounding of X, in any unit."""

import warnings

import numpy as np
import pytest
import sklearn
from scipy import linalg
from sklearn.linear_model import LinearRegression

from sgdlinreg import MiniBatchSGDRegressor

EPS = np.finfo(float).eps


def unit(rng):
    return 10.0 ** rng.uniform(-24, 24)


def dummies(rng, n_rows):
    n_levels = int(rng.integers(2, 6))
    return np.hstack(
        [np.eye(n_levels)[rng.integers(0, n_levels, n_rows)], rng.standard_normal((n_rows, 1)) * unit(rng)]
    )


def interactions(rng, n_rows):
    a, b, x = rng.integers(0, 3, n_rows), rng.integers(0, 2, n_rows), rng.standard_normal(n_rows) * unit(rng)
    return np.column_stack([np.eye(3)[a], np.eye(2)[b], np.eye(6)[2 * a + b], x, np.eye(3)[a] * x[:, None]])


def duplicates(rng, n_rows):
    x = rng.standard_normal((n_rows, 3)) * [unit(rng), unit(rng), 1.0]
    return np.column_stack([x, x[:, 0], 3.0 * x[:, 1], x[:, 0] * unit(rng)])


def times(rng, n_rows):
    start = 1.7e9 + rng.uniform(0.0, 10.0 ** rng.uniform(3, 7.5), n_rows)
    duration = rng.exponential(10.0 ** rng.uniform(0, 5), n_rows)
    return np.column_stack([start, duration, start + duration])


def polynomial(rng, n_rows):
    return rng.uniform(-1.0, 1.0, n_rows)[:, None] ** np.arange(1, int(rng.integers(3, 13)))


CUTS_OFF = tuple(map(int, sklearn.__version__.split(".")[:2])) >= (1, 9)
"""Whether LinearRegression leaves out directions that may be rounding of X; older ones fit them."""

KINDS = [dummies, interactions, duplicates, times, polynomial]


def r2_of(X, y, coef, intercept):
    """R2 of predictions in the dtype of X, by coefficients in it."""
    predictions = (X.astype(float) @ coef.astype(X.dtype).astype(float) + intercept).astype(X.dtype)
    return 1.0 - np.mean(np.square(y - predictions)) / np.var(y)


def least_squares(X, y):
    """Least squares by SVD of scaled columns, without directions that predictions would lose in rounding."""
    eps, X = np.finfo(X.dtype).eps, X.astype(float)
    mean = X.mean(axis=0)
    mean = mean + (X - mean).mean(axis=0)
    spread = np.sqrt(np.square(X - mean).mean(axis=0))
    varies = spread > 16 * EPS * np.abs(mean)
    left, singular, right = linalg.svd((X - mean)[:, varies] / spread[varies], full_matrices=False)
    noise = np.linalg.norm(right * np.hypot(0.25 * eps, EPS * mean[varies] / spread[varies]), axis=1)
    kept = singular > np.maximum(64 * EPS * singular[0], noise * np.sqrt(len(y)))
    coef = np.zeros(X.shape[1])
    coef[varies] = right[kept].T @ (left[:, kept].T @ (y - y.mean()) / singular[kept]) / spread[varies]
    return coef, y.mean() - mean @ coef


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("kind", KINDS)
def test_predictions_are_as_good_as_those_of_other_solutions(kind, dtype):
    tol = 1e-6 if dtype == np.float64 else 1e-5
    for seed in range(40):
        rng = np.random.default_rng(seed)
        n_rows = int(10 ** rng.uniform(1.7, 3))
        X = kind(rng, n_rows)
        y = (X - X.mean(axis=0)) / (X.std(axis=0) + 1e-300) @ rng.standard_normal(X.shape[1])
        y += rng.choice([1e-6, 0.1, 1.0]) * rng.standard_normal(n_rows)
        if dtype == np.float32:
            size = np.abs(X).max(axis=0) + 1e-300
            X = X * np.where((size < 1e12) & (size > 1e-12), 1.0, 1.0 / size)  # products are to stay in the range
        X = X.astype(dtype)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = MiniBatchSGDRegressor(solver="normal_equation").fit(X, y)
            other = LinearRegression().fit(X, y)
        found = r2_of(X, y, model.coef_, model.intercept_)
        assert found == pytest.approx(model.score(X, y), abs=tol)
        assert found >= r2_of(X, y, *least_squares(X, y)) - tol, seed
        if dtype == np.float64 and CUTS_OFF:  # in float32 it solves in float32
            assert found >= r2_of(X, y, other.coef_, other.intercept_) - tol, seed


@pytest.mark.parametrize("size", [1e-24, 1e-19, 1e-6, 1e6, 1e19, 1e24])
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_full_dummies_beside_a_column_of_any_unit(method, size):
    for seed in range(20):
        rng = np.random.default_rng(seed)
        level, x = rng.integers(0, 4, 200), rng.standard_normal(200)
        y = level + 2.0 * x + 0.1 * rng.standard_normal(200)
        model = getattr(MiniBatchSGDRegressor(), method)(np.column_stack([np.eye(4)[level], x * size]), y)
        expected = LinearRegression().fit(np.column_stack([np.eye(4)[level][:, 1:], x]), y)  # of full rank
        assert model.coef_[4] * size == pytest.approx(expected.coef_[3], rel=1e-9)
        assert abs(model.coef_[:4].sum()) < 1e-9  # of least norm
        np.testing.assert_allclose(model.coef_[1:4] - model.coef_[0], expected.coef_[:3], rtol=1e-9)


def test_a_direction_that_is_rounding_of_times_does_not_count():
    worse = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        start, duration = 1.7e9 + rng.uniform(0, 1e6, 200), rng.exponential(600.0, 200)
        y = duration / 600.0 + rng.standard_normal(200)
        X = np.column_stack([start, duration, start + duration])
        model = MiniBatchSGDRegressor().fit(X, y)
        assert model.rank_ == 2
        simple = LinearRegression().fit((X[:, :2] - [1.7e9, 0.0]) / [1e6, 600.0], y)
        worse += model.score(X, y) < simple.score((X[:, :2] - [1.7e9, 0.0]) / [1e6, 600.0], y) - 1e-6
    assert worse == 0
