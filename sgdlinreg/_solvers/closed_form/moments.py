"""Second moments of [X, y] about their means, in one pass; offsets and units cost no digits."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from scipy import sparse

from sgdlinreg._core.arrays import NUMPY
from sgdlinreg._core.blocks import CSR, Block, as_scipy, panel_of, take_rows
from sgdlinreg._core.statistics import shift_complete
from sgdlinreg._core.threads import map_strips
from sgdlinreg._solvers.closed_form.double_double import DoubleDouble, power_of_two_above, two_sum

PIECE_ROWS = 4096
"""Rows multiplied at once: long enough for BLAS, and of more float32 products lose digits."""
PANEL_BYTES = 1 << 21
"""Pieces of narrow rows are copied and shifted together, up to this size in float64 on the CPU."""
ROWS_AT_ONCE = 16
"""So many rows of a panel are shifted as one: NumPy is slow on short rows."""
SAMPLE_ROWS = 256
DENSE_SHARE = 0.1
"""CSR with more values than this fraction is multiplied in dense panels: that is faster."""
MAX_CANCELLED = 1e3
"""Where the mean turns out to be so far from the shift that more is cancelled, the pass is done again."""
PLAIN_UNITS = {np.dtype(np.float64): 2.0**100, np.dtype(np.float32): 2.0**20}
"""Spreads from 1 / this to this need no unit: their squares are far from the ends of the type."""


class Moments(NamedTuple):
    """Moments of all rows so far.

    Attributes
    ----------
    n_features : int
    precise : bool
        Whether products of float32 data are float64 too; sums always are.
    n_rows : int
    total_weight : float
    mean, mean_rest : ndarray of shape (n_features + n_targets,)
        Weighted mean of each column of [X, y], and what its rounding leaves: of offset columns it matters.
    unit : ndarray of shape (n_features + n_targets,)
        Powers of two that products are in, so that they neither overflow nor vanish.
    products : ndarray of shape (n_features + n_targets, n_features + n_targets)
        Weighted sums of products of deviations from the mean, ``unit[i] * unit[j]`` times.
    rounded : bool
        Whether there are float32 products among them.
    cancelled : float
        How many times larger than the products the numbers were whose difference they are; 1 if they are sums.
    """

    n_features: int
    precise: bool
    n_rows: int
    total_weight: float
    mean: np.ndarray
    unit: np.ndarray
    products: np.ndarray
    mean_rest: np.ndarray
    rounded: bool = False
    cancelled: float = 1.0

    @property
    def n_targets(self) -> int:
        """Number of columns of y."""
        return len(self.unit) - self.n_features

    @classmethod
    def empty(cls, n_features: int, n_targets: int, precise: bool) -> "Moments":
        """Return sums of no rows."""
        size = n_features + n_targets
        return cls(n_features, precise, 0, 0.0, np.zeros(size), np.ones(size), np.zeros((size, size)), np.zeros(size))

    def merge(self, other: "Moments") -> "Moments":
        """Join the moments of other rows (Chan, Golub, LeVeque 1983, eq. 2.1)."""
        if not self.n_rows:
            return other._replace(precise=self.precise)
        total = self.total_weight + other.total_weight
        seen = [np.where(one.products.diagonal() > 0.0, one.unit, 0.0) for one in (self, other)]
        unit = np.maximum(*seen)
        unit = np.where(unit > 0.0, unit, np.maximum(self.unit, other.unit))
        delta = (other.mean - self.mean) + (other.mean_rest - self.mean_rest)
        mean = DoubleDouble(self.mean, self.mean_rest).add(delta * (other.total_weight / total))
        far = np.abs(delta) > PLAIN_UNITS[np.dtype(np.float64)] * unit
        unit = np.where(far, power_of_two_above(delta), unit)
        ours, theirs = (np.where(own > 0.0, own / unit, 0.0) for own in seen)
        step = delta / unit
        products = self.products * np.outer(ours, ours) + other.products * np.outer(theirs, theirs)
        products += np.outer(step, step) * (self.total_weight * other.total_weight / total)
        return self._replace(
            n_rows=self.n_rows + other.n_rows,
            total_weight=total,
            mean=mean.high,
            mean_rest=mean.low,
            unit=unit,
            products=products,
            rounded=self.rounded or other.rounded,
            cancelled=max(self.cancelled, other.cancelled),
        )

    def add(self, block: Block) -> "Moments":
        """Join the moments of a block. Costs n_rows * (n_features + n_targets)**2 operations."""
        if block.is_sparse and len(block.X.data) < DENSE_SHARE * block.n_rows * block.n_features:
            return self.merge(self._of(block, *_sparse_products(block.X, block)))
        dtype = np.dtype(np.float64) if self.precise else block.dtype
        shift, unit, spread = _sample(block, PLAIN_UNITS[dtype])
        moments = self._of(block, *_dense_products(block, dtype, shift, unit))
        squares = moments.products.diagonal()
        unseen = ~np.isfinite(squares) | ((squares == 0.0) & (spread == 0.0))
        again = moments.cancelled > MAX_CANCELLED
        if unseen.any():
            largest = _largest_deviation(block, shift, unseen)
            unit = np.where(unseen & (largest > 0.0), power_of_two_above(largest), unit)
            again = again or bool((largest > 0.0).any())
        if again:  # the sample misses what the columns hold
            shift = moments.mean if np.isfinite(moments.mean).all() else shift
            moments = self._of(block, *_dense_products(block, dtype, shift, unit))
        return self.merge(moments._replace(rounded=dtype == np.float32))

    def _of(self, block, total_weight, shift, rest, unit, products) -> "Moments":
        mean, mean_rest = two_sum(shift, rest)
        squares = products.diagonal()
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            ratio = np.square(rest / unit) * total_weight / squares
        cancelled = 1.0 + float(np.max(ratio, where=(squares > 0.0) & np.isfinite(ratio), initial=0.0))
        sums = block.n_rows, total_weight, mean, unit, products, mean_rest
        return Moments(self.n_features, self.precise, *sums, cancelled=cancelled)


def _sample(block: Block, plain: float):
    """Return shift, unit and spread of the columns of [X, y] from some rows spread over the block."""
    rows = np.arange(0, block.n_rows, max(1, block.n_rows // SAMPLE_ROWS))
    weight = None
    if block.sample_weight is not None:  # a mean without the heaviest rows may be far off
        heaviest = np.argpartition(block.sample_weight, -min(block.n_rows, SAMPLE_ROWS))[-SAMPLE_ROWS:]
        rows = np.union1d(rows, heaviest)
        weight = block.sample_weight[rows]
    sample = np.concatenate([take_rows(block.X, rows, dense=True), block.y[rows]], axis=1)
    first = sample[0 if weight is None else weight.argmax()].copy()
    sample -= first
    normalised = np.full(len(rows), 1.0 / len(rows)) if weight is None else weight / weight.sum()
    shift = first + normalised @ sample
    spread = np.abs(sample, out=sample).max(axis=0)
    shift = np.where(spread > 0.0, shift, first)  # constant columns stay exactly 0
    return shift, _unit_of(np.where(spread > 0.0, spread, np.abs(first)), plain), spread


def _unit_of(size: np.ndarray, plain: float) -> np.ndarray:
    """Return the unit of columns of a size: 1 unless squares would come near the ends of the type."""
    extreme = (size > plain) | ((size < 1.0 / plain) & (size > 0.0))
    return np.where(extreme, power_of_two_above(size), 1.0) if extreme.any() else np.ones(len(size))


def _largest_deviation(block, shift, columns):
    largest = np.zeros(len(shift))
    of_X = np.flatnonzero(columns[: block.n_features])
    of_y = np.flatnonzero(columns[block.n_features :])
    for start in range(0, block.n_rows, PIECE_ROWS):
        rows = slice(start, start + PIECE_ROWS)
        for array, which, offset in ((block.X, of_X, 0), (block.y, of_y, block.n_features)):
            if len(which):
                part = panel_of(Block(array, block.y, None), rows)[0]
                part = (part.toarray() if sparse.issparse(part) else part)[:, which]
                deviation = np.abs(part - shift[offset + which]).max(axis=0)
                largest[offset + which] = np.maximum(largest[offset + which], deviation)
    return largest


def _dense_products(block: Block, dtype, shift, unit):
    """Return total weight, mean in two parts, unit and products of a dense block, panel by panel in a few threads."""
    d, size = block.n_features, len(shift)
    ops = block.ops
    shift = np.concatenate([shift[:d].astype(dtype).astype(np.float64), shift[d:]])
    width = -(-(size + 1) // 4) * 4  # BLAS likes multiples of four
    panel_bytes = PANEL_BYTES if ops is NUMPY else ops.panel_bytes
    panel_rows = max(1, panel_bytes // (8 * width * PIECE_ROWS)) * PIECE_ROWS
    fill = _filling(ops, block, dtype, shift, unit, width)

    @np.errstate(over="ignore", invalid="ignore")  # what is not finite is looked at in the end
    def strip(start, stop):
        n_groups = -(-min(panel_rows, stop - start) // ROWS_AT_ONCE)
        panel = ops.zeros((n_groups * ROWS_AT_ONCE, width), dtype)
        panel[:, size] = 1.0
        product, total = ops.zeros((width, width), dtype), ops.zeros((width, width))
        for begin in range(start, stop, panel_rows):
            rows = slice(begin, min(begin + panel_rows, stop))
            part = fill(panel, rows)
            n_pieces = (len(part) - 1) // PIECE_ROWS
            pieces, rest = part[: n_pieces * PIECE_ROWS], part[n_pieces * PIECE_ROWS :]
            total += ops.matmul(rest.T, rest, out=product)
            if n_pieces:
                pieces = pieces.reshape(n_pieces, PIECE_ROWS, width)
                total += ops.in_double(ops.matmul(pieces.mT, pieces)).sum(0)
        return ops.take(total)

    total = sum(map_strips(strip, block.n_rows, panel_rows, ops.threads))
    weight = total[size, size]
    rest = total[size, :size] / weight
    products = total[:size, :size] - rest[:, None] * rest * weight
    if block.sample_weight is not None:
        largest = block.sample_weight.max()
        weight, products = weight * largest, products * largest
    return weight, shift, rest * unit, unit, products


def _filling(ops, block: Block, dtype, shift, unit, width: int) -> Callable[[Any, slice], Any]:
    """Return a function that writes rows of [X, y] into a panel, and returns the part of the panel that they fill.

    They are shifted, in their units and times the root of their weights. The column after them holds ones, which become
    the roots of the weights. The length of the panel is a multiple of ``ROWS_AT_ONCE``.
    """
    d, size = block.n_features, len(shift)
    whole: Any = as_scipy(block.X) if block.is_sparse else block.X
    x_shift = np.zeros((ROWS_AT_ONCE, width), dtype)
    x_shift[:, :d] = shift[:d]
    x_shift = ops.put(x_shift.ravel())
    factor = None if (unit[:d] == 1.0).all() else ops.put((1.0 / unit[:d]).astype(dtype))
    root = None if block.sample_weight is None else np.sqrt(block.sample_weight / block.sample_weight.max())

    def fill(panel, rows):
        part = panel[: rows.stop - rows.start]
        X = whole[rows]
        part[:, :d] = X.toarray() if block.is_sparse else X
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


def _sparse_products(csr: CSR, block: Block):
    """Return total weight, mean in two parts, unit and products of a CSR block; X stays sparse, the products are dense.

    Columns without zeros are shifted first: an offset would cost digits.
    """
    X = as_scipy(csr).astype(np.float64, copy=True)
    d = block.n_features
    _, shift = shift_complete(X)
    weight = np.ones(block.n_rows) if block.sample_weight is None else block.sample_weight
    total = weight.sum()
    y_mean = (weight @ block.y) / total
    y = block.y - y_mean
    size = np.concatenate([abs(X).max(axis=0).toarray().ravel(), np.abs(y).max(axis=0)])
    unit = _unit_of(size, PLAIN_UNITS[np.dtype(np.float64)])
    X.data /= unit[X.indices]
    y /= unit[d:]
    x_mean = (weight @ X) / total
    weighted = sparse.diags_array(weight) @ X
    products = np.empty((d + y.shape[1], d + y.shape[1]))
    products[:d, :d] = (X.T @ weighted).toarray() - total * np.outer(x_mean, x_mean)
    products[:d, d:] = weighted.T @ y
    products[d:, :d] = products[:d, d:].T
    products[d:, d:] = (y * weight[:, None]).T @ y
    rest = np.concatenate([x_mean * unit[:d], np.zeros(len(y_mean))])
    return total, np.concatenate([shift, y_mean]), rest, unit, products
