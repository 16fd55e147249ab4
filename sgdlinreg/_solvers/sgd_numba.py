"""The kernel of solver="numba": which compiled body runs the batches, and in how many threads."""

from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from itertools import pairwise, repeat
from typing import Any

import numpy as np
from joblib import effective_n_jobs

from sgdlinreg._arrays import read_only
from sgdlinreg._blocks import CSR, Block
from sgdlinreg._objective import LOSSES
from sgdlinreg._ordering import Order
from sgdlinreg._solvers.base import CPUKernel
from sgdlinreg._solvers.batches_numba import Penalty, Scratch, Share, run_batches
from sgdlinreg._solvers.lazy_numba import MAX_RUNS, run_lazily, runs_of_equal_steps
from sgdlinreg._solvers.rows_numba import GROUP, Reading

NO_WEIGHTS = read_only(np.empty(0))
PARTS = 8
"""Large batches are summed in so many parts."""
LARGE_BATCH_BYTES = 1 << 24
"""Batches from this size on are large: below, threads would wait for each other longer than they work."""


class NumbaKernel(CPUKernel):
    """The compiled kernel: small batches on one core, the parts of large ones in ``n_jobs`` threads."""

    losses = frozenset(LOSSES)

    def __init__(self, device="auto", n_jobs=None):
        self.n_threads = effective_n_jobs(n_jobs)
        self._of_last_epoch: tuple[Block | None, Any, Any] = None, None, None

    @cached_property
    def pool(self):
        """Threads; they end with the kernel."""
        return ThreadPoolExecutor(self.n_threads)

    def place(self, block):
        """Bring X to NumPy's memory, where passes over it are compiled."""
        return super().place(block)._replace(compiled=True)

    def to_device(self, block):
        """Give the block with read-only arrays, so that writable and read-only data share one compilation."""
        X = block.X
        if isinstance(X, CSR):
            X = X._replace(data=read_only(X.data), indices=read_only(X.indices), indptr=read_only(X.indptr))
        else:
            X = read_only(X)
        return Block(X, read_only(block.y), None if block.sample_weight is None else read_only(block.sample_weight))

    def _scratch(self, block, conditioning) -> Scratch:
        """Give memory for the kernel; that of the last epoch where block and coordinates are the same."""
        last_block, last_conditioning, scratch = self._of_last_epoch
        if last_block is not block or last_conditioning is not conditioning:
            scratch = Scratch.for_block(block, conditioning.extreme_rows, conditioning.whitener.shape[1])
            self._of_last_epoch = block, conditioning, scratch
        scratch.clear()
        return scratch

    def run_batches(
        self, block, order, positions, step_sizes, batch_size, objective, conditioning, memory, momentum, iterate
    ):
        """Run the kernel.

        Large batches are summed in parts, as many for any number of threads, and the sums added in their order: the
        result does not depend on ``n_jobs``.
        """
        X, y = block.X, block.y
        weight = NO_WEIGHTS if block.sample_weight is None else block.sample_weight
        starts, slots, rest, chosen = map(read_only, order[:4])
        order = Order(starts, slots, rest, chosen, order.bits, order.stride)
        large = min(batch_size, positions[1] - positions[0]) * block.row_bytes >= LARGE_BATCH_BYTES
        plain = not large and momentum[0] == 0.0 and objective.is_smooth and not len(memory.curvature)
        plain = plain and len(step_sizes) > 1  # the velocity of a full batch is used again
        runs = runs_of_equal_steps(step_sizes, objective.l2 > 0.0) if block.is_sparse and plain else []
        if 0 < len(runs) <= MAX_RUNS:
            losses = np.zeros(len(iterate.coef))
            for start, stop in runs:
                part = (positions[0] + start * batch_size, min(positions[0] + stop * batch_size, positions[1]))
                steps = step_sizes[start:stop]
                losses += run_lazily(X, y, weight, order, part, steps, batch_size, objective, conditioning, iterate)
            return losses
        n_targets, rank = len(iterate.coef), conditioning.whitener.shape[1]
        losses, inverse_scale = np.zeros(n_targets), 1.0 / conditioning.scale
        fixed = (
            Reading.of(block, order),
            conditioning.centre,
            inverse_scale,
            conditioning.whitener,
            memory.curvature,
            memory.anchor,
            objective.loss,
            Penalty(objective.l1, objective.l2, float(objective.positive), not objective.is_smooth),
            objective.fit_intercept,
            (float(momentum[0]), bool(momentum[1])),
        )
        moving = (iterate.coef, iterate.coef_sum, iterate.velocity, losses)
        scratch = self._scratch(block, conditioning)

        def run(positions, step_sizes, share, scratch):
            run_batches(X, y, weight, order, positions, step_sizes, batch_size, share, *fixed, scratch, *moving)

        if not large:
            plain = plain and not rank and not len(conditioning.extreme_rows) and batch_size <= GROUP
            if plain:
                scratch.begin_plainly(conditioning.centre, inverse_scale, iterate.coef)
            run(positions, step_sizes, Share(plain=plain), scratch)
            if plain:
                scratch.end_plainly(iterate.coef, iterate.coef_sum)
            return losses
        scratches = [Scratch.for_block(block, conditioning.extreme_rows, rank) for _ in range(PARTS)]
        over_parts = map if self.n_threads == 1 else self.pool.map
        for number in range(len(step_sizes)):
            first = positions[0] + number * batch_size
            stop = min(first + batch_size, positions[1])
            step_size = step_sizes[number : number + 1]
            adds, steps = (Share(stop - first, stop, one, not one) for one in (True, False))
            for own in (scratch, *scratches):
                own.clear()
            cuts = np.linspace(first, stop, PARTS + 1).astype(int).tolist()
            list(over_parts(run, pairwise(cuts), repeat(step_size), repeat(adds), scratches))
            for own in scratches:
                own.add_to(scratch)
            run((stop, stop), step_size, steps, scratch)
        return losses
