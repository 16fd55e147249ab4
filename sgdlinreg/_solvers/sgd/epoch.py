"""An epoch: the steps over all rows of a block, with sums of the iterates."""

from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np

from sgdlinreg._core.contract import Kernel, Options
from sgdlinreg._core.objective import Objective
from sgdlinreg._solvers.sgd import averaging
from sgdlinreg._solvers.sgd.averaging import Tail
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
        state, loss, done = replace(state), np.zeros(block.n_targets), 0
        iterate, coordinates = state.iterate, state.coordinates
        if n_batches == 1:  # its loss is measured before the step
            penalty = self.objective.penalty(coordinates.to_raw(iterate.coef))
        for rows in epoch_order(block.n_rows, size, self.options.shuffle, self.rng):
            rows = rows[: n_rows - done * size]
            last = done + -(-len(rows) // size)
            first_averaged = averaging.first_averaged(self.options.average, size)
            for start, stop in pairwise(averaging.cuts(state, first_averaged, done, last, n_batches)):
                if state.average_start is None and state.n_steps + 1 >= first_averaged:
                    iterate.coef_sum[:] = 0.0  # a sum from here on loses no digits
                    state.average_start = state.n_steps
                    state.tail = Tail.at(state.n_steps, np.zeros_like(iterate.coef_sum))
                part = rows[(start - done) * size : (stop - done) * size]
                args = step_sizes[start:stop], size, self.objective, coordinates, momentum, iterate
                loss += self.kernel.run_batches(block, part, *args)
                state.n_steps += stop - start
                state.tail = state.tail.after(state.n_steps, iterate.coef_sum)
            done = last
        if n_batches > 1:
            penalty = self.objective.penalty(coordinates.to_raw(iterate.coef))
        state.loss_sum = state.loss_sum + block.n_rows * (loss / n_rows + penalty)
        return state
