"""Plain steps on CSR rows, compiled by numba, in time proportional to their non-zeros.

A step changes the weights of the columns that its rows have. What it does to the others, decay by the l2 penalty and
one more term in the sum of iterates, is made up for when a row has them next: after q steps without the column a
weight v is ``rho**q * v``, and its sum has grown by ``v * (1 + rho + ... + rho**(q - 1))``, with ``rho`` one minus the
step times the curvature of the penalty. Without a penalty the sum over n steps is ``n * v`` after the last, less
``k`` times what step number k, counted from 0, has added to v.
"""

from typing import NamedTuple

import numpy as np
from numba.extending import register_jitable

from sgdlinreg._solvers.compiling_numba import FAST, compiled
from sgdlinreg._solvers.lookup_numba import fetch_csr, look_up_group
from sgdlinreg._solvers.losses_numba import loss_slope, loss_value
from sgdlinreg._solvers.rows_numba import GROUP, LOOKED_UP

MAX_RUNS = 8
"""Calls that an epoch with a penalty is cut into, each of one step size."""


FACTOR, CENTRE, WEIGHTS = 0, 1, 2
"""What a row of the table of columns holds: the square of the inverse scale, the centre; then the weights on raw rows
for each target, and their sums over the steps before."""
HALF_LINE = 4
"""Values of half a cache line: a column of one target is read at once, and no larger than it must be."""


class LazyScratch(NamedTuple):
    """Memory for the kernel, which allocates none.

    Attributes
    ----------
    columns : ndarray of shape (n_features, WEIGHTS + 2 * n_targets or more)
        The table of columns.
    last : ndarray of shape (n_features,), intp
        The steps after which the weights of each column are; empty without a penalty.
    per_target : ndarray of shape (2, n_targets)
        Intercepts on raw rows, and sums of derivatives.
    slopes : ndarray of shape (rows of a batch, n_targets)
        Derivatives of the loss of each row.
    rows, span : ndarray of intp
        Rows that have been looked up, and which positions they are.
    centred : ndarray of intp
        Columns with a centre: those that every row has.
    """

    columns: np.ndarray
    last: np.ndarray
    per_target: np.ndarray
    slopes: np.ndarray
    rows: np.ndarray
    span: np.ndarray
    centred: np.ndarray


def runs_of_equal_steps(step_sizes: np.ndarray, decays: bool) -> list[tuple[int, int]]:
    """Cut an epoch into batches of equal steps, which a penalty needs; all batches are one run without."""
    if not decays:
        return [(0, len(step_sizes))]
    cuts = np.flatnonzero(np.any(step_sizes[1:] != step_sizes[:-1], axis=1)) + 1
    return list(zip([0, *cuts], [*cuts, len(step_sizes)], strict=True))


