"""CUDA graphs: operations on tensors that stay where they are, captured once and replayed with one call."""

from functools import cache
from threading import Lock
from typing import Any

CAPTURES = Lock()
"""CUDA forbids two captures at a time in one process."""


class Replayed:
    """An action on fixed tensors; on CUDA it runs once as it is, is captured at the second call and replayed since.

    Parameters
    ----------
    torch : module
    device : torch.device
    """

    def __init__(self, torch, device):
        self.torch, self.device = torch, device
        self.graph: Any = None
        self.is_warm = device.type != "cuda"

    def __call__(self, action):
        """Do it.

        Parameters
        ----------
        action : callable
            Without arguments; always the same operations on the same tensors, without a look at their values. It is
            not kept: its owner would hold itself, and the memory of the device, until Python looks for cycles.
        """
        if self.device.type != "cuda":
            action()
        elif not self.is_warm:
            self._warm_up(action)
        else:
            if self.graph is None:
                self._capture(action)
            self.graph.replay()

    def _warm_up(self, action):
        """Run apart from the current stream: libraries allocate their memory and kernels compile before the capture."""
        cuda, stream = self.torch.cuda, side_stream(self.torch, self.device)
        with cuda.device(self.device):
            stream.wait_stream(cuda.current_stream())
            with cuda.stream(stream):
                action()
            cuda.current_stream().wait_stream(stream)
        self.is_warm = True

    def _capture(self, action):
        cuda, stream = self.torch.cuda, side_stream(self.torch, self.device)
        with CAPTURES, cuda.device(self.device):
            self.graph = cuda.CUDAGraph()
            # other threads, such as the one that loads the next rows, may allocate and copy meanwhile
            with cuda.graph(self.graph, stream=stream, capture_error_mode="thread_local"):
                action()


@cache
def side_stream(torch, device):
    """Give the stream of a device for warm-ups and captures: each stream keeps memory of its own."""
    return torch.cuda.Stream(device)
