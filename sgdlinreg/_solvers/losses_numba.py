"""Losses in compiled code: their own text, compiled for numbers and for lanes."""

from numba.extending import overload, register_jitable


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
