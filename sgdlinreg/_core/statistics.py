"""Means and variances of columns, in one sequential pass, merged block by block; offsets cost no digits."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from scipy import sparse

from sgdlinreg._core.arrays import arrays_of
from sgdlinreg._core.blocks import Block, panels, squared, views

ROUNDING = 16 * float(np.finfo(float).eps)
"""Deviations below this share of the mean are taken for rounding."""
UNDERFLOW = float(np.sqrt(np.finfo(float).tiny) / np.finfo(float).eps)
"""Deviations of columns with smaller means may have squares that are 0."""
JOINED_VALUES = 1 << 15
"""Up to so many values of X its columns are measured together with y's: there the calls take longer than the sums."""


class ColumnStatistics(NamedTuple):
    """Weighted mean and sum of squared deviations of each column of some rows, and how much was seen.

    ``complete`` says which columns are stored in every row: all of a dense block; of CSR those that can be centred and
    stay sparse.
    """

    total_weight: float
    mean: np.ndarray
    squares: np.ndarray
    complete: np.ndarray

    def merge(self, other: "ColumnStatistics | None") -> "ColumnStatistics":
        """Join the statistics of other rows (Chan, Golub, LeVeque 1983, eq. 2.1)."""
        if other is None:
            return self
        total = self.total_weight + other.total_weight
        delta = other.mean - self.mean
        mean = self.mean + delta * (other.total_weight / total)
        between = delta * delta * (self.total_weight * other.total_weight / total)
        complete = self.complete & other.complete
        return ColumnStatistics(total, mean, self.squares + other.squares + between, complete)

    @property
    def variance(self) -> np.ndarray:
        """Weighted variance of each column; exactly 0 where rounding alone makes it positive."""
        variance = self.squares / self.total_weight
        rounding = ROUNDING * np.abs(self.mean)
        return np.where(variance > rounding**2, variance, 0.0)

    @property
    def constant(self) -> np.ndarray:
        """Which columns differ by rounding alone; not those whose squares underflow, of which nobody can tell."""
        return (self.variance == 0.0) & (np.abs(self.mean) > UNDERFLOW)


def centre_panel(X: Any, weight: np.ndarray) -> np.ndarray:
    """Subtract the weighted mean of each column in place, wherever X is, and return it.

    The heaviest row goes first: an offset or uneven weights then cost no digits, and constant columns become exactly 0.
    """
    there: Any = arrays_of(X)
    first = 1.0 * X[int(weight.argmax())]
    X -= first
    rest = (there.put(weight) @ X) / weight.sum()
    X -= rest
    return there.take(first + rest)


def shift_complete(X: sparse.csr_array) -> tuple[np.ndarray, np.ndarray]:
    """Subtract its first value from each column of CSR that is stored in every row, in place.

    An offset then costs no digits; in other columns the zeros keep the variance in proportion to the mean. Gives which
    columns these are, and what was subtracted from every column.
    """
    complete = np.bincount(X.indices, minlength=X.shape[1]) == X.shape[0]
    shift = np.where(complete, X[:1].toarray().ravel(), 0.0)
    X.data -= shift[X.indices]
    return complete, shift


def column_statistics(block: Block) -> ColumnStatistics:
    """Measure the columns of X in one sequential pass, in float64."""
    total = None
    for part in _compiled_parts(block) if block.compiles else _parts(block):
        total = part.merge(total)
    assert total is not None, "a block has rows"
    return total


def _parts(block: Block) -> Iterator[ColumnStatistics]:
    for _, X, weight in panels(block):
        panel_weight = weight.sum()
        if sparse.issparse(X):
            complete, shift = shift_complete(X)
            rest = (weight @ X) / panel_weight
            mean, squares = shift + rest, weight @ squared(X) - panel_weight * rest**2
        else:
            complete = np.ones(X.shape[1], dtype=bool)
            mean = centre_panel(X, weight)
            there: Any = arrays_of(X)
            squares = there.take(there.put(weight) @ squared(X))
        yield ColumnStatistics(panel_weight, mean, np.maximum(squares, 0.0), complete)


def _compiled_parts(block: Block) -> Iterator[ColumnStatistics]:
    """Do what `centre_panel` does without a copy.

    The square of the heaviest row's deviation is at most the number of rows times the variance, so that the difference
    of squares costs no more than that.
    """
    from sgdlinreg._core.measuring_numba import add_deviations, panel_rows

    for _, X, weight in views(block, panel_rows(block.row_bytes)):
        panel_weight, first = weight.sum(), X[int(np.argmax(weight))].astype(np.float64)
        sums, squares = add_deviations(X, weight, first)
        rest = sums / panel_weight
        squares = np.maximum(squares - panel_weight * rest**2, 0.0)
        yield ColumnStatistics(panel_weight, first + rest, squares, np.ones(len(rest), dtype=bool))


def target_statistics(block: Block) -> ColumnStatistics:
    """Measure the columns of y, by the same formulas."""
    return column_statistics(Block(block.y, block.y, block.sample_weight, block.compiled))


class Measured(NamedTuple):
    """What is known of the columns of X, if that was asked for, and of y."""

    columns: ColumnStatistics | None
    targets: ColumnStatistics

    def merge(self, other: "Measured | None") -> "Measured":
        """Join the statistics of other rows."""
        if other is None:
            return self
        columns = None if self.columns is None else self.columns.merge(other.columns)
        return Measured(columns, self.targets.merge(other.targets))


def measure(block: Block, with_columns: bool) -> Measured:
    """Measure y and, if asked, X; columns of both at once where that is faster."""
    if not with_columns:
        return Measured(None, target_statistics(block))
    if not isinstance(block.X, np.ndarray) or block.X.size > JOINED_VALUES:
        return Measured(column_statistics(block), target_statistics(block))
    weight, *joined = column_statistics(block._replace(X=np.concatenate([block.X, block.y], axis=1)))
    columns, targets = zip(
        *((values[: -block.n_targets], values[-block.n_targets :]) for values in joined), strict=True
    )
    return Measured(ColumnStatistics(weight, *columns), ColumnStatistics(weight, *targets))
