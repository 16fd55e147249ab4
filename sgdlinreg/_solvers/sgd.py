"""Mini-batch SGD around a kernel: coordinates, order, step sizes, averaging. The kernel runs the batches."""

from itertools import pairwise
from typing import ClassVar

import numpy as np

from sgdlinreg._arrays import all_finite
from sgdlinreg._blocks import Block
from sgdlinreg._conditioning import GAP_SHARE, condition, condition_stream, no_conditioning, safe_step
from sgdlinreg._objective import Objective
from sgdlinreg._ordering import epoch_order
from sgdlinreg._past import Memory, can_remember, condition_with_past
from sgdlinreg._schedules import optimal_start
from sgdlinreg._solvers import averaging
from sgdlinreg._solvers.averaging import Mark
from sgdlinreg._solvers.base import Fitted, Iterate, Kernel, Options, Visit
from sgdlinreg._solvers.sgd_state import NO_MEMORY, State
from sgdlinreg._solvers.sgd_steps import Steps
from sgdlinreg._statistics import ColumnStatistics, Measured, measure

AGES = [1.0, 0.5, 0.25]
"""Shares of the steps so far after which models are compared."""


class SGD:
    """Mini-batch stochastic gradient descent.

    Parameters
    ----------
    objective : Objective
    options : Options
    kernel : Kernel
        Runs the batches.

    Notes
    -----
    With eta0="auto" the coordinates and the step are those of `_conditioning`, the intercept starts at the mean of y
    and, for squared error, the model's intercept is closed, ``b = mean y - w @ mean x``. With a float eta0 the data
    stay as they are and every step is ``eta0`` times the gradient: no centring, no closing.
    """

    n_passes: ClassVar[int | None] = None

    def __init__(self, objective: Objective, options: Options, kernel: Kernel):
        self.objective = objective
        self.options = options
        self.kernel = kernel
        self.auto_step = self.sums_first = options.eta0 == "auto"
        self.steps = Steps(objective, options)
        self._made: tuple[State | None, np.ndarray] = None, np.empty(0)

    def init(self, n_features, n_targets, coef):
        """State before any data."""
        start = np.zeros((n_targets, n_features + 1)) if coef is None else np.array(coef, dtype=np.float64)
        mean_start = coef is None and self.auto_step and self.objective.fit_intercept
        zeros = np.zeros_like(start)
        return State(start, zeros, zeros, np.ones(n_targets), started_at_mean=not mean_start)

    def place(self, block, visit):
        """Bring X to where the kernel measures it."""
        return self.kernel.place(block, None if visit is Visit.AGAIN else self._measure)

    def prepare(self, state, block, rng, visit):
        """Take note of a block: scale its weights to mean one, measure it, choose the step.

        The mean is that over all rows seen, or, where those before are remembered, that of the block.
        """
        state = state.copy()
        if visit is not Visit.AGAIN:
            state.n_rows += block.n_rows
            state.total_weight += block.total_weight
            columns, targets = self._measure(block)
            state.targets = targets.merge(state.targets)
            _check_range(state.targets, "y")
            if columns is not None:
                state.columns = columns.merge(state.columns)
                _check_range(state.columns, "X")
        remembers = visit is Visit.ONCE and self._remembers(state, block)
        if not remembers:
            state.past, state.memory = None, NO_MEMORY
        block_weight = block.total_weight
        mean_one = block.n_rows / block_weight if remembers else state.n_rows / state.total_weight
        if block.sample_weight is not None or mean_one != 1.0:
            weight = np.ones(block.n_rows) if block.sample_weight is None else block.sample_weight
            block = block._replace(sample_weight=weight * mean_one)
        state.batch_size, state.row_bytes = self.batch_size(block.n_rows), block.row_bytes
        if not self.auto_step:
            state.conditioning = no_conditioning(block.n_features)
            optimal = self.options.learning_rate == "optimal"  # it has a scale of its own
            state.step_size = optimal_start(self.objective.alpha) if optimal else float(self.options.eta0)
        elif visit is Visit.ALL:
            tol = 1e-3 if self.options.tol is None else self.options.tol
            unexplained = GAP_SHARE * tol * state.targets.variance  # of y's variance: what plain steps may leave
            state.conditioning = condition(
                block,
                state.columns,
                self.objective,
                state.batch_size,
                unexplained,
                rng,
                in_order=not self.options.shuffle,
            )
            noisy = state.batch_size < block.n_rows  # full batches are stable at any momentum
            state.step_size = state.conditioning.step * (1.0 - self.options.momentum * noisy)
        elif remembers:
            self._measure_with_past(state, block, rng, block_weight)
        else:
            self._measure_stream(state, block, rng)
        full_batch = state.batch_size >= block.n_rows and visit is Visit.ALL
        state.averaged = self._averages() and not full_batch and state.past is None
        if not state.started_at_mean:
            state.coef = state.coef.copy()
            state.coef[:, -1] = state.targets.mean
            state.started_at_mean = True
        state.scaled = None
        if not state.marks:
            state.marks = [Mark(state.n_steps, state.coef, state.coef_sum)]
        self.steps.take_sample(block, rng)
        return state, self.kernel.to_device(block)

    def _measure(self, block: Block) -> Measured:
        return measure(block, with_columns=self.auto_step)

    def _averages(self) -> bool:
        """Whether mini-batches end in the tail average."""
        options = self.options
        return (
            options.average == "auto"
            and self.auto_step
            and self.objective.is_smooth
            and (options.learning_rate == "constant")
        )

    def batch_size(self, n_rows: int) -> int:
        """Rows of a batch for a block of ``n_rows``."""
        asked = self.options.batch_size
        if asked == "full":
            return n_rows
        return min(n_rows, self.kernel.auto_batch_size if asked == "auto" else int(asked))

    def _remembers(self, state: State, block: Block) -> bool:
        """Whether the second moment of the rows of a stream is kept: from the first one on, or not at all."""
        of_all = state.past is not None or state.n_rows == block.n_rows
        return of_all and self._averages() and can_remember(block, self.objective)

    def _measure_with_past(self, state: State, block: Block, rng, weight: float) -> None:
        state.conditioning, curvature, state.past = condition_with_past(
            block,
            state.columns,
            self.objective,
            state.batch_size,
            rng,
            state.past,
            weight,
            in_order=not self.options.shuffle,
        )
        state.memory = Memory(curvature, state.coef)
        noisy = state.batch_size < block.n_rows
        state.step_size = state.conditioning.step * (1.0 - self.options.momentum * noisy)

    def _measure_stream(self, state: State, block: Block, rng) -> None:
        state.conditioning, norm, eigenvalue = condition_stream(
            block, state.columns, self.objective, state.batch_size, rng
        )
        state.largest_norm = max(state.largest_norm, norm)
        state.largest_eigenvalue = max(state.largest_eigenvalue, eigenvalue)
        step = safe_step(state.largest_norm, state.largest_eigenvalue, state.batch_size, np.inf)
        state.step_size = step * (1.0 - self.options.momentum)

    def update(self, state, block, rng):
        """Run one epoch over the block, in parts where averages want a mark in between."""
        order, n_rows = self._order(state, block, rng)
        n_batches = -(-n_rows // state.batch_size)
        size = state.batch_size
        step_sizes = self.steps.sizes(state, n_batches, n_rows)
        state = state.copy()
        full_batch = n_batches == 1
        before_step = state.coef if full_batch else None  # where it is measured
        if state.scaled is None:
            moving = state.conditioning.to_scaled(np.array([state.coef, np.zeros_like(state.coef), state.velocity]))
        else:
            moving = state.scaled.copy()
        scaled = Iterate(*moving)
        memory = state.memory
        if len(memory.anchor):
            memory = memory._replace(anchor=state.conditioning.to_scaled(memory.anchor))
        momentum = self.steps.momentum(state)
        loss = np.zeros(len(state.coef))
        cuts = self._cuts(state, n_batches)
        for start, stop in pairwise(cuts):
            if state.average_start is None and state.n_steps + 1 >= self._first_averaged(state):
                state.coef_sum = np.zeros_like(state.coef_sum)  # a sum from here on loses no digits
                state.average_start = Mark(state.n_steps, state.coef, state.coef_sum)
            scaled.coef_sum[:] = 0.0
            loss += self.kernel.run_batches(
                block,
                order,
                (start * size, min(stop * size, n_rows)),
                step_sizes[start:stop],
                size,
                self.objective,
                state.conditioning,
                memory,
                momentum,
                scaled,
            )
            state.n_steps += stop - start
            state.coef, coef_sum, state.velocity = state.conditioning.to_raw(moving)
            state.coef_sum = state.coef_sum + coef_sum
            state.marks = averaging.add_mark(state.marks, Mark(state.n_steps, state.coef, state.coef_sum))
        state.scaled = moving
        if state.past is not None:
            state.settle(n_batches)
        penalty = self.objective.penalty(state.coef if before_step is None else before_step)
        before, state.losses = state.losses, loss / n_rows + penalty
        if self.steps.accelerates(state):
            rose = before is not None and np.any(state.losses > before)
            state.since_restart = 0 if rose else state.since_restart + 1
            if rose:
                state.velocity, state.scaled = np.zeros_like(state.velocity), None
        return state

    def _order(self, state, block, rng):
        """Rows of the epoch in order, and how many of them are used."""
        regular, heavy_tailed = state.conditioning.regular_rows, state.conditioning.heavy_tailed
        n_rows = block.n_rows if regular is None else len(regular)
        order = epoch_order(n_rows, state.row_bytes, self.options.shuffle, rng, regular, block.is_sparse, heavy_tailed)
        if self.options.drop_last and n_rows > state.batch_size:
            n_rows = n_rows // state.batch_size * state.batch_size
        return order, n_rows

    def _first_averaged(self, state) -> float:
        """Give the number of the first step in the average of average=True or int; inf where there is none."""
        average = self.options.average
        if average is False or average == "auto":
            return np.inf
        return -(-int(average) // state.batch_size)

    def _cuts(self, state, n_batches) -> list[int]:
        """Batches between which a mark is set, with both ends."""
        cuts = averaging.early_cuts(n_batches) if state.n_steps == 0 and state.averaged else []
        if state.past is not None:
            cuts = [n_batches // 2]
        first = self._first_averaged(state) - 1 - state.n_steps
        if 0 < first < n_batches:
            cuts.append(int(first))
        return [0, *sorted(cut for cut in cuts if cut), n_batches] if cuts else [0, n_batches]

    def solve(self, state):
        """There is nothing but steps."""
        return state, False

    def losses_of(self, state, block):
        """Give the running mean of the objective over the batches of the last pass."""
        return state.losses

    def _models(self, state: State, ages: list[float]) -> np.ndarray:
        """Give the model as it was after shares of the steps, (n_ages, n_targets, n_features + 1)."""
        coefs = np.array([self._mean_iterate(state, state.n_steps * age) for age in ages])
        if self._closes_intercept(state) and state.columns is not None and state.targets is not None:
            coefs[:, :, -1] = state.targets.mean - np.dot(coefs[:, :, :-1], state.columns.mean)
        return coefs

    def _mean_iterate(self, state: State, n_steps: float) -> np.ndarray:
        if state.averaged:
            return averaging.tail_mean(state.marks, n_steps)
        mark = state.marks[averaging.last_before(state.marks, n_steps)]
        if state.average_start is not None and mark.n_steps > state.average_start.n_steps:
            return averaging.mean_between(state.average_start, mark)
        return mark.coef

    def _closes_intercept(self, state: State) -> bool:
        """Whether the intercept is tied to the means: both must be of the same rows."""
        if not (self.auto_step and self.objective.fit_intercept and self.objective.is_least_squares):
            return False
        columns, targets = state.columns, state.targets
        return columns is not None and targets is not None and columns.total_weight == targets.total_weight

    def fitted(self, state):
        """Give the model."""
        summary = {"t_": state.n_steps + 1, "batch_size_": state.batch_size, "step_size_": state.step_size}
        means = state.columns.mean if state.columns is not None and self._closes_intercept(state) else None
        return Fitted(self.models(state)[0], means, summary)

    def n_models(self, state):
        """Models change smoothly where they are averages or the batches are full, and the step is ours."""
        full_batch = state.batch_size >= state.n_rows
        smoothly = self.auto_step and (state.averaged or (full_batch and self.steps.slowing(state) is None))
        return min(max(len(state.marks) - 1, 1), len(AGES)) if smoothly else 0

    def models(self, state):
        """Give the model and those of half and a quarter as many steps."""
        if self._made[0] is not state:
            self._made = state, self._models(state, AGES[: self.n_models(state) or 1])
        return self._made[1]

    def slow_down(self, state, targets):
        """Divide the step of some targets, unless it is as small as it gets."""
        return self.steps.slow_down(state, targets)

    def finish(self, state):
        """Drop the coordinates, which hold row numbers of data that are gone, and how small steps had become."""
        state = state.copy()
        state.conditioning, state.scaled, state.memory, state.since_restart = None, None, NO_MEMORY, 0
        state.step_scale = np.ones(len(state.step_scale))
        return state


def _check_range(statistics: ColumnStatistics, name: str) -> None:
    if not all_finite(statistics.squares):
        too_large = int(np.argmin(np.isfinite(statistics.squares)))
        raise ValueError(
            f"The squares of column {too_large} of {name} overflow float64: its values are too large. Rescale it."
        )
