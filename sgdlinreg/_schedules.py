"""Schedules: step numbers -> step sizes. Arrays made on the host, no optimiser inside."""

import numpy as np


def constant(steps: np.ndarray, eta0: float) -> np.ndarray:
    """``eta0`` at every step.

    Parameters
    ----------
    steps : ndarray of shape (n_steps,)
        Numbers of the steps, counted from 1.
    eta0 : float
        Scale of the step.

    Returns
    -------
    ndarray of shape (n_steps,), float64

    Examples
    --------
    >>> constant(np.array([1, 2, 3]), 0.5)
    array([0.5, 0.5, 0.5])
    """
    return np.full(steps.shape, eta0)


SCHEDULES = {"constant": constant}
