"""Which rows come next, and asking for them before they are needed."""

import numpy as np
from numba.extending import register_jitable

from sgdlinreg._solvers.vectors_numba import fetch

CACHE_LINE = 64
AHEAD_ROWS, AHEAD_BYTES = 64, 12288
"""Rows are fetched this far ahead: as many rows, but no more than so many bytes and no fewer than 4 rows."""
AHEAD_CSR = 8
"""What CSR rows hold is fetched so many rows ahead."""
WINDOW_BYTES = 1 << 21
"""Windows up to this size are fetched as a whole while the one before is read: both fit into the caches of a core or,
the larger ones, into the one that cores share."""


@register_jitable
def _look_up(order, position, rows):
    """Do what `Order.rows` does, into an array."""
    window, bits = order.slots.shape[0], order.bits
    windowed = order.starts.shape[0] << bits
    last = (1 << bits) - 1
    done = 0
    while done < rows.shape[0] and position + done < windowed:
        number = (position + done) // window
        place = position + done - number * window
        first = number * (window >> bits)
        for k in range(min(rows.shape[0] - done, window - place)):
            slot = order.slots[np.uint64(place + k)]  # signed indices are checked: up to several times slower
            rows[np.uint64(done + k)] = order.starts[np.uint64(first + (slot >> bits))] + (slot & last) * order.stride
        done += min(rows.shape[0] - done, window - place)
    for k in range(done, rows.shape[0]):
        rows[np.uint64(k)] = order.rest[np.uint64(position + k - windowed)]
    if order.chosen.shape[0]:
        for k in range(rows.shape[0]):
            rows[np.uint64(k)] = order.chosen[np.uint64(rows[np.uint64(k)])]


@register_jitable(forceinline=True)
def look_up_group(order, position, count, n_positions, span, rows):
    """Make ``rows`` hold the rows at some positions and, where there are any, AHEAD_ROWS after them.

    ``span`` holds the first position in ``rows`` and the one after the last. Gives the index in ``rows`` of
    ``position``, and whether ``rows`` have changed.
    """
    wanted = min(position + count + AHEAD_ROWS, n_positions)
    changes = position < span[0] or wanted > span[1]
    if changes:
        span[0], span[1] = position, min(position + rows.shape[0], n_positions)
        _look_up(order, position, rows[: span[1] - span[0]])
    return position - span[0], changes


@register_jitable
def fetch_blocks(X, y, order, position, count):
    """Fetch the blocks of neighbours of the next window that stand where those that end here do in theirs.

    Lines of a block are neighbours, and come faster together than row by row.
    """
    row_bytes = X.shape[1] * X.itemsize
    bits = order.bits
    ahead = order.slots.shape[0] >> bits
    for block in range((position >> bits) + ahead, ((position + count) >> bits) + ahead):
        if block < order.starts.shape[0]:
            first = order.starts[block]
            if order.chosen.shape[0]:
                first = order.chosen[first]
            fetch_bytes(X.ctypes.data + first * row_bytes, row_bytes << bits)
            fetch_bytes(y.ctypes.data + first * y.strides[0], y.strides[0] << bits)


@register_jitable
def fetch_bytes(address, n_bytes):
    """Fetch lines, as many for any address: a loop that were longer for some would often be predicted wrongly."""
    for line in range(n_bytes // CACHE_LINE):
        fetch(address + line * CACHE_LINE)
    fetch(address + n_bytes - 1)


@register_jitable(forceinline=True)
def fetch_csr(X, y, rows, begin, known):
    """Fetch parts of CSR rows that come after one: where they are, then what they hold."""
    far = begin + AHEAD_ROWS
    if far < known:
        fetch(X.indptr.ctypes.data + rows[far] * X.indptr.itemsize)
        fetch(y.ctypes.data + rows[far] * y.strides[0])
    near = begin + AHEAD_CSR
    if near < known:
        start, stop = np.int64(X.indptr[rows[near]]), np.int64(X.indptr[rows[near] + 1])
        _fetch_ends(X.data.ctypes.data + start * X.data.itemsize, (stop - start) * X.data.itemsize)
        _fetch_ends(X.indices.ctypes.data + start * X.indices.itemsize, (stop - start) * X.indices.itemsize)


@register_jitable(forceinline=True)
def _fetch_ends(address, n_bytes):
    """Fetch the first line, the last and those between: short rows need no branch, which would often go wrong."""
    fetch(address)
    fetch(address + max(n_bytes - 1, 0))
    for line in range(1, n_bytes // CACHE_LINE):
        fetch(address + line * CACHE_LINE)
