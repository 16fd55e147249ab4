"""Schedules: step numbers -> shape of the step size. Arrays made on the host, no optimiser inside.

A schedule is a function of the step numbers, counted from 1; the step size is its value times the scale of the step,
eta0 or the safe step. Only "optimal" with a float eta0 has a scale of its own, as in scikit-learn.
"""

from collections.abc import Callable

import numpy as np

ADAPTIVE_DIVISOR = 5.0
"""What the step is divided by where "adaptive" sees no progress."""
SMALLEST_STEP = 1e-6
"""Where "adaptive" stops."""


def constant(steps: np.ndarray, *, power_t: float, alpha: float) -> np.ndarray:
    """Return 1 at every step.

    Parameters
    ----------
    steps : ndarray of shape (n_steps,)
        Numbers of the steps, counted from 1.
    power_t, alpha : float
        Not used.

    Examples
    --------
    >>> constant(np.array([1, 2, 3]), power_t=0.25, alpha=0.0)
    array([1., 1., 1.])
    """
    return np.ones(steps.shape)


def invscaling(steps: np.ndarray, *, power_t: float, alpha: float) -> np.ndarray:
    """Return ``steps ** -power_t``.

    Examples
    --------
    >>> invscaling(np.array([1, 4, 16]), power_t=0.5, alpha=0.0)
    array([1.  , 0.5 , 0.25])
    """
    return np.asarray(steps, dtype=np.float64) ** -power_t


def optimal_start(alpha: float) -> float:
    """Return the first step of Bottou's heuristic for a penalty of strength alpha, as scikit-learn has it."""
    return float(np.sqrt(1.0 / np.sqrt(alpha)))


def optimal(steps: np.ndarray, *, power_t: float, alpha: float) -> np.ndarray:
    """Return ``t0 / (t0 + steps - 1)`` with ``t0 = 1 / (alpha * optimal_start(alpha))``.

    Times ``optimal_start(alpha)`` it is scikit-learn's ``1 / (alpha * (t0 + steps - 1))``.

    Examples
    --------
    >>> optimal(np.array([1, 11]), power_t=0.25, alpha=0.01) * optimal_start(0.01)
    array([3.16227766, 2.40253073])
    """
    t0 = 1.0 / (optimal_start(alpha) * alpha)
    return t0 / (t0 + steps - 1)


SCHEDULES: dict[str, Callable[..., np.ndarray]] = {
    "constant": constant,
    "optimal": optimal,
    "invscaling": invscaling,
    "adaptive": constant,  # the training loop divides the scale
}


def is_constant(learning_rate) -> bool:
    """Return whether a schedule, by name or a callable, gives 1 at every step."""
    return not callable(learning_rate) and SCHEDULES[learning_rate] is constant


def step_shape(learning_rate, steps: np.ndarray, *, power_t: float, alpha: float) -> np.ndarray:
    """Evaluate a schedule by name, or a callable of the step numbers.

    Raises
    ------
    ValueError
        If a callable gives anything but one finite, non-negative number for each step.
    """
    if not callable(learning_rate):
        return SCHEDULES[learning_rate](steps, power_t=power_t, alpha=alpha)
    shape = np.asarray(learning_rate(steps), dtype=np.float64)
    if shape.shape != steps.shape or not np.isfinite(shape).all() or (shape < 0).any():
        raise ValueError(
            f"learning_rate was called with the numbers of {len(steps)} steps and should give as many finite numbers "
            f">= 0, got an array of shape {shape.shape} with minimum {shape.min(initial=np.inf):.3g}."
        )
    return shape
