"""The loops: passes of a closed form, epochs of steps, and the finish."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from sgdlinreg._core.arrays import all_finite
from sgdlinreg._core.blocks import Block
from sgdlinreg._core.contract import Fitted, Solver, Visit
from sgdlinreg._core.sampling import sample_size
from sgdlinreg._core.standard_errors import Inference
from sgdlinreg._core.threads import one_thread_for
from sgdlinreg._loop.data import BlockInMemory, BlocksOfSource
from sgdlinreg._solvers.sgd.divergence import Divergence, check_step, diverged, overflowed
from sgdlinreg._solvers.sgd.stopping import Limits, Progress, Validation

WORSE = 1.01
"""A model is told to be worse than the constant one from here on: data without signal give a little above 1."""
AUTOMATIC = 0.25
"""Share of tol by which steps of automatic size must make progress: they are the more cautious ones."""
NOTHING_RANDOM: Any = None
"""The closed form's random generator: seeding one would take a tenth of a small fit."""


@dataclass
class History:
    """What is recorded after every pass.

    Attributes
    ----------
    max_iter : int
    report : callable(pass number, loss)
    validation : Validation or None
    loss_curve : list of float
        Objective of each pass, mean over the targets.
    gap_curve : list of float
        Estimated distance from the optimum after each pass, largest over the targets; nan after steps.
    """

    max_iter: int
    report: Callable[[int, float], None]
    validation: Validation | None = None
    loss_curve: list[float] = field(default_factory=list)
    gap_curve: list[float] = field(default_factory=list)

    def add(self, coef: np.ndarray, losses: np.ndarray, gap: np.ndarray | float = np.nan) -> bool:
        """Record a pass; says whether another one is allowed."""
        self.loss_curve.append(float(np.add.reduce(losses)) / len(losses))
        self.gap_curve.append(float(np.max(gap)))
        self.report(len(self.loss_curve), self.loss_curve[-1])
        if self.validation:
            self.validation.score(coef)
        return len(self.loss_curve) < self.max_iter


