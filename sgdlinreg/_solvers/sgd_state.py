"""What an SGD fit keeps between blocks and passes."""

from dataclasses import dataclass, field

import numpy as np

from sgdlinreg._conditioning import Conditioning
from sgdlinreg._past import Memory, Past
from sgdlinreg._solvers.averaging import Mark, mean_between
from sgdlinreg._statistics import ColumnStatistics

NO_MEMORY = Memory(np.zeros((0, 0)), np.zeros((0, 1)))


@dataclass
class State:
    """An SGD fit between two blocks, in the coordinates of x; all arrays float64.

    Attributes
    ----------
    coef, coef_sum, velocity : ndarray of shape (n_targets, n_features + 1)
        The iterate, the sum of all iterates so far, and the velocity of momentum.
    marks : list of Mark
        Earlier iterates and sums.
    average_start : Mark or None
        Where the average of average=True or int starts, once it is reached.
    n_steps, n_rows, total_weight
        Steps taken; rows and their weight seen.
    columns, targets : ColumnStatistics or None
        Of all rows seen.
    largest_norm, largest_eigenvalue : float
        Largest of any block of a stream.
    past : Past or None
        Second moment of all rows of a stream, where it is kept.
    memory : Memory
        What earlier rows add to every batch of the last block.
    started_at_mean : bool
        Whether the intercept has been started at the mean of y.
    averaged : bool
        Whether the model is the tail average.
    since_restart : int
        Accelerated steps since the objective last rose.
    step_scale : ndarray of shape (n_targets,)
        Factor on the step of each target.
    batch_size, row_bytes, step_size, conditioning, losses
        Of the last block.
    scaled : ndarray of shape (3, n_targets, n_features + 1) or None
        What an `Iterate` holds after the last block, in the coordinates of its conditioning; None where those have
        changed.
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
    largest_norm: float = 0.0
    largest_eigenvalue: float = 0.0
    past: Past | None = None
    memory: Memory = NO_MEMORY
    started_at_mean: bool = True
    averaged: bool = False
    since_restart: int = 0
    batch_size: int = 0
    row_bytes: float = 0.0
    step_size: float = np.nan
    conditioning: Conditioning | None = None
    losses: np.ndarray | None = None
    scaled: np.ndarray | None = None

    def copy(self) -> "State":
        """Give a state with the same values."""
        other = object.__new__(State)
        other.__dict__.update(self.__dict__)
        return other

    def settle(self, n_batches: int) -> None:
        """Make the mean iterate of the second half of a block the model, and what the next block goes on from."""
        if n_batches > 1:
            self.coef = mean_between(*self.marks[-2:])
            self.velocity, self.scaled = np.zeros_like(self.velocity), None
        self.marks = [Mark(self.n_steps, self.coef, self.coef_sum)]
