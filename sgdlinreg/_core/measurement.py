"""What a pass over the rows measures: their number, statistics of columns, and rows that stand for all."""

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from sgdlinreg._core.blocks import Block
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

    def sample(self) -> Sample:
        """Return the rows that were drawn; their weights have mean one over all rows."""
        assert self.reservoir is not None, "rows were drawn"
        return self.reservoir.sample(self.n_rows / self.total_weight)


def _check_range(squares: np.ndarray, name: str) -> None:
    if not np.isfinite(squares).all():
        too_large = int(np.argmin(np.isfinite(squares)))
        raise ValueError(
            f"The squares of column {too_large} of {name} overflow float64: its values are too large. Rescale it."
        )
