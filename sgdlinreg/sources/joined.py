"""Small blocks joined to blocks that are worth their cost."""

from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import Any

import numpy as np
from scipy import sparse

from sgdlinreg._core.arrays import all_finite, is_host, is_tensor
from sgdlinreg._edge.namespaces import to_numpy

JOINED_BYTES = 1 << 24
"""Size of X from which on no more blocks are joined to it."""
MOST_ROWS = 1 << 22
"""Rows from which on no more blocks are joined: rows of CSR may be empty."""
SMALL_BYTES = 1 << 22
"""Size of X from which on a block stays alone."""

TENSOR_TYPES = frozenset({"float64", "float32", "int64", "int32", "int16", "int8", "uint8", "bool"})
"""Types of tensors that NumPy has, too."""


def joined(blocks: Iterable[tuple[Any, ...]]) -> Iterator[tuple[Any, ...]]:
    """Join small neighbouring blocks of one kind: arrays of numbers, CSR or tensors; all others stay as they are.

    Rows are copied, so that whoever gives blocks may write into the same array for each. Tensors become arrays. Blocks
    that hold NaN or infinity are given one by one, for an error that names the block.

    Parameters
    ----------
    blocks : iterable of (X, y, sample_weight)

    Yields
    ------
    block : tuple of (X, y, sample_weight)
    first, last : int
        Numbers of the blocks that were joined.
    """
    rows: _Rows | None = None
    kind, joins, number = None, False, -1
    for number, block in enumerate(blocks):
        kind_here = tuple(map(_kind_of, block))
        if changes := kind_here != kind:  # asking each time would take longer than copying eight rows
            kind, joins = kind_here, _can_join(block)
        is_small = joins and _is_small(block)
        if rows is not None and (changes or not is_small or not rows.has_room(block)):
            yield from rows.joined(number - 1)
            rows = None
        if is_small:
            rows = rows or _Rows(block)
            rows.add(block)
        else:
            yield block, number, number
    if rows is not None:
        yield from rows.joined(number)


class _Rows:
    """Rows of small blocks of one kind, copied into one array; of CSR, copies of the blocks."""

    def __init__(self, block: tuple[Any, ...]):
        X, n_rows = block[0], block[0].shape[0]
        self.is_csr, self.n_bytes = sparse.issparse(X), 0
        self.capacity = min(MOST_ROWS, max(n_rows, JOINED_BYTES * n_rows // max(1, _bytes_of(X))))
        self.arrays: list[Any] = [None if part is None else self._room_for(part) for part in block]
        self.ends = [0]

    def _room_for(self, part: Any) -> Any:
        if sparse.issparse(part):
            return []
        return np.empty((self.capacity, *part.shape[1:]), to_numpy(part[:0]).dtype)

    def has_room(self, block: tuple[Any, ...]) -> bool:
        """Return whether a block fits in."""
        n_rows, n_bytes = self.ends[-1] + block[0].shape[0], self.n_bytes + _bytes_of(block[0])
        return n_rows <= self.capacity and n_bytes <= JOINED_BYTES

    def add(self, block: tuple[Any, ...]) -> None:
        """Copy a block."""
        start = self.ends[-1]
        end = start + block[0].shape[0]
        for array, part in zip(self.arrays, block, strict=True):
            if part is None:
                continue
            if isinstance(array, list):
                array.append(part.copy())
            else:
                array[start:end] = part.numpy(force=True) if is_tensor(part) else part
        self.ends.append(end)
        self.n_bytes += _bytes_of(block[0])

    def joined(self, last: int) -> Iterator[tuple[Any, ...]]:
        """Yield one block, or each of them if they are not finite."""
        if self.is_csr:
            self.arrays[0] = sparse.vstack(self.arrays[0], format="csr")
        block, first = self._rows(0, self.ends[-1]), last - len(self.ends) + 2
        with np.errstate(over="ignore", invalid="ignore"):
            finite = all(all_finite(_values_of(part)) for part in block if part is not None)
        if finite:
            yield block, first, last
        else:
            for number, (start, end) in enumerate(pairwise(self.ends), first):
                yield self._rows(start, end), number, number

    def _rows(self, start: int, end: int) -> tuple[Any, ...]:
        return tuple(None if array is None else array[start:end] for array in self.arrays)


def _kind_of(part: Any) -> Any:
    """Return what must be the same in all parts that are joined; None for what has none of it, as a list."""
    try:
        return type(part), part.dtype, part.shape[1:], getattr(part, "device", None), getattr(part, "layout", None)
    except AttributeError:
        return None


def _can_join(block: tuple[Any, ...]) -> bool:
    """Return whether a block, and with it all of its kind, can be joined."""
    X, *others = block
    if any(sparse.issparse(part) for part in others) or (sparse.issparse(X) and X.format != "csr"):
        return False
    if getattr(X, "ndim", 0) != 2:
        return False
    return all(_is_array(_values_of(part)) for part in block if part is not None)


def _is_array(part: Any) -> bool:
    if is_tensor(part):
        return is_host(part.device) and str(part.dtype).removeprefix("torch.") in TENSOR_TYPES and not part.is_sparse
    return type(part) is np.ndarray and part.ndim > 0 and part.dtype.kind in "biuf"


def _is_small(block: tuple[Any, ...]) -> bool:
    X, *others = block
    n_rows = X.shape[0]
    return n_rows > 0 and _bytes_of(X) < SMALL_BYTES and all(part is None or part.shape[0] == n_rows for part in others)


def _bytes_of(X: Any) -> int:
    return int(12 * X.nnz if sparse.issparse(X) else X.nbytes)


def _values_of(part: Any) -> Any:
    return part.data if sparse.issparse(part) else part
