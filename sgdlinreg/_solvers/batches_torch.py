"""Steps in torch operations: rows of many batches are gathered at once, so that a step is a handful of operations."""

from typing import Any, NamedTuple

import numpy as np

from sgdlinreg._objective import proximal
from sgdlinreg._solvers.rows_torch import FoldedBatches, ScaledBatches

GATHERED = {"cpu": 1 << 17, "cuda": 1 << 22}
"""Values gathered at once, in float64: on a CPU they should stay in the second-level cache."""
MAX_GATHERED_BATCHES = 256
MAX_PATH = 1 << 22
"""Coefficients in all iterates that are kept until their sum is taken."""
MAX_SCALED = 1 << 14
"""Rows of batches of more values are used as they are: scaling them takes longer than the operations it saves."""


class Setting(NamedTuple):
    """What stays the same in all steps on a block, as tensors on the device.

    Attributes
    ----------
    centre, inverse_scale : (n_features,)
        The coordinates.
    whitener : (n_features + 1, rank + 1) or None
        Gradients are multiplied by ``whitener @ whitener.T``; the intercept's is not changed.
    extreme_rows : (n_extreme,)
    curvature : (n_features + 1, n_features + 1) or None
        What earlier rows of a stream add: ``curvature @ (coef - anchor)``.
    anchor : (n_features + 1, n_targets)
    is_raw : bool
        Whether the coordinates are those of the data.
    """

    centre: Any
    inverse_scale: Any
    whitener: Any
    extreme_rows: Any
    curvature: Any
    anchor: Any
    is_raw: bool


class Position(NamedTuple):
    """What steps change, in place: coef, coef_sum and velocity (n_features + 1, n_targets); losses (n_targets,).

    For one target there is no second axis.
    """

    coef: Any
    coef_sum: Any
    velocity: Any
    losses: Any


def make_setting(put, conditioning, memory, fit_intercept: bool) -> Setting:
    """Bring what `sgd_reference.run_batches` is given to the device."""
    whitener = curvature = None
    if conditioning.whitener.shape[1]:
        whitener = np.pad(conditioning.whitener, (0, 1))
        whitener[-1, -1] = 1.0
    if len(memory.curvature):
        curvature = memory.curvature.T.copy()
        curvature[-1] *= fit_intercept
    return Setting(
        put(conditioning.centre),
        put(1.0 / conditioning.scale),
        None if whitener is None else put(whitener),
        put(conditioning.extreme_rows),
        None if curvature is None else put(curvature),
        put(memory.anchor.T.copy()),
        not conditioning.centre.any() and bool((conditioning.scale == 1.0).all()),
    )


def make_position(torch, n_features: int, n_targets: int, device) -> Position:
    """Make a position of zeros."""
    shape = (n_features + 1,) if n_targets == 1 else (n_features + 1, n_targets)
    coef, coef_sum, velocity = torch.zeros((3, *shape), dtype=torch.float64, device=device)
    return Position(coef, coef_sum, velocity, torch.zeros(shape[1:], dtype=torch.float64, device=device))


def batches_at_once(block, batch_size: int, n_extreme: int, device: str) -> int:
    """Give the number of batches whose rows are gathered together, and whose iterates are kept until then."""
    rows = batch_size + n_extreme
    values = rows * (block.n_features + 1)
    if block.is_sparse:
        values = int(rows * (len(block.X.data) / max(1, block.n_rows) + 1))
    elif values > MAX_SCALED:  # rows are gathered a batch at a time; what else there is of a batch is not
        values = 4 * rows + block.n_features
    gathered = GATHERED.get(device, GATHERED["cpu"]) // values
    kept = MAX_PATH // ((block.n_features + 1) * block.y.shape[1])
    return max(1, min(gathered, kept, MAX_GATHERED_BATCHES))


