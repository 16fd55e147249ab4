"""Moments of a block, in dense panels of rows or from sparse products."""

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import sparse

from sgdlinreg._core.arrays import EPS, NUMPY
from sgdlinreg._core.blocks import CSR, Block, as_scipy, panel_of, rows_of, take_rows
from sgdlinreg._core.statistics import shift_complete
from sgdlinreg._core.threads import map_strips
from sgdlinreg._solvers.closed_form.double_double import EPS_SINGLE, DoubleDouble, power_of_two_above, two_sum
from sgdlinreg._solvers.closed_form.moments import Moments

PIECE_ROWS = 4096
"""Rows multiplied at once: long enough for BLAS, and of more float32 products lose digits."""
PANEL_BYTES = 1 << 21
"""Pieces of narrow rows are copied and shifted together, up to this size in float64 on the CPU."""
ROWS_AT_ONCE = 16
"""So many rows of a panel are shifted as one: NumPy is slow on short rows."""
SAMPLE_ROWS = 256
MAX_CANCELLED = 1e3
"""Where the mean turns out to be so far from the shift that more is cancelled, the pass is done again."""
LEAST_WEIGHT = 2.0**-60
"""Smaller weights do not go with float32 products."""
DENSE_PART = 0.1
"""CSR with more than this part of its values stored is multiplied in dense panels: that is faster."""
PLAIN_UNITS = {np.dtype(np.float64): 2.0**100, np.dtype(np.float32): 2.0**20}
"""Spreads from 1 / this to this need no unit: their squares are far from the ends of the type."""


def moments_of(block: Block, precise: bool) -> Moments:
    """Compute the moments of a block; ``precise`` says whether products of float32 data are float64 too.

    Weights are at most 1. The cost is n_rows * (n_features + n_targets)**2 operations, less of CSR with few values,
    which stays sparse.
    """
    if block.is_sparse and len(block.X.data) < DENSE_PART * block.n_rows * block.n_features:
        return _sparse_moments(block)
    uneven = block.sample_weight is not None and block.sample_weight.min() < LEAST_WEIGHT
    dtype = np.dtype(np.float64) if precise or uneven else block.dtype
    shift, unit, spread = _guess(block, dtype)
    moments = _sum_panels(block, dtype, shift, unit)
    squares = moments.products.diagonal()
    unseen = ~np.isfinite(squares) | ((squares == 0.0) & (spread == 0.0))
    again = moments.rounding > MAX_CANCELLED * np.finfo(dtype).eps
    if unseen.any():
        largest = _largest_deviation(block, shift, unseen)
        unit = np.where(unseen & (largest > 0.0), power_of_two_above(largest), unit)
        again = again or bool((largest > 0.0).any())
    if again:  # the sample misses what the columns hold
        shift = moments.mean.high if np.isfinite(moments.mean.high).all() else shift
        moments = _sum_panels(block, dtype, shift, unit)
    return moments


