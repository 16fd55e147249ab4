"""What an SGD fit keeps between blocks and passes."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from sgdlinreg._core.contract import Iterate
from sgdlinreg._core.measurement import Measurement


@dataclass
class State:
    """An SGD fit between two blocks; all arrays float64.

    It belongs to one fit, whose steps change its iterate in place. What is kept for the next call of partial_fit is a
    copy, in the coordinates of the data.

    Attributes
    ----------
    iterate : Iterate or None
        In ``coordinates``, before they are known in those of the data; None where there are no more steps.
    tail : Tail or None
        Earlier sums of iterates, in the same coordinates.
    step_scale : ndarray of shape (n_targets,)
        Factor on the step of each target.
    measured : Measurement
        What is known of all rows so far.
    weight_exponent : int or None
        Sample weights count in units of ``2**weight_exponent``, for all blocks; None before any.
    streams : bool
        Whether rows come once, as in partial_fit: a block is measured and stepped over at once.
    start : ndarray of shape (n_targets, n_features + 1) or None
        Where the user wants to start.
    starts_at_constant : bool
        Whether the intercept is still to be set to that of the constant model.
    average_start : int or None
        Steps before the average of average=True or int, once it has begun.
    n_steps : int
        Steps taken.
    steps_after : list of int
        The same after each epoch of this fit.
    since_restart : int
        Accelerated steps since the objective last rose.
    seen : Reservoir or None
        A few rows of all calls of partial_fit.
    sample : Sample or None
        Rows that stand for all.
    coordinates : Coordinates or None
        Those of the steps; None until the rows were measured.
    batch_size : int
    step_size : float
    averaged : bool
        Whether the model is the tail average.
    loss_sum : ndarray of shape (n_targets,) or float
        Objective of the blocks of this pass, times their rows.
    losses : ndarray of shape (n_targets,) or None
        Objective of the last pass.
    constant_loss : ndarray of shape (n_targets,) or None
        Objective of the constant model, where the finish follows.
    judged_on : Block or None
        Rows on which models are judged: all, or some that stand for them.
    judge : Any
        Decides when steps alone stop.
    model : Any
        The model, once the fit is done.
    """

    iterate: Any
    step_scale: np.ndarray
    measured: Measurement
    weight_exponent: int | None = None
    streams: bool = False
    start: np.ndarray | None = None
    starts_at_constant: bool = False
    tail: Any = None
    average_start: int | None = None
    n_steps: int = 0
    steps_after: list[int] = field(default_factory=list)
    since_restart: int = 0
    seen: Any = None
    sample: Any = None
    coordinates: Any = None
    batch_size: int = 0
    step_size: float = np.nan
    averaged: bool = False
    loss_sum: Any = 0.0
    losses: np.ndarray | None = None
    constant_loss: Any = None
    judged_on: Any = None
    judge: Any = None
    model: Any = None

    def converted(self, convert: Callable[[np.ndarray], np.ndarray]) -> dict[str, Any]:
        """Return the iterate and the tail in other coordinates, by name; the arrays are new."""
        tail = self.tail and self.tail.converted(convert)
        return {"iterate": Iterate(*map(convert, self.iterate)), "tail": tail}
