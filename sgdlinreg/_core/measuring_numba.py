"""Measuring passes over dense rows compiled by numba: each row is read once, and nothing is copied."""

import numpy as np

from sgdlinreg._core.arrays import read_only
from sgdlinreg._core.compiling_numba import FAST, compiled

PANEL_BYTES, PANEL_ROWS = 1 << 23, 1 << 14
"""Rows whose sums are made in one go: so many that a call takes no time, so few that sums lose no digits."""


def panel_rows(row_bytes):
    """Rows of a panel."""
    return int(max(1, min(PANEL_BYTES // row_bytes, PANEL_ROWS)))


def add_deviations(X, weight, shift):
    """Give the weighted sums of deviations from ``shift`` and of their squares, (2, n_features)."""
    sums = np.zeros((2, X.shape[1]))
    _add_deviations(read_only(X), weight, shift, sums)
    return sums


def row_norms(X, centre, inverse_scale, norms):
    """Set the squared norm of every row of ``(X - centre) * inverse_scale``."""
    _row_norms(read_only(X), centre, inverse_scale, norms)


@compiled(**FAST)
def _add_deviations(X, weight, shift, sums):
    for i in range(X.shape[0]):
        for j in range(X.shape[1]):
            deviation = X[i, j] - shift[j]
            weighted = weight[i] * deviation
            sums[0, j] += weighted
            sums[1, j] += weighted * deviation


@compiled(**FAST)
def _row_norms(X, centre, inverse_scale, norms):
    for i in range(X.shape[0]):
        norm = 0.0
        for j in range(X.shape[1]):
            value = (X[i, j] - centre[j]) * inverse_scale[j]
            norm += value * value
        norms[i] = norm
