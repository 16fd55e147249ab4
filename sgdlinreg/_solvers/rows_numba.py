"""What the compiled kernel does with rows: look them up, fetch them ahead, multiply and add them, dense or CSR."""

import numpy as np
from numba import types
from numba.extending import overload, register_jitable

from sgdlinreg._solvers.vectors_numba import add_four, fetch, multiply_four

CACHE_LINE = 64
AHEAD_ROWS, AHEAD_BYTES = 32, 4096
"""Rows are fetched this far ahead: as many rows, but no more than so many bytes and no fewer than 4 rows."""
AHEAD_CSR = 8
"""What CSR rows hold is fetched so many rows ahead."""
GROUP = 256
"""Rows that are looked up for one call, and whose gradient is summed in X's dtype before it goes to a float64 sum."""
WINDOW_BYTES = 1 << 19
"""Windows up to this size are fetched as a whole while the one before is read: both fit into the second-level cache."""
LOOKED_UP = 4 * GROUP
"""Positions that are looked up at a time."""


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
            slot = order.slots[place + k]
            rows[done] = order.starts[first + (slot >> bits)] + (slot & last) * order.stride
            done += 1
    for k in range(done, rows.shape[0]):
        rows[k] = order.rest[position + k - windowed]
    if order.chosen.shape[0]:
        for k in range(rows.shape[0]):
            rows[k] = order.chosen[rows[k]]


@register_jitable(inline="always")
def look_up_group(order, position, count, n_positions, span, rows):
    """Make ``rows`` hold the rows at some positions and, where there are any, AHEAD_ROWS after them.

    ``span`` holds the first position in ``rows`` and the one after the last. Gives the index in ``rows`` of
    ``position``.
    """
    wanted = min(position + count + AHEAD_ROWS, n_positions)
    if position < span[0] or wanted > span[1]:
        span[0], span[1] = position, min(position + rows.shape[0], n_positions)
        _look_up(order, position, rows[: span[1] - span[0]])
    return position - span[0]


@register_jitable
def _fetch_blocks(X, y, order, position, count):
    """Fetch the blocks of neighbours of the next window that stand where those that end here do in theirs.

    Lines of a block are neighbours, and come faster together than row by row.
    """
    row_bytes = X.shape[1] * X.itemsize
    bits = order.bits
    ahead = order.slots.shape[0] >> bits
    for block in range((position >> bits) + ahead, ((position + count) >> bits) + ahead):
        if block < order.starts.shape[0]:
            _fetch_bytes(X.ctypes.data + order.starts[block] * row_bytes, row_bytes << bits)
            _fetch_bytes(y.ctypes.data + order.starts[block] * y.strides[0], y.strides[0] << bits)


@register_jitable
def _fetch_bytes(address, n_bytes):
    end = address + n_bytes
    address -= address % CACHE_LINE
    while address < end:
        fetch(address)
        address += CACHE_LINE


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


def add_rows(X, y, weight, rows, group, order, factor, loss, scratch):  # pragma: no cover - the compiled form is below
    """Add ``factor`` times the weighted gradient of some rows to the sums in ``scratch``.

    Parameters
    ----------
    X, y, weight : arrays or CSR
        weight is empty where there are no weights.
    rows : ndarray of intp
    group : tuple of int
        Where in ``rows`` those that are added start and end; how many there are in all, later ones being fetched; and
        the position of the first one in the order, -1 if it has none.
    order : Order
    factor : float
    loss : NamedTuple
    scratch : Scratch
    """
    if not isinstance(X, np.ndarray):
        _add_csr(X, y, weight, rows, group, order, factor, loss, scratch)
        return
    chosen = rows[group[0] : group[1]]
    residual = (X[chosen] @ scratch.folded[:, : X.shape[1]].T).astype(np.float64) + scratch.sums[0] - y[chosen]
    factors = factor * (weight[chosen, None] if len(weight) else np.ones((len(chosen), 1)))
    slopes = factors * loss.slope(residual)
    scratch.sums[1] += slopes.sum(axis=0)
    scratch.sums[2] += (factors * loss.value(residual)).sum(axis=0)
    scratch.partial[:, : X.shape[1]] += slopes.T.astype(X.dtype) @ X[chosen]


