"""The batches of an epoch on any device that torch knows: which way they run, and what is copied to and fro."""

import warnings
from contextlib import closing, nullcontext
from functools import cache
from importlib.util import find_spec
from subprocess import SubprocessError
from typing import Any, NamedTuple

from sgdlinreg._blocks import Block
from sgdlinreg._objective import LOSSES
from sgdlinreg._optional import import_optional
from sgdlinreg._ordering import Order
from sgdlinreg._solvers import transfer
from sgdlinreg._solvers.batches_torch import (
    batches_at_once,
    make_position,
    make_setting,
    take_steps,
)
from sgdlinreg._solvers.graphs_torch import Replayed
from sgdlinreg._solvers.rows_torch import Buffers, most_values
from sgdlinreg._solvers.transfer import DeviceBlock

SPARE_ROOM = 1 / 32
"""Room for values of CSR batches beyond the largest so far, as a share: the next epoch cuts other batches."""


class Problem(NamedTuple):
    """What stays the same from epoch to epoch."""

    block: DeviceBlock
    batch_size: int
    objective: Any
    conditioning: Any
    memory: Any
    n_targets: int

    def is_same(self, other) -> bool:
        """Whether everything is the same object, or an equal number."""
        return all(
            mine is its or (isinstance(mine, int) and mine == its) for mine, its in zip(self, other, strict=True)
        )


@cache
def _why_triton_fails() -> str:
    """Make Triton build what it launches kernels with; gives the error, or nothing."""
    try:
        from triton.runtime import driver

        driver.active.get_current_target()
    except (ImportError, OSError, RuntimeError, SubprocessError) as error:  # of loading, of compilers
        return (str(error).splitlines() or [type(error).__name__])[0]
    return ""


class TorchKernel:
    """Triton's kernels on CUDA where they cover a problem, else torch operations.

    Coefficients and averages are float64; the rows of large batches are multiplied and summed in the dtype of X.
    """

    losses = frozenset(LOSSES)
    devices = True
    auto_batch_size = 256

    def __init__(self, device="auto", n_jobs=None):
        self.torch = import_optional("torch", "torch", "solver='torch'")
        self.device: Any = "cpu" if device == "auto" else device
        self.plan: Any = None
        try:
            self.device = self.torch.empty(0, dtype=self.torch.float64, device=self.device).device
        except (RuntimeError, AssertionError, NotImplementedError, TypeError) as error:
            raise ValueError(
                f"device={device!r} is not available to torch {self.torch.__version__} on this machine "
                f"({str(error).splitlines()[0]}). Use solver='numba' or 'normal_equation' on the CPU, or "
                "solver='torch' with device='cpu'."
            ) from error
        if self.device.type == "meta":
            raise ValueError("Tensors on device='meta' have no values to fit. Use another device.")

    def place(self, block: Block, measure) -> Block:
        """Bring X to the device, where there is room, and measure it on the way."""
        return transfer.place(block, self.device, measure)

    def to_device(self, block: Block):
        """Give a block as tensors on the device, without a copy where they are there already."""
        return transfer.to_device(block, self.device)

    def run_batches(
        self, block, order, positions, step_sizes, batch_size, objective, conditioning, memory, momentum, iterate
    ):
        """Run the kernel on the device and bring coefficients and losses back once at the end."""
        if isinstance(block, transfer.HostBlock):
            about = (step_sizes, batch_size, objective, conditioning)
            return self._stream(block, order, positions, *about, memory, momentum, iterate)
        torch = self.torch
        problem = Problem(block, batch_size, objective, conditioning, memory, len(iterate.coef))
        with torch.no_grad(), torch.cuda.device(self.device) if self.device.type == "cuda" else nullcontext():
            if self.plan is None or not self.plan.problem.is_same(problem):
                self.plan = self._plan(problem)
            position = self.plan.position
            for tensor, array in zip(position, iterate, strict=False):
                tensor.copy_(self._put(array.T.reshape(tensor.shape)))
            position.losses.zero_()
            order = Order(*map(self._put, order[:4]), *order[4:])
            self.plan.run(order.rows(*positions, concatenate=torch.cat), self._put(step_sizes), momentum)
        for array, tensor in zip(iterate, position, strict=False):
            array[:] = tensor.cpu().numpy().reshape(array.T.shape).T
        return position.losses.reshape(-1).cpu().numpy()

    def _put(self, array):
        return self.torch.as_tensor(array, device=self.device)

    def _plan(self, problem):
        block, conditioning, memory = problem.block, problem.conditioning, problem.memory
        setting = make_setting(self._put, conditioning, memory, problem.objective.fit_intercept)
        if self._has_triton():
            from sgdlinreg._solvers.sgd_triton import TritonPlan, covers

            if covers(block.n_features, block.is_sparse, setting.whitener is not None, setting.curvature is not None):
                return TritonPlan(self.torch, problem, setting)
        return TorchPlan(self.torch, problem, setting)

    def _has_triton(self):
        """Whether Triton is installed, works, and knows the device; it needs compute capability 7."""
        if self.device.type != "cuda" or find_spec("triton") is None:
            return False
        if self.torch.version.hip is None and self.torch.cuda.get_device_capability(self.device)[0] < 7:
            return False
        reason = _why_triton_fails()
        if reason:
            warnings.warn(
                f"Triton does not work here ({reason}), so steps on the GPU are PyTorch operations, which take several "
                "times as long where batches are small. Triton needs a C compiler and Python's headers.",
                RuntimeWarning,
                stacklevel=2,
            )
        return not reason

    def _stream(self, block, order, positions, step_sizes, batch_size, objective, conditioning, *rest):
        """Run the batches of rows that do not fit on the device, part by part."""
        losses = 0.0
        with closing(transfer.parts_of(block, order, positions, conditioning, batch_size, self.device)) as parts:
            for part in parts:
                about = (part.block, part.order, part.positions, step_sizes[part.steps], batch_size, objective)
                losses = losses + self.run_batches(*about, part.conditioning, *rest)
        return losses


