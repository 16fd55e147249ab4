"""What a pass over the rows measures: their number, statistics of columns, and rows that stand for all."""

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from sgdlinreg._core.blocks import Block
from sgdlinreg._core.contract import Sums
from sgdlinreg._core.coordinates import norms_of, step_coordinates
from sgdlinreg._core.objective import Objective
from sgdlinreg._core.sampling import Reservoir, Sample
from sgdlinreg._core.statistics import column_statistics, target_statistics


class Measurement(NamedTuple):
    """What is known of the rows so far: a value, each block makes a new one.

    Attributes
    ----------
    reservoir : Reservoir or None
        Where rows are drawn; None once that is over.
    n_rows : int
    total_weight : float
    columns : ColumnStatistics or None
        Of the columns of X, where that was asked for.
    targets : ColumnStatistics or None
        Of the columns of y; None before any rows.
    """

    reservoir: Reservoir | None
    n_rows: int = 0
    total_weight: float = 0.0
    columns: Any = None
    targets: Any = None

    def add(
        self, block: Block, objective: Objective, with_columns: bool, rng: np.random.Generator
    ) -> tuple["Measurement", np.ndarray]:
        """Take a block into account.

        Parameters
        ----------
        block : Block
        objective : Objective
        with_columns : bool
            Whether to measure the columns of X.
        rng : numpy.random.Generator

        Returns
        -------
        measurement : Measurement
        norms : ndarray of shape (n_rows,)
            Weighted squared norms of the rows in scaled coordinates, those of no penalty; ones without the columns.

        Raises
        ------
        ValueError
            If squares of X or y overflow.
        """
        targets, columns, norms = target_statistics(block), None, np.ones(block.n_rows)
        if self.targets is not None:
            targets = targets.merge(self.targets)
        _check_range(targets.squares + np.square(targets.mean), "y")
        if with_columns:
            columns = column_statistics(block)
            if self.columns is not None:
                columns = columns.merge(self.columns)
            _check_range(columns.squares, "X")
            norms = norms_of(block, step_coordinates(columns, replace(objective, alpha=0.0)))
            norms = norms if block.sample_weight is None else norms * block.sample_weight
        n_rows, total_weight = self.n_rows + block.n_rows, self.total_weight + block.total_weight
        reservoir = self.reservoir and self.reservoir.add(block, norms, rng)
        return Measurement(reservoir, n_rows, total_weight, columns, targets), norms

    def merge(self, other: "Measurement") -> "Measurement":
        """Join what was measured of other rows, the columns of X too."""
        reservoir: Any = self.reservoir
        return Measurement(
            reservoir.merge(other.reservoir),
            self.n_rows + other.n_rows,
            self.total_weight + other.total_weight,
            self.columns.merge(other.columns),
            self.targets.merge(other.targets),
        )

    def sample(self) -> Sample:
        """Return the rows that were drawn; their weights have mean one over all rows."""
        assert self.reservoir is not None, "rows were drawn"
        return self.reservoir.sample(self.n_rows / self.total_weight)


@dataclass(frozen=True)
class MeasuredRows(Sums):
    """What is known of the rows so far, and what it takes to measure more of them."""

    objective: Objective
    measured: Measurement
    rng: np.random.Generator

    def add(self, block):
        """Take a block into account."""
        return replace(self, measured=self.measured.add(block, self.objective, True, self.rng)[0])

    def merge(self, other):
        """Join what was measured of other rows."""
        return replace(self, measured=self.measured.merge(other.measured))

    def shares(self, n_rows):
        """Return what parts of the rows begin with."""
        reservoir: Any = self.measured.reservoir
        shares = zip(reservoir.shares(n_rows, self.rng), self.rng.spawn(len(n_rows)), strict=True)
        return [replace(self, measured=self.measured._replace(reservoir=one), rng=rng) for one, rng in shares]


def _check_range(squares: np.ndarray, name: str) -> None:
    if not np.isfinite(squares).all():
        too_large = int(np.argmin(np.isfinite(squares)))
        raise ValueError(
            f"The squares of column {too_large} of {name} overflow float64: its values are too large. Rescale it."
        )
