"""The closed form: the normal equations of centred, column-scaled moments."""

import os
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy import linalg, optimize, sparse

from sgdlinreg._blocks import CSR, Block, as_scipy, panels
from sgdlinreg._objective import Objective
from sgdlinreg._solvers.base import Fitted, Options
from sgdlinreg._statistics import centre_panel, shift_complete

MIN_RCOND = 1e-10
"""Below this reciprocal condition number of the scaled moments the eigenvalues decide the rank."""
RANK_EIGENVALUE = 1e-14
"""Eigenvalues of the scaled moments below this share of the largest (times the number of features where that is more
than 50) count as zero: in moments they are rounding."""

KEPT_FIT = 1e-9
"""Share of the explained sum of squares that the least norm in the data's units may cost."""


@dataclass(frozen=True)
class Moments:
    """Second moments of [X, y] about their means, of all rows so far.

    ``products`` is (n_features + n_targets, n_features + n_targets) float64, the sums of weighted products of
    deviations from ``mean``.
    """

    n_features: int
    n_rows: int
    total_weight: float
    mean: np.ndarray
    products: np.ndarray

    def merge(self, total_weight, mean, products, n_rows) -> "Moments":
        """Join the moments of other rows (Chan, Golub, LeVeque 1983)."""
        total = self.total_weight + total_weight
        delta = mean - self.mean
        between = np.outer(delta, delta) * (self.total_weight * total_weight / total)
        return Moments(
            self.n_features,
            self.n_rows + n_rows,
            total,
            self.mean + delta * (total_weight / total),
            self.products + products + between,
        )


class NormalEquation:
    """Least squares, with or without an l2 penalty, from moments that are merged block by block.

    Parameters
    ----------
    objective : Objective
    options : Options

    Notes
    -----
    Cost: n_rows * n_features**2 flops in one pass, n_features**3 / 3 for the Cholesky factor and one panel of memory
    beside the moments. Moments are centred on every panel's own means, so offsets cost no digits, and scaled to unit
    diagonal before they are factorised, so units decide nothing. Where the factor is poor, the eigenvalues of the
    scaled moments decide the rank and the solution of least norm in the units of the data is returned, as
    LinearRegression and ``numpy.linalg.lstsq`` do; in scaled units where the data's differ by more than there are
    digits.
    """

    losses: ClassVar[frozenset[str]] = frozenset({"squared_error"})
    devices: ClassVar[bool] = False
    n_passes: ClassVar[int | None] = 1

    def __init__(self, objective: Objective, options: Options):
        self.objective = objective
        self.options = options
        self._solved: tuple[Moments, Fitted] | None = None

    def init(self, n_features, n_targets, coef):
        """No rows yet. There is nothing to start from in a closed form, so ``coef`` is not used."""
        size = n_features + n_targets
        needed, there = 4 * 8 * size**2, _memory_bytes()
        if needed > there:
            raise ValueError(
                f"solver='normal_equation' needs about {needed / 2**30:.1f} GiB for the moments of {n_features} "
                f"features, and this machine has {there / 2**30:.1f} GiB. Use solver='numba'."
            )
        return Moments(n_features, 0, 0.0, np.zeros(size), np.zeros((size, size)))

    def prepare(self, state, block, rng, stream, again=False):
        """Blocks are used as they are."""
        return state, block

    def update(self, state, block: Block, rng):
        """Add the moments of a block."""
        if isinstance(block.X, CSR):
            return state.merge(*_sparse_moments(block.X, block), block.n_rows)
        for rows, X, weight in panels(block):
            panel = np.column_stack([X, block.y[rows]])
            total = weight.sum()
            mean = centre_panel(panel, weight)
            panel *= np.sqrt(weight)[:, None]
            state = state.merge(total, mean, panel.T @ panel, len(panel))
        return state

    def losses_of(self, state, block):
        """Objective of each target at the solution."""
        return self.objective.value(self.fitted(state).coef, block)

    def compares_models(self, state):
        """There is one model."""
        return False

    def models(self, state):
        """There is no path to the solution."""
        return []

    def slow_down(self, state, targets):
        """There are no steps."""
        return state, np.zeros_like(targets)

    def finish(self, state):
        """Moments are all there is."""
        return state

    def fitted(self, state):
        """Solve the normal equations."""
        if self._solved is None or self._solved[0] is not state:
            self._solved = state, self._solve(state)
        return self._solved[1]

    def _solve(self, state: Moments) -> Fitted:
        d = state.n_features
        products = state.products
        mean = state.mean
        if not self.objective.fit_intercept:
            products = products + state.total_weight * np.outer(mean, mean)
        gram = products[:d, :d].copy()
        gram[np.diag_indices(d)] += self.objective.l2 * state.total_weight
        scale = np.sqrt(np.diag(gram))
        rounding = 16 * np.finfo(float).eps * np.abs(mean[:d]) * np.sqrt(state.total_weight)
        constant = scale <= (rounding if self.objective.fit_intercept else 0.0)
        scale[constant] = 1.0
        gram /= scale[:, None] * scale
        gram[constant] = gram[:, constant] = 0.0
        right = products[:d, d:] / scale[:, None]
        right[constant] = 0.0

        solve = solve_positive if self.objective.positive else solve_scaled
        weights, rank, condition = solve(gram, right, scale)
        coef = np.zeros((products.shape[0] - d, d + 1))
        coef[:, :d] = weights.T
        if self.objective.fit_intercept:
            coef[:, d] = mean[d:] - coef[:, :d] @ mean[:d]
        summary = {
            "t_": 2,
            "batch_size_": state.n_rows,
            "step_size_": np.nan,
            "rank_": rank,
            "condition_number_": condition,
        }
        return Fitted(coef, mean[:d] if self.objective.fit_intercept else None, summary)


