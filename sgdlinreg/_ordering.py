"""The order of the rows in an epoch, made on the host so that kernels hold no random generator."""

from typing import NamedTuple

import numpy as np

BLOCK_BITS = 4
BLOCK_ROWS = 1 << BLOCK_BITS
WINDOW_BLOCKS = 256
LONG_ROW_BYTES = 4096
"""Rows of this size and more are read at full bandwidth in any order."""


class Order(NamedTuple):
    """The rows of an epoch by position, as small tables that a kernel looks them up in.

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
    """

    starts: np.ndarray
    slots: np.ndarray
    rest: np.ndarray
    chosen: np.ndarray

    @property
    def n_rows(self) -> int:
        """Number of positions."""
        return len(self.starts) * BLOCK_ROWS + len(self.rest)

    def rows(self, start: int, stop: int) -> np.ndarray:
        """Give the rows at some positions."""
        windowed = len(self.starts) * BLOCK_ROWS
        found = self.rest[max(start - windowed, 0) : max(stop - windowed, 0)]
        if start < windowed:
            number, place = np.divmod(np.arange(start, min(stop, windowed)), len(self.slots))
            block, row = np.divmod(self.slots[place], BLOCK_ROWS)
            found = np.concatenate([self.starts[number * (len(self.slots) // BLOCK_ROWS) + block] + row, found])
        return self.chosen[found] if len(self.chosen) else found


def epoch_order(
    n_rows: int, row_bytes: float, shuffle: bool | str, rng: np.random.Generator, chosen: np.ndarray | None = None
) -> Order:
    """Give the order of the rows for one epoch.

    Parameters
    ----------
    n_rows : int
        Number of rows.
    row_bytes : float
        Mean size of a row of X in bytes.
    shuffle : {True, "full", False}
        False: file order. "full": a random permutation. True: a random permutation where rows are few or long;
        otherwise two levels: blocks of 16 neighbouring rows in random order, the rows shuffled inside windows of at
        least 256 blocks [1]_. Reading stays near sequential, and convergence is that of a permutation.
    rng : numpy.random.Generator
    chosen : ndarray of shape (n_rows,) or None
        The rows that are meant; None for 0 to ``n_rows - 1``.

    Returns
    -------
    order : Order
        Every row once.

    Notes
    -----
    All windows are equally long but the last, which takes what is left over and so is longer, never shorter: a short
    window would make batches of neighbouring rows. Two levels cost 1 ns a row to make, a permutation about 15.

    References
    ----------
    .. [1] Xu et al., "In-Database Machine Learning with CorgiPile", SIGMOD 2022.
    """
    none = np.empty(0, dtype=np.intp)
    chosen = none if chosen is None else chosen
    if not shuffle:
        return Order(none, none, np.arange(n_rows), chosen)
    n_windows = n_rows // (BLOCK_ROWS * WINDOW_BLOCKS)
    if shuffle == "full" or row_bytes >= LONG_ROW_BYTES or n_windows < 2:
        return Order(none, none, rng.permutation(n_rows), chosen)
    n_blocks = n_rows // BLOCK_ROWS
    starts = rng.permutation(n_blocks) * BLOCK_ROWS
    blocks = n_blocks // n_windows
    windowed = (n_windows - 1) * blocks
    left = (starts[windowed:, None] + np.arange(BLOCK_ROWS)).ravel()
    rest = np.concatenate([left, np.arange(n_blocks * BLOCK_ROWS, n_rows)])
    slots = rng.permutation(blocks * BLOCK_ROWS)
    rng.shuffle(rest)
    return Order(starts[:windowed], slots, rest, chosen)
