"""Coordinates in which steps are taken, and what is measured on rows in them."""

from typing import Any, NamedTuple

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import LinearOperator, eigsh

from sgdlinreg._arrays import arrays_of, times
from sgdlinreg._blocks import mean_over_rows, panels, squared, take_rows, views, with_ones
from sgdlinreg._objective import Objective
from sgdlinreg._statistics import ColumnStatistics

MAX_EIGENVALUES = 1024
"""Up to this many columns eigenvalues are computed directly, beyond it by Lanczos' method."""
SAMPLE_ROWS, SAMPLE_ROWS_PER_FEATURE, SAMPLE_EXTREME = 4096, 8, 512
PART = 64
"""Values of which only the largest is looked at first, in a search for the largest ones."""
SAMPLE_MARGIN = 1.1
"""Factor on an eigenvalue measured on a sample."""


class Coordinates(NamedTuple):
    """Centre, scale and curvature of the penalty, and whether there is a coordinate for the intercept."""

    centre: np.ndarray
    scale: np.ndarray
    penalty: np.ndarray
    intercept: bool

    def features(self, X):
        """Rows of X in these coordinates, wherever they are."""
        if sparse.issparse(X):
            moved = X.data - self.centre[X.indices]  # the centre is 0 where a column has zeros
            return sparse.csr_array((moved / self.scale[X.indices], X.indices, X.indptr), shape=X.shape)
        there: Any = arrays_of(X)
        Z = X - there.put(self.centre)
        Z /= there.put(self.scale)
        return Z

    def rows(self, X):
        """Rows of X in these coordinates, with a last column of ones for the intercept."""
        Z = self.features(X)
        return with_ones(Z) if self.intercept else Z


def raw_coordinates(n_features: int, objective: Objective) -> Coordinates:
    """Coordinates of the data as they are."""
    penalty = np.full(n_features, objective.l2)
    return Coordinates(np.zeros(n_features), np.ones(n_features), penalty, objective.fit_intercept)


def scaled_coordinates(statistics: ColumnStatistics, objective: Objective) -> Coordinates:
    """Coordinates in which every column has mean 0 and spread 1; CSR is centred where a column has no zeros."""
    centred = statistics.complete & objective.fit_intercept
    variance = statistics.variance + np.where(centred, 0.0, statistics.mean**2)
    # with the penalty inside, the curvature along each coordinate is exactly 1
    scale = np.sqrt(variance + objective.l2)
    constant = scale == 0.0
    if constant.any():
        scale[constant] = np.where(statistics.mean[constant] == 0.0, 1.0, np.abs(statistics.mean[constant]))
    centre = np.where(centred, statistics.mean, 0.0)
    return Coordinates(centre, scale, objective.l2 / scale / scale, objective.fit_intercept)


def norms_and_moment(block, coordinates, whitener=None):
    """Weighted squared norm of every row, and X'y / n of each target (n_features, n_targets), in one pass."""
    norms = np.empty(block.n_rows)
    moment = np.zeros((block.n_features, block.n_targets))
    y_mean = mean_over_rows(block.y, block.sample_weight)
    compiled = block.compiles and whitener is None and coordinates.scale.min() > np.finfo(float).tiny
    measure = _compiled_norms if compiled else _norms
    for rows, weight, products in measure(block, coordinates, whitener, norms, y_mean):
        norms[rows] += coordinates.intercept
        norms[rows] *= weight
        moment += products
    return norms, moment / block.n_rows


def _norms(block, coordinates, whitener, norms, y_mean):
    """Set the squared norms of panels of rows; yields the rows, their weights and X'y, or 0 where they are whitened."""
    for rows, X, weight in panels(block, copies=False):
        there: Any = arrays_of(X)
        Z = coordinates.features(X)
        norms[rows] = row_norms(Z if whitener is None else Z @ there.put(whitener))
        yield rows, weight, times(Z.T, weight[:, None] * (block.y[rows] - y_mean)) if whitener is None else 0.0


def _compiled_norms(block, coordinates, whitener, norms, y_mean):
    from sgdlinreg._solvers.passes_numba import norms_and_products, panel_rows

    inverse = 1.0 / coordinates.scale
    for rows, X, weight in views(block, panel_rows(block.row_bytes)):
        right = weight[:, None] * (block.y[rows] - y_mean)
        yield rows, weight, norms_and_products(X, right, coordinates.centre, inverse, norms[rows])


def row_norms(Z):
    """Squared norm of every row."""
    if isinstance(Z, np.ndarray):
        return np.vecdot(Z, Z)  # copies nothing, and for few columns is twice as fast as sums of squares
    there: Any = arrays_of(Z)
    return there.take(squared(Z).sum(axis=1))


