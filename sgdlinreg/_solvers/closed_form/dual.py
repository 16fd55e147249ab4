"""Least squares with fewer rows than columns, by the dual problem."""

from typing import Any, NamedTuple

import numpy as np
from scipy import linalg, sparse

from sgdlinreg._core.arrays import EPS
from sgdlinreg._core.blocks import Block, panel_of
from sgdlinreg._core.statistics import centre_panel
from sgdlinreg._solvers.closed_form.double_double import power_of_two_above
from sgdlinreg._solvers.closed_form.equations import rounding_noise
from sgdlinreg._solvers.closed_form.factorizations import (
    KEPT_FIT,
    ZERO_PIVOT,
    nonzero_eigenvalues,
    nonzero_singular,
)

DENSE_VALUES = 1 << 24
"""CSR rows of up to this many values, zeros counted, are solved as dense ones: their products lose half the digits."""
MIN_PRODUCTS = 1e-8
"""Reciprocal condition number of the products of rows from which on their Cholesky factor gives enough digits."""


class DualSolution(NamedTuple):
    """A solution: coef is (n_targets, n_features + 1), mean what X was centred by, squares those of residuals."""

    coef: np.ndarray
    mean: np.ndarray
    squares: np.ndarray
    rank: int
    condition: float
    name: str = "dual"


def solve_dual(block: Block, penalty: float, fit_intercept: bool) -> DualSolution:
    """Solve least squares, with an l2 penalty or for the least norm.

    Parameters
    ----------
    block : Block
        All rows.
    penalty : float
        Factor of ``0.5 * ||w||**2`` beside half the weighted sum of squares.
    fit_intercept : bool

    Notes
    -----
    The cost is n_rows**2 * n_features operations, and memory for a dense copy; of CSR rows with more than 16 million
    values, zeros counted, only products with each other are formed.
    """
    X, y, weight = panel_of(block, slice(None))
    root = np.sqrt(weight)[:, None]
    if sparse.issparse(X) and X.shape[0] * X.shape[1] > DENSE_VALUES:
        y_mean, y = _centred(y, weight, fit_intercept)
        targets = y * root
        x_mean = (weight @ X) / weight.sum() if fit_intercept else np.zeros(X.shape[1])
        weights, rank, condition = _solve_sparse(X, x_mean, root, targets, penalty)
        fitted = (X @ weights - x_mean @ weights) * root
    else:
        (x_mean, X), (y_mean, y), root = centred_rows(block, fit_intercept)
        targets = y * root
        unit = power_of_two_above(np.abs(X).max())  # so that squares stay in range
        rows = X / unit * root
        spread = np.sqrt(np.square(X / unit).mean(axis=0))
        offset = np.divide(x_mean / unit, spread, out=np.zeros_like(spread), where=spread > 0.0)
        ridge, direction = np.sqrt(penalty) / unit, root if fit_intercept else 0.0 * root
        solved = _solve_products(rows, targets, ridge, direction)
        weights, rank, condition = solved or _solve_dense(rows, targets, ridge, offset, np.finfo(block.dtype).eps)
        fitted = rows @ weights
        weights = weights / unit
    coef = np.column_stack([weights.T, y_mean - x_mean @ weights])
    return DualSolution(coef, x_mean, np.square(targets - fitted).sum(axis=0), rank, condition)


def centred_rows(block: Block, fit_intercept: bool) -> tuple[Any, Any, np.ndarray]:
    """Return the means and rows of X, dense and centred with an intercept, the same of y, and roots of the weights."""
    X, y, weight = panel_of(block, slice(None))
    X = X.toarray() if sparse.issparse(X) else X
    return _centred(X, weight, fit_intercept), _centred(y, weight, fit_intercept), np.sqrt(weight)[:, None]


def _centred(values, weight, centre):
    values = np.array(values)
    return (centre_panel(values, weight) if centre else np.zeros(values.shape[1])), values


def _solve_products(rows, targets, ridge, direction):
    """Solve the dual problem by Cholesky of the products of the rows, refined once; None where that has too few digits.

    ``direction`` (n_rows, 1), the roots of the weights, is what centring has taken off the rows; 0 without it.
    """
    n_rows, n_features = rows.shape
    inner = rows @ rows.T
    total = np.trace(inner)
    if ridge:
        inner[np.diag_indices(n_rows)] += ridge**2
    elif direction.any():  # which neither rows nor targets have a part in
        inner += direction * direction.T * (total / n_rows / np.square(direction).sum())
    lower, failed = linalg.lapack.dpotrf(inner, lower=True)
    if failed or not total > 0.0:
        return None
    rcond, _ = linalg.lapack.dpocon(lower, np.abs(inner).sum(axis=0).max(), uplo="L")
    if not rcond > MIN_PRODUCTS:
        return None
    dual = linalg.lapack.dpotrs(lower, targets, lower=True)[0]
    dual += linalg.lapack.dpotrs(lower, targets - inner @ dual, lower=True)[0]
    rank = n_features if ridge else n_rows - bool(direction.any())
    return rows.T @ dual, rank, rcond**-0.5 if ridge else np.inf


