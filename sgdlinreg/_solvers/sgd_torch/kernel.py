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
from sgdlinreg._solvers.sgd_torch import full_gradients, streaming
from sgdlinreg._solvers.sgd_torch.batches import TorchPlan
from sgdlinreg._solvers.sgd_torch.plan import Kind
from sgdlinreg._solvers.sgd_torch.streaming import HostBlock, parts_of, small_tensor

MAX_PRODUCTS_OF_ONE_THREAD = 1 << 20
"""On the CPU torch takes one thread for batches of up to so many products."""


def _limit_torch():
    """Let torch take one thread on the CPU; return a function that restores the number.

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
    """Let Triton build what it launches kernels with; return the error, or an empty string."""
    try:
        from triton.runtime import driver

        driver.active.get_current_target()
    except (ImportError, OSError, RuntimeError, SubprocessError) as error:  # of loading, of compilers
        return (str(error).splitlines() or [type(error).__name__])[0]
    return ""


class TorchKernel:
    """Triton's kernels on CUDA where they cover a problem, else torch operations.

    All sums are float64, but that Triton's kernels multiply and add the rows of a tile in the dtype of X.
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
        return streaming.place(block, self.device)

    def to_device(self, block: Block):
        """Return a block as tensors on the device, without a copy where they are there already."""
        return streaming.to_device(block, self.device)

    def run_batches(self, block, order, step_sizes, batch_size, objective, coordinates, momentum, iterate):
        """Take one step for every batch; coefficients and losses come back once at the end."""
        wanted = batch_size, Kind.of(objective, coordinates), len(iterate.coef)
        rest = objective, coordinates, momentum, iterate
        if not isinstance(block, HostBlock):
            if self.plan is None or not self.plan.is_for(block, *wanted):
                self.plan = self._make_plan(block, *wanted, captures=True)
            return self._run(self.plan, order, step_sizes, *rest)
        losses = np.zeros(len(iterate.coef))
        with closing(parts_of(block, order, batch_size, self.device)) as parts:
            for rows, part in parts:
                plan = self._make_plan(part, *wanted, captures=False)
                steps = step_sizes[rows.start // batch_size : -(-rows.stop // batch_size)]
                losses += self._run(plan, np.arange(part.n_rows), steps, *rest)
        return losses

    def _run(self, plan, order, step_sizes, *rest):
        with self._context(plan.batch_size * plan.block.n_features * plan.n_models):
            return plan.run(small_tensor(order, self.device), small_tensor(step_sizes, self.device), *rest)

    def gradient_sums(self, block, loss, coef, centre, with_y=True):
        """Sum the loss and its gradient over all rows; the sums come back once at the end."""
        if isinstance(block, HostBlock):
            losses, gradient = np.zeros(len(coef)), np.zeros_like(coef)
            with closing(parts_of(block, np.arange(block.n_rows), 1, self.device)) as parts:
                for _, part in parts:
                    part_losses, part_gradient = self.gradient_sums(part, loss, coef, centre, with_y)
                    losses += part_losses
                    gradient += part_gradient
            return losses, gradient
        with self._context(n_products=0):
            on_device = small_tensor(coef.T, self.device), small_tensor(centre, self.device)
            loss = type(loss)(*(small_tensor(x, self.device) if isinstance(x, np.ndarray) else x for x in loss))
            sums = full_gradients.gradient_sums(self.torch, block, loss, *on_device, with_y)
            losses, gradient = (tensor.cpu().numpy() for tensor in sums)
            return losses, np.ascontiguousarray(gradient.T)

    def _context(self, n_products):
        """Return a context for operations on the device; on the CPU with one thread for so many products."""
        contexts = ExitStack()
        contexts.enter_context(self.torch.no_grad())
        if self.device.type == "cuda":
            contexts.enter_context(self.torch.cuda.device(self.device))
        elif n_products <= MAX_PRODUCTS_OF_ONE_THREAD:
            contexts.enter_context(one_thread)
        return contexts

    def _make_plan(self, *args, **options):
        if self._has_triton():
            from sgdlinreg._solvers.sgd_torch.triton_plan import TritonPlan, covers

            if covers(args[0]):
                return TritonPlan(self.torch, *args, **options)
        return TorchPlan(self.torch, *args, **options)

    def _has_triton(self):
        """Return whether Triton is installed, works, and knows the device; it needs compute capability 7."""
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
