"""The one loop: epochs x blocks, divergence, history."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any

import numpy as np

from sgdlinreg._arrays import all_finite
from sgdlinreg._blocks import Block, join_rows, mean_over_rows, sample_rows
from sgdlinreg._conditioning import GAP_SHARE
from sgdlinreg._divergence import Divergence, check_step, diverged, overflowed
from sgdlinreg._inference import Inference
from sgdlinreg._objective import Objective
from sgdlinreg._solvers.base import Fitted, IterativeSolver, Solver, Visit
from sgdlinreg._stopping import PROBE_ROWS, Limits, Stopping, Validation

SAMPLE_OF_BLOCK = 256
"""Rows of each block of a source that are kept to compare models on."""
WORSE = 1.01
"""A model is told to be worse than the constant one from here on: data without signal give a little above 1."""
SHRINKINGS = 10
NOTHING_RANDOM: Any = None
"""The closed form's random generator: seeding one would take a tenth of a small fit."""


@dataclass
class TrainingResult:
    """What `train` found.

    Attributes
    ----------
    state : Any
        The solver's.
    coef : ndarray of shape (n_targets, n_features + 1)
        Of each target when it stopped, the intercept last.
    column_means : ndarray or None
    summary : dict
        Fitted attributes that the solver gives.
    loss_curve : list of float
        Objective of each epoch, mean over the targets.
    validation_scores : list of float or None
        R2 on the validation data after each epoch, mean over the targets; None without such data.
    converged : bool
        Whether the stopping rule was met.
    worse_than_constant : bool
        Whether the model is worse than the constant one.
    inference : Inference or str
        What standard errors follow from, or why there are none.
    warning : str or None
        What else the user should know.
    """

    state: Any
    coef: np.ndarray
    column_means: np.ndarray | None
    summary: dict
    loss_curve: list[float] = field(default_factory=list)
    validation_scores: list[float] | None = None
    converged: bool = True
    worse_than_constant: bool = False
    inference: Inference | str = ""
    warning: str | None = None

    @classmethod
    def of(cls, state: Any, fitted: Fitted, **rest) -> "TrainingResult":
        """Make a result of what a solver gives."""
        about = {"inference": fitted.inference, "warning": fitted.warning}
        return cls(state, fitted.coef, fitted.column_means, fitted.summary, **(about | rest))


class BlockInMemory:
    """All rows in one block: prepared once.

    ``reference`` are the rows that models are judged by, ``once`` says whether they can be read only once.
    """

    once = False

    def __init__(self, block: Block):
        self.reference = block
        self._ready: Any = None

    def run_pass(self, solver: Solver, state: Any, rng: np.random.Generator) -> tuple[Any, np.ndarray]:
        """Pass over all rows; gives the state and, of an epoch, the objective of each target in it."""
        if self._ready is None:
            state, self._ready = solver.prepare(state, self.reference, rng, Visit.ALL)
        state = solver.update(state, self._ready, rng)
        return state, np.zeros(0) if solver.n_passes else solver.losses_of(state, self.reference)


class BlocksOfSource:
    """Blocks that are read again in every pass; a sample of the first pass is the reference."""

    def __init__(self, blocks: Callable[[], Iterator[Block]], rng: np.random.Generator, once: bool = False):
        self.blocks, self.rng, self.once = blocks, rng, once
        self.n_rows: int | None = None
        self._samples: list[Block] = []

    @cached_property
    def reference(self) -> Block:
        """Some rows of every block; known after the first pass."""
        return join_rows(self._samples)

    def run_pass(self, solver, state, rng):
        """Pass over all rows; gives the state and, of an epoch, the objective of each target in it."""
        again = self.n_rows is not None
        n_rows, losses = 0, 0.0
        visit = Visit.AGAIN if again else Visit.FIRST
        for block in self.blocks():
            block = solver.place(block, visit)
            state, ready = solver.prepare(state, block, rng, visit)
            state = solver.update(state, ready, rng)
            if not solver.n_passes:
                losses = losses + block.n_rows * solver.losses_of(state, block)
                if not again:
                    self._samples.append(sample_rows(block, SAMPLE_OF_BLOCK, self.rng))
            n_rows += block.n_rows
        if self.n_rows not in (None, n_rows):
            raise ValueError(
                f"The source gave {self.n_rows} rows in the first pass over it and {n_rows} in a later one. It should "
                "give the same rows in every pass: a list, or an object whose __iter__ starts again."
            )
        self.n_rows = n_rows
        return state, losses / n_rows


