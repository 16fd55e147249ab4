"""The kernel of solver="numba": gives compiled code its arrays, and parts of large sums to threads."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cached_property
from itertools import pairwise

import numpy as np
from joblib import effective_n_jobs

from sgdlinreg._core.blocks import CSR, Picked, part_of
from sgdlinreg._core.contract import CPUKernel
from sgdlinreg._core.objective import LOSSES, gradient_sums
from sgdlinreg._solvers.sgd_numba.batches import Folded, Rows, Steps, Sums, add_rows, run_batches, take_step
from sgdlinreg._solvers.sgd_numba.slopes import weigh


def _read_only(array: np.ndarray) -> np.ndarray:
    """Return a view of an array that is read-only, so that compiled code has one form for both kinds."""
    if not array.flags.writeable:
        return array
    view = array.view()
    view.flags.writeable = False
    return view


NO_WEIGHTS = _read_only(np.ones(1))
PANEL = _read_only(np.arange(1 << 16, dtype=np.int32))
"""Order of rows that are read as they come, so many at a time."""
PARTS = 8
"""Large sums are made in so many parts, for any number of threads, so that the result does not depend on it."""
LARGE_BATCH_BYTES = 1 << 24
"""Sums over rows of so many bytes are large: below, threads would wait for each other longer than they work."""
AHEAD, AHEAD_BYTES = 32, 1 << 18
"""Memory is asked for so many rows ahead, fewer if they are long: they must not be gone again too soon."""
MANY = 4
"""Gradients of so many models are products of matrices."""
NOT_AHEAD, SHORT_ROW_BYTES = 1 << 40, 256
"""Rows up to this size that are read in sequence come by themselves."""


class NumbaKernel(CPUKernel):
    """The compiled kernel: small batches on one core, the parts of large sums in ``n_jobs`` threads."""

    losses = frozenset(LOSSES)

    def __init__(self, device="auto", n_jobs=None):
        self.n_jobs = n_jobs
        if n_jobs is not None:
            effective_n_jobs(n_jobs)  # raises a ValueError for 0

    @cached_property
    def n_threads(self) -> int:
        """Number of threads for large sums."""
        return effective_n_jobs(self.n_jobs)

    @cached_property
    def pool(self):
        """Threads; they end with the kernel."""
        return ThreadPoolExecutor(self.n_threads)

    def place(self, block):
        """Bring X to NumPy's memory, where passes over it are compiled."""
        return replace(block.on_host(), compiled=True)

    def run_batches(self, block, order, step_sizes, batch_size, objective, coordinates, momentum, iterate):
        """Take one step for every batch."""
        rows, loss, dtype = _rows_of(block), _of_floats(objective.loss), block.dtype
        if block.n_rows <= 1 << 31:  # one compilation for both types
            order = order.astype(np.int32, copy=False)
        order, step_sizes = _read_only(order), _read_only(step_sizes)
        ahead = _ahead(block)
        steps = Steps(
            centre=_read_only(coordinates.centre),
            inverse_scale=1.0 / coordinates.scale,
            l1=float(objective.l1),
            l2=float(objective.l2),
            positive=float(objective.positive),
            is_smooth=bool(objective.is_smooth),
            fit_intercept=bool(objective.fit_intercept),
            momentum=float(momentum[0]),
            nesterov=bool(momentum[1]),
        )
        if not _is_large(block, min(batch_size, len(order))):
            sums = _zero_sums(iterate.coef, dtype)
            folded = _folded(iterate.coef, dtype)
            run_batches(rows, order, step_sizes, batch_size, ahead, loss, steps, folded, sums, iterate)
            return sums.losses

        losses = np.zeros(block.n_targets)
        for step_size, start in zip(step_sizes, range(0, len(order), batch_size), strict=True):
            stop = min(start + batch_size, len(order))
            folded = _folded(coordinates.to_raw(iterate.coef), dtype)

            def add_part(start, stop, sums, folded=folded):
                add_rows(rows, order, start, stop, ahead, loss, folded, sums)

            sums = self._sum_in_parts(add_part, start, stop, _zero_sums(iterate.coef, dtype))
            take_step(stop - start, step_size, steps, sums, iterate)
            losses += sums.losses
        return losses

    def gradient_sums(self, block, loss, coef, centre, with_y=True):
        """Sum the loss and its gradient over all rows, in float64."""
        if isinstance(block.X, Picked) or len(coef) >= MANY or len(coef) > block.n_targets:
            return self._gradient_sums_of_many(block, loss, coef, centre, with_y)
        rows, loss = _rows_of(block), _of_floats(loss)
        if not with_y:
            rows = rows._replace(y=_read_only(np.zeros(block.n_targets)), y_step=0)
        folded = Folded(np.ascontiguousarray(coef[:, :-1]), coef[:, -1] - coef[:, :-1] @ centre)
        ahead = NOT_AHEAD if block.row_bytes <= SHORT_ROW_BYTES else _ahead(block)

        def add_part(start, stop, sums):
            for first in range(start, stop, len(PANEL)):
                order = PANEL[: block.n_rows - first]  # what is asked for ahead must be there
                panel = rows._replace(first_row=first)
                add_rows(panel, order, 0, min(len(order), stop - first), ahead, loss, folded, sums)

        sums = _zero_sums(coef, np.float64)
        if _is_large(block, block.n_rows):
            sums = self._sum_in_parts(add_part, 0, block.n_rows, sums)
        else:
            add_part(0, block.n_rows, sums)
        sums.gradient[:, :-1] -= np.outer(sums.gradient[:, -1], centre)
        return sums.losses, sums.gradient

    def _gradient_sums_of_many(self, block, loss, coef, centre, with_y):
        """Sum with products by BLAS, which reads a number of the rows once for all models."""
        loss = type(loss)(*(np.broadcast_to(np.asarray(number, float), len(coef)).copy() for number in loss))

        def add_part(start, stop, sums):
            part = part_of(block, slice(start, stop))
            losses, gradient = gradient_sums(part, loss, coef, centre, with_y, weigh)
            sums.losses[:] += losses
            sums.gradient[:] += gradient

        sums = self._sum_in_parts(add_part, 0, block.n_rows, _zero_sums(coef, np.float64))
        return sums.losses, sums.gradient

    def _sum_in_parts(self, add_part, start, stop, total):
        """Call ``add_part(start, stop, sums)`` for parts of a range, in threads, and add their sums in order."""

        def sum_part(bounds):
            sums = Sums(*map(np.zeros_like, total))
            add_part(*bounds, sums)
            return sums

        bounds = pairwise(np.linspace(start, stop, PARTS + 1).astype(int).tolist())
        for sums in map(sum_part, bounds) if self.n_threads == 1 else self.pool.map(sum_part, bounds):
            total.losses[:] += sums.losses
            total.gradient[:] += sums.gradient
        return total


