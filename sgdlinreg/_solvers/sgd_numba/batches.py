"""Sums over rows and steps, compiled by numba: one text for dense and CSR, float32 and float64, and every loss."""

from typing import Any, NamedTuple

import numpy as np
from numba.extending import overload, register_jitable

from sgdlinreg._core.numba_loops import FAST, INLINED, compiled
from sgdlinreg._core.objective import proximal
from sgdlinreg._solvers.sgd_numba.prefetch import prefetch
from sgdlinreg._solvers.sgd_numba.rows import add, multiply, prefetch_row

GROUP = 4
"""Rows at a time."""
FLUSH_ROWS = 256
"""Rows whose gradient is summed in the dtype of the weights before it is added to the float64 sum."""


class Rows(NamedTuple):
    """The data, read-only.

    Attributes
    ----------
    X : ndarray of shape (n_rows, n_features) or CSR
    y : ndarray of shape (n_rows * n_targets,), float64
    weight : ndarray of shape (n_rows,), float64
    y_step, weight_step : int
        From one row to the next: n_targets and 1; 0 where one row of ``y``, or one weight, serves all.
    first_row : int
        Number of the row that an order calls 0.
    """

    X: Any
    y: np.ndarray
    weight: np.ndarray
    y_step: int
    weight_step: int
    first_row: int


class Folded(NamedTuple):
    """A model for rows as they lie in memory: scale and centre are folded into it.

    Attributes
    ----------
    weights : ndarray of shape (n_targets, n_features)
        In the dtype in which products and sums are made.
    intercepts : ndarray of shape (n_targets,), float64
    """

    weights: np.ndarray
    intercepts: np.ndarray


class Sums(NamedTuple):
    """Sums over rows.

    Attributes
    ----------
    losses : ndarray of shape (n_targets,), float64
    gradient : ndarray of shape (n_targets, n_features + 1), float64
        With respect to a `Folded` model, the intercept last.
    partial : ndarray of shape (n_features,)
        Memory for sums in the dtype of the weights; zero between calls.
    """

    losses: np.ndarray
    gradient: np.ndarray
    partial: np.ndarray


class Steps(NamedTuple):
    """What is the same in every step.

    Attributes
    ----------
    centre, inverse_scale : ndarray of shape (n_features,), float64
    l1, l2, positive : float
        Of the objective; ``positive`` is 0 or 1.
    is_smooth, fit_intercept : bool
        Of the objective.
    momentum : float
    nesterov : bool
    """

    centre: np.ndarray
    inverse_scale: np.ndarray
    l1: float
    l2: float
    positive: float
    is_smooth: bool
    fit_intercept: bool
    momentum: float
    nesterov: bool


def loss_value(loss, residual):
    """Compute the loss of one prediction."""
    return loss.value(residual)


def loss_slope(loss, residual):
    """Compute the derivative of the loss by the prediction."""
    return loss.slope(residual)


@overload(loss_value, jit_options=INLINED, strict=False)
def _loss_value(loss, residual):
    return loss.instance_class.value


@overload(loss_slope, jit_options=INLINED, strict=False)
def _loss_slope(loss, residual):
    return loss.instance_class.slope


_proximal = register_jitable(**INLINED)(proximal)


@compiled(**INLINED)
def add_rows(rows, order, start, stop, ahead, loss, folded, sums):
    """Add the losses of some rows, and their gradient, to sums.

    Parameters
    ----------
    rows : Rows
    order : ndarray of int32 or int64
        Numbers of rows.
    start, stop : int
        The part of ``order`` to sum over.
    ahead : int
        How many places ahead in ``order`` a row is asked for.
    loss : NamedTuple
        One of the types in `LOSSES`.
    folded : Folded
    sums : Sums
        Updated in place.
    """
    X, y, weight, y_step, weight_step, first_row = rows
    losses, gradient, partial = sums
    n_targets, n_features = folded.weights.shape
    for first in range(start, stop, FLUSH_ROWS):
        last = min(first + FLUSH_ROWS, stop)
        for t in range(n_targets):
            weights, intercept = folded.weights[t], folded.intercepts[t]
            loss_sum, slope_sum = 0.0, 0.0
            for i in range(first, last, GROUP):
                if t == 0 and i + ahead + GROUP <= order.shape[0]:
                    for k in range(i + ahead, i + ahead + GROUP):
                        row = _row_at(order, k, first_row)
                        prefetch_row(X, row)
                        prefetch(y, row * y_step * 8)
                        prefetch(weight, row * weight_step * 8)
                # a short group repeats its last row, with weight 0
                a, b = _row_at(order, i, first_row), _row_at(order, min(i + 1, last - 1), first_row)
                c, d = _row_at(order, min(i + 2, last - 1), first_row), _row_at(order, min(i + 3, last - 1), first_row)
                factor_a = weight[np.uint64(a * weight_step)]
                factor_b = weight[np.uint64(b * weight_step)] if i + 1 < last else 0.0
                factor_c = weight[np.uint64(c * weight_step)] if i + 2 < last else 0.0
                factor_d = weight[np.uint64(d * weight_step)] if i + 3 < last else 0.0
                residual_a, residual_b, residual_c, residual_d = multiply(X, a, b, c, d, weights)
                slope_a, loss_a = _weigh(loss, residual_a + (intercept - y[np.uint64(a * y_step + t)]), factor_a)
                slope_b, loss_b = _weigh(loss, residual_b + (intercept - y[np.uint64(b * y_step + t)]), factor_b)
                slope_c, loss_c = _weigh(loss, residual_c + (intercept - y[np.uint64(c * y_step + t)]), factor_c)
                slope_d, loss_d = _weigh(loss, residual_d + (intercept - y[np.uint64(d * y_step + t)]), factor_d)
                loss_sum += loss_a + loss_b + loss_c + loss_d
                slope_sum += slope_a + slope_b + slope_c + slope_d
                add(X, a, b, c, d, slope_a, slope_b, slope_c, slope_d, partial)
            losses[t] += loss_sum
            gradient[t, n_features] += slope_sum
            for j in range(n_features):
                gradient[t, j] += partial[j]
                partial[j] = 0


