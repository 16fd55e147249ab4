"""How kernels are compiled, and that they are kept on disk where there is a place for them."""

from collections.abc import Callable
from typing import Any

from numba import njit

FAST_MATH = {"reassoc", "nsz", "contract", "arcp"}  # no "nnan": it would make isfinite(nan) true
FAST: Any = {"fastmath": FAST_MATH, "_nrt": False}
"""Options of kernels that allocate nothing, so that numba need not count references, which takes longer than steps."""
INLINED: Any = {**FAST, "forceinline": True}
"""Options of what is called in inner loops: a call with a dozen arrays takes longer than a short row."""


def compiled(**options: Any) -> Callable[[Callable], Any]:
    """Compile a function that lets other threads run, and keep the result on disk.

    numba writes beside the package, or, where it may not, into a folder of the user. Where it may write to neither, as
    in a container with a read-only root, the function is compiled anew in every process.
    """
    options = {"nogil": True, "error_model": "numpy", **options}

    def decorate(function):
        try:
            return njit(cache=True, **options)(function)
        except RuntimeError:  # no place to write to
            return njit(**options)(function)

    return decorate
