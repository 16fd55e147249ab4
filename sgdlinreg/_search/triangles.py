"""The rows of a training fold as a few rows with the same objective, from which all its penalties are solved."""

from contextlib import nullcontext
from functools import reduce
from typing import Any, NamedTuple

import numpy as np
from scipy import linalg

from sgdlinreg._core.arrays import EPS, all_finite
from sgdlinreg._core.blocks import Block, join_rows
from sgdlinreg._core.threads import one_thread
from sgdlinreg._search.folds import Fold
from sgdlinreg._solvers.closed_form.constrained import triangle_of
from sgdlinreg._solvers.closed_form.double_double import DoubleDouble, power_of_two_above
from sgdlinreg._solvers.closed_form.dual import RowSpace, centred_rows
from sgdlinreg._solvers.closed_form.equations import NormalEquations, rounding_noise
from sgdlinreg._solvers.closed_form.factorizations import factorise, nonzero_singular
from sgdlinreg._solvers.closed_form.qr_panels import TriangularFactor
from sgdlinreg._solvers.closed_form.refinement import ENOUGH, SURE

WELL_CONDITIONED = 1e-5
"""Smallest over largest singular value from which on a decomposition that is precise for the largest loses no score."""
FOR_THREADS = 400
"""Rows from which on decompositions gain by threads of BLAS; beside other work threads wait for each other for long."""
OVERFLOWED = "The closed form overflowed: sums of X or y are not finite. Rescale them, their values are too large."


class Triangle(NamedTuple):
    """Rows that have the objective of those of a training fold, about their means and weighted.

    Attributes
    ----------
    rows : ndarray of shape (n, n_active)
        Of full row rank, in scaled columns.
    targets : ndarray of shape (n, n_targets)
        In units of y.
    active : slice or ndarray of int
        Columns that are not constant.
    scale : ndarray of shape (n_active,)
        What these were divided by.
    centre : DoubleDouble of shape (n_features + n_targets,)
        What the columns of [X, y] were taken about; 0 without an intercept.
    y_unit : ndarray of shape (n_targets,)
    total_weight : float
        In units of ``2**weight_exponent``.
    weight_exponent : int
    """

    rows: np.ndarray
    targets: np.ndarray
    active: Any
    scale: np.ndarray
    centre: DoubleDouble
    y_unit: np.ndarray
    total_weight: float
    weight_exponent: int

    @property
    def n_features(self) -> int:
        """Columns of X, constant ones too."""
        return len(self.centre.high) - len(self.y_unit)

    def decompose(self) -> tuple[np.ndarray, np.ndarray, RowSpace]:
        """Return left singular vectors (n, n) and values (n,) of the rows in units of the data, and their row space.

        Coefficients are solved for in the row space from what they predict: right singular vectors would lose columns
        of small units.
        """
        space = RowSpace(self.rows * self.scale)
        lower = space.factor.T
        vectors, values, _ = linalg.svd(lower)
        if values[-1] < WELL_CONDITIONED * values[0]:
            vectors, values = _precise_svd(lower)
        left = np.empty_like(vectors)
        left[space.pivots] = vectors
        return left, values, space


def _precise_svd(lower: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return left singular vectors and values to the last digits, however different the units of the columns are.

    LAPACK's gejsv is slower than its other decompositions (Drmač, Veselić, "New fast and accurate Jacobi SVD
    algorithm", SIAM J. Matrix Anal. Appl. 29, 2008).
    """
    values, left, _, factors, _, failed = linalg.lapack.dgejsv(
        np.asfortranarray(lower), joba=2, jobu=0, jobv=0, jobr=0, jobt=1, jobp=0
    )
    if failed:
        raise np.linalg.LinAlgError("The singular value decomposition of a fold did not converge.")
    return left, np.maximum(values * (factors[0] / factors[1]), np.finfo(float).tiny)


def triangle_of_fold(fold: Fold, rows: Any, fit_intercept: bool, constrained: bool) -> Triangle:
    """Make the triangle of a training fold.

    It comes from the moments, where they have the digits; of nearly dependent columns from a QR decomposition of the
    rows, which reads them again; and of fewer rows than columns from the rows themselves.

    Parameters
    ----------
    fold : Fold
    rows : RowsInMemory or RowsOfSource
    fit_intercept : bool
    constrained : bool
        Whether there is an l1 penalty or positive=True, which asks for more digits.
    """
    if fold.train is None or fold.train.n_rows < rows.n_features:
        return _of_rows(reduce(join_rows, (block.on_host() for block in rows.blocks(fold.split.train))), fit_intercept)
    moments = fold.train
    equations = NormalEquations.of(moments, 0.0, fit_intercept)
    if not (all_finite(moments.mean.high) and all_finite(moments.products) and all_finite(equations.gram)):
        raise ValueError(OVERFLOWED)
    factor = factorise(equations)
    sure = factor.error <= (ENOUGH if constrained else SURE)
    if factor.lower is None:
        sure = sure and not (moments.is_uneven or constrained)
    found = triangle_of(equations, factor) if sure else _by_qr(fold, rows, equations)
    active, scale = equations.active, equations.scale[equations.active]
    weight = moments.total_weight, moments.weight_exponent
    return Triangle(*found, active, scale, equations.centre, equations.y_unit, *weight)


def _by_qr(fold: Fold, rows: Any, equations: NormalEquations) -> tuple[np.ndarray, np.ndarray]:
    d, blocks = len(equations.scale), rows.blocks(fold.split.train)
    factor: Any = reduce(TriangularFactor.add, blocks, TriangularFactor.of(equations)).factor
    return _of_full_rank(factor[:, :d][:, equations.active], factor[:, d:], equations.noise)


def _of_rows(block: Block, fit_intercept: bool) -> Triangle:
    """Make the triangle of rows that are fewer than columns."""
    (x_mean, X), (y_mean, y), root = centred_rows(block, fit_intercept)
    if not (all_finite(X) and all_finite(y)):
        raise ValueError(OVERFLOWED)
    y_unit = power_of_two_above(np.abs(y).max(axis=0))
    rows, targets = X * root, y / y_unit * root
    with np.errstate(divide="ignore", invalid="ignore"):
        size = np.abs(rows).max(axis=0)
        norm = np.linalg.norm(rows / np.where(size > 0.0, size, 1.0), axis=0) * size
        spread = norm / block.total_weight**0.5
        offset = np.abs(x_mean) / spread
    active = np.flatnonzero((norm > 0.0) & (spread > 2.0 * EPS * np.abs(x_mean)))
    scale, noise = norm[active], rounding_noise(offset[active], float(np.finfo(block.dtype).eps))
    centre = np.concatenate([x_mean, y_mean])
    found = _of_full_rank(rows[:, active] / scale, targets, noise)
    weight = block.total_weight, block.weight_exponent
    return Triangle(*found, active, scale, DoubleDouble(centre, 0.0 * centre), y_unit, *weight)


def _of_full_rank(rows, targets, noise) -> tuple[np.ndarray, np.ndarray]:
    """Return rows without the directions that are no more than rounding, as the closed form decides on the rank."""
    if not rows.size:
        return rows[:0], targets[:0]
    with threads_for(len(rows)):
        left, values, right = linalg.svd(rows, full_matrices=False)
    kept = nonzero_singular(values, right, noise)
    return values[kept, None] * right[kept], left[:, kept].T @ targets


def threads_for(n_rows: int) -> Any:
    """Return a context for decompositions of so many rows."""
    return nullcontext() if n_rows >= FOR_THREADS else one_thread
