"""Rows in memory: the only shape of data that solvers see."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from mmap import mmap
from typing import Any, NamedTuple

import numpy as np
from scipy import sparse

from sgdlinreg._core.arrays import NUMPY, arrays_of, dtype_of

SPARSE_PANEL_ROWS = 1 << 16
COMPILED_VALUES = 1 << 20
"""Passes over fewer values take no time worth compiling for."""


class CSR(NamedTuple):
    """A sparse matrix in compressed row format, as plain arrays.

    Row ``i`` has the values ``data[indptr[i]:indptr[i + 1]]`` in the columns ``indices[indptr[i]:indptr[i + 1]]``,
    each column at most once. ``indices`` and ``indptr`` are int32 or int64.
    """

    data: np.ndarray
    indices: np.ndarray
    indptr: np.ndarray
    n_features: int


class Picked:
    """Some rows of an array in NumPy's memory by their numbers; they are copied where they are asked for.

    Parameters
    ----------
    X : ndarray of shape (n, n_features)
    numbers : ndarray of shape (n_rows,) of int
    """

    def __init__(self, X: np.ndarray, numbers: np.ndarray):
        self.X, self.numbers = X, numbers
        self.shape, self.dtype = (len(numbers), X.shape[1]), X.dtype

    def __getitem__(self, rows: slice | np.ndarray) -> np.ndarray:
        return self.X[self.numbers[rows]]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return self[:].astype(self.dtype if dtype is None else dtype, copy=False)

    def astype(self, dtype: Any, copy: bool = True) -> np.ndarray:
        """Copy all rows in a dtype."""
        return self.__array__(dtype)


@dataclass(eq=False)
class Block:
    """Some rows of a problem.

    Attributes
    ----------
    X : array of shape (n_rows, n_features), tensor, CSR or Picked
        float32 or float64, in any layout. Tensors are on a device.
    y : ndarray of shape (n_rows, n_targets)
        float64, C-contiguous, in NumPy's memory wherever X is.
    sample_weight : ndarray of shape (n_rows,) or None
        float64, all positive and at most 1, in NumPy's memory.
    weight_exponent : int
        The weights count in units of ``2**weight_exponent``; of interest only where blocks are joined.
    compiled : bool
        Whether passes over large blocks may be compiled by numba, which the solver has imported anyway.
    n_rows, n_features, n_targets : int
    dtype : numpy.dtype
        Type of the values of X.
    is_sparse : bool
        Whether X is a `CSR`.
    ops : NumPyArrays or TorchArrays
        Operations on X, where it is.
    compiles : bool
        Whether passes over it are compiled: over large arrays.
    row_bytes : float
        Mean size of a row of X; of CSR in float64 with int32 indices, so that all types follow the same path.
    """

    X: Any
    y: np.ndarray
    sample_weight: np.ndarray | None = None
    weight_exponent: int = 0
    compiled: bool = False

    def __post_init__(self):
        X = self.X
        self.n_rows, self.n_targets = self.y.shape
        self.is_sparse = isinstance(X, CSR)
        self.n_features: int = X.n_features if self.is_sparse else X.shape[1]
        self.ops: Any = NUMPY
        self.dtype: Any = X.data.dtype if self.is_sparse else X.dtype
        self.compiles = False
        if isinstance(X, np.ndarray | Picked):
            large = self.n_rows * self.n_features >= COMPILED_VALUES
            array = X.X if isinstance(X, Picked) else X
            self.compiles = self.compiled and large and array.flags.c_contiguous
        elif not isinstance(self.dtype, np.dtype):
            self.ops, self.dtype = arrays_of(X), dtype_of(X.data if self.is_sparse else X)
        if self.is_sparse:
            self.row_bytes = 12.0 * X.data.shape[0] / max(1, self.n_rows)
        else:
            self.row_bytes = float(self.n_features * self.dtype.itemsize)

    def __reduce__(self):
        return type(self), (self.X, self.y, self.sample_weight, self.weight_exponent, self.compiled)

    def on_host(self) -> "Block":
        """Return the block with X in NumPy's memory; itself where it is already."""
        return self if self.ops is NUMPY else replace(self, X=self.ops.take(self.X))

    @property
    def is_memory_mapped(self) -> bool:
        """Whether the values of X lie in a file."""
        array = self.X.data if self.is_sparse else self.X
        array = array.X if isinstance(array, Picked) else array
        while isinstance(array, np.ndarray):
            array = array.base
        return isinstance(array, mmap)

    @property
    def total_weight(self) -> float:
        """Sum of the sample weights; the number of rows where there are none."""
        return float(self.n_rows if self.sample_weight is None else self.sample_weight.sum())


