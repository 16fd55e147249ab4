"""What all ways to take steps on a device have in common: the tensors that steps read and change, and CUDA graphs."""

from abc import ABC, abstractmethod
from math import prod
from threading import Lock
from typing import Any, NamedTuple

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


class Kind(NamedTuple):
    """What runs have in common whose steps are the same operations.

    ``loss`` is the type of the loss; ``has_l2`` says whether a model has an l2 penalty, ``scales_differ`` whether
    coordinates do between models.
    """

    loss: type
    is_smooth: bool
    has_l2: bool
    fit_intercept: bool
    positive: bool
    scales_differ: bool

    @classmethod
    def of(cls, objective, coordinates):
        """Return the kind of a run."""
        about = objective.is_smooth, bool(np.count_nonzero(objective.l2)), objective.fit_intercept, objective.positive
        return cls(type(objective.loss), *about, coordinates.scale.ndim > 1)


class Plan(ABC):
    """Steps over the rows of one block; kept from epoch to epoch, because CUDA graphs refer to its tensors.

    Parameters
    ----------
    torch : module
    block : DeviceBlock
    batch_size : int
    kind : Kind
    n_models : int
    captures : bool
        Whether there are epochs enough to capture CUDA graphs.

    Attributes
    ----------
    coordinates : tensor of shape (1 + n_models, n_features + 1), float64
        Centre, and 1 / scale for each model; 0 and 1 for the intercept.
    scalars : tensor of shape (6, n_models), float64
        The number of the loss, l1, l2, momentum, positive and fit_intercept.
    iterate : tensor of shape (3, n_models, n_features + 1), float64
        Coefficients, their sum over the steps, and the velocity: the fields of `Iterate`.
    losses : tensor of shape (n_models,), float64
    """

    def __init__(self, torch, block, batch_size, kind, n_models, captures):
        self.torch, self.block, self.batch_size, self.kind = torch, block, batch_size, kind
        self.n_models, self.device = n_models, block.y.device
        n_columns = block.n_features + 1
        shapes = (1 + n_models, n_columns), (6, n_models), (3, n_models, n_columns), (n_models,)
        self.on_host = torch.zeros(sum(map(_room, shapes)), dtype=torch.float64, device="cpu")
        self.on_device = self.on_host.to(self.device)  # on the CPU the same
        self.arrays = [tensor.numpy() for tensor in _cut(self.on_host, shapes)]
        self.coordinates, self.scalars, self.iterate, self.losses = _cut(self.on_device, shapes)
        self.replayed = Replayed(torch, self.device, captures)

    def _zeros(self, *shape, dtype="float64"):
        return self.torch.zeros(shape, dtype=getattr(self.torch, dtype), device=self.device)

    def is_for(self, block, *args) -> bool:
        """Whether the block is the very same, and batch size, kind and number of models are equal."""
        return self.block is block and (self.batch_size, self.kind, self.n_models) == args

    def run(self, order, step_sizes, objective, coordinates, momentum, iterate) -> np.ndarray:
        """Do what `kernel_numpy.run_batches` does, with tensors for ``order`` and ``step_sizes``.

        What steps read is sent first, and coefficients and losses come back once at the end.
        """
        axes, scalars, coefs, losses = self.arrays
        axes[0, :-1], axes[1:, -1], losses[:] = coordinates.centre, 1.0, 0.0
        np.divide(1.0, coordinates.scale, out=axes[1:, :-1])
        scalars[0] = objective.loss[0] if objective.loss else 0.0
        scalars[1], scalars[2] = np.ravel(objective.l1), np.ravel(objective.l2)
        scalars[3], scalars[4], scalars[5] = momentum[0], objective.positive, objective.fit_intercept
        coefs[:] = iterate
        self.on_device.copy_(self.on_host)
        self.take_steps(order, step_sizes, momentum)
        self.on_host.copy_(self.on_device)
        for array, values in zip(iterate, coefs, strict=True):
            array[:] = values
        return losses.copy()

    @abstractmethod
    def take_steps(self, order, step_sizes, momentum):
        """Take a step for every batch of the rows ``order``: change ``iterate`` and add to ``losses``."""


def _cut(flat, shapes):
    """Return parts of a tensor, one after the other, in some shapes."""
    parts = flat.split(list(map(_room, shapes)))
    return [part[: prod(shape)].view(shape) for part, shape in zip(parts, shapes, strict=True)]


def _room(shape) -> int:
    """Return how many values a part takes: an even number, as Triton compiles anew for what 16 bytes do not align."""
    return -(-prod(shape) // 2) * 2
