"""Losses in compiled code: their own text, compiled for numbers and for lanes."""

from numba.extending import overload, register_jitable

from sgdlinreg._solvers.lanes_numba import first_lanes, load_lanes


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


@register_jitable(forceinline=True)
def weigh(products, rows, k, left, t, intercept, factor, loss):
    """Give the weighted slopes and losses of eight rows from ``k`` on, of which so many are left."""
    residual = products + (intercept - load_lanes(rows.targets[t], k))
    residual = first_lanes(residual, left)  # the others are of a later batch; at 0 there is no loss
    weight = factor * load_lanes(rows.weights, k)
    return weight * loss_slope(loss, residual), weight * loss_value(loss, residual)