def as_scipy(X: CSR) -> sparse.csr_array:
    """View a `CSR` as a SciPy array, without a copy."""
    shape = (X.indptr.shape[0] - 1, X.n_features)
    return sparse.csr_array((X.data, X.indices, X.indptr), shape=shape, copy=False)


def rows_of(block: Block, rows: slice) -> tuple[Any, np.ndarray, np.ndarray]:
    """Return some rows of a block: X, a view or a SciPy CSR array, y and the weights (ones if there are none)."""
    X: Any = as_scipy(block.X) if block.is_sparse else block.X
    y = block.y[rows]
    weight = np.ones(len(y)) if block.sample_weight is None else block.sample_weight[rows]
    whole = block.is_sparse and len(y) == block.n_rows  # SciPy would make a copy
    return (X if whole else X[rows]), y, weight


def panel_of(block: Block, rows: slice) -> tuple[Any, np.ndarray, np.ndarray]:
    """Copy the rows of `rows_of` in float64, from a device too.

    Dense and sparse X answer ``X @ v`` and ``X.T @ e``, so formulas stand once.
    """
    X, y, weight = rows_of(block, rows)
    return (X if block.is_sparse else block.ops.take(X)).astype(np.float64), y, weight


def panels(block: Block, copies: bool = True) -> Iterator[tuple[slice, Any, np.ndarray]]:
    """Cut a block into panels of rows, which on the CPU fit into the cache.

    Parameters
    ----------
    block : Block
    copies : bool
        Whether the caller writes into X; if not, it is a view where it is float64 already.

    Yields
    ------
    rows : slice
    X : array of shape (n, n_features), tensor or SciPy CSR array
        Those rows in float64, where X is.
    weight : ndarray of shape (n,)
    """
    step = SPARSE_PANEL_ROWS if block.is_sparse else max(32, block.ops.panel_bytes // (8 * max(1, block.n_features)))
    for rows, X, weight in views(block, step):
        in_double = X.astype(np.float64, copy=copies) if block.ops is NUMPY else block.ops.in_double(X, copies)
        yield rows, in_double, weight


def views(block: Block, step: int) -> Iterator[tuple[slice, Any, np.ndarray]]:
    """Cut a block into panels of ``step`` rows, which are not copied: the slice, X as `rows_of` gives it, weights."""
    for start in range(0, block.n_rows, step):
        rows = slice(start, min(start + step, block.n_rows))
        X, _, weight = rows_of(block, rows)
        yield rows, X, weight


def take_rows(X: Any, rows: np.ndarray | slice, dense: bool = False) -> Any:
    """Copy some rows of X in float64, dense or, unless ``dense``, as a SciPy CSR array like X itself."""
    if isinstance(X, CSR):
        taken = as_scipy(X)[rows].astype(np.float64)
        return taken.toarray() if dense else taken
    taken = X[rows]
    return (taken if isinstance(taken, np.ndarray) else arrays_of(X).take(taken)).astype(np.float64)


def pick_rows(block: Block, rows: np.ndarray) -> Block:
    """Return some rows of a block as a block, without a copy of dense rows in NumPy's memory."""
    if not isinstance(block.X, np.ndarray):
        return part_of(block, rows)
    weight = None if block.sample_weight is None else block.sample_weight[rows]
    return replace(block, X=Picked(block.X, rows), y=block.y[rows], sample_weight=weight)


def part_of(block: Block, rows: slice | np.ndarray) -> Block:
    """Return some rows of a block as a block; those of a slice are a view."""
    X = block.X
    if isinstance(X, CSR) and isinstance(rows, slice):
        stored = slice(X.indptr[rows.start], X.indptr[rows.stop])
        X = CSR(X.data[stored], X.indices[stored], X.indptr[rows.start : rows.stop + 1] - stored.start, X.n_features)
    elif isinstance(X, Picked) and isinstance(rows, slice):
        X = Picked(X.X, X.numbers[rows])
    else:
        X = csr_or_dense(as_scipy(X)[rows]) if isinstance(X, CSR) else X[rows]
    weight = None if block.sample_weight is None else block.sample_weight[rows]
    return replace(block, X=X, y=block.y[rows], sample_weight=weight)


def csr_or_dense(X: Any) -> Any:
    """Return a SciPy CSR array as a `CSR`, and any other array as it is."""
    return CSR(X.data, X.indices, X.indptr, X.shape[1]) if sparse.issparse(X) else X


def with_ones(X: Any) -> Any:
    """Append a column of ones to rows in NumPy's memory, dense or SciPy CSR."""
    ones = np.ones((X.shape[0], 1))
    return sparse.hstack([X, ones], format="csr") if sparse.issparse(X) else np.hstack([X, ones])


def squared(X: Any) -> Any:
    """Square a panel elementwise, dense, on a device or SciPy CSR."""
    return X.power(2) if sparse.issparse(X) else X * X


def mean_over_rows(values: np.ndarray, weight: np.ndarray | None) -> np.ndarray:
    """Compute the weighted mean of each column; for few rows several times faster than np.average."""
    return values.sum(axis=0) / len(values) if weight is None else (weight @ values) / weight.sum()


def quantile_over_rows(values: np.ndarray, weight: np.ndarray | None, quantile: float) -> np.ndarray:
    """Compute a weighted quantile of each column: the smallest value up to which there is that share of the weight."""
    if weight is None:
        place = min(max(math.ceil(quantile * len(values)) - 1, 0), len(values) - 1)
        return np.partition(values, place, axis=0)[place]
    order = np.argsort(values, axis=0)
    share = np.cumsum(weight[order], axis=0)
    places = np.argmax(share >= quantile * share[-1], axis=0)
    return np.take_along_axis(values, np.take_along_axis(order, places[None], axis=0), axis=0)[0]


def sample_rows(block: Block, n_rows: int, rng: np.random.Generator) -> Block:
    """Copy some random rows of a block, all of them where there are fewer; their weights sum to the block's."""
    rows = np.sort(rng.choice(block.n_rows, min(block.n_rows, n_rows), replace=False))
    X = csr_or_dense(take_rows(block.X, rows))
    if block.sample_weight is None and len(rows) == block.n_rows:
        return Block(X, block.y[rows])
    weight = np.ones(len(rows)) if block.sample_weight is None else block.sample_weight[rows]
    return Block(X, block.y[rows], weight * (block.total_weight / weight.sum()))


def stack(*parts: Any) -> Any:
    """Stack arrays of rows, dense or SciPy CSR; dense if one is."""
    if all(map(sparse.issparse, parts)):
        return sparse.vstack(parts, format="csr")
    return np.vstack([X.toarray() if sparse.issparse(X) else X for X in parts])


def join_rows(*blocks: Block) -> Block:
    """Stack blocks in NumPy's memory."""
    X = csr_or_dense(stack(*(as_scipy(block.X) if block.is_sparse else block.X for block in blocks)))
    weight, exponent = None, max(block.weight_exponent for block in blocks)
    blocks = tuple(with_weights_in(block, exponent) for block in blocks)
    if any(block.sample_weight is not None for block in blocks):
        weights = (np.ones(block.n_rows) if block.sample_weight is None else block.sample_weight for block in blocks)
        weight = np.concatenate([*weights])
    return Block(X, np.concatenate([block.y for block in blocks]), weight, exponent)


def with_weights_in(block: Block, exponent: int) -> Block:
    """Return a block whose weights count in units of ``2**exponent``; itself where they do already."""
    if block.weight_exponent == exponent:
        return block
    weight = np.ones(block.n_rows) if block.sample_weight is None else block.sample_weight
    weight = np.ldexp(weight, block.weight_exponent - exponent)
    return replace(block, sample_weight=weight, weight_exponent=exponent)


def in_double(block: Block) -> Block:
    """Return a block whose X is float64; itself where it is already."""
    if block.dtype == np.float64:
        return block
    X = block.X
    X = X._replace(data=X.data.astype(np.float64)) if isinstance(X, CSR) else block.ops.in_double(X)
    return replace(block, X=X)
