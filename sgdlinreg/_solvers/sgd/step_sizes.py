"""How long the steps of an SGD fit are: schedule, curvature of the loss, momentum, and when they get shorter."""

from typing import Any, NamedTuple

import numpy as np

from sgdlinreg._core.contract import Options
from sgdlinreg._core.coordinates import penalty_in
from sgdlinreg._core.objective import EpsilonInsensitive, Objective
from sgdlinreg._core.sampling import Sample
from sgdlinreg._solvers.sgd.schedules import ADAPTIVE_DIVISOR, SMALLEST_STEP, is_constant, step_shape


class Slowing(NamedTuple):
    """What the step is divided by, and below which size it is left alone."""

    divisor: float
    smallest: float


class Steps:
    """Step sizes and momentum, from the options and how far a fit has come.

    Parameters
    ----------
    objective : Objective
    options : Options
    """

    def __init__(self, objective: Objective, options: Options):
        self.objective = objective
        self.options = options
        self.auto_step = options.eta0 == "auto"
        self.sample: tuple[Any, np.ndarray, np.ndarray] | None = None

    def take_sample(self, sample: Sample) -> None:
        """Keep rows that stand for all: with automatic steps the curvature of other losses is measured on them."""
        if self.auto_step and not self.objective.is_least_squares:
            self.sample = sample.rows, sample.block.y, sample.share

    def momentum(self, state) -> tuple[float, bool]:
        """Give the user's momentum; full batches of automatic steps without any are accelerated (Nesterov 1983).

        The factor grows from 0 as k / (k + 3) and starts again where the objective has risen (O'Donoghue, Candes,
        "Adaptive restart for accelerated gradient schemes", 2015).
        """
        options = self.options
        if options.momentum or not self.accelerates(state):
            return options.momentum, options.nesterovs_momentum
        return state.since_restart / (state.since_restart + 3.0), True

    def accelerates(self, state) -> bool:
        """Whether the steps are full batches with a momentum of ours."""
        full_batch = state.batch_size >= state.n_rows
        smooth = not isinstance(self.objective.loss, EpsilonInsensitive)
        return self.auto_step and full_batch and smooth and self.options.learning_rate == "constant"

    def sizes(self, state, n_batches, n_rows):
        """Step of every batch and target, (n_batches, n_targets)."""
        options = self.options
        scale = state.step_size * state.step_scale
        if self.sample is not None:
            penalty = penalty_in(state.coordinates, self.objective).max(initial=0.0)
            scale = scale / (self._curvature(*self.sample, state.coef) + penalty)
        sizes = np.empty((n_batches, len(scale)))
        sizes[:] = scale
        if not is_constant(options.learning_rate):
            steps = np.arange(state.n_steps + 1, state.n_steps + n_batches + 1)
            alpha = self.objective.alpha
            sizes *= step_shape(options.learning_rate, steps, power_t=options.power_t, alpha=alpha)[:, None]
        if self.auto_step and n_rows % state.batch_size:
            sizes[-1] *= (n_rows % state.batch_size) / state.batch_size
        return sizes

    def _curvature(self, X, y, weight, coef) -> np.ndarray:
        """Give the mean curvature of the loss at the iterate on some rows, (n_targets,)."""
        residual = X @ coef[:, :-1].T + coef[:, -1] - y
        curvature = self.objective.loss.curvature
        return np.array([np.average(curvature(column, weight), weights=weight) for column in residual.T])

    def slowing(self, state) -> Slowing | None:
        """How the step falls where there is no progress: "adaptive", and where a constant one leaves noise or bias."""
        if self.options.learning_rate == "adaptive":
            return Slowing(ADAPTIVE_DIVISOR, SMALLEST_STEP)
        if not self.auto_step or self.options.learning_rate != "constant":
            return None
        if state.batch_size >= state.n_rows:
            kink = isinstance(self.objective.loss, EpsilonInsensitive)
            return Slowing(2.0, SMALLEST_STEP) if kink else None
        return None if self.objective.is_smooth else Slowing(ADAPTIVE_DIVISOR, SMALLEST_STEP)

    def slow_down(self, state, targets):
        """Divide the step of some targets, unless it is as small as it gets."""
        slowing = self.slowing(state)
        if slowing is None:
            return state, np.zeros_like(targets)
        step = state.step_scale if self.auto_step else state.step_scale * state.step_size
        slower = targets & (step > slowing.smallest)
        scale = np.where(slower, state.step_scale / slowing.divisor, state.step_scale)
        return state.moved(step_scale=scale), slower
