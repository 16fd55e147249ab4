"""Second moments of the columns of [X, y] about their means, of any number of blocks."""

from typing import NamedTuple

import numpy as np

from sgdlinreg._solvers.closed_form.double_double import DoubleDouble, power_of_two_above

UNEVEN = 1e-12
"""Part of all weight below which a row may be lost beside the others."""
FAR = 2.0**100
"""Means of blocks that differ by this many units need a larger one: squares should not overflow."""


class Moments(NamedTuple):
    """Weighted second moments of the columns of [X, y] about their means; offsets and units cost no digits.

    Attributes
    ----------
    n_features : int
    n_rows : int
    total_weight : float
        In units of ``2**weight_exponent``, as all weights and the products.
    weight_exponent : int
    least_weight : float
    log_weight : float
        Sum of the logarithms of the weights, in these units.
    mean : DoubleDouble of shape (n_features + n_targets,)
        Weighted mean of each column. Of columns with an offset its low part matters.
    unit : ndarray of shape (n_features + n_targets,)
        Powers of two that the columns are counted in, so that products neither overflow nor vanish.
    spread : ndarray of shape (n_features + n_targets,)
        Root of the mean square of the deviations, all rows counted alike: what tells constant columns from others.
    products : ndarray of shape (n_features + n_targets, n_features + n_targets)
        Weighted sums of products of deviations from the mean, in these units.
    rounded : bool
        Whether there are float32 products among them.
    rounding : float
        Relative error of the products: more than that of their type where they are differences of larger numbers.
    eps : float
        Rounding of the type of X, which that of coefficients is too.
    """

    n_features: int
    n_rows: int
    total_weight: float
    weight_exponent: int
    least_weight: float
    log_weight: float
    mean: DoubleDouble
    unit: np.ndarray
    spread: np.ndarray
    products: np.ndarray
    rounded: bool
    rounding: float
    eps: float

    @property
    def is_uneven(self) -> bool:
        """Whether what rows of small weight tell may be lost in the rounding of others."""
        return self.least_weight < UNEVEN * self.total_weight

    def merge(self, other: "Moments") -> "Moments":
        """Join the moments of other rows (Chan, Golub, LeVeque 1983, eq. 2.1)."""
        exponent = max(self.weight_exponent, other.weight_exponent)
        factor, other_factor = (np.ldexp(1.0, one.weight_exponent - exponent) for one in (self, other))
        weight, other_weight = self.total_weight * factor, other.total_weight * other_factor
        part = other_weight / (weight + other_weight)
        seen = [np.where(one.products.diagonal() > 0.0, one.unit, 0.0) for one in (self, other)]
        unit = np.maximum(*seen)
        unit = np.where(unit > 0.0, unit, np.maximum(self.unit, other.unit))
        delta = (other.mean.high - self.mean.high) + (other.mean.low - self.mean.low)
        unit = np.where(np.abs(delta) > FAR * unit, power_of_two_above(delta), unit)
        ours, theirs = (np.where(own > 0.0, own / unit, 0.0) for own in seen)
        step = delta / unit
        products = self.products * np.outer(ours, ours) * factor
        products += other.products * np.outer(theirs, theirs) * other_factor
        products += np.outer(step, step) * (weight * part)
        n_rows = self.n_rows + other.n_rows
        to_unit = self.n_rows * (self.weight_exponent - exponent) + other.n_rows * (other.weight_exponent - exponent)
        rows_part = other.n_rows / n_rows
        spread = np.hypot(self.spread * np.sqrt(1.0 - rows_part), other.spread * np.sqrt(rows_part))
        return Moments(
            n_features=self.n_features,
            n_rows=n_rows,
            total_weight=weight + other_weight,
            weight_exponent=exponent,
            least_weight=min(self.least_weight * factor, other.least_weight * other_factor),
            log_weight=self.log_weight + other.log_weight + np.log(2.0) * to_unit,
            mean=self.mean.add(delta * part),
            unit=unit,
            spread=np.hypot(spread, delta * np.sqrt(rows_part * (1.0 - rows_part))),
            products=products,
            rounded=self.rounded or other.rounded,
            rounding=max(self.rounding, other.rounding),
            eps=max(self.eps, other.eps),
        )
