"""Residuals and gradient of a solution in double-double, on the data as they are: what a refinement needs."""

import numpy as np
from scipy import sparse

from sgdlinreg._core.blocks import SPARSE_PANEL_ROWS, Block, rows_of
from sgdlinreg._core.threads import map_strips
from sgdlinreg._solvers.closed_form.double_double import DoubleDouble, cut, product, slice_bits

PANEL_VALUES = 1 << 16
"""Values of a panel: it and its slices should stay in the cache."""
FEATURES_FOR_THREADS = 256
"""Below this, operations on a panel are so short that threads wait for each other: one is twice as fast as two."""


def residual_sums(block: Block, coef: DoubleDouble, size: np.ndarray) -> tuple[DoubleDouble, np.ndarray]:
    """Compute the gradient of the rows of a block at a solution, and the sums of squared residuals.

    Parameters
    ----------
    block : Block
    coef : DoubleDouble of shape (n_features + 1, n_columns)
        The solution, the intercept last. Columns after those of the targets have y = 0.
    size : ndarray of shape (n_features,)
        Powers of two about as large as the columns of X.

    Returns
    -------
    gradient : DoubleDouble of shape (n_features + 1, n_columns)
        Weighted ``[X, 1].T @ (y - [X, 1] @ coef)``, with the columns of X in units of ``size``.
    squares : ndarray of shape (n_targets,)
        Weighted.

    Notes
    -----
    Products are exact in slices of about 20 bits; what is rounded is 1e-28 of the largest term. The cost is about 15
    operations and 6 multiply-adds for each value of X and column of the solution.
    """
    ops, d, n_targets, is_sparse = block.ops, block.n_features, block.n_targets, block.is_sparse
    panel_rows = SPARSE_PANEL_ROWS if is_sparse else min(8192, max(256, PANEL_VALUES // d))
    panel_rows = min(panel_rows, block.n_rows)
    bits = slice_bits(2 * max(panel_rows, d + 1))
    units = np.append(-size, -1.0)[:, None]
    minus = DoubleDouble(ops.put(coef.high * units), ops.put(coef.low * units))
    inverse = ops.put(1.0 / size)

    def strip(start, stop):
        gradient, squares = None, np.zeros(n_targets)
        room = None if is_sparse else ops.zeros((3, panel_rows, d + 1))
        for begin in range(start, stop, panel_rows):
            X, y, weight = rows_of(block, slice(begin, min(begin + panel_rows, stop)))
            if room is None:
                slices = _cut_csr(X, inverse, bits)
            else:
                slices = room[:, : len(y)]
                ops.multiply(X, inverse, out=slices[2, :, :-1])
                slices[2, :, -1] = 1.0
                cut(slices, bits)
            targets = np.zeros((len(y), coef.high.shape[1]))
            targets[:, :n_targets] = y
            residual = product(ops, slices, minus, bits).add(ops.put(targets))
            part = weight[:, None] * np.square(ops.take(residual.high[:, :n_targets]))
            squares = squares + part.sum(axis=0, dtype=np.longdouble)
            if block.sample_weight is not None:
                residual = residual.times(ops.put(weight[:, None]))
            part = product(ops, (slices[0].T, slices[1].T, slices[2].T), residual, bits)
            part = DoubleDouble(ops.take(part.high), ops.take(part.low))
            gradient = part if gradient is None else gradient.add(*part)
        return gradient, squares

    parts = map_strips(strip, block.n_rows, panel_rows, ops.threads and d >= FEATURES_FOR_THREADS)
    gradient, squares = parts[0]
    for part, part_squares in parts[1:]:
        gradient, squares = gradient.add(*part), squares + part_squares
    return gradient, squares.astype(np.float64)


def _cut_csr(X, inverse, bits) -> list[sparse.csr_array]:
    """Cut rows in CSR, times ``inverse`` and with a column of ones, into slices."""
    scaled = sparse.csr_array((X.data * inverse[X.indices], X.indices, X.indptr), shape=X.shape)
    scaled = sparse.hstack([scaled, np.ones((X.shape[0], 1))], format="csr")
    parts = np.empty((3, scaled.nnz))
    parts[2] = scaled.data
    return [sparse.csr_array((part, scaled.indices, scaled.indptr), shape=scaled.shape) for part in cut(parts, bits)]
