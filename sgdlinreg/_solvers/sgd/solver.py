"""Mini-batch SGD around a kernel, which reads the rows: coordinates, order, step sizes, averages, and the finish."""

from collections.abc import Callable, Iterable
from itertools import pairwise
from typing import Any, ClassVar, NamedTuple

import numpy as np

from sgdlinreg._core.arrays import all_finite
from sgdlinreg._core.blocks import Block
from sgdlinreg._core.contract import Fitted, Iterate, Kernel, Options
from sgdlinreg._core.coordinates import Coordinates, norms_of, raw_coordinates, scaled_coordinates
from sgdlinreg._core.objective import Objective, rounding_of
from sgdlinreg._core.sampling import LARGEST_ROWS, Reservoir, sample_size
from sgdlinreg._core.statistics import ColumnStatistics, Measured, measure
from sgdlinreg._solvers.finish.finish import Finish
from sgdlinreg._solvers.finish.gap import Record
from sgdlinreg._solvers.sgd import averaging
from sgdlinreg._solvers.sgd.averaging import Mark
from sgdlinreg._solvers.sgd.row_order import epoch_order
from sgdlinreg._solvers.sgd.safe_step import safe_step_of
from sgdlinreg._solvers.sgd.schedules import optimal_start
from sgdlinreg._solvers.sgd.state import State
from sgdlinreg._solvers.sgd.step_sizes import Steps

JUDGING_ROWS = 2048
"""Rows of a source on which models of steps of a given size are judged."""
SEEN_ROWS = 512
"""Rows of a stream that are kept to judge its models on."""


class Optimum(NamedTuple):
    """Where the finish ended: coefficients on x, whether it converged, and whether columns are too collinear for it."""

    coef: np.ndarray
    converged: bool
    blind: bool


