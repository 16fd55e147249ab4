"""The batches of an epoch on a GPU: one launch for all small ones, all multiprocessors for each large one."""

from functools import cache
from types import FunctionType

import triton
import triton.language as tl

from sgdlinreg._core.objective import proximal
from sgdlinreg._solvers.sgd_torch.plan import Plan
from sgdlinreg._solvers.sgd_torch.triton_kernels import sum_up, take_step, walk

TILE_BYTES = 1 << 14
"""A tile of rows: two of them, and the coefficients, stay in the registers of a multiprocessor."""
ALIGNED = 16
"""Rows whose number of features is no multiple of it take more addresses to load: their tiles are half as large."""
MAX_COLUMNS = 1024
"""Up to this many features a row is one piece of a tile."""
WARPS = 8
SHARED_BYTES = 1 << 18
"""Batches of this size and more are shared by all multiprocessors: one takes longer to read them than two launches."""
MAX_PROGRAMS = 512
"""Programs that share a large batch: some for each multiprocessor, and as many on every GPU, so that sums are equal."""
PARTIAL_VALUES = 2048
"""Values of partial sums that are read at once."""
STEPS_PER_REPLAY = 8


def covers(block) -> bool:
    """Return whether there is a kernel for the rows: dense, and narrow enough for what must stay in registers."""
    return not block.is_sparse and block.n_features <= MAX_COLUMNS


def tile_of(n_rows: int, n_features: int, itemsize: int) -> dict[str, int]:
    """Choose the shape of tiles, as constants of kernels.

    A tile is as wide as the row, to the next power of two, and has as many rows as the batch, ``n_rows``, at most 16
    KiB. ``itemsize`` is the size of a value of X in bytes.

    Examples
    --------
    >>> tile_of(n_rows=32, n_features=64, itemsize=4)
    {'ROWS': 32, 'COLUMNS': 64, 'TILES': 1}
    >>> tile_of(n_rows=65536, n_features=50, itemsize=4)
    {'ROWS': 32, 'COLUMNS': 64, 'TILES': 2048}
    """
    columns = max(2, triton.next_power_of_2(n_features))
    n_values = TILE_BYTES // (1 if n_features % ALIGNED == 0 else 2) // itemsize
    rows = max(1, min(triton.next_power_of_2(n_rows), n_values // columns))
    return {"ROWS": rows, "COLUMNS": columns, "TILES": -(-n_rows // rows)}


@triton.jit
def absolute(number):
    """Return the absolute value."""
    return tl.abs(number)


@cache
def in_triton(function):
    """Compile a plain scalar function of the objective for a kernel; its ``abs`` is that of Triton."""
    names = {**function.__globals__, "abs": absolute, "tl": tl}
    copy = FunctionType(function.__code__, names, function.__name__, function.__defaults__)
    copy.__module__, copy.__qualname__ = function.__module__, function.__qualname__
    return triton.jit(copy)


def constants_of_sums(kind, has_weight: bool, tile: dict[str, int]) -> dict:
    """Return the constants of the kernels that sum up rows."""
    of_loss = {"VALUE": in_triton(kind.loss.value), "SLOPE": in_triton(kind.loss.slope)}
    return {**of_loss, "HAS_WEIGHT": has_weight, **tile}


def constants_of_steps(kind, nesterov: bool) -> dict:
    """Return the constants of the kernels that take steps."""
    return {"PROXIMAL": None if kind.is_smooth else in_triton(proximal), "NESTEROV": nesterov}


def constants_of_parts(tile: dict[str, int]) -> dict:
    """Return the constants of the kernel that adds up what programs have summed up."""
    return {"COLUMNS": tile["COLUMNS"], "PARTS": max(1, PARTIAL_VALUES // tile["COLUMNS"])}


class TritonPlan(Plan):
    """Steps in Triton kernels, for a block that `covers` says yes to.

    Parameters and attributes are those of `Plan`.
    """

    def __init__(self, torch, block, batch_size, kind, n_models, captures):
        super().__init__(torch, block, batch_size, kind, n_models, captures)
        weight = block.sample_weight
        self.tile = tile_of(batch_size, block.n_features, block.dtype.itemsize)
        self.of_sums = constants_of_sums(kind, weight is not None, self.tile)
        self.data = block.X, block.y, block.y if weight is None else weight
        self.sizes = block.n_features, block.n_targets, batch_size
        self.is_shared = batch_size * block.n_features * block.dtype.itemsize >= SHARED_BYTES
        if self.is_shared:  # replayed launches always see the same memory
            self.n_programs = min(MAX_PROGRAMS, self.tile["TILES"])
            self.partial = self._zeros(n_models, self.n_programs, block.n_features + 2)
            self.order = self._zeros(block.n_rows, dtype="int64")
            self.step_sizes = self._zeros(-(-block.n_rows // batch_size), n_models)
            self.progress, self.extent = self._zeros(n_models, dtype="int64"), self._zeros(2, dtype="int64")

    def take_steps(self, order, step_sizes, momentum):
        """Take a step for every batch of the rows ``order``."""
        nesterov, n_batches = momentum[1], len(step_sizes)
        fixed = self.coordinates, self.scalars, *self.sizes
        if not self.is_shared:
            args = (*self.data, order, step_sizes, self.iterate, self.losses, *fixed, len(order), n_batches)
            constants = {**self.of_sums, **constants_of_steps(self.kind, nesterov)}
            walk[(self.n_models,)](*args, **constants, num_warps=WARPS)
            return
        self.order[: len(order)] = order
        self.step_sizes[:n_batches] = step_sizes
        self.progress.zero_()
        self.extent[0], self.extent[1] = n_batches, len(order)
        for _ in range(-(-n_batches // STEPS_PER_REPLAY)):  # those after the last batch do nothing
            self.replayed(lambda: self._take_shared_steps(fixed, nesterov), nesterov)

    def _take_shared_steps(self, fixed, nesterov):
        shared = self.progress, self.extent, self.partial
        sum_args = (*self.data, self.order, *shared, self.iterate, *fixed, self.n_programs)
        step_args = (*shared, self.step_sizes, self.iterate, self.losses, *fixed, self.n_programs)
        of_steps = {**constants_of_parts(self.tile), **constants_of_steps(self.kind, nesterov)}
        for _ in range(STEPS_PER_REPLAY):
            sum_up[(self.n_models, self.n_programs)](*sum_args, **self.of_sums, num_warps=WARPS)
            take_step[(self.n_models,)](*step_args, **of_steps, num_warps=WARPS)
