"""CUDA graphs: operations on tensors that stay where they are, captured once and replayed with one call."""

from functools import cache
from threading import Lock
from typing import Any

ON_THE_SIDE = Lock()
"""Capturing is a state of the stream that warm-ups and captures of all threads share."""


class Replayed:
    """An action on fixed tensors; on CUDA it runs once as it is, is captured at the second call and replayed since.

    Parameters
    ----------
    torch : module
    device : torch.device
    pays : bool
        Whether it is done often enough; else it runs as it is each time. A capture waits for all that the device does.
    """

    def __init__(self, torch, device, pays=True):
        self.torch, self.device = torch, device
        self.captures = pays and device.type == "cuda"
        self.graph: Any = None
        self.is_warm = False

    def __call__(self, action):
        """Do it.

        Parameters
        ----------
        action : callable
            Without arguments; always the same operations on the same tensors, without a look at their values. It is
            not kept: its owner would hold itself, and the memory of the device, until Python looks for cycles.
        """
        if not self.captures:
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
        with ON_THE_SIDE, cuda.device(self.device):
            stream.wait_stream(cuda.current_stream())
            with cuda.stream(stream):
                action()
            cuda.current_stream().wait_stream(stream)
        self.is_warm = True

    def _capture(self, action):
        cuda, stream = self.torch.cuda, side_stream(self.torch, self.device)
        with ON_THE_SIDE, cuda.device(self.device):
            graph = cuda.CUDAGraph()
            with cuda.graph(graph, stream=stream, capture_error_mode="thread_local"):  # others may allocate and copy
                action()
            self.graph = graph


@cache
def side_stream(torch, device):
    """Give the stream of a device for warm-ups and captures: each stream keeps memory of its own."""
    return torch.cuda.Stream(device)
