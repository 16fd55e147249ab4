"""Rows in strips, some at a time: the same sums in the same order for any number of threads."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from functools import cache
from threading import Lock
from typing import Any

from threadpoolctl import ThreadpoolController

MAX_STRIPS = 8
ALONE = 1 << 18
"""Up to so many products BLAS takes one thread by itself."""


@cache
def _controller() -> ThreadpoolController:
    return ThreadpoolController()


def n_threads() -> int:
    """Threads that BLAS would take, so that its limits (OMP_NUM_THREADS, joblib, threadpoolctl) are kept."""
    return max([library.num_threads for library in _controller().select(user_api="blas").lib_controllers], default=1)


class OneThread:
    """A context in which a library takes one thread. Limits are the process's: the last of some threads restores them.

    Parameters
    ----------
    limit : callable() -> callable
        Sets the limit, and gives what restores the one before.
    """

    def __init__(self, limit: Callable[[], Callable[[], Any]]):
        self._limit, self._lock, self._entered = limit, Lock(), 0
        self._restore: Any = None

    def __enter__(self):
        with self._lock:
            if not self._entered:
                self._restore = self._limit()
            self._entered += 1

    def __exit__(self, *error):
        with self._lock:
            self._entered -= 1
            if not self._entered:
                self._restore()


def _limit_blas() -> Callable[[], None]:
    _release_blas()
    limiter = _controller().limit(limits=1, user_api="blas")

    def restore():
        _release_blas()
        limiter.restore_original_limits()
        _release_blas()

    return restore


def _release_blas() -> None:
    """Let any thread set limits: from version 3.8 on threadpoolctl ignores all but the first one that did."""
    for library in _controller().lib_controllers:
        if hasattr(library, "clear_controlling_thread"):
            library.clear_controlling_thread(force=True)


one_thread = OneThread(_limit_blas)
"""For BLAS."""


def one_thread_for(n_products: int) -> Any:
    """Return a context in which BLAS takes one thread: beside other work, threads wait for each other for long."""
    return nullcontext() if n_products <= ALONE else one_thread


def map_strips(function: Callable[[int, int], Any], n_rows: int, panel_rows: int, threads: bool = True) -> list[Any]:
    """Call ``function(start, stop)`` for strips of rows, in threads of one BLAS thread each.

    The strips are up to eight, whole numbers of panels but the last, and depend on nothing else; results come in their
    order. Without ``threads``, as on a device, they are done one after the other.
    """
    n_panels = -(-n_rows // panel_rows)
    length = -(-n_panels // MAX_STRIPS) * panel_rows
    starts = range(0, n_rows, length)
    if len(starts) == 1:
        return [function(0, n_rows)]
    n = n_threads() if threads else 1

    def run(start):
        return function(start, min(start + length, n_rows))

    with one_thread:
        if n == 1:
            return [run(start) for start in starts]
        with ThreadPoolExecutor(n) as pool:
            return list(pool.map(run, starts))
