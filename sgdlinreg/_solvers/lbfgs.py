"""Smooth losses by SciPy's L-BFGS-B in preconditioned coordinates."""

import numpy as np
from scipy.optimize import minimize

from sgdlinreg._solvers.full_passes import FullPasses
from sgdlinreg._solvers.gap import Gap, Record
from sgdlinreg._solvers.preconditioner import Preconditioner

CORRECTIONS = 20
"""Earlier gradients that L-BFGS-B keeps."""


class _Done(Exception):
    """Ends a minimisation by SciPy."""


def limited_memory_bfgs(
    passes: FullPasses, preconditioner: Preconditioner, coef: np.ndarray, gap: Gap, record: Record
) -> tuple[np.ndarray, bool]:
    """Minimise a smooth objective, the sum over all targets in units of their constant models.

    Parameters and what is returned are those of `conjugate_gradients`; each evaluation is a pass.
    """
    start, best, best_losses, converged = coef, coef, np.full(len(coef), np.inf), False

    def objective(variables):
        nonlocal best, best_losses, converged
        here = start + preconditioner.apply(variables.reshape(start.shape), power=1)
        losses, gradient = passes.full_gradient(here)
        decrement = preconditioner.along(gradient)[1]
        total = losses @ gap.inverse_unit
        if not np.isfinite(best_losses).all():
            best, best_losses = here, losses
            gap.at(decrement)
        elif total < best_losses @ gap.inverse_unit:
            gap.after(np.maximum(best_losses - losses, 0.0), decrement)
            best, best_losses = here, losses
        go_on = record(best, best_losses, gap.gap)
        converged = gap.is_small
        if converged or not go_on or gap.is_exhausted:
            raise _Done
        return total, preconditioner.apply(gradient * gap.inverse_unit[:, None], power=1).ravel()

    options = {"maxcor": CORRECTIONS, "maxiter": 10**9, "maxfun": 10**9, "ftol": 0.0, "gtol": 0.0}
    try:
        minimize(objective, np.zeros(coef.size), jac=True, method="L-BFGS-B", options=options)
        losses, gradient = passes.full_gradient(best)  # SciPy found nothing lower: the gradient says how far it is
        gap.gap = 0.5 * preconditioner.along(gradient)[1] * gap.inverse_unit
        record(best, losses, gap.gap)
        converged = bool(gap.gap.max() <= gap.tol)
    except _Done:
        pass
    return best, converged
