"""When a fit has diverged, or is about to."""

from typing import Any

import numpy as np

from sgdlinreg._core.arrays import all_finite
from sgdlinreg._core.blocks import Block
from sgdlinreg._solvers.sgd.advice import diverged, stable_range
from sgdlinreg._solvers.sgd.stability import surely_diverges

LARGEST = float(np.finfo(float).max)
DIVERGED = 1.1
"""A fit has diverged where its objective is this many times that of the constant model and that of the start."""


class Divergence:
    """Recognises a fit that moves away from the solution.

    Parameters
    ----------
    solver : SGD
    block : Block
        All rows, or some that stand for them.
    start : ndarray of shape (n_targets, n_features + 1) or None
        Where the fit starts, None for zeros.

    Attributes
    ----------
    constant_loss, rounding : ndarray of shape (n_targets,)
        Objective of the constant model, and its rounding.
    """

    def __init__(self, solver: Any, block: Block, start: np.ndarray | None):
        self.solver, self.block = solver, block
        self.constant_loss = solver.objective.constant_value(block)
        self.rounding = solver.objective.rounding(block)
        if start is not None:
            at_start = solver.objective.value(start, block)
        else:
            at_start = solver.objective.value_of_constant(0.0, block)
        # neither is the noise of steps on data without signal a divergence, nor rounding around a solution; steps of
        # automatic size may be noisier, but do not run away
        limit = DIVERGED * np.maximum(self.constant_loss, at_start) + self.rounding
        automatic = solver.step_sizes.is_automatic
        self.limit = np.full_like(limit, LARGEST) if automatic else np.minimum(limit, LARGEST)

    def check(self, epoch: int, losses: np.ndarray, coef: np.ndarray) -> None:
        """Check one epoch. ``losses`` may be a mean over noisy iterates; then the model ``coef`` is looked at."""
        if np.count_nonzero(losses <= (self.limit if epoch > 1 else LARGEST)) == len(losses):
            return  # what is not finite is not below either
        if not all_finite(losses):
            raise self.error(epoch, "is not finite")
        self.check_model(epoch, self.solver.objective.value(coef, self.block))

    def check_model(self, epoch: int, losses: np.ndarray) -> None:
        """Check the objective of the model after an epoch."""
        if not np.isfinite(losses).all():
            raise self.error(epoch, "is not finite")
        if (losses > self.limit).any():
            worst = int(np.argmax(losses - self.limit))
            raise self.error(
                epoch,
                f"is {losses[worst]:.3g}, above {self.constant_loss[worst]:.3g}, that of the constant model, "
                "and above where the fit started",
            )

    def error(self, epoch: int, what: str) -> ValueError:
        """Return the error; ``what`` says what the objective is."""
        return diverged(self.solver, self.block, f"the objective in epoch {epoch} {what}")


def check_step(solver: Any, block: Block) -> None:
    """Raise an error if the step that the user gives is beyond the stable range for sure."""
    options, objective = solver.options, solver.objective
    quadratic = objective.is_least_squares and objective.is_smooth and options.learning_rate == "constant"
    if options.eta0 == "auto" or not quadratic:
        return
    rng = solver.rng.spawn(1)[0]  # leaves the order of rows as it is
    with np.errstate(all="ignore"):
        if surely_diverges(block, objective, options.eta0, options.momentum, rng):
            raise ValueError(f"SGD would diverge from the first step on. {stable_range(solver, block)}")