class TorchPlan:
    """Batches of one problem in torch operations; on CUDA those of equal size are replayed, but for streamed rows."""

    def __init__(self, torch, problem, setting):
        block, batch_size, *_ = problem
        device = block.y.device
        self.torch, self.problem, self.setting = torch, problem, setting
        self.position = make_position(torch, block.n_features, problem.n_targets, device)
        at_once = batches_at_once(block, batch_size, len(setting.extreme_rows), device.type)
        n_whole = (len(block.y) - len(setting.extreme_rows)) // batch_size
        n_parts = -(-n_whole // at_once)
        at_once = n_whole // n_parts if n_parts else 1  # an epoch is this many, but for a few batches
        self.rows = torch.empty((at_once, batch_size), dtype=torch.int64, device=device)
        self.step_sizes = torch.empty((at_once, problem.n_targets), dtype=torch.float64, device=device)
        self.buffers = Buffers(torch, device)
        self.capacity = 0
        self.momentum: tuple[float, bool] | None = None

    def _take_steps(self, rows, step_sizes):
        problem = self.problem
        about = (problem.block, self.setting, problem.objective, self.momentum)
        take_steps(self.torch, *about, rows, step_sizes, self.capacity, self.position, self.buffers)

    def _prepare(self, order, momentum):
        """Set what replayed operations depend on but rows and step sizes; where it has changed they are new ones."""
        capacity = self.capacity
        if self.problem.block.is_sparse:
            about = self.problem.block.X, order, self.problem.batch_size, self.setting.extreme_rows
            most = most_values(self.torch, *about)
            if most > capacity:
                capacity = most + int(SPARE_ROOM * most)
        if (capacity, momentum) != (self.capacity, self.momentum):
            self.capacity, self.momentum = capacity, momentum
            self.replayed = Replayed(self.torch, order.device, not self.problem.block.is_part)

    def run(self, order, step_sizes, momentum):
        """Take a step for every batch of the rows ``order``."""
        self._prepare(order, momentum)
        at_once, batch_size = self.rows.shape
        n_whole = len(order) // batch_size
        rows = order[: n_whole * batch_size].view(n_whole, batch_size)
        n_replayed = n_whole // at_once * at_once
        for start in range(0, n_replayed, at_once):
            self.rows.copy_(rows[start : start + at_once])
            self.step_sizes.copy_(step_sizes[start : start + at_once])
            self.replayed(lambda: self._take_steps(self.rows, self.step_sizes))
        if n_replayed < n_whole:
            self._take_steps(rows[n_replayed:], step_sizes[n_replayed:n_whole])
        if n_whole < len(step_sizes):
            self._take_steps(order[None, n_whole * batch_size :], step_sizes[n_whole:])
