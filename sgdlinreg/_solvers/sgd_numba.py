"""The batches of an epoch compiled by numba: one body for dense and CSR, float32 and float64, every loss."""

from concurrent.futures import ThreadPoolExecutor
from functools import cached_property, partial
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from joblib import effective_n_jobs
from numba.extending import register_jitable

from sgdlinreg._arrays import read_only
from sgdlinreg._blocks import CSR
from sgdlinreg._objective import LOSSES, proximal
from sgdlinreg._ordering import Order
from sgdlinreg._solvers.base import CPUKernel
from sgdlinreg._solvers.compiling_numba import FAST, compiled
from sgdlinreg._solvers.lazy_numba import MAX_RUNS, run_lazily, runs_of_equal_steps
from sgdlinreg._solvers.rows_numba import GROUP, LOOKED_UP, add_rows, look_up_group
from sgdlinreg._solvers.vectors_numba import padded

PARTS = 8
"""Large batches are summed in so many parts."""
LARGE_BATCH_BYTES = 1 << 21
"""Batches from this size on are large: below, threads would wait for each other longer than they work."""


class Scratch(NamedTuple):
    """Memory for the kernel, which allocates none: then numba need not count references, which takes longer than steps.

    Attributes
    ----------
    folded, partial : ndarray of shape (n_targets, padded n_features)
        Weights on raw rows and sums over rows, in X's dtype; zeros in the columns that fill up the last vector.
    gradient : ndarray of shape (n_targets, n_features + 1)
    sums : ndarray of shape (3, n_targets)
        Intercepts on raw rows; sums of derivatives and of losses.
    inner : ndarray of shape (rank,)
        A gradient in whitened coordinates.
    rows, span : ndarray of intp
        Rows that have been looked up, and which positions they are.
    tile : ndarray of shape (GROUP, n_features)
        A copy of rows that are not contiguous; empty where they are.
    """

    folded: np.ndarray
    partial: np.ndarray
    gradient: np.ndarray
    sums: np.ndarray
    inner: np.ndarray
    rows: np.ndarray
    span: np.ndarray
    tile: np.ndarray

    @classmethod
    def for_block(cls, block, n_targets: int, rank: int) -> "Scratch":
        """Make what a block needs."""
        dtype = block.dtype
        shape = n_targets, padded(block.n_features, dtype.itemsize)
        in_place = block.is_sparse or block.X.strides[1] == block.X.itemsize
        return cls(
            np.zeros(shape, dtype),
            np.zeros(shape, dtype),
            np.zeros((n_targets, block.n_features + 1)),
            np.zeros((3, n_targets)),
            np.zeros(rank),
            np.empty(LOOKED_UP, np.intp),
            np.zeros(2, np.intp),
            np.empty((0 if in_place else GROUP, block.n_features), dtype),
        )

    def fold(self, coef: np.ndarray, fixed: "Fixed") -> None:
        """Set the weights on raw rows and their intercepts."""
        for t, one in enumerate(coef):
            self.sums[0, t] = _fold_once(one, fixed.centre, fixed.inverse_scale, self.folded[t])

    def start_at(self, other: "Scratch") -> None:
        """Take the weights of another; there are no sums yet, and nothing has been looked up."""
        self.folded[:] = other.folded
        self.sums[0] = other.sums[0]
        self.sums[1:] = self.gradient[:] = 0.0
        self.span[:] = 0

    def add_to(self, other: "Scratch") -> None:
        """Add the sums to those of another."""
        other.gradient[:] += self.gradient
        other.sums[1:] += self.sums[1:]


class Fixed(NamedTuple):
    """What does not change during an epoch: extreme rows, coordinates, and what earlier rows of a stream add."""

    extreme_rows: np.ndarray
    centre: np.ndarray
    inverse_scale: np.ndarray
    whitener: np.ndarray
    past: np.ndarray
    anchor: np.ndarray


class Penalty(NamedTuple):
    """The part of the objective that acts on coefficients."""

    l1: float
    l2: float
    positive: float
    proximal: bool


