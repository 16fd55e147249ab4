"""When steps alone stop: where they make no progress, each target for itself."""

from typing import Any

import numpy as np

from sgdlinreg._core.arrays import all_finite
from sgdlinreg._core.blocks import Block
from sgdlinreg._core.statistics import target_statistics
from sgdlinreg._solvers.sgd import advice
from sgdlinreg._solvers.sgd.divergence import Divergence
from sgdlinreg._solvers.sgd.state import State

WORSE = 1.01
"""A model is told to be worse than the constant one from here on: data without signal give a little above 1."""


class Progress:
    """Counts the epochs in which a target made no progress.

    A target makes none where its loss, or the error on validation data, has not fallen below the best by ``tol`` times
    a unit for ``n_iter_no_change`` epochs.

    Parameters
    ----------
    tol : float or None
        None: there is always progress.
    n_iter_no_change, n_targets : int
    """

    def __init__(self, tol: float | None, n_iter_no_change: int, n_targets: int):
        self.tol, self.n_iter_no_change = tol, n_iter_no_change
        self.best = np.full(n_targets, np.inf)
        self.in_a_row = np.zeros(n_targets, dtype=int)

    def has_stalled(self, losses: np.ndarray, unit: np.ndarray | float) -> np.ndarray:
        """Take an epoch into account, and return which targets make no progress, (n_targets,) of bool."""
        if self.tol is None:
            return np.zeros(len(losses), dtype=bool)
        still = losses >= self.best - self.tol * unit
        self.best = np.minimum(self.best, losses)
        self.in_a_row = (self.in_a_row + 1) * still
        return self.in_a_row >= self.n_iter_no_change

    def go_on(self, targets: np.ndarray) -> None:
        """Start counting again for some targets."""
        self.in_a_row[targets] = 0


class Judge:
    """Judges the epochs of a fit by steps alone, and keeps the model of each target where it stopped.

    Parameters
    ----------
    solver : SGD
    block : Block
        All rows, or some that stand for them.
    start : ndarray of shape (n_targets, n_features + 1) or None
    """

    def __init__(self, solver: Any, block: Block, start: np.ndarray | None):
        options = solver.options
        self.solver, self.block = solver, block
        self.divergence = Divergence(solver, block, start)
        self.unit = self.divergence.constant_loss
        constant = solver.objective.fit_intercept & (target_statistics(block).variance == 0.0)
        self.rounding = np.where(constant, self.divergence.rounding, 0.0)  # there is no unit: steps could go on to 0
        self.progress = Progress(options.tol, options.n_iter_no_change, block.n_targets)
        self.stopped = np.zeros(block.n_targets, dtype=bool)
        self.coef = np.zeros((block.n_targets, block.n_features + 1))

    def after_epoch(self, state: State, losses: np.ndarray, monitor: Any) -> tuple[State, bool]:
        """Return the state after an epoch, perhaps with smaller steps, and whether the fit is done.

        Raises
        ------
        ValueError
            If the fit diverges.
        """
        model = self.solver.coef(state)
        self.divergence.check(monitor.n_passes + 1, losses, model)
        self.coef, self.losses = np.where(self.stopped[:, None], self.coef, model), losses
        go_on = monitor.record(self.coef, losses)
        stalled = self._stalled(losses, monitor)
        can_fall = losses > self.rounding
        state, slower = self.solver.step_sizes.slow_down(state, stalled & ~self.stopped & can_fall)
        self.progress.go_on(slower)
        self.stopped |= stalled & ~slower
        return state, not go_on or bool(self.stopped.all())

    def _stalled(self, losses, monitor) -> np.ndarray:
        at_least = np.maximum(losses, self.rounding)
        if self.solver.options.early_stopping:
            error, unit = monitor.validation.error, monitor.validation.unit
            return self.progress.has_stalled(np.where(unit > 0.0, error, at_least), unit)
        return self.progress.has_stalled(at_least, self.unit)

    @property
    def is_worse_than_constant(self) -> bool:
        """Whether the steps have ended worse than the constant model."""
        return self._is_worse(self.losses)

    def _is_worse(self, losses: np.ndarray) -> bool:
        return bool(np.any(losses > WORSE * self.divergence.constant_loss + self.divergence.rounding))

    def result(self, monitor: Any) -> tuple[np.ndarray, tuple[str, ...], str]:
        """Return the coefficients (n_targets, n_features + 1) in the end, what to tell the user, and why it ended.

        Raises
        ------
        ValueError
            If the fit has diverged.
        """
        solver, divergence, n_passes = self.solver, self.divergence, monitor.n_passes
        if not all_finite(self.coef):
            raise divergence.error(n_passes, "is not finite")
        coef = monitor.model
        losses = solver.objective.value(coef, self.block)
        divergence.check_model(n_passes, losses)
        messages, has_stalled, options = [], bool(self.stopped.all()), solver.options
        if not (has_stalled or monitor.is_stopped) and self.progress.tol is not None:
            messages.append(advice.not_converged(options, np.nan, n_passes))
        if self._is_worse(losses):
            messages.append(advice.WORSE_THAN_CONSTANT)
        rule = "early stopping, no better score" if options.early_stopping else "no progress"
        rule_met = f"{rule} for {options.n_iter_no_change} epochs" if has_stalled else ""
        return coef, tuple(messages), advice.why_ended(monitor, rule_met)
