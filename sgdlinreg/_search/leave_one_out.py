"""Leave-one-out errors of all l2 penalties from one fit, by the hat matrix."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from sklearn.metrics import get_scorer

from sgdlinreg._core.arrays import EPS, times
from sgdlinreg._core.blocks import panels, with_weights_in
from sgdlinreg._search.paths import Penalties
from sgdlinreg._search.scores import Predictions, Scoring, score_of_errors
from sgdlinreg._search.triangles import Triangle

DETERMINED = 1e3 * EPS
"""A row of which the columns leave no more is explained by them, whatever its y is."""


def leave_one_out(
    triangle: Triangle, rows: Any, penalties: Penalties, fit_intercept: bool, scoring: Scoring
) -> tuple[np.ndarray, np.ndarray]:
    """Score l2 penalties by predictions of each row from all others.

    Parameters
    ----------
    triangle : Triangle
        Of all rows.
    rows : RowsInMemory or RowsOfSource
    penalties : Penalties
    fit_intercept : bool
    scoring : Scoring
        Of all predictions together, as in RidgeCV.

    Returns
    -------
    mean, std : ndarray of shape (n_candidates,)
        The score, and the standard deviation of what the mean is of: for the mean squared error and R2; else nan.

    Notes
    -----
    With the thin decomposition ``X = U S V'`` of the centred, weighted rows the residual of row i without itself is
    ``r_i / (1 - h_i - s_i / sum(s))``, ``h_i = sum_k U_ik**2 * S_k**2 / (S_k**2 + alpha * sum(s))`` (Rifkin, Lippert,
    "Notes on regularized least squares", 2007). One pass over the rows; what is penalised stays that of all rows, as in
    RidgeCV.
    """
    squares, fourth, variance = np.zeros(1), np.zeros(1), np.zeros(1)
    weight, n_rows, predicted = 0.0, 0, []
    for y, share, residual in _residuals(triangle, rows, penalties, fit_intercept):
        if not scoring.is_of_squares:
            predicted.append(y[:, None] - residual)
            continue
        each = np.square(residual)
        squares = squares + (share @ each.reshape(len(share), -1)).reshape(each.shape[1:])
        fourth = fourth + share @ np.square(each.mean(axis=2))
        variance = variance + share @ np.square(y)
        weight, n_rows = weight + share.sum(), n_rows + len(share)
    if predicted:
        mean = _scores_of_predictions(np.concatenate(predicted) + triangle.centre.high[triangle.n_features :], scoring)
        return mean, np.full(len(mean), np.nan)
    errors, variance = squares / weight, variance / weight
    mean = errors.mean(axis=1)
    std = np.sqrt(np.maximum(fourth / weight - np.square(mean), 0.0))
    unit = {"neg_mean_squared_error": 1.0, "r2": variance.mean()}.get(scoring.name, np.nan)
    with np.errstate(divide="ignore", invalid="ignore"):
        return score_of_errors(scoring.name, errors, variance, n_rows), std / unit


def _scores_of_predictions(predicted: np.ndarray, scoring: Scoring) -> np.ndarray:
    """Score predictions (n_rows, n_candidates, n_targets) of all rows."""
    y, params = scoring.of_rows(np.arange(len(predicted)))
    predicted = predicted[:, :, 0] if y.ndim == 1 else predicted
    scorer: Any = get_scorer(scoring.name) if isinstance(scoring.name, str) else scoring.name
    return np.array([scorer(Predictions(), predicted[:, a], y, **params) for a in range(predicted.shape[1])], float)


def _residuals(
    triangle: Triangle, rows: Any, penalties: Penalties, fit_intercept: bool
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Return, in panels, y about its mean (n, n_targets), weights (n,) and residuals (n, n_candidates, n_targets).

    What is left of a row, ``1 - h_i - s_i / sum(s)``, is the sum of what no column explains and of what is shrunk: with
    no fewer columns than rows the first is 0, and differences would lose the second.
    """
    left, values, space = triangle.decompose()
    relative = penalties.alpha * triangle.total_weight / np.square(values[:, None])
    lost = relative / (1.0 + relative)
    projected = left.T @ (triangle.targets * triangle.y_unit)
    d = triangle.n_features
    matrix = np.zeros((d, len(values)))
    matrix[triangle.active] = space.solve(left)  # so that rows @ matrix are their left singular vectors
    constant, y_mean = triangle.centre.high[:d] @ matrix, triangle.centre.high[d:]
    shrunk = (lost[:, :, None] * projected[:, None, :]).reshape(len(values), -1)
    for block in rows.blocks(np.arange(rows.n_numbers)):
        for part, X, weight in panels(with_weights_in(block, triangle.weight_exponent), copies=False):
            vectors, y, share = times(X, matrix) - constant, block.y[part] - y_mean, weight[:, None]
            residual = (vectors @ shrunk).reshape(len(y), -1, len(y_mean))
            rest = y - vectors @ projected
            np.square(vectors, out=vectors)
            outside = 1.0 - share * vectors.sum(axis=1, keepdims=True) - fit_intercept * share / triangle.total_weight
            within = outside < DETERMINED
            rest[within[:, 0]], outside[within] = 0.0, 0.0
            residual += rest[:, None]
            residual /= (share * (vectors @ lost) + outside)[:, :, None]
            yield y, weight, residual
