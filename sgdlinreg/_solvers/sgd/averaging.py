"""Averages of iterates from cumulative sums: the tail average, and that of all steps from a given one."""

from bisect import bisect_right
from operator import attrgetter
from typing import NamedTuple

import numpy as np

MAX_MARKS = 64
"""Number of earlier sums kept; beyond it they are thinned out to an even spacing."""
MIN_BATCHES_PER_MARK = 64
"""A first epoch of twice as many batches is cut in half, so that its average can start there."""
N_STEPS = attrgetter("n_steps")


class Mark(NamedTuple):
    """The coefficients after some steps, and their sum over those steps, (n_targets, n_features + 1)."""

    n_steps: int
    coef: np.ndarray
    coef_sum: np.ndarray


def early_cuts(n_batches: int) -> list[int]:
    """Batches of the first epoch after which to set a mark."""
    return [n_batches // 2] if n_batches >= 2 * MIN_BATCHES_PER_MARK else []


def add_mark(marks: list[Mark], mark: Mark) -> list[Mark]:
    """Give the marks with one more; where there are too many, those that keep three quarters of them evenly spaced."""
    if len(marks) < MAX_MARKS:
        return [*marks, mark]
    spacing = mark.n_steps / (0.75 * MAX_MARKS)
    kept = marks[:1]
    for earlier in marks[1:]:
        if earlier.n_steps - kept[-1].n_steps >= spacing:
            kept.append(earlier)
    return [*kept, mark]


def last_before(marks: list[Mark], n_steps: float) -> int:
    """Index of the last mark at or before a number of steps; 0 if there is none."""
    return max(bisect_right(marks, n_steps, key=N_STEPS) - 1, 0)


def mean_between(first: Mark, last: Mark) -> np.ndarray:
    """Mean of the iterates after ``first``, up to ``last``."""
    return (last.coef_sum - first.coef_sum) / (last.n_steps - first.n_steps)


def tail_mean(marks: list[Mark]) -> np.ndarray:
    """Mean of the iterates over the second half of all steps, to the precision of the marks, which are two or more."""
    begin = min(last_before(marks, marks[-1].n_steps / 2), len(marks) - 2)
    return mean_between(marks[begin], marks[-1])
