"""The safe step: what eta0="auto" measures on the data before the first step.

Coordinates are centred (CSR: where a column has no zeros) and divided by each column's scale,
``z = (x - centre) / scale``, so that the step does not depend on units; on collinear data they are whitened as well.
In those coordinates

::

    step = 1 / (lam + (R2 - lam) / m * (n - m) / (n - 1))

with m the batch size, n the number of rows, lam the largest eigenvalue of the second moment and R2 the largest
weighted squared row norm: 1 / R2 for single rows, 1 / lam for the full batch [1]_. The few rows of largest norm may
leave the order and join every batch instead, where that allows a larger step.

.. [1] Jain, Kakade, Kidambi, Netrapalli, Sidford, "Parallelizing stochastic gradient descent for least squares
   regression: mini-batching, averaging, and model misspecification", JMLR 18 (2018).
"""

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from scipy.linalg import lapack

from sgdlinreg._coordinates import (
    SAMPLE_MARGIN,
    largest_eigenvalue,
    largest_values,
    measured_rows,
    norms_and_moment,
    rows_of_largest,
    sample_of,
    scaled_coordinates,
)

MAX_WHITENED = 512
"""Whitening is for problems with min(n_rows, n_features) up to here: a step costs n_features times that."""
EIGENVALUE_FLOOR = 1e-11
"""Eigenvalues are taken to be at least this share of the largest when whitening."""
NULL_EIGENVALUE = 1e-14
"""Directions below this share of the largest eigenvalue carry no variance at all and stay as they are."""
GAP_SHARE = 0.25
"""Share of tol that goes to what plain steps may leave unexplained, and to the stopping rule."""
EXTREME_GAIN = 0.9
"""Extreme rows join every batch only where the cost falls below this share."""
HEAVY_TAIL = 200.0
"""Rows have heavy tails where the largest squared norm in the order is this many times the mean."""


@dataclass(frozen=True)
class Conditioning:
    """Frozen coordinates and step of an SGD fit on one block.

    Attributes
    ----------
    centre, scale : ndarray of shape (n_features,)
        ``z = (x - centre) / scale``.
    whitener : ndarray of shape (n_features, rank)
        Steps are multiplied by ``whitener @ whitener.T``; rank 0 means by 1.
    extreme_rows : ndarray of shape (n_extreme,), intp
        Rows that join every batch with weight 1 / n_rows each.
    regular_rows : ndarray or None
        The other rows; None for all.
    step : float
        The safe step in these coordinates; nan where the step is the user's.
    heavy_tailed : bool
        Whether some of the rows in the order have far larger norms than others.
    """

    centre: np.ndarray
    scale: np.ndarray
    whitener: np.ndarray
    extreme_rows: np.ndarray
    regular_rows: np.ndarray | None
    step: float
    heavy_tailed: bool = False
    _units: np.ndarray = field(init=False, repr=False)
    """The scale, and 1 for the intercept."""
    _origin: np.ndarray = field(init=False, repr=False)
    """The centre, and 0 for the intercept."""

    def __post_init__(self):
        units, origin = np.ones(len(self.scale) + 1), np.zeros(len(self.scale) + 1)
        units[:-1], origin[:-1] = self.scale, self.centre
        object.__setattr__(self, "_units", units)
        object.__setattr__(self, "_origin", origin)

    def to_scaled(self, coef: np.ndarray) -> np.ndarray:
        """Coefficients on x -> coefficients on z, both (..., n_features + 1), the intercept last."""
        scaled = coef * self._units
        scaled[..., -1] += np.dot(coef, self._origin)  # with several rows faster than ``@``
        return scaled

    def to_raw(self, scaled: np.ndarray) -> np.ndarray:
        """Coefficients on z -> coefficients on x."""
        coef = scaled / self._units
        coef[..., -1] -= np.dot(coef, self._origin)
        return coef


def no_conditioning(n_features: int) -> Conditioning:
    """Coordinates of the data as they are, for a step size that the user gives."""
    return Conditioning(
        np.zeros(n_features),
        np.ones(n_features),
        np.empty((n_features, 0)),
        np.empty(0, np.intp),
        None,
        np.nan,
    )


