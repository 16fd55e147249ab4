"""What numba compiles, and how: measuring passes over dense rows, and random permutations.

Importing this module imports numba, so it is imported where it is needed.
"""

import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from typing import Any

import numpy as np
from numba import njit
from numba.core import event
from numba.core.caching import FunctionCache

FAST_MATH = {"reassoc", "nsz", "contract", "arcp"}  # no "nnan": it would make isfinite(nan) true
FAST: Any = {"fastmath": FAST_MATH, "_nrt": False}
"""Options of loops that allocate nothing, so that numba need not count references, which takes longer than steps."""
INLINED: Any = {**FAST, "forceinline": True}
"""Options of what is called in inner loops: a call with a dozen arrays takes longer than a short row."""
PANEL_BYTES, PANEL_ROWS = 1 << 23, 1 << 14
"""Rows whose sums are made in one go: so many that a call takes no time, so few that sums lose no digits."""
WORD = (1 << 64) - 1
FOLDERS_WARNED_OF: set[str] = set()
"""Folders of compiled functions of which the user was told: each has many files."""


def compiled(**options: Any) -> Callable[[Callable], Any]:
    """Compile a function that lets other threads run, and keep the result on disk.

    numba writes beside the package, or, where it may not, into a folder of the user. Where it may write to neither, as
    in a container with a read-only root, the function is compiled anew in every process.
    """

    def decorate(function):
        dispatcher: Any = njit(nogil=True, error_model="numpy", **options)(function)
        if hasattr(dispatcher, "enable_caching"):  # not with NUMBA_DISABLE_JIT
            with suppress(RuntimeError):  # no place to write to
                dispatcher._cache = _Cache(function)
        return dispatcher

    return decorate


class _Cache(FunctionCache):
    """numba's cache, of which a damaged file, or a full disk, costs a compilation and a warning instead of the fit."""

    def load_overload(self, sig, target_context):
        """Return the compiled function, or None where it must be compiled."""
        try:
            return super().load_overload(sig, target_context)
        except Exception as error:  # what a file holds that is not a pickle, may raise anything
            self._warn(error)
            with suppress(OSError):
                self.flush()
            return None

    def save_overload(self, sig, data):
        """Write the compiled function."""
        try:
            super().save_overload(sig, data)
        except RuntimeError:  # an interrupted compilation has nothing to write
            return
        except Exception as error:
            self._warn(error)

    def _warn(self, error):
        if self.cache_path in FOLDERS_WARNED_OF:
            return
        FOLDERS_WARNED_OF.add(self.cache_path)
        warnings.warn(
            f"A file in {self.cache_path}, where numba keeps compiled functions, cannot be used: {error!r}. They are "
            "compiled anew, which takes seconds. If this comes again, delete that folder.",
            stacklevel=3,
        )


class _BeforeCompilation(event.Listener):
    """Calls a function before the first compilation, and never again."""

    def __init__(self, function):
        self.function = function

    def on_start(self, event):
        function, self.function = self.function, None
        if function is not None:
            function()

    def on_end(self, event):
        pass


def before_compilation(function: Callable[[], None]) -> AbstractContextManager:
    """Return a context in which a function is called before numba compiles anything that its cache does not have."""
    return event.install_listener("numba:compile", _BeforeCompilation(function))


def panel_rows(row_bytes: float) -> int:
    """Return the number of rows of a panel."""
    return int(max(1, min(PANEL_BYTES // row_bytes, PANEL_ROWS)))


def add_deviations(X: np.ndarray, weight: np.ndarray, shift: np.ndarray) -> np.ndarray:
    """Compute the weighted sums of deviations from ``shift`` and of their squares, each row read once.

    Parameters
    ----------
    X : ndarray of shape (n_rows, n_features)
        C-contiguous, float32 or float64.
    weight : ndarray of shape (n_rows,)
    shift : ndarray of shape (n_features,)

    Returns
    -------
    ndarray of shape (2, n_features)
    """
    sums = np.zeros((2, X.shape[1]))
    _add_deviations(X, weight, shift, sums)
    return sums


@compiled(**FAST)
def _add_deviations(X, weight, shift, sums):
    for i in range(X.shape[0]):
        for j in range(X.shape[1]):
            deviation = X[i, j] - shift[j]
            weighted = weight[i] * deviation
            sums[0, j] += weighted
            sums[1, j] += weighted * deviation


def row_norms(X: np.ndarray, centre: np.ndarray, inverse_scale: np.ndarray, norms: np.ndarray) -> None:
    """Compute the squared norm of every row of ``(X - centre) * inverse_scale``, without a copy of X.

    Parameters
    ----------
    X : ndarray of shape (n_rows, n_features)
        C-contiguous, float32 or float64.
    centre, inverse_scale : ndarray of shape (n_features,)
    norms : ndarray of shape (n_rows,)
        Where the result goes.
    """
    _row_norms(X, centre, inverse_scale, norms)


@compiled(**FAST)
def _row_norms(X, centre, inverse_scale, norms):
    for i in range(X.shape[0]):
        norm = 0.0
        for j in range(X.shape[1]):
            value = (X[i, j] - centre[j]) * inverse_scale[j]
            norm += value * value
        norms[i] = norm


def permutation(n: int, seed: int) -> np.ndarray:
    """Return a random permutation of the integers below ``n``, in a fifth of NumPy's time.

    Parameters
    ----------
    n : int
    seed : int
        Any integer; its lowest 64 bits count.

    Returns
    -------
    ndarray of shape (n,), int32, from 2**31 on int64

    Notes
    -----
    Fisher-Yates, inside out, with xorshift64 [1]_. The generator starts at a state that splitmix64 makes of the seed,
    so that seeds that are close give orders that have nothing in common.

    References
    ----------
    .. [1] Marsaglia, "Xorshift RNGs", Journal of Statistical Software 8 (2003).

    Examples
    --------
    >>> sorted(permutation(5, seed=0).tolist())
    [0, 1, 2, 3, 4]
    """
    order = np.empty(n, np.int32 if n < 1 << 31 else np.int64)
    _shuffle(order, np.uint64(_mix(seed)))
    return order


def _mix(seed: int) -> int:
    """Return the first output of splitmix64, and 1 instead of 0, at which xorshift would stay."""
    state = (int(seed) + 0x9E3779B97F4A7C15) & WORD
    state = (state ^ (state >> 30)) * 0xBF58476D1CE4E5B9 & WORD
    state = (state ^ (state >> 27)) * 0x94D049BB133111EB & WORD
    return (state ^ (state >> 31)) or 1


@compiled()
def _shuffle(order, state):
    """Set ``order`` to a random permutation; a place is drawn from the upper 53 bits of a state."""
    for i in range(order.shape[0]):
        state ^= state << np.uint64(13)
        state ^= state >> np.uint64(7)
        state ^= state << np.uint64(17)
        j = int(np.float64(state >> np.uint64(11)) * 2.0**-53 * (i + 1))
        order[i] = order[j]
        order[j] = i
