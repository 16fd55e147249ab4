"""The phase that refines a solution, and the model of a solution that needs no more."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy import linalg

from sgdlinreg._core.blocks import with_weights_in
from sgdlinreg._core.contract import Model, Sums
from sgdlinreg._core.standard_errors import Dependent, Inference
from sgdlinreg._solvers.closed_form.double_double import DoubleDouble
from sgdlinreg._solvers.closed_form.phase import BIASED, Phase, Solved, attributes_of
from sgdlinreg._solvers.closed_form.residuals import residual_sums
from sgdlinreg._solvers.closed_form.solution import Solution

SMALL = 1 << 17
"""Data of up to this many values, times targets, are always refined: it takes one to three milliseconds."""
ENOUGH_SMALL = 1e-18
"""They are refined while the bound on the relative error of the coefficients is above this."""
ENOUGH, ENOUGH_REFINED = 1e-9, 1e-12
"""Larger data are refined where the bound is above the first, until it is below the second."""
ENOUGH_SINGLE = 1e-4
"""The same after float32 products; above it they are done again in float64."""
SURE = 1e-6
"""Bound on the error above which a model that could not be refined is warned about."""
MAX_REFINEMENTS = 3
ENOUGH_INFERENCE = 1e-12
"""Standard errors of small data are refined with the coefficients where the bound on the error is above this."""


@dataclass(frozen=True)
class Residuals(Sums):
    """Gradient and squared residuals of coefficients on the rows so far, None and 0 before any.

    ``coef`` and ``size`` are those of a `Solution`; weights count in units of ``2**weight_exponent``.
    """

    coef: DoubleDouble
    size: np.ndarray
    y_unit: np.ndarray
    weight_exponent: int
    gradient: Any = None
    squares: Any = 0.0

    @classmethod
    def of(cls, solution: Solution) -> "Residuals":
        """Return those of no rows."""
        equations = solution.equations
        return cls(solution.coef, solution.size, equations.y_unit, equations.moments.weight_exponent)

    def add(self, block):
        """Add those of a block."""
        block = with_weights_in(block, self.weight_exponent)
        return self._joined(*residual_sums(replace(block, y=block.y / self.y_unit), self.coef, self.size))

    def merge(self, other):
        """Add those of other rows."""
        return self._joined(other.gradient, other.squares)

    def _joined(self, gradient, squares):
        gradient = gradient if self.gradient is None else self.gradient.add(*gradient)
        return replace(self, gradient=gradient, squares=self.squares + squares)


@dataclass(frozen=True)
class Refinement(Phase):
    """A solution and its residuals on the rows so far; ``kept`` is the phase that partial_fit goes on from."""

    solution: Solution
    kept: Phase
    residuals: Residuals

    def without_rows(self):
        """Return the residuals of no rows."""
        return self.residuals

    def with_sums(self, sums):
        """Return the phase with the residuals of all rows."""
        return replace(self, residuals=sums)

    def add(self, block):
        """Sum up the gradient and the squared residuals of a block."""
        return self.with_sums(self.residuals.add(block))

    def next(self, objective, again):
        """Correct the solution."""
        solution = self.solution.refined(self.residuals.gradient, self.residuals.squares)
        return refine_or_stop(solution, self.kept, again)


def refine_or_stop(solution: Solution, kept: Phase, again: bool) -> Phase:
    """Return the phase of another refinement, if it is needed and possible, or the solved one.

    Parameters
    ----------
    solution : Solution
    kept : Phase
        What partial_fit goes on from.
    again : bool
        Whether another pass over the rows is possible.
    """
    moments, error, n_refined = solution.equations.moments, solution.factor.error, solution.n_refined
    if moments.n_rows * moments.n_features * len(solution.squares) <= SMALL:
        enough = ENOUGH_SMALL
    elif moments.rounded:
        enough = ENOUGH_SINGLE
    else:
        enough = ENOUGH_REFINED if n_refined else ENOUGH
    needed = solution.lost or error ** (n_refined + 1) > enough  # each one divides the error by the factor's
    if not (again and needed and not solution.stuck and n_refined < MAX_REFINEMENTS):
        return _solved(solution, kept)
    if n_refined == 0 and error > ENOUGH_INFERENCE:
        solution = solution.with_inverse()
    return Refinement(solution, kept, Residuals.of(solution))


def _solved(solution: Solution, kept: Phase) -> Solved:
    equations, factor, moments = solution.equations, solution.factor, solution.equations.moments
    coef = solution.coef.high[:, : len(solution.squares)]
    coef = (equations.least_norm(coef, factor.null) if factor.null.shape[1] else coef).T
    coef = coef * equations.y_unit[:, None]
    model = Model(
        coef,
        attributes_of(coef, moments.n_rows, factor, solution.n_refined),
        kept,
        moments.mean.high[: moments.n_features] if equations.fit_intercept else None,
        _inference(solution),
        _lost_digits(solution),
    )
    return Solved(model, np.square(np.sqrt(solution.squares / moments.total_weight) * equations.y_unit))


def _inference(solution: Solution) -> Inference | Dependent | str:
    """Return what standard errors follow from, or why there are none."""
    equations, factor, moments = solution.equations, solution.factor, solution.equations.moments
    d, fit_intercept, n_targets = moments.n_features, equations.fit_intercept, len(solution.squares)
    if equations.penalty > 0.0:
        return BIASED
    mean = moments.mean.high[:d] if fit_intercept else None
    if factor.rank < d:
        return Dependent.of(factor.null, equations.active, equations.scale, mean)
    if factor.lower is None:
        return "the columns are too collinear for sums alone, and the rows cannot be read again; use fit"
    if solution.lost and not solution.n_refined:
        return "the residuals are too small for sums to tell, and the rows cannot be read again; use fit"
    freedom = moments.n_rows - d - fit_intercept
    if freedom <= 0:
        return f"{moments.n_rows} rows leave no degrees of freedom for {d} features; use more rows"
    factors = None
    if solution.coef.high.shape[1] > n_targets:
        inverse = solution.coef.high[:, n_targets:]
        factors = np.append(inverse.diagonal()[:d] * equations.scale, 0.0)
        if fit_intercept:
            factors[d] = inverse[d, d] * np.sqrt(moments.total_weight)
    packed, _ = linalg.lapack.dtrttp(factor.lower, uplo="L")
    return Inference(
        mean=mean,
        scale=equations.scale,
        packed=packed,
        n_rows=moments.n_rows,
        total_weight=moments.total_weight,
        weight_exponent=moments.weight_exponent,
        log_weight=moments.log_weight,
        std=np.sqrt(solution.squares / freedom) * equations.y_unit,
        y_norm=np.sqrt(equations.y_squares) * equations.y_unit,
        factors=factors,
    )


def _lost_digits(solution: Solution) -> str | None:
    """Say where digits are missing: refinement that does not converge, or moments alone where rows cannot be read."""
    error, moments = solution.factor.error, solution.equations.moments
    if solution.factor.rank < len(solution.equations.gram) and moments.is_uneven:
        return (
            "The weights are so uneven that what rows of small weight tell may be lost in rounding: some columns count "
            "as dependent. Limit the weights, or set a small alpha."
        )
    if solution.stuck and (solution.n_refined or error > SURE):
        return (
            "Refinement of the solution did not converge: the columns of X are too collinear, or the weights too "
            "uneven, for all digits of the coefficients. Leave columns out, or set a small alpha."
        )
    if solution.n_refined or error <= (ENOUGH_SINGLE if solution.equations.moments.rounded else SURE):
        return None
    return (
        f"The columns of X are nearly linearly dependent, or the weights very uneven: of the coefficients about "
        f"{max(0, int(-np.log10(min(error, 1.0))))} digits are sure, because the rows cannot be read again. Use fit, "
        "or fit_source with a source that can be passed over again."
    )
