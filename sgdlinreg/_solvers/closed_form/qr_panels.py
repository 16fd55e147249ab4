"""The phase that decomposes the rows by QR, panel by panel (TSQR): for columns too collinear for moments."""

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from scipy import sparse

from sgdlinreg._core.blocks import Block, panel_of
from sgdlinreg._core.objective import Objective
from sgdlinreg._core.threads import map_strips
from sgdlinreg._solvers.closed_form.double_double import DoubleDouble
from sgdlinreg._solvers.closed_form.equations import Solution, first_solution, singular_values
from sgdlinreg._solvers.closed_form.refinement import refine_or_end

PANEL_ROWS = 2048


@dataclass(frozen=True)
class QRPanels:
    """R of the QR decomposition of the centred and scaled rows of [X, y] so far.

    Attributes
    ----------
    solution : Solution
        Of the moments, which were not enough.
    centre : DoubleDouble of shape (n_features + n_targets,)
        Subtracted from the columns: the rounding of an offset column's mean would count as a column of its own.
    scale : ndarray of shape (n_features + n_targets,)
        What they are divided by then.
    factor : ndarray of shape (n, n_features + n_targets)
        Upper triangular, trapezoidal while there are few rows.

    Notes
    -----
    Costs 2 * n_rows * (n_features + n_targets)**2 operations, several times those of the moments (Demmel, Grigori,
    Hoemmen, Langou, "Communication-optimal parallel and sequential QR and LU factorizations", SIAM J. Sci. Comput. 34,
    2012).
    """

    solution: Solution
    centre: DoubleDouble
    scale: np.ndarray
    factor: np.ndarray
    done: ClassVar[bool] = False

    @classmethod
    def after(cls, solution: Solution, fit_intercept: bool) -> "QRPanels":
        """Return the phase before any rows."""
        moments, scaled = solution.scaled.moments, solution.scaled
        scale = np.concatenate([scaled.scale, scaled.y_unit])
        centred = float(fit_intercept)
        centre = DoubleDouble(centred * moments.mean, centred * moments.mean_rest)
        return cls(solution, centre, scale, np.empty((0, len(scale))))

    def add(self, block: Block) -> "QRPanels":
        """Take in the rows of a block."""
        size = len(self.scale)
        panel_rows = max(PANEL_ROWS, 4 * size)

        def strip(start, stop):
            factor = np.empty((0, size))
            for begin in range(start, stop, panel_rows):
                X, y, weight = panel_of(block, slice(begin, min(begin + panel_rows, stop)))
                panel = np.column_stack([X.toarray() if sparse.issparse(X) else X, y])
                panel -= self.centre.high
                panel -= self.centre.low
                panel /= self.scale
                panel *= np.sqrt(weight)[:, None]
                factor = _factor_of([factor, panel])
            return factor

        factors = map_strips(strip, block.n_rows, panel_rows)
        return replace(self, factor=_factor_of([self.factor, *factors]))

    def next(self, objective: Objective, again: bool) -> Any:
        """Solve by the singular values of the factor."""
        scaled = self.solution.scaled
        singular = singular_values(scaled, self.factor)
        solution = first_solution(scaled, singular, singular.weights, objective.fit_intercept)
        return refine_or_end(solution, objective, again)


def _factor_of(parts: list[np.ndarray]) -> Any:
    return np.linalg.qr(np.vstack(parts), mode="r")
