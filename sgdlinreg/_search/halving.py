"""Successive halving: many candidates on few rows, the best of them on more, as in scikit-learn's HalvingGridSearchCV.

K. Jamieson, A. Talwalkar, "Non-stochastic best arm identification and hyperparameter optimization", AISTATS 2016.
"""

from collections.abc import Callable
from math import ceil, floor, log
from typing import Any, NamedTuple

import numpy as np
from sklearn.utils import resample

from sgdlinreg._search.folds import Split

LEAST_ROWS = 2
"""Rows of a fold in the first iteration, at least, as in scikit-learn for regressors."""


class Iterations(NamedTuple):
    """What the iterations have found, all of them one after the other.

    Attributes
    ----------
    candidates : list of dict
        Those of the first iteration, those of the second and so on.
    scores : ndarray of shape (n, n_splits)
    iteration, n_resources : ndarray of shape (n,)
        Number of the iteration of each, and the rows that it was scored with.
    """

    candidates: list[dict[str, Any]]
    scores: np.ndarray
    iteration: np.ndarray
    n_resources: np.ndarray


def halve(
    score: Callable[[list[dict[str, Any]], list[Split]], np.ndarray],
    candidates: list[dict[str, Any]],
    splits: list[Split],
    n_rows: int,
    factor: float,
    min_resources: int | str,
    random_state: Any,
) -> Iterations:
    """Score candidates on parts of the rows, of which the best are scored on ``factor`` times as many.

    Parameters
    ----------
    score : callable(candidates, splits) -> ndarray of shape (n_candidates, n_splits)
    candidates : list of dict
    splits : list of Split
    n_rows : int
    factor : float
        Above 1: one of so many candidates is left after an iteration.
    min_resources : int, "exhaust" or "smallest"
        Rows of the first iteration.
    random_state : Any
        Draws the rows.

    Raises
    ------
    ValueError
        If there are fewer rows than asked for.
    """
    least = _rows_of_the_first(len(candidates), len(splits), n_rows, factor, min_resources)
    n_iterations = 1 + min(_floor_log(n_rows // least, factor), _floor_log(len(candidates), factor))
    found: list[tuple[list[dict[str, Any]], np.ndarray, int]] = []
    for iteration in range(n_iterations):
        n_resources = min(int(factor**iteration * least), n_rows)
        scores = score(candidates, [_part(split, n_resources / n_rows, random_state) for split in splits])
        found.append((candidates, scores, n_resources))
        mean = np.nan_to_num(scores.mean(axis=1), nan=-np.inf)
        best = np.argsort(mean, kind="stable")[-ceil(len(candidates) / factor) :]
        candidates = [candidates[number] for number in best]
    counts = [len(some) for some, _, _ in found]
    return Iterations(
        [candidate for some, _, _ in found for candidate in some],
        np.concatenate([scores for _, scores, _ in found]),
        np.repeat(np.arange(n_iterations), counts),
        np.repeat([n_resources for _, _, n_resources in found], counts),
    )


def _rows_of_the_first(n_candidates, n_splits, n_rows, factor, min_resources) -> int:
    smallest = LEAST_ROWS * n_splits
    if min_resources == "exhaust":  # the last iteration takes as many rows as there are
        return max(smallest, int(n_rows // factor ** _floor_log(n_candidates, factor)))
    least = smallest if min_resources == "smallest" else int(min_resources)
    if least > n_rows:
        raise ValueError(f"min_resources should be at most the number of rows, {n_rows}, got {min_resources}.")
    return least


def _floor_log(value: float, base: float) -> int:
    return max(0, floor(log(value, base)))


def _part(split: Split, fraction: float, random_state: Any) -> Split:
    if fraction >= 1.0:
        return split
    parts = [
        resample(rows, replace=False, random_state=random_state, n_samples=max(1, int(fraction * len(rows))))
        for rows in split
    ]
    return Split(*map(np.asarray, parts))
