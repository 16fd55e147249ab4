"""The phase that keeps rows while they are fewer than columns, and solves the dual problem."""

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from scipy import linalg, sparse

from sgdlinreg._core.arrays import EPS, is_on_device
from sgdlinreg._core.blocks import Block, join_rows, panel_of
from sgdlinreg._core.objective import Objective
from sgdlinreg._core.statistics import centre_panel, column_statistics
from sgdlinreg._solvers.closed_form.double_double import power_of_two_above
from sgdlinreg._solvers.closed_form.factorizations import KEPT_FIT, RANK_SINGULAR
from sgdlinreg._solvers.closed_form.refinement import SMALL
from sgdlinreg._solvers.closed_form.solved import Solved
from sgdlinreg._solvers.closed_form.sum_moments import SumMoments

DENSE_VALUES = 1 << 24
"""CSR rows of up to this many values, zeros counted, are solved as dense ones: their products lose half the digits."""
SPARSE_RANK = 1e-14
"""Eigenvalues of the scaled rows' products below this fraction of the largest count as zero."""


@dataclass(frozen=True)
class KeptRows:
    """The rows so far, while they are fewer than columns; more become moments.

    Attributes
    ----------
    n_features, n_targets, max_rows : int
    may_round : bool
        Whether the first sums of large float32 data may be float32 products: another pass costs nothing to read.
    block : Block or None
    """

    n_features: int
    n_targets: int
    max_rows: int
    may_round: bool = False
    block: Block | None = None
    done: ClassVar[bool] = False

    def add(self, block: Block) -> Any:
        """Take in the rows of a block; return the phase that sums up moments where there are enough rows."""
        n_rows = block.n_rows + (0 if self.block is None else self.block.n_rows)
        if n_rows <= self.max_rows:
            block = block.on_host()
            return replace(self, block=block if self.block is None else join_rows(self.block, block))
        rounds = self.may_round and n_rows * self.n_features > SMALL and not is_on_device(block.X)
        moments = SumMoments.start(self.n_features, self.n_targets, precise=not rounds)
        return (moments if self.block is None else moments.add(self.block)).add(block)

    def next(self, objective: Objective, again: bool) -> Solved:
        """Solve in the dual form; no more passes are needed.

        Costs n_rows**2 * n_features operations, and memory for a dense copy; of CSR rows with more than 16 million
        values, zeros counted, only products with each other are formed.
        """
        block, centres = self.block, objective.fit_intercept
        assert block is not None, "a fit has rows"
        X, y, weight = panel_of(block, slice(None))
        root, total = np.sqrt(weight)[:, None], float(weight.sum())
        y_mean = (weight @ y) / total if centres else np.zeros(y.shape[1])
        targets, penalty = (y - y_mean) * root, objective.l2 * total
        if sparse.issparse(X) and X.shape[0] * X.shape[1] <= DENSE_VALUES:
            X = X.toarray()
        if sparse.issparse(X):
            mean = (weight @ X) / total if centres else np.zeros(X.shape[1])
            weights, fitted, rank, condition = _solve_sparse(X, root, mean, block, targets, penalty)
        else:
            mean = centre_panel(X, weight) if centres else np.zeros(X.shape[1])
            unit = power_of_two_above(np.abs(X).max())  # so that squares stay in range
            rows = X / unit * root
            weights, rank, condition = _solve_dense(rows, targets, np.sqrt(penalty) / unit)
            fitted = rows @ weights
            weights = weights / unit
        coef = np.column_stack([weights.T, y_mean - mean @ weights])
        squares = np.square(targets - fitted).sum(axis=0)
        return Solved(coef, squares, total, mean, block.n_rows, rank, condition, "dual", self)

    def copied(self) -> "KeptRows":
        """Return the phase with arrays of its own, which later blocks may join."""
        block: Any = self.block
        X = block.X
        X = X._replace(data=X.data.copy(), indices=X.indices.copy()) if block.is_sparse else np.array(X)
        weight = None if block.sample_weight is None else block.sample_weight.copy()
        return replace(self, may_round=False, block=Block(X, block.y.copy(), weight))


def _solve_dense(rows, targets, ridge):
    """Return weights, rank and condition number for centred, weighted rows; ``ridge`` is the root of the penalty."""
    n_rows, n_features = rows.shape
    if ridge > 0.0:
        # ridge regression is the solution of least norm of [rows, ridge * I] u = targets
        weights, factor = _shortest(np.hstack([rows, ridge * np.eye(n_rows)]), targets)
        return weights[:n_features], n_features, float(np.linalg.cond(factor))
    scale = np.linalg.norm(rows, axis=0)
    scale[scale == 0.0] = np.inf
    left, singular, right = linalg.svd(rows / scale, full_matrices=False)
    kept = singular > max(RANK_SINGULAR, 4.0 * n_rows) * EPS * singular[0]
    if not kept.any():
        return np.zeros((n_features, targets.shape[1])), 0, np.inf
    left, projected = left[:, kept], left[:, kept].T @ targets
    weights = (right[kept].T @ (projected / singular[kept, None])) / scale[:, None]
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        shortest, _ = _shortest(left.T @ rows, projected)
        lost = np.square(rows @ shortest - left @ projected).sum(axis=0)
    # units that differ by more than the digits there are: least norm in scaled units keeps the fit
    weights = np.where(lost <= KEPT_FIT * np.square(projected).sum(axis=0), shortest, weights)
    return weights, int(kept.sum()), np.inf


def _shortest(rows, targets):
    """Solve ``rows @ u = targets`` of full row rank for the least norm; return u and the triangular factor of the rows.

    Columns are sorted by size before the pivoted QR, which then respects the unit of each (Cox and Higham, "Stability
    of Householder QR factorization for weighted least squares problems", 1998).
    """
    order = np.argsort(-np.abs(rows).max(axis=0), kind="stable")
    basis, factor, pivots = linalg.qr(rows[:, order].T, mode="economic", pivoting=True)
    if not np.all(np.diag(factor)):
        return np.full((rows.shape[1], targets.shape[1]), np.nan), factor
    solution = np.empty((rows.shape[1], targets.shape[1]))
    solution[order] = basis @ linalg.solve_triangular(factor, targets[pivots], trans="T", check_finite=False)
    return solution, factor


def _solve_sparse(X: Any, root, mean, block, targets, penalty):
    """Return weights, fitted values, rank and condition number from the products of the rows with each other."""

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
        values, vectors = linalg.eigh(products)
        values = np.maximum(values, 0.0) + penalty
        weights = weights_of(vectors @ ((vectors.T @ targets) / values[:, None]))
        return weights, fitted_by(weights), len(mean), float(np.sqrt(values[-1] / values[0]))
    scale = np.sqrt(column_statistics(block).variance * block.total_weight)
    if not mean.any():
        scale = np.sqrt(X.power(2).T @ np.square(root[:, 0]))
    scale[scale == 0.0] = np.inf
    values, vectors = linalg.eigh(centred_products(scale))
    vectors = vectors[:, values > SPARSE_RANK * max(1.0, len(values) / 50) * max(values[-1], np.finfo(float).tiny)]
    inner = vectors.T @ products @ vectors
    weights = weights_of(vectors @ linalg.lstsq(inner, vectors.T @ targets, cond=SPARSE_RANK)[0])
    return weights, fitted_by(weights), vectors.shape[1], np.inf
