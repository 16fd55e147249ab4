"""Default settings on random problems: a finite model, never worse than the mean, that knows how far it is."""

import warnings

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning

from sgdlinreg import MiniBatchSGDRegressor

from .helpers import SGD_SOLVERS, missing_of

MOST_MISSING = 3e-5
"""R2 that a fit without a warning may lack."""


def draw(seed):
    """Sizes, conditioning up to 1e8, units, heavy tails, outliers, constant and equal columns by the seed."""
    rng = np.random.default_rng(seed)
    n_rows, n_features = int(rng.choice([1, 2, 3, 5, 10, 40, 200, 1000, 3000])), int(rng.choice([1, 2, 5, 20, 60]))
    X = rng.standard_t(2.0, (n_rows, n_features)) if seed % 3 == 0 else rng.normal(size=(n_rows, n_features))
    condition = 10.0 ** rng.uniform(0.0, 8.0)
    rotation = np.linalg.qr(rng.normal(size=(n_features, n_features)))[0]
    X = (X * np.geomspace(1.0, 1.0 / condition, n_features)) @ rotation
    X = X * 10.0 ** rng.uniform(-6.0, 6.0, n_features) * rng.choice([1.0, -1.0]) + 10.0 ** rng.uniform(-3.0, 3.0)
    if seed % 4 == 0:
        X[rng.integers(n_rows)] *= 1e4
    if seed % 5 == 0:
        X[:, rng.integers(n_features)] = rng.choice([0.0, 7.0])
    if seed % 7 == 0:
        X = np.column_stack([X, X[:, 0]])
    signal = (X - X.mean(axis=0)) / np.where(X.std(axis=0) > 0.0, X.std(axis=0), 1.0) @ rng.normal(size=X.shape[1])
    noise = rng.standard_t(2.0, n_rows) if seed % 2 else rng.normal(size=n_rows)
    y = (signal + 10.0 ** rng.uniform(-3.0, 2.0) * noise) * 10.0 ** rng.uniform(-6.0, 6.0)
    if seed % 6 == 0:
        y[rng.integers(n_rows)] += 1e4 * (y.std() + 1.0)
    return X, y


def residual_by_svd(X, y):
    """What least squares leaves of y, by SVD of the scaled columns."""
    scale = X.std(axis=0)
    Z = (X - X.mean(axis=0)) / np.where(scale > 0.0, scale, 1.0)
    return y - y.mean() - Z @ np.linalg.lstsq(Z, y - y.mean(), rcond=1e-13)[0]


def unexplained(residual, y):
    return np.square(residual).mean() / y.var()


@pytest.mark.parametrize("solver", [*SGD_SOLVERS, "auto"])
@pytest.mark.parametrize("seed", range(200))
def test_default_fit_is_least_squares_or_warns(solver, seed):
    X, y = draw(seed)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model = MiniBatchSGDRegressor(solver=solver, random_state=seed).fit(X, y)
    assert {one.category for one in caught} <= {ConvergenceWarning}
    if len(y) == 1:
        assert model.predict(X) == pytest.approx(y, rel=1e-12)
    elif not caught:
        assert unexplained(y - model.predict(X), y) - unexplained(residual_by_svd(X, y), y) <= MOST_MISSING
    else:  # columns too collinear for steps; what is missing is not silent, and never the mean
        assert solver != "auto"
        assert np.square(model.predict(X) - y).mean() <= y.var() * (1.0 + 1e-9)


def draw_least_squares(seed):
    """X, y, weights or None, alpha and fit_intercept by the seed; every second one has rows enough to be sampled.

    A condition number up to 1e5, units, offsets, heavy tails, a penalty, three targets, no intercept.
    """
    rng = np.random.default_rng(seed)
    n_rows, n_features = round(rng.uniform(6e3, 2e4) if seed % 2 else 20.0 * 200.0 ** rng.uniform()), seed % 40 + 1
    heavy, fit_intercept = seed % 5 == 0, seed % 7 > 0
    X = rng.standard_t(2.5, (n_rows, n_features)) if heavy else rng.standard_normal((n_rows, n_features))
    rotation = np.linalg.qr(rng.standard_normal((n_features, n_features)))[0]
    X = (X * np.geomspace(1.0, 10.0 ** -rng.uniform(0.0, 5.0), n_features)) @ rotation
    X = X + X.std(axis=0) * rng.choice([0.0, 1.0, 1e3 if fit_intercept else 1.0]) * rng.standard_normal(n_features)
    X = X * 10.0 ** (rng.uniform(-6.0, 6.0, n_features) * (seed % 3 > 0))
    signal = X / X.std(axis=0) @ rng.standard_normal((n_features, 3 if seed % 4 == 0 else 1))
    noise = rng.standard_t(2.5, signal.shape) if heavy else rng.standard_normal(signal.shape)
    y = (signal + 10.0 ** rng.uniform(-2.0, 1.0) * signal.std(axis=0) * noise) * 10.0 ** rng.uniform(-3.0, 3.0)
    weight = rng.exponential(size=n_rows) * (rng.uniform(size=n_rows) > 0.1) if rng.uniform() < 0.3 else None
    alpha = 10.0 ** rng.uniform(-4.0, 1.0) * np.exp(np.log(X.var(axis=0)).mean()) if rng.uniform() < 0.3 else 0.0
    return X, y, weight, alpha, fit_intercept


@pytest.mark.parametrize("solver", SGD_SOLVERS)
def test_fit_knows_how_far_it_is(solver):
    ratios, silent = {}, []
    for seed in range(60):
        X, y, weight, alpha, fit_intercept = draw_least_squares(seed)
        model = MiniBatchSGDRegressor(solver=solver, alpha=alpha, fit_intercept=fit_intercept, random_state=seed)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            model.fit(X, y, sample_weight=weight)
        missing = missing_of(model, X, y, weight, alpha, fit_intercept)
        if missing > model.tol and not any(issubclass(one.category, ConvergenceWarning) for one in caught):
            silent.append(seed)
        if missing > 1e-10:
            ratios[seed] = model.optimality_gap_ / missing
    wrong = {seed: ratio for seed, ratio in ratios.items() if not 1.0 / 3.0 <= ratio <= 3.0}
    assert not silent
    assert len(ratios) >= 10
    assert len(wrong) <= 0.05 * len(ratios), wrong
