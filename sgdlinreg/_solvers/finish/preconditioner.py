"""The preconditioner of the finish: the inverse of the curvature, estimated on a sample of rows.

It comes from the singular values of the rows, not from the eigenvalues of their moments, which end at 1e-16 of the
largest. Small singular values are raised, never cut: what is cut is never fitted and never missed. Least squares
preconditioned by a random part of its rows: V. Rokhlin, M. Tygert, PNAS 105 (2008); H. Avron, P. Maymounkov, S. Toledo,
"Blendenpik", SIAM Journal on Scientific Computing 32 (2010).
"""

from dataclasses import dataclass

import numpy as np

from sgdlinreg._core.arrays import EPS
from sgdlinreg._core.coordinates import Coordinates, penalty_in
from sgdlinreg._core.objective import Objective
from sgdlinreg._core.sampling import Sample
from sgdlinreg._core.statistics import ColumnStatistics

MAX_COLUMNS = 1024
"""Up to so many columns, or rows of dense data, there is a matrix; its singular values cost their number cubed."""
FLOOR = 1e-7
"""Singular values are raised to this fraction of the largest."""
RARE = 0.5
"""A column of which the sample has less than this fraction of the variance gets the rest as a row of its own."""
ROUNDING = 64
"""Singular values below so many roundings of the largest, times what offsets take of the digits, are zeros."""


@dataclass(frozen=True)
class Preconditioner:
    """``V diag(d)^2 V' + e^2 (I - V V')``, and 1 for an intercept that is not among the columns.

    Attributes
    ----------
    vectors : ndarray of shape (n_vectors, n_columns)
        The rows of V'. Columns are the features and, unless the objective is least squares, the intercept.
    roots : ndarray of shape (n_vectors,)
        d, the inverse singular values.
    other : float
        e, for what is orthogonal to all vectors.
    blind : bool
        Whether singular values lie between rounding and the floor: directions in which much may be missing unseen.
    is_full : bool
        Whether there is a singular value for each column, and none was raised.
    """

    vectors: np.ndarray
    roots: np.ndarray
    other: float = 1.0
    blind: bool = False
    is_full: bool = False

    @property
    def is_matrix(self) -> bool:
        """Whether there is anything but the inverse diagonal, which is 1 in scaled coordinates."""
        return len(self.roots) > 0

    def apply(self, gradient: np.ndarray, power: int = 2) -> np.ndarray:
        """Multiply each row of (n_targets, n_features + 1) by the preconditioner, or by its root with power=1."""
        if not self.is_matrix:
            return gradient
        result = gradient.copy()
        columns = slice(0, self.vectors.shape[1])
        along = gradient[:, columns] @ self.vectors.T
        other = self.other**power
        result[:, columns] *= other
        result[:, columns] += (along * (self.roots**power - other)) @ self.vectors
        return result

    def along(self, gradient: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return ``P @ g`` and ``g @ P @ g`` of each target, its decrement."""
        along = self.apply(gradient)
        return along, np.vecdot(gradient, along)


IDENTITY = Preconditioner(np.empty((0, 0)), np.empty(0))


def make_preconditioner(
    sample: Sample,
    columns: ColumnStatistics,
    coordinates: Coordinates,
    objective: Objective,
    coef: np.ndarray,
) -> Preconditioner:
    """Estimate the inverse curvature of an objective.

    Parameters
    ----------
    sample : Sample
    columns : ColumnStatistics
        Of all rows.
    coordinates : Coordinates
        Centred on the means of the columns; every column has curvature 1 in them.
    objective : Objective
    coef : ndarray of shape (n_targets, n_features + 1)
        On the data as they are. For losses but the squared error, of one target, rows are weighted by the curvature of
        the loss there.

    Returns
    -------
    Preconditioner
        `IDENTITY` where rows and columns are many.

    Notes
    -----
    Costs a QR decomposition of the sample, at most ``max(4096, 8 n_features) + 512`` rows.
    """
    n_rows, n_features = sample.block.n_rows, sample.block.n_features
    has_many_columns = n_features > MAX_COLUMNS
    if has_many_columns and (sample.block.is_sparse or not sample.complete or n_rows > MAX_COLUMNS):
        return IDENTITY
    Z, lacking = _weighted_rows(sample, columns, coordinates, objective, coef)
    penalty = penalty_in(coordinates, objective)
    average = penalty.mean() if has_many_columns else 0.0
    if not has_many_columns:
        extra = np.sqrt(lacking + penalty)
        chosen = extra > 0.0
        Z = np.vstack([Z, np.eye(n_features, Z.shape[1])[chosen] * extra[chosen, None]])
    if len(Z) > Z.shape[1]:
        Z = np.asarray(np.linalg.qr(Z, mode="r"))
    values, vectors = np.linalg.svd(Z, full_matrices=False)[1:]
    largest = values.max(initial=0.0)
    if largest == 0.0:
        return IDENTITY
    # what the rounding of offset columns adds to each direction
    offsets = np.linalg.norm(vectors[:, :n_features] * (columns.mean / coordinates.scale), axis=1)
    rounding = ROUNDING * largest * np.maximum(1.0, offsets)
    zero, small = values <= EPS * rounding, values < FLOOR * largest
    known_zero = zero & sample.complete & (average == 0.0)
    raised = np.where(known_zero, largest, np.maximum(values, FLOOR * largest))
    blind = bool(np.any(small & (values > sample.eps * rounding)))
    other = np.sqrt(average) if average else largest
    is_full = len(values) == Z.shape[1] and not small.any()
    return Preconditioner(vectors, 1.0 / np.sqrt(raised**2 + average), 1.0 / other, blind, is_full)


def scaled_rows(
    sample: Sample, columns: ColumnStatistics, coordinates: Coordinates, objective: Objective
) -> np.ndarray:
    """Return the rows of a sample in scaled coordinates, dense."""
    Z = coordinates.features(sample.rows.toarray() if sample.block.is_sparse else sample.rows)
    if objective.fit_intercept:
        Z[:, columns.constant] = 0.0  # what is left is rounding
    return Z


def _weighted_rows(sample, columns, coordinates, objective, coef) -> tuple[np.ndarray, np.ndarray]:
    """Return rows whose second moment is the curvature, and the variance that they lack of each column."""
    Z = scaled_rows(sample, columns, coordinates, objective)
    if objective.is_least_squares:
        Z *= np.sqrt(sample.importance)[:, None]
        variance = columns.variance if objective.fit_intercept else columns.variance + columns.mean**2
        variance, known = variance / coordinates.scale**2, np.einsum("ij,ij->j", Z, Z)
        return Z, np.where(known < RARE * variance, variance - known, 0.0)
    residual = sample.rows @ coef[0, :-1] + coef[0, -1] - sample.block.y[:, 0]
    curvature = objective.loss.curvature(residual, sample.importance)
    Z = np.column_stack([Z, np.ones(len(Z))]) if objective.fit_intercept else Z
    Z *= np.sqrt(sample.importance * curvature)[:, None]
    return Z, np.zeros(len(columns.mean))
