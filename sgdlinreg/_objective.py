"""What is minimised: written once, called by every solver.

::

    F(w, b) = sum_i s_i * loss(x_i @ w + b, y_i) / sum_i s_i  +  alpha * R(w)

with R(w) = 0.5 * ||w||_2^2. The intercept b is never penalised. Inside the package coefficients are one array
``coef`` of shape (n_targets, n_features + 1) with the intercept last; the targets are independent problems.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from sgdlinreg._blocks import Block, panels


class SquaredError(NamedTuple):
    """``0.5 * residual**2`` with ``residual = prediction - y``.

    A loss is a NamedTuple type, so that a compiled kernel is specialised by it and stays in numba's cache. Its
    ``value`` and ``slope`` are plain functions of scalars or tensors: NumPy, numba and torch run the same text.
    """

    @staticmethod
    def value(residual):
        """Loss of one prediction."""
        return 0.5 * residual * residual

    @staticmethod
    def slope(residual):
        """Give the derivative of the loss by the prediction."""
        return residual


LOSSES = {"squared_error": SquaredError}


@dataclass(frozen=True)
class Objective:
    """The objective of one fit.

    Parameters
    ----------
    loss : NamedTuple
        One of the types in `LOSSES`.
    alpha : float
        Strength of the squared l2 penalty, 0 for none.
    fit_intercept : bool
        Whether there is an intercept; if not, the last column of every ``coef`` is 0.
    """

    loss: SquaredError
    alpha: float = 0.0
    fit_intercept: bool = True

    def penalty(self, coef: np.ndarray) -> np.ndarray:
        """``alpha * R(w)`` of each target, shape (n_targets,)."""
        return 0.5 * self.alpha * np.square(coef[:, :-1]).sum(axis=1)

    def penalty_gradient(self, coef: np.ndarray) -> np.ndarray:
        """Gradient of the penalty, shape (n_targets, n_features + 1); 0 for the intercept."""
        gradient = self.alpha * coef
        gradient[:, -1] = 0.0
        return gradient

    def value(self, coef: np.ndarray, block: Block) -> np.ndarray:
        """F of each target, shape (n_targets,). Costs one pass over the block."""
        total = np.zeros(block.n_targets)
        for rows, X, weight in panels(block):
            residual = X @ coef[:, :-1].T + coef[:, -1] - block.y[rows]
            total += weight @ self.loss.value(residual)
        return total / block.total_weight + self.penalty(coef)

    def constant_value(self, block: Block) -> np.ndarray:
        """Loss of the constant model, shape (n_targets,): the mean of y, or 0 where there is no intercept."""
        weight = block.sample_weight
        mean = np.average(block.y, axis=0, weights=weight) if self.fit_intercept else 0.0
        return np.average(self.loss.value(mean - block.y), axis=0, weights=weight)

    def gradient(self, coef: np.ndarray, block: Block) -> np.ndarray:
        """Gradient of F, shape (n_targets, n_features + 1). Costs one pass over the block."""
        gradient = np.zeros_like(coef)
        for rows, X, weight in panels(block):
            residual = X @ coef[:, :-1].T + coef[:, -1] - block.y[rows]
            slope = weight[:, None] * self.loss.slope(residual)
            gradient[:, :-1] += (X.T @ slope).T
            gradient[:, -1] += slope.sum(axis=0)
        gradient /= block.total_weight
        if not self.fit_intercept:
            gradient[:, -1] = 0.0
        return gradient + self.penalty_gradient(coef)