def run_lazily(X, y, weight, order, positions, step_sizes, batch_size, objective, conditioning, iterate) -> np.ndarray:
    """Do what `sgd_reference.run_batches` does, for plain steps of one size (of any size without a penalty)."""
    n_targets, n_features = iterate.coef.shape[0], iterate.coef.shape[1] - 1
    extreme = conditioning.extreme_rows
    width = WEIGHTS + 2 * n_targets
    columns = np.zeros((n_features, -(-width // HALF_LINE) * HALF_LINE))
    weights, sums = columns[:, WEIGHTS : WEIGHTS + n_targets], columns[:, WEIGHTS + n_targets : width]
    columns[:, FACTOR], columns[:, CENTRE] = 1.0 / conditioning.scale**2, conditioning.centre
    weights[:] = (iterate.coef[:, :-1] / conditioning.scale).T
    if objective.l2:
        sums[:] = -weights  # the iterate before the first step does not count
    scratch = LazyScratch(
        columns,
        np.zeros(n_features if objective.l2 else 0, np.intp),
        np.zeros((2, n_targets)),
        np.empty((min(batch_size, positions[1] - positions[0]) + len(extreme), n_targets)),
        np.empty(LOOKED_UP, np.intp),
        np.zeros(2, np.intp),
        np.flatnonzero(conditioning.centre),
    )
    losses = np.zeros(n_targets)
    _run_lazily(
        X,
        y,
        weight,
        order,
        positions,
        step_sizes,
        batch_size,
        extreme,
        objective.loss,
        objective.l2,
        objective.fit_intercept,
        scratch,
        iterate.coef,
        iterate.coef_sum,
        losses,
    )
    iterate.coef[:, :-1] = weights.T * conditioning.scale
    iterate.coef_sum[:, :-1] += sums.T * conditioning.scale
    return losses


@compiled(**FAST)
def _run_lazily(
    X,
    y,
    weight,
    order,
    positions,
    step_sizes,
    batch_size,
    extreme_rows,
    loss,
    l2,
    fit_intercept,
    scratch,
    coef,
    coef_sum,
    losses,
):
    columns, last, rows, span = scratch.columns, scratch.last, scratch.rows, scratch.span
    intercepts, slope_sums = scratch.per_target[0], scratch.per_target[1]
    n_targets, n_features = coef.shape[0], coef.shape[1] - 1
    n_rows, n_extreme = y.shape[0], extreme_rows.shape[0]
    share, decays, n_batches = (n_rows - n_extreme) / n_rows, l2 > 0.0, step_sizes.shape[0]
    for batch in range(n_batches):
        first = positions[0] + batch * batch_size
        length = min(batch_size, positions[1] - first)
        for t in range(n_targets):
            intercepts[t] = coef[t, n_features]
            slope_sums[t] = 0.0
        for c in range(scratch.centred.shape[0]):
            j = scratch.centred[c]
            if decays:
                _catch_up(j, batch, step_sizes, l2, columns, last)
            for t in range(n_targets):
                intercepts[t] -= columns[j, CENTRE] * columns[j, WEIGHTS + t]
        n_groups = (length + GROUP - 1) // GROUP
        for visit in range(2):  # first the slopes of all rows, then the steps along them
            for number in range(n_groups + (n_extreme > 0)):
                if number < n_groups:
                    done = number * GROUP
                    count, factor, source = min(GROUP, length - done), share / length, rows
                    begin, _ = look_up_group(order, first + done, count, positions[1], span, rows)
                    known = span[1] - span[0]
                else:
                    done, begin, count, factor, source = length, 0, n_extreme, 1.0 / n_rows, extreme_rows
                    known = 0  # they are not in the order, and nothing is fetched
                group = (begin, begin + count, known, done)
                if visit == 0:
                    _take_slopes(
                        X, y, weight, source, group, batch, step_sizes, factor, length, loss, l2, scratch, losses
                    )
                else:
                    _take_steps(X, source, group, batch, step_sizes, l2, scratch)
        for t in range(n_targets):
            if fit_intercept:
                coef[t, n_features] -= step_sizes[batch, t] * slope_sums[t]
            coef_sum[t, n_features] += coef[t, n_features]
    for j in range(n_features):
        if decays:
            _catch_up(j, n_batches, step_sizes, l2, columns, last)
        for t in range(n_targets):
            times = 1 if decays else n_batches
            columns[j, WEIGHTS + n_targets + t] += times * columns[j, WEIGHTS + t]


@register_jitable
def _take_slopes(X, y, weight, rows, group, batch, step_sizes, factor, length, loss, l2, scratch, losses):
    """Keep the derivatives of the loss of a group of rows, and add them and the losses to their sums."""
    begin, end, known, done = group
    n_targets = y.shape[1]
    for i in range(begin, end):
        row = np.uint64(rows[np.uint64(i)])  # signed indices would be checked
        fetch_csr(X, y, rows, i, known)
        row_weight = factor * weight[row] if weight.shape[0] else factor
        if l2 > 0.0:
            _catch_up_row(X, row, batch, step_sizes, l2, scratch.columns, scratch.last)
        place = np.uint64(done + i - begin)
        if n_targets == 1:
            _take_slope(X, y, row, 0, row_weight, length, loss, scratch, place, losses)
        else:
            for t in range(n_targets):
                _take_slope(X, y, row, t, row_weight, length, loss, scratch, place, losses)


@register_jitable(forceinline=True)
def _take_slope(X, y, row, t, row_weight, length, loss, scratch, place, losses):
    """Do so for one row and target, which is worked on by the same text where it is the only one, but faster."""
    columns = scratch.columns
    product = 0.0
    for k in range(np.uint64(X.indptr[row]), np.uint64(X.indptr[row + np.uint64(1)])):
        product += X.data[k] * columns[np.uint64(X.indices[k]), WEIGHTS + t]
    residual = product + scratch.per_target[0, t] - y[row, t]
    losses[t] += length * row_weight * loss_value(loss, residual)
    slope = row_weight * loss_slope(loss, residual)
    scratch.per_target[1, t] += slope
    scratch.slopes[place, t] = slope


@register_jitable
def _take_steps(X, rows, group, batch, step_sizes, l2, scratch):
    """Take the part of a step that a group of rows has."""
    begin, end, _, done = group
    n_targets = step_sizes.shape[1]
    decays = l2 > 0.0
    summed = 0.0 if decays else np.float64(batch)  # what steps add to the sum of all iterates but earlier
    for i in range(begin, end):
        row = np.uint64(rows[np.uint64(i)])
        place = np.uint64(done + i - begin)
        if decays:
            _decay_row(X, row, batch, step_sizes, l2, scratch.columns, scratch.last)
        if n_targets == 1:
            _step_along(X, row, 0, 1, step_sizes[batch, 0] * scratch.slopes[place, 0], summed, scratch.columns)
        else:
            for t in range(n_targets):
                step = step_sizes[batch, t] * scratch.slopes[place, t]
                _step_along(X, row, t, n_targets, step, summed, scratch.columns)


@register_jitable(forceinline=True)
def _step_along(X, row, t, n_targets, step, summed, columns):
    """Take a row's part of a step of one target; ``summed`` times as much goes to the sums."""
    more = summed * step
    for k in range(np.uint64(X.indptr[row]), np.uint64(X.indptr[row + np.uint64(1)])):
        j = np.uint64(X.indices[k])
        value = (X.data[k] - columns[j, CENTRE]) * columns[j, FACTOR]
        columns[j, WEIGHTS + t] -= step * value
        columns[j, WEIGHTS + n_targets + t] += more * value


@register_jitable(forceinline=True)
def _catch_up_row(X, row, batch, step_sizes, l2, columns, last):
    """Make up for the steps that left out the columns of a row."""
    for k in range(np.uint64(X.indptr[row]), np.uint64(X.indptr[row + np.uint64(1)])):
        j = np.uint64(X.indices[k])
        if last[j] < batch:
            _catch_up(j, batch, step_sizes, l2, columns, last)


@register_jitable(forceinline=True)
def _decay_row(X, row, batch, step_sizes, l2, columns, last):
    """Take the part of a step that is due to the penalty, for the columns of a row, each once."""
    for k in range(np.uint64(X.indptr[row]), np.uint64(X.indptr[row + np.uint64(1)])):
        j = np.uint64(X.indices[k])
        if last[j] == batch:
            _decay_once(j, batch, step_sizes, l2, columns, last)


@register_jitable(forceinline=True)
def _decay_once(j, batch, step_sizes, l2, columns, last):
    """Take the part of step number ``batch`` that is due to the penalty, for column j."""
    last[j] = batch + 1
    n_targets = step_sizes.shape[1]
    for t in range(n_targets):
        columns[j, WEIGHTS + n_targets + t] += columns[j, WEIGHTS + t]
        columns[j, WEIGHTS + t] *= 1.0 - step_sizes[batch, t] * l2 * columns[j, FACTOR]


@register_jitable(forceinline=True)
def _catch_up(j, batch, step_sizes, l2, columns, last):
    """Make up for the steps that left out column j, so that its weight is that after ``batch`` steps."""
    missed = batch - last[j]
    last[j] = batch
    n_targets = step_sizes.shape[1]
    for t in range(n_targets):
        shrinkage = step_sizes[0, t] * l2 * columns[j, FACTOR]
        if shrinkage == 0.0:
            columns[j, WEIGHTS + n_targets + t] += missed * columns[j, WEIGHTS + t]
        else:
            left, summed = _decay(shrinkage, missed)
            columns[j, WEIGHTS + n_targets + t] += summed * columns[j, WEIGHTS + t]
            columns[j, WEIGHTS + t] *= left


@register_jitable(forceinline=True)
def _decay(shrinkage, missed):
    """``rho**q`` and ``1 + rho + ... + rho**(q - 1)``."""
    if shrinkage < 0.5:
        less = np.expm1(missed * np.log1p(-shrinkage))
        return 1.0 + less, -less / shrinkage
    left = (1.0 - shrinkage) ** missed
    return left, (1.0 - left) / shrinkage
