"""The batches of an epoch on a GPU: one launch for all small ones, all multiprocessors for each large one."""

from functools import cache
from types import FunctionType
from typing import NamedTuple

import triton
import triton.language as tl

from sgdlinreg._core.contract import Iterate
from sgdlinreg._core.objective import proximal
from sgdlinreg._solvers.sgd_torch.cuda_graphs import Replayed
from sgdlinreg._solvers.sgd_torch.triton_kernels import sum_up, take_step, walk

TILE_BYTES = 1 << 14
"""A tile of rows: two of them, and the coefficients, stay in the registers of a multiprocessor."""
VECTOR = 16
MAX_COLUMNS = 1024
"""Up to this many features a row is one piece of a tile."""
VALUES_PER_WARP = 256
MIN_WARPS, MAX_WARPS = 4, 8
SHARED_BYTES = 1 << 18
"""Batches of this size and more are shared by all multiprocessors: one takes longer to read them than two launches."""
PROGRAMS_PER_PROCESSOR = 4
PARTIAL_VALUES = 2048
"""Partial sums that are read at once."""
STEPS_PER_REPLAY = 8


class Shape(NamedTuple):
    """How a kernel cuts up a batch.

    rows and columns of a tile are powers of two; tiles is the number of tiles in a batch; warps those of a program;
    shared says whether programs share a batch.
    """

    rows: int
    columns: int
    tiles: int
    warps: int
    shared: bool


def covers(block) -> bool:
    """Whether there is a kernel for the rows: dense, and narrow enough for what must stay in registers."""
    return not block.is_sparse and block.n_features <= MAX_COLUMNS


