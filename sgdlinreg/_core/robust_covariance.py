"""Covariance of least-squares coefficients that allows for residuals of uneven variance, or correlated in groups.

H. White, "A heteroskedasticity-consistent covariance matrix estimator and a direct test for heteroskedasticity",
Econometrica 48 (1980); J. G. MacKinnon, H. White, "Some heteroskedasticity-consistent covariance matrix estimators with
improved finite sample properties", Journal of Econometrics 29 (1985); K.-Y. Liang, S. L. Zeger, "Longitudinal data
analysis using generalized linear models", Biometrika 73 (1986).
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from scipy import linalg, sparse

from sgdlinreg._core.blocks import Block, panel_of, with_weights_in
from sgdlinreg._core.standard_errors import Covariance, Inference

LEVERAGE_POWERS = {"HC0": 0.0, "HC1": 0.0, "HC2": 0.5, "HC3": 1.0}
"""Residuals are divided by this power of one minus their leverage."""
ALONE = 1e-10
"""A row whose leverage is this close to 1 has a coefficient of its own, and no residual."""
LEAST_MEAT = 1e-12
"""Directions in which the squares of scores are less than this part of the largest have none."""
PANEL_BYTES = 1 << 22
OTHER_ROWS, OTHER_SQUARES, NOTHING = 0.1, 0.01, 1e-6
"""Differences that show other rows: of scaled second moments; of sums of squares beside those of the fit and of y."""
OTHER = (
    "X, y and sample_weight are not the rows of the fit: {}. Robust standard errors need all of its rows, with their "
    "weights; their order does not matter."
)


class Rows(NamedTuple):
    """Rows of the fit in panels.

    Attributes
    ----------
    inference : Inference
    block : Block
        Its weights in the unit of the inference.
    coef : ndarray of shape (n_targets, n_coef)
        The intercept first, if there is one.
    """

    inference: Inference
    block: Block
    coef: np.ndarray

    @property
    def unit(self) -> np.ndarray:
        """Unit of the residuals, (n_targets,), so that products neither overflow nor vanish."""
        return np.where(self.inference.std > 0.0, self.inference.std, 1.0)

    def panels(self) -> Iterator[tuple[slice, np.ndarray, np.ndarray, np.ndarray]]:
        """Give panels: the slice, ``[1, (X - mean) / scale]`` dense, the weights and the residuals (n, n_targets)."""
        mean, scale = self.inference.mean, self.inference.scale
        shifted = mean is not None
        slopes, constant = self.coef[:, shifted:], 0.0
        if shifted:
            constant = self.coef[:, 0] + slopes @ mean
        step = max(1, PANEL_BYTES // (8 * self.coef.shape[1]))
        for start in range(0, self.block.n_rows, step):
            rows = slice(start, min(start + step, self.block.n_rows))
            X, y, weight = panel_of(self.block, rows)
            X = X.toarray() if sparse.issparse(X) else X
            if shifted:
                X -= mean
            residual = y - constant - X @ slopes.T
            X /= scale
            yield rows, np.column_stack([np.ones(len(X)), X]) if shifted else X, weight, residual


def robust_covariance(
    inference: Inference, block: Block, coef: np.ndarray, cov_type: str, codes: np.ndarray | None = None
) -> Covariance:
    """Compute a robust covariance in two passes over the rows of the fit.

    Parameters
    ----------
    inference : Inference
    block : Block
        The rows of the fit, in any order.
    coef : ndarray of shape (n_targets, n_coef)
        The intercept first, if there is one.
    cov_type : {"HC0", "HC1", "HC2", "HC3", "cluster"}
    codes : ndarray of int of shape (n_rows,) or None
        Groups of the rows, numbered from 0, for "cluster".

    Raises
    ------
    ValueError
        If the rows are not those of the fit, or one minus a leverage is to be divided by and 0.

    Notes
    -----
    The first pass makes the rows orthonormal by the factor of the fit and then by that of what it gave, so that a poor
    factor costs no digits (Yamamoto, Nakatsukasa, Yanagisawa, Fukaya, "Roundoff error analysis of the CholeskyQR2
    algorithm", ETNA 44, 2015). Each costs n_rows * n_coef**2 operations for each target. Memory: a panel of rows and,
    for "cluster", n_groups * n_coef numbers for each target.
    """
    rows = Rows(inference, with_weights_in(block, inference.weight_exponent), coef)
    root = _orthonormal_root(rows)
    n_rows, n_coef, n_groups = block.n_rows, coef.shape[1], None
    if codes is None:
        meat = sum(scores @ scores.mT for _, scores in _scores(rows, root, LEVERAGE_POWERS[cov_type]))
        factor = n_rows / (n_rows - n_coef) if cov_type == "HC1" else 1.0
    else:
        n_groups = int(codes.max()) + 1
        meat = _meat_of_groups(rows, root, codes, n_groups)
        factor = n_groups / (n_groups - 1.0) * (n_rows - 1.0) / (n_rows - n_coef)
    wald = _wald(rows, root, factor * meat)
    root = inference.of_zero(root)
    length = np.linalg.norm(root, axis=0)
    root = root / length
    product = factor * (root.T @ meat @ root)
    std = np.sqrt(np.maximum(np.diagonal(product, axis1=1, axis2=2), 0.0))
    scale = std[:, :, None] * std[:, None, :]
    correlation = np.divide(product, scale, out=np.zeros_like(product), where=scale > 0.0)  # of exact fits all are 0
    length[n_coef - len(inference.scale) :] /= inference.scale
    return Covariance(std * length * rows.unit[:, None], correlation, cov_type, n_groups, wald)


def _orthonormal_root(rows: Rows) -> np.ndarray:
    """Return the root of the inference that makes the rows orthonormal to the last digits."""
    root = rows.inference.root()
    products = np.zeros_like(root)
    for _, Z, weight, _ in rows.panels():
        coordinates = root @ Z.T
        products += (coordinates * weight) @ coordinates.T
    if not np.abs(products - np.eye(len(root))).max() < OTHER_ROWS:
        raise ValueError(OTHER.format("the second moments of X, times sample_weight, are others"))
    return linalg.solve_triangular(np.linalg.cholesky(products), root, lower=True)


def _wald(rows: Rows, root: np.ndarray, meat: np.ndarray) -> np.ndarray:
    """Return Wald's F statistic of each target; in orthonormal coordinates collinear columns cost no digits.

    ``root`` is triangular, so that the coordinates but the first are those of the columns.
    """
    n_slopes = len(rows.inference.scale)
    slopes = slice(len(root) - n_slopes, None)
    meat = meat[:, slopes, slopes]
    if (np.linalg.matrix_rank(meat, rtol=LEAST_MEAT, hermitian=True) < n_slopes).any():
        return np.full(len(meat), np.nan)
    scaled = rows.coef[:, slopes] * rows.inference.scale / rows.unit[:, None]
    moved = linalg.solve_triangular(root[slopes, slopes], scaled.T, trans="T", lower=True).T[:, :, None]
    return (moved.mT @ np.linalg.solve(meat, moved)).ravel() / n_slopes


def _scores(rows: Rows, root: np.ndarray, power: float) -> Iterator[tuple[slice, np.ndarray]]:
    """Give the weighted rows in orthonormal coordinates times their residuals, panel by panel.

    Residuals are in units of ``rows.unit`` and divided by a power of one minus their leverage. Scores are of shape
    (n_targets, n_coef, n).
    """
    squares = np.zeros(len(rows.unit))
    for panel, Z, weight, residual in rows.panels():
        coordinates = root @ Z.T
        factor = weight / rows.unit[:, None] * residual.T
        squares += (factor * residual.T / rows.unit[:, None]).sum(axis=1)
        if power:
            left = 1.0 - weight * np.square(coordinates).sum(axis=0)
            if left.min() < ALONE:
                row = panel.start + int(left.argmin())
                raise ValueError(
                    f"HC2 and HC3 divide by one minus the leverage of each row, and row {row} of positive weight has "
                    "leverage 1: a coefficient of its own. Use cov_type='HC1', or leave that row and its column out."
                )
            factor = factor / left**power
        yield panel, factor[:, None, :] * coordinates
    expected = np.square(rows.inference.std / rows.unit) * rows.inference.df_residual
    allowed = OTHER_SQUARES * expected + NOTHING * np.square(rows.inference.y_norm / rows.unit)
    if not np.all(np.abs(squares - expected) <= allowed):
        raise ValueError(OTHER.format("the sums of squared residuals are others"))


def _meat_of_groups(rows: Rows, root: np.ndarray, codes: np.ndarray, n_groups: int) -> np.ndarray:
    """Return the products of the sums of scores in each group, (n_targets, n_coef, n_coef)."""
    n_targets, n_coef = rows.coef.shape
    sums = np.zeros((n_targets, n_groups, n_coef))
    for panel, scores in _scores(rows, root, 0.0):
        groups, places = np.unique(codes[panel], return_inverse=True)
        members = sparse.csr_array((np.ones(len(places)), (places, np.arange(len(places)))))
        for target in range(n_targets):
            sums[target, groups] += members @ scores[target].T
    return sums.mT @ sums
