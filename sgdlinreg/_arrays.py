"""NumPy or torch behind the operations that sums over dense rows are written in: one text, run where the rows are."""

import sys
from typing import Any

import numpy as np


class NumPyArrays:
    """Rows in the memory of the CPU."""

    subtract = staticmethod(np.subtract)
    multiply = staticmethod(np.multiply)
    matmul = staticmethod(np.matmul)
    amax = staticmethod(np.max)
    stack = staticmethod(np.stack)
    threads = True

    def put(self, array: np.ndarray) -> np.ndarray:
        """Bring an array from NumPy to where the rows are."""
        return array

    def take(self, array: Any) -> np.ndarray:
        """Bring an array to NumPy."""
        return array

    def zeros(self, shape, dtype=np.float64) -> np.ndarray:
        """Make an array of zeros."""
        return np.zeros(shape, dtype=dtype)


class TorchArrays:
    """Rows in a torch tensor on a device."""

    threads = False

    def __init__(self, device):
        torch = sys.modules["torch"]
        self.torch, self.device = torch, device
        self.subtract, self.multiply, self.matmul = torch.subtract, torch.multiply, torch.matmul
        self.amax, self.stack = torch.amax, torch.stack

    def put(self, array):
        """Bring an array from NumPy to where the rows are."""
        return self.torch.as_tensor(array, device=self.device)

    def take(self, array):
        """Bring an array to NumPy."""
        return array.cpu().numpy()

    def zeros(self, shape, dtype=np.float64):
        """Make an array of zeros."""
        return self.torch.zeros(shape, dtype=getattr(self.torch, np.dtype(dtype).name), device=self.device)


NUMPY = NumPyArrays()


def read_only(array: np.ndarray) -> np.ndarray:
    """View an array as read-only, so that compiled code has one form for both kinds."""
    view = array.view()
    view.flags.writeable = False
    return view


def is_tensor(X: Any) -> bool:
    """Whether X is a torch tensor; never imports torch."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(X, torch.Tensor)


def is_on_device(X: Any) -> bool:
    """Whether X is a torch tensor that NumPy cannot read where it lies."""
    return is_tensor(X) and X.device.type != "cpu"


def arrays_of(X: Any) -> NumPyArrays | TorchArrays:
    """Give the operations for rows X."""
    return TorchArrays(X.device) if is_tensor(X) else NUMPY
