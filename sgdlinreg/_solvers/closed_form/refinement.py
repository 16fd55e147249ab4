"""A solution of the normal equations in scaled columns, and what refines it."""

from typing import Any, NamedTuple

import numpy as np

from sgdlinreg._solvers.closed_form.double_double import DoubleDouble, power_of_two_above
from sgdlinreg._solvers.closed_form.factorizations import EPS, SingularValues
from sgdlinreg._solvers.closed_form.moments import Moments
from sgdlinreg._solvers.closed_form.residuals import Residuals
from sgdlinreg._solvers.closed_form.tsqr import Triangle

SMALL_INFERENCE = 1 << 17
"""Products of values and coefficients up to which standard errors may be refined."""
STUCK = 1e-6
"""Corrections beyond the first that are larger than this, relative to the coefficients, should shrink."""
LOST_RESIDUALS = 1e-6
"""Share of unexplained variance below which moments do not tell the residuals; 100 times more in float32."""


class Scaled(NamedTuple):
    """The normal equations in columns of unit norm, without columns that are constant.

    ``active`` are the others, as a slice where they are all. gram is (n_active, n_active), right (n_active, n_targets)
    in units of ``y_unit``; scale (n_features,) is what columns of X are divided by, inf where they are constant.
    """

    moments: Moments
    active: np.ndarray | slice
    gram: np.ndarray
    right: np.ndarray
    scale: np.ndarray
    penalty: float

    @property
    def n_active(self) -> int:
        """Number of columns that are not constant."""
        return len(self.gram)

    @property
    def y_unit(self) -> np.ndarray:
        """Powers of two in which y is counted."""
        return self.moments.unit[self.moments.n_features :]

    @property
    def total_squares(self) -> np.ndarray:
        """Weighted sum of squares of y about its mean, (n_targets,); about 0 without an intercept."""
        return self.moments.products.diagonal()[self.moments.n_features :] * self.y_unit**2

    def in_columns(self, weights: np.ndarray) -> np.ndarray:
        """Give weights of scaled columns as weights of the data's, (n_features, n_columns)."""
        out = np.zeros((len(self.scale), weights.shape[1]))
        out[self.active] = weights / self.scale[self.active, None]
        return out

    def residual_squares(self, weights: np.ndarray) -> np.ndarray:
        """Weighted sum of squared residuals of scaled weights, (n_targets,), in units of y squared."""
        explained = (weights * (2.0 * self.right - self.gram @ weights)).sum(axis=0)
        squares = self.moments.products.diagonal()[self.moments.n_features :] - explained
        if self.penalty:
            pull = np.sqrt(self.penalty) / self.scale[self.active, None] * weights
            squares = squares - np.square(pull).sum(axis=0)
        return np.maximum(squares, 0.0)


class Solution(NamedTuple):
    """A solution on its way: coefficients (n_features + 1, n_columns) and what refines them.

    Columns after the targets are those of the inverse moments, for standard errors; ``linear`` is their right-hand
    side. ``lost`` says that ``squares``, the weighted sum of squared residuals, is the difference of larger numbers,
    ``last_step`` how large the last correction was beside the coefficients and y, ``stuck`` that corrections do not
    shrink.
    """

    scaled: Scaled
    factor: Any
    coef: DoubleDouble
    linear: np.ndarray
    size: np.ndarray
    squares: np.ndarray
    lost: bool
    n_refined: int = 0
    last_step: float = np.inf
    stuck: bool = False


def scaled_equations(moments: Moments, l2: float, fit_intercept: bool) -> Scaled:
    """Make the normal equations of moments."""
    d, products, unit = moments.n_features, moments.products, moments.unit
    mean = moments.mean / unit
    if not fit_intercept:
        products = products + moments.total_weight * np.outer(mean, mean)
        moments = moments._replace(products=products)
    penalty = l2 * moments.total_weight
    gram = products[:d, :d]
    if penalty:
        gram = gram + np.diag(np.square(np.sqrt(penalty) / unit[:d]))
    scale = np.sqrt(gram.diagonal())
    rounding = 16 * EPS * np.abs(mean[:d]) * np.sqrt(moments.total_weight)
    varies = scale > (rounding if fit_intercept else 0.0)
    active: np.ndarray | slice = slice(0, d)
    if not varies.all():
        active = np.flatnonzero(varies)
        scale, gram = scale[active], gram[np.ix_(active, active)]
    gram = gram / (scale[:, None] * scale)
    columns = np.full(d, np.inf)
    columns[active] = scale * unit[:d][active]
    return Scaled(moments, active, gram, products[:d, d:][active] / scale[:, None], columns, penalty)


