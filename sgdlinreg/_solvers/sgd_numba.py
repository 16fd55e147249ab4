"""The batches of an epoch compiled by numba: one body for dense and CSR, float32 and float64, every loss."""

from typing import NamedTuple

import numpy as np
from numba import njit, types
from numba.extending import overload, register_jitable

from sgdlinreg._arrays import read_only
from sgdlinreg._objective import LOSSES, proximal
from sgdlinreg._solvers.base import CPUKernel

FAST_MATH = {"reassoc", "nsz", "contract", "arcp"}  # no "nnan": it would make isfinite(nan) true
FLUSH_ROWS = 256
"""Rows whose gradient is summed in X's dtype before it is added to the float64 sum."""


class Penalty(NamedTuple):
    """The part of the objective that acts on coefficients."""

    l1: float
    l2: float
    positive: float
    proximal: bool


class NumbaKernel(CPUKernel):
    """The compiled kernel, on one core."""

    losses = frozenset(LOSSES)

    def run_batches(self, block, order, step_sizes, batch_size, objective, conditioning, memory, momentum, iterate):
        """Run the kernel; arrays go in read-only, so that writable and read-only data share one compilation."""
        X = block.X
        X = (
            X._replace(data=read_only(X.data), indices=read_only(X.indices), indptr=read_only(X.indptr))
            if (block.is_sparse)
            else read_only(X)
        )
        weight = np.empty(0) if block.sample_weight is None else block.sample_weight
        n_targets, n_columns = iterate.coef.shape
        losses = np.zeros(n_targets)
        _run_batches(
            X,
            read_only(block.y),
            read_only(weight),
            read_only(order),
            step_sizes,
            batch_size,
            conditioning.extreme_rows,
            conditioning.centre,
            1.0 / conditioning.scale,
            conditioning.whitener,
            memory.curvature,
            memory.anchor,
            objective.loss,
            Penalty(objective.l1, objective.l2, float(objective.positive), not objective.is_smooth),
            objective.fit_intercept,
            (float(momentum[0]), bool(momentum[1])),
            np.empty((2, n_targets, n_columns - 1), dtype=block.dtype),
            iterate.coef,
            iterate.coef_sum,
            iterate.velocity,
            losses,
        )
        return losses


def row_dot(X, row, vector):  # pragma: no cover - the compiled form is below
    """Product of one row of X with a vector, in X's dtype."""
    if isinstance(X, np.ndarray):
        return _dense_dot(X, row, vector)
    return _csr_dot(X, row, vector)


def add_row(X, row, factor, vector):  # pragma: no cover - the compiled form is below
    """Add a multiple of one row of X to a vector, in X's dtype."""
    if isinstance(X, np.ndarray):
        _dense_add(X, row, factor, vector)
    else:
        _csr_add(X, row, factor, vector)


@register_jitable
def _dense_dot(X, row, vector):
    total = vector.dtype.type(0)
    for j in range(vector.shape[0]):
        total += X[row, j] * vector[j]
    return total


@register_jitable
def _dense_add(X, row, factor, vector):
    factor = vector.dtype.type(factor)
    for j in range(vector.shape[0]):
        vector[j] += factor * X[row, j]


@register_jitable
def _csr_dot(X, row, vector):
    total = vector.dtype.type(0)
    for k in range(X.indptr[row], X.indptr[row + 1]):
        total += X.data[k] * vector[X.indices[k]]
    return total


@register_jitable
def _csr_add(X, row, factor, vector):
    factor = vector.dtype.type(factor)
    for k in range(X.indptr[row], X.indptr[row + 1]):
        vector[X.indices[k]] += factor * X.data[k]


@overload(row_dot, jit_options={"fastmath": FAST_MATH})
def _row_dot(X, row, vector):
    if isinstance(X, types.Array):
        return lambda X, row, vector: _dense_dot(X, row, vector)
    return lambda X, row, vector: _csr_dot(X, row, vector)


@overload(add_row, jit_options={"fastmath": FAST_MATH})
def _add_row(X, row, factor, vector):
    if isinstance(X, types.Array):
        return lambda X, row, factor, vector: _dense_add(X, row, factor, vector)
    return lambda X, row, factor, vector: _csr_add(X, row, factor, vector)


def loss_value(loss, residual):  # pragma: no cover - the compiled form is below
    """Loss of one prediction."""
    return loss.value(residual)


def loss_slope(loss, residual):  # pragma: no cover - the compiled form is below
    """Give the derivative of the loss by the prediction."""
    return loss.slope(residual)


@overload(loss_value)
def _loss_value(loss, residual):
    value = register_jitable(loss.instance_class.value)
    return lambda loss, residual: value(loss, residual)


