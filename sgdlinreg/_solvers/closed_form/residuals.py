"""Residuals and gradient of a solution in double-double on the data as they are: what refinement needs."""

from typing import Any, NamedTuple

import numpy as np
from scipy import sparse

from sgdlinreg._core.blocks import SPARSE_PANEL_ROWS, Block, rows_of
from sgdlinreg._core.threads import map_strips
from sgdlinreg._solvers.closed_form.double_double import (
    DoubleDouble,
    leading_slices,
    power_of_two_above,
    slice_bits,
    two_sum,
)

PANEL_VALUES = 1 << 16
"""Values of a panel: it and its slices should stay in the cache."""
FEATURES_FOR_THREADS = 256
"""Below this, operations on a panel are so short that threads wait for each other: one is twice as fast as two."""


class Residuals(NamedTuple):
    """Sums over the rows so far at a solution (w, b), which may have more columns than y: those have y = 0.

    Attributes
    ----------
    coef : DoubleDouble of shape (n_features + 1, n_columns)
        The solution, the intercept last.
    size : ndarray of shape (n_features,)
        Powers of two about as large as the columns of X.
    squares : ndarray of shape (n_targets,)
        Weighted sum of squared residuals.
    gradient : DoubleDouble of shape (n_features + 1, n_columns) or None
        Weighted ``[X, 1]' (y - X w - b)``, the columns of X in units of ``size``; None before any rows.

    Notes
    -----
    Products are exact in slices of about 20 bits; what is rounded is 1e-28 of the largest term. Costs about 15
    operations and 6 multiply-adds for each value of X and column of the solution.
    """

    coef: DoubleDouble
    size: np.ndarray
    squares: np.ndarray
    gradient: Any = None

    def add(self, block: Block) -> "Residuals":
        """Take in the rows of a block."""
        panel_rows = SPARSE_PANEL_ROWS if block.is_sparse else min(8192, max(256, PANEL_VALUES // block.n_features))
        panel_rows = min(panel_rows, block.n_rows)
        bits = slice_bits(2 * max(panel_rows, block.n_features + 1))  # twice as many: two such sums are added up
        ops = block.ops
        size = np.ones((len(self.size) + 1, 1))
        size[:-1, 0] = self.size
        coef = DoubleDouble(ops.put(-self.coef.high * size), ops.put(-self.coef.low * size))
        inverse = ops.put(1.0 / self.size)
        n_columns = coef.high.shape[1]

        def strip(start, stop):
            gradient, squares = None, 0.0 * self.squares
            room = None if block.is_sparse else ops.zeros((3, panel_rows, block.n_features + 1))
            for begin in range(start, stop, panel_rows):
                X, y, weight = rows_of(block, slice(begin, min(begin + panel_rows, stop)))
                slices = _slices_of_csr(X, inverse, bits) if room is None else _slices_of(ops, X, inverse, bits, room)
                targets = np.zeros((len(y), n_columns))
                targets[:, : block.n_targets] = y
                residual = _product_of_slices(ops, slices, coef, bits).add(ops.put(targets))
                part_squares = weight[:, None] * np.square(ops.take(residual.high[:, : block.n_targets]))
                squares = squares + part_squares.sum(axis=0, dtype=np.longdouble)
                if block.sample_weight is not None:
                    residual = residual.times(ops.put(weight[:, None]))
                part = _product_of_slices(ops, [one.T for one in slices], residual, bits)
                part = DoubleDouble(ops.take(part.high), ops.take(part.low))
                gradient = part if gradient is None else gradient.add_all(part)
            return gradient, squares

        gradient, squares = self.gradient, self.squares
        threads = ops.threads and block.n_features >= FEATURES_FOR_THREADS
        for part, part_squares in map_strips(strip, block.n_rows, panel_rows, threads):
            gradient = part if gradient is None else gradient.add_all(part)
            squares = squares + part_squares
        return self._replace(gradient=gradient, squares=squares.astype(np.float64))


def _slices_of(ops, X: Any, inverse: Any, bits: int, room: Any) -> tuple[Any, Any, Any]:
    """Cut a panel, times ``inverse`` and with a column of ones, in ``room`` for three panels."""
    first, second, rest = room[:, : len(X)]
    ops.multiply(X, inverse, out=rest[:, :-1])
    rest[:, -1] = 1.0
    leading_slices(rest, power_of_two_above(max(float(rest.max()), -float(rest.min()))), bits, (first, second))
    return first, second, rest


def _slices_of_csr(X: Any, inverse: np.ndarray, bits: int) -> tuple[Any, Any, Any]:
    """Do the same to a panel of CSR."""
    scaled = sparse.csr_array((X.data * inverse[X.indices], X.indices, X.indptr), shape=X.shape)
    scaled = sparse.hstack([scaled, np.ones((X.shape[0], 1))], format="csr")
    cut = np.empty((3, scaled.nnz))
    cut[2] = scaled.data
    leading_slices(cut[2], power_of_two_above(np.abs(scaled.data).max()), bits, cut[:2])
    first, second, rest = (sparse.csr_array((part, scaled.indices, scaled.indptr), shape=scaled.shape) for part in cut)
    return first, second, rest


def _product_of_slices(ops, slices: Any, right: DoubleDouble, bits: int) -> DoubleDouble:
    """Multiply a matrix in slices by a double-double matrix: the three largest products, and their sum, are exact."""
    X1, X2, X3 = slices
    n_rows, n = right.high.shape
    cut = ops.zeros((3, n, n_rows))  # r1, r2 and r3, columns as rows
    cut[2] = right.high.T
    size = power_of_two_above(ops.take(ops.amax(abs(cut[2]), 1)))
    leading_slices(cut[2], ops.put(size[:, None]), bits, cut[:2])
    cut[2] += right.low.T
    columns = cut.reshape(3 * n, n_rows).T
    of_1 = X1 @ columns
    cut[1] += cut[2]
    of_2 = X2 @ columns[:, : 2 * n]
    high, error = two_sum(of_1[:, :n], of_1[:, n : 2 * n] + of_2[:, :n])
    tail = of_1[:, 2 * n :] + of_2[:, n:] + X3 @ right.high
    return DoubleDouble(*two_sum(high, error + tail))
