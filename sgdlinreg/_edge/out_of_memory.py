"""What users are told where a device runs out of memory."""

import math
import sys
from typing import Any

from sgdlinreg._core.arrays import is_tensor


class ExplainedOutOfMemory:
    """A context that turns torch's error into a MemoryError with sizes and what to do.

    Parameters
    ----------
    X : Any
        What the user passed.
    device : str
        The parameter of that name.
    """

    def __init__(self, X: Any, device: str):
        self.X, self.device = X, device

    def __enter__(self):
        return self

    def __exit__(self, kind, error, traceback):
        torch = None if error is None else sys.modules.get("torch")
        if torch is None or not isinstance(error, torch.cuda.OutOfMemoryError):
            return
        raise MemoryError(
            f"The device ran out of memory.{_size_of(self.X)}{_free_on(torch, self.X, self.device)} Pass X as float32, "
            "give the rows in blocks to fit_source or partial_fit, set a smaller batch_size, or use device='cpu'."
        ) from error


def _size_of(X) -> str:
    shape, dtype = getattr(X, "shape", None), getattr(X, "dtype", None)
    itemsize = getattr(dtype, "itemsize", None)
    if not shape or itemsize is None:
        return ""
    size = math.prod(shape) * itemsize / 2**30
    return f" X is {' x '.join(map(str, shape))} values of {str(dtype).removeprefix('torch.')}, {size:.3g} GiB."


def _free_on(torch, X, device: str) -> str:
    if not torch.cuda.is_available():
        return ""
    where = X.device if is_tensor(X) and X.device.type == "cuda" else device if device.startswith("cuda") else None
    free, total = (size / 2**30 for size in torch.cuda.mem_get_info(where))
    return f" Of the device's {total:.3g} GiB {free:.3g} are free."
