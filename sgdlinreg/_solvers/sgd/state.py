"""What an SGD fit keeps between blocks and passes."""

from dataclasses import dataclass, field, replace

import numpy as np

from sgdlinreg._core.coordinates import Coordinates
from sgdlinreg._core.sampling import Reservoir, Sample
from sgdlinreg._core.statistics import ColumnStatistics
from sgdlinreg._solvers.sgd.averaging import Mark


@dataclass
class State:
    """An SGD fit between two blocks, in the coordinates of x; all arrays float64.

    Attributes
    ----------
    coef, coef_sum, velocity : ndarray of shape (n_targets, n_features + 1)
        The iterate, the sum of all iterates so far, and the velocity of momentum.
    step_scale : ndarray of shape (n_targets,)
        Factor on the step of each target.
    marks : list of Mark
        Earlier iterates and sums.
    average_start : Mark or None
        Where the average of average=True or int starts, once it is reached.
    n_steps, n_rows, total_weight
        Steps taken; rows and their weight seen.
    columns, targets : ColumnStatistics or None
        Of all rows seen; columns with automatic steps only.
    reservoir, sample : Reservoir or None, Sample or None
        Rows that stand for all, while rows are measured and afterwards.
    seen : Reservoir or None
        A few rows of all calls of partial_fit.
    started_at_mean : bool
        Whether the intercept has been started at the mean of y.
    averaged : bool
        Whether the model is the tail average.
    since_restart : int
        Accelerated steps since the objective last rose.
    coordinates, batch_size, step_size, losses
        Of the last block.
    """

    coef: np.ndarray
    coef_sum: np.ndarray
    velocity: np.ndarray
    step_scale: np.ndarray
    marks: list[Mark] = field(default_factory=list)
    average_start: Mark | None = None
    n_steps: int = 0
    n_rows: int = 0
    total_weight: float = 0.0
    columns: ColumnStatistics | None = None
    targets: ColumnStatistics | None = None
    reservoir: Reservoir | None = None
    sample: Sample | None = None
    seen: Reservoir | None = None
    started_at_mean: bool = True
    averaged: bool = False
    since_restart: int = 0
    batch_size: int = 0
    step_size: float = np.nan
    coordinates: Coordinates | None = None
    losses: np.ndarray | None = None

    def moved(self, **changes) -> "State":
        """Give a state with some values changed."""
        return replace(self, **changes)