def _add_dense(X, y, weight, rows, group, order, factor, loss, scratch):
    first, last, known, position = group
    folded, partial, tile = scratch.folded, scratch.partial, scratch.tile
    intercepts, slopes, losses = scratch.sums[0], scratch.sums[1], scratch.sums[2]
    n_targets, n_features = folded.shape[0], X.shape[1]
    exact = partial.dtype.type
    row_bytes = n_features * X.itemsize
    in_place = X.strides[1] == X.itemsize
    base, stride = X.ctypes.data, X.strides[0]
    if not in_place:
        for i in range(first, last):
            for j in range(n_features):
                tile[i - first, j] = X[rows[i], j]
        base, stride = tile.ctypes.data, tile.strides[0]
    ahead = max(4, min(AHEAD_ROWS, AHEAD_BYTES // max(row_bytes, 1)))
    window = order.slots.shape[0]
    by_block = position >= 0 and window > 0 and order.stride == 1
    by_block = by_block and stride == row_bytes and window * row_bytes <= WINDOW_BYTES
    for i in range(first, last, 4):
        for k in range(i + ahead, min(i + ahead + 4, known)):
            if in_place:
                _fetch_bytes(X.ctypes.data + rows[k] * X.strides[0], row_bytes)
            fetch(y.ctypes.data + rows[k] * y.strides[0])
        if by_block:
            _fetch_blocks(X, y, order, position + i - first, min(4, last - i))
        n = min(4, last - i)  # where fewer than four are left, the first stands for the others, times zero
        a, b, c, d = rows[i], rows[i + (n > 1)], rows[i + 2 * (n > 2)], rows[i + 3 * (n > 3)]
        if in_place:
            at, bt, ct, dt = base + a * stride, base + b * stride, base + c * stride, base + d * stride
        else:
            at = base + (i - first) * stride
            bt, ct, dt = at + (n > 1) * stride, at + 2 * (n > 2) * stride, at + 3 * (n > 3) * stride
        for t in range(n_targets):
            p, q, r, s = multiply_four(at, bt, ct, dt, n_features, folded, t)
            u, one = _slope(p, a, t, y, weight, factor, loss, intercepts)
            v, two = _slope(q, b, t, y, weight, factor * (n > 1), loss, intercepts)
            w, three = _slope(r, c, t, y, weight, factor * (n > 2), loss, intercepts)
            x, four = _slope(s, d, t, y, weight, factor * (n > 3), loss, intercepts)
            slopes[t] += (u + v) + (w + x)
            losses[t] += (one + two) + (three + four)
            add_four(at, bt, ct, dt, n_features, exact(u), exact(v), exact(w), exact(x), partial, t)


def _add_csr(X, y, weight, rows, group, order, factor, loss, scratch):
    folded, partial = scratch.folded, scratch.partial
    intercepts, slopes, losses = scratch.sums[0], scratch.sums[1], scratch.sums[2]
    exact = partial.dtype.type
    for i in range(group[0], group[1]):
        row = rows[i]
        begin, end = np.uint64(X.indptr[row]), np.uint64(X.indptr[row + 1])  # signed ones would be checked
        for t in range(folded.shape[0]):
            p = exact(0)
            for k in range(begin, end):
                p += X.data[k] * folded[t, np.uint64(X.indices[k])]
            u, one = _slope(p, row, t, y, weight, factor, loss, intercepts)
            slopes[t] += u
            losses[t] += one
            p = exact(u)
            for k in range(begin, end):
                partial[t, np.uint64(X.indices[k])] += p * X.data[k]


@register_jitable
def _slope(product, row, t, y, weight, factor, loss, intercepts):
    """Weighted derivative of the loss of one row, and the weighted loss."""
    residual = np.float64(product) + intercepts[t] - y[row, t]
    row_weight = factor * weight[row] if weight.shape[0] else factor
    return row_weight * loss_slope(loss, residual), row_weight * loss_value(loss, residual)


@overload(add_rows, jit_options={"forceinline": True})  # short batches spend more on the call than on rows
def _add_rows(X, y, weight, rows, group, order, factor, loss, scratch):
    return _add_dense if isinstance(X, types.Array) else _add_csr


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
