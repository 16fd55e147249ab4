"""Factors of the scaled second moments: they solve the normal equations and tell the rank and how sure digits are.

Each has ``name``, ``rank``, ``condition``, the condition number of the scaled columns that count, ``error``, a bound on
the relative error of a solution and the factor by which a refinement shrinks it, ``null`` of shape
(n_features, n_features - rank), the combinations of columns that vanish, and ``lower``, the Cholesky factor if it has
digits, else None.
"""

from typing import Any, ClassVar

import numpy as np
from scipy import linalg

from sgdlinreg._core.arrays import EPS

MIN_RCOND = 1e-12
"""Below this reciprocal condition number of the moments their Cholesky factor has too few digits to refine with."""
ZERO_PIVOT = 64.0
"""Pivots and eigenvalues of moments below this many roundings (times n / 50 where n is more) count as zero."""
LONGEST_SUM = 4096
"""Rows whose products are summed at once; the rounding of longer sums grows with the root of these at most."""
ZERO_SINGULAR = 64.0
"""Singular values of scaled columns below this many roundings (4 * n where that is more) of the largest are zero."""
KEPT_FIT = 1e-9
"""Part of the explained sum of squares that the least norm in the units of the data may cost."""


def nonzero_singular(values: np.ndarray, right: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """Return which singular values of scaled columns are more than rounding, that of sums and that of predictions.

    ``right`` are the right singular vectors, (n, n_features), and ``noise`` is the `rounding_noise` of the columns.
    """
    of_sums = max(ZERO_SINGULAR, 4.0 * len(values)) * EPS * values[0]
    return values > np.maximum(of_sums, np.linalg.norm(right * noise, axis=1))


def nonzero_eigenvalues(values: np.ndarray) -> np.ndarray:
    """Return which eigenvalues of scaled moments, in ascending order, are more than rounding."""
    return values > _zero_pivot(len(values), EPS) * max(values[-1], np.finfo(float).tiny)


def _zero_pivot(size: int, rounding: float) -> float:
    return ZERO_PIVOT * rounding * max(1.0, size / 50)


class Cholesky:
    """Cholesky factor of moments of full rank, whose reciprocal condition number and relative error are given."""

    name: ClassVar[str] = "cholesky"

    def __init__(self, lower: np.ndarray, rcond: float, rounding: float):
        self.lower = lower
        self.rank = len(lower)
        self.null = np.empty((len(lower), 0))
        self.condition = rcond**-0.5
        self.error = rounding / rcond

    def solve(self, right):
        """Solve ``gram @ weights = right``, (n_features, n_columns)."""
        return linalg.lapack.dpotrs(self.lower, right, lower=True)[0] if len(right) else right


class PivotedCholesky:
    """Cholesky factor with pivoting, of moments of lower rank; solves for the leading columns, the others get 0.

    ``right``, (n_features, n_targets), are the products with y of unit norm. Where what is left of them for the other
    columns is more than rounding, moments cannot tell these columns from the leading ones, but y can.
    """

    name: ClassVar[str] = "pivoted_cholesky"
    lower: ClassVar[None] = None

    def __init__(self, gram, rounding, right):
        size = len(gram)
        tol = _zero_pivot(size, rounding)
        factor, pivots, self.rank, _ = linalg.lapack.dpstrf(gram, tol=tol, lower=True)
        pivots = pivots - 1
        self._leading = pivots[: self.rank]
        self._lower = np.tril(factor[: self.rank, : self.rank])
        others = factor[self.rank :, : self.rank]
        self.null = np.zeros((size, size - self.rank))
        self.null[pivots[self.rank :]] = np.eye(size - self.rank)
        self.null[self._leading] = -linalg.solve_triangular(self._lower, others.T, trans="T", lower=True)
        rcond = 1.0
        if self.rank:
            norm = np.abs(gram[np.ix_(self._leading, self._leading)]).sum(axis=0).max()
            rcond = max(linalg.lapack.dpocon(np.asfortranarray(self._lower), norm, uplo="L")[0], EPS)
        self.condition = rcond**-0.5
        self.error = rounding / rcond
        explained = linalg.solve_triangular(self._lower, right[self._leading], lower=True)
        if np.any(np.abs(right[pivots[self.rank :]] - others @ explained) > tol):
            self.error = 1.0

    def solve(self, right):
        """Solve ``gram @ weights = right`` for the leading columns."""
        weights = np.zeros_like(right)
        weights[self._leading] = linalg.cho_solve((self._lower, True), right[self._leading], check_finite=False)
        return weights


class SingularValues:
    """Singular value decomposition of a triangular factor of the scaled columns: digits that moments do not have.

    Its rows, perhaps with those of a penalty, are (n, n_features), and the same rows of y (n, n_targets). ``noise``
    is the `rounding_noise` of the columns. ``weights``, (n_features, n_targets), is the solution of least norm. A
    direction that is no larger than the noise does not count: by its large coefficients `predict` would lose more than
    it gains.
    """

    name: ClassVar[str] = "qr"

    def __init__(self, rows, targets, noise):
        left, singular, right = linalg.svd(rows, full_matrices=False)
        kept = nonzero_singular(singular, right, noise)
        self.rank = int(kept.sum())
        self.null = right[~kept].T if len(singular) == rows.shape[1] else linalg.null_space(rows)
        self._vectors, self._singular = right[kept].T, singular[kept, None]
        self.condition = float(singular[0] / self._singular[-1, 0]) if self.rank else np.inf
        self.error = EPS * self.condition if self.rank else 0.0
        full = self.rank == rows.shape[1]
        self.lower = linalg.qr(self._singular * self._vectors.T, mode="r")[0].T if full else None
        self.weights = self._vectors @ ((left[:, kept].T @ targets) / self._singular)

    def solve(self, right):
        """Solve the normal equations in the space of the columns."""
        return self._vectors @ ((self._vectors.T @ right) / np.square(self._singular))


def factorise(equations: Any) -> Cholesky | PivotedCholesky:
    """Factorise the moments of `NormalEquations`; with pivoting where plain Cholesky has no digits.

    There, the sums over rows are to be told from 0, and their own rounding counts.
    """
    gram, rounding = equations.gram, equations.rounding
    if not len(gram):
        return Cholesky(gram, 1.0, 0.0)
    lower, failed = linalg.lapack.dpotrf(gram, lower=True, clean=True)
    if not failed:
        rcond, _ = linalg.lapack.dpocon(lower, np.abs(gram).sum(axis=0).max(), uplo="L")
        if rcond > max(MIN_RCOND, 8.0 * rounding):
            return Cholesky(lower, float(rcond), rounding)
    return PivotedCholesky(
        gram, rounding * max(1.0, min(equations.moments.n_rows, LONGEST_SUM) ** 0.5 / 8.0), equations.unit_right
    )
