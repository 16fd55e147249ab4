"""Memory that the compiled kernels work in."""

from typing import NamedTuple

import numpy as np
from numba.extending import register_jitable

from sgdlinreg._solvers.rows_numba import GROUP, Rows
from sgdlinreg._solvers.vectors_numba import padded


class Scratch(NamedTuple):
    """Memory for the kernel, which allocates none: then numba need not count references, which takes longer than steps.

    Attributes
    ----------
    folded, partial : ndarray of shape (n_targets, padded n_features)
        Weights on raw rows and sums over rows, in X's dtype; zeros in the columns that fill up the last vector.
    around : ndarray of shape (3, padded n_features)
        Centre, inverse scale, and their product.
    plain : ndarray of shape (2, n_targets, padded n_features)
        Coefficients and their sums, in whole vectors, before and after plain steps or while they are taken.
    gradient : ndarray of shape (n_targets, n_features + 1)
    sums : ndarray of shape (3, n_targets)
        Intercepts on raw rows; sums of derivatives and of losses.
    inner : ndarray of shape (rank,)
        A gradient in whitened coordinates.
    factors : ndarray of shape (GROUP,)
        Of the rows that are worked on, in the gradient; in X's dtype.
    rows, extreme : Rows
        Those that have been looked up, and those that join every batch.
    span : ndarray of shape (2,), intp
        The position of the first of ``rows``, and the one after the last.
    """

    folded: np.ndarray
    partial: np.ndarray
    around: np.ndarray
    plain: np.ndarray
    gradient: np.ndarray
    sums: np.ndarray
    inner: np.ndarray
    factors: np.ndarray
    rows: Rows
    extreme: Rows
    span: np.ndarray

    @classmethod
    def for_block(cls, block, conditioning) -> "Scratch":
        """Make what a block needs."""
        dtype = block.dtype
        n_targets, n_extreme = block.n_targets, len(conditioning.extreme_rows)
        shape = n_targets, padded(block.n_features, dtype.itemsize)
        extreme = Rows.for_block(block, n_extreme)
        extreme.numbers[:] = conditioning.extreme_rows
        around = np.zeros((3, shape[1]))
        around[:2, : block.n_features] = conditioning.centre, 1.0 / conditioning.scale
        around[2] = around[0] * around[1]
        return cls(
            np.zeros(shape, dtype),
            np.zeros(shape, dtype),
            around,
            np.zeros((2, *shape)),
            np.zeros((n_targets, block.n_features + 1)),
            np.zeros((3, n_targets)),
            np.zeros(conditioning.whitener.shape[1]),
            np.zeros(GROUP, dtype),
            Rows.for_block(block),
            extreme,
            np.zeros(2, np.intp),
        )

    def clear(self) -> None:
        """Forget what a part of a large batch has left."""
        clear_scratch(self)

    def add_to(self, other: "Scratch") -> None:
        """Add the sums to those of another."""
        other.gradient[:] += self.gradient
        other.sums[1:] += self.sums[1:]


@register_jitable
def clear_scratch(scratch):
    """Forget sums, rows that have been looked up, and what overflow may have left in padding."""
    scratch.gradient[:] = 0.0
    scratch.sums[:] = 0.0
    scratch.span[:] = 0
    scratch.folded[:] = 0.0
    scratch.partial[:] = 0.0


@register_jitable
def begin_plainly(plain, coef):
    """Bring what plain steps work on into whole vectors: parts of them are not read as fast after being stored."""
    plain[:] = 0.0
    for t in range(coef.shape[0]):
        for j in range(coef.shape[1] - 1):
            plain[0, t, j] = coef[t, j]


@register_jitable
def end_plainly(plain, coef, coef_sum):
    """Bring the result of plain steps back."""
    for t in range(coef.shape[0]):
        for j in range(coef.shape[1] - 1):
            coef[t, j] = plain[0, t, j]
            coef_sum[t, j] += plain[1, t, j]
