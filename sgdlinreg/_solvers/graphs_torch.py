"""CUDA graphs: operations on tensors that stay where they are, captured once and replayed with one call."""

from typing import Any


class Replayed:
    """An action on fixed tensors; on CUDA it runs once as it is, is captured at the second call and replayed since.

    Parameters
    ----------
    torch : module
    device : torch.device
    action : callable
        Without arguments; always the same operations on tensors of the same shapes, without a look at their values.
    """

    def __init__(self, torch, device, action):
        self.torch, self.device, self.action = torch, device, action
        self.graph: Any = None
        self.is_warm = device.type != "cuda"

    def __call__(self):
        """Do it."""
        if self.device.type != "cuda":
            self.action()
        elif not self.is_warm:
            self._warm_up()
        else:
            if self.graph is None:
                self._capture()
            self.graph.replay()

    def _warm_up(self):
        """Run on a stream of its own: libraries allocate their memory and kernels compile before the capture."""
        cuda = self.torch.cuda
        with cuda.device(self.device):
            stream = cuda.Stream()
            stream.wait_stream(cuda.current_stream())
            with cuda.stream(stream):
                self.action()
            cuda.current_stream().wait_stream(stream)
        self.is_warm = True

    def _capture(self):
        cuda = self.torch.cuda
        with cuda.device(self.device):
            self.graph = cuda.CUDAGraph()
            with cuda.graph(self.graph):
                self.action()
