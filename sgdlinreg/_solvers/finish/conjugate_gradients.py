"""Least squares by preconditioned conjugate gradients, all targets at once (Hestenes and Stiefel 1952)."""

import numpy as np

from sgdlinreg._solvers.finish.full_gradients import FullGradients
from sgdlinreg._solvers.finish.gap import Gap, Record
from sgdlinreg._solvers.finish.preconditioner import Preconditioner


def conjugate_gradients(
    gradients: FullGradients, preconditioner: Preconditioner, coef: np.ndarray, gap: Gap, record: Record, at_least: int
) -> tuple[np.ndarray, bool]:
    """Minimise least squares, all targets at once.

    Parameters
    ----------
    gradients : FullGradients
    preconditioner : Preconditioner
    coef : ndarray of shape (n_targets, n_features + 1)
        Scaled coefficients to start from; they become those of the end.
    gap : Gap
    record : callable
    at_least : int
        Passes of conjugate gradients that are taken in any case.

    Returns
    -------
    coef : ndarray of shape (n_targets, n_features + 1)
    converged : bool
        If not, no more passes were allowed.

    Notes
    -----
    Gradients follow by recurrence, so that a pass reads the rows once. Before the fit is called converged the gradient
    is computed anew from the coefficients, and if it says otherwise the search starts again there.
    """
    losses, gradient = gradients.full_gradient(coef)
    along, decrement = preconditioner.along(gradient)
    direction = along.copy()
    go_on = record(coef, losses, gap.at(decrement))
    if gap.is_small and not at_least:
        return coef, True
    while go_on:
        bend = gradients.curvature_along(direction)
        length = _divided(decrement, np.vecdot(direction, bend))
        fall = 0.5 * length * decrement
        coef -= length[:, None] * direction
        gradient -= length[:, None] * bend
        losses, before = losses - fall, decrement
        del bend
        along, decrement = preconditioner.along(gradient)
        go_on = record(coef, losses, gap.after(fall, decrement))
        direction *= _divided(decrement, before)[:, None]
        direction += along
        if gap.is_small and go_on:
            losses, gradient = gradients.full_gradient(coef)
            along, decrement = preconditioner.along(gradient)
            direction = along.copy()
            go_on = record(coef, losses, gap.at(decrement))
            if gap.is_small:
                return coef, True
    return coef, gap.is_small  # no pass is left to compute the gradient anew


def _divided(numerator, denominator):
    """Divide, giving 0 where the denominator is 0."""
    return np.divide(numerator, denominator, out=np.zeros_like(denominator), where=denominator > 0.0)
