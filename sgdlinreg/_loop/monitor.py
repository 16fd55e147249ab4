"""What is recorded after every pass: losses, gaps, scores on validation data, and a line for the user."""

import time

import numpy as np

from sgdlinreg._core.blocks import Block
from sgdlinreg._core.objective import Objective, SquaredError
from sgdlinreg._core.statistics import target_statistics

MEAN_SQUARE = Objective(SquaredError())
"""Half the mean squared error, for scores."""


class Validation:
    """Scores on data that are not trained on, and the best model by them, each target for itself.

    Parameters
    ----------
    block : Block

    Attributes
    ----------
    scores : list of float
        R2 after each pass, mean over the targets.
    last, best : ndarray of shape (n_targets,)
        R2 of the last and of the best model.
    best_coef : ndarray of shape (n_targets, n_features + 1)
    """

    def __init__(self, block: Block):
        self.block = block
        self.variance = target_statistics(block).variance
        self.scores: list[float] = []
        self.last = np.full(block.n_targets, -np.inf)
        self.best = np.full(block.n_targets, -np.inf)
        self.best_coef = np.zeros((block.n_targets, block.n_features + 1))

    def score(self, coef: np.ndarray) -> np.ndarray:
        """Compute R2 of each target; as in scikit-learn, 0 where y is constant and not predicted exactly."""
        error = MEAN_SQUARE.value(coef, self.block) * 2.0
        with np.errstate(divide="ignore", invalid="ignore"):
            score = np.where(self.variance > 0.0, 1.0 - error / self.variance, np.where(error == 0.0, 1.0, 0.0))
        self.last = score
        self.scores.append(float(score.mean()))
        better = score > self.best
        self.best[better], self.best_coef[better] = score[better], coef[better]
        return score


class Monitor:
    """Records the passes of a fit.

    Parameters
    ----------
    max_iter : int
        Largest number of passes.
    name : str or None
        What to call the solver in a line after each pass; None prints nothing.
    validation : Validation or None
    n_before : int
        Passes of earlier calls of partial_fit.

    Attributes
    ----------
    n_passes : int
    loss_curve : list of float
        Objective of each pass, mean over the targets.
    gap_curve : list of float
        Estimated distance from the optimum after each pass, largest over the targets; nan after steps.
    """

    def __init__(self, max_iter: int, name: str | None = None, validation: Validation | None = None, n_before: int = 0):
        self.max_iter, self.name, self.validation, self.n_before = max_iter, name, validation, n_before
        self.n_passes = 0
        self.loss_curve: list[float] = []
        self.gap_curve: list[float] = []
        self.began = time.perf_counter()

    def record(self, coef: np.ndarray, losses: np.ndarray, gap: np.ndarray | float = np.nan) -> bool:
        """Record a pass, and return whether another one is allowed.

        Parameters
        ----------
        coef : ndarray of shape (n_targets, n_features + 1)
            The model after it, for the data as they are.
        losses : ndarray of shape (n_targets,)
        gap : ndarray of shape (n_targets,) or float
        """
        self.n_passes += 1
        self.loss_curve.append(float(np.add.reduce(losses)) / len(losses))
        self.gap_curve.append(float(np.max(gap)))
        if self.name is not None:
            seconds = time.perf_counter() - self.began
            print(f"{self.name}: pass {self.n_before + self.n_passes}, loss {self.loss_curve[-1]:.6g}, {seconds:.2f} s")
        if self.validation:
            self.validation.score(coef)
        return self.n_passes < self.max_iter
