"""Arrays on their way from NumPy to a device: threads fill one pinned buffer while the other is sent."""

import sys
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import cache
from typing import Any

import numpy as np

from sgdlinreg._core.threads import n_threads

PIECE_BYTES = 1 << 25
"""Size of a piece of an array that fits on the device: long enough that starting a copy takes no time."""
MAX_FILLERS = 8
"""Threads that fill a buffer: one alone copies more slowly than a device takes."""
STRIP_BYTES = 1 << 20
"""What a thread copies at the least."""


class Staging:
    """Two buffers on the host, filled in turn: while one is on its way to the device, the other is filled.

    On CUDA they are pinned, and copies have a stream of their own. Elsewhere the buffer itself is what arrives. A
    context, which ends the threads.

    Parameters
    ----------
    device : torch.device
    n_rows : int
        Of a buffer.
    like : ndarray or None
        What is sent; None for what needs the stream, but no buffer.
    n_loads : int
        One needs one buffer.
    """

    def __init__(self, device, n_rows: int, like: np.ndarray | None, n_loads: int):
        torch = sys.modules["torch"]
        self.torch, self.device, self.cuda = torch, device, device.type == "cuda"
        self.buffers: list[Any] = []
        self.n_fillers = 1
        if like is not None:
            shape, dtype = (n_rows, *like.shape[1:]), getattr(torch, like.dtype.name)
            options = {"dtype": dtype, "device": "cpu", "pin_memory": self.cuda}
            self.buffers = [torch.empty(shape, **options) for _ in range(min(2, n_loads))]
            self.n_fillers = max(1, min(MAX_FILLERS, n_threads(), self.buffers[0].nbytes // STRIP_BYTES))
        self.fillers = ThreadPoolExecutor(self.n_fillers)
        self.stream = copy_stream(torch, device) if self.cuda else None
        self.sent: list[Any] = [None, None]

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.fillers.shutdown()

    def fill(self, number: int, n_rows: int, write: Callable[[np.ndarray, slice], Any]) -> None:
        """Fill the first rows of the buffer for load ``number``, once what was in it before is sent.

        ``write(out, rows)`` writes these of the rows into ``out``; it is called in threads.
        """
        if self.sent[number % 2] is not None:
            self.sent[number % 2].synchronize()
        out = self.buffers[number % 2][:n_rows].numpy()
        length = -(-n_rows // self.n_fillers)
        strips = [slice(start, min(start + length, n_rows)) for start in range(0, n_rows, max(1, length))]
        if len(strips) == 1:
            write(out, strips[0])
        else:
            list(self.fillers.map(lambda rows: write(out[rows], rows), strips))

    def apart(self):
        """Return a context in which what goes to the device does not wait for what is computed there."""
        contexts = ExitStack()
        if self.stream is not None:
            contexts.enter_context(self.torch.cuda.device(self.device))  # else leaving the stream wakes another device
            contexts.enter_context(self.torch.cuda.stream(self.stream))
        return contexts

    def send(self, number: int, n_rows: int, out=None):
        """Send the first rows of a buffer, into ``out`` if it is given; return the tensor on the device."""
        source = self.buffers[number % 2][:n_rows]
        with self.apart():
            at_once = {"non_blocking": self.cuda}
            sent = source.to(self.device, **at_once) if out is None else out.copy_(source, **at_once)
            self.sent[number % 2] = None if self.stream is None else self.stream.record_event()
        return sent

    def join(self, *tensors) -> None:
        """Let what is computed from now on wait for what was sent."""
        if self.stream is not None:
            current = self.torch.cuda.current_stream(self.device)
            current.wait_stream(self.stream)
            for tensor in tensors:
                if tensor is not None:
                    tensor.record_stream(current)


@cache
def copy_stream(torch, device):
    """Return the stream of a device for copies: each stream keeps memory of its own.

    Of higher priority than those of captures, and so never one of them, which would capture copies for other threads.
    """
    return torch.cuda.Stream(device, priority=-1)


def prefetched(load: Callable[[int], tuple[Any, Callable[[], None]]], n_loads: int) -> Generator[Any, None, None]:
    """Yield one loaded thing after the other, each loaded in a thread while the caller works with the one before.

    Parameters
    ----------
    load : callable(number)
        Returns what was loaded, and what must be called before it is used.
    n_loads : int
    """
    with ThreadPoolExecutor(1) as pool:
        loading = pool.submit(load, 0)
        for number in range(n_loads):
            loaded, join = loading.result()
            join()  # before the next load is on the same stream
            if number + 1 < n_loads:
                loading = pool.submit(load, number + 1)
            yield loaded


def send(array: np.ndarray, device):
    """Copy an array to a device, piece by piece: a piece is copied to a pinned buffer while the one before is sent.

    Parameters
    ----------
    array : ndarray of shape (n_rows, ...)
        At least one row, in any layout.
    device : torch.device

    Returns
    -------
    tensor
        C-contiguous, on the device.
    """
    torch = sys.modules["torch"]
    n_rows = len(array)
    out = torch.empty(array.shape, dtype=getattr(torch, array.dtype.name), device=device)
    step = min(max(1, PIECE_BYTES * n_rows // max(1, array.nbytes)), n_rows)
    n_loads = -(-n_rows // step)
    with Staging(device, step, array, n_loads) as staging:
        if staging.stream is not None:
            staging.stream.wait_stream(torch.cuda.current_stream(device))  # out may reuse memory that is still read
            out.record_stream(staging.stream)
        for number in range(n_loads):
            piece = slice(number * step, min((number + 1) * step, n_rows))
            rows = array[piece]
            staging.fill(number, len(rows), lambda buffer, part, rows=rows: np.copyto(buffer, rows[part]))
            staging.send(number, len(rows), out[piece])
        staging.join()
    return out
