"""Rows on their way from NumPy to a device: once, if they fit there, else in every epoch, in the order of the steps."""

import sys
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from sgdlinreg._arrays import is_host
from sgdlinreg._blocks import CSR, Block, as_scipy
from sgdlinreg._conditioning import Conditioning
from sgdlinreg._ordering import Order

ROOM_SHARE = 0.8
"""Share of the free memory of a device that X may take; the rest is for batches and sums."""
STAGING_BYTES = 1 << 26
"""Size of each of the two buffers on the host through which dense rows go."""


class DeviceBlock(NamedTuple):
    """A `Block` as tensors on a device; X is a contiguous tensor (n_rows, n_features) or a `CSR` of tensors.

    Of rows that are streamed X, y and sample_weight hold a part, but n_rows counts all.
    """

    X: Any
    y: Any
    sample_weight: Any
    is_sparse: bool
    n_rows: int
    n_features: int
    dtype: np.dtype

    @property
    def is_part(self) -> bool:
        """Whether it is a part of rows that are streamed, on which steps are taken once."""
        return len(self.y) < self.n_rows


class HostBlock(Block):
    """A `Block` that is too large for the device: parts of it go there on the way through an epoch."""


class Part(NamedTuple):
    """Some batches that follow each other, as `Kernel.run_batches` takes them, and which steps they take."""

    block: DeviceBlock
    order: Order
    positions: tuple[int, int]
    conditioning: Conditioning
    steps: slice


def room_on(device) -> float:
    """Bytes that X may take on a device; inf where it is the memory of the CPU."""
    torch = sys.modules["torch"]
    if device.type != "cuda":
        return np.inf
    unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return ROOM_SHARE * (torch.cuda.mem_get_info(device)[0] + unused)


def place(block: Block, device) -> Block:
    """Bring dense X to the device, if it is not the CPU and there is room; CSR goes after it was measured."""
    X = block.X
    if is_host(device):
        return block.on_host()
    if isinstance(X, np.ndarray):
        return block if X.nbytes > room_on(device) else block._replace(X=send(X, device))
    return block if isinstance(X, CSR) else block._replace(X=X.to(device))


def to_device(block: Block, device) -> DeviceBlock | HostBlock:
    """Give a block as tensors, without a copy of contiguous rows that torch can read where they are."""
    if _bytes_of(block) > room_on(device):
        return HostBlock(*block)
    return _as_tensors(block, device, block.n_rows)


def _as_tensors(block: Block, device, n_rows: int) -> DeviceBlock:
    X: Any = block.X
    if isinstance(X, CSR):
        indices, indptr = (_tensor(array.astype(np.int64), device) for array in (X.indices, X.indptr))
        X = CSR(_tensor(X.data, device), indices, indptr, X.n_features)
    else:
        X = _tensor(X, device) if isinstance(X, np.ndarray) else X.to(device).contiguous()
    weight = None if block.sample_weight is None else _tensor(block.sample_weight, device)
    about = (block.is_sparse, n_rows, block.n_features, block.dtype)
    return DeviceBlock(X, _tensor(block.y, device), weight, *about)


def _tensor(array: np.ndarray, device):
    torch = sys.modules["torch"]
    if not (array.flags.writeable and array.flags.c_contiguous):  # torch takes no read-only memory
        array = np.array(array, order="C")
    return torch.as_tensor(array, device=device)


def _bytes_of(block: Block) -> float:
    X: Any = block.X
    if isinstance(X, CSR):
        return X.data.nbytes + 8 * (len(X.indices) + len(X.indptr))
    return X.nbytes if isinstance(X, np.ndarray) else 0  # a tensor is there already


class _Staging:
    """Two buffers on the host, filled in turn: while one is on its way to the device, the other is filled.

    On CUDA they are pinned, and copies have a stream of their own. Elsewhere the buffer itself is what arrives. CSR
    rows have no buffers, but the stream.
    """

    def __init__(self, device, n_rows: int, like: Any):
        torch = sys.modules["torch"]
        self.torch, self.device, self.cuda = torch, device, device.type == "cuda"
        self.buffers: list[Any] = []
        if not isinstance(like, CSR):
            shape, dtype = (n_rows, like.shape[1]), getattr(torch, like.dtype.name)
            self.buffers = [torch.empty(shape, dtype=dtype, pin_memory=self.cuda) for _ in range(2)]
        self.stream = torch.cuda.Stream(device) if self.cuda else None
        self.sent: list[Any] = [None, None]

    def buffer(self, number: int, n_rows: int) -> np.ndarray:
        """Give the first rows of the buffer for load ``number``, once what was in it before is sent."""
        if self.sent[number % 2] is not None:
            self.sent[number % 2].synchronize()
        return self.buffers[number % 2][:n_rows].numpy()

    def apart(self):
        """Give a context in which what goes to the device does not wait for what is computed there."""
        return nullcontext() if self.stream is None else self.torch.cuda.stream(self.stream)

    def send(self, number: int, n_rows: int, out=None):
        """Send the first rows of a buffer, into ``out`` if it is given; gives the tensor on the device."""
        source = self.buffers[number % 2][:n_rows]
        with self.apart():
            there = source.to(self.device, non_blocking=True) if out is None else out.copy_(source, non_blocking=True)
            self.sent[number % 2] = None if self.stream is None else self.stream.record_event()
        return there

    def join(self, *tensors) -> None:
        """Let what is computed from now on wait for what was sent."""
        if self.stream is not None:
            current = self.torch.cuda.current_stream(self.device)
            current.wait_stream(self.stream)
            for tensor in tensors:
                if tensor is not None:
                    tensor.record_stream(current)


