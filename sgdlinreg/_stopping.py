"""When a fit stops, and how it scores on validation data."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from sgdlinreg._arrays import read_only
from sgdlinreg._blocks import Block, take_rows, with_ones
from sgdlinreg._conditioning import GAP_SHARE
from sgdlinreg._objective import Objective, SquaredError
from sgdlinreg._statistics import target_statistics

PROBE_ROWS = 2048
"""Rows on which predictions of two models are compared."""
CHANGES_IN_A_ROW = 2
OTHER_LOSSES = 0.5
"""Unit of the change for losses but the squared error, in units of the loss itself."""
SMALLEST_FALL = 0.5
"""A change to come is taken to be at least this share of the last one."""
EPOCHS_OF_NOISE = 4
"""Epochs between two looks at whether models differ by noise."""
SPARSE_SHARE = 2.0
"""Fall of the objective to come at which fits of CSR data stop, in units of ``tol``."""
POWERS = np.linspace(0.25, 1.5, 26)
"""Powers of the number of epochs with which what is left of the objective is taken to fall."""
FALLS = 1.5**POWERS * (2.0**POWERS - 1.0) / (1.5**POWERS - 1.0)
"""For each power, the fall between a third and two thirds of the epochs, in units of that from there on."""
FIRST_LOOK, FIRST_POWER = 6, 1.2
"""After so many epochs a law is laid for the first time, with a power of at most this: the first ones fall faster."""
MEAN_SQUARE = Objective(SquaredError())
"""Half the mean squared error, for scores."""


@dataclass(frozen=True)
class Limits:
    """When to stop: after ``max_iter`` epochs, or earlier by ``tol`` (None: never), in units of R2.

    With ``early_stopping`` progress is that of the score on validation data, and the best model is kept.
    """

    max_iter: int
    tol: float | None
    n_iter_no_change: int
    early_stopping: bool = False


class Stopping:
    """When a fit makes no progress, each target for itself.

    Where models of different ages can be compared (eta0="auto" with averaging or full batches): twice as many
    steps are expected to change the predictions by no more than ``tol / 4`` of y's variance, in the mean square over
    2048 fixed rows, at two epochs in a row (with l2: the objective by no more than ``tol / 4`` of itself); for other
    losses, the model and the one of half as many steps differ by no
    more than ``tol / 8`` of the loss. For squared error on CSR data in memory it is enough that no number of further
    epochs is expected to lower the objective by more than ``2 tol`` of its unit. Otherwise:
    the loss has not fallen below the best by ``tol`` times the loss of the constant model for ``n_iter_no_change``
    epochs; or with early stopping, the validation score has not risen above the best by ``tol``.
    """

    def __init__(
        self, limits: Limits, block: Block, objective: Objective, constant_loss: np.ndarray, rng: np.random.Generator
    ):
        self.limits = limits
        self.objective = objective
        self.block = block
        self.rows = np.arange(block.n_rows)
        if block.n_rows > PROBE_ROWS:
            self.rows = np.sort(rng.choice(block.n_rows, PROBE_ROWS, replace=False))
        self.constant_loss = constant_loss
        self.best = np.full(block.n_targets, np.inf)
        self.in_a_row = np.zeros(block.n_targets, dtype=int)
        self.nowhere = read_only(np.zeros(block.n_targets, dtype=bool))
        self.n_compared = 0
        self.passed_over: tuple[Callable[[], np.ndarray], np.ndarray] | None = None
        self.n_epochs = 0
        self.objectives: list[np.ndarray] = []

    @cached_property
    def probe(self):
        """Rows on which models are compared, with a last column of ones, y there, and the share of each row."""
        weight = np.ones(len(self.rows)) if self.block.sample_weight is None else self.block.sample_weight[self.rows]
        return with_ones(take_rows(self.block.X, self.rows)), self.block.y[self.rows], weight / weight.sum()

    def by_change(
        self, models: Callable[[], np.ndarray], losses: np.ndarray, n_models: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Compare the predictions of models of different ages.

        Parameters
        ----------
        models : callable() -> ndarray of shape (n_models, n_targets, n_features + 1)
            Gives the model, that of half as many steps and so on; as many as there are, at most three.
        losses : ndarray of shape (n_targets,)
            Objective of the model.
        n_models : int
            How many models there are; nothing is said of a single one.

        Returns
        -------
        same, noisy : ndarray of shape (n_targets,) of bool
            Targets whose model does not change any more; targets whose models differ by noise.

        Notes
        -----
        No target stops at an epoch unless the one before was found the same. So where none was, an epoch is passed
        over, and compared only if the next one is found the same: this changes nothing, and a comparison takes as long
        as an epoch of tiny data.
        """
        nowhere = self.nowhere
        if self.limits.tol is None or n_models < 2:
            return nowhere, nowhere
        noise_is_due = self.n_compared % EPOCHS_OF_NOISE == EPOCHS_OF_NOISE - 1
        if self.passed_over is None and not noise_is_due and not np.count_nonzero(self.in_a_row):
            self.passed_over = models, losses
            self.n_compared += 1
            return nowhere, nowhere
        same, turned = self._compare(models(), losses, self.limits.tol, noise_is_due)
        if self.passed_over is not None and same.any():
            earlier_models, earlier_losses = self.passed_over
            earlier, _ = self._compare(earlier_models(), earlier_losses, self.limits.tol, False)
            self._count(earlier, CHANGES_IN_A_ROW)
        self.passed_over = None
        same = self._count(same, CHANGES_IN_A_ROW)
        self.n_compared += 1
        return same, turned & ~same

    def _compare(
        self, models: np.ndarray, losses: np.ndarray, tol: float, of_noise: bool
    ) -> tuple[np.ndarray, np.ndarray]:
        """Say whether two models or more are the same, and if asked whether they turned back as noise does.

        What a change is worth in the objective is half its product with the change of the gradient; for squared error
        half its mean square, and half the penalty's curvature times the square of what coefficients moved. For squared
        error the change to come, at twice as many steps, counts: it is taken to be as many times
        smaller than the last as that was than the one before, at most twice. Models on their way change in the same
        direction twice, noise turns back.
        """
        X, y, share = self.probe
        moves = models[:-1] - models[1:]
        changes = steeper = _predictions(X, moves)
        if not self.objective.is_least_squares:
            slopes = self.objective.loss.slope(_predictions(X, models) - y[:, None])
            steeper = slopes[:, :-1] - slopes[:, 1:]
        worth = 0.5 * (share @ (changes * steeper).reshape(len(y), -1)).reshape(changes.shape[1:])
        if self.objective.l2:
            worth += 0.5 * self.objective.l2 * np.square(moves)[:, :, :-1].sum(axis=2)
        unit = np.minimum(losses, self.constant_loss) if self.objective.l2 else self.constant_loss
        following = worth[0]
        if not self.objective.is_least_squares:
            unit = OTHER_LOSSES * np.minimum(losses, unit)
        elif len(worth) > 1:
            # where nothing changed, 0 / 0 is not a number, and left out; `train` ignores what NumPy says about it
            following = worth[0] * np.fmin(np.fmax(worth[0] / worth[1], SMALLEST_FALL), 1.0)
        same = following <= GAP_SHARE * tol * unit
        if len(models) < 3 or not of_noise:
            return same, self.nowhere
        return same, share @ (changes[:, 1] * steeper[:, 0]) < 0.0

    def by_fall(self, objective: Callable[[], np.ndarray]) -> np.ndarray:
        """Which targets are expected to come down by no more than ``2 tol`` from now on.

        Parameters
        ----------
        objective : callable() -> ndarray of shape (n_targets,)
            Objective of the model over all rows; called at every second epoch.

        Notes
        -----
        At every sixth epoch t a power law is laid through the objective at t / 3, 2 t / 3 and t, whose power is at most
        3/2, and 6/5 at the first look, which sees the steep way from the start. With thousands of
        columns the change of predictions, by which `by_change` judges, is mostly noise of the earlier model and says
        several times too much.
        """
        self.n_epochs += 1
        if self.limits.tol is None or self.n_epochs % 2:
            return self.nowhere
        self.objectives.append(objective())
        if self.n_epochs % FIRST_LOOK:
            return self.nowhere
        third = self.n_epochs // FIRST_LOOK
        first, second, last = (self.objectives[third * k - 1] for k in (1, 2, 3))
        fall = np.abs(second - last)
        with np.errstate(divide="ignore", invalid="ignore"):
            power = np.interp(np.where(fall > 0.0, np.abs(first - second) / fall, FALLS[-1]), FALLS, POWERS)
        if third == 1:
            power = np.minimum(power, FIRST_POWER)
        unit = np.minimum(last, self.constant_loss) if self.objective.l2 else self.constant_loss
        return fall / (1.5**power - 1.0) <= SPARSE_SHARE * self.limits.tol * unit

    def by_progress(self, losses: np.ndarray, unit: np.ndarray | float) -> np.ndarray:
        """Which targets have not come down by ``tol * unit`` for n_iter_no_change epochs."""
        if self.limits.tol is None:
            return self.nowhere
        still = losses > self.best - self.limits.tol * unit
        self.best = np.minimum(self.best, losses)
        return self._count(still, self.limits.n_iter_no_change)

    def _count(self, still, needed):
        self.in_a_row = (self.in_a_row + 1) * still
        return self.in_a_row >= needed

    def go_on(self, targets: np.ndarray) -> None:
        """Start counting again for some targets."""
        self.in_a_row[targets] = 0


def _predictions(X, models: np.ndarray) -> np.ndarray:
    """Predictions of models (n_models, n_targets, n_features + 1): (n_rows, n_models, n_targets)."""
    return (X @ models.reshape(-1, models.shape[2]).T).reshape(X.shape[0], *models.shape[:2])


class Validation:
    """Scores on data that are not trained on, and the best model by them, each target for itself."""

    def __init__(self, block: Block):
        self.block = block
        self.variance = target_statistics(block).variance
        self.scores: list[float] = []
        self.best = np.full(block.n_targets, -np.inf)
        self.best_coef = np.zeros((block.n_targets, block.n_features + 1))

    def score(self, coef: np.ndarray) -> np.ndarray:
        """R2 of each target; as in scikit-learn, 0 where y is constant and not predicted exactly."""
        error = MEAN_SQUARE.value(coef, self.block) * 2.0
        with np.errstate(divide="ignore", invalid="ignore"):
            score = np.where(self.variance > 0.0, 1.0 - error / self.variance, np.where(error == 0.0, 1.0, 0.0))
        self.scores.append(float(score.mean()))
        better = score > self.best
        self.best[better], self.best_coef[better] = score[better], coef[better]
        return score