def safe_step(norm: float, eigenvalue: float, batch_size: int, n_rows: float) -> float:
    """Give the step of the rule above.

    Parameters
    ----------
    norm : float
        R2, the largest weighted squared row norm.
    eigenvalue : float
        lam, the largest eigenvalue of the second moment.
    batch_size : int
    n_rows : float
        Number of rows that batches are drawn from without replacement, inf for a stream.

    Examples
    --------
    >>> safe_step(norm=8.0, eigenvalue=2.0, batch_size=1, n_rows=100)
    0.125
    >>> safe_step(norm=8.0, eigenvalue=2.0, batch_size=100, n_rows=100)
    0.5
    """
    if eigenvalue <= 0.0:
        return 1.0  # nothing but zeros: no step moves anything
    if batch_size >= n_rows:
        return 1.0 / eigenvalue
    without_replacement = 1.0 if np.isinf(n_rows) else (n_rows - batch_size) / (n_rows - 1)
    return 1.0 / (eigenvalue + max(norm - eigenvalue, 0.0) / batch_size * without_replacement)


def _eigenvectors_of(moment) -> tuple[np.ndarray, np.ndarray]:
    """Do what np.linalg.eigh does, with a small matrix in half the time.

    Raises
    ------
    numpy.linalg.LinAlgError
        If the iteration does not converge, as with values that are not finite.
    """
    values, vectors, info = lapack.dsyevd(moment, lower=1)
    if info:
        raise np.linalg.LinAlgError("the eigenvalues of a second moment did not converge")
    return values, vectors


def _spectrum(Z, penalty) -> tuple[np.ndarray, np.ndarray]:
    """Eigenvalues and vectors of Z'Z + diag(penalty)."""
    Z = np.vstack([Z, np.diag(np.sqrt(penalty))]) if penalty.any() else Z
    if Z.shape[0] < Z.shape[1]:
        _, singular, vectors = np.linalg.svd(Z, full_matrices=False)
        return singular**2, vectors.T
    return _eigenvectors_of(Z.T @ Z)


def _plain_steps_do(values, vectors, moment, decay, allowed) -> bool:
    """Whether plain steps leave no more than ``allowed`` of y's variance unexplained.

    They leave ``sum_i e_i * exp(-2 * l_i * decay)``, with l_i the eigenvalues and e_i the variance along each.
    """
    largest = values.max()
    present, floored = values > NULL_EIGENVALUE * largest, np.maximum(values, EIGENVALUE_FLOOR * largest)
    shares = np.where(present, np.exp(-2.0 * np.maximum(values, 0.0) * decay) / floored, 0.0)
    return not np.count_nonzero(shares @ np.square(vectors.T @ moment) > allowed)


def whitener_of(values, vectors, complete) -> np.ndarray:
    """Square root of the inverse of a second moment, from its eigenvalues and vectors.

    Directions without variance are left out where the second moment is that of all rows.
    """
    kept = values > NULL_EIGENVALUE * values.max(initial=0.0)
    if not complete:
        kept = np.ones_like(kept)
    floored = np.maximum(values[kept], EIGENVALUE_FLOOR * values.max(initial=0.0))
    return np.ascontiguousarray(vectors[:, kept] / np.sqrt(floored))


