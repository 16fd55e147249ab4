"""The batches of an epoch in NumPy: slow, short, and what the other kernels are tested against."""

import numpy as np

from sgdlinreg._blocks import take_rows
from sgdlinreg._objective import LOSSES


class ReferenceKernel:
    """The NumPy kernel. Not offered to users."""

    losses = frozenset(LOSSES)
    devices = False
    auto_batch_size = 32

    def __init__(self, device="auto"):
        pass

    def to_device(self, block):
        """Blocks are used as they are."""
        return block

    def run_batches(self, *args):
        """Run the kernel."""
        return run_batches(*args)


def run_batches(block, order, step_sizes, batch_size, objective, conditioning, coef, coef_sum):
    """Take one step for every ``batch_size`` rows of ``order``.

    Parameters
    ----------
    block : Block
        Weights of mean one.
    order : ndarray of intp
        Row numbers; the last batch may be short.
    step_sizes : ndarray of shape (n_batches,)
    batch_size : int
    objective : Objective
    conditioning : Conditioning
        The coordinates, and the extreme rows that join every batch.
    coef, coef_sum : ndarray of shape (n_targets, n_features + 1), float64
        Coefficients in those coordinates, and their sum over the steps: updated in place.

    Returns
    -------
    ndarray of shape (n_targets,)
        Loss (without the penalty) of each batch before its step, times the batch's length, summed.
    """
    n_extreme = len(conditioning.extreme_rows)
    share = (block.n_rows - n_extreme) / block.n_rows
    total = np.zeros(len(coef))
    for batch, step_size in enumerate(step_sizes):
        rows = order[batch * batch_size : (batch + 1) * batch_size]
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
        if conditioning.whitener.shape[1]:
            gradient[:, :-1] = gradient[:, :-1] @ conditioning.whitener @ conditioning.whitener.T
        coef -= step_size * gradient
        coef_sum += coef
    return total
