"""Rows in memory: the only shape of data that solvers see."""

from collections.abc import Iterator
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


class Block(NamedTuple):
    """Some rows of a problem.

    X is an array (n_rows, n_features) of any strides, for the closed form and torch perhaps a tensor on a device, or a
    `CSR`, float32 or float64; y is (n_rows, n_targets) float64, C-contiguous; sample_weight is (n_rows,) float64, all
    positive, or None. These two are NumPy's, wherever X is. ``compiled`` says that passes over it may be compiled by
    numba, which its solver has imported anyway.
    """

    X: Any
    y: np.ndarray
    sample_weight: np.ndarray | None
    compiled: bool = False

    @property
    def n_rows(self) -> int:
        """Number of rows."""
        return self.y.shape[0]

    @property
    def n_features(self) -> int:
        """Number of columns of X."""
        return self.X.n_features if isinstance(self.X, CSR) else self.X.shape[1]

    @property
    def n_targets(self) -> int:
        """Number of columns of y."""
        return self.y.shape[1]

    @property
    def dtype(self) -> np.dtype:
        """Dtype of the values of X."""
        return dtype_of(self.X.data if isinstance(self.X, CSR) else self.X)

    def on_host(self) -> "Block":
        """Give the block with X in NumPy's memory; itself where it is already."""
        return self if isinstance(self.X, CSR) else self._replace(X=arrays_of(self.X).take(self.X))

    @property
    def row_bytes(self) -> float:
        """Mean size of a row of X; of CSR in float64 with int32 indices, so that all types follow the same path."""
        if isinstance(self.X, CSR):
            return 12.0 * self.X.data.shape[0] / max(1, self.n_rows)
        return float(self.X.shape[1] * dtype_of(self.X).itemsize)

    @property
    def is_sparse(self) -> bool:
        """Whether X is a `CSR`."""
        return isinstance(self.X, CSR)

    @property
    def is_memory_mapped(self) -> bool:
        """Whether the values of X lie in a file."""
        array = self.X.data if isinstance(self.X, CSR) else self.X
        while isinstance(array, np.ndarray):
            array = array.base
        return isinstance(array, mmap)

    @property
    def compiles(self) -> bool:
        """Whether passes over it are compiled: over large arrays."""
        X = self.X
        return self.compiled and isinstance(X, np.ndarray) and X.size >= COMPILED_VALUES and X.flags.c_contiguous

    @property
    def total_weight(self) -> float:
        """Sum of the sample weights; the number of rows where there are none."""
        return float(self.n_rows if self.sample_weight is None else self.sample_weight.sum())


def as_scipy(X: CSR) -> sparse.csr_array:
    """View a `CSR` as a SciPy array, without a copy."""
    shape = (X.indptr.shape[0] - 1, X.n_features)
    return sparse.csr_array((X.data, X.indices, X.indptr), shape=shape, copy=False)


def rows_of(block: Block, rows: slice) -> tuple[Any, np.ndarray, np.ndarray]:
    """Give some rows of a block: X, a view or a SciPy CSR array, y and the weights (ones if there are none)."""
    whole: Any = as_scipy(block.X) if isinstance(block.X, CSR) else block.X
    y = block.y[rows]
    weight = np.ones(len(y)) if block.sample_weight is None else block.sample_weight[rows]
    return (whole if len(y) == block.n_rows else whole[rows]), y, weight  # of all rows SciPy would make a copy


def panel_of(block: Block, rows: slice) -> tuple[Any, np.ndarray, np.ndarray]:
    """Copy the rows of `rows_of` in float64, from a device too.

    Dense and sparse X answer ``X @ v`` and ``X.T @ e``, so formulas stand once.
    """
    X, y, weight = rows_of(block, rows)
    return arrays_of(X).take(X).astype(np.float64), y, weight


def panels(block: Block, copies: bool = True) -> Iterator[tuple[slice, Any, np.ndarray]]:
    """Cut a block into panels of rows, which on the CPU fit into the cache.

    Yields the slice of rows, those rows of X in float64 where X is, and their weights. ``copies`` says whether the
    caller writes into the panel; else it is a view where X is float64.
    """
    there: Any = NUMPY if block.is_sparse else arrays_of(block.X)
    step = SPARSE_PANEL_ROWS if block.is_sparse else max(32, there.panel_bytes // (8 * max(1, block.n_features)))
    for rows, X, weight in views(block, step):
        yield rows, there.in_double(X, copies), weight


def views(block: Block, step: int) -> Iterator[tuple[slice, Any, np.ndarray]]:
    """Cut a block into panels of ``step`` rows, which are not copied: the slice, X as `rows_of` gives it, weights."""
    for start in range(0, block.n_rows, step):
        rows = slice(start, min(start + step, block.n_rows))
        X, _, weight = rows_of(block, rows)
        yield rows, X, weight


def take_rows(X: Any, rows: np.ndarray | slice, dense: bool = False) -> Any:
    """Copy some rows of X in float64, dense or, unless ``dense``, as a SciPy CSR array like X itself."""
    whole: Any = as_scipy(X) if isinstance(X, CSR) else X
    taken: Any = arrays_of(whole).take(whole[rows]).astype(np.float64)
    return taken.toarray() if dense and sparse.issparse(taken) else taken


def with_ones(X: Any) -> Any:
    """Append a column of ones to a panel, dense, on a device or SciPy CSR."""
    if sparse.issparse(X):
        return sparse.hstack([X, np.ones((X.shape[0], 1))], format="csr")
    there: Any = arrays_of(X)
    return there.with_ones(X)


def squared(X: Any) -> Any:
    """Square a panel elementwise, dense, on a device or SciPy CSR."""
    return X.power(2) if sparse.issparse(X) else X * X


def mean_over_rows(values: np.ndarray, weight: np.ndarray | None) -> np.ndarray:
    """Weighted mean of each column; for few rows several times faster than np.average."""
    return values.sum(axis=0) / len(values) if weight is None else (weight @ values) / weight.sum()


def sample_rows(block: Block, n_rows: int, rng: np.random.Generator) -> Block:
    """Copy some random rows of a block, all of them where there are fewer; their weights sum to the block's."""
    rows = np.sort(rng.choice(block.n_rows, min(block.n_rows, n_rows), replace=False))
    X = take_rows(block.X, rows)
    if sparse.issparse(X):
        X = CSR(X.data, X.indices, X.indptr, X.shape[1])
    if block.sample_weight is None and len(rows) == block.n_rows:
        return Block(X, block.y[rows], None)
    weight = np.ones(len(rows)) if block.sample_weight is None else block.sample_weight[rows]
    return Block(X, block.y[rows], weight * (block.total_weight / weight.sum()))


def join_rows(blocks: list[Block]) -> Block:
    """Stack blocks; dense if any of them is."""
    matrices: list[Any] = [as_scipy(block.X) if isinstance(block.X, CSR) else block.X for block in blocks]
    if all(map(sparse.issparse, matrices)):
        stacked = sparse.vstack(matrices, format="csr")
        X: Any = CSR(stacked.data, stacked.indices, stacked.indptr, stacked.shape[1])
    else:
        X = np.vstack([matrix.toarray() if sparse.issparse(matrix) else matrix for matrix in matrices])
    weight = None
    if any(block.sample_weight is not None for block in blocks):
        weight = np.concatenate(
            [np.ones(block.n_rows) if block.sample_weight is None else block.sample_weight for block in blocks]
        )
    return Block(X, np.concatenate([block.y for block in blocks]), weight)
