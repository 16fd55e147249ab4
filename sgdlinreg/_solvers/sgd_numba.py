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
from sgdlinreg._solvers.base import CPUKernel
from sgdlinreg._solvers.batches_numba import Penalty, run_batches
from sgdlinreg._solvers.lazy_numba import MAX_RUNS, run_lazily, runs_of_equal_steps
from sgdlinreg._solvers.narrow_numba import is_narrow, run_narrow
from sgdlinreg._solvers.rows_numba import GROUP, Reading
from sgdlinreg._solvers.scratch_numba import Scratch
from sgdlinreg._solvers.share_numba import Plain, Share

NO_WEIGHTS = read_only(np.empty(0))
PARTS = 8
"""Large batches are summed in so many parts."""
LARGE_BATCH_BYTES = 1 << 24
"""Batches from this size on are large: below, threads would wait for each other longer than they work."""


class NumbaKernel(CPUKernel):
    """The compiled kernel: small batches on one core, the parts of large ones in ``n_jobs`` threads."""

    losses = frozenset(LOSSES)

    def __init__(self, device="auto", n_jobs=None):
        self.n_jobs = n_jobs
        if n_jobs is not None:
            effective_n_jobs(n_jobs)  # what makes no sense is told before any work
        self._of_last_epoch: tuple[Any, ...] = (None,) * 6

    @cached_property
    def n_threads(self) -> int:
        """Threads for large batches."""
        return effective_n_jobs(self.n_jobs)

    @cached_property
    def pool(self):
        """Threads; they end with the kernel."""
        return ThreadPoolExecutor(self.n_threads)

    def place(self, block, measure):
        """Bring X to NumPy's memory, where passes over it are compiled."""
        return super().place(block, measure)._replace(compiled=True)

    def to_device(self, block):
        """Give the block with read-only arrays, so that writable and read-only data share one compilation."""
        X = block.X
        if isinstance(X, CSR):
            X = X._replace(data=read_only(X.data), indices=read_only(X.indices), indptr=read_only(X.indptr))
        else:
            X = read_only(X)
        return Block(X, read_only(block.y), None if block.sample_weight is None else read_only(block.sample_weight))

    def _ready(self, block, order, objective, conditioning, memory) -> tuple[Scratch, tuple]:
        """Give memory for the kernel, and its arguments that are the same in every epoch over a block."""
        *last, ready = self._of_last_epoch
        same = block is last[0] and objective is last[1] and conditioning is last[2] and memory is last[3]
        form = len(order.slots), order.stride
        if not same or form != last[4]:
            ready = (
                Scratch.for_block(block, conditioning),
                (
                    Reading.of(block, order),
                    conditioning.centre,
                    1.0 / conditioning.scale,
                    conditioning.whitener,
                    memory.curvature,
                    memory.anchor,
                    objective.loss,
                    Penalty(objective.l1, objective.l2, float(objective.positive), not objective.is_smooth),
                    objective.fit_intercept,
                ),
            )
            self._of_last_epoch = block, objective, conditioning, memory, form, ready
        return ready

    def run_batches(
        self, block, order, positions, step_sizes, batch_size, objective, conditioning, memory, momentum, iterate
    ):
        """Run the kernel that is made for such steps."""
        X, y = block.X, block.y
        weight = NO_WEIGHTS if block.sample_weight is None else block.sample_weight
        large = min(batch_size, positions[1] - positions[0]) * block.row_bytes >= LARGE_BATCH_BYTES
        # steps along the gradient of their batch alone; the velocity of a full batch is used again
        alone = momentum[0] == 0.0 and objective.is_smooth and not len(memory.curvature) and len(step_sizes) > 1
        losses = np.zeros(len(iterate.coef))
        runs = runs_of_equal_steps(step_sizes, objective.l2 > 0.0) if block.is_sparse and alone and not large else []
        if 0 < len(runs) <= MAX_RUNS:
            for start, stop in runs:
                part = (positions[0] + start * batch_size, min(positions[0] + stop * batch_size, positions[1]))
                steps = step_sizes[start:stop]
                losses += run_lazily(X, y, weight, order, part, steps, batch_size, objective, conditioning, iterate)
            return losses
        scratch, fixed = self._ready(block, order, objective, conditioning, memory)
        reading = fixed[0]
        plain = alone and batch_size <= GROUP and not conditioning.whitener.shape[1]
        plain = plain and not len(conditioning.extreme_rows) and not large
        if plain and is_narrow(reading, len(losses)):
            run_narrow(
                X,
                y,
                weight,
                order,
                positions,
                step_sizes,
                batch_size,
                reading,
                objective.loss,
                objective.l2,
                objective.fit_intercept,
                scratch,
                iterate.coef,
                iterate.coef_sum,
                losses,
            )
            return losses
        momentum = (float(momentum[0]), bool(momentum[1]))
        moving = iterate.coef, iterate.coef_sum, iterate.velocity, losses

        def run(positions, step_sizes, share, scratch):
            run_batches(
                X, y, weight, order, positions, step_sizes, batch_size, share, *fixed, momentum, scratch, *moving
            )

        if large:
            scratches = [Scratch.for_block(block, conditioning) for _ in range(PARTS)]
            self._run_in_parts(run, positions, step_sizes, batch_size, scratch, scratches)
        else:
            run(positions, step_sizes, Plain() if plain else Share(), scratch)
        return losses

    def _run_in_parts(self, run, positions, step_sizes, batch_size, scratch, scratches):
        """Sum each batch in parts, as many for any number of threads, and add the sums in their order.

        So the result does not depend on ``n_jobs``.
        """
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
