"""Default settings on problems that are bad in some way: always a finite model, never one worse than the mean."""

import warnings

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning

from sgdlinreg import MiniBatchSGDRegressor

from .helpers import SGD_SOLVERS


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


@pytest.mark.parametrize("solver", [*SGD_SOLVERS, "auto"])
@pytest.mark.parametrize("seed", range(200))
def test_never_worse_than_the_mean(solver, seed):
    X, y = draw(seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model = MiniBatchSGDRegressor(solver=solver, random_state=seed).fit(X, y)
    assert np.isfinite(model.coef_).all()
    residual = model.predict(X) - y
    assert np.square(residual).mean() <= y.var() * (1.0 + 1e-9)
