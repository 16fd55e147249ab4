"""The batches of an epoch on a GPU: one launch for all small ones, all multiprocessors for each large one."""

from functools import cache
from types import FunctionType
from typing import NamedTuple

import numpy as np
import triton
import triton.language as tl

from sgdlinreg._objective import proximal
from sgdlinreg._solvers.batches_torch import Position
from sgdlinreg._solvers.graphs_torch import Replayed
from sgdlinreg._solvers.kernels_triton import sum_up, take_step, walk

TILE_BYTES = 1 << 14
"""A tile of rows: two of them, and the coefficients, stay in the registers of a multiprocessor."""
VECTOR = 16
MAX_COLUMNS = 1024
"""Up to this many features a row is one piece of a tile."""
MAX_WHITENED = 64
"""Up to this many features a whitener, and the second moment of earlier rows, stay in registers too."""
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

    rows and columns of a tile are powers of two; tiles is the number of tiles in a batch, with the extreme rows; warps
    those of a program; shared says whether programs share a batch.
    """

    rows: int
    columns: int
    tiles: int
    warps: int
    shared: bool


def covers(n_features: int, is_sparse: bool, whitens: bool, remembers: bool) -> bool:
    """Whether there is a kernel for a problem: dense, and narrow enough for what must stay in registers."""
    return not is_sparse and n_features <= (MAX_WHITENED if whitens or remembers else MAX_COLUMNS)


def shape_of(n_rows: int, n_features: int, itemsize: int, has_matrix: bool = False) -> Shape:
    """Choose the shape of tiles.

    A tile is as wide as the row, to the next power of two, and has as many rows as the batch, at most 16 KiB; half of
    that beside a matrix, and where the number of features is no multiple of 16, because such rows take more addresses
    to load. There is a warp for every 256 of its values, or of the matrix that steps are multiplied by, from 4 to 8.

    Parameters
    ----------
    n_rows : int
        Rows of a batch, with those that join every batch.
    n_features : int
    itemsize : int
        Bytes of a value of X.
    has_matrix : bool
        Whether steps are multiplied by a matrix.

    Examples
    --------
    >>> shape_of(n_rows=32, n_features=64, itemsize=4)
    Shape(rows=32, columns=64, tiles=1, warps=8, shared=False)
    >>> shape_of(n_rows=65536, n_features=64, itemsize=4)
    Shape(rows=64, columns=64, tiles=1024, warps=8, shared=True)
    """
    columns = max(2, _power_of_two(n_features))
    halves = has_matrix or n_features % VECTOR != 0
    tile = TILE_BYTES // (1 + halves) // itemsize
    rows = max(1, min(_power_of_two(n_rows), tile // columns))
    values = max(rows * columns, columns * columns * has_matrix)
    warps = max(MIN_WARPS, min(values // VALUES_PER_WARP, MAX_WARPS))
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


def step_constants(objective, nesterov: bool, whitens: bool, remembers: bool) -> dict:
    """Constants of kernels for what a step consists of."""
    return {
        "PROXIMAL": None if objective.is_smooth else in_triton(proximal),
        "NESTEROV": nesterov,
        "WHITENS": whitens,
        "REMEMBERS": remembers,
    }


class TritonPlan:
    """Batches of one problem in Triton kernels.

    Parameters
    ----------
    torch : module
    problem : Problem
    setting : Setting
        What `covers` says yes to.
    n_programs : int or None
        Programs that share a large batch; None for four a multiprocessor, and no more than there are tiles.
    shared : bool or None
        Whether programs share a batch; None for the rule of `shape_of`.
    """

    def __init__(self, torch, problem, setting, n_programs=None, shared=None):
        block, objective, conditioning = problem.block, problem.objective, problem.conditioning
        n_features, n_targets, device = block.n_features, problem.n_targets, block.y.device
        self.torch, self.problem, self.setting, self.device = torch, problem, setting, device
        self.n_extreme = len(setting.extreme_rows)
        self.whitens, self.remembers = setting.whitener is not None, setting.curvature is not None
        n_joined = problem.batch_size + self.n_extreme
        self.shape = shape_of(n_joined, n_features, block.dtype.itemsize, self.whitens or self.remembers)
        self.shared = self.shape.shared if shared is None else shared

        zeros = torch.zeros((3, n_targets, n_features + 1), dtype=torch.float64, device=device)
        self.coef, self.coef_sum, self.velocity = zeros
        self.losses = torch.zeros(n_targets, dtype=torch.float64, device=device)
        self.position = Position(self.coef.T, self.coef_sum.T, self.velocity.T, self.losses)

        def put(array):
            return torch.as_tensor(np.ascontiguousarray(array, dtype=np.float64), device=device)

        curvature, anchor = problem.memory
        matrices = (
            put(self._padded(conditioning.whitener)),
            put(self._padded(curvature[:-1, :-1])),
            put(curvature[-1] if self.remembers else np.zeros(1)),
            put(anchor if self.remembers else np.zeros((n_targets, n_features + 1))),
        )
        share = (block.n_rows - self.n_extreme) / block.n_rows
        epsilon = getattr(objective.loss, "epsilon", 0.0)
        numbers = [epsilon, objective.l1, objective.l2, 0.0, objective.positive, objective.fit_intercept, share]
        self.numbers = put([*numbers, 1.0 / block.n_rows])
        moving = self.coef, self.coef_sum, self.velocity, self.losses
        self.of_a_step = (*moving, setting.centre, setting.inverse_scale, *matrices, self.numbers)
        self.nesterov: bool | None = None
        if self.shared:
            self._allocate(n_programs)

    def _allocate(self, n_programs):
        """Make what replayed launches read: they always see the same memory."""
        torch, problem, device = self.torch, self.problem, self.device
        if n_programs is None:
            n_programs = PROGRAMS_PER_PROCESSOR * torch.cuda.get_device_properties(device).multi_processor_count
        self.n_programs = min(n_programs, self.shape.tiles)
        n_rows = problem.block.y.shape[0]  # those of a part, where rows are streamed
        n_batches = -(-n_rows // problem.batch_size)
        self.partial = torch.empty(
            (problem.n_targets, self.n_programs, problem.block.n_features + 2), dtype=torch.float64, device=device
        )
        self.order = torch.zeros(n_rows, dtype=torch.int64, device=device)
        self.step_sizes = torch.zeros((n_batches, problem.n_targets), dtype=torch.float64, device=device)
        self.progress = torch.zeros(problem.n_targets, dtype=torch.int64, device=device)
        self.extent = torch.zeros(2, dtype=torch.int64, device=device)

    def run(self, order, step_sizes, momentum):
        """Take a step for every batch of the rows ``order``."""
        factor, nesterov = momentum
        self.numbers[3] = factor
        if self.shared:
            if nesterov != self.nesterov:
                self.nesterov = nesterov
                self.replayed = Replayed(self.torch, self.device, not self.problem.block.is_part)
            self._run_shared(order, step_sizes)
        else:
            self._walk(order, step_sizes, nesterov)

    def _data(self):
        block = self.problem.block
        weight = block.y if block.sample_weight is None else block.sample_weight
        return block.X, block.y, weight

    def _padded(self, matrix):
        """Fill up a matrix with zeros to the width of a tile; one without values stays without."""
        if not matrix.size:
            return np.zeros(1)
        square = np.zeros((self.shape.columns, self.shape.columns))
        square[: matrix.shape[0], : matrix.shape[1]] = matrix
        return square

    def _tile_constants(self):
        block, shape = self.problem.block, self.shape
        tile = {"ROWS": shape.rows, "COLUMNS": shape.columns, "TILES": shape.tiles, "num_warps": shape.warps}
        return {"HAS_WEIGHT": block.sample_weight is not None, **tile, **loss_constants(self.problem.objective.loss)}

    def _walk(self, order, step_sizes, nesterov):
        problem, setting = self.problem, self.setting
        walk[(problem.n_targets,)](
            *self._data(),
            order,
            setting.extreme_rows,
            step_sizes,
            *self.of_a_step,
            problem.block.n_features,
            problem.n_targets,
            problem.batch_size,
            self.n_extreme,
            len(order),
            len(step_sizes),
            **self._tile_constants(),
            **step_constants(problem.objective, nesterov, self.whitens, self.remembers),
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
        problem, setting = self.problem, self.setting
        sizes = problem.block.n_features, problem.n_targets, problem.batch_size
        progress = self.progress, self.extent, self.partial
        for _ in range(STEPS_PER_REPLAY):
            sum_up[(problem.n_targets, self.n_programs)](
                *self._data(),
                self.order,
                setting.extreme_rows,
                *progress,
                self.coef,
                setting.centre,
                setting.inverse_scale,
                self.numbers,
                *sizes,
                self.n_extreme,
                self.n_programs,
                **self._tile_constants(),
            )
            take_step[(problem.n_targets,)](
                *progress,
                self.step_sizes,
                *self.of_a_step,
                *sizes,
                self.n_programs,
                COLUMNS=self.shape.columns,
                PARTS=max(1, PARTIAL_VALUES // self.shape.columns),
                num_warps=MAX_WARPS if self.whitens or self.remembers else MIN_WARPS,
                **step_constants(problem.objective, bool(self.nesterov), self.whitens, self.remembers),
            )
