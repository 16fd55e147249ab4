"""Random generators from scikit-learn's parameter ``random_state``."""

from numbers import Integral
from threading import local

import numpy as np
from sklearn.utils import check_random_state


class _OfThread(local):
    def __init__(self):
        self.state = np.random.RandomState(0)


_of_thread = _OfThread()


def random_state_of(random_state) -> np.random.RandomState:
    """Give what ``sklearn.utils.check_random_state`` gives; valid until the next call in the same thread.

    A new RandomState gathers entropy, a twentieth of a small fit, before it takes its seed. So one is seeded anew.
    """
    if not isinstance(random_state, Integral):
        return check_random_state(random_state)
    _of_thread.state.seed(int(random_state))
    return _of_thread.state


def generator_of(random_state: np.random.RandomState, *more: int) -> np.random.Generator:
    """Draw the seed of a generator, to which more numbers may belong."""
    seed = random_state.randint(2**31 - 1)
    return np.random.default_rng([seed, *more] if more else seed)
