"""NumPy or torch behind the operations that sums over dense rows are written in: one text, run where the rows are."""

import math
import sys
from typing import Any

import numpy as np
from scipy import linalg

EPS = float(np.finfo(float).eps)
"""Rounding of a float64."""
HOST_DEVICES = frozenset({"cpu"})
"""Types of torch devices whose tensors NumPy reads where they lie."""


class NumPyArrays:
    """Rows in the memory of the CPU."""

    multiply = staticmethod(np.multiply)
    matmul = staticmethod(np.matmul)
    amax = staticmethod(np.max)
    threads = True
    panel_bytes = 1 << 20
    """Size of a dense float64 panel: it should stay in the second-level cache."""

    put = staticmethod(np.asarray)
    """Bring an array from NumPy to where the rows are."""
    take = staticmethod(np.asarray)
    """Bring an array to NumPy."""
    zeros = staticmethod(np.zeros)
    """Make an array of zeros."""

    def in_double(self, array: Any, copies: bool = True) -> Any:
        """Copy an array, or a SciPy matrix, in float64; where it is float64 already, only if it must be copied."""
        return array.astype(np.float64, copy=copies)

    def solve_lower(self, lower: np.ndarray, right: np.ndarray) -> np.ndarray:
        """Solve ``lower @ u = right`` with a lower triangular matrix."""
        return linalg.solve_triangular(lower, right, lower=True, check_finite=False)


class TorchArrays:
    """Rows in a torch tensor on a device."""

    threads = False
    panel_bytes = 1 << 26
    """Long enough that starting an operation takes little of its time."""

    def __init__(self, device):
        torch = sys.modules["torch"]
        self.torch, self.device = torch, device
        self.multiply, self.matmul = torch.multiply, torch.matmul
        self.amax = torch.amax

    def put(self, array):
        """Bring an array from NumPy to where the rows are; on the CPU it may share memory."""
        array = np.asarray(array)
        if not array.flags.writeable or any(stride < 0 for stride in array.strides):  # torch takes neither
            array = np.array(array)
        return self.torch.as_tensor(array, device=self.device)

    def take(self, array):
        """Bring an array to NumPy."""
        return array.cpu().numpy()

    def zeros(self, shape, dtype=np.float64):
        """Make an array of zeros."""
        return self.torch.zeros(shape, dtype=getattr(self.torch, np.dtype(dtype).name), device=self.device)

    def in_double(self, array, copies=True):
        """Copy an array in float64; where it is float64 already, only if it must be copied."""
        return array.to(self.torch.float64, copy=copies)

    def solve_lower(self, lower, right):
        """Solve ``lower @ u = right`` with a lower triangular matrix."""
        return self.torch.linalg.solve_triangular(lower, right, upper=False)


NUMPY = NumPyArrays()


def all_finite(array: np.ndarray) -> bool:
    """Return whether no value is NaN or infinite; of small arrays in half the time of asking each."""
    return math.isfinite(np.add.reduce(array, axis=None)) or bool(np.isfinite(array).all())


def is_tensor(X: Any) -> bool:
    """Return whether X is a torch tensor; never imports torch."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(X, torch.Tensor)


def is_host(device: Any) -> bool:
    """Return whether a torch device is the memory of the CPU."""
    return device.type in HOST_DEVICES


def is_on_device(X: Any) -> bool:
    """Return whether X is a torch tensor that NumPy cannot read where it lies."""
    return is_tensor(X) and not is_host(X.device)


def arrays_of(X: Any) -> NumPyArrays | TorchArrays:
    """Return the operations for rows X."""
    return TorchArrays(X.device) if is_tensor(X) else NUMPY


def dtype_of(X: Any) -> np.dtype:
    """Return NumPy's name for the type of an array's or tensor's values."""
    dtype = X.dtype
    return dtype if isinstance(dtype, np.dtype) else np.dtype(str(dtype).removeprefix("torch."))


def times(X: Any, matrix: np.ndarray) -> np.ndarray:
    """Multiply rows, wherever they are, by a matrix from NumPy; the product, which is small, comes to NumPy."""
    ops: Any = arrays_of(X)
    return ops.take(X @ ops.put(matrix))
