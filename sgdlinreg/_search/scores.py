"""Scores of candidates on the rows that a fold tests."""

import warnings
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.metrics import get_scorer

from sgdlinreg._core.arrays import EPS, times
from sgdlinreg._core.blocks import CSR, Block, as_scipy, panels, part_of
from sgdlinreg._search.folds import Fold
from sgdlinreg._search.paths import Path
from sgdlinreg._solvers.closed_form.moments import Moments

OF_SQUARES = ("r2", "neg_mean_squared_error", "neg_root_mean_squared_error")
"""Scores that follow from the squared errors of each target."""
ENOUGH = 1e-10
"""Relative error of mean squared errors from sums above which the rows are read again."""
PREDICTED_BYTES = 1 << 25
"""Size of the predictions that are kept at a time."""


class Scoring(NamedTuple):
    """How candidates are scored.

    Attributes
    ----------
    name : str or callable
        A name of scikit-learn's, or a scorer.
    is_of_squares : bool
        Whether the scores follow from squared errors, weighted as in the fit.
    of_rows : callable(ndarray) -> tuple of ndarray and dict
        Gives y and the further arguments of a scorer for some rows.
    model : callable(coef, intercept) -> estimator
        Makes a fitted estimator for scorers that are no names; they may look at more than predictions.
    """

    name: Any
    is_of_squares: bool
    of_rows: Callable[[np.ndarray], tuple[np.ndarray, dict[str, Any]]]
    model: Callable[[np.ndarray, np.ndarray], Any]


