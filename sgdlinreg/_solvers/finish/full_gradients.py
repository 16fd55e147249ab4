"""What the finish asks of the data: full gradients and curvatures, each from one read of the rows."""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from sgdlinreg._core.coordinates import Coordinates, penalty_in
from sgdlinreg._core.objective import Objective, SquaredError


class FullPasses:
    """Full gradients of an objective in the coordinates of the finish.

    Parameters
    ----------
    blocks : callable() -> iterable
        Gives the rows of one pass, block by block, in the form that the kernel wants; weights have mean one.
    kernel : Kernel
    objective : Objective
    coordinates : Coordinates
    total_weight : float
        Sum of the weights of all rows.
    varies : ndarray of shape (n_features,) of bool
        Which columns are not constant: the gradient along others is rounding.
    """

    def __init__(
        self,
        blocks: Callable[[], Iterable[Any]],
        kernel: Any,
        objective: Objective,
        coordinates: Coordinates,
        total_weight: float,
        varies: np.ndarray,
    ):
        self.blocks, self.kernel, self.objective = blocks, kernel, objective
        self.coordinates, self.total_weight = coordinates, total_weight
        self.units = np.append(coordinates.scale, 1.0)
        self.varies = np.append(varies, 1.0)
        self.penalty = np.append(penalty_in(coordinates, objective), 0.0)

    def full_gradient(self, coef: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Compute the objective (n_targets,) and its gradient (n_targets, n_features + 1) at scaled coefficients."""
        losses, gradient = self._sums(self.objective.loss, coef, with_y=True)
        return losses + 0.5 * np.square(coef) @ self.penalty, gradient + coef * self.penalty

    def curvature_along(self, direction: np.ndarray) -> np.ndarray:
        """Multiply each row of (n_targets, n_features + 1) by the second derivative of the squared error."""
        return self._sums(SquaredError(), direction, with_y=False)[1] + direction * self.penalty

    def _sums(self, loss, coef, with_y):
        losses, gradient = np.zeros(len(coef)), np.zeros_like(coef)
        for block in self.blocks():
            more = self.kernel.gradient_sums(block, loss, coef / self.units, self.coordinates.centre, with_y)
            losses, gradient = losses + more[0], gradient + more[1]
        gradient *= self.varies / (self.units * self.total_weight)
        if not self.objective.fit_intercept:
            gradient[:, -1] = 0.0
        return losses / self.total_weight, gradient
