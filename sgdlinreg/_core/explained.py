"""R2 of a model, from sums over blocks of rows."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from sgdlinreg._core.contract import Sums
from sgdlinreg._core.objective import Objective, SquaredError
from sgdlinreg._core.statistics import target_statistics


@dataclass(frozen=True)
class Explained(Sums):
    """What R2 of coefficients (n_targets, n_features + 1) follows from, of the rows so far, None and 0 before any.

    Attributes
    ----------
    coef : ndarray of shape (n_targets, n_features + 1)
    targets : ColumnStatistics or None
    squares : ndarray of shape (n_targets,)
        Sum of squared residuals. It counts, as the weights of the targets, in units of ``2**weight_exponent``.
    weight_exponent : int
    """

    coef: np.ndarray
    targets: Any = None
    squares: Any = 0.0
    weight_exponent: int = 0

    def add(self, block):
        """Add the rows of a block."""
        squares = 2.0 * block.total_weight * Objective(SquaredError()).value(self.coef, block)
        of_block = Explained(self.coef, target_statistics(block), squares, block.weight_exponent)
        return of_block if self.targets is None else self.merge(of_block)

    def merge(self, other):
        """Add other rows."""
        exponent = max(self.weight_exponent, other.weight_exponent)
        ours, theirs = self._in(exponent), other._in(exponent)
        return replace(ours, targets=ours.targets.merge(theirs.targets), squares=ours.squares + theirs.squares)

    def _in(self, exponent):
        factor = np.ldexp(1.0, self.weight_exponent - exponent)
        targets = self.targets._replace(
            total_weight=self.targets.total_weight * factor, squares=self.targets.squares * factor
        )
        return Explained(self.coef, targets, self.squares * factor, exponent)

    @property
    def score(self) -> float:
        """R2, the mean over the targets; of constant y 1 where it is predicted, else 0."""
        of_constant = self.targets.variance * self.targets.total_weight
        missing = np.divide(self.squares, of_constant, out=(self.squares > 0.0).astype(float), where=of_constant > 0.0)
        return float(np.mean(1.0 - missing))
