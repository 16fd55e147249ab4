"""Generated data with known coefficients."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def make_linear(
    n_samples: int = 1000,
    *,
    coef: ArrayLike = (2.0, -3.4),
    intercept: float = 4.2,
    noise: float = 0.01,
    random_state: int | np.random.Generator | None = None,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Generate a linear regression problem: ``y = X @ coef + intercept + noise``.

    Parameters
    ----------
    n_samples : int, default=1000
        Number of samples.
    coef : array-like of shape (n_features,), default=(2.0, -3.4)
        True coefficients.
    intercept : float, default=4.2
        True intercept.
    noise : float, default=0.01
        Standard deviation of the normal noise, in the unit of y.
    random_state : int, numpy.random.Generator or None, default=None
        Seed of the random numbers. Pass an int for reproducible results.

    Returns
    -------
    X : ndarray of shape (n_samples, n_features), float64
        Independent standard normal features.
    y : ndarray of shape (n_samples,), float64
        Target values.

    Examples
    --------
    >>> from sgdlinreg.datasets import make_linear
    >>> X, y = make_linear(n_samples=5, random_state=0)
    >>> X.shape, y.shape
    ((5, 2), (5,))
    """
    rng = np.random.default_rng(random_state)
    coef = np.asarray(coef, dtype=np.float64)
    X = rng.standard_normal((n_samples, len(coef)))
    return X, X @ coef + intercept + noise * rng.standard_normal(n_samples)


def make_sensor_readings(
    n_samples: int = 1_000_000, *, random_state: int | np.random.Generator | None = None
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], float]:
    """Generate sensor readings in raw units, on which SGD without scaling diverges.

    The eight features are a Unix time in seconds, a pressure in pascals, a temperature in kelvins, a relative humidity,
    a voltage, a flag of 0 or 1, a concentration as a fraction, and a count with a heavy tail. Their standard deviations
    differ by eleven orders of magnitude. y is a linear combination of them, with normal noise. R2 is about 0.9.

    Parameters
    ----------
    n_samples : int, default=1_000_000
        Number of samples.
    random_state : int, numpy.random.Generator or None, default=None
        Seed of the random numbers. Pass an int for reproducible results.

    Returns
    -------
    X : ndarray of shape (n_samples, 8), float64
        Features.
    y : ndarray of shape (n_samples,), float64
        Target values.
    coef : ndarray of shape (8,), float64
        True coefficients.
    intercept : float
        True intercept.

    Examples
    --------
    >>> from sgdlinreg.datasets import make_sensor_readings
    >>> X, y, coef, intercept = make_sensor_readings(n_samples=100, random_state=0)
    >>> X.shape, y.shape, coef.shape
    ((100, 8), (100,), (8,))
    """
    rng = np.random.default_rng(random_state)
    columns = [
        1.7e9 + rng.uniform(0.0, 3e7, n_samples),
        101_325.0 + 800.0 * rng.standard_normal(n_samples),
        288.0 + 9.0 * rng.standard_normal(n_samples),
        rng.beta(4.0, 3.0, n_samples),
        3.3 + 0.02 * rng.standard_normal(n_samples),
        (rng.uniform(size=n_samples) < 0.1).astype(np.float64),
        4e-4 + 2e-5 * rng.standard_normal(n_samples),
        np.floor(rng.lognormal(1.0, 1.2, n_samples)),
    ]
    X = np.column_stack(columns)
    spread = np.array([3e7 / np.sqrt(12.0), 800.0, 9.0, 0.175, 0.02, 0.3, 2e-5, 15.0])
    coef = np.array([1.0, -2.0, 3.0, 1.5, -1.0, 2.5, -0.5, 1.0]) / spread
    intercept = 50.0 - coef @ np.array([1.715e9, 101_325.0, 288.0, 4.0 / 7.0, 3.3, 0.1, 4e-4, 5.0])
    signal = X @ coef + intercept
    return X, signal + np.std(signal) / 3.0 * rng.standard_normal(n_samples), coef, float(intercept)