class NumbaKernel(CPUKernel):
    """The compiled kernel: small batches on one core, the parts of large ones in ``n_jobs`` threads."""

    losses = frozenset(LOSSES)

    def __init__(self, device="auto", n_jobs=None):
        self.n_threads = effective_n_jobs(n_jobs)

    @cached_property
    def pool(self):
        """Threads; they end with the kernel."""
        return ThreadPoolExecutor(self.n_threads)

    def run_batches(
        self, block, order, positions, step_sizes, batch_size, objective, conditioning, memory, momentum, iterate
    ):
        """Run the kernel; arrays go in read-only, so that writable and read-only data share one compilation.

        Large batches are summed in parts, as many for any number of threads, and the sums added in their order: the
        result does not depend on ``n_jobs``.
        """
        X = block.X
        if isinstance(X, CSR):
            X = X._replace(data=read_only(X.data), indices=read_only(X.indices), indptr=read_only(X.indptr))
        else:
            X = read_only(X)
        y = read_only(block.y)
        weight = read_only(np.empty(0) if block.sample_weight is None else block.sample_weight)
        starts, slots, rest, chosen = map(read_only, order[:4])
        order = Order(starts, slots, rest, chosen, order.bits, order.stride)
        large = min(batch_size, positions[1] - positions[0]) * block.row_bytes >= LARGE_BATCH_BYTES
        plain = not large and momentum[0] == 0.0 and objective.is_smooth and not len(memory.curvature)
        runs = runs_of_equal_steps(step_sizes, objective.l2 > 0.0) if block.is_sparse and plain else []
        if 0 < len(runs) <= MAX_RUNS:
            losses = np.zeros(len(iterate.coef))
            for start, stop in runs:
                part = (positions[0] + start * batch_size, min(positions[0] + stop * batch_size, positions[1]))
                steps = step_sizes[start:stop]
                losses += run_lazily(X, y, weight, order, part, steps, batch_size, objective, conditioning, iterate)
            return losses
        n_targets, rank = len(iterate.coef), conditioning.whitener.shape[1]
        losses = np.zeros(n_targets)
        data = (X, y, weight, order)
        fixed = Fixed(
            conditioning.extreme_rows,
            conditioning.centre,
            1.0 / conditioning.scale,
            conditioning.whitener,
            memory.curvature,
            memory.anchor,
        )
        rule = (
            objective.loss,
            Penalty(objective.l1, objective.l2, float(objective.positive), not objective.is_smooth),
            objective.fit_intercept,
            (float(momentum[0]), bool(momentum[1])),
        )
        scratch = Scratch.for_block(block, n_targets, rank)
        moving = (iterate.coef, iterate.coef_sum, iterate.velocity, losses)
        if not large:
            _run_batches(*data, positions, step_sizes, batch_size, fixed, *rule, scratch, *moving)
            return losses
        scratches = [Scratch.for_block(block, n_targets, 0) for _ in range(PARTS)]
        scratch.fold(iterate.coef, fixed)
        for number, step_size in enumerate(step_sizes):
            first = positions[0] + number * batch_size
            batch = (first, min(first + batch_size, positions[1]))
            cuts = np.linspace(*batch, PARTS + 1).astype(int).tolist()
            for own in scratches:
                own.start_at(scratch)
            add = partial(_add_part, *data, batch, fixed, objective.loss)
            run = map if self.n_threads == 1 else self.pool.map
            list(run(add, pairwise(cuts), scratches))
            for own in scratches:
                own.add_to(scratch)
            _take_step(batch, step_size, fixed, *rule, scratch, *moving)
        return losses


_proximal = register_jitable(proximal)


