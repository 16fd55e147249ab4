"""QR decomposition of [X, y], centred and scaled, in panels: for columns too collinear for moments."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy import sparse

from sgdlinreg._core.blocks import Block, panel_of, with_weights_in
from sgdlinreg._core.contract import Sums
from sgdlinreg._core.threads import map_strips
from sgdlinreg._solvers.closed_form.constrained import solve_triangle
from sgdlinreg._solvers.closed_form.double_double import DoubleDouble
from sgdlinreg._solvers.closed_form.equations import NormalEquations
from sgdlinreg._solvers.closed_form.factorizations import SingularValues
from sgdlinreg._solvers.closed_form.phase import Phase
from sgdlinreg._solvers.closed_form.refinement import refine_or_stop
from sgdlinreg._solvers.closed_form.solution import Solution

PANEL_ROWS = 2048


def triangular_factor(block: Block, centre: DoubleDouble, scale: np.ndarray) -> np.ndarray:
    """Compute R of the rows [X, y] of a block, centred and scaled.

    The cost is 2 * n_rows * (n_features + n_targets)**2 operations, several times those of the moments (Demmel,
    Grigori, Hoemmen, Langou, "Communication-optimal parallel and sequential QR and LU factorizations", SIAM J. Sci.
    Comput. 34, 2012).
    """
    size = len(scale)
    panel_rows = max(PANEL_ROWS, 4 * size)

    def strip(start, stop):
        factor = np.empty((0, size))
        for begin in range(start, stop, panel_rows):
            X, y, weight = panel_of(block, slice(begin, min(begin + panel_rows, stop)))
            panel = np.column_stack([X.toarray() if sparse.issparse(X) else X, y])
            panel -= centre.high
            panel -= centre.low  # or the rounding of an offset column's mean would count as a column
            panel /= scale
            panel *= np.sqrt(weight)[:, None]
            factor = join_factors(factor, panel)
        return factor

    return join_factors(*map_strips(strip, block.n_rows, panel_rows))


def join_factors(*factors) -> np.ndarray:
    joined: Any = np.linalg.qr(np.vstack(factors), mode="r")
    return joined


@dataclass(frozen=True)
class TriangularFactor(Sums):
    """R of the rows so far, None before any; weights count in units of ``2**weight_exponent``."""

    centre: DoubleDouble
    scale: np.ndarray
    weight_exponent: int
    factor: Any = None

    @classmethod
    def of(cls, equations: NormalEquations) -> "TriangularFactor":
        """Return that of no rows, in the coordinates of some equations."""
        scale = np.concatenate([equations.scale, equations.y_unit])
        return cls(equations.centre, scale, equations.moments.weight_exponent)

    def add(self, block):
        """Join the triangular factor of a block."""
        block = with_weights_in(block, self.weight_exponent)
        return self._joined(triangular_factor(block, self.centre, self.scale))

    def merge(self, other):
        """Join that of other rows."""
        return self._joined(other.factor)

    def _joined(self, factor):
        return replace(self, factor=factor if self.factor is None else join_factors(self.factor, factor))


@dataclass(frozen=True)
class QRPanels(Phase):
    """The equations that moments gave, and R of the rows so far; ``kept`` is what partial_fit goes on from."""

    equations: NormalEquations
    kept: Phase
    triangle: TriangularFactor

    def without_rows(self):
        """Return the factor of no rows."""
        return self.triangle

    def with_sums(self, sums):
        """Return the phase with the factor of all rows."""
        return replace(self, triangle=sums)

    def add(self, block):
        """Join the triangular factor of a block."""
        return self.with_sums(self.triangle.add(block))

    def next(self, objective, again):
        """Solve with the singular values of the factor and of the rows of the penalty."""
        equations, factor = self.equations, self.triangle.factor
        d, n_active = len(equations.scale), len(equations.gram)
        rows, targets = factor[:, :d][:, equations.active], factor[:, d:]
        if equations.penalty:
            rows = np.vstack([rows, np.diag(np.sqrt(equations.penalty) / equations.scale[equations.active])])
            targets = np.vstack([targets, np.zeros((n_active, targets.shape[1]))])
        singular = SingularValues(rows, targets, equations.noise)
        if not objective.is_smooth:
            moments = equations.moments
            found = solve_triangle(equations, rows, targets, singular, objective)
            return found.solved(objective, moments.n_rows, self.kept, moments.mean.high[:d])
        return refine_or_stop(Solution.first(equations, singular, singular.weights), self.kept, again)