def solve(
    solver: Solver,
    data: BlockInMemory | BlocksOfSource,
    shape: tuple[int, int],
    report: Callable[[int, float], None],
) -> TrainingResult:
    """Fit data in closed form: as many passes as the solver wants, and can get; nothing is random.

    Parameters
    ----------
    solver : Solver
        With n_passes = 1.
    data : BlockInMemory or BlocksOfSource
    shape : tuple
        n_targets and n_features.
    report : callable(epoch, loss)

    Raises
    ------
    ValueError
        If the result is not finite.
    """
    n_targets, n_features = shape
    with np.errstate(over="ignore", invalid="ignore"):
        state = solver.init(n_features, n_targets, None)
        again = True
        while again:
            state, _ = data.run_pass(solver, state, NOTHING_RANDOM)
            state, again = solver.solve(state)
            again = again and not data.once
        fitted = solver.fitted(state)
        losses = solver.losses_of(state, None)
    if not (all_finite(losses) and all_finite(fitted.coef)):
        raise overflowed("the objective is not finite")
    loss = float(losses.mean())
    report(1, loss)
    return TrainingResult.of(solver.finish(state), fitted, loss_curve=[loss])


def train(
    solver: IterativeSolver,
    data: BlockInMemory | BlocksOfSource,
    start: np.ndarray,
    limits: Limits,
    rng: np.random.Generator,
    report: Callable[[int, float], None],
    validation: Validation | None = None,
    start_is_given: bool = False,
) -> TrainingResult:
    """Fit data, in as many passes as it takes.

    Parameters
    ----------
    solver : Solver
    data : BlockInMemory or BlocksOfSource
    start : ndarray of shape (n_targets, n_features + 1)
        Coefficients to start from.
    limits : Limits
    rng : numpy.random.Generator
    report : callable(epoch, loss)
        Called after every epoch.
    validation : Validation or None
        Needed for early stopping.
    start_is_given : bool
        Whether the start is the user's; if not, it is zeros and automatic steps may choose a better intercept.

    Raises
    ------
    ValueError
        If the fit diverges: a constant step is so long that it must, which is told before the first epoch; the
        objective is not finite; or it is after the first epoch above both that of the constant model and that of the
        start.
    """
    n_targets, n_features = start.shape[0], start.shape[1] - 1
    state = solver.init(n_features, n_targets, start if start_is_given else None)
    stopped = np.zeros(n_targets, dtype=bool)
    coef = np.zeros_like(start)
    curve: list[float] = []
    in_memory = isinstance(data, BlockInMemory)
    all_compared = in_memory and data.reference.n_rows <= PROBE_ROWS  # then models are compared on all rows
    sampling = rng if all_compared else rng.spawn(1)[0]
    if in_memory:
        check_step(solver, data.reference, rng)
    sparse_squares = in_memory and data.reference.is_sparse and solver.objective.is_least_squares
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):  # a diverging fit is told below, in one error
        for epoch in range(1, limits.max_iter + 1):
            state, losses = data.run_pass(solver, state, rng)
            if epoch == 1:
                rising = Divergence(solver, data.reference, start, rng)
                stopping = Stopping(limits, data.reference, solver.objective, rising.constant_loss, sampling)
            # the model is made where it is wanted only: of tiny data it takes as long as steps
            model = partial(_coef_of, solver, state)
            rising.check(epoch, losses, model)
            curve.append(float(np.add.reduce(losses)) / n_targets)
            report(epoch, curve[-1])
            scores = validation.score(np.where(stopped[:, None], coef, model())) if validation else None
            if limits.early_stopping and scores is not None:
                stalled = hindered = stopping.by_progress(-scores, 1.0)
            elif n_models := solver.n_models(state):
                stalled, hindered = stopping.by_change(partial(solver.models, state), losses, n_models)
                if sparse_squares:
                    stalled = stalled | stopping.by_fall(partial(_value_of, solver, state, data.reference))
            else:
                share = GAP_SHARE if solver.options.eta0 == "auto" else 1.0
                stalled = hindered = stopping.by_progress(losses, share * rising.constant_loss)
            if np.count_nonzero(hindered):  # faster than `any`
                state, slower = solver.slow_down(state, hindered & ~stopped)
                stopping.go_on(slower)
                stalled = stalled & ~slower
            if np.count_nonzero(stalled):
                coef = np.where(stopped[:, None], coef, model())  # that of targets that go on is written over again
                stopped |= stalled
                if stopped.all():
                    break
        fitted = solver.fitted(state)
        coef = np.where(stopped[:, None], coef, fitted.coef)
        if not all_finite(coef):
            raise rising.error(epoch, "is not finite")
        if limits.early_stopping and validation:
            coef = validation.best_coef
        suspicious = np.count_nonzero(losses > rising.constant_loss)
        final = solver.objective.value(coef, data.reference) if suspicious else losses
        rising.check_model(epoch, final)
        if suspicious and solver.options.eta0 == "auto" and not limits.early_stopping:
            coef = _shrunk(coef, final, rising.constant_loss, solver.objective, data.reference)
    converged = bool(stopped.all()) or limits.tol is None
    worse = np.count_nonzero(final > WORSE * rising.constant_loss + rising.rounding) > 0
    return TrainingResult.of(
        solver.finish(state),
        fitted._replace(coef=coef),
        loss_curve=curve,
        validation_scores=validation.scores if validation else None,
        converged=converged,
        worse_than_constant=worse,
    )


