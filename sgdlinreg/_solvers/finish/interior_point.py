"""Sums of hinges, perhaps with a quadratic part, by a primal-dual interior point method, which knows a lower bound.

Mehrotra's predictor and corrector (SIAM Journal on Optimization 2, 1992); for quantiles S. Portnoy, R. Koenker, "The
Gaussian hare and the Laplacian tortoise", Statistical Science 12 (1997).
"""

from typing import NamedTuple

import numpy as np
from scipy.linalg import LinAlgError, cho_factor, cho_solve

from sgdlinreg._core.arrays import EPS

MOST_STEPS = 100
SHORTEST = 1e-6
"""Steps that are shorter gain nothing more."""
ENOUGH = 1e-9
"""Distance of the bound, relative to the first value."""
INSIDE = 0.9995
"""Fraction of the step to the nearest bound that is taken."""
FIRST_SLACK = 0.01
"""What residuals of 0 begin with, as a fraction of their mean size."""


class Hinges(NamedTuple):
    """The function ``sum_i max(low_i * r_i, high_i * r_i) + gradient @ v + 0.5 * v @ curvature @ v`` of v.

    Attributes
    ----------
    rows : ndarray of shape (n_rows, n_variables)
    residual : ndarray of shape (n_rows,)
        ``r = residual + rows @ v``.
    low, high : ndarray of shape (n_rows,)
        Slopes below and above 0, ``low < high``.
    gradient : ndarray of shape (n_variables,)
    curvature : ndarray of shape (n_variables, n_variables)
    radius : float
        How far the solution may be: what rounding leaves of a dual equation counts times that.
    """

    rows: np.ndarray
    residual: np.ndarray
    low: np.ndarray
    high: np.ndarray
    gradient: np.ndarray
    curvature: np.ndarray
    radius: float

    def value(self, v: np.ndarray) -> float:
        """Return the function at some variables."""
        r = self.residual + self.rows @ v
        return float(np.maximum(self.low * r, self.high * r).sum() + (self.gradient + 0.5 * self.curvature @ v) @ v)


class Point(NamedTuple):
    """Variables v, slopes of the rows between their bounds, and the positive parts of the residuals and of -them."""

    v: np.ndarray
    slope: np.ndarray
    over: np.ndarray
    under: np.ndarray

    def moved(self, step: "Point", length: float) -> "Point":
        """Return the point after a step."""
        return Point(*(here + length * by for here, by in zip(self, step, strict=True)))


def minimise(hinges: Hinges) -> tuple[np.ndarray, float]:
    """Minimise a sum of hinges.

    Returns
    -------
    v : ndarray of shape (n_variables,)
        Where the function was smallest.
    bound : float
        Of the function, from below.
    """
    residual = hinges.residual
    slack = FIRST_SLACK * np.abs(residual).mean() + np.finfo(float).tiny
    slope = np.where((hinges.low < 0.0) & (hinges.high > 0.0), 0.0, 0.5 * (hinges.low + hinges.high))
    v = np.zeros(len(hinges.gradient))
    point, length = Point(v, slope, np.maximum(residual, 0.0) + slack, np.maximum(-residual, 0.0) + slack), 1.0
    lowest, bound, size = np.inf, -np.inf, hinges.value(v)
    for _ in range(MOST_STEPS):
        value = hinges.value(point.v)
        if value < lowest:
            v, lowest = point.v, value
        bound = max(bound, value - _gap(hinges, point))
        if length < SHORTEST or lowest - bound <= ENOUGH * size:
            break
        try:
            step, length = _step(hinges, point)
        except (LinAlgError, ValueError):  # not definite, or not finite: rounding has the rest
            break
        point = point.moved(step, length)
    return v, bound


def _gap(hinges, point) -> float:
    residual = hinges.residual + hinges.rows @ point.v
    up, down = hinges.high - point.slope, point.slope - hinges.low
    lacking = np.linalg.norm(_dual_residual(hinges, point))
    gap = up @ np.maximum(residual, 0.0) + down @ np.maximum(-residual, 0.0)
    return float(gap + lacking * (hinges.radius + np.linalg.norm(point.v)))


def _dual_residual(hinges, point):
    return point.slope @ hinges.rows + hinges.curvature @ point.v + hinges.gradient


def _step(hinges: Hinges, point: Point) -> tuple[Point, float]:
    """Return the step towards the solution, corrected for what is not linear, and how much of it keeps the bounds."""
    v, slope, over, under = point
    up, down = (np.maximum(it, EPS * (hinges.high - hinges.low)) for it in (hinges.high - slope, slope - hinges.low))
    width = over / up + under / down
    normal = (hinges.rows / width[:, None]).T @ hinges.rows + hinges.curvature
    normal[np.diag_indices(len(v))] += 10.0 * len(v) * EPS * normal.diagonal().max()
    factor = cho_factor(normal)
    lacking = _dual_residual(hinges, point)
    apart = hinges.residual + hinges.rows @ v - over + under

    def towards(over_up, under_down):
        """Return the step after which the products of bounds and residuals are so much larger, to first order."""
        shift = apart - over_up / up + under_down / down
        by = cho_solve(factor, -lacking - (shift / width) @ hinges.rows)
        turn = (hinges.rows @ by + shift) / width
        return Point(by, turn, (over_up + over * turn) / up, (under_down - under * turn) / down)

    def longest(step):
        pairs = ((up, -step.slope), (down, step.slope), (over, step.over), (under, step.under))
        return 1.0 / max(1.0, *(float((-by / left).max()) for left, by in pairs))

    def product(point):
        return (hinges.high - point.slope) @ point.over + (point.slope - hinges.low) @ point.under

    predicted = towards(-up * over, -down * under)
    before = product(point)
    centre = (product(point.moved(predicted, longest(predicted))) / before) ** 3 * before / (2 * len(slope))
    bent = predicted.slope * predicted.over, predicted.slope * predicted.under
    step = towards(centre - up * over + bent[0], centre - down * under - bent[1])
    return step, INSIDE * longest(step)