def _solve_dense(rows, targets, ridge, offset, eps):
    """Return weights, rank and condition number for centred, weighted rows.

    ``ridge`` is the root of the penalty, ``offset`` (n_features,) are the means in units of the columns' spread, and
    ``eps`` is the rounding of X's type.
    """
    n_rows, n_features = rows.shape
    if ridge > 0.0:
        # ridge regression is the solution of least norm of [rows, ridge * I] u = targets
        weights, factor = _shortest(np.hstack([rows, ridge * np.eye(n_rows)]), targets)
        return weights[:n_features], n_features, float(np.linalg.cond(factor))
    norms = np.linalg.norm(rows, axis=0)[:, None]
    scale = np.where(norms[:, 0] > 0.0, norms[:, 0], np.inf)
    noise = rounding_noise(offset, eps)[:, None]
    left, singular, right = linalg.svd(rows / scale, full_matrices=False)
    kept = nonzero_singular(singular, right, noise[:, 0])
    if not kept.any():
        return np.zeros((n_features, targets.shape[1])), 0, np.inf
    left, projected = left[:, kept], left[:, kept].T @ targets
    weights = (right[kept].T @ (projected / singular[kept, None])) / scale[:, None]
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        shortest, _ = _shortest(left.T @ rows, projected)
        lost = np.square(rows @ shortest - left @ projected).sum(axis=0)
        lost += np.square(noise * norms * shortest).sum(axis=0)
    # units that differ by more than the digits there are: least norm in scaled units keeps the fit
    enough = np.square(noise * norms * weights).sum(axis=0) + KEPT_FIT * np.square(projected).sum(axis=0)
    weights = np.where(lost <= enough, shortest, weights)
    return weights, int(kept.sum()), np.inf


def _shortest(rows, targets):
    """Solve ``rows @ u = targets`` of full row rank for the least norm; return u and the triangular factor."""
    space = RowSpace(rows)
    return space.solve(targets), space.factor


class RowSpace:
    """QR decomposition with pivoting of the transpose of rows of full row rank, (n_rows, n_features).

    Columns are sorted by size before, so that it respects the unit of each (Cox and Higham, "Stability of Householder
    QR factorization for weighted least squares problems", 1998).

    Attributes
    ----------
    factor : ndarray of shape (n_rows, n_rows)
        ``factor.T`` are the rows in the order of ``pivots`` and in orthonormal coordinates.
    pivots : ndarray of shape (n_rows,)
    """

    def __init__(self, rows: np.ndarray):
        self._order = np.argsort(-np.abs(rows).max(axis=0), kind="stable")
        self._basis, self.factor, self.pivots = linalg.qr(rows[:, self._order].T, mode="economic", pivoting=True)

    def solve(self, targets: np.ndarray) -> np.ndarray:
        """Return u, (n_features, n_targets), of least norm with ``rows @ u = targets``; nan of dependent rows."""
        solution = np.full((len(self._order), targets.shape[1]), np.nan)
        if np.all(np.diag(self.factor)):
            u = linalg.solve_triangular(self.factor, targets[self.pivots], trans="T", check_finite=False)
            solution[self._order] = self._basis @ u
        return solution


def _solve_sparse(X: Any, mean, root, targets, penalty):
    """Return weights, rank and condition number for CSR rows, from their centred, weighted products."""

    def products(scale):
        scaled = sparse.csr_array((X.data / scale[X.indices], X.indices, X.indptr), shape=X.shape)
        at_mean = (scaled @ (mean / scale))[:, None]
        centred = (scaled @ scaled.T).toarray() - at_mean - at_mean.T + np.square(mean / scale).sum()
        return centred * root * root.T

    def weights_of(dual):
        return X.T @ (dual * root) - np.outer(mean, (dual * root).sum(axis=0))

    inner = products(np.ones(len(mean)))
    if penalty > 0.0:
        values, vectors = linalg.eigh(inner)
        values = np.maximum(values, 0.0) + penalty
        weights = weights_of(vectors @ ((vectors.T @ targets) / values[:, None]))
        return weights, len(mean), float(np.sqrt(values[-1] / values[0]))
    scale = np.sqrt(X.power(2).T @ np.square(root[:, 0]))
    scale[scale == 0.0] = np.inf
    values, vectors = linalg.eigh(products(scale))
    vectors = vectors[:, nonzero_eigenvalues(values)]
    inner = vectors.T @ inner @ vectors
    weights = weights_of(vectors @ linalg.lstsq(inner, vectors.T @ targets, cond=ZERO_PIVOT * EPS)[0])
    return weights, vectors.shape[1], np.inf