@overload(loss_slope)
def _loss_slope(loss, residual):
    slope = register_jitable(loss.instance_class.slope)
    return lambda loss, residual: slope(loss, residual)


_proximal = register_jitable(proximal)


@njit(cache=True, fastmath=FAST_MATH, error_model="numpy", nogil=True)
def _accumulate(X, y, weight, rows, factor, loss, folded, intercepts, partial, gradient):
    """Add ``factor`` times the weighted gradient of some rows to ``gradient`` (raw coordinates, intercept last).

    Returns nothing; the loss of target t is added to ``intercepts[1, t]``, whose row 0 holds the intercepts.
    """
    n_targets, n_features = folded.shape
    for start in range(0, rows.shape[0], FLUSH_ROWS):
        partial[:] = 0
        for i in range(start, min(start + FLUSH_ROWS, rows.shape[0])):
            row = rows[i]
            row_weight = factor * weight[row] if weight.shape[0] else factor
            for t in range(n_targets):
                residual = np.float64(row_dot(X, row, folded[t])) + intercepts[0, t] - y[row, t]
                intercepts[1, t] += row_weight * loss_value(loss, residual)
                slope = row_weight * loss_slope(loss, residual)
                gradient[t, n_features] += slope
                add_row(X, row, slope, partial[t])
        for t in range(n_targets):
            for j in range(n_features):
                gradient[t, j] += partial[t, j]


@njit(cache=True, fastmath=FAST_MATH, error_model="numpy", nogil=True)
def _run_batches(
    X,
    y,
    weight,
    order,
    step_sizes,
    batch_size,
    extreme_rows,
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
    """Do what `sgd_reference.run_batches` does.

    Scale and centre are folded into the weights, so that rows are used as they lie in memory; ``scratch`` holds the
    folded weights and the sums over rows in X's dtype.
    """
    n_targets, n_features = coef.shape[0], coef.shape[1] - 1
    n_rows = y.shape[0]
    share = (n_rows - extreme_rows.shape[0]) / n_rows
    folded, partial = scratch[0], scratch[1]
    intercepts = np.zeros((2, n_targets))
    gradient = np.zeros((n_targets, n_features + 1))
    inner = np.zeros(whitener.shape[1])
    factor, nesterov = momentum
    ahead = 1.0 + factor if nesterov else 1.0
    for batch in range(step_sizes.shape[0]):
        rows = order[batch * batch_size : min((batch + 1) * batch_size, order.shape[0])]
        for t in range(n_targets):
            offset = coef[t, n_features]
            for j in range(n_features):
                folded[t, j] = coef[t, j] * inverse_scale[j]
                offset -= centre[j] * folded[t, j]
            intercepts[0, t] = offset
            intercepts[1, t] = 0.0
        gradient[:] = 0.0
        _accumulate(X, y, weight, rows, share / rows.shape[0], loss, folded, intercepts, partial, gradient)
        if extreme_rows.shape[0]:
            _accumulate(X, y, weight, extreme_rows, 1.0 / n_rows, loss, folded, intercepts, partial, gradient)
        for t in range(n_targets):
            losses[t] += rows.shape[0] * intercepts[1, t]
            slope = gradient[t, n_features]
            for j in range(n_features):
                decay = penalty.l2 * coef[t, j] * inverse_scale[j]
                gradient[t, j] = (gradient[t, j] - centre[j] * slope + decay) * inverse_scale[j]
            if past.shape[0]:
                _recall(past, anchor[t], coef[t], gradient[t])
            if whitener.shape[1]:
                _whiten(whitener, inner, gradient[t])
            if not fit_intercept:
                gradient[t, n_features] = 0.0
            step_size = step_sizes[batch, t]
            for j in range(n_features + 1):
                step = step_size * gradient[t, j]
                velocity[t, j] = factor * velocity[t, j] - step
                coef[t, j] += factor * velocity[t, j] - step if nesterov else velocity[t, j]
            if penalty.proximal:
                for j in range(n_features):
                    threshold = ahead * penalty.l1 * step_size * inverse_scale[j]
                    moved = _proximal(coef[t, j], threshold, penalty.positive)
                    velocity[t, j] += (moved - coef[t, j]) / ahead
                    coef[t, j] = moved
            for j in range(n_features + 1):
                coef_sum[t, j] += coef[t, j]


@njit(cache=True, fastmath=FAST_MATH, error_model="numpy", nogil=True)
def _recall(past, anchor, coef, gradient):
    """Add the gradient ``past @ (coef - anchor)`` of earlier rows."""
    for j in range(past.shape[0]):
        moved = coef[j] - anchor[j]
        for k in range(past.shape[0]):
            gradient[k] += past[j, k] * moved


@njit(cache=True, fastmath=FAST_MATH, error_model="numpy", nogil=True)
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
