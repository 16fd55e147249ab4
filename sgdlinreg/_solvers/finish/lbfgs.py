"""Smooth losses by SciPy's L-BFGS-B in preconditioned coordinates."""

import numpy as np
from scipy.optimize import minimize

from sgdlinreg._solvers.finish.full_gradients import FullGradients
from sgdlinreg._solvers.finish.gap import Gap, Record
from sgdlinreg._solvers.finish.preconditioner import Preconditioner

CORRECTIONS = 20
"""Earlier gradients that L-BFGS-B keeps."""


class _Done(Exception):
    """Ends a minimisation by SciPy."""


def limited_memory_bfgs(
    gradients: FullGradients, preconditioner: Preconditioner, coef: np.ndarray, gap: Gap, record: Record
) -> tuple[np.ndarray, bool]:
    """Minimise a smooth objective of one target; each evaluation is a pass.

    Parameters and what is returned are those of `conjugate_gradients`, with n_targets 1.
    """
    start, best, lowest, converged = coef, coef, np.full(1, np.inf), False

    def objective(variables):
        nonlocal best, lowest, converged
        here = start + preconditioner.apply(variables[None], power=1)
        losses, gradient = gradients.full_gradient(here)
        decrement = preconditioner.along(gradient)[1]
        if lowest == np.inf:
            gap.at(decrement)
        elif losses < lowest:
            gap.after(lowest - losses, decrement)
        if losses < lowest:
            best, lowest = here, losses
        go_on = record(best, lowest, gap.gap)
        converged = gap.is_small
        if converged or not go_on or gap.is_exhausted:
            raise _Done
        slope = preconditioner.apply(gradient, power=1)[0]
        return losses[0] * gap.inverse_unit[0], slope * gap.inverse_unit[0]

    options = {"maxcor": CORRECTIONS, "maxiter": 10**9, "maxfun": 10**9, "ftol": 0.0, "gtol": 0.0}
    try:
        minimize(objective, np.zeros(coef.size), jac=True, method="L-BFGS-B", options=options)
        losses, gradient = gradients.full_gradient(best)  # SciPy found nothing lower
        record(best, losses, gap.at_the_end(preconditioner.along(gradient)[1]))
        converged = bool(gap.gap.max() <= gap.tol)
    except _Done:
        pass
    return best, converged
