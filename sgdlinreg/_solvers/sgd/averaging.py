"""Averages of iterates from running sums: the tail average, and that of all steps from a given one."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

MIN_BATCHES_PER_MARK = 64
"""A first epoch of twice as many batches is cut in half, so that its average can start there."""


class Mark(NamedTuple):
    """The sum of the coefficients over some steps, (n_targets, n_features + 1)."""

    n_steps: int
    coef_sum: np.ndarray


class Tail(NamedTuple):
    """Two earlier sums, from which the mean over half to three quarters of all steps follows, the last ones."""

    begin: Mark
    middle: Mark

    @classmethod
    def at(cls, n_steps: int, coef_sum: np.ndarray) -> "Tail":
        """Return the tail that starts after some steps."""
        return cls(Mark(n_steps, coef_sum), Mark(n_steps, coef_sum))

    @property
    def is_new(self) -> bool:
        """Whether no steps were taken yet."""
        return self.begin.n_steps == self.middle.n_steps

    def after(self, n_steps: int, coef_sum: np.ndarray) -> "Tail":
        """Return the tail after more steps: where they have doubled, it begins in their middle."""
        if n_steps < 2 * self.middle.n_steps:
            return self
        return Tail(self.middle, Mark(n_steps, coef_sum.copy()))

    def mean(self, n_steps: int, coef_sum: np.ndarray) -> np.ndarray:
        """Return the mean of the iterates after its beginning."""
        return (coef_sum - self.begin.coef_sum) / (n_steps - self.begin.n_steps)

    def converted(self, convert: Callable[[np.ndarray], np.ndarray]) -> "Tail":
        """Return the tail in other coordinates."""
        return Tail(*(Mark(n_steps, convert(coef_sum)) for n_steps, coef_sum in self))


def averages_tail(options: Any, objective: Any) -> bool:
    """Return whether mini-batches end in the tail average."""
    automatic = options.average == "auto" and options.eta0 == "auto"
    return automatic and objective.is_smooth and options.learning_rate == "constant"


def first_averaged(average: bool | int | str, batch_size: int) -> float:
    """Return the number of the first step in the average of average=True or int; inf where there is none."""
    return np.inf if average is False or average == "auto" else -(-int(average) // batch_size)


def cuts(state: Any, first: float, start: int, stop: int, n_batches: int) -> list[int]:
    """Return the batches between which the sums are looked at, with both ends.

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
    if state.averaged and state.tail.is_new and n_batches >= 2 * MIN_BATCHES_PER_MARK:
        between.append(n_batches // 2)
    first = first - 1 - state.n_steps + start
    if start < first < stop:
        between.append(int(first))
    return [start, *sorted(cut for cut in between if start < cut < stop), stop]


def model_of_steps(state: Any) -> np.ndarray:
    """Return the coefficients that steps have led to: the average that was asked for, or the last iterate."""
    coef, coef_sum, _ = state.iterate
    if state.averaged:
        return state.tail.mean(state.n_steps, coef_sum)
    if state.average_start is not None and state.n_steps > state.average_start:
        return coef_sum / (state.n_steps - state.average_start)
    return coef
