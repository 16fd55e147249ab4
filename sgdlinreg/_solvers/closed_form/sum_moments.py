"""The phase that sums up moments."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from sgdlinreg._core.arrays import all_finite, is_on_device
from sgdlinreg._solvers.closed_form.block_moments import moments_of
from sgdlinreg._solvers.closed_form.constrained import solve_triangle, triangle_of
from sgdlinreg._solvers.closed_form.equations import NormalEquations
from sgdlinreg._solvers.closed_form.factorizations import factorise
from sgdlinreg._solvers.closed_form.phase import Phase
from sgdlinreg._solvers.closed_form.qr_panels import QRPanels, TriangularFactor
from sgdlinreg._solvers.closed_form.refinement import ENOUGH, ENOUGH_SINGLE, SMALL, SURE, refine_or_stop
from sgdlinreg._solvers.closed_form.solution import Solution

MOST_KEPT = 256
"""Columns whose moments stay with an estimator after fit."""
SPARSE_QR = 1 << 33
"""Operations that the QR decomposition of CSR rows may take, which become dense panels."""


@dataclass(frozen=True)
class SumMoments(Phase):
    """`Moments` of the rows so far, None before any.

    ``precise`` says whether products of float32 data are float64 too; those of small data and on a device always are.
    ``is_sparse`` says whether the last block was CSR.
    """

    precise: bool = True
    moments: Any = None
    is_sparse: bool = False

    def add(self, block):
        """Join the moments of a block."""
        small = block.n_rows * block.n_features <= SMALL
        moments = moments_of(block, self.precise or small or is_on_device(block.X))
        moments = moments if self.moments is None else self.moments.merge(moments)
        return SumMoments(self.precise, moments, block.is_sparse)

    def after_fit(self):
        """Return the moments, unless they are many."""
        return self if self.moments.n_features <= MOST_KEPT else None

    def merge(self, other):
        """Add the rows, or the moments, of another phase."""
        if isinstance(other, SumMoments):
            return replace(self, moments=self.moments.merge(other.moments))
        return self.add(other.block)

    def next(self, objective, again):
        """Solve the normal equations, and choose the next pass by how sure the solution is."""
        moments = self.moments
        if not (all_finite(moments.mean.high) and all_finite(moments.products)):
            raise ValueError(
                "The closed form overflowed: sums of X or y are not finite. Rescale them, their values are too large."
            )
        equations = NormalEquations.of(moments, objective.l2, objective.fit_intercept)
        if not np.isfinite(equations.gram).all():
            raise ValueError(f"The closed form overflowed: alpha={objective.alpha} is too large. Use a smaller one.")
        factor = factorise(equations)
        constrained = not objective.is_smooth
        poor = factor.lower is None or factor.error > (ENOUGH if constrained else ENOUGH_SINGLE)
        if again and moments.rounded and poor:
            return SumMoments()
        kept = SumMoments(moments=moments)
        affordable = not self.is_sparse or moments.n_rows * len(moments.unit) ** 2 <= SPARSE_QR
        unsure = factor.lower is None and (factor.error > SURE or moments.is_uneven)
        if again and affordable and (poor if constrained else unsure):
            return QRPanels(equations, kept, TriangularFactor.of(equations))
        if constrained:
            found = solve_triangle(equations, *triangle_of(equations, factor), factor, objective)
            return found.solved(objective, moments.n_rows, kept, moments.mean.high[: moments.n_features])
        return refine_or_stop(Solution.first(equations, factor, factor.solve(equations.right)), kept, again)
