"""The batches of an epoch on any device that torch knows: which way they run, and what is copied to and fro."""

import sys
import warnings
from contextlib import ExitStack, closing
from functools import cache, partial
from importlib.util import find_spec
from subprocess import SubprocessError
from typing import Any

import numpy as np

from sgdlinreg._core.blocks import Block
from sgdlinreg._core.objective import LOSSES
from sgdlinreg._core.optional import import_optional
from sgdlinreg._core.threads import OneThread
from sgdlinreg._solvers.sgd_torch import full_gradients as gradients_torch
from sgdlinreg._solvers.sgd_torch import streaming as transfer
from sgdlinreg._solvers.sgd_torch.batches import Problem, TorchPlan
from sgdlinreg._solvers.sgd_torch.streaming import HostBlock, parts_of, small_tensor

ALONE = 1 << 20
"""On the CPU torch takes one thread for batches of up to so many products."""


def _limit_torch():
    """Let torch take one thread on the CPU; gives what restores the number.

    It shares out operations on 32768 values and more, of which a batch has many that take microseconds: a thread that
    is not woken at once costs milliseconds each time.
    """
    torch = sys.modules["torch"]
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    return partial(torch.set_num_threads, before)


one_thread = OneThread(_limit_torch)


@cache
def _why_triton_fails() -> str:
    """Make Triton build what it launches kernels with; returns the error, or nothing."""
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

    def place(self, block: Block) -> Block:
        """Bring X to the device, where there is room."""
        return transfer.place(block, self.device)

    def to_device(self, block: Block):
        """Return a block as tensors on the device, without a copy where they are there already."""
        return transfer.to_device(block, self.device)

    def run_batches(self, block, order, step_sizes, batch_size, objective, coordinates, momentum, iterate):
        """Take one step for every batch; coefficients and losses come back once at the end."""
        about = coordinates, momentum, iterate
        if not isinstance(block, HostBlock):
            return self._run(Problem(block, batch_size, objective, replays=True), order, step_sizes, *about)
        losses = np.zeros(block.n_targets)
        with closing(parts_of(block, order, batch_size, self.device)) as parts:
            for rows, part in parts:
                problem = Problem(part, batch_size, objective, replays=False)
                steps = step_sizes[rows.start // batch_size : -(-rows.stop // batch_size)]
                losses += self._run(problem, np.arange(part.n_rows), steps, *about)
        return losses

    def _run(self, problem, order, step_sizes, coordinates, momentum, iterate):
        block, batch_size, *_ = problem
        with self._context(batch_size * block.n_features * block.n_targets):
            if self.plan is None or not self.plan.problem.is_same(problem):
                self.plan = self._plan(problem)
            plan = self.plan
            arrays = coordinates.centre, 1.0 / coordinates.scale, *iterate
            for tensor, array in zip((*plan.coordinates, *plan.iterate), arrays, strict=True):
                tensor.copy_(self._put(array.T.reshape(tensor.shape)))
            plan.losses.zero_()
            plan.run(self._put(order), self._put(step_sizes), momentum)
            for array, tensor in zip(iterate, plan.iterate, strict=True):
                array[:] = tensor.cpu().numpy().reshape(array.T.shape).T
            return plan.losses.reshape(-1).cpu().numpy().copy()

    def gradient_sums(self, block, loss, coef, centre, with_y=True):
        """Sum the loss and its gradient over all rows; the sums come back once at the end."""
        if isinstance(block, HostBlock):
            losses, gradient = np.zeros(block.n_targets), np.zeros_like(coef)
            with closing(parts_of(block, np.arange(block.n_rows), 1, self.device)) as parts:
                for _, part in parts:
                    more = self.gradient_sums(part, loss, coef, centre, with_y)
                    losses += more[0]
                    gradient += more[1]
            return losses, gradient
        with self._context(n_products=0):
            there = self._put(coef.T), self._put(centre)
            losses, gradient = gradients_torch.gradient_sums(self.torch, block, loss, *there, with_y)
            return losses.cpu().numpy(), np.ascontiguousarray(gradient.cpu().numpy().T)

    def _put(self, array):
        return small_tensor(array, self.device)

    def _context(self, n_products):
        """Return a context for operations on the device; on the CPU with one thread for so many products."""
        contexts = ExitStack()
        contexts.enter_context(self.torch.no_grad())
        if self.device.type == "cuda":
            contexts.enter_context(self.torch.cuda.device(self.device))
        elif n_products <= ALONE:
            contexts.enter_context(one_thread)
        return contexts

    def _plan(self, problem):
        if self._has_triton():
            from sgdlinreg._solvers.sgd_torch.triton_plan import TritonPlan, covers

            if covers(problem.block):
                return TritonPlan(self.torch, problem)
        return TorchPlan(self.torch, problem)

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
