"""Scores of candidates by fits, one for each on every fold: for all solvers and losses."""

import warnings
from copy import deepcopy
from functools import partial
from typing import Any

import numpy as np
from joblib import Parallel, delayed
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, FitFailedWarning

from sgdlinreg._core.blocks import Block, mean_over_rows, part_of, pick_rows
from sgdlinreg._core.contract import Model
from sgdlinreg._core.threads import one_thread
from sgdlinreg._edge.parameters import choose_solver, make_solver, objective_of
from sgdlinreg._edge.validation import split_rows
from sgdlinreg._loop.data import InMemory
from sgdlinreg._loop.monitor import Monitor, Validation
from sgdlinreg._loop.training import train
from sgdlinreg._search.folds import Fold, Split
from sgdlinreg._search.paths import Path
from sgdlinreg._search.rows import RowsInMemory
from sgdlinreg._search.scores import Scoring, scores_of_fold
from sgdlinreg._search.together import SharedKernel, Together
from sgdlinreg._solvers.closed_form.double_double import DoubleDouble

MOST_TOGETHER, MOST_COEFFICIENTS = 32, 1 << 21
"""So many candidates are fitted together, fewer if they have more coefficients: each keeps dozens of arrays of them."""


def scores_of_fits(
    estimator: Any, candidates: list[dict[str, Any]], block: Block, splits: list[Split], scoring: Scoring
) -> np.ndarray:
    """Score candidates on every fold, (n_candidates, n_splits); nan where a fit fails.

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
    ConvergenceWarning
        If fits have not converged, with what the first one lacks.

    Raises
    ------
    ValueError
        If all fail.
    """
    one = clone(estimator).set_params(n_jobs=1)
    models = [clone(one).set_params(**candidate) for candidate in candidates]
    done = Parallel(n_jobs=estimator.n_jobs, prefer="threads")(
        delayed(_scores_of_fold)(models, block, split, scoring) for split in splits
    )
    scores = np.column_stack([found for found, _, _ in done])
    failed = [error for _, errors, _ in done for error in errors]
    if len(failed) == scores.size:
        raise ValueError(f"All {len(failed)} fits failed. {failed[0]}") from failed[0]
    if failed:
        message = f"{len(failed)} of {scores.size} fits failed, their scores are nan. The first: {failed[0]}"
        warnings.warn(message, FitFailedWarning, stacklevel=4)
    advice = [text for _, _, texts in done for text in texts]
    if advice:
        message = f"{len(advice)} of {scores.size} fits have not converged. The first: {advice[0]}"
        warnings.warn(message, ConvergenceWarning, stacklevel=4)
    return scores


def _scores_of_fold(models, block, split, scoring) -> tuple[np.ndarray, list[ValueError], list[str]]:
    found: list[Any] = []
    # n_jobs shares out the folds; threads of BLAS would wait for each other
    with one_thread, np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        step = max(1, min(MOST_TOGETHER, MOST_COEFFICIENTS // (block.n_features * block.n_targets)))
        for start in range(0, len(models), step):
            found += _fits(models[start : start + step], block, split.train)
        fitted = np.array([isinstance(one, Model) for one in found])
        scores, fits = np.full(len(found), np.nan), [one for one in found if isinstance(one, Model)]
        if fits:
            path = _path_of(fits, block)
            scores[fitted] = scores_of_fold(Fold(split, None, None), path, RowsInMemory(block), scoring)
    errors = [one for one in found if isinstance(one, ValueError)]
    return scores, errors, [fit.advice[0] for fit in fits if fit.advice]


def _path_of(fits: list[Model], block: Block) -> Path:
    coef = np.stack([fit.coef for fit in fits])
    mean = mean_over_rows(block.y, block.sample_weight)
    centre = np.concatenate([np.zeros(block.n_features), mean])
    return Path(coef[:, :, :-1], DoubleDouble(centre, np.zeros_like(centre)), shift=coef[:, :, -1] - mean)


def _fits(models: list[Any], block: Block, numbers: np.ndarray) -> list[Model | ValueError]:
    """Fit models on some rows; an error instead of a fit that fails."""
    rows, first = pick_rows(block, numbers), models[0]
    names = [choose_solver(model, rows, objective_of(model), False, all_rows=True).name for model in models]
    if set(names) != {"numba"}:  # others want rows in one piece
        rows = part_of(block, numbers)
    validation = None
    if first.early_stopping:
        rows, validation = split_rows(rows, first.validation_fraction, first.random_state)
    solvers = [
        make_solver(model, name, rows, objective_of(model), needs_steps=first.early_stopping)
        for model, name in zip(models, names, strict=True)
    ]
    kernels = [solver.kernel for solver in solvers if not solver.one_pass]
    together, known = Together(kernels[0] if kernels else None), {}

    def fit(solver):
        try:
            if not solver.one_pass:
                automatic = solver.step_sizes.is_automatic
                if automatic not in known:
                    known[automatic] = solver.measure(InMemory(rows)), solver.rng
                state, rng = known[automatic]
                solver = solver.beside(state, SharedKernel(together), deepcopy(rng))
            scores = None if validation is None else Validation([validation], rows, solver.objective.loss)
            monitor = Monitor(first.max_iter, validation=scores, keeps_best=first.early_stopping)
            return train(solver, InMemory(rows), monitor)
        except ValueError as error:
            return error

    return together.run([partial(fit, solver) for solver in solvers])
