"""What all ways to take steps on a device have in common: the tensors that steps read and change, and CUDA graphs."""

from abc import ABC, abstractmethod
from threading import Lock
from typing import Any

import numpy as np

from sgdlinreg._solvers.sgd_torch.pinned_copy import side_stream

CAPTURE_LOCK = Lock()
"""Threads share the stream of warm-ups and captures, and capturing is a state of the stream."""


class Replayed:
    """Operations on fixed tensors; on CUDA they are captured at the second call and replayed from then on.

    Parameters
    ----------
    torch : module
    device : torch.device
    captures : bool
        Whether to capture on CUDA, where there are calls enough: a capture waits for all that the device does.
    """

    def __init__(self, torch, device, captures):
        self.torch, self.device = torch, device
        self.captures = captures and device.type == "cuda"
        self.options: Any = None
        self.is_warm, self.graph = False, None

    def __call__(self, action, options):
        """Run ``action``: the same operations on the same tensors in every call, which never wait for a value.

        Where ``options``, what they depend on besides the tensors, have changed, operations are captured anew. The
        action is not kept: its owner would hold itself, and the memory of the device, until Python looks for cycles.
        """
        if not self.captures:
            action()
            return
        if options != self.options:
            self.options, self.is_warm, self.graph = options, False, None
        if self.graph is None:
            self._run_or_capture(action)
        if self.graph is not None:
            self.graph.replay()

    def _run_or_capture(self, action):
        """Run apart from the current stream, for libraries to allocate memory and kernels to compile; then capture."""
        cuda, stream = self.torch.cuda, side_stream(self.torch, self.device, priority=0)
        with CAPTURE_LOCK, cuda.device(self.device):
            if self.is_warm:
                graph = cuda.CUDAGraph()
                with cuda.graph(graph, stream=stream, capture_error_mode="thread_local"):  # others may allocate
                    action()
                self.graph = graph
            else:
                stream.wait_stream(cuda.current_stream())
                with cuda.stream(stream):
                    action()
                cuda.current_stream().wait_stream(stream)
                self.is_warm = True


class Plan(ABC):
    """Steps over the rows of one block; kept from epoch to epoch, because CUDA graphs refer to its tensors.

    Parameters
    ----------
    torch : module
    block : DeviceBlock
    batch_size : int
    objective : Objective
    captures : bool
        Whether there are epochs enough to capture CUDA graphs.

    Attributes
    ----------
    coordinates : tensor of shape (2, n_features), float64
        Centre and 1 / scale of each column.
    iterate : tensor of shape (3, n_targets, n_features + 1), float64
        Coefficients, their sum over the steps, and the velocity: the fields of `Iterate`.
    losses : tensor of shape (n_targets,), float64
    """

    def __init__(self, torch, block, batch_size, objective, captures):
        self.torch, self.block, self.batch_size, self.objective = torch, block, batch_size, objective
        self.device = block.y.device
        self.coordinates = self._zeros(2, block.n_features)
        self.iterate = self._zeros(3, block.n_targets, block.n_features + 1)
        self.losses = self._zeros(block.n_targets)
        self.replayed = Replayed(torch, self.device, captures)

    def _zeros(self, *shape, dtype="float64"):
        return self.torch.zeros(shape, dtype=getattr(self.torch, dtype), device=self.device)

    def is_for(self, block, batch_size, objective) -> bool:
        """Whether block and objective are the very same (equal losses may be of two types), and the batch size too."""
        return self.block is block and self.objective is objective and self.batch_size == batch_size

    def run(self, order, step_sizes, coordinates, momentum, iterate) -> np.ndarray:
        """Do what `kernel_numpy.run_batches` does, with tensors for ``order`` and ``step_sizes``.

        What steps read is sent first, and coefficients and losses come back once at the end.
        """
        fixed = np.stack([coordinates.centre, 1.0 / coordinates.scale])
        for tensor, array in ((self.coordinates, fixed), (self.iterate, np.stack(iterate))):
            tensor.copy_(self.torch.as_tensor(array, device="cpu"))
        self.losses.zero_()
        self.take_steps(order, step_sizes, momentum)
        for array, values in zip(iterate, self.iterate.cpu().numpy(), strict=True):
            array[:] = values
        return self.losses.cpu().numpy().copy()

    @abstractmethod
    def take_steps(self, order, step_sizes, momentum):
        """Take a step for every batch of the rows ``order``: change ``iterate`` and add to ``losses``."""