@compiled(**FAST)
def _run_batches(
    X,
    y,
    weight,
    order,
    positions,
    step_sizes,
    batch_size,
    fixed,
    loss,
    penalty,
    fit_intercept,
    momentum,
    scratch,
    coef,
    coef_sum,
    velocity,
    losses,
):
    """Do what `sgd_reference.run_batches` does.

    Scale and centre are folded into the weights, so that rows are used as they lie in memory.
    """
    for t in range(coef.shape[0]):
        scratch.sums[0, t] = _fold(coef[t], fixed.centre, fixed.inverse_scale, scratch.folded[t])
    for number in range(step_sizes.shape[0]):
        first = positions[0] + number * batch_size
        batch = (first, min(first + batch_size, positions[1]))
        long = _add_batch(X, y, weight, order, batch, batch, positions[1], fixed, loss, scratch)
        _step(
            batch,
            long,
            step_sizes[number],
            fixed,
            penalty,
            fit_intercept,
            momentum,
            scratch,
            coef,
            coef_sum,
            velocity,
            losses,
        )


@compiled(**FAST)
def _add_part(X, y, weight, order, batch, fixed, loss, part, scratch):
    """Add the gradient of a part of a batch to ``scratch``."""
    _add_batch(X, y, weight, order, batch, part, part[1], fixed, loss, scratch)
    _flush(scratch.partial, scratch.gradient)


@compiled(**FAST)
def _take_step(
    batch, step_size, fixed, loss, penalty, fit_intercept, momentum, scratch, coef, coef_sum, velocity, losses
):
    _step(batch, True, step_size, fixed, penalty, fit_intercept, momentum, scratch, coef, coef_sum, velocity, losses)


@register_jitable(inline="always")
def _add_batch(X, y, weight, order, batch, part, end, fixed, loss, scratch):
    """Add the gradient of a part of a batch, the last one with the extreme rows; gives whether sums were flushed.

    ``end`` is the position up to which rows may be fetched ahead.
    """
    n_rows, n_extreme = y.shape[0], fixed.extreme_rows.shape[0]
    share = (n_rows - n_extreme) / n_rows
    n_groups = (part[1] - part[0] + GROUP - 1) // GROUP
    n_extreme_groups = (n_extreme + GROUP - 1) // GROUP if part[1] == batch[1] else 0
    long = False
    for number in range(n_groups + n_extreme_groups):
        if number:
            _flush(scratch.partial, scratch.gradient)
            long = True
        if number < n_groups:
            start = part[0] + number * GROUP
            count, factor, source = min(GROUP, part[1] - start), share / (batch[1] - batch[0]), scratch.rows
            begin = look_up_group(order, start, count, end, scratch.span, scratch.rows)
            group = (begin, begin + count, scratch.span[1] - scratch.span[0], start)
        else:
            begin = (number - n_groups) * GROUP
            factor, source = 1.0 / n_rows, fixed.extreme_rows
            group = (begin, min(begin + GROUP, n_extreme), n_extreme, -1)
        add_rows(X, y, weight, source, group, order, factor, loss, scratch)
    return long


@register_jitable(inline="always")
def _step(batch, long, step_sizes, fixed, penalty, fit_intercept, momentum, scratch, coef, coef_sum, velocity, losses):
    """Take the step of every target along the sums in ``scratch``, which become zero."""
    centre, inverse_scale, whitener, past = fixed.centre, fixed.inverse_scale, fixed.whitener, fixed.past
    folded, partial, gradient = scratch.folded, scratch.partial, scratch.gradient
    intercepts, slopes, batch_losses = scratch.sums[0], scratch.sums[1], scratch.sums[2]
    n_targets, n_features = coef.shape[0], coef.shape[1] - 1
    simple = momentum[0] == 0.0 and not penalty.proximal and whitener.shape[1] == 0 and past.shape[0] == 0
    for t in range(n_targets):
        losses[t] += (batch[1] - batch[0]) * batch_losses[t]
        slope, step_size = slopes[t], step_sizes[t]
        batch_losses[t] = slopes[t] = 0.0
        offset = coef[t, n_features]
        if simple and not long:
            for j in range(n_features):
                moved = coef[t, j] - step_size * _scaled(
                    partial[t, j], slope, penalty.l2, coef[t, j], centre[j], inverse_scale[j]
                )
                partial[t, j] = 0
                coef[t, j] = moved
                coef_sum[t, j] += moved
                folded[t, j] = moved * inverse_scale[j]
            for j in range(n_features):  # a loop that stores nothing has one form, so bits do not depend on addresses
                offset -= centre[j] * (coef[t, j] * inverse_scale[j])
            if fit_intercept:
                coef[t, n_features] -= step_size * slope
                offset -= step_size * slope
                coef_sum[t, n_features] += coef[t, n_features]
            intercepts[t] = offset
            continue
        for j in range(n_features):
            total = np.float64(partial[t, j]) + gradient[t, j]
            partial[t, j] = 0
            gradient[t, j] = _scaled(total, slope, penalty.l2, coef[t, j], centre[j], inverse_scale[j])
        gradient[t, n_features] = slope
        if past.shape[0]:
            _recall(past, fixed.anchor[t], coef[t], gradient[t])
        if whitener.shape[1]:
            _whiten(whitener, scratch.inner, gradient[t])
        if not fit_intercept:
            gradient[t, n_features] = 0.0
        _move(step_size, gradient[t], inverse_scale, penalty, momentum, coef[t], velocity[t])
        for j in range(n_features + 1):
            coef_sum[t, j] += coef[t, j]
            gradient[t, j] = 0.0
        intercepts[t] = _fold(coef[t], centre, inverse_scale, folded[t])


