"""The batches of an epoch in one compiled body: dense and CSR, float32 and float64, every loss."""

from typing import NamedTuple

import numpy as np
from numba.extending import register_jitable

from sgdlinreg._objective import proximal
from sgdlinreg._solvers.compiling_numba import FAST, compiled
from sgdlinreg._solvers.lookup_numba import look_up_group
from sgdlinreg._solvers.rows_numba import GROUP, add_rows, gather, step_plainly
from sgdlinreg._solvers.scratch_numba import begin_plainly, clear_scratch, end_plainly
from sgdlinreg._solvers.share_numba import is_plain, parts_of


class Penalty(NamedTuple):
    """The part of the objective that acts on coefficients."""

    l1: float
    l2: float
    positive: float
    proximal: bool


_proximal = register_jitable(proximal)


@compiled(**FAST)
def run_batches(
    X,
    y,
    weight,
    order,
    positions,
    step_sizes,
    batch_size,
    share,
    reading,
    centre,
    inverse_scale,
    whitener,
    past,
    anchor,
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
    """Do what `sgd_reference.run_batches` does, or a share of it.

    Scale and centre are folded into the weights, so that rows are used as they lie in memory.
    """
    plain, part = is_plain(share), parts_of(share)
    n_targets, n_features = coef.shape[0], coef.shape[1] - 1
    n_rows, n_extreme = y.shape[0], 0 if plain else scratch.extreme.numbers.shape[0]
    regular = 1.0 if plain else (n_rows - n_extreme) / n_rows
    folded, partial, gradient = scratch.folded, scratch.partial, scratch.gradient
    rows, span = scratch.rows, scratch.span
    if part.length == 0:
        clear_scratch(scratch)
    if plain:
        begin_plainly(scratch.plain, coef)
    if part.adds and (part.length == 0 or positions[1] == part.stop):
        gather(X, y, weight, scratch.extreme, n_extreme)
    intercepts, slopes, batch_losses = scratch.sums[0], scratch.sums[1], scratch.sums[2]
    for t in range(n_targets):
        intercepts[t] = _fold(coef[t], centre, inverse_scale, folded[t])
    for batch in range(step_sizes.shape[0]):
        first = positions[0] + batch * batch_size
        stop = min(first + batch_size, positions[1])
        length = part.length if part.length else stop - first
        joined = part.adds and (part.length == 0 or stop == part.stop)  # by the extreme rows
        n_groups = 1 if plain else (stop - first + GROUP - 1) // GROUP
        n_extreme_groups = (n_extreme + GROUP - 1) // GROUP if joined else 0
        for number in range(n_groups + n_extreme_groups):
            if number:
                _flush(partial, gradient)
            if number < n_groups:
                start = first + number * GROUP
                count, factor, source = length if plain else min(GROUP, stop - start), regular / length, rows
                begin, changed = look_up_group(order, start, count, positions[1], span, rows.numbers)
                if changed:
                    gather(X, y, weight, rows, span[1] - span[0])
                group = (begin, begin + count, span[1] - span[0], start)
            else:
                begin = (number - n_groups) * GROUP
                factor, source = 1.0 / n_rows, scratch.extreme
                group = (begin, min(begin + GROUP, n_extreme), n_extreme, -1)
            add_rows(X, y, source, group, order, reading, factor, loss, scratch)
        if not part.steps:
            _flush(partial, gradient)
            continue
        for t in range(n_targets):
            losses[t] += length * batch_losses[t]
            slope, step_size = slopes[t], step_sizes[batch, t]
            batch_losses[t] = slopes[t] = 0.0
            if plain:
                offset = coef[t, n_features]
                if fit_intercept:
                    offset -= step_size * slope
                    coef[t, n_features] = offset
                coef_sum[t, n_features] += offset
                intercepts[t] = offset - step_plainly(
                    reading, n_features, step_size, slope, penalty.l2, scratch.around, partial, scratch.plain, folded, t
                )
                continue
            for j in range(n_features):
                total = np.float64(partial[t, j]) + gradient[t, j]
                partial[t, j] = 0
                gradient[t, j] = _scaled(total, slope, penalty.l2, coef[t, j], centre[j], inverse_scale[j])
            gradient[t, n_features] = slope
            if past.shape[0]:
                _recall(past, anchor[t], coef[t], gradient[t])
            if whitener.shape[1]:
                _whiten(whitener, scratch.inner, gradient[t])
            if not fit_intercept:
                gradient[t, n_features] = 0.0
            _move(step_size, gradient[t], inverse_scale, penalty, momentum, coef[t], velocity[t])
            for j in range(n_features + 1):
                coef_sum[t, j] += coef[t, j]
                gradient[t, j] = 0.0
            intercepts[t] = _fold(coef[t], centre, inverse_scale, folded[t])
    if plain:
        end_plainly(scratch.plain, coef, coef_sum)


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