def train_once(solver: Solver, state: Any, block: Block, rng: np.random.Generator) -> TrainingResult:
    """Take in one block of a stream: one pass, after which the model is that of all blocks so far.

    Raises
    ------
    ValueError
        If the objective is not finite.
    """
    if state is None:
        state = solver.init(block.n_features, block.n_targets, None)
    with np.errstate(over="ignore", invalid="ignore"):
        state, ready = solver.prepare(state, block, rng, Visit.ONCE)
        state = solver.update(state, ready, rng)
        solved, _ = solver.solve(state)
        fitted = solver.fitted(solved)
        losses = solver.losses_of(solved, block)
    if not (all_finite(losses) and all_finite(fitted.coef)):
        raise diverged(solver, block, rng, "in this call of partial_fit the objective is not finite")
    return TrainingResult.of(solver.finish(state), fitted, loss_curve=[float(losses.mean())])


def _coef_of(solver: Solver, state: Any) -> np.ndarray:
    """Give the coefficients of the model of a state."""
    return solver.fitted(state).coef


def _value_of(solver: Solver, state: Any, block: Block) -> np.ndarray:
    """Give the objective of the model of a state."""
    return solver.objective.value(_coef_of(solver, state), block)


def _shrunk(
    coef: np.ndarray, losses: np.ndarray, constant: np.ndarray, objective: Objective, block: Block
) -> np.ndarray:
    """Move models that are worse than the constant one towards it, until they are not.

    This is what noise leaves of a model of data with next to no signal. The objective is convex, so it is below that of
    the constant model from somewhere on. ``losses`` and ``constant`` are the objective of the models and of that one.
    """
    centre = np.zeros_like(coef)
    if objective.fit_intercept:
        centre[:, -1] = mean_over_rows(block.y, block.sample_weight)
    for _ in range(SHRINKINGS):
        worse = losses > constant
        if not worse.any():
            return coef
        coef = np.where(worse[:, None], (coef + centre) / 2.0, coef)
        losses = objective.value(coef, block)
    return np.where((losses > constant)[:, None], centre, coef)
