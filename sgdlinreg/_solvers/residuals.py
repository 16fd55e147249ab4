"""Residuals and gradient of a solution in double-double on the data as they are: what refinement needs."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy import sparse

from sgdlinreg._blocks import SPARSE_PANEL_ROWS, Block, panel_of
from sgdlinreg._double_double import DoubleDouble, leading_slices, power_of_two_above, slice_bits
from sgdlinreg._threads import map_strips

PANEL_VALUES = 1 << 18
"""Values of a panel: it and its slices should stay in the cache."""


@dataclass(frozen=True)
class Residuals:
    """Sums over the rows so far at a solution (w, b), which may have more columns than y: those have y = 0.

    Attributes
    ----------
    coef : DoubleDouble of shape (n_features + 1, n_columns)
        The solution, the intercept last.
    size : ndarray of shape (n_features,)
        Powers of two about as large as the columns of X.
    gradient : DoubleDouble of shape (n_features + 1, n_columns)
        Weighted ``[X, 1]' (y - X w - b)``, the columns of X in units of ``size``.
    squares : ndarray of shape (n_targets,)
        Weighted sum of squared residuals.

    Notes
    -----
    Products are exact in slices of about 21 bits; what is rounded is 1e-28 of the largest term. Costs about 15
    operations and 6 multiply-adds for each value of X and column of the solution.
    """

    coef: DoubleDouble
    size: np.ndarray
    gradient: DoubleDouble
    squares: np.ndarray

    @classmethod
    def at(cls, coef: DoubleDouble, size: np.ndarray, n_targets: int) -> "Residuals":
        """No rows yet."""
        zeros = DoubleDouble(np.zeros_like(coef.high), np.zeros_like(coef.high))
        return cls(coef, size, zeros, np.zeros(n_targets))

    def add(self, block: Block) -> "Residuals":
        """Take in the rows of a block."""
        panel_rows = SPARSE_PANEL_ROWS if block.is_sparse else min(2048, max(256, PANEL_VALUES // block.n_features))
        bits = slice_bits(max(panel_rows, block.n_features + 1))
        scaled = DoubleDouble(self.coef.high[:-1] * self.size[:, None], self.coef.low[:-1] * self.size[:, None])
        w1, w2, rest = leading_slices(scaled.high, power_of_two_above(np.abs(scaled.high).max(axis=0)), bits)
        weights = w1, w2, rest + scaled.low

        def strip(start, stop):
            gradient, squares = self.gradient._replace(high=0.0 * self.gradient.high, low=0.0 * self.gradient.low), 0.0
            for begin in range(start, stop, panel_rows):
                X, y, weight = panel_of(block, slice(begin, min(begin + panel_rows, stop)))
                part, part_squares = self._of_panel(X, y, weight, weights, bits)
                gradient, squares = gradient.add_all(part), squares + part_squares
            return gradient, squares

        gradient, squares = self.gradient, self.squares
        for part, part_squares in map_strips(strip, block.n_rows, panel_rows):
            gradient, squares = gradient.add_all(part), squares + part_squares
        return replace(self, gradient=gradient, squares=squares)

    def _of_panel(self, X, y, weight, weights, bits):
        n_targets, n_columns = y.shape[1], self.coef.high.shape[1]
        X1, X2, X3 = _slices_of(X, self.size, bits)
        w1, w2, w3 = weights
        A = X1 @ np.hstack([w1, w2, w3])
        B = X2 @ np.hstack([w1, w2 + w3])
        tail = A[:, 2 * n_columns :] + B[:, n_columns:] + X3 @ (w1 + (w2 + w3))
        residual = DoubleDouble(np.zeros_like(tail), -tail)
        residual.high[:, :n_targets] = y
        for term in (self.coef.high[-1], A[:, :n_columns], A[:, n_columns : 2 * n_columns], B[:, :n_columns]):
            residual = residual.add(-term)
        residual = residual.add(-self.coef.low[-1])
        squares = weight @ np.square(residual.high[:, :n_targets])
        if not np.all(weight == 1.0):
            residual = residual.times(weight[:, None])

        size = power_of_two_above(np.abs(residual.high).max(axis=0))
        r1, r2, rest = leading_slices(residual.high, size, bits)
        r3 = rest + residual.low
        A = X1.T @ np.hstack([r1, r2, r3])
        B = X2.T @ np.hstack([r1, r2 + r3])
        tail = A[:, 2 * n_columns :] + B[:, n_columns:] + X3.T @ (r1 + (r2 + r3))
        exact = [
            np.vstack([A[:, :n_columns], r1.sum(axis=0)]),
            np.vstack([A[:, n_columns : 2 * n_columns], r2.sum(axis=0)]),
        ]
        gradient = DoubleDouble(exact[0], np.vstack([tail, r3.sum(axis=0)])).add(exact[1])
        return gradient.add(np.vstack([B[:, :n_columns], np.zeros(n_columns)])), squares


def _slices_of(X: Any, size: np.ndarray, bits: int) -> tuple[Any, Any, Any]:
    """Cut a panel, in units of ``size``, dense or CSR."""
    if sparse.issparse(X):
        values = X.data / size[X.indices]
        largest = np.abs(values).max(initial=0.0)
        return tuple(
            sparse.csr_array((part, X.indices, X.indptr), shape=X.shape)
            for part in leading_slices(values, power_of_two_above(largest), bits)
        )
    X = X / size
    return leading_slices(X, power_of_two_above(max(X.max(), -X.min())), bits)
