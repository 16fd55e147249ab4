"""Batches in torch operations: rows of many batches are gathered at once, so that a step is a handful of operations."""

import math
from typing import Any, NamedTuple

import numpy as np

from sgdlinreg._objective import proximal

GATHERED = {"cpu": 1 << 17, "cuda": 1 << 22}
"""Values gathered at once, in float64: on a CPU they should stay in the second-level cache."""
MAX_GATHERED_BATCHES = 256
MAX_PATH = 1 << 22
"""Coefficients in all iterates that are kept until their sum is taken."""
MAX_SCALED = 1 << 15
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


class Buffers:
    """Memory for temporaries that is used again by every call.

    On a CPU fresh memory of some size comes page by page at its first use, which takes as long as the steps of a batch.
    CUDA's allocator keeps memory itself, and a graph has to own what it captured: there nothing is kept here.
    """

    def __init__(self, torch, device):
        self.torch, self.device, self.kept = torch, device, {}

    def get(self, name: str, shape: tuple[int, ...], dtype):
        """Give a tensor with any values in it, which the next call with the same name may give again."""
        if self.device.type == "cuda":
            return self.torch.empty(shape, dtype=dtype, device=self.device)
        size = math.prod(shape)
        if name not in self.kept or len(self.kept[name]) < size:
            self.kept[name] = self.torch.empty(size, dtype=dtype, device=self.device)
        return self.kept[name][:size].view(shape)


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
    make: Any = FoldedBatches if folds else ScaledBatches
    batches = make(torch, block, joined, capacity, setting, objective.fit_intercept, one_target, buffers)

    residuals, path = torch.empty_like(y), buffers.get("path", (n_batches, *coef.shape), coef.dtype)
    plain = momentum[0] == 0.0 and objective.is_smooth and setting.whitener is None and setting.curvature is None
    factors = weight * -step_sizes if plain else weight
    step = _plain_step if plain else _step
    shrink = _penalty_of(torch, objective, coef, scale)
    current = coef
    slope_of = objective.loss.slope
    parts = zip(
        y.neg_().unbind(), residuals.unbind(), factors.unbind(), step_sizes.unbind(), path.unbind(), strict=True
    )
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


class ScaledBatches:
    """Dense rows of small batches in scaled coordinates, float64, the last column that of the intercept."""

    def __init__(self, torch, block, joined, capacity, setting, fit_intercept, one_target, buffers):
        taken = buffers.get("taken", (joined.numel(), block.n_features), block.X.dtype)
        torch.index_select(block.X, 0, joined.reshape(-1), out=taken)
        Z = buffers.get("scaled", (len(taken), block.n_features + 1), torch.float64)
        if setting.is_raw:
            Z[:, :-1] = taken
        else:
            torch.sub(taken, setting.centre, out=Z[:, :-1])
            Z[:, :-1] *= setting.inverse_scale
        Z[:, -1] = float(fit_intercept)
        Z = Z.view(*joined.shape, -1)
        self.rows, self.columns = Z.unbind(), Z.transpose(1, 2).unbind()
        self.multiply = torch.addmv if one_target else torch.addmm

    def residual(self, number, minus_y, coef, out):
        """Set the predictions of a batch minus y."""
        self.multiply(minus_y, self.rows[number], coef, out=out)

    def add_gradient(self, number, start, slope, out):
        """Set ``start`` plus the sum of the rows of a batch times their slopes."""
        self.multiply(start, self.columns[number], slope, out=out)


class FoldedBatches:
    """Rows as they are, dense or CSR, with centre and scale folded into the coefficients."""

    def __init__(self, torch, block, joined, capacity, setting, fit_intercept, one_target, buffers):
        self.torch, self.fit_intercept, self.is_raw = torch, fit_intercept, setting.is_raw
        self.centre, self.inverse_scale = setting.centre, setting.inverse_scale
        if not one_target:
            self.centre, self.inverse_scale = self.centre[:, None], self.inverse_scale[:, None]
        self.batches: Any = None
        if block.is_sparse:
            self.batches = SparseRows(torch, block.X, joined, capacity, one_target)
        else:
            self.batches = DenseRows(torch, block.X, joined, one_target, buffers)

    def residual(self, number, minus_y, coef, out):
        """Set the predictions of a batch minus y."""
        folded, offset = coef[:-1], coef[-1]
        if not self.is_raw:
            folded = folded * self.inverse_scale
            offset = offset - (self.centre * folded).sum(dim=0)
        self.torch.add(minus_y, offset, out=out)
        self.batches.add_times(number, folded, out)

    def add_gradient(self, number, start, slope, out):
        """Set ``start`` plus the sum of the rows of a batch times their slopes."""
        slope_sum = slope.sum(dim=0)
        if self.is_raw:
            self.batches.add_transposed_times(number, slope, out[:-1].copy_(start[:-1]))
        else:
            features = self.centre * -slope_sum
            self.batches.add_transposed_times(number, slope, features)
            self.torch.addcmul(start[:-1], features, self.inverse_scale, out=out[:-1])
        self.torch.add(start[-1], slope_sum, alpha=float(self.fit_intercept), out=out[-1])


