"""When a fit has diverged, and what the user is told."""

from typing import Any

import numpy as np

from sgdlinreg._core.arrays import all_finite
from sgdlinreg._core.blocks import Block
from sgdlinreg._core.objective import rounding_of
from sgdlinreg._solvers.sgd.stability import largest_stable_step, surely_diverges

LARGEST = float(np.finfo(float).max)
DIVERGED = 1.1
"""A fit has diverged where its objective is this many times that of the constant model and that of the start."""


class Divergence:
    """Tells a fit that moves away from the solution."""

    def __init__(self, solver, block, start, rng):
        self.solver, self.block, self.rng = solver, block, rng
        self.constant_loss = solver.objective.constant_value(block)
        self.rounding = rounding_of(block)
        if start.any():
            at_start = solver.objective.value(start, block)
        else:
            at_start = solver.objective.value_of_constant(0.0, block)
        # neither is the noise of steps on data without signal a divergence, nor rounding around a solution; steps of
        # automatic size may be noisier, but do not run away
        limit = DIVERGED * np.maximum(self.constant_loss, at_start) + self.rounding
        self.limit = np.full_like(limit, LARGEST) if solver.auto_step else np.minimum(limit, LARGEST)

    def check(self, epoch, losses, coef):
        """Check one epoch. ``losses`` may be a mean over noisy iterates; then the model ``coef`` is looked at."""
        if np.count_nonzero(losses <= (self.limit if epoch > 1 else LARGEST)) == len(losses):
            return  # what is not finite is not below either
        if not all_finite(losses):
            raise self.error(epoch, "is not finite")
        self.check_model(epoch, self.solver.objective.value(coef, self.block))

    def check_model(self, epoch, losses):
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

    def error(self, epoch, what):
        """Make the error, what being what the objective is."""
        return diverged(self.solver, self.block, self.rng, f"the objective in epoch {epoch} {what}")


def overflowed(what: str) -> ValueError:
    """Make the error of a closed form that is not finite."""
    return ValueError(f"The closed form overflowed: {what}. Rescale X or y, their values are too large.")


def diverged(solver: Any, block: Block, rng: np.random.Generator, what: str) -> ValueError:
    """Make the error of a fit that diverged, with what to do about it."""
    if solver.n_passes == 1:
        return overflowed(what)
    if solver.options.eta0 == "auto":
        other = "solver='normal_equation'" if solver.objective.is_least_squares else "a larger epsilon"
        return ValueError(f"SGD diverged: {what}. Use {other}, or rescale X or y.")
    return ValueError(f"SGD diverged: {what}. {_advice(solver, block, rng)}")


def check_step(solver: Any, block: Block, rng: np.random.Generator) -> None:
    """Raise an error if the step that the user gives is beyond the stable range for sure."""
    options = solver.options
    quadratic = solver.objective.is_least_squares and options.learning_rate == "constant"
    if options.eta0 == "auto" or not quadratic or not solver.objective.is_smooth:
        return
    rng = rng.spawn(1)[0]  # leaves the order of rows as it is
    with np.errstate(all="ignore"):
        if surely_diverges(block, solver.objective, options.eta0, options.momentum, rng):
            raise ValueError(f"SGD would diverge from the first step on. {_advice(solver, block, rng)}")


def _advice(solver, block, rng) -> str:
    with np.errstate(all="ignore"):
        stable = largest_stable_step(block, solver.objective, solver.batch_size(block.n_rows), rng)
    if stable == 0.0:
        return (
            f"Squares of X overflow, so that no eta0 can be called stable; got eta0={solver.options.eta0}. Rescale X."
        )
    return (
        f"For this data and batch_size the stable range is 0 < eta0 <= {stable:.2g}, about; got "
        f"eta0={solver.options.eta0}. Use eta0='auto', a smaller eta0, or scale the features first, for instance "
        "with StandardScaler."
    )
