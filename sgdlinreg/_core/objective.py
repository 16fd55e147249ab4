"""What is minimised: written once, called by every solver.

::

    F(w, b) = sum_i s_i * loss(x_i @ w + b, y_i) / sum_i s_i  +  alpha * R(w)
    R(w) = (1 - l1_ratio) * 0.5 * ||w||_2^2 + l1_ratio * ||w||_1

perhaps subject to w >= 0. The intercept b is never penalised. Inside the package coefficients are one array ``coef``
of shape (n_targets, n_features + 1) with the intercept last; the targets are independent problems.

A loss is a NamedTuple type, so that a compiled kernel is specialised by it and stays in numba's cache. Its ``value``
and ``slope``, of ``residual = prediction - y``, and `proximal` are arithmetic and comparisons only: the same text
serves NumPy arrays, torch tensors, numba's and Triton's scalars. ``curvature``, for arrays, is the second derivative
or, where that is 0 or jumps, the curvature of a parabola above the loss.
"""

from dataclasses import dataclass, field
from typing import Any, NamedTuple, cast

import numpy as np

from sgdlinreg._core.arrays import EPS, times
from sgdlinreg._core.blocks import Block, mean_over_rows, panels, quantile_over_rows

CONSTANT_ROWS = 1 << 14
"""Rows of y whose losses are copied at a time: they stay in the cache."""


class SquaredError(NamedTuple):
    """``0.5 * residual**2``: the mean of y, normal noise."""

    def value(self, residual):
        """Return the loss of one prediction."""
        return 0.5 * residual * residual

    def slope(self, residual):
        """Return the derivative of the loss by the prediction."""
        return residual

    def curvature(self, residual, weight):
        """Return the second derivative."""
        return np.ones_like(residual)


class Huber(NamedTuple):
    """``0.5 * residual**2`` up to epsilon, linear beyond: the mean, but for outliers (Huber 1964)."""

    epsilon: float

    def value(self, residual):
        """Return the loss of one prediction."""
        size = abs(residual)
        sign_outside = residual / (size + (size <= self.epsilon)) * (size > self.epsilon)
        clipped = residual * (size <= self.epsilon) + self.epsilon * sign_outside
        return clipped * (residual - 0.5 * clipped)

    def slope(self, residual):
        """Return the derivative of the loss by the prediction: the residual, clipped."""
        size = abs(residual)
        sign_outside = residual / (size + (size <= self.epsilon)) * (size > self.epsilon)
        return residual * (size <= self.epsilon) + self.epsilon * sign_outside

    def curvature(self, residual, weight):
        """Return slope / residual, the curvature of the parabola that touches the loss from above (Huber 1981, 7.8)."""
        return self.epsilon / np.maximum(np.abs(residual), self.epsilon)


class EpsilonInsensitive(NamedTuple):
    """``max(0, |residual| - epsilon)``: the median, what support vector regression minimises."""

    epsilon: float

    @property
    def quantile(self):
        """Which quantile of y the constant model predicts."""
        return 0.5

    def value(self, residual):
        """Return the loss of one prediction."""
        return (abs(residual) - self.epsilon) * (abs(residual) > self.epsilon)

    def slope(self, residual):
        """Return a subgradient of the loss by the prediction: the sign outside of the tube."""
        size = abs(residual)
        return residual / (size + (size <= self.epsilon)) * (size > self.epsilon)

    def curvature(self, residual, weight):
        """Return slope / residual as for Huber's loss; it is bounded, and rows in the tube count a tenth."""
        size = np.abs(residual)
        typical = 1.0 / max(self.epsilon + np.average(size, weights=weight), np.finfo(float).tiny)
        return np.maximum((size > self.epsilon) / np.maximum(size, 0.1 / typical), 0.1 * typical)

    def rounded(self, width):
        """Return a smooth loss above this one."""
        return Rounded(self.epsilon, 1.0, 1.0, width)


class Quantile(NamedTuple):
    """``quantile * max(0, -residual) + (1 - quantile) * max(0, residual)``: a quantile of y (Koenker, Bassett 1978)."""

    quantile: float

    def value(self, residual):
        """Return the loss of one prediction."""
        return (1.0 - self.quantile) * residual * (residual > 0.0) - self.quantile * residual * (residual < 0.0)

    def slope(self, residual):
        """Return a subgradient of the loss by the prediction: 0 at the kink."""
        sign = residual / (abs(residual) + (residual == 0.0))
        return sign * (0.5 + (0.5 - self.quantile) * sign)

    def curvature(self, residual, weight):
        """Return that of half the absolute residual: the loss is that and a line (Hunter, Lange 2000)."""
        return 0.5 * EpsilonInsensitive(0.0).curvature(residual, weight)

    def rounded(self, width):
        """Return a smooth loss above this one."""
        return Rounded(0.0, 1.0 - self.quantile, self.quantile, width)