def send(X: np.ndarray, device):
    """Copy rows to a device through the two buffers."""
    torch = sys.modules["torch"]
    out = torch.empty(X.shape, dtype=getattr(torch, X.dtype.name), device=device)
    step = max(1, STAGING_BYTES // max(1, X.itemsize * X.shape[1]))
    staging = _Staging(device, min(step, len(X)), X)
    if staging.stream is not None:
        staging.stream.wait_stream(torch.cuda.current_stream(device))  # out may reuse memory that is still read
    for number, start in enumerate(range(0, len(X), step)):
        rows = X[start : start + step]
        np.copyto(staging.buffer(number, len(rows)), rows)
        staging.send(number, len(rows), out[start : start + len(rows)])
    staging.join(out)
    return out


def parts_of(
    block: HostBlock, order: Order, positions, conditioning: Conditioning, batch_size: int, device
) -> Generator[Part, None, None]:
    """Bring the batches at some positions of an epoch to the device, a part at a time.

    Rows are gathered in the order of the steps, so that the path is that of data that fit. While the caller runs the
    batches of a part, a thread gathers the next one. Rows that join every batch are at the end of every part.

    Parameters
    ----------
    block : HostBlock
    order : Order
    positions : tuple of int
        First and last + 1.
    conditioning : Conditioning
    batch_size : int
    device : torch.device

    Raises
    ------
    MemoryError
        If there is no room for a single batch.
    """
    start, stop = positions
    extreme_rows = conditioning.extreme_rows
    none = np.empty(0, dtype=np.intp)
    row_bytes = max(1, _bytes_of(block) // block.n_rows)
    step = max(1, int(min(STAGING_BYTES, room_on(device) / 4)) // (row_bytes * batch_size)) * batch_size
    n_parts = -(-(stop - start) // step)
    needed = row_bytes * (min(batch_size, stop - start) + len(extreme_rows)) * min(n_parts, 2)  # one, and the next
    if needed > room_on(device):
        raise MemoryError(
            f"Batches of {batch_size} rows take {needed / 2**30:.3g} GiB, and the device has room for "
            f"{room_on(device) / 2**30:.3g}. Set a smaller batch_size, pass X as float32, or use device='cpu'."
        )
    most = min(step, stop - start) + len(extreme_rows)
    staging = _Staging(device, most, block.X)

    def load(number: int) -> tuple[DeviceBlock, Callable[[], None]]:
        begin = start + number * step
        rows = np.concatenate([order.rows(begin, min(begin + step, stop)), extreme_rows])
        return _load(block, rows, device, staging, number)

    with ThreadPoolExecutor(1) as pool:
        loading = pool.submit(load, 0)
        for number in range(n_parts):
            part, join = loading.result()
            join()  # before the next load is on the same stream
            if number + 1 < n_parts:
                loading = pool.submit(load, number + 1)
            n_all = part.y.shape[0]
            n_rows = n_all - len(extreme_rows)
            first = number * (step // batch_size)
            there = replace(conditioning, extreme_rows=np.arange(n_rows, n_all))
            in_order = Order(none, none, np.arange(n_rows), none)
            yield Part(part, in_order, (0, n_rows), there, slice(first, first + -(-n_rows // batch_size)))


def _load(block: HostBlock, rows: np.ndarray, device, staging: _Staging, number: int):
    """Bring rows to the device; gives them and what must be called before they are used."""
    X: Any = block.X
    if isinstance(X, CSR):
        taken = as_scipy(X)[rows]
        X = CSR(taken.data, taken.indices, taken.indptr, block.n_features)
    else:
        np.take(X, rows, axis=0, out=staging.buffer(number, len(rows)), mode="clip")
    weight = None if block.sample_weight is None else block.sample_weight[rows]
    with staging.apart():
        X = X if isinstance(X, CSR) else staging.send(number, len(rows))
        part = _as_tensors(Block(X, block.y[rows], weight), device, block.n_rows)
    arrays = (part.X.data, part.X.indices, part.X.indptr) if part.is_sparse else (part.X,)
    return part, lambda: staging.join(*arrays, part.y, part.sample_weight)
