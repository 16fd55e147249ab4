"""Rows on their way from NumPy to a device: once, if they fit there, else in every epoch, in the order of the steps."""

import sys
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import replace
from typing import Any

import numpy as np

from sgdlinreg._core.arrays import is_host
from sgdlinreg._core.blocks import CSR, Block, as_scipy
from sgdlinreg._solvers.sgd_torch.pinned_copy import Staging, prefetched, send

ROOM_SHARE = 0.8
"""Share of the free memory of a device that X may take; the rest is for batches and sums."""
PART_BYTES = 1 << 26
"""Size of a part of rows that are streamed."""
LARGE = 1 << 20
"""Smaller arrays go to a device as they are: two buffers would take longer."""


class DeviceBlock(Block):
    """A `Block` as tensors on a device; X is a contiguous tensor (n_rows, n_features) or a `CSR` of tensors."""


class HostBlock(Block):
    """A `Block` that is too large for the device: parts of it go there on the way through an epoch."""


def room_on(device) -> float:
    """Bytes that X may take on a device; inf where it is the memory of the CPU."""
    torch = sys.modules["torch"]
    if device.type != "cuda":
        return np.inf
    unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return ROOM_SHARE * (torch.cuda.mem_get_info(device)[0] + unused)


def place(block: Block, device) -> Block:
    """Bring dense X to the device, if it is not the CPU and there is room; CSR goes there after it was measured."""
    X = block.X
    if is_host(device):
        return block.on_host()
    if isinstance(X, np.ndarray):
        return block if X.nbytes > room_on(device) else replace(block, X=send(X, device))
    return block if block.is_sparse else replace(block, X=X.to(device))


def to_device(block: Block, device) -> DeviceBlock | HostBlock:
    """Return a block as tensors, without a copy of contiguous rows that torch can read where they are."""
    if _bytes_of(block) > room_on(device):
        return HostBlock(block.X, block.y, block.sample_weight)
    return _as_tensors(block, device)


def _as_tensors(block: Block, device) -> DeviceBlock:
    X: Any = block.X
    if isinstance(X, CSR):
        indices, indptr = (_tensor(array.astype(np.int64), device) for array in (X.indices, X.indptr))
        X = CSR(_tensor(X.data, device), indices, indptr, X.n_features)
    else:
        X = _tensor(X, device) if isinstance(X, np.ndarray) else X.to(device).contiguous()
    weight = None if block.sample_weight is None else _tensor(block.sample_weight, device)
    return DeviceBlock(X, _tensor(block.y, device), weight)


def _tensor(array: np.ndarray, device):
    large = array.nbytes >= LARGE and not is_host(device)
    return send(array, device) if large else small_tensor(array, device)


def small_tensor(array: np.ndarray, device):
    """Return an array as a tensor, on the CPU without a copy of what is writable and C-contiguous."""
    return sys.modules["torch"].as_tensor(np.require(array, requirements=["C", "W"]), device=device)


def _bytes_of(block: Block) -> int:
    X: Any = block.X
    if isinstance(X, CSR):
        return X.data.nbytes + 8 * (len(X.indices) + len(X.indptr))
    return X.nbytes if isinstance(X, np.ndarray) else 0  # a tensor is there already


def parts_of(
    block: HostBlock, order: np.ndarray, batch_size: int, device
) -> Generator[tuple[slice, DeviceBlock], None, None]:
    """Bring rows to the device, a part at a time.

    Rows are gathered in the given order, so that the path of steps is that of data that fit. While the caller works
    with a part, a thread gathers the next one.

    Parameters
    ----------
    block : HostBlock
    order : ndarray of shape (n_rows,), int32 or int64
        Numbers of the rows.
    batch_size : int
        Parts are whole numbers of so many rows, but for the last.
    device : torch.device

    Yields
    ------
    positions : slice
        Which part of ``order``.
    part : DeviceBlock
        Its rows.

    Raises
    ------
    MemoryError
        If there is no room for a single batch.
    """
    row_bytes = max(1, _bytes_of(block) // block.n_rows)
    step = max(1, int(min(PART_BYTES, room_on(device) / 4)) // (row_bytes * batch_size)) * batch_size
    n_parts = -(-len(order) // step)
    most = min(step, len(order))
    needed = row_bytes * min(batch_size, most) * min(n_parts, 2)  # one, and the next
    if needed > room_on(device):
        raise MemoryError(
            f"Batches of {batch_size} rows take {needed / 2**30:.3g} GiB, and the device has room for "
            f"{room_on(device) / 2**30:.3g}. Set a smaller batch_size, pass X as float32, or use device='cpu'."
        )

    def load(number: int) -> tuple[tuple[slice, DeviceBlock], Callable[[], None]]:
        positions = slice(number * step, min((number + 1) * step, len(order)))
        part, join = _load(block, order[positions], device, staging, number)
        return (positions, part), join

    like: Any = None if block.is_sparse else block.X
    with Staging(device, most, like, n_parts) as staging, closing(prefetched(load, n_parts)) as loaded:
        yield from loaded


def _load(block: HostBlock, rows: np.ndarray, device, staging: Staging, number: int):
    """Bring rows to the device; returns them and what must be called before they are used."""
    X: Any = block.X
    if isinstance(X, CSR):
        taken = as_scipy(X)[rows]
        X = CSR(taken.data, taken.indices, taken.indptr, block.n_features)
    else:
        staging.fill(number, len(rows), lambda out, some: _take(X, rows[some], out))
    weight = None if block.sample_weight is None else block.sample_weight[rows]
    with staging.apart():
        there = X if isinstance(X, CSR) else staging.send(number, len(rows))
        part = _as_tensors(Block(there, block.y[rows], weight), device)
    arrays = (part.X.data, part.X.indices, part.X.indptr) if part.is_sparse else (part.X,)
    return part, lambda: staging.join(*arrays, part.y, part.sample_weight)


def _take(X: np.ndarray, rows: np.ndarray, out: np.ndarray) -> None:
    """Copy rows without anything in between; np.take would copy all of X first where it is not contiguous."""
    if X.flags.c_contiguous:
        np.take(X, rows, axis=0, out=out, mode="clip")
    else:
        np.copyto(out, X[rows])
