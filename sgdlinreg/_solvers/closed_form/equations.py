"""The normal equations in scaled columns, and a solution of them on its way."""

from typing import Any, NamedTuple

import numpy as np

from sgdlinreg._core.arrays import EPS
from sgdlinreg._solvers.closed_form.double_double import DoubleDouble, power_of_two_above
from sgdlinreg._solvers.closed_form.factorizations import SingularValues
from sgdlinreg._solvers.closed_form.moments import Moments

LOST_RESIDUALS = 1e-6
"""Fraction of unexplained variance below which moments do not tell the residuals; 100 times more in float32."""


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
    def y_unit(self) -> np.ndarray:
        """Powers of two in which y is counted."""
        return self.moments.unit[self.moments.n_features :]

    @property
    def total_squares(self) -> np.ndarray:
        """Return the weighted sum of squares of y about its mean, (n_targets,); about 0 without an intercept."""
        return self.moments.products.diagonal()[self.moments.n_features :] * self.y_unit**2

    def in_columns(self, weights: np.ndarray) -> np.ndarray:
        """Return weights of scaled columns as weights of the data's, (n_features, n_columns)."""
        out = np.zeros((len(self.scale), weights.shape[1]))
        out[self.active] = weights / self.scale[self.active, None]
        return out

    def residual_squares(self, weights: np.ndarray) -> np.ndarray:
        """Return the weighted sum of squared residuals of scaled weights, (n_targets,), in units of y squared."""
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
    """Return the normal equations of moments."""
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


def singular_values(scaled: Scaled, factor: np.ndarray) -> SingularValues:
    """Decompose the triangular factor of the scaled columns of [X, y], with the rows of the penalty."""
    d = scaled.moments.n_features
    rows, targets = factor[:, :d][:, scaled.active], factor[:, d:]
    if scaled.penalty:
        rows = np.vstack([rows, np.diag(np.sqrt(scaled.penalty) / scaled.scale[scaled.active])])
        targets = np.vstack([targets, np.zeros((len(scaled.gram), targets.shape[1]))])
    return SingularValues(rows, targets)


def first_solution(scaled: Scaled, factor: Any, weights: np.ndarray, fit_intercept: bool) -> Solution:
    """Return the solution for weights of the scaled columns, (n_active, n_targets) in units of y."""
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
