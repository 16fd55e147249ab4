"""What is recorded after every pass: losses, gaps, scores on validation data, and a line for the user."""

import sys
import time
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Any

import numpy as np

from sgdlinreg._core.arrays import EPS
from sgdlinreg._core.blocks import Block, join_rows
from sgdlinreg._core.objective import Objective, Quantile, SquaredError
from sgdlinreg._core.statistics import target_statistics

SQUARED = SquaredError()


class Validation:
    """Scores on data that are not trained on, and the best model by them, each target for itself.

    Parameters
    ----------
    blocks : iterable of Block
        The validation data, which are read anew after each pass.
    trained_on : Block
        The training data, or a part of them.
    loss : NamedTuple
        What is minimised. The scores are R2, but for a quantile: of that they are D2, the same with its loss.

    Attributes
    ----------
    metric : str
        Name of the score.
    scores : list of float
        Scores after each pass, mean over the targets.
    error : ndarray of shape (n_targets,)
        Mean squared error of the last model, or mean loss.
    of_constant : ndarray of shape (n_targets,)
        The error of the best constant, 0 where the validation targets are constant.
    unit : ndarray of shape (n_targets,)
        What a fall of the error is compared with: ``of_constant`` or, where that is 0, the same of the training data.
    last, best : ndarray of shape (n_targets,)
        Score of the last model and of that of the smallest error.
    best_coef : ndarray of shape (n_targets, n_features + 1)
    """

    def __init__(self, blocks: Iterable[Block], trained_on: Block, loss: Any = SQUARED):
        self.blocks = blocks
        y = _targets_of(blocks)
        with np.errstate(over="ignore"):
            self.targets, self.train_targets = target_statistics(y), target_statistics(trained_on)
            self.rounding = EPS * np.square(self.targets.mean)
            variances = self.targets.variance, self.train_targets.variance
        if isinstance(loss, Quantile):
            self.metric, self.objective, self.factor = "D2", Objective(loss), 1.0
            self.rounding = self.objective.rounding(y)
            self.of_constant, of_trained = map(self.objective.constant_value, (y, trained_on))
        else:
            self.metric, self.objective, self.factor = "R2", Objective(SQUARED), 2.0
            self.of_constant, of_trained = variances
        self.unit = np.where(self.of_constant > 0.0, self.of_constant, of_trained)
        self.scores: list[float] = []
        self.last = np.full(y.n_targets, -np.inf)
        self.best = np.full(y.n_targets, -np.inf)
        self.least_error = np.full(y.n_targets, np.inf)
        self.best_coef = np.zeros((y.n_targets, trained_on.n_features + 1))

    def score(self, coef: np.ndarray) -> np.ndarray:
        """Score each target; as in scikit-learn, constant y is 1 if predicted up to rounding, else 0."""
        self.error = error = self._value(coef) * self.factor
        unit, exact = self.of_constant, error <= self.rounding
        with np.errstate(divide="ignore", invalid="ignore"):
            score = np.where(unit > 0.0, 1.0 - error / unit, np.where(exact, 1.0, 0.0))
        self.last = score
        self.scores.append(float(score.mean()))
        better = error < self.least_error
        best = np.where(better, score, self.best), np.where(better[:, None], coef, self.best_coef)
        self.least_error, (self.best, self.best_coef) = np.fmin(error, self.least_error), best
        return score

    def _value(self, coef: np.ndarray) -> np.ndarray:
        """Compute the mean loss over all blocks, (n_targets,)."""
        values, weights, exponents = [], [], []
        for block in self.blocks:
            values.append(self.objective.value(coef, block))
            weights.append(block.total_weight)
            exponents.append(block.weight_exponent)
        shares = np.ldexp(weights, np.subtract(exponents, max(exponents)))
        return np.average(values, axis=0, weights=shares)

    def describe_distance(self) -> str:
        """Say where the validation targets are if that is further from y than they are from each other."""
        mean, std, of_y = self.targets.mean, np.sqrt(self.targets.variance), self.train_targets.mean
        far = int(np.argmax(np.abs(mean - of_y) - std))
        if abs(mean[far] - of_y[far]) <= std[far]:
            return ""
        return f": the mean of y_val is {mean[far]:.3g}, that of y {of_y[far]:.3g}"


def _targets_of(blocks: Iterable[Block]) -> Block:
    """Return the targets of all blocks, and their weights, as a block."""
    return join_rows(*(replace(block, X=block.y) for block in blocks))


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
    keeps_best : bool
        Whether the model is the best one by validation data instead of the last one.
    watch : callable(Monitor) -> bool, or None
        Called after each pass that is recorded; True ends the fit.

    Attributes
    ----------
    n_passes : int
    is_stopped : bool
        Whether ``watch`` has ended the fit.
    coef : ndarray of shape (n_targets, n_features + 1) or None
        The model after the last pass, None before the first one.
    loss_curve : list of float
        Objective of each pass, mean over the targets.
    gap_curve : list of float
        Estimated distance from the optimum after each pass, largest over the targets; nan after steps.
    column_means : ndarray of shape (n_features,) or None
        Means that the intercept is tied to, if it is.
    """

    def __init__(
        self,
        max_iter: int,
        name: str | None = None,
        validation: Validation | None = None,
        n_before: int = 0,
        keeps_best: bool = False,
        watch: Callable[["Monitor"], bool] | None = None,
    ):
        self.max_iter, self.name, self.validation, self.n_before = max_iter, name, validation, n_before
        self.keeps_best, self.watch = keeps_best, watch
        self.n_passes, self.is_stopped = 0, False
        self.coef: np.ndarray | None = None
        self.column_means: np.ndarray | None = None
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
        loss, largest_gap = float(np.add.reduce(losses)) / len(losses), float(np.max(gap))
        if self.validation:
            self.validation.score(coef)
        curves = [*self.loss_curve, loss], [*self.gap_curve, largest_gap]
        coef, n_passes = coef.copy(), self.n_passes + 1
        # all or nothing: Python handles no Ctrl-C in here
        self.n_passes, self.coef, (self.loss_curve, self.gap_curve) = n_passes, coef, curves
        if self.name is not None:
            print(f"{self.name}: {self._describe_pass()}", flush=True)
        if self.watch is not None:
            self.is_stopped = bool(self.watch(self))
        return self.n_passes < self.max_iter and not self.is_stopped

    @property
    def model(self) -> Any:
        """Coefficients that the fit ends with if this was its last pass, (n_targets, n_features + 1)."""
        return self.validation.best_coef if self.keeps_best and self.validation else self.coef

    def _describe_pass(self) -> str:
        seconds, gap = time.perf_counter() - self.began, self.gap_curve[-1]
        words = [f"pass {self.n_before + self.n_passes:4}", f"{seconds:7.2f} s", f"loss {self.loss_curve[-1]:<11.6g}"]
        if self.validation:
            words.append(f"validation {self.validation.metric} {self.validation.scores[-1]:8.5f}")
        if not np.isnan(gap):
            words.append(f"gap {gap:.1e}")
        return "  ".join(words).rstrip()

    def end(self, reason: str) -> None:
        """Print why the fit has ended."""
        if self.name is not None:
            print(f"{self.name}: ended after pass {self.n_before + self.n_passes}: {reason}", flush=True)

    def telling_of_compilation(self) -> AbstractContextManager:
        """Return a context in which numba's first compilation is told before it begins."""
        if self.name is None or "numba" not in sys.modules:
            return nullcontext()
        from sgdlinreg._core.numba_loops import before_compilation

        message = f"{self.name}: compiling kernels, once for this kind of data, takes some seconds"
        return before_compilation(lambda: print(message, flush=True))