def _choose_extreme(norms, eigenvalue, batch_size):
    """How many rows of largest norm join every batch, and the largest norm among the others."""
    n_rows = len(norms)
    candidates = [batch_size // 8, batch_size // 4, batch_size // 2] + [batch_size * 2**i for i in range(5)]
    candidates = [0] + [h for h in candidates if 0 < h < n_rows / 4]
    ranked = largest_values(norms, candidates[-1] + 1)
    best, n_best, norm = None, 0, ranked[0]
    for n_extreme in candidates:
        cost = (ranked[n_extreme] + (batch_size - 1) * eigenvalue) * (1.0 + n_extreme / batch_size)
        if best is None or cost < EXTREME_GAIN * best:
            best, n_best, norm = cost, n_extreme, ranked[n_extreme]
    return n_best, norm


class RowsAndStep(NamedTuple):
    """What follows from the norms of rows; as in `Conditioning`."""

    extreme_rows: np.ndarray
    regular_rows: np.ndarray | None
    step: float
    heavy_tailed: bool


def _heavy_tailed(largest, norms) -> bool:
    return bool(largest > HEAVY_TAIL * np.add.reduce(norms) / len(norms))  # a mean takes three times as long for few


def rows_and_step(norms, eigenvalue, batch_size, in_order, curvature=0.0):
    """Choose the rows that join every batch, and the step.

    Parameters
    ----------
    norms : ndarray of shape (n_rows,)
        Weighted squared row norms.
    eigenvalue : float
        The largest of the second moment.
    batch_size : int
    in_order : bool
        Whether batches are neighbouring rows, which may all be alike: then no batch alone may be unstable.
    curvature : float
        The largest eigenvalue of what joins every batch apart from rows.

    Returns
    -------
    RowsAndStep
    """
    n_rows = len(norms)
    extreme, regular, norm = np.empty(0, np.intp), None, 0.0
    if batch_size < n_rows:
        n_extreme, norm = _choose_extreme(norms, eigenvalue, batch_size)
        if n_extreme:
            extreme = rows_of_largest(norms, n_extreme)
            regular = np.delete(np.arange(n_rows), extreme)
    step = safe_step(norm, eigenvalue, batch_size, n_rows)
    if in_order and batch_size < n_rows and eigenvalue > 0.0:
        others = norms if regular is None else norms[regular]
        largest = np.add.reduceat(others, np.arange(0, len(others), batch_size)).max() / batch_size
        step = min(step, 1.0 / (largest + norms[extreme].sum() / n_rows + curvature))
    return RowsAndStep(extreme, regular, step, _heavy_tailed(norm, norms))


def condition(block, statistics, objective, batch_size, unexplained, rng, in_order=False) -> Conditioning:
    """Measure a block that will be passed over many times.

    Parameters
    ----------
    block : Block
        Weights have mean one.
    statistics : ColumnStatistics
        Of the block's X.
    objective : Objective
    batch_size : int
        At most the number of rows.
    unexplained : ndarray of shape (n_targets,)
        Variance of y that plain steps may leave unexplained; decides whether collinear data are whitened.
    rng : numpy.random.Generator
    in_order : bool
        Whether batches are neighbouring rows.

    Notes
    -----
    Costs two passes over the block, the eigenvalues of at most a 512 x 512 matrix, and O(n_rows) memory.
    """
    n_rows, n_features = block.n_rows, block.n_features
    coordinates = scaled_coordinates(statistics, objective)
    norms, moment, Z, complete = measured_rows(block, coordinates, rng)
    norms += coordinates.penalty.max(initial=0.0)
    margin = 1.0 if complete else SAMPLE_MARGIN
    whitens = objective.is_smooth and not block.is_sparse and 1 < min(n_rows, n_features) <= MAX_WHITENED
    if whitens:
        values, vectors = _spectrum(Z[:, :n_features], coordinates.penalty)
        eigenvalue = margin * max(values.max(), float(coordinates.intercept))  # centred columns: 1 along the intercept
    else:
        eigenvalue = margin * largest_eigenvalue(Z, coordinates.penalty)
    of_rows = rows_and_step(norms, eigenvalue, batch_size, in_order)

    whitener = None
    if whitens:
        decay = 2 * of_rows.step * np.ceil(n_rows / batch_size)
        if values.max() > 0.0 and not _plain_steps_do(values, vectors, moment, decay, unexplained):
            whitener = whitener_of(values, vectors, complete)
    if whitener is not None:
        norms, _ = norms_and_moment(block, coordinates, whitener)
        curvature = whitener * np.sqrt(coordinates.penalty)[:, None]
        norms += np.square(curvature).sum(axis=1).max()
        again, _ = sample_of(block, norms, coordinates, rng)
        eigenvalue = margin * max(
            largest_eigenvalue(np.vstack([again[:, :n_features] @ whitener, curvature]), np.zeros(0)), 1.0
        )
        of_rows = rows_and_step(norms, eigenvalue, batch_size, in_order)
    return Conditioning(
        coordinates.centre,
        coordinates.scale,
        np.empty((n_features, 0)) if whitener is None else whitener,
        *of_rows,
    )


def condition_stream(block, statistics, objective, batch_size, rng) -> tuple[Conditioning, float, float]:
    """Measure a block that is seen once, as one of many.

    ``statistics`` are those of all rows so far. Returns the coordinates, with the step still open, and what the rule
    needs: the largest row norm and the largest eigenvalue of this block.
    """
    coordinates = scaled_coordinates(statistics, objective)
    norms, _, Z, complete = measured_rows(block, coordinates, rng)
    norms += coordinates.penalty.max(initial=0.0)
    eigenvalue = (1.0 if complete else SAMPLE_MARGIN) * largest_eigenvalue(Z, coordinates.penalty)
    plain = no_conditioning(block.n_features)
    largest = float(norms.max())
    of_rows = RowsAndStep(plain.extreme_rows, None, np.nan, _heavy_tailed(largest, norms))
    return Conditioning(coordinates.centre, coordinates.scale, plain.whitener, *of_rows), largest, eigenvalue
