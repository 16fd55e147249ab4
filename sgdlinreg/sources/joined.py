"""Small blocks joined to blocks that are worth their cost."""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from scipy import sparse

from sgdlinreg._core.arrays import all_finite

JOINED_BYTES = 1 << 24
"""Size of X from which on no more blocks are joined to it."""
SMALL_BYTES = 1 << 22
"""Size of X from which on a block stays alone."""


def joined(blocks: Iterable[tuple]) -> Iterator[tuple]:
    """Join small neighbouring blocks of one kind, arrays of numbers or CSR; all others stay as they are.

    Rows are copied, so that whoever gives blocks may write into the same array for each. Blocks that hold NaN or
    infinity are given one by one, for an error that names the block.

    Parameters
    ----------
    blocks : iterable of (X, y, sample_weight)

    Yields
    ------
    block : tuple of (X, y, sample_weight)
    first, last : int
        Numbers of the blocks that were joined.
    """
    parts: list[tuple] = []
    kind, size, number = None, 0, -1
    for number, block in enumerate(blocks):
        kind_here = _kind_of(block)
        if parts and (kind_here != kind or size >= JOINED_BYTES):
            yield from _join(parts, number - 1)
            parts, size = [], 0
        kind = kind_here
        if kind is None:
            yield block, number, number
        else:
            parts.append(tuple(None if part is None else part.copy() for part in block))
            size += _bytes_of(block[0])
    if parts:
        yield from _join(parts, number)


def _kind_of(block: tuple) -> tuple | None:
    """Return what blocks that are joined must have in common; None for a block that stays alone."""
    X, y, weight = block
    if sparse.issparse(X) and X.format != "csr":
        return None
    arrays = [_values_of(X), *(part for part in (y, weight) if part is not None)]
    if not all(type(part) is np.ndarray and part.ndim and part.dtype.kind in "biuf" for part in arrays):
        return None
    if X.ndim != 2 or _bytes_of(X) >= SMALL_BYTES or any(len(part) != X.shape[0] for part in arrays[1:]):
        return None
    types = tuple((part.dtype, part.shape[1:]) for part in arrays)
    return type(X), X.shape[1], types, y is None, weight is None


def _bytes_of(X: Any) -> int:
    return 12 * X.nnz if sparse.issparse(X) else X.nbytes


def _values_of(part: Any) -> Any:
    return part.data if sparse.issparse(part) else part


def _join(parts: list[tuple], last: int) -> Iterator[tuple]:
    first = last - len(parts) + 1
    Xs, ys, weights = zip(*parts, strict=True)
    X = sparse.vstack(Xs, format="csr") if sparse.issparse(Xs[0]) else np.concatenate(Xs)
    block = X, *(None if values[0] is None else np.concatenate(values) for values in (ys, weights))
    with np.errstate(over="ignore", invalid="ignore"):
        finite = all(all_finite(_values_of(part)) for part in block if part is not None)
    if finite:
        yield block, first, last
    else:
        yield from ((part, number, number) for number, part in enumerate(parts, first))
