"""A solution of the normal equations, and what refines it."""

from typing import Any, NamedTuple

import numpy as np

from sgdlinreg._core.arrays import EPS
from sgdlinreg._solvers.closed_form.double_double import DoubleDouble, power_of_two_above
from sgdlinreg._solvers.closed_form.equations import NormalEquations

SMALL_INFERENCE = 1 << 17
"""Products of values and coefficients up to which standard errors may be refined."""
STUCK = 1e-6
"""Corrections beyond the first that are larger than this, relative to the coefficients, should shrink."""
IMPLAUSIBLE = 100.0
"""A correction of more times the bound on the error is none: of very uneven weights even double-double loses digits."""
LOST_RESIDUALS = 1e-6
"""Unexplained part of the variance below which moments do not tell the residuals; 100 times more in float32."""


class Solution(NamedTuple):
    """A solution on its way, in units of y, so that squares neither overflow nor vanish.

    Attributes
    ----------
    equations : NormalEquations
    factor : Cholesky, PivotedCholesky or SingularValues
        Of their matrix.
    coef : DoubleDouble of shape (n_features + 1, n_columns)
        The intercept last. Columns after the targets are those of the inverse moments, for standard errors.
    size : ndarray of shape (n_features,)
        Powers of two about as large as the columns of X.
    squares : ndarray of shape (n_targets,)
        Weighted sums of squared residuals.
    lost : bool
        Whether these are the differences of much larger numbers.
    n_refined : int
    last_step : float
        How large the last correction was beside the coefficients and y.
    stuck : bool
        Whether corrections do not shrink, or the last one was discarded.
    linear : ndarray of shape (n_features + 1, n_columns) or None
        Right-hand side of the columns of the inverse in units of ``size``, 0 for the targets; None without them.
    """

    equations: NormalEquations
    factor: Any
    coef: DoubleDouble
    size: np.ndarray
    squares: np.ndarray
    lost: bool
    n_refined: int = 0
    last_step: float = np.inf
    stuck: bool = False
    linear: np.ndarray | None = None

    @classmethod
    def first(cls, equations: NormalEquations, factor: Any, weights: np.ndarray) -> "Solution":
        """Make a solution of weights of the scaled columns, (n_active, n_targets) in units of y."""
        moments, active = equations.moments, equations.active
        coef: Any = equations.coef_of(weights)
        size = np.abs(moments.mean.high[: moments.n_features])
        size[active] += equations.scale[active] / moments.total_weight**0.5
        squares = equations.residual_squares(weights)
        least = LOST_RESIDUALS * (100.0 if moments.rounded else 1.0)
        lost = bool((squares < least * equations.y_squares).any())
        return cls(equations, factor, DoubleDouble(coef, np.zeros_like(coef)), power_of_two_above(size), squares, lost)

    def with_inverse(self) -> "Solution":
        """Add the columns of the inverse moments where that is cheap, so that standard errors are refined too."""
        equations, moments, d = self.equations, self.equations.moments, len(self.size)
        dependent = self.factor.rank < d or self.factor.lower is None
        if dependent or equations.penalty or moments.n_rows * d * (d + 1) > SMALL_INFERENCE:
            return self
        units = np.append(equations.scale / self.size, moments.total_weight**0.5)
        linear = np.diag(units)[:, : d + equations.fit_intercept]
        inverse, _ = self._step(DoubleDouble(linear, np.zeros_like(linear)))
        coef, linear = np.hstack([self.coef.high, inverse]), np.hstack([0.0 * self.coef.high, linear])
        return self._replace(coef=DoubleDouble(coef, np.zeros_like(coef)), linear=linear)

    def refined(self, gradient: DoubleDouble, before: np.ndarray) -> "Solution":
        """Correct the solution by its gradient; ``before`` are its sums of squared residuals, (n_targets,)."""
        equations, n_targets = self.equations, len(self.squares)
        coef, penalty = self.coef.high[:-1], equations.penalty
        step, gain = self._step(gradient if self.linear is None else gradient.add(self.linear))
        moved = step[:-1]
        squares = before - gain[:n_targets]
        if penalty:
            squares -= penalty * (moved * (2.0 * coef + moved)).sum(axis=0)[:n_targets]
        squares = np.maximum(squares, 0.0)
        lost = (squares < 1e-3 * before) & (before > EPS**2 * equations.y_squares)
        active = equations.active
        scale = equations.scale[active, None]
        length = np.linalg.norm(scale * moved[active, :n_targets])
        of_y = equations.y_squares.sum() ** 0.5
        beside = np.linalg.norm(scale * coef[active, :n_targets]) + of_y  # of constant y coef is 0
        last_step = float(length / beside) if beside > 0.0 else 0.0
        if last_step > IMPLAUSIBLE * self.factor.error:
            return self._replace(stuck=True)
        return self._replace(
            coef=self.coef.add(step),
            last_step=last_step,
            stuck=last_step > max(STUCK, 0.1 * self.last_step),
            squares=squares,
            lost=bool(lost.any()),
            n_refined=self.n_refined + 1,
        )

    def _step(self, gradient: DoubleDouble) -> tuple[np.ndarray, np.ndarray]:
        """Solve for the step of a gradient, (n_features + 1, n_columns), and for what it gains of the squares."""
        equations, size, active = self.equations, self.size[:, None], self.equations.active
        d = len(size)
        mean, rest = equations.centre.rows(slice(d))
        columns, of_intercept = gradient.rows(slice(d)), gradient.rows(slice(d, None))
        if equations.penalty:
            columns = columns.add(*self.coef.rows(slice(d)).times(-equations.penalty / size))
        columns = columns.add(*of_intercept.times(-mean[:, None] / size))  # about their means
        left = columns.high + (columns.low - of_intercept.high * (rest[:, None] / size))
        scale = equations.scale[active, None]
        right = left[active] * (size[active] / scale)
        weights = self.factor.solve(right)
        step = np.zeros_like(gradient.high)
        step[active] = weights / scale
        shift = of_intercept.high[0] * (equations.fit_intercept / equations.moments.total_weight)
        step[d] = shift - mean @ step[:d]
        return step, (weights * right).sum(axis=0) + shift**2 * equations.moments.total_weight
