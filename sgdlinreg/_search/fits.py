"""Scores of candidates by fits, one for each on every fold: for all solvers and losses."""

import warnings
from itertools import groupby
from typing import Any

import numpy as np
from joblib import Parallel, delayed
from sklearn.base import clone
from sklearn.exceptions import FitFailedWarning
from sklearn.metrics import get_scorer

from sgdlinreg._core.blocks import CSR, Block, as_scipy, part_of
from sgdlinreg._search.folds import Split
from sgdlinreg._search.scores import Scoring


def scores_of_fits(
    estimator: Any, candidates: list[dict[str, Any]], block: Block, splits: list[Split], scoring: Scoring
) -> np.ndarray:
    """Score candidates on every fold, (n_candidates, n_splits); nan where a fit fails.

    Candidates that differ in alpha alone are fitted from the largest on, each from the solution of the one before
    where a fit ends at the optimum wherever it starts.

    Parameters
    ----------
    estimator : MiniBatchSGDRegressor
        With the parameters that all candidates have. Its n_jobs is the number of threads, which share out the folds.
    candidates : list of dict
    block : Block
    splits : list of Split
    scoring : Scoring

    Warns
    -----
    FitFailedWarning
        If fits fail, with the reason of the first.

    Raises
    ------
    ValueError
        If all fail.
    """
    one = clone(estimator).set_params(n_jobs=1)
    done = Parallel(n_jobs=estimator.n_jobs, prefer="threads")(
        delayed(_scores_of_fold)(one, candidates, block, split, scoring) for split in splits
    )
    scores = np.column_stack([found for found, _ in done])
    failed = [error for _, errors in done for error in errors]
    if len(failed) == scores.size:
        raise ValueError(f"All {len(failed)} fits failed. {failed[0]}") from failed[0]
    if failed:
        message = f"{len(failed)} of {scores.size} fits failed, their scores are nan. The first: {failed[0]}"
        warnings.warn(message, FitFailedWarning, stacklevel=4)
    return scores


def _chains(candidates: list[dict[str, Any]]) -> list[list[int]]:
    """Return the numbers of candidates that differ in alpha alone, those of the largest first."""

    def others(number):
        return repr({**candidates[number], "alpha": None})

    numbers = sorted(range(len(candidates)), key=lambda number: (others(number), -candidates[number]["alpha"]))
    return [list(chain) for _, chain in groupby(numbers, key=others)]


def _scores_of_fold(estimator, candidates, block, split, scoring) -> tuple[np.ndarray, list[ValueError]]:
    train, test = part_of(block, split.train), part_of(block, split.test)
    X_train, X_test = (as_scipy(part.X) if isinstance(part.X, CSR) else part.X for part in (train, test))
    (y, _), (y_test, params) = map(scoring.of_rows, split)
    scorer: Any = get_scorer(scoring.name) if isinstance(scoring.name, str) else scoring.name
    scores, errors = np.full(len(candidates), np.nan), []
    for chain in _chains(candidates):
        start: dict[str, Any] = {}
        for number in chain:
            model = clone(estimator).set_params(**candidates[number])
            try:
                model.fit(X_train, y, train.sample_weight, **start)
                scores[number] = scorer(model, X_test, y_test, **params)
            except ValueError as error:
                errors.append(error)
                continue
            if _ends_at_the_optimum(model):
                start = {"coef_init": model.coef_, "intercept_init": model.intercept_ if model.fit_intercept else None}
    return scores, errors


def _ends_at_the_optimum(model: Any) -> bool:
    """Return whether a fitted model is the optimum wherever it started, and fits like it have a use for a start."""
    steps_alone = model.eta0 != "auto" or model.tol is None or model.early_stopping
    return not steps_alone and model.solver_ != "normal_equation"
