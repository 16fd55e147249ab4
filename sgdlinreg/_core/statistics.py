"""Means and variances of columns, in one sequential pass, merged block by block; offsets cost no digits."""

from collections.abc import Iterator
from functools import reduce
from typing import Any, NamedTuple

import numpy as np
from scipy import sparse

from sgdlinreg._core.arrays import EPS, NUMPY
from sgdlinreg._core.blocks import Block, panels, views

ROUNDING = 16 * EPS
"""Deviations below this fraction of the mean are taken for rounding."""
UNDERFLOW = float(np.sqrt(np.finfo(float).tiny)) / EPS
"""Deviations of columns with smaller means may have squares that are 0."""


class ColumnStatistics(NamedTuple):
    """What is known of each column of some rows.

    Attributes
    ----------
    total_weight : float
    mean, squares : ndarray of shape (n_columns,)
        Weighted mean and sum of squared deviations.
    complete : ndarray of shape (n_columns,) of bool
        Which columns are stored in every row: all of a dense block; of CSR those that can be centred and stay sparse.
    """

    total_weight: float
    mean: np.ndarray
    squares: np.ndarray
    complete: np.ndarray

    @property
    def variance(self) -> np.ndarray:
        """Weighted variance, (n_columns,); exactly 0 where rounding alone makes it positive."""
        variance = self.squares / self.total_weight
        return np.where(variance > (ROUNDING * self.mean) ** 2, variance, 0.0)

    @property
    def constant(self) -> np.ndarray:
        """Which columns differ by rounding alone; not those whose squares underflow, of which nobody can tell."""
        return (self.variance == 0.0) & (np.abs(self.mean) > UNDERFLOW)

    def merge(self, other: "ColumnStatistics") -> "ColumnStatistics":
        """Join the statistics of other rows (Chan, Golub, LeVeque 1983, eq. 2.1)."""
        total = self.total_weight + other.total_weight
        delta = other.mean - self.mean
        mean = self.mean + delta * (other.total_weight / total)
        between = delta * delta * (self.total_weight * (other.total_weight / total))
        complete = self.complete & other.complete
        return ColumnStatistics(total, mean, self.squares + other.squares + between, complete)


def centre_panel(X: Any, weight: np.ndarray, ops: Any = NUMPY) -> np.ndarray:
    """Subtract the weighted mean of each column in place, wherever X is, and return it.

    The heaviest row goes first: an offset or uneven weights then cost no digits, and constant columns become exactly 0.
    """
    first = 1.0 * X[int(weight.argmax())]
    X -= first
    rest = (ops.put(weight) @ X) / weight.sum()
    X -= rest
    return ops.take(first + rest)


def shift_complete(X: sparse.csr_array) -> tuple[np.ndarray, np.ndarray]:
    """Subtract its first value from each column of CSR that is stored in every row, in place.

    An offset then costs no digits; in other columns the zeros keep the variance in proportion to the mean. Return which
    columns these are, and what was subtracted from every column.
    """
    complete = np.bincount(X.indices, minlength=X.shape[1]) == X.shape[0]
    shift = np.where(complete, X[:1].toarray().ravel(), 0.0)
    X.data -= shift[X.indices]
    return complete, shift


def column_statistics(block: Block) -> ColumnStatistics:
    """Measure the columns of X in one sequential pass, in float64."""
    return reduce(ColumnStatistics.merge, _compiled_parts(block) if block.compiles else _parts(block))


def _parts(block: Block) -> Iterator[ColumnStatistics]:
    for _, X, weight in panels(block):
        panel_weight = weight.sum()
        if sparse.issparse(X):
            complete, shift = shift_complete(X)
            rest = (weight @ X) / panel_weight
            mean, squares = shift + rest, weight @ X.power(2) - panel_weight * rest**2
        else:
            complete = np.ones(X.shape[1], dtype=bool)
            mean = centre_panel(X, weight, block.ops)
            squares = block.ops.take(block.ops.put(weight) @ (X * X))
        yield ColumnStatistics(panel_weight, mean, np.maximum(squares, 0.0), complete)


def _compiled_parts(block: Block) -> Iterator[ColumnStatistics]:
    """Do what `centre_panel` does without a copy.

    The square of the heaviest row's deviation is at most the number of rows times the variance, so that the difference
    of squares costs no more than that.
    """
    from sgdlinreg._core.numba_loops import add_deviations, panel_rows

    for _, X, weight in views(block, panel_rows(block.row_bytes)):
        panel_weight, first = weight.sum(), X[int(np.argmax(weight))].astype(np.float64)
        sums, squares = add_deviations(X, weight, first)
        rest = sums / panel_weight
        squares = np.maximum(squares - panel_weight * rest**2, 0.0)
        yield ColumnStatistics(panel_weight, first + rest, squares, np.ones(len(rest), dtype=bool))


def target_statistics(block: Block) -> ColumnStatistics:
    """Measure the columns of y, by the same formulas."""
    return column_statistics(Block(block.y, block.y, block.sample_weight, compiled=block.compiled))