@register_jitable(**INLINED)
def _row_at(order, place, first_row):
    return np.int64(order[np.uint64(place)]) + first_row


@register_jitable(**INLINED)
def _weigh(loss, residual, factor):
    return factor * loss_slope(loss, residual), factor * loss_value(loss, residual)


@compiled(**INLINED)
def take_step(n_rows, step_sizes, steps, sums, iterate):
    """Take one step along the gradient of ``n_rows`` rows, as `kernel_numpy.run_batches` does.

    Parameters
    ----------
    n_rows : int
    step_sizes : ndarray of shape (n_targets,)
    steps : Steps
    sums : Sums
        Those of the rows; their gradient is set to 0.
    iterate : Iterate
    """
    centre, inverse_scale, l1, l2, positive, is_smooth, fit_intercept, momentum, nesterov = steps
    coef, coef_sum, velocity = iterate
    n_targets, n_features = coef.shape[0], coef.shape[1] - 1
    ahead = 1.0 + momentum if nesterov else 1.0
    for t in range(n_targets):
        step_size, mean = step_sizes[t], 1.0 / n_rows
        slope = mean * sums.gradient[t, n_features]
        for j in range(n_features):
            decay = l2 * coef[t, j] * inverse_scale[j]
            step = step_size * inverse_scale[j] * (mean * sums.gradient[t, j] - centre[j] * slope + decay)
            velocity[t, j] = momentum * velocity[t, j] - step
            coef[t, j] += momentum * velocity[t, j] - step if nesterov else velocity[t, j]
        step = step_size * slope if fit_intercept else 0.0
        velocity[t, n_features] = momentum * velocity[t, n_features] - step
        coef[t, n_features] += momentum * velocity[t, n_features] - step if nesterov else velocity[t, n_features]
        if not is_smooth:
            for j in range(n_features):
                moved = _proximal(coef[t, j], ahead * l1 * step_size * inverse_scale[j], positive)
                velocity[t, j] += (moved - coef[t, j]) / ahead
                coef[t, j] = moved
        for j in range(n_features + 1):
            coef_sum[t, j] += coef[t, j]
            sums.gradient[t, j] = 0.0


@compiled(**FAST)
def run_batches(rows, order, step_sizes, batch_size, ahead, loss, steps, folded, sums, iterate):
    """Take one step for every batch, as `kernel_numpy.run_batches` does.

    Parameters
    ----------
    rows : Rows
    order : ndarray of int32 or int64
        Numbers of rows, batch after batch.
    step_sizes : ndarray of shape (n_batches, n_targets), float64
    batch_size : int
    ahead, loss : int, NamedTuple
        As in `add_rows`.
    steps : Steps
    folded : Folded
        Memory for the model of a batch.
    sums : Sums
        Losses are added; the gradient is zero before and after.
    iterate : Iterate
        Updated in place.
    """
    coef, weights = iterate.coef, folded.weights
    n_targets, n_features = weights.shape
    for batch in range(step_sizes.shape[0]):
        start, stop = batch * batch_size, min((batch + 1) * batch_size, order.shape[0])
        for t in range(n_targets):
            intercept = coef[t, n_features]
            for j in range(n_features):
                weight = coef[t, j] * steps.inverse_scale[j]
                weights[t, j] = weight
                intercept -= steps.centre[j] * weight
            folded.intercepts[t] = intercept
        add_rows(rows, order, start, stop, ahead, loss, folded, sums)
        take_step(stop - start, step_sizes[batch], steps, sums, iterate)
