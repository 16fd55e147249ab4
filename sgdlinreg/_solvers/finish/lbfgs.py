"""Losses without a kink by SciPy's L-BFGS-B."""

from typing import Any, NamedTuple

import numpy as np
from scipy.optimize import minimize

from sgdlinreg._solvers.finish.full_gradients import FullGradients
from sgdlinreg._solvers.finish.gap import EXHAUSTED, Gap, Record
from sgdlinreg._solvers.finish.preconditioner import Preconditioner

CORRECTIONS = 20
"""Earlier gradients that L-BFGS-B keeps."""


class Evaluated(NamedTuple):
    """An objective at some variables, after a pass.

    Attributes
    ----------
    coef : ndarray of shape (1, n_features + 1)
        Scaled coefficients.
    losses, decrement : ndarray of shape (1,)
        The objective, and twice what the gradient says that is missing.
    value : float
    slope : ndarray
        The objective of the variables, which may be above that of the coefficients, and its gradient.
    """

    coef: np.ndarray
    losses: np.ndarray
    decrement: np.ndarray
    value: float
    slope: np.ndarray


class Preconditioned:
    """Variables of a smooth objective of one target: from the start, in units of the root of the preconditioner."""

    bounds, certifies = None, False

    def __init__(self, gradients: FullGradients, preconditioner: Preconditioner, start: np.ndarray):
        self.gradients, self.preconditioner, self.start = gradients, preconditioner, start
        self.first = np.zeros(start.size)

    def evaluate(self, variables: np.ndarray) -> Evaluated:
        """Return the objective at some variables, by a pass."""
        coef = self.start + self.preconditioner.apply(variables[None], power=1)
        losses, gradient = self.gradients.full_gradient(coef)
        slope = self.preconditioner.apply(gradient, power=1)[0]
        return Evaluated(coef, losses, self.preconditioner.along(gradient)[1], losses[0], slope)


class _Done(Exception):
    """Ends a minimisation by SciPy."""


def limited_memory_bfgs(variables: Any, gap: Gap, record: Record) -> tuple[np.ndarray, bool]:
    """Minimise an objective of one target; each evaluation is a pass.

    Parameters
    ----------
    variables : Preconditioned or Parts
    gap : Gap
    record : callable

    Returns
    -------
    coef : ndarray of shape (1, n_features + 1)
    converged : bool
    """
    best: Any = None
    lowest, fallen, converged = np.full(1, np.inf), -np.inf, False

    def objective(values):
        nonlocal best, lowest, converged
        here = variables.evaluate(values)
        if best is None:
            gap.at(here.decrement)
        elif (here.losses - lowest) * gap.inverse_unit <= EXHAUSTED:  # what differs by rounding is a fall of 0
            gap.after(np.maximum(lowest - here.losses, 0.0), here.decrement)
        if best is None or here.losses < lowest:
            best, lowest = (values.copy(), here.coef), here.losses
        go_on = record(best[1], lowest, gap.gap)
        converged = gap.is_small
        if converged or not go_on or gap.is_exhausted:
            raise _Done
        return here.value * gap.inverse_unit[0], here.slope * gap.inverse_unit[0]

    options = {"maxcor": CORRECTIONS, "maxiter": 10**9, "maxfun": 10**9, "ftol": 0.0, "gtol": 0.0}
    try:
        while gap.total_fall.max() > fallen:  # at bounds it may jam, and starts again
            fallen = np.inf if variables.bounds is None else gap.total_fall.max()
            first = variables.first if best is None else best[0]
            minimize(objective, first, jac=True, method="L-BFGS-B", bounds=variables.bounds, options=options)
        here = variables.evaluate(best[0])  # SciPy found nothing lower
        record(here.coef, here.losses, gap.at_the_end(here.decrement))
        converged = bool(gap.gap.max() <= gap.tol)
    except _Done:
        pass
    return best[1], converged
