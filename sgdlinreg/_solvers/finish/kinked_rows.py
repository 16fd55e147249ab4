"""Rows whose residuals are near the kink of the loss, which decide where the optimum is."""

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from scipy.linalg import eigh

from sgdlinreg._core.arrays import EPS, arrays_of, times
from sgdlinreg._core.blocks import CSR, Block, panels
from sgdlinreg._core.contract import Sums
from sgdlinreg._core.coordinates import Coordinates, norms_of, step_coordinates
from sgdlinreg._core.measurement import Measurement
from sgdlinreg._core.objective import Objective
from sgdlinreg._core.sampling import Reservoir, sample_size
from sgdlinreg._solvers.finish.interior_point import Hinges
from sgdlinreg._solvers.finish.preconditioner import Preconditioner, scaled_rows

UNSEEN = 1e3 * EPS
"""Directions of less curvature than this, relative to the largest, are rounding."""
RADIUS = 4.0
"""How far the optimum may be, in units in which a parabola above the loss has curvature 1."""


def most_rows(n_features: int) -> int:
    """Return how many rows are collected at most: random ones, and as many near the kink."""
    return 2 * sample_size(n_features)


class KinkedRows(NamedTuple):
    """Rows in scaled coordinates with a column of ones, y, and the part of all rows that each of them is."""

    rows: np.ndarray
    y: np.ndarray
    share: np.ndarray

    def sums(self, loss: Any, coef: np.ndarray) -> tuple[float, np.ndarray]:
        """Return their part of the objective and of its gradient."""
        residual = self.rows @ coef[0] - self.y
        return float(self.share @ loss.value(residual)), (self.share * loss.slope(residual)) @ self.rows

    def hinges(
        self, loss: Any, preconditioner: Preconditioner, coef: np.ndarray, gradient: np.ndarray, penalty: np.ndarray
    ) -> Hinges:
        """Return the objective of steps from some coefficients in units of the root of the preconditioner.

        Parameters
        ----------
        loss : NamedTuple
        preconditioner : Preconditioner
        coef, gradient : ndarray of shape (1, n_features + 1)
            The gradient is that of the other rows, and of the l2 penalty.
        penalty : ndarray of shape (n_features + 1,)
            Curvature of the penalty.
        """
        kink, residual = loss.rounded(1.0), self.rows @ coef[0] - self.y
        low, high, rows = -kink.below * self.share, kink.above * self.share, preconditioner.apply(self.rows, power=1)
        curvature = preconditioner.apply(preconditioner.apply(np.diag(penalty), power=1).T, power=1)
        values, vectors = eigh((self.share[:, None] * rows).T @ rows + curvature)
        unseen = vectors[:, values <= UNSEEN * values[-1]]
        curvature += unseen @ unseen.T  # as the preconditioner has it
        radius = RADIUS * np.sqrt(self.share @ loss.value(residual))
        if kink.epsilon > 0.0:
            zeros = np.zeros_like(low)
            residual = np.concatenate([residual - kink.epsilon, residual + kink.epsilon])
            rows, low, high = np.vstack([rows, rows]), np.concatenate([zeros, low]), np.concatenate([high, zeros])
        return Hinges(rows, residual, low, high, preconditioner.apply(gradient, power=1)[0], curvature, radius)


@dataclass(frozen=True)
class NearTheKink(Sums):
    """Random rows, and those whose kink is nearest to some coefficients, by the size of their rows in coordinates."""

    coef: np.ndarray
    kink: float
    coordinates: Coordinates
    reservoir: Reservoir
    rng: np.random.Generator

    def add(self, block):
        """Draw among the rows of a block, too."""
        block, coef = _with_arrays(block), self.coef[0]
        residual = np.empty(block.n_rows)
        for rows, X, _ in panels(block, copies=False):
            residual[rows] = times(X, coef[:-1]) + coef[-1] - block.y[rows, 0]
        away = np.square(np.abs(residual) - self.kink) / (1.0 + norms_of(block, self.coordinates))
        return replace(self, reservoir=self.reservoir.add(block, -away, self.rng))

    def merge(self, other):
        """Join what was drawn of other rows."""
        return replace(self, reservoir=self.reservoir.merge(other.reservoir))

    def shares(self, n_rows):
        """Return what parts of the rows begin with."""
        shares = zip(self.reservoir.shares(n_rows, self.rng), self.rng.spawn(len(n_rows)), strict=True)
        return [replace(self, reservoir=reservoir, rng=rng) for reservoir, rng in shares]


def collect_rows(
    data: Any, objective: Objective, measured: Measurement, coordinates: Coordinates, coef: np.ndarray
) -> KinkedRows:
    """Collect random rows, and those whose kink is nearest to the coefficients, by a pass.

    Parameters
    ----------
    data : InMemory or Streamed
        The rows, in the form that the kernel wants, with one target; weights have mean one.
    objective : Objective
    measured : Measurement
    coordinates : Coordinates
    coef : ndarray of shape (1, n_features + 1)
        For the data as they are.
    """
    size, kink = sample_size(coef.size - 1), objective.loss.rounded(1.0).epsilon
    scaled = step_coordinates(measured.columns, objective)
    near = NearTheKink(coef, kink, scaled, Reservoir(size, size), np.random.default_rng(0))
    sample = data.fold(near).reservoir.sample()
    Z = scaled_rows(sample, measured.columns, coordinates, objective)
    Z = np.column_stack([Z, np.full(len(Z), float(objective.fit_intercept))])
    return KinkedRows(Z, sample.block.y[:, 0], np.asarray(sample.block.sample_weight) / measured.n_rows)


def _with_arrays(block: Any) -> Block:
    """Return a block of a kernel with y and the weights in NumPy's memory, and CSR, too."""

    def take(array):
        return None if array is None else arrays_of(array).take(array)

    X = block.X
    if isinstance(X, CSR):
        X = CSR(take(X.data), take(X.indices), take(X.indptr), X.n_features)
    return Block(X, take(block.y), take(block.sample_weight))