def singular_values(scaled: Scaled, triangle: Triangle) -> SingularValues:
    """Decompose the triangular factor of the scaled columns, with the rows of the penalty."""
    d = scaled.moments.n_features
    rows, targets = triangle.factor[:, :d][:, scaled.active], triangle.factor[:, d:]
    if scaled.penalty:
        rows = np.vstack([rows, np.diag(np.sqrt(scaled.penalty) / scaled.scale[scaled.active])])
        targets = np.vstack([targets, np.zeros((scaled.n_active, targets.shape[1]))])
    return SingularValues(rows, targets)


def first_solution(scaled: Scaled, factor: Any, weights: np.ndarray, fit_intercept: bool) -> Solution:
    """Make a solution of weights of the scaled columns, (n_active, n_targets) in units of y."""
    moments = scaled.moments
    d = moments.n_features
    coef = np.zeros((d + 1, weights.shape[1]))
    active = scaled.active
    coef[active] = weights * scaled.y_unit / scaled.scale[active, None]
    if fit_intercept:
        coef[d] = moments.mean[d:] - moments.mean[:d] @ coef[:d]
    size = np.abs(moments.mean[:d])
    size[active] += scaled.scale[active] / moments.total_weight**0.5
    size = power_of_two_above(size)
    squares = scaled.residual_squares(weights)  # in units of y, in which they do not overflow
    least = LOST_RESIDUALS * (100.0 if moments.rounded else 1.0)
    lost = bool((squares < least * moments.products.diagonal()[d:]).any())
    zeros = np.zeros_like(coef)
    return Solution(scaled, factor, DoubleDouble(coef, zeros), zeros, size, squares * scaled.y_unit**2, lost)


def has_standard_errors(solution: Solution) -> bool:
    """Whether the columns are independent, without a penalty, and their factor is known."""
    full = solution.factor.rank == solution.scaled.moments.n_features
    return full and solution.scaled.penalty == 0.0 and solution.factor.lower is not None


def with_inverse(solution: Solution, fit_intercept: bool) -> Solution:
    """Add the columns of the inverse moments where that is cheap, so that standard errors are refined too."""
    moments, scaled = solution.scaled.moments, solution.scaled
    d = moments.n_features
    if not has_standard_errors(solution) or moments.n_rows * d * (d + 1) > SMALL_INFERENCE:
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
        _about_mean(solution, gradient) if fit_intercept else (gradient.high[:-1], gradient.high[-1:])
    )
    step, gain, moved = _step(solution, columns, of_intercept, fit_intercept)
    squares = residuals.squares - gain[:n_targets]
    if penalty:
        squares -= penalty * (moved * (2.0 * solution.coef.high[:-1] + moved)).sum(axis=0)[:n_targets]
    squares = np.maximum(squares, 0.0)
    lost = (squares < 1e-3 * residuals.squares) & (residuals.squares > EPS**2 * solution.scaled.total_squares)
    active = solution.scaled.active
    scale = solution.scaled.scale[active, None]
    moved, kept = (float(np.linalg.norm(scale * part[active, :n_targets])) for part in (moved, solution.coef.high[:-1]))
    beside = kept + float(solution.scaled.total_squares.sum()) ** 0.5  # of constant y the coefficients are 0
    last_step = moved / beside if beside > 0.0 else 0.0
    return solution._replace(
        coef=solution.coef.add(step),
        last_step=last_step,
        stuck=last_step > max(STUCK, 0.1 * solution.last_step),
        squares=squares,
        lost=bool(lost.any()),
        n_refined=solution.n_refined + 1,
    )


def _about_mean(solution: Solution, gradient: DoubleDouble) -> tuple[np.ndarray, np.ndarray]:
    """Eliminate the intercept from a gradient (n_features + 1, n_columns) in units of the sizes.

    Returns the gradient by the columns about their means, and that by the intercept.
    """
    moments, size = solution.scaled.moments, solution.size[:, None]
    d = moments.n_features
    rest = DoubleDouble(gradient.high[d:], gradient.low[d:])
    columns = DoubleDouble(gradient.high[:d], gradient.low[:d]).add_all(rest.times(-moments.mean[:d, None] / size))
    return columns.high + (columns.low - rest.high * (moments.mean_rest[:d, None] / size)), rest.high


def _step(solution: Solution, columns: np.ndarray, of_intercept: np.ndarray, fit_intercept: bool):
    """Solve the normal equations for a gradient by the columns about their means, and by the intercept.

    Returns the step (n_features + 1, n_columns), what it gains of the sum of squares, and its part for the columns.
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
