"""Synthetic problems with a known solution."""

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
    """Draw the classic problem of the textbooks: ``y = X @ coef + intercept + noise``.

    Parameters
    ----------
    n_samples : int, default=1000
        Number of rows.
    coef : array-like of shape (n_features,), default=(2.0, -3.4)
        True coefficients.
    intercept : float, default=4.2
        True intercept.
    noise : float, default=0.01
        Standard deviation of the normal noise on y, in y's unit.
    random_state : int, numpy.random.Generator or None, default=None
        Seed.

    Returns
    -------
    X : ndarray of shape (n_samples, n_features), float64
        Independent standard normal features.
    y : ndarray of shape (n_samples,), float64
        Target.

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
    """Draw readings in raw units: a large problem with a known solution on which unscaled SGD diverges.

    Eight columns whose standard deviations differ by eleven orders of magnitude: a Unix time in seconds, a pressure
    in pascal, a temperature in kelvin, a relative humidity, a voltage, a 0/1 flag, a concentration as a fraction and a
    count with a heavy tail. y is their linear combination with normal noise that leaves an R2 of 0.9.

    Parameters
    ----------
    n_samples : int, default=1_000_000
        Number of rows.
    random_state : int, numpy.random.Generator or None, default=None
        Seed.

    Returns
    -------
    X : ndarray of shape (n_samples, 8), float64
        Readings.
    y : ndarray of shape (n_samples,), float64
        Target.
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
