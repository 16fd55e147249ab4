"""Averages of iterates from cumulative sums: the tail average, and that of all steps from a given one."""

from bisect import bisect_right
from operator import attrgetter
from typing import Any, NamedTuple

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


def averages_tail(options: Any, objective: Any) -> bool:
    """Return whether mini-batches end in the tail average."""
    automatic = options.average == "auto" and options.eta0 == "auto"
    return automatic and objective.is_smooth and options.learning_rate == "constant"


def first_averaged(average: bool | int | str, batch_size: int) -> float:
    """Return the number of the first step in the average of average=True or int; inf where there is none."""
    return np.inf if average is False or average == "auto" else -(-int(average) // batch_size)


def cuts(state: Any, first: float, start: int, stop: int, n_batches: int) -> list[int]:
    """Return the batches between which a mark is set, with both ends.

    Parameters
    ----------
    state : State
    first : float
        Number of the first step of the average, as `first_averaged` returns it.
    start, stop : int
        The batches to cut.
    n_batches : int
        Batches of the epoch.
    """
    between = []
    if state.averaged and len(state.marks) == 1 and n_batches >= 2 * MIN_BATCHES_PER_MARK:
        between.append(n_batches // 2)
    first = first - 1 - state.n_steps + start
    if start < first < stop:
        between.append(int(first))
    return [start, *sorted(cut for cut in between if start < cut < stop), stop]


def add_mark(marks: list[Mark], mark: Mark) -> list[Mark]:
    """Append a mark; where there are too many, keep those that keep three quarters of them evenly spaced."""
    if len(marks) < MAX_MARKS:
        return [*marks, mark]
    spacing = mark.n_steps / (0.75 * MAX_MARKS)
    kept = marks[:1]
    for earlier in marks[1:]:
        if earlier.n_steps - kept[-1].n_steps >= spacing:
            kept.append(earlier)
    return [*kept, mark]


def model_of_steps(state: Any) -> np.ndarray:
    """Return the coefficients that steps have led to: the average that was asked for, or the last iterate."""
    mark = state.marks[-1]
    if state.averaged:
        return tail_mean(state.marks)
    if state.average_start is not None and mark.n_steps > state.average_start.n_steps:
        return mean_between(state.average_start, mark)
    return mark.coef


def last_before(marks: list[Mark], n_steps: float) -> int:
    """Return the index of the last mark at or before a number of steps; 0 if there is none."""
    return max(bisect_right(marks, n_steps, key=N_STEPS) - 1, 0)


def mean_between(first: Mark, last: Mark) -> np.ndarray:
    """Return the mean of the iterates after ``first``, up to ``last``."""
    return (last.coef_sum - first.coef_sum) / (last.n_steps - first.n_steps)


def tail_mean(marks: list[Mark]) -> np.ndarray:
    """Return the mean of the iterates over the second half of all steps, to the precision of the marks, two or more."""
    begin = min(last_before(marks, marks[-1].n_steps / 2), len(marks) - 2)
    return mean_between(marks[begin], marks[-1])
