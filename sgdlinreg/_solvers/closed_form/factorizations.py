"""Factors of the scaled second moments: what solves the normal equations, tells the rank and how sure digits are."""

from typing import ClassVar

import numpy as np
from scipy import linalg, optimize

from sgdlinreg._core.arrays import EPS

MIN_RCOND = 1e-12
"""Below this reciprocal condition number of the moments their Cholesky factor has too few digits to refine with."""
RANK_PIVOT = 1e-14
"""Pivots of the moments below this (times the number of features where that is more than 50) count as zero."""
UNSURE_PIVOT = 16.0
"""Pivots that count as zero and are more roundings than this may be columns that moments cannot tell from others."""
RANK_SINGULAR = 64.0
"""Singular values of the scaled columns below this many roundings (4 times the number of features where that is more)
of the largest count as zero."""
KEPT_FIT = 1e-9
"""Fraction of the explained sum of squares that the least norm in the data's units may cost."""


class Cholesky:
    """Cholesky factor of moments of full rank.

    Parameters
    ----------
    gram : ndarray of shape (n_features, n_features)
        Moments of unit diagonal.
    rounding : float
        Relative error of the moments.

    Attributes
    ----------
    lower : ndarray of shape (n_features, n_features)
        ``lower @ lower.T`` is gram.
    condition : float
        Condition number of the scaled columns, the root of that of the moments.
    error : float
        Bound on the relative error of a solution, and the factor by which a refinement shrinks it.
    """

    name: ClassVar[str] = "cholesky"
    has_digits: ClassVar[bool] = True

    def __init__(self, gram: np.ndarray, lower: np.ndarray, rcond: float, rounding: float):
        self.lower = lower
        self.rank = len(gram)
        self.null = np.empty((len(gram), 0))
        self.condition = float(np.sqrt(1.0 / rcond))
        self.error = rounding / rcond

    def solve(self, right):
        """Solve ``gram @ weights = right``, (n_features, n_columns)."""
        if not len(right):
            return right
        return linalg.lapack.dpotrs(self.lower, right, lower=True)[0]


class PivotedCholesky:
    """Cholesky factor with pivoting, of moments of lower rank; solves for the leading columns, the others get 0.

    ``null`` holds the combinations of columns that vanish, (n_features, n_features - rank).
    """

    name: ClassVar[str] = "pivoted_cholesky"
    has_digits: ClassVar[bool] = False
    lower: ClassVar[None] = None

    def __init__(self, gram, rounding):
        size = len(gram)
        tol = max(RANK_PIVOT * max(1.0, size / 50), 64.0 * (rounding if rounding > 1e-9 else 0.0))
        factor, pivots, self.rank, _ = linalg.lapack.dpstrf(gram, tol=tol, lower=True)
        pivots = pivots - 1
        self.kept = pivots[: self.rank]
        self._lower = np.tril(factor[: self.rank, : self.rank])
        self.null = np.zeros((size, size - self.rank))
        self.null[pivots[self.rank :]] = np.eye(size - self.rank)
        self.null[self.kept] = -linalg.solve_triangular(
            self._lower, factor[self.rank :, : self.rank].T, trans="T", lower=True
        )
        norm = np.abs(gram[np.ix_(self.kept, self.kept)]).sum(axis=0).max(initial=0.0)
        rcond = linalg.lapack.dpocon(np.asfortranarray(self._lower), norm, uplo="L")[0] if self.rank else 1.0
        self.condition = np.inf if self.rank < size else float(np.sqrt(1.0 / max(rcond, EPS)))
        self.error = rounding / max(rcond, EPS)
        left = 1.0 - np.square(factor[self.rank :, : self.rank]).sum(axis=1)
        if np.any(left > UNSURE_PIVOT * rounding * max(1.0, size / 50)):  # neither rounding nor a column of its own
            self.error = 1.0

    def solve(self, right):
        """Solve ``gram @ weights = right`` for the leading columns."""
        weights = np.zeros_like(right)
        weights[self.kept] = linalg.cho_solve((self._lower, True), right[self.kept], check_finite=False)
        return weights