def shape_of(n_rows: int, n_features: int, itemsize: int) -> Shape:
    """Choose the shape of tiles.

    A tile is as wide as the row, to the next power of two, and has as many rows as the batch, at most 16 KiB; half of
    that where the number of features is no multiple of 16, because such rows take more addresses to load. There is a
    warp for every 256 of its values, from 4 to 8.

    Parameters
    ----------
    n_rows : int
        Rows of a batch.
    n_features : int
    itemsize : int
        Bytes of a value of X.

    Examples
    --------
    >>> shape_of(n_rows=32, n_features=64, itemsize=4)
    Shape(rows=32, columns=64, tiles=1, warps=8, shared=False)
    >>> shape_of(n_rows=65536, n_features=64, itemsize=4)
    Shape(rows=64, columns=64, tiles=1024, warps=8, shared=True)
    """
    columns = max(2, _power_of_two(n_features))
    tile = TILE_BYTES // (1 + (n_features % VECTOR != 0)) // itemsize
    rows = max(1, min(_power_of_two(n_rows), tile // columns))
    warps = max(MIN_WARPS, min(rows * columns // VALUES_PER_WARP, MAX_WARPS))
    return Shape(rows, columns, -(-n_rows // rows), warps, n_rows * n_features * itemsize >= SHARED_BYTES)


def _power_of_two(number: int) -> int:
    """Smallest power of two that is no smaller."""
    return 1 << (max(number, 1) - 1).bit_length()


@triton.jit
def absolute(number):
    """Give the absolute value."""
    return tl.abs(number)


@cache
def in_triton(function):
    """Compile a plain scalar function of the objective for a kernel; its ``abs`` is that of Triton."""
    names = {**function.__globals__, "abs": absolute, "tl": tl}
    copy = FunctionType(function.__code__, names, function.__name__, function.__defaults__)
    copy.__module__, copy.__qualname__ = function.__module__, function.__qualname__
    return triton.jit(copy)


class LossType:
    """What makes a loss of its parameter inside a kernel.

    Triton looks into constants that are tuples, and takes the type of a loss, a named tuple, for one. Instances of
    equal types are equal, and their text is part of the key of compiled code.
    """

    def __init__(self, cls):
        self.cls = cls

    def __call__(self, epsilon):
        return self.cls(epsilon)

    def __repr__(self):
        return f"LossType({self.cls.__qualname__})"

    def __eq__(self, other):
        return isinstance(other, LossType) and self.cls is other.cls

    def __hash__(self):
        return hash(self.cls)


def loss_constants(loss) -> dict:
    """Constants of kernels for a loss: what makes it, if it has a parameter, its value and its slope."""
    cls = type(loss)
    made = LossType(cls) if cls._fields else None
    return {"LOSS": made, "VALUE": in_triton(cls.value), "SLOPE": in_triton(cls.slope)}


def step_constants(objective, nesterov: bool) -> dict:
    """Constants of kernels for what a step consists of."""
    return {"PROXIMAL": None if objective.is_smooth else in_triton(proximal), "NESTEROV": nesterov}


class TritonPlan:
    """Batches of one problem in Triton kernels.

    Parameters
    ----------
    torch : module
    problem : Problem
        Of a block that `covers` says yes to.
    n_programs : int or None
        Programs that share a large batch; None for four a multiprocessor, and no more than there are tiles.
    shared : bool or None
        Whether programs share a batch; None for the rule of `shape_of`.

    Attributes
    ----------
    coordinates : tuple of (centre, 1 / scale), tensors of shape (n_features,)
    iterate : Iterate
        Tensors of shape (n_features + 1, n_targets).
    losses : tensor of shape (n_targets,)
    """

    def __init__(self, torch, problem, n_programs=None, shared=None):
        block, batch_size, objective, _ = problem
        self.torch, self.problem, self.device = torch, problem, block.y.device
        self.shape = shape_of(batch_size, block.n_features, block.dtype.itemsize)
        self.shared = self.shape.shared if shared is None else shared
        about = {"dtype": torch.float64, "device": self.device}
        moving = torch.zeros((3, block.n_targets, block.n_features + 1), **about)
        self.iterate = Iterate(*(tensor.T for tensor in moving))
        self.losses = torch.zeros(block.n_targets, **about)
        self.coordinates = tuple(torch.zeros((2, block.n_features), **about))
        epsilon = getattr(objective.loss, "epsilon", 0.0)
        numbers = [epsilon, objective.l1, objective.l2, 0.0, objective.positive, objective.fit_intercept]
        self.numbers = torch.tensor(numbers, **about)
        self.of_a_step = (*moving, self.losses, *self.coordinates, self.numbers)
        self.nesterov: bool | None = None
        if self.shared:
            self._allocate(n_programs)

    def _allocate(self, n_programs):
        """Make what replayed launches read: they always see the same memory."""
        torch, (block, batch_size, *_) = self.torch, self.problem
        if n_programs is None:
            n_programs = PROGRAMS_PER_PROCESSOR * torch.cuda.get_device_properties(self.device).multi_processor_count
        self.n_programs = min(n_programs, self.shape.tiles)
        numbers, counts = ({"dtype": kind, "device": self.device} for kind in (torch.float64, torch.int64))
        self.partial = torch.empty((block.n_targets, self.n_programs, block.n_features + 2), **numbers)
        self.order = torch.zeros(block.n_rows, **counts)
        self.step_sizes = torch.zeros((-(-block.n_rows // batch_size), block.n_targets), **numbers)
        self.progress, self.extent = torch.zeros(block.n_targets, **counts), torch.zeros(2, **counts)

    def run(self, order, step_sizes, momentum):
        """Take a step for every batch of the rows ``order``."""
        factor, nesterov = momentum
        self.numbers[3] = factor
        if not self.shared:
            self._walk(order, step_sizes, nesterov)
            return
        if nesterov != self.nesterov:
            self.nesterov = nesterov
            self.replayed = Replayed(self.torch, self.device, self.problem.replays)
        self._run_shared(order, step_sizes)

    def _data(self):
        block = self.problem.block
        return block.X, block.y, block.y if block.sample_weight is None else block.sample_weight

    def _sizes(self):
        block, batch_size, *_ = self.problem
        return block.n_features, block.n_targets, batch_size

    def _tile_constants(self):
        block, shape = self.problem.block, self.shape
        tile = {"ROWS": shape.rows, "COLUMNS": shape.columns, "TILES": shape.tiles, "num_warps": shape.warps}
        return {"HAS_WEIGHT": block.sample_weight is not None, **tile, **loss_constants(self.problem.objective.loss)}

    def _walk(self, order, step_sizes, nesterov):
        walk[(self.problem.block.n_targets,)](
            *self._data(),
            order,
            step_sizes,
            *self.of_a_step,
            *self._sizes(),
            len(order),
            len(step_sizes),
            **self._tile_constants(),
            **step_constants(self.problem.objective, nesterov),
        )

    def _run_shared(self, order, step_sizes):
        """Take steps by replaying some at a time; those after the last batch do nothing."""
        n_batches = len(step_sizes)
        self.order[: len(order)] = order
        self.step_sizes[:n_batches] = step_sizes
        self.progress.zero_()
        self.extent[0], self.extent[1] = n_batches, len(order)
        for _ in range(-(-n_batches // STEPS_PER_REPLAY)):
            self.replayed(self._take_shared_steps)

    def _take_shared_steps(self):
        n_targets, progress = self.problem.block.n_targets, (self.progress, self.extent, self.partial)
        for _ in range(STEPS_PER_REPLAY):
            sum_up[(n_targets, self.n_programs)](
                *self._data(),
                self.order,
                *progress,
                self.of_a_step[0],
                *self.coordinates,
                self.numbers,
                *self._sizes(),
                self.n_programs,
                **self._tile_constants(),
            )
            take_step[(n_targets,)](
                *progress,
                self.step_sizes,
                *self.of_a_step,
                *self._sizes(),
                self.n_programs,
                COLUMNS=self.shape.columns,
                PARTS=max(1, PARTIAL_VALUES // self.shape.columns),
                num_warps=MIN_WARPS,
                **step_constants(self.problem.objective, bool(self.nesterov)),
            )
