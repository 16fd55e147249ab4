"""Mini-batch SGD around a kernel: coordinates, order, step sizes, averaging. The kernel runs the batches."""

from bisect import bisect_right
from dataclasses import dataclass, field, replace
from typing import ClassVar

import numpy as np

from sgdlinreg._blocks import Block
from sgdlinreg._conditioning import (
    GAP_SHARE,
    ColumnStatistics,
    Conditioning,
    column_statistics,
    condition,
    condition_stream,
    no_conditioning,
    safe_step,
    target_statistics,
)
from sgdlinreg._objective import Objective
from sgdlinreg._ordering import epoch_order
from sgdlinreg._schedules import SCHEDULES
from sgdlinreg._solvers.base import Fitted, Kernel, Options

MAX_MARKS = 64
"""Number of earlier models kept; every second one is dropped beyond it."""
FIRST_EPOCH_MARKS = (1 / 16, 1 / 8, 1 / 4, 1 / 2)
"""Shares of the first epoch after which its running sums are kept, so that averages can start early."""
MIN_BATCHES_PER_MARK = 64


@dataclass
class State:
    """An SGD fit between two blocks, in the coordinates of x; all arrays float64.

    Attributes
    ----------
    coef, coef_sum : ndarray of shape (n_targets, n_features + 1)
        The iterate, and the sum of all iterates so far.
    marks : list of (int, ndarray)
        Earlier values of coef_sum (of coef where there is no averaging) with the number of steps at the time.
    n_steps, n_rows, total_weight
        Steps taken; rows and their weight seen.
    columns, targets : ColumnStatistics or None
        Of all rows seen.
    largest_norm, largest_eigenvalue : float
        Largest of any block of a stream.
    started_at_mean : bool
        Whether the intercept has been started at the mean of y.
    averaged : bool
        Whether the model is the tail average.
    batch_size, step_size, conditioning, losses
        Of the last block.
    """

    coef: np.ndarray
    coef_sum: np.ndarray
    marks: list = field(default_factory=list)
    n_steps: int = 0
    n_rows: int = 0
    total_weight: float = 0.0
    columns: ColumnStatistics | None = None
    targets: ColumnStatistics | None = None
    largest_norm: float = 0.0
    largest_eigenvalue: float = 0.0
    started_at_mean: bool = True
    averaged: bool = False
    batch_size: int = 0
    step_size: float = np.nan
    conditioning: Conditioning | None = None
    losses: np.ndarray | None = None


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
    and the model's intercept is closed, ``b = mean y - w @ mean x``. With a float eta0 the data stay as they are and
    every step is ``eta0`` times the gradient: no centring, no closing.
    """

    n_passes: ClassVar[int | None] = None

    def __init__(self, objective: Objective, options: Options, kernel: Kernel):
        self.objective = objective
        self.options = options
        self.kernel = kernel
        self.auto_step = options.eta0 == "auto"

    def init(self, n_features, n_targets, coef):
        """State before any data."""
        start = np.zeros((n_targets, n_features + 1)) if coef is None else np.array(coef, dtype=np.float64)
        mean_start = coef is None and self.auto_step and self.objective.fit_intercept
        return State(start, np.zeros_like(start), started_at_mean=not mean_start)

    def prepare(self, state, block, rng, stream):
        """Take note of a block: scale its weights to mean one over all rows seen, measure it, choose the step."""
        state = replace(state, n_rows=state.n_rows + block.n_rows, total_weight=state.total_weight + block.total_weight)
        state.targets = target_statistics(block).merge(state.targets)
        if self.auto_step:
            columns = column_statistics(block)
            state.columns = columns.merge(state.columns) if stream else columns
            _check_range(state.columns, "X")
        _check_range(state.targets, "y")
        if block.sample_weight is not None or state.total_weight != state.n_rows:
            mean_one = state.n_rows / state.total_weight
            weight = np.ones(block.n_rows) if block.sample_weight is None else block.sample_weight
            block = block._replace(sample_weight=weight * mean_one)
        state.batch_size = self.batch_size(block.n_rows)
        if not self.auto_step:
            state.conditioning, state.step_size = no_conditioning(block.n_features), float(self.options.eta0)
        elif stream:
            self._measure_stream(state, block, rng)
        else:
            tol = 1e-3 if self.options.tol is None else self.options.tol
            state.conditioning = condition(block, state.columns, self.objective, state.batch_size, GAP_SHARE * tol, rng)
            state.step_size = state.conditioning.step
        full_batch = state.batch_size >= block.n_rows and not stream
        averaged = self.options.average == "auto" and self.auto_step and not full_batch
        if averaged != state.averaged:
            state.averaged, state.marks = averaged, []
        if not state.started_at_mean:
            state.coef = state.coef.copy()
            state.coef[:, -1] = state.targets.mean
            state.started_at_mean = True
        if not state.marks:
            state.marks = [self._mark(state)]
        return state, self.kernel.to_device(block)

    def batch_size(self, n_rows: int) -> int:
        """Rows of a batch for a block of ``n_rows``."""
        asked = self.options.batch_size
        if asked == "full":
            return n_rows
        return min(n_rows, self.kernel.auto_batch_size if asked == "auto" else int(asked))

    def _measure_stream(self, state: State, block: Block, rng) -> None:
        state.conditioning, norm, eigenvalue = condition_stream(
            block, state.columns, self.objective, state.batch_size, rng
        )
        state.largest_norm = max(state.largest_norm, norm)
        state.largest_eigenvalue = max(state.largest_eigenvalue, eigenvalue)
        state.step_size = safe_step(state.largest_norm, state.largest_eigenvalue, state.batch_size, np.inf)

    def update(self, state, block, rng):
        """Run one epoch over the block; the first one in parts, so that early averages can be compared."""
        regular = state.conditioning.regular_rows
        n_rows = block.n_rows if regular is None else len(regular)
        size = state.batch_size
        order = epoch_order(n_rows, _row_bytes(block), self.options.shuffle, rng)
        if regular is not None:
            order = regular[order]
        n_batches = -(-n_rows // size)
        steps = np.arange(state.n_steps + 1, state.n_steps + n_batches + 1)
        step_sizes = SCHEDULES[self.options.learning_rate](steps, state.step_size)
        if self.auto_step and n_rows % size:
            step_sizes[-1] *= (n_rows % size) / size

        shares = FIRST_EPOCH_MARKS if state.n_steps == 0 and state.averaged else ()
        cuts = [int(n_batches * share) for share in shares if n_batches * share >= MIN_BATCHES_PER_MARK]
        state = replace(state, marks=list(state.marks))
        scaled = state.conditioning.to_scaled(state.coef)
        loss = np.zeros(len(scaled))
        for start, stop in zip([0, *cuts], [*cuts, n_batches], strict=True):
            scaled_sum = np.zeros_like(scaled)
            rows = order[start * size : stop * size]
            loss += self.kernel.run_batches(
                block,
                rows,
                step_sizes[start:stop],
                size,
                self.objective,
                state.conditioning,
                scaled,
                scaled_sum,
            )
            state.n_steps += stop - start
            state.coef_sum = state.coef_sum + state.conditioning.to_raw(scaled_sum)
            state.coef = state.conditioning.to_raw(scaled)
            state.marks.append(self._mark(state))
        if len(state.marks) > MAX_MARKS:
            state.marks = state.marks[:-1:2] + state.marks[-1:]
        state.losses = loss / n_rows + self.objective.penalty(state.coef)
        return state

    def _mark(self, state: State) -> tuple[int, np.ndarray]:
        return state.n_steps, (state.coef_sum if state.averaged else state.coef)

    def losses_of(self, state, block):
        """Give the running mean of the objective over the batches of the last pass."""
        return state.losses

    def _model(self, state: State, n_steps: float) -> np.ndarray:
        """Give the model as it was after ``n_steps`` steps: the iterate, or the mean of the second half of them."""
        times = [time for time, _ in state.marks]
        end = bisect_right(times, n_steps) - 1
        if not state.averaged:
            coef = state.marks[end][1]
        else:
            end = max(end, 1)
            begin = max(min(bisect_right(times, n_steps / 2) - 1, end - 1), 0)
            coef = (state.marks[end][1] - state.marks[begin][1]) / (times[end] - times[begin])
        return self._close_intercept(state, coef)

    def _close_intercept(self, state: State, coef: np.ndarray) -> np.ndarray:
        if not (self.auto_step and self.objective.fit_intercept) or state.columns is None or state.targets is None:
            return coef
        closed = coef.copy()
        closed[:, -1] = state.targets.mean - coef[:, :-1] @ state.columns.mean
        return closed

    def fitted(self, state):
        """Give the model."""
        summary = {"t_": state.n_steps + 1, "batch_size_": state.batch_size, "step_size_": state.step_size}
        means = state.columns.mean if self.auto_step and self.objective.fit_intercept else None
        return Fitted(self._model(state, state.n_steps), means, summary)

    def compares_models(self, state):
        """Models change smoothly where they are averages or the batches are full, and the step is ours."""
        return self.auto_step and (state.averaged or state.batch_size >= state.n_rows)

    def earlier_coef(self, state):
        """Give the coefficients of the model half as many steps ago."""
        if len(state.marks) < 3:
            return None
        return self._model(state, state.n_steps / 2)

    def finish(self, state):
        """Drop the coordinates: they hold row numbers of data that are gone."""
        return replace(state, conditioning=None)


def _check_range(statistics: ColumnStatistics, name: str) -> None:
    too_large = np.flatnonzero(~np.isfinite(statistics.squares))
    if len(too_large):
        raise ValueError(
            f"The squares of column {too_large[0]} of {name} overflow float64: its values are too large. Rescale it."
        )


def _row_bytes(block) -> float:
    if block.is_sparse:
        return 12.0 * block.X.data.shape[0] / max(1, block.n_rows)
    return float(block.n_features * block.dtype.itemsize)
