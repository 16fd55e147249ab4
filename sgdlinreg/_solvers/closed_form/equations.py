"""The normal equations of moments, in scaled columns."""

from typing import NamedTuple

import numpy as np
from scipy import linalg

from sgdlinreg._core.arrays import EPS
from sgdlinreg._solvers.closed_form.double_double import DoubleDouble
from sgdlinreg._solvers.closed_form.factorizations import KEPT_FIT, ZERO_SINGULAR
from sgdlinreg._solvers.closed_form.moments import Moments


def rounding_noise(offset: np.ndarray, eps: float) -> np.ndarray:
    """Return the norm of what rounding adds to the predictions by columns of unit norm, (n_features,).

    ``offset`` are their means in units of their spread: products with coefficients are rounded with the mean.
    ``eps`` is the rounding of the coefficients, which the intercept makes good for at the means.
    """
    return 0.25 * np.hypot(EPS * offset, eps)


class NormalEquations(NamedTuple):
    """Normal equations in columns of unit norm, without columns that are constant.

    Attributes
    ----------
    moments : Moments
    fit_intercept : bool
    penalty : float
        Factor of ``0.5 * ||w||**2`` beside half the weighted sum of squares.
    centre : DoubleDouble of shape (n_features + n_targets,)
        What the columns of [X, y] are taken about: their means, or 0 without an intercept.
    active : slice or ndarray of int
        Columns that are not constant.
    scale : ndarray of shape (n_features,)
        What columns of X are divided by; inf where they are constant.
    noise : ndarray of shape (n_active,)
        Norm of what rounding, of X with its offset and of coefficients, adds to predictions by a scaled column.
    gram : ndarray of shape (n_active, n_active)
    right : ndarray of shape (n_active, n_targets)
        In units of y.
    y_unit, y_squares : ndarray of shape (n_targets,)
        Unit of y, a power of two, and its weighted sum of squares about the centre in such units.
    """

    moments: Moments
    fit_intercept: bool
    penalty: float
    centre: DoubleDouble
    active: slice | np.ndarray
    scale: np.ndarray
    noise: np.ndarray
    gram: np.ndarray
    right: np.ndarray
    y_unit: np.ndarray
    y_squares: np.ndarray

    @classmethod
    def of(cls, moments: Moments, l2: float, fit_intercept: bool) -> "NormalEquations":
        """Make the normal equations of moments."""
        d, products, unit, centre = moments.n_features, moments.products, moments.unit, moments.mean
        if not fit_intercept:
            mean = centre.high / unit
            products = products + moments.total_weight * np.outer(mean, mean)
            centre = DoubleDouble(np.zeros_like(mean), np.zeros_like(mean))
        penalty = l2 * moments.total_weight
        gram = products[:d, :d]
        if penalty:
            gram = gram + np.diag(np.square(np.sqrt(penalty) / unit[:d]))
        norm = np.sqrt(gram.diagonal())
        offset = np.abs(centre.high[:d])
        varies = (norm > 0.0) & ((moments.spread[:d] > 2.0 * EPS * offset) | (offset == 0.0))
        active: slice | np.ndarray = slice(0, d)
        if not varies.all():
            active = np.flatnonzero(varies)
            norm, gram = norm[active], gram[np.ix_(active, active)]
        scale = np.full(d, np.inf)
        scale[active] = norm * unit[:d][active]
        spread = np.hypot(moments.spread[:d], moments.mean.high[:d] - centre.high[:d])
        noise = rounding_noise(moments.mean.high[:d][active] / spread[active], moments.eps)
        gram = gram / (norm[:, None] * norm)
        right, y_squares = products[:d, d:][active] / norm[:, None], products.diagonal()[d:]
        return cls(moments, fit_intercept, penalty, centre, active, scale, noise, gram, right, unit[d:], y_squares)

    @property
    def rounding(self) -> float:
        """Relative error of the moments; where offsets are large, the rounding of X counts for more than sums do."""
        return max(self.moments.rounding, float(self.noise.max(initial=0.0)) ** 2)

    @property
    def unit_right(self) -> np.ndarray:
        """Right-hand sides for targets of unit norm, (n_active, n_targets)."""
        norm = np.sqrt(self.y_squares)
        return self.right / np.where(norm > 0.0, norm, 1.0)

    def coef_of(self, weights: np.ndarray) -> np.ndarray:
        """Return the coefficients (n_features + 1, n_targets) of weights of the scaled columns, both in units of y."""
        d = self.moments.n_features
        coef = np.zeros((d + 1, weights.shape[1]))
        coef[self.active] = weights / self.scale[self.active, None]
        coef[d] = self.centre.high[d:] / self.y_unit - self.centre.high[:d] @ coef[:d]
        return coef

    def residual_squares(self, weights: np.ndarray) -> np.ndarray:
        """Return the weighted sums of squared residuals (n_targets,) of such weights, in units of y squared."""
        squares = self.y_squares - self._explained(weights)
        if self.penalty:
            pull = np.sqrt(self.penalty) / self.scale[self.active, None] * weights
            squares = squares - np.square(pull).sum(axis=0)
        return np.maximum(squares, 0.0)

    def _explained(self, weights):
        """Return what weights take off the sum of squares, the penalty counted twice."""
        return (weights * (2.0 * self.right - self.gram @ weights)).sum(axis=0)

    def least_norm(self, coef: np.ndarray, null: np.ndarray) -> np.ndarray:
        """Return the solution of least norm in the units of the data, of solutions that differ by the null space.

        Where units differ by more orders of magnitude than there are digits, that would cost the fit, and the least
        norm is taken in scaled units.

        Parameters
        ----------
        coef : ndarray of shape (n_features + 1, n_targets)
            A solution in units of y, the intercept last.
        null : ndarray of shape (n_active, n)
            Combinations of scaled columns that vanish.
        """
        scale = self.scale[self.active, None]
        scaled = coef[self.active] * scale
        takes_part = np.linalg.norm(null, axis=1, keepdims=True) > ZERO_SINGULAR * EPS
        null, _ = linalg.qr(null * takes_part, mode="economic")
        scaled = scaled - null @ (null.T @ scaled)
        basis = takes_part * null / scale
        basis, _ = linalg.qr(basis / np.linalg.norm(basis, axis=0), mode="economic")
        weights = scaled / scale
        shortest = scale * (weights - basis @ (basis.T @ weights))
        moved = shortest - scaled
        moved = moved - null @ (null.T @ moved)  # what is not in the null space counts, and what predict rounds
        lost, before = np.square(moved).sum(axis=0) + self._rounding_of(shortest), self._rounding_of(scaled)
        return self.coef_of(np.where(lost <= before + KEPT_FIT * self._explained(scaled), shortest, scaled))

    def _rounding_of(self, weights):
        """Return the sum of squares that rounding adds to predictions of weights."""
        return np.square(self.noise[:, None] * weights).sum(axis=0)