def scores_of_fold(fold: Fold, path: Path, rows: Any, scoring: Scoring) -> np.ndarray:
    """Score candidates on a fold, (n_candidates,).

    Parameters
    ----------
    fold : Fold
    path : Path
    rows : RowsInMemory or RowsOfSource
    scoring : Scoring
    """
    if scoring.is_of_squares:
        return _scores_of_squares(scoring.name, fold, path, rows)
    test = fold.split.test
    y, params = scoring.of_rows(test)
    if not isinstance(scoring.name, str):
        X = part_of(rows.block, test).X
        X = as_scipy(X) if isinstance(X, CSR) else X
        models = map(scoring.model, path.coef, path.intercept)
        return np.array([scoring.name(model, X, y, **params) for model in models], dtype=float)
    scorer, scores = get_scorer(scoring.name), []
    step = max(1, PREDICTED_BYTES // (8 * max(1, y.size)))
    for start in range(0, len(path.coef), step):
        some = path.of(slice(start, start + step))
        predicted = np.concatenate([predictions_of(block, some) for block in rows.blocks(test)], axis=1)
        predicted = predicted[:, :, 0] if y.ndim == 1 else predicted
        scores += [scorer(Predictions(), one, y, **params) for one in predicted]
    return np.array(scores, dtype=float)


def _scores_of_squares(scoring: str, fold: Fold, path: Path, rows: Any) -> np.ndarray:
    """Score candidates by the moments of the tested rows where these have the digits, else by a pass over the rows."""
    if fold.test is None:
        errors, variance, n_rows = errors_of_rows(rows.blocks(fold.split.test), path)
        return score_of_errors(scoring, errors, variance, n_rows)
    errors, sure = errors_of_moments(fold.test, path)
    if not sure.all():
        unsure = path.of(~sure)
        errors[~sure] = errors_of_rows(rows.blocks(fold.split.test), unsure)[0]
    d, n_rows = fold.test.n_features, fold.test.n_rows
    variance = fold.test.products.diagonal()[d:] / fold.test.total_weight * np.square(fold.test.unit[d:])
    return score_of_errors(scoring, errors, variance, n_rows)


def score_of_errors(scoring: str, errors: np.ndarray, variance: np.ndarray, n_rows: int) -> np.ndarray:
    """Return scores (n_candidates,) of mean squared errors (n_candidates, n_targets), the mean over the targets.

    ``variance``, (n_targets,), is that of the tested y; where it is 0, R2 is that of scikit-learn.
    """
    if scoring == "neg_mean_squared_error":
        return -errors.mean(axis=1)
    if scoring == "neg_root_mean_squared_error":
        return -np.sqrt(errors).mean(axis=1)
    if n_rows < 2:
        message = "R^2 score is not well-defined with less than two samples: a fold tests one row. Use another scoring."
        warnings.warn(message, UndefinedMetricWarning, stacklevel=2)
        return np.full(len(errors), np.nan)
    with np.errstate(divide="ignore", invalid="ignore"):
        r2 = np.where(variance > 0.0, 1.0 - errors / variance, np.where(errors == 0.0, 1.0, 0.0))
    return r2.mean(axis=1)


def errors_of_moments(test: Moments, path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Compute mean squared errors from the moments of the tested rows.

    Returns
    -------
    errors : ndarray of shape (n_candidates, n_targets)
    sure : ndarray of shape (n_candidates,)
        Whether they have the digits: they are differences of sums that may be much larger.
    """
    d, (n_candidates, n_targets, _) = test.n_features, path.coef.shape
    products, unit, y_unit = test.products, test.unit[:d], test.unit[d:]
    between = (test.mean.high - path.centre.high) + (test.mean.low - path.centre.low)
    coef = path.coef.reshape(-1, d)
    shift = between[d:] - (coef @ between[:d]).reshape(n_candidates, n_targets)
    scaled = coef * unit
    squares = np.einsum("aj,aj->a", scaled @ products[:d, :d], scaled).reshape(n_candidates, n_targets)
    scaled = scaled.reshape(n_candidates, n_targets, d)
    mixed = np.einsum("atj,jt->at", scaled, products[:d, d:])
    of_y = products.diagonal()[d:]
    weight = test.total_weight
    errors = np.maximum((of_y * y_unit - 2.0 * mixed) * y_unit + squares, 0.0) / weight + shift**2
    size = (np.square(scaled) @ products.diagonal()[:d] + of_y * y_unit**2) / weight
    size_of_shift = np.abs(shift) * (np.abs(path.coef) @ np.abs(between[:d]) + np.abs(between[d:]))
    rounding = 4.0 * (test.rounding * size + EPS * size_of_shift)
    return errors, (rounding <= ENOUGH * errors).all(axis=1)


def errors_of_rows(blocks: Iterable[Block], path: Path) -> tuple[np.ndarray, np.ndarray, int]:
    """Compute mean squared errors by a pass over the tested rows.

    Returns
    -------
    errors : ndarray of shape (n_candidates, n_targets)
    variance : ndarray of shape (n_targets,)
    n_rows : int
    """
    n_candidates, n_targets, d = path.coef.shape
    squares, moments, weight, n_rows = np.zeros((n_candidates, n_targets)), np.zeros((2, n_targets)), 0.0, 0
    matrix, intercept = path.coef.reshape(-1, d).T, path.intercept
    for block in blocks:
        unit = np.ldexp(1.0, block.weight_exponent)
        for rows, X, root in panels(block, copies=False):
            y, share = block.y[rows], root * unit
            residual = (times(X, matrix) + intercept.ravel()).reshape(len(y), n_candidates, n_targets) - y[:, None]
            squares += np.einsum("i,iat->at", share, np.square(residual))
            y = y - path.centre.high[d:]
            moments += share @ y, share @ y**2
            weight, n_rows = weight + share.sum(), n_rows + len(y)
    mean, mean_square = moments / weight
    return squares / weight, np.maximum(mean_square - mean**2, 0.0), n_rows


class Predictions(RegressorMixin, BaseEstimator):
    """What a scorer is given for a model whose predictions are known: it predicts what it is called with."""

    def fit(self, X, y):
        """Return itself."""
        return self

    def predict(self, X):
        """Return X."""
        return X


def predictions_of(block: Block, path: Path) -> np.ndarray:
    """Predict rows by all candidates: (n_candidates, n_rows, n_targets), of X's dtype as `predict` gives them."""
    n_candidates, n_targets, d = path.coef.shape
    out = np.empty((n_candidates, block.n_rows, n_targets), block.dtype)
    for rows, X, _ in panels(block, copies=False):
        predicted = times(X, path.coef.reshape(-1, d).T) + path.intercept.ravel()
        out[:, rows] = predicted.reshape(-1, n_candidates, n_targets).transpose(1, 0, 2)
    return out