def _guess(block: Block, dtype):
    """Return shift, unit and spread of the columns of [X, y], from some rows spread over the block."""
    rows = np.arange(0, block.n_rows, max(1, block.n_rows // SAMPLE_ROWS))
    if block.sample_weight is not None:  # a mean without the heaviest rows may be far off
        heaviest = np.argpartition(block.sample_weight, -min(block.n_rows, SAMPLE_ROWS))[-SAMPLE_ROWS:]
        rows = np.union1d(rows, heaviest)
    weight = np.ones(len(rows)) if block.sample_weight is None else block.sample_weight[rows]
    sample = np.concatenate([take_rows(block.X, rows, dense=True), block.y[rows]], axis=1)
    first = sample[weight.argmax()].copy()
    sample -= first
    shift = first + (weight / weight.sum()) @ sample
    spread = np.abs(sample, out=sample).max(axis=0)
    shift = np.where(spread > 0.0, shift, first)  # constant columns stay exactly 0
    return shift, _unit_of(np.where(spread > 0.0, spread, np.abs(first)), dtype), spread


def _largest_deviation(block, shift, columns):
    """Return the largest deviation of some columns from the shift, 0 for the others."""
    largest, d = np.zeros(len(shift)), block.n_features
    for start in range(0, block.n_rows, PIECE_ROWS):
        X, y, _ = panel_of(block, slice(start, start + PIECE_ROWS))
        X = X.toarray() if sparse.issparse(X) else X
        rows = np.concatenate([X[:, columns[:d]], y[:, columns[d:]]], axis=1)
        largest[columns] = np.maximum(largest[columns], np.abs(rows - shift[columns]).max(axis=0))
    return largest


def _sum_panels(block: Block, dtype, shift, unit) -> Moments:
    """Sum up moments about a shift, panel by panel in a few threads."""
    d, size, ops = block.n_features, len(shift), block.ops
    shift = np.concatenate([shift[:d].astype(dtype).astype(np.float64), shift[d:]])
    width = -(-(size + 1) // 4) * 4  # BLAS likes multiples of four
    panel_bytes = PANEL_BYTES if ops is NUMPY else ops.panel_bytes
    panel_rows = max(1, panel_bytes // (8 * width * PIECE_ROWS)) * PIECE_ROWS
    fill = _filling(block, dtype, shift, unit, width)
    weighted = block.sample_weight is not None

    @np.errstate(over="ignore", invalid="ignore")  # what is not finite is looked at in the end
    def strip(start, stop):
        n_groups = -(-min(panel_rows, stop - start) // ROWS_AT_ONCE)
        panel = ops.zeros((n_groups * ROWS_AT_ONCE, width), dtype)
        panel[:, size] = 1.0
        product, total, squares = ops.zeros((width, width), dtype), ops.zeros((width, width)), np.zeros(width)
        for begin in range(start, stop, panel_rows):
            part = fill(panel, slice(begin, min(begin + panel_rows, stop)))
            if weighted:
                squares += ops.take((part * part).T @ (1.0 / part[:, size] ** 2))
            n_pieces = (len(part) - 1) // PIECE_ROWS
            pieces, rest = part[: n_pieces * PIECE_ROWS], part[n_pieces * PIECE_ROWS :]
            total += ops.matmul(rest.T, rest, out=product)
            if n_pieces:
                pieces = pieces.reshape(n_pieces, PIECE_ROWS, width)
                total += ops.in_double(ops.matmul(pieces.mT, pieces)).sum(0)
        return ops.take(total), squares

    totals, squares = zip(*map_strips(strip, block.n_rows, panel_rows, ops.threads), strict=True)
    total = sum(totals)
    weight = total[size, size]
    rest = total[size, :size] / weight
    products = total[:size, :size] - rest[:, None] * rest * weight
    if block.sample_weight is not None:
        largest = block.sample_weight.max()
        weight, products = weight * largest, products * largest
    moments = _moments(block, weight, shift, rest, unit, products, dtype == np.float32)
    return moments._replace(spread=np.sqrt(sum(squares)[:size] / block.n_rows) * unit) if weighted else moments


def _filling(block: Block, dtype, shift, unit, width: int) -> Callable[[Any, slice], Any]:
    """Return a function that writes rows of [X, y] into a panel, and returns the part of the panel that they fill.

    They are shifted, in their units and times the root of their weights. The column after them holds ones, which become
    the roots of the weights. The length of the panel is a multiple of ``ROWS_AT_ONCE``.
    """
    d, size, ops, is_sparse = block.n_features, len(shift), block.ops, block.is_sparse
    whole: Any = as_scipy(block.X) if isinstance(block.X, CSR) else block.X
    x_shift = np.zeros((ROWS_AT_ONCE, width), dtype)
    x_shift[:, :d] = shift[:d]
    x_shift = ops.put(x_shift.ravel())
    factor = None if (unit[:d] == 1.0).all() else ops.put((1.0 / unit[:d]).astype(dtype))
    root = None if block.sample_weight is None else np.sqrt(block.sample_weight / block.sample_weight.max())

    def fill(panel, rows):
        part = panel[: rows.stop - rows.start]
        X = whole[rows]
        part[:, :d] = X.toarray() if is_sparse else X
        grouped = panel.reshape(-1, len(x_shift))
        grouped -= x_shift
        part[:, d:size] = ops.put((block.y[rows] - shift[d:]) / unit[d:])
        if factor is not None:
            part[:, :d] *= factor
        if root is not None:
            part[:, size] = 1.0
            part *= ops.put(root[rows, None].astype(dtype))
        return part

    return fill


def _sparse_moments(block: Block) -> Moments:
    """Sum up moments of CSR. Columns without zeros are shifted first: an offset would cost digits."""
    X, y, weight = rows_of(block, slice(None))
    X, d, total = X.astype(np.float64, copy=True), block.n_features, weight.sum()
    _, shift = shift_complete(X)
    y_mean = (weight @ y) / total
    y = y - y_mean
    size = np.concatenate([abs(X).max(axis=0).toarray().ravel(), np.abs(y).max(axis=0)])
    unit = _unit_of(size, np.dtype(np.float64))
    X.data /= unit[X.indices]
    y /= unit[d:]
    variance = np.concatenate([X.power(2).mean(axis=0), np.square(y).mean(axis=0)])
    x_mean = (weight @ X) / total
    weighted = sparse.diags_array(weight) @ X
    products = np.empty((len(size), len(size)))
    products[:d, :d] = (X.T @ weighted).toarray() - total * np.outer(x_mean, x_mean)
    products[:d, d:] = weighted.T @ y
    products[d:, :d] = products[:d, d:].T
    products[d:, d:] = (y * weight[:, None]).T @ y
    shift, rest = np.concatenate([shift, y_mean]), np.concatenate([x_mean, 0.0 * y_mean])
    return _moments(block, total, shift, rest, unit, products)._replace(spread=np.sqrt(variance) * unit)


def _moments(block, weight, shift, rest, unit, products, rounded=False) -> Moments:
    """Return moments from products about the mean, which is ``rest`` units from the shift; the spread is weighted."""
    squares = products.diagonal()
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        ratio = np.square(rest) * weight / squares
    cancelled = 1.0 + float(np.max(ratio, where=(squares > 0.0) & np.isfinite(ratio), initial=0.0))
    mean, rounding = DoubleDouble(*two_sum(shift, rest * unit)), (EPS_SINGLE if rounded else EPS) * cancelled
    return Moments(
        n_features=block.n_features,
        n_rows=block.n_rows,
        total_weight=float(weight),
        weight_exponent=block.weight_exponent,
        least_weight=1.0 if block.sample_weight is None else float(block.sample_weight.min()),
        log_weight=0.0 if block.sample_weight is None else float(np.log(block.sample_weight).sum()),
        mean=mean,
        unit=unit,
        spread=np.sqrt(np.maximum(squares / weight, 0.0)) * unit,
        products=products,
        rounded=rounded,
        rounding=rounding,
        eps=float(np.finfo(block.dtype).eps),
    )


def _unit_of(size: np.ndarray, dtype) -> np.ndarray:
    """Return the unit of columns of a size: 1 unless squares would come near the ends of the type."""
    plain = PLAIN_UNITS[dtype]
    extreme = (size > plain) | ((size < 1.0 / plain) & (size > 0.0))
    return np.where(extreme, power_of_two_above(size), 1.0) if extreme.any() else np.ones(len(size))
