"""The phase that refines a solution by residuals in double-double, and the choice whether it follows."""

import math
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from sgdlinreg._core.arrays import EPS
from sgdlinreg._core.blocks import Block
from sgdlinreg._core.objective import Objective
from sgdlinreg._solvers.closed_form.double_double import DoubleDouble
from sgdlinreg._solvers.closed_form.equations import Solution
from sgdlinreg._solvers.closed_form.residuals import Residuals
from sgdlinreg._solvers.closed_form.solved import ENOUGH_SINGLE, Solved, has_standard_errors, solved

SMALL = 1 << 17
"""Data of up to this many values are always refined: it takes one to three milliseconds. Standard errors are, too,
where values times coefficients are no more."""
ENOUGH = 1e-9
"""Larger data are refined where the bound on the relative error of the coefficients is above this."""
MAX_REFINEMENTS = 3
ENOUGH_INFERENCE = 1e-12
"""Standard errors of small data are refined with the coefficients where the bound on the error is above this."""
STUCK = 1e-6
"""Corrections beyond the first that are larger than this, relative to the coefficients, should shrink."""


@dataclass(frozen=True)
class Refinement:
    """Residuals of a solution, summed up over the rows so far."""

    solution: Solution
    residuals: Residuals
    done: ClassVar[bool] = False

    def add(self, block: Block) -> "Refinement":
        """Take in the rows of a block."""
        return replace(self, residuals=self.residuals.add(block))

    def next(self, objective: Objective, again: bool) -> Any:
        """Correct the solution by the gradient that is left."""
        return refine_or_end(refined(self.solution, self.residuals, objective.fit_intercept), objective, again)


def refine_or_end(solution: Solution, objective: Objective, again: bool) -> "Refinement | Solved":
    """Return the next phase: a refinement, if the solution needs one and another pass is allowed, or the end."""
    if not again or solution.n_refined >= refinements_of(solution):
        return solved(solution, objective)
    if solution.n_refined == 0 and solution.factor.error > ENOUGH_INFERENCE:
        solution = with_inverse(solution, objective.fit_intercept)
    return Refinement(solution, Residuals(solution.coef, solution.size, np.zeros_like(solution.squares)))


def refinements_of(solution: Solution) -> int:
    """Return how many refinements a solution needs, each of which divides its error by the factor's."""
    moments, error = solution.scaled.moments, solution.factor.error
    if not len(solution.scaled.gram):
        return 0
    if moments.n_rows * moments.n_features <= SMALL:
        enough, least = 1e-18, 1
    else:
        enough, least = 1e-12, int(error > (ENOUGH_SINGLE if moments.rounded else ENOUGH))
    needed = math.ceil(math.log(enough) / math.log(min(max(error, enough), 0.5))) - 1 if least else 0
    if solution.lost:
        needed = max(needed, solution.n_refined + 1)
    return min(max(needed, least), MAX_REFINEMENTS)


def with_inverse(solution: Solution, fit_intercept: bool) -> Solution:
    """Add the columns of the inverse moments where that is cheap, so that standard errors are refined too."""
    moments, scaled = solution.scaled.moments, solution.scaled
    d = moments.n_features
    if not has_standard_errors(solution) or moments.n_rows * d * (d + 1) > SMALL:
        return solution
    linear = np.zeros((d + 1, d + fit_intercept))
    linear[np.arange(d), np.arange(d)] = scaled.scale / solution.size
    right = np.eye(d, d + fit_intercept)
    if fit_intercept:
        root = moments.total_weight**0.5
        linear[d, d] = root
        right[:, d] = moments.mean[:d] * (-root / scaled.scale)
    inverse = np.zeros_like(linear)
    inverse[:d] = solution.factor.solve(right) / scaled.scale[:, None]
    if fit_intercept:
        inverse[d] = moments.mean[:d] @ -inverse[:d]
        inverse[d, d] += 1.0 / root
    coef = np.concatenate([solution.coef.high, inverse], axis=1)
    return solution._replace(
        coef=DoubleDouble(coef, np.zeros_like(coef)),
        linear=np.concatenate([solution.linear, linear], axis=1),
    )


def refined(solution: Solution, residuals: Residuals, fit_intercept: bool) -> Solution:
    """Correct a solution by the gradient that is left."""
    penalty, n_targets = solution.scaled.penalty, len(residuals.squares)
    gradient = residuals.gradient.add(solution.linear)
    if penalty:
        pull = DoubleDouble(solution.coef.high[:-1], solution.coef.low[:-1]).times(-penalty / solution.size[:, None])
        zero = np.zeros((1, pull.high.shape[1]))
        gradient = gradient.add_all(DoubleDouble(np.vstack([pull.high, zero]), np.vstack([pull.low, zero])))
    columns, of_intercept = (
        _without_intercept(solution, gradient) if fit_intercept else (gradient.high[:-1], gradient.high[-1:])
    )
    step, gain, moved = _step(solution, columns, of_intercept, fit_intercept)
    squares = residuals.squares - gain[:n_targets]
    if penalty:
        squares -= penalty * (moved * (2.0 * solution.coef.high[:-1] + moved)).sum(axis=0)[:n_targets]
    squares = np.maximum(squares, 0.0)
    total = solution.scaled.total_squares
    lost = (squares < 1e-3 * residuals.squares) & (residuals.squares > EPS**2 * total)
    active = solution.scaled.active
    scale = solution.scaled.scale[active, None]
    moved, kept = (float(np.linalg.norm(scale * part[active, :n_targets])) for part in (moved, solution.coef.high[:-1]))
    beside = kept + float(total.sum()) ** 0.5  # of constant y the coefficients are 0
    last_step = moved / beside if beside > 0.0 else 0.0
    return solution._replace(
        coef=solution.coef.add(step),
        last_step=last_step,
        stuck=last_step > max(STUCK, 0.1 * solution.last_step),
        squares=squares,
        lost=bool(lost.any()),
        n_refined=solution.n_refined + 1,
    )


def _without_intercept(solution: Solution, gradient: DoubleDouble) -> tuple[np.ndarray, np.ndarray]:
    """Eliminate the intercept from a gradient (n_features + 1, n_columns) in units of the sizes.

    Return the gradient by the columns about their means, and that by the intercept.
    """
    moments, size = solution.scaled.moments, solution.size[:, None]
    d = moments.n_features
    rest = DoubleDouble(gradient.high[d:], gradient.low[d:])
    columns = DoubleDouble(gradient.high[:d], gradient.low[:d]).add_all(rest.times(-moments.mean[:d, None] / size))
    return columns.high + (columns.low - rest.high * (moments.mean_rest[:d, None] / size)), rest.high


def _step(solution: Solution, columns: np.ndarray, of_intercept: np.ndarray, fit_intercept: bool):
    """Solve the normal equations for a gradient by the columns about their means, and by the intercept.

    Return the step (n_features + 1, n_columns), what it gains of the sum of squares, and its part for the columns.
    """
    scaled = solution.scaled
    moments, active = scaled.moments, scaled.active
    mean = moments.mean[: moments.n_features, None]
    right = columns[active] * (solution.size[active] / scaled.scale[active])[:, None]
    weights = solution.factor.solve(right)
    moved = scaled.in_columns(weights)
    gain = (weights * right).sum(axis=0)
    step = np.zeros((moments.n_features + 1, moved.shape[1]))
    step[:-1] = moved
    if fit_intercept:
        step[-1:] = of_intercept / moments.total_weight - mean.T @ moved
        gain = gain + of_intercept[0] ** 2 / moments.total_weight
    return step, gain, moved
