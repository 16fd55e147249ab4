"""How long steps are: schedule, curvature of the loss, momentum, and when they get shorter."""

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from sgdlinreg._core.contract import Options
from sgdlinreg._core.coordinates import penalty_in
from sgdlinreg._core.objective import Objective
from sgdlinreg._core.sampling import Sample
from sgdlinreg._solvers.sgd.schedules import ADAPTIVE_DIVISOR, SMALLEST_STEP, is_constant, step_shape
from sgdlinreg._solvers.sgd.state import State


class Slowing(NamedTuple):
    """What the step is divided by, and below which size it is left alone."""

    divisor: float
    smallest: float


class StepSizes:
    """Step sizes and momentum, from the options and how far a fit has come.

    Parameters
    ----------
    objective : Objective
    options : Options
    """

    def __init__(self, objective: Objective, options: Options):
        self.objective = objective
        self.options = options
        self.is_automatic = options.eta0 == "auto"

    def accelerates(self, state: State) -> bool:
        """Return whether the steps are full batches with a momentum of ours."""
        full_batch = state.batch_size >= state.measured.n_rows
        smooth = not self.objective.has_kink
        return self.is_automatic and full_batch and smooth and self.options.learning_rate == "constant"

    def momentum(self, state: State) -> tuple[float, bool]:
        """Return the factor of the velocity, and whether steps look ahead along it.

        Full batches of automatic steps are accelerated unless the user sets a momentum (Nesterov 1983). The factor
        grows from 0 as k / (k + 3) and starts again where the objective has risen (O'Donoghue, Candes, "Adaptive
        restart for accelerated gradient schemes", 2015).
        """
        options = self.options
        if options.momentum or not self.accelerates(state):
            return float(options.momentum), bool(options.nesterovs_momentum)
        return state.since_restart / (state.since_restart + 3.0), True

    def end_epoch(self, state: State, losses: np.ndarray) -> None:
        """Take note of the objective of an epoch: where it has risen, acceleration starts again."""
        if self.accelerates(state):
            state.since_restart += 1
            if state.losses is not None and np.any(losses > state.losses):
                state.since_restart = 0
                state.iterate.velocity[:] = 0.0
        state.losses, state.loss_sum = losses, 0.0

    def sizes(self, state: State, n_batches: int, n_rows: int) -> np.ndarray:
        """Return the step of every batch and target, (n_batches, n_targets)."""
        options = self.options
        scale = state.step_size * state.step_scale
        if self.is_automatic and not self.objective.is_least_squares:
            penalty = penalty_in(state.coordinates, self.objective).max(initial=0.0)
            scale = scale / (self._curvature(state.sample, state.coordinates.to_raw(state.iterate.coef)) + penalty)
        sizes = np.empty((n_batches, len(scale)))
        sizes[:] = scale
        if not is_constant(options.learning_rate):
            steps = np.arange(state.n_steps + 1, state.n_steps + n_batches + 1)
            alpha = self.objective.alpha
            sizes *= step_shape(options.learning_rate, steps, power_t=options.power_t, alpha=alpha)[:, None]
        if self.is_automatic and n_rows % state.batch_size:
            sizes[-1] *= (n_rows % state.batch_size) / state.batch_size
        return sizes

    def _curvature(self, sample: Sample, coef: np.ndarray) -> np.ndarray:
        """Return the mean curvature of the loss at the iterate on the sample, (n_targets,)."""
        residual = sample.rows @ coef[:, :-1].T + coef[:, -1] - sample.block.y
        curvature = self.objective.loss.curvature
        return np.array(
            [np.average(curvature(column, sample.importance), weights=sample.importance) for column in residual.T]
        )

    def slowing(self, state: State) -> Slowing | None:
        """Return how the step falls where there is no progress, if it does.

        It does with learning_rate="adaptive", and where a constant step leaves noise or bias.
        """
        if self.options.learning_rate == "adaptive":
            return Slowing(ADAPTIVE_DIVISOR, SMALLEST_STEP)
        if not self.is_automatic or self.options.learning_rate != "constant":
            return None
        if state.batch_size >= state.measured.n_rows:
            return Slowing(2.0, SMALLEST_STEP) if self.objective.has_kink else None
        return None if self.objective.is_smooth else Slowing(ADAPTIVE_DIVISOR, SMALLEST_STEP)

    def slow_down(self, state: State, targets: np.ndarray) -> tuple[State, np.ndarray]:
        """Divide the step of some targets, unless it is as small as it gets; return also which have become slower."""
        slowing = self.slowing(state)
        if slowing is None:
            return state, np.zeros_like(targets)
        step = state.step_scale if self.is_automatic else state.step_scale * state.step_size
        slower = targets & (step > slowing.smallest)
        scale = np.where(slower, state.step_scale / slowing.divisor, state.step_scale)
        return replace(state, step_scale=scale), slower
