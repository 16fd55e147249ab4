"""The phase that sums up second moments, and what follows from them."""

import os
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from sgdlinreg._core.blocks import Block
from sgdlinreg._core.objective import Objective
from sgdlinreg._solvers.closed_form.equations import first_solution, scaled_equations
from sgdlinreg._solvers.closed_form.factorizations import factorise, non_negative
from sgdlinreg._solvers.closed_form.moments import Moments
from sgdlinreg._solvers.closed_form.qr_panels import QRPanels
from sgdlinreg._solvers.closed_form.refinement import refine_or_end
from sgdlinreg._solvers.closed_form.solved import ENOUGH_SINGLE, Solved

SPARSE_QR = 1 << 33
"""Operations that the QR decomposition of CSR rows may take, which become dense panels."""


@dataclass(frozen=True)
class SumMoments:
    """Moments of the rows so far."""

    moments: Moments
    is_sparse: bool = False
    done: ClassVar[bool] = False

    @classmethod
    def start(cls, n_features: int, n_targets: int, precise: bool) -> "SumMoments":
        """Return the phase before any rows.

        Raises
        ------
        ValueError
            If the machine has too little memory for the moments.
        """
        needed, available = 4 * 8 * (n_features + n_targets) ** 2, _memory_bytes()
        if needed > available:
            raise ValueError(
                f"solver='normal_equation' needs about {needed / 2**30:.1f} GiB for the moments of {n_features} "
                f"features, and this machine has {available / 2**30:.1f} GiB. Use solver='numba'."
            )
        return cls(Moments.empty(n_features, n_targets, precise))

    def add(self, block: Block) -> "SumMoments":
        """Take in the rows of a block."""
        return SumMoments(self.moments.add(block), block.is_sparse)

    def next(self, objective: Objective, again: bool) -> Any:
        """Solve, and return the phase that makes up for digits that the moments lack.

        Raises
        ------
        ValueError
            If sums are not finite.
        """
        moments = self.moments
        if not (np.isfinite(moments.mean).all() and np.isfinite(moments.products).all()):
            raise ValueError(
                "The closed form overflowed: sums of X or y are not finite. Rescale them, their values are too large."
            )
        scaled = scaled_equations(moments, objective.l2, objective.fit_intercept)
        if objective.positive:
            return self._precisely() if again and moments.rounded else _non_negative(scaled, objective)
        rounding = float(np.finfo(np.float32 if moments.rounded else np.float64).eps) * moments.cancelled
        factor = factorise(scaled.gram, rounding)
        if again and moments.rounded and (factor.error > ENOUGH_SINGLE or not factor.has_digits):
            return self._precisely()
        solution = first_solution(scaled, factor, factor.solve(scaled.right), objective.fit_intercept)
        affordable = not self.is_sparse or moments.n_rows * len(moments.unit) ** 2 <= SPARSE_QR
        if again and not factor.has_digits and affordable and len(scaled.gram):
            return QRPanels.after(solution, objective.fit_intercept)
        return refine_or_end(solution, objective, again)

    def _precisely(self) -> "SumMoments":
        return SumMoments(Moments.empty(self.moments.n_features, self.moments.n_targets, precise=True))


def _non_negative(scaled, objective: Objective) -> Solved:
    """Solve under the condition that no coefficient is negative."""
    moments = scaled.moments
    weights, rank, condition = non_negative(scaled.gram, scaled.right)
    coef = first_solution(scaled, None, weights, objective.fit_intercept).coef.high.T
    condition = condition if len(scaled.gram) == moments.n_features else np.inf
    squares, mean = scaled.residual_squares(weights) * scaled.y_unit**2, moments.mean[: moments.n_features]
    known = moments.total_weight, mean, moments.n_rows, rank, condition
    return Solved(coef, squares, *known, "non_negative", moments)


def _memory_bytes() -> float:
    """Return the physical memory; inf where the system does not tell."""
    try:
        return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    except (AttributeError, ValueError, OSError):
        return np.inf
