"""The order of the rows in an epoch, made on the host so that kernels hold no random generator."""

from collections.abc import Iterator

import numpy as np

BLOCK_ROWS = 64
"""Neighbouring rows that are read together from a disk."""
WINDOW_ROWS = 1 << 16
"""Rows that are shuffled together, of a thousand blocks from all over the data."""


def epoch_order(n_rows: int, batch_size: int, shuffle: bool | str, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Yield the numbers of the rows of an epoch, each once, in pieces of whole batches but the last.

    Parameters
    ----------
    n_rows : int
    batch_size : int
    shuffle : bool or "blocks"
        True: a random permutation, in one piece. "blocks": blocks of 64 neighbouring rows in random order, the rows of
        a thousand of them shuffled together; this reads a disk nearly in sequence (Xu et al., "In-Database Machine
        Learning with CorgiPile", SIGMOD 2022). Neighbours that belong together share batches then. False: as they are.
    rng : numpy.random.Generator

    Yields
    ------
    rows : ndarray of shape (n,), int32, or int64 from 2**31 rows on
    """
    if shuffle is True:
        yield permutation(n_rows, rng)
        return
    window = max(1, WINDOW_ROWS // batch_size) * batch_size
    n_blocks = n_rows // BLOCK_ROWS if shuffle else 0
    starts = permutation(n_blocks, rng) * np.int64(BLOCK_ROWS) if n_blocks else np.zeros(1, dtype=np.int64)
    dtype = np.int32 if n_rows < 2**31 else np.int64
    for first in range(0, n_rows, window):
        places = np.arange(first, min(first + window, n_rows))
        if shuffle:
            places = places[permutation(len(places), rng)]
        blocks = places // BLOCK_ROWS
        in_block = starts[np.minimum(blocks, len(starts) - 1)] + places % BLOCK_ROWS
        yield np.where(blocks < n_blocks, in_block, places).astype(dtype)  # rows after the last block stay at the end


def permutation(n_rows: int, rng: np.random.Generator) -> np.ndarray:
    """Draw a random permutation of ``n_rows`` numbers by a compiled loop: 2 ns each, NumPy takes 12.

    Where numba cannot be imported, NumPy draws another one.
    """
    try:
        from sgdlinreg._core.numba_loops import permutation as compiled
    except ImportError:
        return rng.permutation(np.arange(n_rows, dtype=np.int32 if n_rows < 2**31 else np.int64))
    return compiled(n_rows, int(rng.integers(2**63)))