def _is_large(block, n_rows) -> bool:
    return n_rows * block.row_bytes >= LARGE_BATCH_BYTES


def _ahead(block) -> int:
    """Return how many rows ahead memory is asked for."""
    return int(max(4, min(AHEAD, AHEAD_BYTES // max(1.0, block.row_bytes))))


def _rows_of(block) -> Rows:
    """Return read-only views, so that writable and read-only data share one compilation."""
    X, weight = block.X, block.sample_weight
    if isinstance(X, CSR):
        X = X._replace(data=_read_only(X.data), indices=_read_only(X.indices), indptr=_read_only(X.indptr))
    else:
        X = _read_only(X)
    y = _read_only(block.y.reshape(-1))
    weighted = weight is not None
    return Rows(X, y, _read_only(weight) if weighted else NO_WEIGHTS, block.n_targets, int(weighted), first_row=0)


def _of_floats(loss):
    """Return a loss with its numbers as floats, so that an integer compiles nothing."""
    return type(loss)(*map(float, loss))


def _folded(coef, dtype) -> Folded:
    """Return coefficients on x as compiled code wants them."""
    return Folded(coef[:, :-1].astype(dtype, order="C"), coef[:, -1].copy())


def _zero_sums(coef, dtype) -> Sums:
    n_targets, n_columns = coef.shape
    return Sums(np.zeros(n_targets), np.zeros(coef.shape), np.zeros(n_columns - 1, dtype))
