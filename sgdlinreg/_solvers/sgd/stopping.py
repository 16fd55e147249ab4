"""When steps stop, and how a fit scores on validation data."""

from dataclasses import dataclass

import numpy as np

from sgdlinreg._core.blocks import Block
from sgdlinreg._core.objective import Objective, SquaredError
from sgdlinreg._core.statistics import target_statistics

MEAN_SQUARE = Objective(SquaredError())
"""Half the mean squared error, for scores."""


@dataclass(frozen=True)
class Limits:
    """When to stop: after ``max_iter`` passes, or earlier by ``tol`` (None: never), in units of R2.

    With ``early_stopping`` progress is that of the score on validation data, and the best model is kept.
    """

    max_iter: int
    tol: float | None
    n_iter_no_change: int
    early_stopping: bool = False


class Progress:
    """Whether steps make progress, each target for itself.

    A target makes none where its loss, or the negative validation score, has not fallen below the best by ``tol`` times
    a unit for ``n_iter_no_change`` epochs.
    """

    def __init__(self, limits: Limits, n_targets: int):
        self.limits = limits
        self.best = np.full(n_targets, np.inf)
        self.in_a_row = np.zeros(n_targets, dtype=int)

    def has_stalled(self, losses: np.ndarray, unit: np.ndarray | float) -> np.ndarray:
        """Take an epoch into account; gives which targets make no progress, (n_targets,) of bool."""
        if self.limits.tol is None:
            return np.zeros(len(losses), dtype=bool)
        still = losses > self.best - self.limits.tol * unit
        self.best = np.minimum(self.best, losses)
        self.in_a_row = (self.in_a_row + 1) * still
        return self.in_a_row >= self.limits.n_iter_no_change

    def start_again(self, losses: np.ndarray, targets: np.ndarray) -> None:
        """Forget the best loss of some targets: accelerated steps overshot it, and come back to it later."""
        self.best = np.where(targets, losses, self.best)
        self.in_a_row[targets] = 0

    def go_on(self, targets: np.ndarray) -> None:
        """Start counting again for some targets."""
        self.in_a_row[targets] = 0


class Validation:
    """Scores on data that are not trained on, and the best model by them, each target for itself."""

    def __init__(self, block: Block):
        self.block = block
        self.variance = target_statistics(block).variance
        self.scores: list[float] = []
        self.last = np.full(block.n_targets, -np.inf)
        self.best = np.full(block.n_targets, -np.inf)
        self.best_coef = np.zeros((block.n_targets, block.n_features + 1))

    def score(self, coef: np.ndarray) -> np.ndarray:
        """Give R2 of each target; as in scikit-learn, 0 where y is constant and not predicted exactly."""
        error = MEAN_SQUARE.value(coef, self.block) * 2.0
        with np.errstate(divide="ignore", invalid="ignore"):
            score = np.where(self.variance > 0.0, 1.0 - error / self.variance, np.where(error == 0.0, 1.0, 0.0))
        self.last = score
        self.scores.append(float(score.mean()))
        better = score > self.best
        self.best[better], self.best_coef[better] = score[better], coef[better]
        return score