@register_jitable
def _scaled(total, slope, l2, coef, centre, inverse_scale):
    """Gradient along one coordinate, from the sum over rows and that of their slopes."""
    return (np.float64(total) - centre * slope + l2 * coef * inverse_scale) * inverse_scale


@register_jitable
def _fold(coef, centre, inverse_scale, folded):
    """Set the weights on raw rows; gives their intercept."""
    offset = coef[centre.shape[0]]
    for j in range(centre.shape[0]):
        folded[j] = coef[j] * inverse_scale[j]
    for j in range(centre.shape[0]):  # a loop of its own, see above
        offset -= centre[j] * (coef[j] * inverse_scale[j])
    return offset


@compiled(**FAST)
def _fold_once(coef, centre, inverse_scale, folded):
    return _fold(coef, centre, inverse_scale, folded)


@register_jitable
def _flush(partial, gradient):
    """Add the sums of a group of rows to those in float64."""
    for t in range(gradient.shape[0]):
        for j in range(gradient.shape[1] - 1):
            gradient[t, j] += partial[t, j]
            partial[t, j] = 0


@register_jitable
def _move(step_size, gradient, inverse_scale, penalty, momentum, coef, velocity):
    """Take a step along the gradient of one target."""
    factor, nesterov = momentum
    if factor == 0.0:
        for j in range(coef.shape[0]):
            velocity[j] = -step_size * gradient[j]
            coef[j] += velocity[j]
    else:
        for j in range(coef.shape[0]):
            step = step_size * gradient[j]
            velocity[j] = factor * velocity[j] - step
            coef[j] += factor * velocity[j] - step if nesterov else velocity[j]
    if penalty.proximal:
        ahead = 1.0 + factor if nesterov else 1.0
        for j in range(inverse_scale.shape[0]):
            threshold = ahead * penalty.l1 * step_size * inverse_scale[j]
            moved = _proximal(coef[j], threshold, penalty.positive)
            velocity[j] += (moved - coef[j]) / ahead
            coef[j] = moved


@register_jitable
def _recall(past, anchor, coef, gradient):
    """Add the gradient ``past @ (coef - anchor)`` of earlier rows."""
    for j in range(past.shape[0]):
        moved = coef[j] - anchor[j]
        for k in range(past.shape[0]):
            gradient[k] += past[j, k] * moved


@register_jitable
def _whiten(whitener, inner, gradient):
    """Multiply the features' part of a gradient by ``whitener @ whitener.T``, in place."""
    inner[:] = 0.0
    for j in range(whitener.shape[0]):
        for k in range(whitener.shape[1]):
            inner[k] += whitener[j, k] * gradient[j]
    for j in range(whitener.shape[0]):
        total = 0.0
        for k in range(whitener.shape[1]):
            total += whitener[j, k] * inner[k]
        gradient[j] = total
