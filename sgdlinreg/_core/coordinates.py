"""Coordinates of steps and of the finish: columns divided by their scale and centred."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse

from sgdlinreg._core.arrays import NUMPY
from sgdlinreg._core.blocks import Block, panels, squared, views
from sgdlinreg._core.objective import Objective
from sgdlinreg._core.statistics import ColumnStatistics


@dataclass(frozen=True)
class Coordinates:
    """Coordinates ``z = (x - centre) / scale``.

    Attributes
    ----------
    centre, scale : ndarray of shape (n_features,)
        The scale may be that of many models, (n_models, n_features).
    """

    centre: np.ndarray
    scale: np.ndarray

    def to_scaled(self, coef: np.ndarray) -> np.ndarray:
        """Convert coefficients for x to coefficients for z, both (..., n_features + 1), the intercept last."""
        scaled = coef.copy()
        scaled[..., -1] += np.dot(coef[..., :-1], self.centre)
        scaled[..., :-1] *= self.scale
        return scaled

    def to_raw(self, scaled: np.ndarray) -> np.ndarray:
        """Convert coefficients for z to coefficients for x."""
        coef = scaled.copy()
        coef[..., :-1] /= self.scale
        coef[..., -1] -= np.dot(coef[..., :-1], self.centre)
        return coef

    def features(self, X: Any, ops: Any = NUMPY) -> Any:
        """Return rows of X in these coordinates; ``ops`` are the operations where they are.

        CSR stays sparse, so the centre of a column that has zeros must be 0.
        """
        if sparse.issparse(X):
            moved = X.data - self.centre[X.indices]
            return sparse.csr_array((moved / self.scale[X.indices], X.indices, X.indptr), shape=X.shape)
        Z = X - ops.put(self.centre)
        Z /= ops.put(self.scale)
        return Z


def raw_coordinates(n_features: int) -> Coordinates:
    """Return the coordinates of the data as they are."""
    return Coordinates(np.zeros(n_features), np.ones(n_features))


def scaled_coordinates(columns: ColumnStatistics, objective: Objective, centred: Any = True) -> Coordinates:
    """Return coordinates in which every column has curvature 1, that of the l2 penalty included.

    Parameters
    ----------
    columns : ColumnStatistics
    objective : Objective
        Without an intercept nothing is centred.
    centred : bool or ndarray of shape (n_features,) of bool
        Which columns are centred.
    """
    centred = np.logical_and(centred, objective.fit_intercept)
    variance = columns.variance + np.where(centred, 0.0, columns.mean**2)
    scale = np.sqrt(variance + objective.l2)
    constant = scale == 0.0
    if constant.any():
        scale[constant] = np.where(columns.mean[constant] == 0.0, 1.0, np.abs(columns.mean[constant]))
    return Coordinates(np.where(centred, columns.mean, 0.0), scale)


def step_coordinates(columns: ColumnStatistics, objective: Objective) -> Coordinates:
    """Return the coordinates of steps: CSR is centred only where a column has no zeros."""
    return scaled_coordinates(columns, objective, columns.complete)


def penalty_in(coordinates: Coordinates, objective: Objective) -> np.ndarray:
    """Return the curvature of the l2 penalty along each coordinate, (n_features,)."""
    return objective.l2 / coordinates.scale / coordinates.scale


def norms_of(block: Block, coordinates: Coordinates) -> np.ndarray:
    """Compute the squared norm of every row in these coordinates, (n_rows,)."""
    norms = np.empty(block.n_rows)
    if block.compiles and coordinates.scale.min() > np.finfo(float).tiny:
        from sgdlinreg._core.numba_loops import panel_rows, row_norms

        for rows, X, _ in views(block, panel_rows(block.row_bytes)):
            row_norms(X, coordinates.centre, 1.0 / coordinates.scale, norms[rows])
        return norms
    for rows, X, _ in panels(block, copies=False):
        norms[rows] = squared_norms(coordinates.features(X, block.ops), block.ops)
    return norms


def squared_norms(Z: Any, ops: Any = NUMPY) -> np.ndarray:
    """Compute the squared norm of every row, dense, on a device or SciPy CSR."""
    if isinstance(Z, np.ndarray):
        return np.vecdot(Z, Z)  # copies nothing, and for few columns is twice as fast as sums of squares
    return ops.take(squared(Z).sum(axis=1))
