"""The order of the rows in an epoch, made on the host so that kernels hold no random generator."""

from typing import NamedTuple

import numpy as np

BLOCK_BITS, SMALL_BLOCK_BITS, LONG_BLOCK_BITS, HEAVY_BLOCK_BITS = 4, 2, 6, 3
"""Blocks have 16 rows; in small dense data 4, which mixes groups of like rows better; among many rows 64. With heavy
tails 8: where sorted rows of large norm come together, an average of iterates keeps a bias, a third of that of 16."""
MANY_ROWS = 1 << 24
"""So many windows even out what longer blocks mix worse, and blocks of a page of memory are found twice as fast."""
WINDOW_ROWS = 4096
"""Shorter windows are read a little faster where rows are long, but the bias that sorted rows leave grows fast."""
FEW_WINDOWS = 6
"""In the cache two levels of fewer windows take longer to make than a permutation, which is read as fast there."""
SMALL_BYTES, CACHE_BYTES = 2 << 20, 8 << 20
"""Caches hold data of such sizes: dense ones have short blocks, sparse ones blocks of rows that are far apart."""
NO_ROWS = np.empty(0, dtype=np.intp)
LONG_ROW_BYTES = 4096
"""Rows of this size and more are read at full bandwidth in any order."""


class Order(NamedTuple):
    """The rows of an epoch by position, as small writable tables that a kernel looks them up in.

    Attributes
    ----------
    starts : ndarray of intp
        First rows of the blocks, window by window.
    slots : ndarray of intp
        Places of one window in the order in which they are read, the same in every window; empty without windows.
    rest : ndarray of intp
        The rows after the last window.
    chosen : ndarray of intp
        What the rows above are indices into; empty where they are the rows themselves.
    bits : int
        Blocks have ``2**bits`` rows.
    stride : int
        How far one row of a block is from the next.
    """

    starts: np.ndarray
    slots: np.ndarray
    rest: np.ndarray
    chosen: np.ndarray
    bits: int = BLOCK_BITS
    stride: int = 1

    @property
    def n_rows(self) -> int:
        """Number of positions."""
        return (len(self.starts) << self.bits) + len(self.rest)

    def rows(self, start: int, stop: int, concatenate=np.concatenate) -> np.ndarray:
        """Give the rows at some positions; the tables may be tensors, with torch.cat to join them."""
        windowed, window = len(self.starts) << self.bits, len(self.slots)
        found = self.rest[max(start - windowed, 0) : max(stop - windowed, 0)]
        if start < windowed:
            first, last = start // window, -(-min(stop, windowed) // window)
            blocks = self.starts.reshape(-1, window >> self.bits)[first:last, self.slots >> self.bits]
            rows = (blocks + (self.slots & ((1 << self.bits) - 1)) * self.stride).reshape(-1)
            found = concatenate([rows[start - first * window : min(stop, windowed) - first * window], found])
        return self.chosen[found] if len(self.chosen) else found


def epoch_order(
    n_rows: int,
    row_bytes: float,
    shuffle: bool | str,
    rng: np.random.Generator,
    chosen: np.ndarray | None = None,
    grouped: bool = False,
    heavy_tailed: bool = False,
) -> Order:
    """Give the order of the rows for one epoch.

    Parameters
    ----------
    n_rows : int
        Number of rows.
    row_bytes : float
        Mean size of a row of X in bytes.
    shuffle : {True, "full", False}
        False: file order. "full": a random permutation. True: the same for fewer than 8192 rows (24,576 in dense data
        up to 2 MiB) or rows of 4 KiB; otherwise two levels: blocks of 16 neighbouring rows (4 in dense data up to
        2 MiB, 8 with heavy tails, 64 in data of 2**24 rows; in sparse data up to 8 MiB, 16 rows spread over all) are
        dealt out to windows of at least 4096 rows, inside which rows are shuffled [1]_. Every window has random blocks
        from all over the data, one of each stratum. Reading stays near sequential, and convergence is that of a
        permutation.
    rng : numpy.random.Generator
    chosen : ndarray of shape (n_rows,) or None
        The rows that are meant; None for 0 to ``n_rows - 1``.
    grouped : bool
        Whether rows are likely to come in groups of like ones, as one-hot data do: if small, blocks are not of
        neighbours.
    heavy_tailed : bool
        Whether some rows have norms far larger than others, so that few of them belong in a window.

    Returns
    -------
    order : Order
        Every row once.

    Notes
    -----
    All windows are equally long but the last, which takes what is left over and so is longer, never shorter: a short
    window would make batches of neighbouring rows. Two levels cost 0.4 to 1 ns a row to make (3 to 10 in data
    up to 2 MiB), a permutation 10 or more.

    References
    ----------
    .. [1] Xu et al., "In-Database Machine Learning with CorgiPile", SIGMOD 2022.
    """
    chosen = NO_ROWS if chosen is None else chosen
    permuted = rng.permutation if shuffle else np.arange
    n_windows = n_rows // WINDOW_ROWS
    small = not grouped and n_rows * row_bytes <= SMALL_BYTES
    if n_windows < (FEW_WINDOWS if small else 2) or shuffle == "full" or (shuffle and row_bytes >= LONG_ROW_BYTES):
        return Order(NO_ROWS, NO_ROWS, permuted(n_rows), chosen)
    spread = bool(shuffle) and grouped and n_rows * row_bytes <= CACHE_BYTES
    bits = BLOCK_BITS
    if small:
        bits = SMALL_BLOCK_BITS
    elif heavy_tailed and not spread:
        bits = HEAVY_BLOCK_BITS
    elif not grouped and n_rows >= MANY_ROWS:
        bits = LONG_BLOCK_BITS
    n_blocks = n_rows >> bits
    stride = n_blocks if spread else 1
    if shuffle and not spread:  # blocks that are spread have rows of all strata
        starts = _deal(n_blocks, n_windows, rng) << bits
    else:
        starts = permuted(n_blocks) << (0 if spread else bits)
    blocks = n_blocks // n_windows
    windowed = (n_windows - 1) * blocks
    left = (starts[windowed:, None] + stride * np.arange(1 << bits)).ravel()
    rest = np.concatenate([left, np.arange(n_blocks << bits, n_rows)])
    slots = permuted(blocks << bits)
    if shuffle:
        rng.shuffle(rest)
    return Order(starts[:windowed], slots, rest, chosen, bits, stride)


def _deal(n_blocks: int, n_windows: int, rng: np.random.Generator) -> np.ndarray:
    """Deal blocks out to windows, to each window one of every stratum of neighbouring blocks.

    Windows of sorted rows, and so batches, are then more alike than with blocks at random. Any blocks of different
    strata meet in a window as often as if each stratum had a permutation of its own; all share one, as that takes a
    third of the time.

    Returns
    -------
    ndarray of shape (n_blocks,)
        Numbers of the blocks, window by window; at last those that are left over, at random from all strata.
    """
    n_strata = n_blocks // n_windows
    bounds = np.arange(n_strata + 1) * n_blocks // n_strata
    first, width = bounds[:-1], np.diff(bounds)
    turn = rng.integers(n_windows, size=n_strata)
    offset = (rng.random(n_strata) * width).astype(np.intp)  # integers below an array take several times as long
    place = np.tile(rng.permutation(n_windows), 2)

    def blocks(places):
        places = places + offset
        return first + places - width * (places >= width)

    dealt = blocks(place[np.arange(n_windows)[:, None] + turn])
    over = np.arange(n_windows, width.max(initial=0))[:, None]
    return np.concatenate([dealt.ravel(), blocks(over)[over < width]])
