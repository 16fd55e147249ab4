"""The batches of an epoch in NumPy: slow, short, and what the other kernels are tested against."""

import numpy as np

from sgdlinreg._blocks import take_rows
from sgdlinreg._objective import LOSSES, proximal
from sgdlinreg._solvers.base import CPUKernel


class ReferenceKernel(CPUKernel):
    """The NumPy kernel. Not offered to users."""

    losses = frozenset(LOSSES)

    def run_batches(self, *args):
        """Run the kernel."""
        return run_batches(*args)


def run_batches(block, order, positions, step_sizes, batch_size, objective, conditioning, memory, momentum, iterate):
    """Take one step for every ``batch_size`` rows of ``order``.

    Parameters
    ----------
    block : Block
        Weights of mean one.
    order : Order
        The rows of the epoch.
    positions : tuple of int
        First position in the order, and the one after the last; the last batch may be short.
    step_sizes : ndarray of shape (n_batches, n_targets)
    batch_size : int
    objective : Objective
    conditioning : Conditioning
        The coordinates, and the extreme rows that join every batch.
    memory : Memory
        What earlier rows of a stream add to every batch.
    momentum : tuple of (float, bool)
        Factor of the velocity, and whether the step looks ahead along it (Nesterov).
    iterate : Iterate
        Coefficients in those coordinates, their sum over the steps, and the velocity: updated in place.

    Returns
    -------
    ndarray of shape (n_targets,)
        Loss (without the penalty) of each batch before its step, times the batch's length, summed.

    Notes
    -----
    ``v = momentum * v - step * gradient``, then ``w += v``, or with Nesterov ``w += momentum * v - step * gradient``,
    as in MLPRegressor. What the proximal operator changes goes into the velocity too, so that a point where nothing
    moves is a minimum of the whole objective.
    """
    n_extreme = len(conditioning.extreme_rows)
    share = (block.n_rows - n_extreme) / block.n_rows
    factor, nesterov = momentum
    ahead = 1.0 + factor if nesterov else 1.0
    coef, coef_sum, velocity = iterate
    total = np.zeros(len(coef))
    start, stop = positions
    for first, step_size in zip(range(start, stop, batch_size), step_sizes, strict=True):
        rows = order.rows(first, min(first + batch_size, stop))
        joined = np.concatenate([rows, conditioning.extreme_rows])
        weight = np.full(len(joined), share / len(rows))
        weight[len(rows) :] = 1.0 / block.n_rows
        if block.sample_weight is not None:
            weight *= block.sample_weight[joined]

        X = take_rows(block.X, joined)
        raw = conditioning.to_raw(coef)
        residual = X @ raw[:, :-1].T + raw[:, -1] - block.y[joined]
        total += len(rows) * (weight @ objective.loss.value(residual))

        slope = weight[:, None] * objective.loss.slope(residual)
        gradient = np.zeros_like(coef)
        gradient[:, :-1] = ((X.T @ slope).T - np.outer(slope.sum(axis=0), conditioning.centre)) / conditioning.scale
        gradient[:, :-1] += objective.penalty_gradient(raw)[:, :-1] / conditioning.scale
        if objective.fit_intercept:
            gradient[:, -1] = slope.sum(axis=0)
        if len(memory.curvature):
            gradient += (coef - memory.anchor) @ memory.curvature
            gradient[:, -1] *= objective.fit_intercept
        if conditioning.whitener.shape[1]:
            gradient[:, :-1] = gradient[:, :-1] @ conditioning.whitener @ conditioning.whitener.T

        step = step_size[:, None] * gradient
        velocity *= factor
        velocity -= step
        coef += factor * velocity - step if nesterov else velocity
        if not objective.is_smooth:
            threshold = ahead * objective.l1 * step_size[:, None] / conditioning.scale
            moved = proximal(coef[:, :-1], threshold, float(objective.positive))
            velocity[:, :-1] += (moved - coef[:, :-1]) / ahead
            coef[:, :-1] = moved
        coef_sum += coef
    return total
