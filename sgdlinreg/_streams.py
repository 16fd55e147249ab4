"""Fits, scores and predictions over sources: blocks of rows that need not fit into memory together."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import reduce
from typing import Any, Self

import numpy as np
from sklearn.utils.validation import check_is_fitted

from sgdlinreg._core.blocks import Block
from sgdlinreg._core.explained import Explained
from sgdlinreg._core.typing import BlockLike, Floats
from sgdlinreg._edge.attributes import forget, keep, model_with_intercept, warn
from sgdlinreg._edge.callbacks import Tasks
from sgdlinreg._edge.going_on import check_model
from sgdlinreg._edge.out_of_memory import ExplainedOutOfMemory
from sgdlinreg._edge.parameters import check_parameters, choose_solver, make_solver, objective_of, validated
from sgdlinreg._edge.validation import all_or_nothing, check_rows, named
from sgdlinreg._loop.data import SameRows, Streamed
from sgdlinreg._loop.monitor import Monitor, Validation
from sgdlinreg._loop.training import train
from sgdlinreg.sources.iterable import as_source
from sgdlinreg.sources.source import Source


class StreamMixin:
    """What `MiniBatchSGDRegressor` does with sources."""

    @validated
    def fit_source(self, source: Iterable[BlockLike], source_val: Iterable[BlockLike] | None = None) -> Self:
        """Fit the model from scratch on blocks of rows, which may together be larger than memory.

        Parameters
        ----------
        source : source of `sgdlinreg.sources`, or iterable of tuples
            Source of files, memory maps, queries or a DataLoader, made by `from_files`, `from_arrays`, `from_sql` or
            `from_loader`; or any iterable of ``(X, y)`` or ``(X, y, sample_weight)`` as `fit` accepts them, with the
            same rows in every pass. SGD passes over it up to max_iter + 1 times, so it must be a list or an object with
            ``__iter__``, and not a generator. The closed form takes one pass, or two if the first is not accurate
            enough.
        source_val : source or iterable of tuples, default=None
            Validation data, which are read and scored after each pass. early_stopping=True requires them.

        Returns
        -------
        self : MiniBatchSGDRegressor
            The fitted estimator.

        Raises
        ------
        ValueError
            If a block is invalid, there are no blocks, a source gives its blocks only once and the solver needs them
            again, the two sources have different columns, early_stopping=True has no source_val, or the steps diverge.
            The estimator is then as it was before.

        Warns
        -----
        ConvergenceWarning, LinAlgWarning
            As in `fit`.

        Notes
        -----
        With SGD a first pass measures the rows and draws the sample. Epochs of steps and passes of full gradients
        follow, as in `fit`. Rows are shuffled inside their block, and the order of the blocks is that of the source.
        Small blocks of arrays or CSR are joined to blocks of 16 MiB. Each batch belongs to one block, so blocks should
        be much larger than a batch. Full gradients do not depend on how the rows are split into blocks. Up to three
        blocks are in memory at a time, or four for files, because a thread reads ahead. The targets of validation data
        stay in memory.
        """
        estimator: Any = self
        tasks = Tasks(self)
        with all_or_nothing(self), ExplainedOutOfMemory(source, estimator.device) as explained:
            check_parameters(self)
            if estimator.early_stopping and source_val is None:
                raise ValueError("early_stopping=True with fit_source needs validation data: give source_val.")
            source, source_val = as_source(source), None if source_val is None else as_source(source_val)
            X, y, sample_weight = source.first()
            explained.X = X
            with named(source.where):
                first = check_rows(self, X, y, sample_weight, reset=True)
            if source.feature_names is not None:
                estimator.feature_names_in_ = np.array(source.feature_names, dtype=object)
            objective = objective_of(self)
            choice = choose_solver(self, first, objective, source_val is not None)
            solver = make_solver(self, choice.name, first, objective, needs_steps=source_val is not None)
            _check_passes(source, solver.one_pass, choice.name)
            validation = None
            if source_val is not None:
                _check_passes(source_val, False, choice.name)
                rows = SameRows(lambda: blocks_of(self, source_val, first.n_targets, "the validation data: "))
                validation = Validation(rows, first, objective.loss)
            blocks = SameRows(lambda: blocks_of(self, source, first.n_targets))
            forget(self)
            watch, name = tasks.watch(choice, first, X), choice.name if estimator.verbose else None
            best = estimator.early_stopping
            monitor = Monitor(estimator.max_iter, name, validation, keeps_best=best, watch=watch)
            model = train(solver, Streamed(blocks, first, source.once), monitor)
            keep(self, model, monitor, choice, first, X)
            estimator.n_samples_seen_ = blocks.n_rows
            warn(model, validation)
            tasks.end()
        return self

    def score_source(self, source: Iterable[BlockLike]) -> float:
        """Return R2 of the predictions over all blocks, as a mean over the targets.

        Parameters
        ----------
        source : source of `sgdlinreg.sources`, or iterable of tuples
            As in `fit_source`. It is read once, so it may be a generator.

        Returns
        -------
        score : float

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        ValueError
            If a block is invalid, there is none, or its columns or targets are not those of the fit.
        """
        check_is_fitted(self)
        check_model(self)
        coef = model_with_intercept(self)
        explained = reduce(Explained.add, blocks_of(self, as_source(source), len(coef)), Explained(coef))
        if explained.targets is None:
            raise ValueError("The source gave no blocks. It should give at least one (X, y).")
        return explained.score

    def predict_source(self, source: Iterable[BlockLike]) -> Iterator[Floats]:
        """Predict block by block.

        Parameters
        ----------
        source : source of `sgdlinreg.sources`, or iterable of tuples
            As in `fit_source`; targets are ignored and may be None. It is read once.

        Returns
        -------
        predictions : iterator of ndarray of shape (n_rows,) or (n_rows, n_targets)
            Predictions for the rows of each block, as `predict` gives them, in the order of the source.
            `sgdlinreg.sources.write_parquet` writes them to a file.

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        ValueError
            If a block is invalid, or its columns are not those of the fit.
        """
        check_is_fitted(self)
        source = as_source(source)
        _check_names(self, source)
        return self._predictions(source)

    def _predictions(self, source: Source) -> Iterator[Floats]:
        estimator: Any = self
        for X, _, _ in source:
            with named(source.where), _unnamed():
                yield estimator.predict(X)


def _check_passes(source: Source, one_pass: bool, name: str) -> None:
    if source.once and not one_pass:
        raise ValueError(
            f"solver={name!r} passes over the source more than once, but it is an iterator, which can be passed over "
            "once. Give a list or an object with __iter__, or use partial_fit."
        )


def _check_names(estimator: Any, source: Source) -> None:
    """Raise an error where a source names other columns than the fit had, or in another order."""
    names = getattr(estimator, "feature_names_in_", None)
    if names is not None and source.feature_names is not None and list(names) != list(source.feature_names):
        raise ValueError(
            f"The source has the columns {list(source.feature_names)}, but the fit had {list(names)}. Give the same "
            "features, in the same order."
        )


def blocks_of(estimator: Any, source: Source, n_targets: int, name: str = "") -> Iterator[Block]:
    """Check the blocks of a source, one after the other.

    Parameters
    ----------
    estimator : MiniBatchSGDRegressor
        The estimator, whose features and targets they should have.
    source : Source
        The source.
    n_targets : int
        Targets of its first block.
    name : str
        What errors call the source.

    Yields
    ------
    block : Block
        Its rows.

    Raises
    ------
    ValueError
        If a block is invalid, or has other columns or targets.
    """
    _check_names(estimator, source)
    for X, y, sample_weight in source:
        with named(f"{name}{source.where}"), _unnamed():
            block = check_rows(estimator, X, y, sample_weight, reset=False, finite=not source.is_finite)
        if block.n_targets != n_targets:
            raise ValueError(f"{name}{source.where} has {block.n_targets} targets, the first one {n_targets}.")
        yield block


@contextmanager
def _unnamed() -> Iterator[None]:
    """Return a context in which arrays need no names of columns: their source has them."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "X does not have valid feature names")
        yield
