"""Losses and slopes of many models at once, compiled: their products with the rows are BLAS's."""

from numba.extending import overload

from sgdlinreg._core.numba_loops import FAST, INLINED, compiled
from sgdlinreg._solvers.sgd_numba.batches import loss_slope, loss_value


@compiled(**FAST)
def weigh(loss, residual, weight, losses):
    """Do what `objective.weigh` does; numbers of the loss are arrays of shape (n_models,)."""
    for i in range(residual.shape[0]):
        factor = weight[i]
        for t in range(residual.shape[1]):
            one = _loss_of(loss, t)
            value = loss_value(one, residual[i, t])
            residual[i, t] = factor * loss_slope(one, residual[i, t])
            losses[t] += factor * value


def _loss_of(loss, model):
    """Return the loss of one model, with floats for numbers."""


@overload(_loss_of, jit_options=INLINED, strict=False)
def _loss_of_compiled(loss, model):
    cls = loss.instance_class
    number_of = {
        0: lambda loss, model: cls(),
        1: lambda loss, model: cls(loss[0][model]),
        4: lambda loss, model: cls(loss[0][model], loss[1][model], loss[2][model], loss[3][model]),
    }
    return number_of[len(loss.types)]
