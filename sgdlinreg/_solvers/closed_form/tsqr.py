"""Triangular factor of [X, y], centred and scaled, by QR of panels (TSQR): for columns too collinear for moments."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy import sparse

from sgdlinreg._core.blocks import Block, panel_of
from sgdlinreg._core.threads import map_strips
from sgdlinreg._solvers.closed_form.double_double import DoubleDouble

PANEL_ROWS = 2048


@dataclass(frozen=True)
class Triangle:
    """R of the QR decomposition of the rows so far.

    Attributes
    ----------
    centre : DoubleDouble of shape (n_features + n_targets,)
        Subtracted from the columns: the rounding of an offset column's mean would count as a column of its own.
    scale : ndarray of shape (n_features + n_targets,)
        What they are divided by then.
    factor : ndarray of shape (n, n_features + n_targets)
        Upper triangular (trapezoidal while there are few rows).

    Notes
    -----
    Costs 2 * n_rows * (n_features + n_targets)**2 operations, several times those of the moments (Demmel, Grigori,
    Hoemmen, Langou, "Communication-optimal parallel and sequential QR and LU factorizations", SIAM J. Sci. Comput. 34,
    2012).
    """

    centre: DoubleDouble
    scale: np.ndarray
    factor: np.ndarray

    def add(self, block: Block) -> "Triangle":
        """Take in the rows of a block."""
        size = len(self.scale)
        panel_rows = max(PANEL_ROWS, 4 * size)

        def strip(start, stop):
            triangle = np.empty((0, size))
            for begin in range(start, stop, panel_rows):
                X, y, weight = panel_of(block, slice(begin, min(begin + panel_rows, stop)))
                panel = np.column_stack([X.toarray() if sparse.issparse(X) else X, y])
                panel -= self.centre.high
                panel -= self.centre.low
                panel /= self.scale
                panel *= np.sqrt(weight)[:, None]
                triangle = _triangle_of([triangle, panel])
            return triangle

        triangles = map_strips(strip, block.n_rows, panel_rows)
        return replace(self, factor=_triangle_of([self.factor, *triangles]))


def _triangle_of(parts) -> np.ndarray:
    rows: Any = np.linalg.qr(np.vstack(parts), mode="r")
    return rows
