"""The two operations of a kernel in NumPy: slow, short, and what the other kernels are tested against."""

import numpy as np

from sgdlinreg._core.blocks import take_rows
from sgdlinreg._core.contract import CPUKernel
from sgdlinreg._core.objective import LOSSES, gradient_sums, proximal


class ReferenceKernel(CPUKernel):
    """The NumPy kernel. Not offered to users."""

    losses = frozenset(LOSSES)

    def run_batches(self, *args):
        """Take one step for every batch."""
        return run_batches(*args)

    def gradient_sums(self, *args, **kwargs):
        """Sum the loss and its gradient over all rows."""
        return gradient_sums(*args, **kwargs)


def run_batches(block, order, step_sizes, batch_size, objective, coordinates, momentum, iterate):
    """Take one step for every ``batch_size`` rows of ``order``.

    Parameters
    ----------
    block : Block
        Weights of mean one.
    order : ndarray of shape (n_rows,), int32 or int64
        Numbers of the rows to use, batch after batch; the last batch may be short.
    step_sizes : ndarray of shape (n_batches, n_models)
        One model for each target or, where there are more models, for the first target, the second and so on, again
        and again.
    batch_size : int
    objective : Objective
        Its numbers may be arrays.
    coordinates : Coordinates
        Those of the steps. Its scale may be that of many models.
    momentum : tuple of (float, bool)
        Factor of the velocity, and whether the step looks ahead along it (Nesterov).
    iterate : Iterate
        Coefficients in those coordinates, their sum over the steps, and the velocity: updated in place.

    Returns
    -------
    ndarray of shape (n_models,)
        Loss (without the penalty) of each batch before its step, times the batch's length, summed.

    Notes
    -----
    ``v = momentum * v - step * gradient``, then ``w += v``, or with Nesterov ``w += momentum * v - step * gradient``,
    as in MLPRegressor. What the proximal operator changes goes into the velocity too, so that a point where nothing
    moves is a minimum of the whole objective.
    """
    factor, nesterov = momentum
    ahead = 1.0 + factor if nesterov else 1.0
    coef, coef_sum, velocity = iterate
    total, n_each = np.zeros(len(coef)), len(coef) // block.n_targets
    for start, step_size in zip(range(0, len(order), batch_size), step_sizes, strict=True):
        rows = order[start : start + batch_size]
        weight = np.ones(len(rows)) if block.sample_weight is None else block.sample_weight[rows]
        X = take_rows(block.X, rows)
        raw = coordinates.to_raw(coef)
        residual = X @ raw[:, :-1].T + raw[:, -1] - np.tile(block.y[rows], n_each)
        total += weight @ objective.loss.value(residual)

        slope = weight[:, None] * objective.loss.slope(residual) / len(rows)
        gradient = np.zeros_like(coef)
        gradient[:, :-1] = ((X.T @ slope).T - np.outer(slope.sum(axis=0), coordinates.centre)) / coordinates.scale
        gradient[:, :-1] += objective.penalty_gradient(raw)[:, :-1] / coordinates.scale
        if objective.fit_intercept:
            gradient[:, -1] = slope.sum(axis=0)

        step = step_size[:, None] * gradient
        velocity *= factor
        velocity -= step
        coef += factor * velocity - step if nesterov else velocity
        if not objective.is_smooth:
            threshold = ahead * objective.l1 * step_size[:, None] / coordinates.scale
            moved = proximal(coef[:, :-1], threshold, float(objective.positive))
            velocity[:, :-1] += (moved - coef[:, :-1]) / ahead
            coef[:, :-1] = moved
        coef_sum += coef
    return total