class SGD:
    """Mini-batch stochastic gradient descent, with a finish by full gradients.

    Parameters
    ----------
    objective : Objective
    options : Options
    kernel : Kernel
        Runs the batches and sums full gradients.

    Notes
    -----
    With eta0="auto" columns are scaled and centred, the step is the safe one, the intercept starts at the mean of y
    and, for squared error, the model's intercept is closed, ``b = mean y - w @ mean x``. With a float eta0 the data
    stay as they are and every step is ``eta0`` times the gradient: no centring, no closing.
    """

    n_passes: ClassVar[int | None] = None

    def __init__(self, objective: Objective, options: Options, kernel: Kernel):
        self.objective = objective
        self.options = options
        self.kernel = kernel
        self.auto_step = self.sums_first = options.eta0 == "auto"
        self.has_finish = self.auto_step and objective.is_smooth and options.tol is not None
        self.steps = Steps(objective, options)

    def init(self, n_features, n_targets, coef):
        """State before any data."""
        start = np.zeros((n_targets, n_features + 1)) if coef is None else np.array(coef, dtype=np.float64)
        mean_start = coef is None and self.auto_step and self.objective.fit_intercept
        zeros = np.zeros_like(start)
        return State(start, zeros, zeros, np.ones(n_targets), started_at_mean=not mean_start)

    def place(self, block, visit):
        """Bring X to where the kernel measures it."""
        return self.kernel.place(block)

    def measure(self, state, block, rng):
        """Take note of a block: statistics of its columns, and rows that stand for all."""
        columns, targets = self._measure(block)
        targets = targets.merge(state.targets)
        _check_range(targets, "y")
        weight = 1.0 if block.sample_weight is None else block.sample_weight
        norms = np.ones(block.n_rows)
        if columns is not None:
            columns = columns.merge(state.columns)
            _check_range(columns, "X")
            norms = weight * norms_of(block, self._step_coordinates(columns))
        sizes = (sample_size(block.n_features), LARGEST_ROWS) if self.auto_step else (JUDGING_ROWS, 0)
        reservoir = state.reservoir or Reservoir(*sizes)
        return state.moved(
            n_rows=state.n_rows + block.n_rows,
            total_weight=state.total_weight + block.total_weight,
            columns=columns,
            targets=targets,
            reservoir=reservoir.add(block, norms, rng),
            seen=state.seen and state.seen.add(block, norms, rng),
        )

    def begin(self, state, n_rows):
        """Choose coordinates, the step and where the intercept starts, for blocks of ``n_rows`` or one of that size."""
        sample = state.reservoir.sample()
        weight = sample.block.sample_weight * (state.n_rows / state.total_weight)  # of mean one over all rows
        sample = sample._replace(block=sample.block._replace(sample_weight=weight))
        batch_size = self.batch_size(n_rows)
        self.steps.take_sample(sample)
        if self.auto_step:
            coordinates = self._step_coordinates(state.columns)
            noisy = batch_size < n_rows  # full batches are stable at any momentum
            like_rows = 1 if noisy and not self.options.shuffle else batch_size  # neighbours may all be alike
            step = safe_step_of(sample, coordinates, self.objective, like_rows, n_rows)
            step *= 1.0 - self.options.momentum * noisy
        else:
            coordinates = raw_coordinates(state.coef.shape[1] - 1)
            optimal = self.options.learning_rate == "optimal"  # it has a scale of its own
            step = optimal_start(self.objective.alpha) if optimal else float(self.options.eta0)
        coef = state.coef
        if not state.started_at_mean:
            coef = coef.copy()
            coef[:, -1] = state.targets.mean
        return state.moved(
            coef=coef,
            started_at_mean=True,
            sample=sample,
            coordinates=coordinates,
            batch_size=batch_size,
            step_size=step,
            averaged=self._averages() and batch_size < n_rows,
            marks=state.marks or [Mark(state.n_steps, coef, state.coef_sum)],
        )

    def ready(self, state, block):
        """Give a block in the form that the kernel wants, with weights of mean one over all rows measured."""
        mean_one = state.n_rows / state.total_weight
        if block.sample_weight is not None or mean_one != 1.0:
            weight = np.ones(block.n_rows) if block.sample_weight is None else block.sample_weight
            block = block._replace(sample_weight=weight * mean_one)
        return self.kernel.to_device(block)

    def run_epoch(self, state, block, rng):
        """Take steps over all rows of a block, in parts where averages want a mark in between."""
        n_rows, size = block.n_rows, state.batch_size
        if self.options.drop_last and n_rows > size:
            n_rows = n_rows // size * size
        n_batches = -(-n_rows // size)
        step_sizes = self.steps.sizes(state, n_batches, n_rows)
        accelerates, momentum = self.steps.accelerates(state), self.steps.momentum(state)
        before_step = state.coef if n_batches == 1 else None  # where the loss of a full batch is measured
        to_scaled, to_raw = state.coordinates.to_scaled, state.coordinates.to_raw
        iterate = Iterate(to_scaled(state.coef), np.zeros_like(state.coef), to_scaled(state.velocity))
        loss, before = np.zeros(len(state.coef)), state.losses
        state = state.moved()
        done = 0
        for rows in epoch_order(block.n_rows, size, self.options.shuffle, rng):
            rows = rows[: n_rows - done * size]
            last = done + -(-len(rows) // size)
            for start, stop in pairwise(self._cuts(state, n_batches, done, last)):
                if state.average_start is None and state.n_steps + 1 >= self._first_averaged(state):
                    state.coef_sum = np.zeros_like(state.coef_sum)  # a sum from here on loses no digits
                    state.average_start = Mark(state.n_steps, state.coef, state.coef_sum)
                iterate.coef_sum[:] = 0.0
                part = rows[(start - done) * size : (stop - done) * size]
                about = (step_sizes[start:stop], size, self.objective, state.coordinates, momentum, iterate)
                loss += self.kernel.run_batches(block, part, *about)
                state.n_steps += stop - start
                state.coef, state.velocity = to_raw(iterate.coef), to_raw(iterate.velocity)
                state.coef_sum = state.coef_sum + to_raw(iterate.coef_sum)
                state.marks = averaging.add_mark(state.marks, Mark(state.n_steps, state.coef, state.coef_sum))
            done = last
        state.losses = loss / n_rows + self.objective.penalty(state.coef if before_step is None else before_step)
        if accelerates:
            rose = before is not None and np.any(state.losses > before)
            state.since_restart = 0 if rose else state.since_restart + 1
            if rose:
                state.velocity = np.zeros_like(state.velocity)
        return state

    def to_the_optimum(
        self,
        state,
        coef: np.ndarray,
        blocks: Callable[[], Iterable[Any]],
        unit: np.ndarray,
        record: Record,
        at_least: int,
    ) -> Optimum:
        """Go on from some coefficients to the optimum, by passes over all rows; parameters as in `Finish`."""
        of_rows = (state.sample, state.columns, state.targets, state.n_rows)
        finish = Finish(blocks, self.kernel, self.objective, *of_rows, unit, float(self.options.tol or 0.0), record)
        return Optimum(*finish.run(coef, at_least), finish.blind)

    def constant_loss(self, state, reference: Block) -> np.ndarray:
        """Loss of the constant model, (n_targets,); but for the squared error that of the rows ``reference``."""
        if not self.objective.is_least_squares:
            loss = self.objective.constant_value(reference)
            is_rounding = self.objective.fit_intercept & (state.targets.variance == 0.0)
            return np.where(is_rounding, 0.0, loss)
        mean = 0.0 if self.objective.fit_intercept else state.targets.mean
        return 0.5 * (state.targets.variance + mean**2)

    def constant_model(self, state) -> np.ndarray:
        """Coefficients of the constant model, (n_targets, n_features + 1)."""
        coef = np.zeros_like(state.coef)
        if self.objective.fit_intercept:
            coef[:, -1] = state.targets.mean
        return coef

    def _measure(self, block: Block) -> Measured:
        return measure(block, with_columns=self.auto_step)

    def _step_coordinates(self, columns: ColumnStatistics) -> Coordinates:
        """Coordinates of steps: CSR is centred where a column has no zeros."""
        return scaled_coordinates(columns, self.objective, columns.complete)

    def _averages(self) -> bool:
        """Whether mini-batches end in the tail average."""
        options = self.options
        return (
            options.average == "auto"
            and self.auto_step
            and self.objective.is_smooth
            and options.learning_rate == "constant"
        )

    def batch_size(self, n_rows: int) -> int:
        """Rows of a batch of ``n_rows``."""
        asked = self.options.batch_size
        if asked == "full":
            return n_rows
        return min(n_rows, self.kernel.auto_batch_size if asked == "auto" else int(asked))

    def _first_averaged(self, state) -> float:
        """Give the number of the first step in the average of average=True or int; inf where there is none."""
        average = self.options.average
        if average is False or average == "auto":
            return np.inf
        return -(-int(average) // state.batch_size)

    def _cuts(self, state, n_batches, start, stop) -> list[int]:
        """Batches from ``start`` to ``stop`` between which a mark is set, with both ends."""
        cuts = averaging.early_cuts(n_batches) if state.averaged and len(state.marks) == 1 else []
        first = self._first_averaged(state) - 1 - state.n_steps + start
        if start < first < stop:
            cuts.append(int(first))
        return [start, *sorted(cut for cut in cuts if start < cut < stop), stop]

    def _closes_intercept(self, state) -> bool:
        """Whether the intercept is tied to the means: both must be of the same rows."""
        if not (self.auto_step and self.objective.fit_intercept and self.objective.is_least_squares):
            return False
        columns, targets = state.columns, state.targets
        return columns is not None and targets is not None and columns.total_weight == targets.total_weight

    def coef(self, state) -> np.ndarray:
        """Give the model that steps have led to, (n_targets, n_features + 1)."""
        mark = state.marks[-1]
        coef = mark.coef
        if state.averaged:
            coef = averaging.tail_mean(state.marks)
        elif state.average_start is not None and mark.n_steps > state.average_start.n_steps:
            coef = averaging.mean_between(state.average_start, mark)
        if self._closes_intercept(state):
            coef = coef.copy()
            coef[:, -1] = state.targets.mean - coef[:, :-1] @ state.columns.mean
        return coef

    def fitted(self, state, coef=None):
        """Give the model, that of the steps unless another one is given."""
        summary = {"t_": state.n_steps + 1, "batch_size_": state.batch_size, "step_size_": state.step_size}
        means = state.columns.mean if self._closes_intercept(state) else None
        return Fitted(self.coef(state) if coef is None else coef, means, summary)

    def slow_down(self, state, targets):
        """Divide the step of some targets, unless it is as small as it gets."""
        return self.steps.slow_down(state, targets)

    def step_over(self, state, block, rng):
        """Take in a block of a stream: steps over its rows, with the scales of all rows so far."""
        state = state.moved(seen=state.seen or Reservoir(SEEN_ROWS, SEEN_ROWS // 8))
        state = self.begin(self.measure(state, block, rng), block.n_rows)
        return self.run_epoch(state, self.ready(state, block), rng)

    def is_worse_than_constant(self, state, share) -> bool:
        """Whether the model of a stream is worse than the constant one on rows seen, more than ``share`` times."""
        seen = state.seen.sample().as_block()
        constant = self.objective.constant_value(seen)
        return bool(np.any(self.objective.value(self.coef(state), seen) > share * constant + rounding_of(seen)))

    def losses_of(self, state, block):
        """Give the running mean of the objective over the batches of the last pass."""
        return state.losses

    def finish(self, state, coef=None):
        """Give what is kept with the estimator, so that partial_fit goes on from where steps, or the finish, ended."""
        if coef is not None:
            marks, still = [Mark(state.n_steps, coef, state.coef_sum)], np.zeros_like(coef)
            state = state.moved(coef=coef, marks=marks, velocity=still)
        return state.moved(
            step_scale=np.ones(len(state.coef)), coordinates=None, reservoir=None, sample=None, since_restart=0
        )


def _check_range(statistics: ColumnStatistics, name: str) -> None:
    if not all_finite(statistics.squares):
        too_large = int(np.argmin(np.isfinite(statistics.squares)))
        raise ValueError(
            f"The squares of column {too_large} of {name} overflow float64: its values are too large. Rescale it."
        )