def _memory_bytes() -> float:
    """Physical memory; inf where the system does not tell."""
    try:
        return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    except (AttributeError, ValueError, OSError):
        return np.inf


def _sparse_moments(csr: CSR, block: Block):
    """Total weight, mean and products about the mean of [X, y]; X stays sparse, the products are dense.

    Columns without zeros are shifted first: an offset would cost digits.
    """
    X = as_scipy(csr).astype(np.float64, copy=True)
    d = block.n_features
    _, shift = shift_complete(X)
    weight = np.ones(block.n_rows) if block.sample_weight is None else block.sample_weight
    total = weight.sum()
    y_mean = (weight @ block.y) / total
    y = block.y - y_mean
    x_mean = (weight @ X) / total
    weighted = sparse.diags_array(weight) @ X
    products = np.empty((d + y.shape[1], d + y.shape[1]))
    products[:d, :d] = (X.T @ weighted).toarray() - total * np.outer(x_mean, x_mean)
    products[:d, d:] = weighted.T @ y
    products[d:, :d] = products[:d, d:].T
    products[d:, d:] = (y * weight[:, None]).T @ y
    return total, np.concatenate([shift + x_mean, y_mean]), products


def solve_scaled(gram: np.ndarray, right: np.ndarray, scale: np.ndarray) -> tuple[np.ndarray, int, float]:
    """Solve normal equations of unit diagonal.

    Parameters
    ----------
    gram : ndarray of shape (n_features, n_features)
        Scaled moments; rows and columns of constant features are zero.
    right : ndarray of shape (n_features, n_targets)
        Scaled products with y.
    scale : ndarray of shape (n_features,)
        What columns were divided by; the solution is in the original units.

    Returns
    -------
    weights : ndarray of shape (n_features, n_targets)
    rank : int
    condition : float
        Condition number of the scaled columns, the root of that of the moments; inf if they are dependent.
    """
    n_features = len(gram)
    factor, failed = linalg.lapack.dpotrf(gram, lower=True, clean=False)
    if not failed:
        rcond, _ = linalg.lapack.dpocon(factor, np.abs(gram).sum(axis=0).max(), uplo="L")
        if rcond > MIN_RCOND:
            weights = linalg.cho_solve((factor, True), right, check_finite=False)
            # one step of refinement in working precision: it costs next to nothing
            weights += linalg.cho_solve((factor, True), right - gram @ weights, check_finite=False)
            return weights / scale[:, None], n_features, float(np.sqrt(1.0 / rcond))

    values, vectors = linalg.eigh(gram)
    largest = values[-1]
    kept = values > RANK_EIGENVALUE * max(1.0, n_features / 50) * largest
    if largest <= 0.0:
        kept[:] = False
    rank = int(kept.sum())
    basis = vectors[:, kept]
    weights = basis @ ((basis.T @ right) / values[kept, None]) / scale[:, None]
    if rank < n_features:
        null = vectors[:, ~kept] / scale[:, None]
        # scale the columns first: units may differ by many orders of magnitude
        null, _ = linalg.qr(null / np.linalg.norm(null, axis=0), mode="economic")
        shortest = weights - null @ (null.T @ weights)
        # units that differ by more than the digits there are: least norm in scaled units keeps the fit
        exact, moved = (_explained(gram, right, scale[:, None] * one) for one in (weights, shortest))
        weights = np.where(moved >= exact - KEPT_FIT * np.abs(exact), shortest, weights)
        return weights, rank, np.inf
    return weights, rank, float(np.sqrt(largest / values[0]))


def _explained(gram, right, scaled):
    """Give what scaled weights take off the residual sum of squares, (n_targets,)."""
    return 2.0 * (right * scaled).sum(axis=0) - (scaled * (gram @ scaled)).sum(axis=0)


def solve_positive(gram: np.ndarray, right: np.ndarray, scale: np.ndarray) -> tuple[np.ndarray, int, float]:
    """Solve the least-squares problem of `solve_scaled` under weights >= 0, by NNLS on a square root of the moments.

    Parameters and returns are those of `solve_scaled`; rank and condition are of the moments.
    """
    values, vectors = linalg.eigh(gram)
    kept = values > RANK_EIGENVALUE * max(1.0, len(gram) / 50) * max(values[-1], np.finfo(float).tiny)
    root = np.sqrt(values[kept])
    rows = root[:, None] * vectors[:, kept].T
    targets = (vectors[:, kept].T @ right) / root[:, None]
    weights = np.column_stack([optimize.nnls(rows, target)[0] for target in targets.T]) if kept.any() else 0.0 * right
    full = bool(kept.all())
    return weights / scale[:, None], int(kept.sum()), float(np.sqrt(values[-1] / values[0])) if full else np.inf
