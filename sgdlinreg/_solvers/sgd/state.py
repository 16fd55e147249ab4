"""What an SGD fit keeps between blocks and passes."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from sgdlinreg._core.measurement import Measurement
from sgdlinreg._solvers.sgd.averaging import Mark


@dataclass
class State:
    """An SGD fit between two blocks, in the coordinates of the data; all arrays float64.

    Attributes
    ----------
    coef, coef_sum, velocity : ndarray of shape (n_targets, n_features + 1)
        The iterate, the sum of all iterates so far, and the velocity of momentum.
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
    marks : list of Mark
        Earlier iterates and sums.
    average_start : Mark or None
        Where the average of average=True or int starts, once it is reached.
    n_steps : int
        Steps taken.
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

    coef: np.ndarray
    coef_sum: np.ndarray
    velocity: np.ndarray
    step_scale: np.ndarray
    measured: Measurement
    weight_exponent: int | None = None
    streams: bool = False
    start: np.ndarray | None = None
    starts_at_constant: bool = False
    marks: list[Mark] = field(default_factory=list)
    average_start: Mark | None = None
    n_steps: int = 0
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
