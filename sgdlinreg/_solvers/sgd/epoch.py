"""An epoch: the steps over all rows of a block, with marks in between where averages want them."""

from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np

from sgdlinreg._core.contract import Iterate, Kernel, Options
from sgdlinreg._core.objective import Objective
from sgdlinreg._solvers.sgd import averaging
from sgdlinreg._solvers.sgd.averaging import Mark
from sgdlinreg._solvers.sgd.row_order import epoch_order
from sgdlinreg._solvers.sgd.state import State
from sgdlinreg._solvers.sgd.step_sizes import StepSizes


class Epoch:
    """Takes the steps of epochs.

    Parameters
    ----------
    objective : Objective
    options : Options
    kernel : Kernel
    rng : numpy.random.Generator
        Draws the order of the rows.
    """

    def __init__(self, objective: Objective, options: Options, kernel: Kernel, rng: np.random.Generator):
        self.objective, self.options, self.kernel, self.rng = objective, options, kernel, rng
        self.step_sizes = StepSizes(objective, options)

    def run(self, state: State, block: Any) -> State:
        """Take one step for every batch of a block, in the form that the kernel wants.

        The objective of the batches, each before its step, is added to ``loss_sum``.
        """
        size, n_rows = state.batch_size, block.n_rows
        if self.options.drop_last and n_rows > size:
            n_rows = n_rows // size * size
        n_batches = -(-n_rows // size)
        step_sizes = self.step_sizes.sizes(state, n_batches, n_rows)
        momentum = self.step_sizes.momentum(state)
        at = state.coef  # where the loss of a full batch is measured
        state, loss, done = replace(state), np.zeros(len(at)), 0
        iterate = _scaled(state)
        for rows in epoch_order(block.n_rows, size, self.options.shuffle, self.rng):
            rows = rows[: n_rows - done * size]
            last = done + -(-len(rows) // size)
            first_averaged = averaging.first_averaged(self.options.average, size)
            for start, stop in pairwise(averaging.cuts(state, first_averaged, done, last, n_batches)):
                if state.average_start is None and state.n_steps + 1 >= first_averaged:
                    state.coef_sum = np.zeros_like(state.coef_sum)  # a sum from here on loses no digits
                    state.average_start = Mark(state.n_steps, state.coef, state.coef_sum)
                part = rows[(start - done) * size : (stop - done) * size]
                args = step_sizes[start:stop], size, self.objective, state.coordinates, momentum, iterate
                loss += self.kernel.run_batches(block, part, *args)
                _take_over(state, iterate, stop - start)
            done = last
        objective = loss / n_rows + self.objective.penalty(at if n_batches == 1 else state.coef)
        state.loss_sum = state.loss_sum + block.n_rows * objective
        return state


def _scaled(state: State) -> Iterate:
    """Return what the kernel changes: the iterate in the coordinates of the steps, and a sum of zeros."""
    to_scaled = state.coordinates.to_scaled
    return Iterate(to_scaled(state.coef), np.zeros_like(state.coef), to_scaled(state.velocity))


def _take_over(state: State, iterate: Iterate, n_steps: int) -> None:
    """Bring what the kernel has changed to the state, set a mark there, and start the sum anew."""
    to_raw = state.coordinates.to_raw
    state.n_steps += n_steps
    state.coef, state.velocity = to_raw(iterate.coef), to_raw(iterate.velocity)
    state.coef_sum = state.coef_sum + to_raw(iterate.coef_sum)
    iterate.coef_sum[:] = 0.0
    state.marks = averaging.add_mark(state.marks, Mark(state.n_steps, state.coef, state.coef_sum))