class Rounded(NamedTuple):
    """A loss with kinks, whose kinks are parabolas over ``width`` on both sides: for the finish, not for users.

    The sum of two rounded hinges: one of slope ``above`` for residuals above epsilon, one of slope ``below`` for those
    below -epsilon. It is above the loss with kinks by at most its value at a kink.
    """

    epsilon: float
    above: float
    below: float
    width: float

    def value(self, residual):
        """Return the loss of one prediction."""
        over, under = residual - self.epsilon, -residual - self.epsilon
        parabola = self.above * (over + self.width) * (over + self.width) * (abs(over) < self.width)
        parabola = parabola + self.below * (under + self.width) * (under + self.width) * (abs(under) < self.width)
        lines = self.above * over * (over >= self.width) + self.below * under * (under >= self.width)
        return lines + parabola / (4.0 * self.width)

    def slope(self, residual):
        """Return the derivative of the loss by the prediction."""
        over, under = residual - self.epsilon, -residual - self.epsilon
        above = 1.0 * (over >= self.width) + (over + self.width) * (abs(over) < self.width) / (2.0 * self.width)
        below = 1.0 * (under >= self.width) + (under + self.width) * (abs(under) < self.width) / (2.0 * self.width)
        return self.above * above - self.below * below

    def curvature(self, residual, weight):
        """Return that of the loss with kinks."""
        return 0.5 * (self.above + self.below) * EpsilonInsensitive(self.epsilon).curvature(residual, weight)


class SquaredEpsilonInsensitive(NamedTuple):
    """``max(0, |residual| - epsilon)**2``, without a factor 1/2, as in scikit-learn."""

    epsilon: float

    def value(self, residual):
        """Return the loss of one prediction."""
        excess = (abs(residual) - self.epsilon) * (abs(residual) > self.epsilon)
        return excess * excess

    def slope(self, residual):
        """Return the derivative of the loss by the prediction."""
        above = (residual - self.epsilon) * (residual > self.epsilon)
        below = (residual + self.epsilon) * (residual < -self.epsilon)
        return 2.0 * (above + below)

    def curvature(self, residual, weight):
        """Return the second derivative outside of the tube."""
        return np.full_like(residual, 2.0)


LOSSES = {
    "squared_error": SquaredError,
    "huber": Huber,
    "epsilon_insensitive": EpsilonInsensitive,
    "squared_epsilon_insensitive": SquaredEpsilonInsensitive,
    "quantile": Quantile,
}


def make_loss(name: str, epsilon: float, quantile: float = 0.5) -> Any:
    """Make a loss; ``epsilon`` and ``quantile`` are for those that have one."""
    numbers, cls = {"epsilon": epsilon, "quantile": quantile}, cast(Any, LOSSES[name])
    return cls(*(numbers[field] for field in cls._fields))


def proximal(weight, threshold, positive):
    """Proximal operator of ``threshold * |weight|``, perhaps on weight >= 0 only: soft thresholding with exact zeros.

    ``positive`` is 0 or 1 (Parikh and Boyd, "Proximal algorithms", 2014, section 6.5.2).
    """
    return (weight - threshold) * (weight > threshold) + (1.0 - positive) * (weight + threshold) * (weight < -threshold)


def weigh(loss, residual, weight, losses):
    """Turn residuals (n_rows, n_models) into weighted slopes, in place, and add up the weighted losses (n_models,)."""
    losses += weight @ loss.value(residual)
    residual[:] = weight[:, None] * loss.slope(residual)


def gradient_sums(block, loss, coef, centre, with_y=True, weigh=weigh):
    """Sum the loss and its gradient over all rows of a block, each row read once.

    Parameters
    ----------
    block : Block
    loss : NamedTuple
        One of the types in `LOSSES`. Its numbers may be arrays (n_models,).
    coef : ndarray of shape (n_models, n_features + 1)
        Of the columns of x - centre, the intercept last: one model for each target or, where there are more models,
        for the first target, the second and so on, again and again.
    centre : ndarray of shape (n_features,)
    with_y : bool
        Whether residuals are predictions minus y; if not, predictions.
    weigh : callable
        Does what `weigh` does.

    Returns
    -------
    losses : ndarray of shape (n_models,)
        ``sum_i s_i * loss(r_i)`` with ``r_i = (x_i - centre) @ w + b - y_i``.
    gradient : ndarray of shape (n_models, n_features + 1)
        ``sum_i s_i * slope(r_i) * [x_i - centre, 1]``.
    """
    losses, gradient, n_each = np.zeros(len(coef)), np.zeros_like(coef), len(coef) // block.n_targets
    weights, intercept = np.ascontiguousarray(coef[:, :-1].T), coef[:, -1] - coef[:, :-1] @ centre
    for rows, X, weight in panels(block, copies=False):
        residual = times(X, weights)
        residual += intercept
        if with_y:
            residual -= np.tile(block.y[rows], n_each)
        weigh(loss, residual, weight, losses)
        gradient[:, :-1] += times(X.T, residual).T
        gradient[:, -1] += residual.sum(axis=0)
    gradient[:, :-1] -= np.outer(gradient[:, -1], centre)
    return losses, gradient


