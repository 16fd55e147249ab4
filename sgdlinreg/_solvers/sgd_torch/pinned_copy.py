"""Arrays on their way from NumPy to a device: threads fill one pinned buffer while the other is sent."""

import sys
from collections.abc import Callable
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
        self.torch, self.device, self.is_cuda = torch, device, device.type == "cuda"
        self.buffers, self.n_fillers = [], 1
        if like is not None:
            shape, dtype = (n_rows, *like.shape[1:]), getattr(torch, like.dtype.name)
            options = {"dtype": dtype, "device": "cpu", "pin_memory": self.is_cuda}
            self.buffers = [torch.empty(shape, **options) for _ in range(min(2, n_loads))]
            self.n_fillers = max(1, min(MAX_FILLERS, n_threads(), self.buffers[0].nbytes // STRIP_BYTES))
        self.fillers = ThreadPoolExecutor(self.n_fillers)
        self.stream = side_stream(torch, device, priority=-1) if self.is_cuda else None
        self.sent: list[Any] = [None, None]

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.fillers.shutdown()

    def send(self, number: int, n_rows: int, write: Callable[[Any, slice], Any], out=None):
        """Fill the first rows of the buffer for load ``number``, once what was in it before is sent, and send them.

        ``write(strip, rows)``, called in threads, writes these of the rows into a strip of the buffer. Returns the rows
        on the device: ``out`` if it is given.
        """
        if self.sent[number % 2] is not None:
            self.sent[number % 2].synchronize()
        source = self.buffers[number % 2][:n_rows]
        length, buffer = -(-n_rows // self.n_fillers), source.numpy()
        strips = [slice(start, min(start + length, n_rows)) for start in range(0, n_rows, length)]
        list(self.fillers.map(lambda rows: write(buffer[rows], rows), strips))
        with self.copy_stream():
            if out is None:
                out = source.to(self.device, non_blocking=self.is_cuda)
            else:
                out.copy_(source, non_blocking=self.is_cuda)
            self.sent[number % 2] = self.stream.record_event() if self.stream else None
        return out

    def copy_stream(self):
        """Return a context in which what goes to the device does not wait for what is computed there."""
        contexts = ExitStack()
        if self.stream is not None:
            contexts.enter_context(self.torch.cuda.device(self.device))  # else leaving the stream wakes another device
            contexts.enter_context(self.torch.cuda.stream(self.stream))
        return contexts

    def wait(self, *tensors) -> None:
        """Let what is computed from now on, with these tensors, wait for what was sent."""
        if self.stream is not None:
            current = self.torch.cuda.current_stream(self.device)
            current.wait_stream(self.stream)
            for tensor in tensors:
                if tensor is not None:
                    tensor.record_stream(current)


@cache
def side_stream(torch, device, priority):
    """Return the one stream of a device for copies, or for captures: each stream keeps memory of its own.

    That for copies has another priority, -1, and so is never one of those for captures, which would capture copies.
    """
    return torch.cuda.Stream(device, priority=priority)


def send(array: np.ndarray, device):
    """Copy an array of at least one row, in any layout, to a C-contiguous tensor on a device.

    A piece is sent while the next one is copied to its buffer.
    """
    torch = sys.modules["torch"]
    n_rows = len(array)
    on_device = torch.empty(array.shape, dtype=getattr(torch, array.dtype.name), device=device)
    step = min(max(1, PIECE_BYTES * n_rows // max(1, array.nbytes)), n_rows)
    with Staging(device, step, array, -(-n_rows // step)) as staging:
        if staging.stream is not None:
            staging.stream.wait_stream(torch.cuda.current_stream(device))  # it may reuse memory that is still read
            on_device.record_stream(staging.stream)
        for number, first in enumerate(range(0, n_rows, step)):
            piece = array[first : first + step]
            out = on_device[first : first + step]
            staging.send(number, len(piece), lambda strip, rows, piece=piece: np.copyto(strip, piece[rows]), out)
        staging.wait()
    return on_device