def take_steps(torch, block, setting, objective, momentum, rows, step_sizes, capacity, position, buffers) -> None:
    """Take one step for every row of ``rows``, without synchronisation between host and device.

    The operations and the shapes of what they work on follow from the shapes of the arguments and ``capacity`` alone.

    Parameters
    ----------
    torch : module
    block : DeviceBlock
    setting : Setting
    objective : Objective
    momentum : tuple of (float, bool)
    rows : tensor of shape (n_batches, batch_size)
    step_sizes : tensor of shape (n_batches, n_targets)
    capacity : int
        Values for which there is room in each batch of CSR rows, those of the extreme rows among them.
    position : Position
    buffers : Buffers
    """
    n_batches, batch_size = rows.shape
    coef, coef_sum, velocity, losses = position
    one_target = coef.ndim == 1
    n_extreme = len(setting.extreme_rows)
    joined = torch.cat([rows, setting.extreme_rows.expand(n_batches, -1)], dim=1) if n_extreme else rows
    y = block.y.index_select(0, joined.reshape(-1)).view(*joined.shape, -1)
    weight = _weights(torch, block, joined, batch_size)
    if one_target:
        y, scale = y.squeeze(-1), setting.inverse_scale
    else:
        weight, scale, step_sizes = weight[..., None], setting.inverse_scale[:, None], step_sizes[:, None, :]
    folds = block.is_sparse or joined.shape[1] * (block.n_features + 1) > MAX_SCALED
    path = buffers.get("path", (n_batches, *coef.shape), coef.dtype)
    iterates = path.unbind()
    about = (torch, block, joined, setting, objective.fit_intercept, one_target, buffers)
    batches: Any = FoldedBatches(*about, capacity, path, iterates) if folds else ScaledBatches(*about)

    residuals = torch.empty_like(y)
    plain = momentum[0] == 0.0 and objective.is_smooth and setting.whitener is None and setting.curvature is None
    factors = weight * -step_sizes if plain else weight
    step = _plain_step if plain else _step
    shrink = _penalty_of(torch, objective, coef, scale)
    current = coef
    slope_of = objective.loss.slope
    parts = zip(y.neg_().unbind(), residuals.unbind(), factors.unbind(), step_sizes.unbind(), iterates, strict=True)
    for number, (minus_y, residual, factor, step_size, moved) in enumerate(parts):
        batches.residual(number, minus_y, current, residual)
        slope = slope_of(residual) * factor
        step(batches, number, slope, step_size, shrink, current, moved, (setting, objective, momentum, velocity, scale))
        current = moved
    if plain:
        torch.sub(current, path[-2] if n_batches > 1 else coef, out=velocity)
    coef.copy_(current)
    coef_sum += path.sum(dim=0)
    losses += batch_size * (weight * objective.loss.value(residuals)).sum(dim=(0, 1))


def _weights(torch, block, joined, batch_size):
    """Weights of the rows of batches, (n_batches, rows); extreme rows come last."""
    n_extreme = joined.shape[1] - batch_size
    share = (block.n_rows - n_extreme) / block.n_rows
    weight = torch.full(joined.shape, share / batch_size, dtype=torch.float64, device=joined.device)
    if n_extreme:
        weight[:, batch_size:] = 1.0 / block.n_rows
    if block.sample_weight is not None:
        weight *= block.sample_weight.index_select(0, joined.reshape(-1)).view(joined.shape)
    return weight


def _penalty_of(torch, objective, coef, scale):
    """Factors of the coefficients in the gradient of the l2 penalty; None where there is none."""
    if not objective.l2:
        return None
    factors = torch.zeros_like(coef)
    factors[:-1] = objective.l2 * scale * scale
    return factors


def _plain_step(batches, number, slope, step_size, shrink, coef, moved, rest):
    """Take a step along the gradient alone; the slopes have been multiplied by the step already."""
    batches.add_gradient(number, coef, slope, moved)
    if shrink is not None:
        moved -= step_size * (shrink * coef)


def _step(batches, number, slope, step_size, shrink, coef, moved, rest):
    """Take a step with all there may be."""
    setting, objective, (factor, nesterov), velocity, scale = rest
    start = moved.zero_() if shrink is None else shrink * coef
    batches.add_gradient(number, start, slope, moved)
    gradient = moved
    if setting.curvature is not None:
        gradient = gradient + setting.curvature @ (coef - setting.anchor.view(coef.shape))
    if setting.whitener is not None:
        gradient = setting.whitener @ (setting.whitener.T @ gradient)
    step = step_size * gradient
    velocity.mul_(factor).sub_(step)
    if nesterov:
        moved.copy_(coef).add_(velocity, alpha=factor).sub_(step)
    else:
        moved.copy_(coef).add_(velocity)
    if not objective.is_smooth:
        ahead = 1.0 + factor if nesterov else 1.0
        weights = proximal(moved[:-1], ahead * objective.l1 * step_size * scale, float(objective.positive))
        velocity[:-1] += (weights - moved[:-1]) / ahead
        moved[:-1] = weights
