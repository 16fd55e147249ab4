"""Scores of penalties by the closed form: one pass over the rows, and one decomposition a fold."""

import warnings
from collections.abc import Callable
from itertools import chain
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from sgdlinreg._core.blocks import Block
from sgdlinreg._core.objective import Objective
from sgdlinreg._core.statistics import column_statistics
from sgdlinreg._search.folds import Fold, Split, folds_of, is_complement
from sgdlinreg._search.leave_one_out import leave_one_out
from sgdlinreg._search.paths import Path, Penalties, path_of
from sgdlinreg._search.scores import Scoring, scores_of_fold
from sgdlinreg._search.triangles import threads_for, triangle_of_fold
from sgdlinreg._solvers.closed_form.constrained import ENOUGH_GAP
from sgdlinreg._solvers.closed_form.moments import Moments

NOT_CONVERGED = (
    "Coordinate descent has not converged for all penalties: the largest gap is {:.2g}. Columns are nearly dependent. "
    "Leave some out, or leave the smallest alphas out."
)

PenaltiesOf = Callable[[np.ndarray, np.ndarray], Penalties]
"""Makes the candidates from what `extent_of_moments` returns."""


@np.errstate(over="ignore", invalid="ignore", divide="ignore")  # what is not finite is an error or a score of nan
def scores_of_folds(
    rows: Any, splits: list[Split], objective: Objective, penalties_of: PenaltiesOf, scoring: Scoring
) -> np.ndarray:
    """Score candidates on every fold, (n_candidates, n_splits).

    Parameters
    ----------
    rows : RowsInMemory or RowsOfSource
    splits : list of Split
    objective : Objective
        Its penalty does not count.
    penalties_of : callable(slope, variance) -> Penalties
    scoring : Scoring

    Warns
    -----
    ConvergenceWarning
        If coordinate descent ends without the digits.
    """
    folds = folds_of(rows, splits)
    first = next(folds)
    penalties = penalties_of(*_extent(first, rows, objective))
    scores, gap, constrained = [], 0.0, not bool(penalties.are_smooth.all())
    for fold in chain([first], folds):
        triangle = triangle_of_fold(fold, rows, objective.fit_intercept, constrained)
        with threads_for(len(triangle.rows)):
            path = path_of(triangle, penalties)
        gap = max(gap, path.gap)
        scores.append(scores_of_fold(fold, path, rows, scoring))
    if gap > ENOUGH_GAP:
        warnings.warn(NOT_CONVERGED.format(gap), ConvergenceWarning, stacklevel=4)
    return np.column_stack(scores)


@np.errstate(over="ignore", invalid="ignore", divide="ignore")  # what is not finite is an error or a score of nan
def leave_one_out_scores(
    rows: Any, objective: Objective, penalties_of: PenaltiesOf, scoring: Scoring
) -> tuple[np.ndarray, np.ndarray]:
    """Score l2 penalties by predictions of each row from all others: mean and standard deviation, (n_candidates,).

    The parameters are those of `scores_of_folds`.
    """
    whole = _everything(rows)
    penalties = penalties_of(*_extent(whole, rows, objective))
    triangle = triangle_of_fold(whole, rows, objective.fit_intercept, constrained=False)
    return leave_one_out(triangle, rows, penalties, objective.fit_intercept, scoring)


@np.errstate(over="ignore", invalid="ignore", divide="ignore")
def path_of_rows(rows: Any, penalties: Penalties, fit_intercept: bool) -> Path:
    """Return the coefficients of all penalties, fitted on all rows."""
    constrained = not bool(penalties.are_smooth.all())
    return path_of(triangle_of_fold(_everything(rows), rows, fit_intercept, constrained), penalties)


def _everything(rows: Any) -> Fold:
    numbers = np.arange(rows.n_numbers)
    return Fold(Split(numbers, numbers), rows.moments([numbers])[0] if rows.may_sum(numbers) else None, None)


def _extent(fold: Fold, rows: Any, objective: Objective) -> tuple[np.ndarray, np.ndarray]:
    """Return what the largest penalty follows from, of all rows."""
    if fold.train is None:
        return extent_of_block(rows.block, objective)
    everything = fold.train
    if fold.test is not None:
        complete = is_complement(fold.split, rows.n_numbers)
        everything = everything.merge(fold.test) if complete else rows.moments([np.arange(rows.n_numbers)])[0]
    return extent_of_moments(everything, objective.fit_intercept)


def extent_of_moments(moments: Moments, fit_intercept: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return what the largest penalty follows from.

    Returns
    -------
    slope : ndarray of shape (n_targets, n_features)
        By how much the loss falls with each coefficient at the constant model.
    variance : ndarray of shape (n_features,)
        Of the columns, their mean squares without an intercept.
    """
    d, unit = moments.n_features, moments.unit
    slope = moments.products[d:, :d] / moments.total_weight * unit[d:, None] * unit[:d]
    variance = moments.products.diagonal()[:d] / moments.total_weight * np.square(unit[:d])
    if fit_intercept:
        return slope, variance
    mean = moments.mean.high
    return slope + np.outer(mean[d:], mean[:d]), variance + np.square(mean[:d])


def extent_of_block(block: Block, objective: Objective) -> tuple[np.ndarray, np.ndarray]:
    """Return the same by passes over rows, for every loss."""
    constant = np.zeros((block.n_targets, block.n_features + 1))
    constant[:, -1] = objective.constant(block)
    columns = column_statistics(block)
    variance = columns.variance + (0.0 if objective.fit_intercept else np.square(columns.mean))
    return -objective.gradient(constant, block)[:, :-1], variance