@dataclass(frozen=True)
class Objective:
    """The objective of one fit, or of many models side by side, for steps.

    Parameters
    ----------
    loss : NamedTuple
        One of the types in `LOSSES`. Its numbers may be arrays (n_models,).
    alpha : float or ndarray of shape (n_models, 1)
        Strength of the penalty, 0 for none.
    fit_intercept : bool
        Whether there is an intercept; if not, the last column of every ``coef`` stays as it is: 0, or what
        earlier steps with one have left.
    l1_ratio : float or ndarray of shape (n_models, 1)
        Fraction of the l1 part in the penalty.
    positive : bool
        Whether coefficients must not be negative; the intercept may.

    Attributes
    ----------
    l1, l2 : float or ndarray of shape (n_models, 1)
        Factors of ``||w||_1`` and of ``0.5 * ||w||_2^2``.
    is_smooth : bool
        Whether nothing but the loss and the l2 penalty is there: steps need no proximal operator.
    is_least_squares : bool
        Whether the loss is the squared error.
    has_kink : bool
        Whether the slope of the loss jumps.
    """

    loss: Any
    alpha: Any = 0.0
    fit_intercept: bool = True
    l1_ratio: Any = 0.0
    positive: bool = False
    l1: Any = field(init=False)
    l2: Any = field(init=False)
    is_smooth: bool = field(init=False)
    is_least_squares: bool = field(init=False)
    has_kink: bool = field(init=False)

    def __post_init__(self):
        derived = {
            "l1": self.alpha * self.l1_ratio,
            "l2": self.alpha * (1.0 - self.l1_ratio),
            "is_smooth": not (np.count_nonzero(self.alpha * self.l1_ratio) or self.positive),
            "is_least_squares": isinstance(self.loss, SquaredError),
            "has_kink": hasattr(self.loss, "rounded"),
        }
        vars(self).update(derived)

    def penalty(self, coef: np.ndarray) -> np.ndarray:
        """``alpha * R(w)`` of each target, shape (n_targets,)."""
        if self.alpha == 0.0:  # squares of large weights overflow
            return np.zeros(len(coef))
        weights = coef[:, :-1]
        return 0.5 * self.l2 * np.square(weights).sum(axis=1) + self.l1 * np.abs(weights).sum(axis=1)

    def penalty_gradient(self, coef: np.ndarray) -> np.ndarray:
        """Compute the gradient of the l2 penalty, shape (n_targets, n_features + 1); 0 for the intercept."""
        gradient = self.l2 * coef
        gradient[:, -1] = 0.0
        return gradient

    def value(self, coef: np.ndarray, block: Block) -> np.ndarray:
        """Compute F of each target, shape (n_targets,). Costs one pass over the block."""
        total = np.zeros(block.n_targets)
        for rows, X, weight in panels(block, copies=False):
            residual = times(X, coef[:, :-1].T) + coef[:, -1] - block.y[rows]
            total += weight @ self.loss.value(residual)
        return total / block.total_weight + self.penalty(coef)

    def constant(self, block: Block) -> np.ndarray | float:
        """Return what the constant model predicts, (n_targets,): the mean of y, with a kink a quantile."""
        if not self.fit_intercept:
            return 0.0
        if self.has_kink:
            return quantile_over_rows(block.y, block.sample_weight, self.loss.quantile)
        return mean_over_rows(block.y, block.sample_weight)

    def constant_value(self, block: Block) -> np.ndarray:
        """Loss of the constant model, shape (n_targets,)."""
        return self.value_of_constant(self.constant(block), block)

    def value_of_constant(self, constant: np.ndarray | float, block: Block) -> np.ndarray:
        """Compute the loss of a model that predicts ``constant`` for every row, shape (n_targets,)."""
        total = np.zeros(block.n_targets)
        for start in range(0, block.n_rows, CONSTANT_ROWS):
            rows = slice(start, start + CONSTANT_ROWS)
            losses = self.loss.value(constant - block.y[rows])
            total += np.add.reduce(losses) if block.sample_weight is None else block.sample_weight[rows] @ losses
        return total / block.total_weight

    def rounding(self, block: Block) -> np.ndarray:
        """Compute the rounding of the loss of predicting 0, (n_targets,): objectives closer than that are equal."""
        return EPS * self.value_of_constant(0.0, block)

    def gradient(self, coef: np.ndarray, block: Block) -> np.ndarray:
        """Gradient of F without the l1 penalty, shape (n_targets, n_features + 1). Costs one pass over the block."""
        gradient = gradient_sums(block, self.loss, coef, np.zeros(block.n_features))[1] / block.total_weight
        if not self.fit_intercept:
            gradient[:, -1] = 0.0
        return gradient + self.penalty_gradient(coef)
