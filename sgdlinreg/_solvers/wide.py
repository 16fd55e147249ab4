"""Fewer rows than columns: the rows are kept, they are smaller than moments, and the dual problem is solved."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from scipy import linalg, sparse

from sgdlinreg._blocks import Block, join_rows, panel_of
from sgdlinreg._solvers.factors import EPS, KEPT_FIT, RANK_SINGULAR
from sgdlinreg._statistics import centre_panel, column_statistics

SPARSE_RANK = 1e-14
"""Eigenvalues of the scaled rows' products below this share of the largest count as zero."""


class WideSolution(NamedTuple):
    """Coefficients (n_targets, n_features + 1), rank, condition number and weighted residual sum of squares."""

    coef: np.ndarray
    rank: int
    condition: float
    squares: np.ndarray


@dataclass(frozen=True)
class Rows:
    """All rows so far, fewer than there are columns."""

    n_features: int
    n_targets: int
    block: Block | None = None

    @property
    def n_rows(self) -> int:
        """Number of rows."""
        return 0 if self.block is None else self.block.n_rows

    @property
    def total_weight(self) -> float:
        """Sum of their weights."""
        return 0.0 if self.block is None else self.block.total_weight

    def add(self, block: Block) -> "Rows":
        """Take in a block, as it is."""
        return Rows(self.n_features, self.n_targets, block if self.block is None else join_rows([self.block, block]))

    def solve(self, penalty: float, fit_intercept: bool) -> WideSolution:
        """Solve least squares, with an l2 penalty or for the least norm.

        Parameters
        ----------
        penalty : float
            Factor of ``0.5 * ||w||**2`` beside half the weighted sum of squares.
        fit_intercept : bool

        Notes
        -----
        Costs n_rows**2 * n_features operations. Dense rows are decomposed by SVD of the scaled columns, which decides
        the rank; of CSR only products of rows with each other are formed.
        """
        assert self.block is not None, "a fit has rows"
        X, y, weight = panel_of(self.block, slice(None))
        root = np.sqrt(weight)[:, None]
        y_mean = (weight @ y) / weight.sum() if fit_intercept else np.zeros(y.shape[1])
        targets = (y - y_mean) * root
        if sparse.issparse(X):
            mean = (weight @ X) / weight.sum() if fit_intercept else np.zeros(X.shape[1])
            weights, fitted, rank, condition = _solve_sparse(X, root, mean, self.block, targets, penalty)
        else:
            mean = centre_panel(X, weight) if fit_intercept else np.zeros(X.shape[1])
            weights, fitted, rank, condition = _solve_dense(X * root, targets, penalty)
        coef = np.column_stack([weights.T, y_mean - mean @ weights])
        return WideSolution(coef, rank, condition, np.square(targets - fitted).sum(axis=0))


def _solve_dense(rows, targets, penalty):
    if penalty > 0.0:
        weights, condition = _solve_dual(rows @ rows.T, targets, penalty)
        weights = rows.T @ weights
        return weights, rows @ weights, rows.shape[1], condition
    scale = np.linalg.norm(rows, axis=0)
    scale[scale == 0.0] = np.inf
    left, singular, right = linalg.svd(rows / scale, full_matrices=False)
    kept = singular > max(RANK_SINGULAR, 4.0 * len(rows)) * EPS * singular[0]
    left, projected = left[:, kept], left[:, kept].T @ targets
    weights = (right[kept].T @ (projected / singular[kept, None])) / scale[:, None]
    basis, triangle = np.linalg.qr(rows.T @ left)
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        shortest = basis @ _solve_triangle(triangle.T, projected)
        lost = np.square(rows @ shortest - left @ projected).sum(axis=0)
    weights = np.where(lost <= KEPT_FIT * np.square(projected).sum(axis=0), shortest, weights)
    return weights, rows @ weights, int(kept.sum()), np.inf


def _solve_triangle(lower, right):
    """Solve a triangular system; not a number where it is singular."""
    if not np.all(np.diag(lower)):
        return np.full_like(right, np.nan)
    return linalg.solve_triangular(lower, right, lower=True, check_finite=False)


def _solve_sparse(X: Any, root, mean, block, targets, penalty):
    def centred_products(scale):
        """Products of the centred, weighted rows whose columns are divided by the scale."""
        scaled = sparse.csr_array((X.data / scale[X.indices], X.indices, X.indptr), shape=X.shape)
        at_mean = (scaled @ (mean / scale))[:, None]
        products = (scaled @ scaled.T).toarray() - at_mean - at_mean.T + np.square(mean / scale).sum()
        return products * root * root.T

    def weights_of(dual):
        dual = dual * root
        return X.T @ dual - np.outer(mean, dual.sum(axis=0))

    def fitted_by(weights):
        return (X @ weights - mean @ weights) * root

    products = centred_products(np.ones(len(mean)))
    if penalty > 0.0:
        dual, condition = _solve_dual(products, targets, penalty)
        weights = weights_of(dual)
        return weights, fitted_by(weights), len(mean), condition
    scale = np.sqrt(column_statistics(block).variance * block.total_weight)
    if not mean.any():
        scale = np.sqrt(X.power(2).T @ np.square(root[:, 0]))
    scale[scale == 0.0] = np.inf
    values, vectors = linalg.eigh(centred_products(scale))
    vectors = vectors[:, values > SPARSE_RANK * max(1.0, len(values) / 50) * max(values[-1], np.finfo(float).tiny)]
    inner = vectors.T @ products @ vectors
    weights = weights_of(vectors @ linalg.lstsq(inner, vectors.T @ targets, cond=SPARSE_RANK)[0])
    return weights, fitted_by(weights), vectors.shape[1], np.inf


def _solve_dual(products, targets, penalty):
    """Solve ``(products + penalty * I) a = targets``; the root of the condition number is that of the columns."""
    products = products + penalty * np.eye(len(products))
    lower = linalg.cholesky(products, lower=True)
    rcond, _ = linalg.lapack.dpocon(np.asfortranarray(lower), np.abs(products).sum(axis=0).max(), uplo="L")
    dual = linalg.cho_solve((lower, True), targets)
    dual += linalg.cho_solve((lower, True), targets - products @ dual)
    return dual, float(np.sqrt(1.0 / rcond))
