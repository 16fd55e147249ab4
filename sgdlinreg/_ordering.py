"""The order of the rows in an epoch, made on the host so that kernels hold no random generator."""

import numpy as np

BLOCK_ROWS = 16
WINDOW_BLOCKS = 256
CACHE_BYTES = 32 << 20
"""Data below this size are taken to fit into the last-level cache, where random access costs little."""
LONG_ROW_BYTES = 4096
"""Rows of this size and more are read at full bandwidth in any order."""


def epoch_order(n_rows: int, row_bytes: float, shuffle: bool | str, rng: np.random.Generator) -> np.ndarray:
    """Give the order of the rows for one epoch.

    Parameters
    ----------
    n_rows : int
        Number of rows.
    row_bytes : float
        Mean size of a row of X in bytes.
    shuffle : {True, "full", False}
        False: file order. "full": a random permutation. True: a random permutation where the data fit into the cache
        or rows are long; otherwise two levels: blocks of 16 neighbouring rows in random order, the rows shuffled
        inside windows of at least 256 blocks [1]_. Reading stays near sequential, and convergence is that of a
        permutation.
    rng : numpy.random.Generator

    Returns
    -------
    order : ndarray of shape (n_rows,), intp
        Every row once.

    Notes
    -----
    All windows are equally long but the last, which takes what is left over and so is longer, never shorter: a short
    window would make batches of neighbouring rows.

    References
    ----------
    .. [1] Xu et al., "In-Database Machine Learning with CorgiPile", SIGMOD 2022.
    """
    if not shuffle:
        return np.arange(n_rows)
    n_windows = n_rows // (BLOCK_ROWS * WINDOW_BLOCKS)
    small = n_rows * row_bytes <= CACHE_BYTES or row_bytes >= LONG_ROW_BYTES or n_windows < 2
    if shuffle == "full" or small:
        return rng.permutation(n_rows)
    n_blocks = n_rows // BLOCK_ROWS
    starts = rng.permutation(n_blocks) * BLOCK_ROWS
    order = np.empty(n_rows, dtype=np.intp)
    order[: n_blocks * BLOCK_ROWS] = (starts[:, None] + np.arange(BLOCK_ROWS)).ravel()
    order[n_blocks * BLOCK_ROWS :] = np.arange(n_blocks * BLOCK_ROWS, n_rows)
    window = n_blocks // n_windows * BLOCK_ROWS
    equal = order[: (n_windows - 1) * window].reshape(n_windows - 1, window)
    equal[:] = equal[:, rng.permutation(window)]
    rng.shuffle(order[(n_windows - 1) * window :])
    return order