class DenseRows:
    """Rows of dense batches, gathered one batch at a time; products are summed in the dtype of X."""

    def __init__(self, torch, X, joined, one_target, buffers):
        self.torch, self.X, self.joined = torch, X, joined
        self.multiply = torch.addmv if one_target else torch.addmm
        self.rows = buffers.get("taken", (joined.shape[1], X.shape[1]), X.dtype)

    def add_times(self, number, matrix, out):
        """Add the rows of a batch times (n_features, n_targets)."""
        self.torch.index_select(self.X, 0, self.joined[number], out=self.rows)
        self._add(self.rows, matrix, out)

    def add_transposed_times(self, number, matrix, out):
        """Add the transpose of the rows that were multiplied last times (n_rows, n_targets)."""
        self._add(self.rows.T, matrix, out)

    def _add(self, rows, matrix, out):
        if rows.dtype == out.dtype:
            self.multiply(out, rows, matrix, out=out)
        else:
            out += rows @ matrix.to(rows.dtype)


def most_values(torch, X, order, batch_size: int, extreme_rows) -> int:
    """Count the values of the largest batch of CSR rows, with those of the extreme rows; waits for the device once."""
    lengths = X.indptr[1:] - X.indptr[:-1]
    of_rows = torch.nn.functional.pad(lengths[order], (0, -len(order) % batch_size))
    return int(of_rows.view(-1, batch_size).sum(dim=1).max() + lengths[extreme_rows].sum())


class SparseRows:
    """Rows of CSR batches: for each batch the row, the column and the value of its entries.

    All batches have as many entries, so that shapes do not depend on values. Zeros that fill up a batch are shared out
    among its rows, at the columns of the entries that follow: on CUDA entries of one place are added one by one.
    """

    def __init__(self, torch, X, joined, capacity, one_target):
        n_batches, n_rows = joined.shape
        start, stop = X.indptr[joined], X.indptr[joined + 1]
        lengths = stop - start
        spare = capacity - lengths.sum(dim=1, keepdim=True)
        one_more = torch.arange(n_rows, device=joined.device) < spare % n_rows
        lengths = (lengths + spare // n_rows + one_more).view(-1)
        n_entries = n_batches * capacity
        row = torch.repeat_interleave(lengths, output_size=n_entries)
        entry = torch.arange(n_entries, device=joined.device)
        entry += (start.view(-1) - lengths.cumsum(0) + lengths)[row]
        present = entry < stop.view(-1)[row]
        entry.clamp_(max=len(X.data) - 1)
        data = X.data[entry].to(torch.float64) * present
        row = torch.arange(n_rows, device=joined.device).repeat(n_batches)[row]
        entries = row, X.indices[entry], data if one_target else data[:, None]
        self.entries = list(zip(*(part.unflatten(0, (n_batches, capacity)).unbind() for part in entries), strict=True))

    def add_times(self, number, matrix, out):
        """Add the rows of a batch times (n_features, n_targets)."""
        row, column, data = self.entries[number]
        _add_at(out, row, data * matrix[column])

    def add_transposed_times(self, number, matrix, out):
        """Add their transpose times (n_rows, n_targets)."""
        row, column, data = self.entries[number]
        _add_at(out, column, data * matrix[row])


def _add_at(out, index, values):
    """Add values to rows of ``out``; on CUDA index_add_ is atomic and so never the same twice, index_put_ sorts."""
    if out.device.type == "cuda":
        out.index_put_((index,), values, accumulate=True)
    else:
        out.index_add_(0, index, values)