def largest_values(values, n_largest):
    """Give the largest values, in descending order, NaN first.

    The least of as many maxima of parts is a bound for them, so that few values are sorted: a tenth of the time of
    a partition.
    """
    n_parts = len(values) // PART
    if 0 < n_largest <= n_parts:
        maxima = values[: n_parts * PART].reshape(PART, n_parts).max(axis=0)
        values = values[~(values < np.partition(maxima, n_parts - n_largest)[n_parts - n_largest])]
    return np.sort(np.partition(values, len(values) - n_largest)[len(values) - n_largest :])[::-1]


def rows_of_largest(norms, n_largest):
    """Rows of largest norm, in order. Norms that only rounding tells apart are equal: units do not decide."""
    if not n_largest:
        return np.empty(0, np.intp)
    norms = norms.astype(np.float32)
    least = largest_values(norms, n_largest)[-1]
    above = np.flatnonzero(norms > least)
    equal = np.flatnonzero(norms == least)[: n_largest - len(above)]
    return np.sort(np.concatenate([above, equal]))


class MeasuredRows(NamedTuple):
    """What steps depend on.

    Attributes
    ----------
    norms : ndarray of shape (n_rows,)
        Weighted squared norms of the rows.
    moment : ndarray of shape (n_features, n_targets)
        X'y / n.
    Z : ndarray or SciPy CSR array
        Rows whose Z'Z is the second moment or an unbiased estimate of it.
    complete : bool
        Whether these are all rows.
    """

    norms: np.ndarray
    moment: np.ndarray
    Z: Any
    complete: bool


def measured_rows(block, coordinates, rng) -> MeasuredRows:
    """Measure rows in some coordinates: all of a small block at once, others in a pass and a sample."""
    n_random, n_extreme = _sizes_of_sample(block)
    if block.n_rows > n_random + n_extreme:
        norms, moment = norms_and_moment(block, coordinates)
        return MeasuredRows(norms, moment, *sample_of(block, norms, coordinates, rng))
    Z, root = _rows_times_roots(block, slice(None), np.full(block.n_rows, 1.0 / block.n_rows), coordinates)
    deviations = root[:, None] * (block.y - mean_over_rows(block.y, block.sample_weight))
    moment = times(Z.T, deviations)[: block.n_features]
    return MeasuredRows(block.n_rows * row_norms(Z), moment, Z, True)


def sample_of(block, norms, coordinates, rng):
    """Take rows whose Z'Z is the second moment or an unbiased estimate of it, and say whether they are all rows.

    All rows of a small block, else those of largest norm and a random part of the others; in these coordinates, times
    the root of their weight.
    """
    n_rows = block.n_rows
    chosen: np.ndarray | slice = slice(None)
    complete, weight = True, np.full(n_rows, 1.0 / n_rows)
    n_random, n_extreme = _sizes_of_sample(block)
    if n_rows > n_random + n_extreme:
        extreme = rows_of_largest(norms, n_extreme)
        drawn = np.sort(rng.choice(n_rows - n_extreme, n_random, replace=False))
        drawn += np.searchsorted(extreme - np.arange(n_extreme), drawn, side="right")  # among the other rows
        complete, chosen = False, np.concatenate([extreme, drawn])
        weight = np.full(n_extreme + n_random, (n_rows - n_extreme) / (n_rows * n_random))
        weight[:n_extreme] = 1.0 / n_rows
    return _rows_times_roots(block, chosen, weight, coordinates)[0], complete


def _sizes_of_sample(block) -> tuple[int, int]:
    """How many random rows a sample has, and how many of largest norm; smaller blocks are taken whole."""
    return max(SAMPLE_ROWS, SAMPLE_ROWS_PER_FEATURE * block.n_features), min(SAMPLE_EXTREME, block.n_rows // 8)


def _rows_times_roots(block, chosen, weight, coordinates):
    """Give some rows in these coordinates, times the root of their weight, and those roots."""
    if block.sample_weight is not None:
        weight = weight * block.sample_weight[chosen]
    Z = coordinates.rows(take_rows(block.X, chosen))
    root = np.sqrt(weight)
    return (sparse.diags_array(root) @ Z if sparse.issparse(Z) else root[:, None] * Z), root


def largest_eigenvalue(Z, penalty) -> float:
    """Largest eigenvalue of Z'Z + diag(penalty), directly where a side is small, else by Lanczos."""
    n_columns = Z.shape[1]
    padded = np.zeros(n_columns)
    padded[: len(penalty)] = penalty
    if not sparse.issparse(Z) and n_columns <= MAX_EIGENVALUES:
        gram = Z.T @ Z
        gram[np.arange(n_columns), np.arange(n_columns)] += padded
        return float(np.linalg.eigvalsh(gram)[-1])
    if min(Z.shape) <= 2 or squared(Z).sum() == 0.0:
        return float(squared(Z).sum() + padded.max())
    operator = LinearOperator(
        (n_columns, n_columns), matvec=lambda v: Z.T @ (Z @ v) + padded * v.ravel(), dtype=np.float64
    )
    start = np.random.default_rng(0).standard_normal(n_columns)  # a fixed start keeps fits reproducible
    return float(eigsh(operator, k=1, tol=1e-3, v0=start, return_eigenvectors=False)[0])
