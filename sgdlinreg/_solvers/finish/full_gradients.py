"""Full gradients and curvatures over all rows, each in one pass."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from sgdlinreg._core.contract import Kernel, Sums
from sgdlinreg._core.coordinates import Coordinates, penalty_in
from sgdlinreg._core.objective import Objective, SquaredError


@dataclass(frozen=True)
class GradientSums(Sums):
    """The loss and its gradient on the rows so far, None before any; see `objective.gradient_sums`."""

    kernel: Kernel
    loss: Any
    coef: np.ndarray
    centre: np.ndarray
    with_y: bool
    totals: Any = None

    def add(self, block):
        """Add those of a block."""
        return self._joined(self.kernel.gradient_sums(block, self.loss, self.coef, self.centre, self.with_y))

    def merge(self, other):
        """Add those of other rows."""
        return self._joined(other.totals)

    def _joined(self, more):
        totals = more if self.totals is None else tuple(a + b for a, b in zip(self.totals, more, strict=True))
        return replace(self, totals=totals)


class FullGradients:
    """Full gradients of an objective in the coordinates of the finish.

    Parameters
    ----------
    data : InMemory or Streamed
        The rows, in the form that the kernel wants; weights have mean one.
    kernel : Kernel
    objective : Objective
    coordinates : Coordinates
    n_rows : int
    varies : ndarray of shape (n_features,) of bool
        Which columns are not constant: the gradient along others is rounding.
    """

    def __init__(
        self,
        data: Any,
        kernel: Kernel,
        objective: Objective,
        coordinates: Coordinates,
        n_rows: int,
        varies: np.ndarray,
    ):
        self.data, self.kernel, self.objective, self.centre = data, kernel, objective, coordinates.centre
        self.n_rows = n_rows
        self.scale = coordinates.scale
        self.constant = np.flatnonzero(~varies)
        self.penalty = penalty_in(coordinates, objective) if objective.l2 else None

    def full_gradient(self, coef: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Compute the objective (n_targets,) and its gradient (n_targets, n_features + 1) at scaled coefficients."""
        losses, gradient = self._sums(self.objective.loss, coef, with_y=True)
        if self.penalty is not None:
            losses += 0.5 * np.square(coef[:, :-1]) @ self.penalty
        return losses, gradient

    def curvature_along(self, direction: np.ndarray) -> np.ndarray:
        """Multiply each row of (n_targets, n_features + 1) by the second derivative of the squared error."""
        return self._sums(SquaredError(), direction, with_y=False)[1]

    def _sums(self, loss, coef, with_y):
        raw = coef.copy()
        raw[:, :-1] /= self.scale
        losses, gradient = self.data.fold(GradientSums(self.kernel, loss, raw, self.centre, with_y)).totals
        gradient /= self.n_rows
        gradient[:, :-1] /= self.scale
        gradient[:, self.constant] = 0.0
        if self.penalty is not None:
            gradient[:, :-1] += coef[:, :-1] * self.penalty
        if not self.objective.fit_intercept:
            gradient[:, -1] = 0.0
        return losses / self.n_rows, gradient