@dataclass
class TrainingResult:
    """What a fit found.

    Attributes
    ----------
    state : Any
        The solver's.
    coef : ndarray of shape (n_targets, n_features + 1)
        The intercept last.
    column_means : ndarray or None
    summary : dict
        Fitted attributes that the solver gives.
    loss_curve, gap_curve : list of float
        As in `History`.
    converged : bool
        Whether the stopping rule was met.
    collinear : bool
        Whether columns are too collinear for the finish to be sure.
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
    loss_curve: list[float]
    gap_curve: list[float]
    converged: bool = True
    collinear: bool = False
    worse_than_constant: bool = False
    inference: Inference | str = ""
    warning: str | None = None

    @classmethod
    def of(
        cls, state: Any, fitted: Fitted, loss_curve: list[float], gap_curve: list[float], **rest
    ) -> "TrainingResult":
        """Make a result of what a solver gives."""
        rest |= {"inference": fitted.inference, "warning": fitted.warning}
        return cls(state, fitted.coef, fitted.column_means, fitted.summary, loss_curve, gap_curve, **rest)


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
    report : callable(pass number, loss)

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
            for block in data.blocks(solver):
                state, block = solver.prepare(state, block, NOTHING_RANDOM, data.visit)
                state = solver.update(state, block, NOTHING_RANDOM)
            state, again = solver.solve(state)
            again = again and not data.once
        fitted = solver.fitted(state)
        losses = solver.losses_of(state, None)
    if not (all_finite(losses) and all_finite(fitted.coef)):
        raise overflowed("the objective is not finite")
    loss = float(losses.mean())
    report(1, loss)
    return TrainingResult.of(solver.finish(state), fitted, [loss], [0.0])


def train(
    solver: Any,
    data: BlockInMemory | BlocksOfSource,
    start: np.ndarray,
    limits: Limits,
    rng: np.random.Generator,
    report: Callable[[int, float], None],
    validation: Validation | None = None,
    start_is_given: bool = False,
) -> TrainingResult:
    """Fit data by steps and, unless the user asked for steps only, by the finish.

    Parameters
    ----------
    solver : SGD
    data : BlockInMemory or BlocksOfSource
    start : ndarray of shape (n_targets, n_features + 1)
        Coefficients to start from.
    limits : Limits
    rng : numpy.random.Generator
    report : callable(pass number, loss)
        Called after every pass.
    validation : Validation or None
        Needed for early stopping.
    start_is_given : bool
        Whether the start is the user's; if not, it is zeros and automatic steps may choose a better intercept.

    Raises
    ------
    ValueError
        If a constant step is so long that the fit must diverge, which is told before the first epoch; if the objective
        is not finite; or if steps of a given size end above both the constant model and the start.
    """
    n_targets, n_features = start.shape[0], start.shape[1] - 1
    state = solver.init(n_features, n_targets, start if start_is_given else None)
    n_rows = data.block.n_rows if isinstance(data, BlockInMemory) else sample_size(n_features)
    products = min(n_rows, sample_size(n_features)) * n_features**2
    # a diverging fit is told below, in one error
    with one_thread_for(products), np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        for block in data.blocks(solver):
            state = solver.measure(state, block, rng)
        if isinstance(data, BlockInMemory):
            check_step(solver, data.block, rng)
        state = solver.begin(state, state.n_rows)
        reference = data.block if isinstance(data, BlockInMemory) else state.sample.as_block()
        history = History(limits.max_iter, report, validation)
        fit = _Fit(solver, data, reference, limits, rng, history, start)
        if solver.has_finish and not limits.early_stopping:
            return fit.to_the_optimum(state, start_is_given)
        return fit.by_steps(state)


@dataclass
class _Fit:
    """One fit by steps: what does not change from pass to pass."""

    solver: Any
    data: BlockInMemory | BlocksOfSource
    reference: Block
    limits: Limits
    rng: np.random.Generator
    history: History
    start: np.ndarray

    def epoch(self, state: Any) -> tuple[Any, np.ndarray]:
        """Take steps over all rows; gives the state and the mean objective of each target on the way."""
        losses: Any = 0.0
        for block in self.data.ready(self.solver, state):
            state = self.solver.run_epoch(state, block, self.rng)
            losses = losses + block.n_rows * state.losses
        return state, losses / state.n_rows

    def to_the_optimum(self, state: Any, start_is_given: bool) -> TrainingResult:
        """Take an epoch of steps and go on by full gradients; a start that is given may need no steps."""
        solver, history = self.solver, self.history
        constant_loss = solver.constant_loss(state, self.reference)
        go_on, coef, at_least = True, state.coef, 0
        if not start_is_given or np.any(solver.objective.value(coef, self.reference) > constant_loss):
            at_least = int(constant_loss.any())
            state, losses = self.epoch(state)
            coef = solver.coef(state)
            go_on = history.add(coef, losses)
            # steps that did no better than the constant model are no start
            better = (losses <= constant_loss) & np.isfinite(coef).all(axis=1)
            coef = np.where(better[:, None], coef, solver.constant_model(state))
        converged = collinear = False
        if go_on:
            ready = partial(self.data.ready, solver, state)
            coef, converged, collinear = solver.to_the_optimum(state, coef, ready, constant_loss, history.add, at_least)
        if not all_finite(coef):
            raise diverged(solver, self.reference, self.rng, "the objective is not finite")
        result = solver.fitted(state, coef)
        curves = history.loss_curve, history.gap_curve
        return TrainingResult.of(solver.finish(state, coef), result, *curves, converged=converged, collinear=collinear)

    def by_steps(self, state: Any) -> TrainingResult:
        """Take epochs until they make no progress."""
        solver, history, validation = self.solver, self.history, self.history.validation
        n_targets = len(self.start)
        rising = Divergence(solver, self.reference, self.start, self.rng)
        progress = Progress(self.limits, n_targets)
        unit = (AUTOMATIC if solver.auto_step else 1.0) * rising.constant_loss
        stopped, coef, go_on = np.zeros(n_targets, dtype=bool), np.zeros_like(self.start), True
        before = np.full(n_targets, np.inf)
        while go_on:
            state, losses = self.epoch(state)
            model = solver.coef(state)
            rising.check(len(history.loss_curve) + 1, losses, model)
            coef = np.where(stopped[:, None], coef, model)
            go_on = history.add(coef, losses)
            if self.limits.early_stopping and validation:
                stalled = progress.has_stalled(-validation.last, 1.0)
            else:
                if solver.steps.accelerates(state):
                    progress.start_again(losses, losses > before + (self.limits.tol or 0.0) * unit)
                stalled, before = progress.has_stalled(losses, unit), losses
            state, slower = solver.slow_down(state, stalled & ~stopped)
            progress.go_on(slower)
            stopped |= stalled & ~slower
            go_on = go_on and not stopped.all()
        if not all_finite(coef):
            raise rising.error(len(history.loss_curve), "is not finite")
        if self.limits.early_stopping and validation:
            coef = validation.best_coef
        final = solver.objective.value(coef, self.reference)
        rising.check_model(len(history.loss_curve), final)
        return TrainingResult.of(
            solver.finish(state),
            solver.fitted(state, coef),
            history.loss_curve,
            history.gap_curve,
            converged=bool(stopped.all()) or self.limits.tol is None,
            worse_than_constant=bool(np.any(final > WORSE * rising.constant_loss + rising.rounding)),
        )


def train_once(solver: Any, state: Any, block: Block, rng: np.random.Generator) -> TrainingResult:
    """Take in one block of a stream: one pass, after which the model is that of all blocks so far.

    Raises
    ------
    ValueError
        If the objective is not finite.
    """
    if state is None:
        state = solver.init(block.n_features, block.n_targets, None)
    with np.errstate(over="ignore", invalid="ignore"):
        if solver.n_passes == 1:
            state, ready = solver.prepare(state, block, rng, Visit.ONCE)
            state = solver.update(state, ready, rng)
            solved, _ = solver.solve(state)
            worse = False
        else:
            state = solved = solver.step_over(state, block, rng)
            worse = solver.is_worse_than_constant(state, WORSE)
        fitted = solver.fitted(solved)
        losses = solver.losses_of(solved, block)
    if not (all_finite(losses) and all_finite(fitted.coef)):
        raise diverged(solver, block, rng, "in this call of partial_fit the objective is not finite")
    curves = [float(losses.mean())], [0.0 if solver.n_passes == 1 else np.nan]
    return TrainingResult.of(solver.finish(state), fitted, *curves, worse_than_constant=worse)
