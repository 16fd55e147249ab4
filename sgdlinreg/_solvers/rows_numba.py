"""What the compiled kernel does with the rows of a batch, dense or CSR: multiply them, take slopes, add them up."""

from typing import NamedTuple

import numpy as np
from numba import types
from numba.extending import overload, register_jitable

from sgdlinreg._solvers import instructions_numba as instructions
from sgdlinreg._solvers.columns_numba import add_narrow
from sgdlinreg._solvers.lanes_numba import COLUMNS, PAIR, ROWS, lanes_of, store_lanes, sum_of_lanes
from sgdlinreg._solvers.lookup_numba import AHEAD_BYTES, AHEAD_ROWS, WINDOW_BYTES, fetch_blocks
from sgdlinreg._solvers.losses_numba import loss_slope, loss_value, weigh

GROUP = 256
"""Rows that are worked on in one call, and whose gradient is summed in X's dtype before it goes to a float64 sum."""
LOOKED_UP = 4 * GROUP
"""Rows that are looked up at a time."""
TILE_BYTES = 1 << 20
"""Where LOOKED_UP rows that must be copied take more, only a group and those ahead are looked up at a time."""
TOGETHER_BYTES = 1 << 13
"""So many bytes of rows are multiplied before they are added: then the first cache still has them."""
BLOCK_ROWS, BLOCK_BYTES = 32, 1536
"""Blocks are fetched for so many rows at a time, or so many bytes: more of them at once would wait for each other."""
LONG_ROW_BYTES = 256
"""Rows of this size and more are read in the longest vectors."""
AHEAD_IN_BLOCKS = 16
"""Rows whose blocks are fetched follow so many rows ahead, from there to the first cache."""


def _copied(block) -> bool:
    """Whether rows are copied when they are looked up: dense ones whose values are not next to each other."""
    return not block.is_sparse and block.X.strides[1] != block.X.itemsize


class Rows(NamedTuple):
    """Rows that have been looked up, and ROWS places more, so that any of them can be the first of as many.

    Attributes
    ----------
    numbers : ndarray of shape (n_looked_up,), intp
    addresses : ndarray of shape (n_looked_up + ROWS,), intp
        Where a row's first value is, in X or in ``tile``; only for dense X.
    targets : ndarray of shape (n_targets, n_looked_up + ROWS)
    weights : ndarray of shape (n_looked_up + ROWS,)
        One where there are no weights.
    tile : ndarray of shape (n_looked_up, n_features)
        A copy of the rows; empty where those of X are contiguous.
    """

    numbers: np.ndarray
    addresses: np.ndarray
    targets: np.ndarray
    weights: np.ndarray
    tile: np.ndarray

    @classmethod
    def for_block(cls, block, n_rows: int | None = None) -> "Rows":
        """Make room for some rows of a block, or for as many as are looked up at a time."""
        copied = _copied(block)
        if n_rows is None:
            few = copied and LOOKED_UP * block.row_bytes > TILE_BYTES
            n_rows = GROUP + AHEAD_ROWS if few else LOOKED_UP
        return cls(
            np.zeros(n_rows, np.intp),
            np.zeros(0 if block.is_sparse else n_rows + ROWS, np.intp),
            np.zeros((block.n_targets, n_rows + ROWS)),
            np.ones(n_rows + ROWS),
            np.zeros((n_rows if copied else 0, block.n_features), block.dtype),
        )