class SingularValues:
    """Singular value decomposition of a triangular factor of the scaled columns: digits that moments do not have.

    Parameters
    ----------
    rows : ndarray of shape (n, n_features)
        The triangular factor, perhaps with the rows of a penalty.
    targets : ndarray of shape (n, n_targets)
        The same rows of y.
    """

    name: ClassVar[str] = "qr"
    has_digits: ClassVar[bool] = True

    def __init__(self, rows, targets):
        left, singular, right = linalg.svd(rows, full_matrices=False)
        kept = singular > max(RANK_SINGULAR, 4.0 * len(right)) * EPS * singular[0]
        self.rank = int(kept.sum())
        self.null = right[~kept].T if len(singular) == rows.shape[1] else linalg.null_space(rows)
        self._vectors, self._singular = right[kept].T, singular[kept]
        full = self.rank == rows.shape[1]
        self.condition = float(singular[0] / singular[-1]) if full else np.inf
        self.error = float(EPS * singular[0] / self._singular[-1]) if self.rank else 0.0
        self.lower = linalg.qr(self._singular[:, None] * self._vectors.T, mode="r")[0].T if full else None
        self.weights = self._vectors @ ((left[:, kept].T @ targets) / self._singular[:, None])

    def solve(self, right):
        """Solve the normal equations in the space of the columns."""
        return self._vectors @ ((self._vectors.T @ right) / np.square(self._singular)[:, None])


def factorise(gram: np.ndarray, rounding: float) -> Cholesky | PivotedCholesky:
    """Factorise moments of unit diagonal; with pivoting where plain Cholesky has no digits.

    Parameters
    ----------
    gram : ndarray of shape (n_features, n_features)
    rounding : float
        Relative error of its values.
    """
    if not len(gram):
        return Cholesky(gram, gram, 1.0, rounding)
    lower, failed = linalg.lapack.dpotrf(gram, lower=True, clean=True)
    if not failed:
        rcond, _ = linalg.lapack.dpocon(lower, np.abs(gram).sum(axis=0).max(initial=0.0), uplo="L")
        if rcond > max(MIN_RCOND, 8.0 * (rounding if rounding > 1e-9 else 0.0)):
            return Cholesky(gram, lower, rcond, rounding)
    return PivotedCholesky(gram, rounding)


def least_norm(weights: np.ndarray, null: np.ndarray, scale: np.ndarray, gram, right) -> np.ndarray:
    """Return the solution of least norm in the units of the data.

    Parameters
    ----------
    weights : ndarray of shape (n_features, n_targets)
        A solution in the units of the data.
    null : ndarray of shape (n_features, n)
        Combinations of scaled columns that vanish.
    scale : ndarray of shape (n_features,)
        What columns are divided by.
    gram, right : ndarray
        Scaled moments, to see whether the fit is kept: where units differ by more orders of magnitude than there are
        digits, it is not, and the least norm is taken in scaled units.
    """
    if not null.shape[1]:
        return weights
    basis = null / scale[:, None]
    basis, _ = linalg.qr(basis / np.linalg.norm(basis, axis=0), mode="economic")
    scaled = weights * scale[:, None]
    null, _ = linalg.qr(null, mode="economic")
    scaled = scaled - null @ (null.T @ scaled)
    weights = scaled / scale[:, None]
    shortest = weights - basis @ (basis.T @ weights)
    exact, moved = (_explained(gram, right, one) for one in (scaled, scale[:, None] * shortest))
    return np.where(moved >= exact - KEPT_FIT * np.abs(exact), shortest, weights)


def _explained(gram, right, scaled):
    """Return what scaled weights take off the residual sum of squares, (n_targets,)."""
    return 2.0 * (right * scaled).sum(axis=0) - (scaled * (gram @ scaled)).sum(axis=0)


def non_negative(gram: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, int, float]:
    """Solve the least-squares problem of scaled moments under weights >= 0, by NNLS on a square root of them.

    Returns
    -------
    weights : ndarray of shape (n_features, n_targets)
    rank : int
    condition : float
        Those of the moments; inf if they are singular.
    """
    if not len(gram):
        return right, 0, np.inf
    values, vectors = linalg.eigh(gram)
    kept = values > RANK_PIVOT * max(1.0, len(gram) / 50) * max(values[-1], np.finfo(float).tiny)
    root = np.sqrt(values[kept])
    rows = root[:, None] * vectors[:, kept].T
    targets = (vectors[:, kept].T @ right) / root[:, None]
    weights = np.column_stack([optimize.nnls(rows, target)[0] for target in targets.T]) if kept.any() else 0.0 * right
    full = bool(kept.all())
    return weights, int(kept.sum()), float(np.sqrt(values[-1] / values[0])) if full else np.inf