class Reading(NamedTuple):
    """How dense rows are read.

    Attributes
    ----------
    together : int
        Rows that are multiplied before they are added, a multiple of ROWS.
    ahead : int
        Rows are fetched so many rows ahead; 0 where they have been copied.
    by_block : bool
        Whether blocks of neighbours are fetched a window ahead, into a cache.
    long : bool
        Whether rows are read in the longest vectors.
    """

    together: int
    ahead: int
    by_block: bool
    long: bool

    @staticmethod
    def of(block, order) -> "Reading":
        """Choose for a block and an order of its rows."""
        if block.is_sparse:
            return Reading(GROUP, 0, False, False)
        row_bytes = max(block.n_features * block.X.itemsize, 1)
        ahead = max(4, min(AHEAD_ROWS, AHEAD_BYTES // row_bytes))
        by_block = 0 < len(order.slots) * row_bytes <= WINDOW_BYTES and order.stride == 1
        by_block = by_block and block.X.strides[0] == row_bytes
        most = min(BLOCK_ROWS, BLOCK_BYTES // row_bytes) if by_block else min(ahead // 2, TOGETHER_BYTES // row_bytes)
        together = max(most // ROWS, 1) * ROWS
        ahead = AHEAD_IN_BLOCKS if by_block else 0 if _copied(block) else ahead
        kind = NarrowReading if block.n_features <= COLUMNS else Reading
        return kind(together, ahead, by_block, row_bytes >= LONG_ROW_BYTES)


class NarrowReading(Reading):
    """How rows are read that are so short that they are turned into columns.

    A type of its own, so that what works on columns is compiled for such rows alone.
    """


@register_jitable
def gather(X, y, weight, rows, count):
    """Set what belongs to the first ``count`` of ``rows.numbers``."""
    for t in range(rows.targets.shape[0]):
        for k in range(count):
            rows.targets[t, k] = y[np.uint64(rows.numbers[k]), t]
    if weight.shape[0]:
        for k in range(count):
            rows.weights[k] = weight[np.uint64(rows.numbers[k])]
    locate(X, rows, count)


def locate(X, rows, count):  # pragma: no cover - the compiled form is below
    """Set ``rows.addresses``, which need not be known without a compiler."""


@overload(locate)
def _locate(X, rows, count):
    return _locate_dense if isinstance(X, types.Array) else lambda X, rows, count: None


def _locate_dense(X, rows, count):
    numbers, addresses, tile = rows.numbers, rows.addresses, rows.tile
    if tile.shape[0]:
        for k in range(count):
            for j in range(X.shape[1]):
                tile[k, j] = X[numbers[k], j]
            addresses[k] = tile.ctypes.data + k * tile.strides[0]
    else:
        for k in range(count):
            addresses[k] = X.ctypes.data + numbers[k] * X.strides[0]
    for k in range(ROWS):
        addresses[count + k] = addresses[max(count - 1, 0)]


def add_rows(X, y, rows, group, order, reading, factor, loss, scratch):  # pragma: no cover - the compiled form is below
    """Add ``factor`` times the weighted gradient of some rows to the sums in ``scratch``.

    Parameters
    ----------
    X, y : arrays or CSR
    rows : Rows
    group : tuple of int
        Where in ``rows`` those that are added start and end; how many there are in all, later ones being fetched; and
        the position of the first one in the order, -1 if it has none.
    order : Order
    reading : Reading
    factor : float
    loss : NamedTuple
    scratch : Scratch
    """
    if not isinstance(X, np.ndarray):
        _add_csr(X, y, rows, group, order, reading, factor, loss, scratch)
        return
    chosen = X[rows.numbers[group[0] : group[1]]]
    products = (chosen @ scratch.folded[:, : X.shape[1]].T).astype(np.float64)
    residual = products + scratch.sums[0] - rows.targets[:, group[0] : group[1]].T
    factors = factor * rows.weights[group[0] : group[1], None]
    slopes = factors * loss.slope(residual)
    scratch.sums[1] += slopes.sum(axis=0)
    scratch.sums[2] += (factors * loss.value(residual)).sum(axis=0)
    scratch.partial[:, : X.shape[1]] += slopes.T.astype(X.dtype) @ chosen


def _add_dense(X, y, rows, group, order, reading, factor, loss, scratch):
    first, last, known, position = group
    folded, partial, addresses = scratch.folded, scratch.partial, rows.addresses
    n_features = X.shape[1]
    by_block = reading.by_block and position >= 0
    for begin in range(first, last, reading.together):
        count = min(reading.together, last - begin)
        if by_block:
            fetch_blocks(X, y, order, position + begin - first, count)
        for t in range(folded.shape[0]):
            slope, value = lanes_of(0.0), lanes_of(0.0)
            for i in range(0, count, ROWS):
                k, left = begin + i, count - i
                ahead = min(k + reading.ahead, known)
                products = _multiply(reading, left, addresses, k, ahead, n_features, folded, t)
                slopes, losses = weigh(products, rows, k, left, t, scratch.sums[0, t], factor, loss)
                store_lanes(scratch.factors, i, slopes)
                slope, value = slope + slopes, value + losses
            scratch.sums[1, t] += sum_of_lanes(slope)
            scratch.sums[2, t] += sum_of_lanes(value)
            for i in range(0, count, ROWS):
                k, left = begin + i, count - i
                ahead = min(k + reading.ahead, known)
                _add(reading, left, addresses, k, ahead, n_features, scratch.factors, i, partial, t)


@register_jitable(forceinline=True)
def _multiply(reading, left, addresses, k, ahead, n_features, folded, t):
    """Choose the instruction for the next rows, of which so many are left."""
    if reading.long:
        if left > PAIR:
            return instructions.multiply_eight_long(addresses, k, ahead, n_features, folded, t)
        return instructions.multiply_two_long(addresses, k, ahead, n_features, folded, t)
    if left > PAIR:
        return instructions.multiply_eight(addresses, k, ahead, n_features, folded, t)
    return instructions.multiply_two(addresses, k, ahead, n_features, folded, t)


@register_jitable(forceinline=True)
def _add(reading, left, addresses, k, ahead, n_features, factors, i, partial, t):
    """Choose the instruction for the next rows, of which so many are left."""
    if reading.long:
        if left > PAIR:
            instructions.add_eight_long(addresses, k, ahead, n_features, factors, i, partial, t)
        else:
            instructions.add_two_long(addresses, k, ahead, n_features, factors, i, partial, t)
    elif left > PAIR:
        instructions.add_eight(addresses, k, ahead, n_features, factors, i, partial, t)
    else:
        instructions.add_two(addresses, k, ahead, n_features, factors, i, partial, t)


def _add_csr(X, y, rows, group, order, reading, factor, loss, scratch):
    folded, partial, sums = scratch.folded, scratch.partial, scratch.sums
    exact = partial.dtype.type
    for i in range(group[0], group[1]):
        row, weight = rows.numbers[i], factor * rows.weights[i]
        begin, end = np.uint64(X.indptr[row]), np.uint64(X.indptr[row + 1])  # signed ones would be checked
        for t in range(folded.shape[0]):
            p = exact(0)
            for k in range(begin, end):
                p += X.data[k] * folded[t, np.uint64(X.indices[k])]
            residual = np.float64(p) + sums[0, t] - rows.targets[t, i]
            slope = weight * loss_slope(loss, residual)
            sums[1, t] += slope
            sums[2, t] += weight * loss_value(loss, residual)
            p = exact(slope)
            for k in range(begin, end):
                partial[t, np.uint64(X.indices[k])] += p * X.data[k]


@overload(add_rows, jit_options={"forceinline": True})  # short batches spend more on the call than on rows
def _add_rows(X, y, rows, group, order, reading, factor, loss, scratch):
    if not isinstance(X, types.Array):
        return _add_csr
    return add_narrow if reading.instance_class is NarrowReading else _add_dense


def step_plainly(
    reading, n_features, step_size, slope, l2, around, sums, plain, folded, t
):  # pragma: no cover - compiled below
    """Take the plain step of target ``t`` and set its weights on raw rows; gives what the centre takes off."""
    centre, inverse_scale, ratio = around
    gradient = sums[t] - centre * slope + l2 * plain[0, t] * inverse_scale
    plain[0, t] -= step_size * gradient * inverse_scale
    plain[1, t] += plain[0, t]
    sums[t] = 0
    folded[t] = plain[0, t] * inverse_scale
    return ratio @ plain[0, t]


@overload(step_plainly, jit_options={"forceinline": True})
def _step_plainly(reading, n_features, step_size, slope, l2, around, sums, plain, folded, t):
    return _step_in_vectors


def _step_in_vectors(reading, n_features, step_size, slope, l2, around, sums, plain, folded, t):
    if reading.long:
        return instructions.step_of_long_vectors(
            n_features, step_size, slope, l2, around, sums, plain[0], plain[1], folded, t
        )
    return instructions.step_of_vectors(n_features, step_size, slope, l2, around, sums, plain[0], plain[1], folded, t)
