"""What the user is told where steps do not lead to the optimum."""

from typing import Any

import numpy as np

from sgdlinreg._core.blocks import Block
from sgdlinreg._core.contract import Options
from sgdlinreg._solvers.sgd.stability import largest_stable_step

COLLINEAR = (
    "Columns of X are too collinear for steps: the model may lack what rounding nearly hides. Use the closed form, "
    "solver='normal_equation', which is exact here."
)
WORSE_THAN_CONSTANT = (
    "The model is worse than the best constant one: it is far from the solution. Use eta0='auto', a larger eta0 or "
    "more epochs, or solver='normal_equation', which is exact in partial_fit, too."
)


def not_converged(options: Options, gap: float, n_passes: int) -> str:
    """Return what to do where passes were not enough, or gained nothing more; ``gap`` is nan after steps alone."""
    distance = "" if np.isnan(gap) else f" (optimality_gap_ is {gap:.2g})"
    if n_passes < options.max_iter:
        return (
            f"The stopping rule (tol={options.tol}) was not met{distance}, and after {n_passes} passes the objective "
            "falls no more: rounding hides the rest. Bring y and epsilon to a scale of about 1, or increase tol."
        )
    return (
        f"The stopping rule (tol={options.tol}) was not met in max_iter={options.max_iter} passes{distance}: increase "
        "max_iter or tol, or set tol=None if the number of passes is meant."
    )


def why_ended(monitor: Any, rule_met: str) -> str:
    """Return why a fit has ended; ``rule_met`` says how its stopping rule was met, and is empty where it was not."""
    if rule_met:
        return rule_met
    if monitor.is_stopped:
        return "stopped by a callback"
    return f"max_iter={monitor.max_iter}" if monitor.n_passes >= monitor.max_iter else "the objective falls no more"


def interrupted(loss: float, gap: float, n_passes: int) -> str:
    """Return how far an interrupted fit is; ``gap`` is nan after steps alone."""
    distance = f"its loss is {loss:.3g}" if np.isnan(gap) else f"optimality_gap_ is {gap:.2g}"
    return (
        f"The fit was interrupted: the model is that of the last finished pass, number {n_passes}; {distance}. With "
        "warm_start=True fit goes on from it; fit_source begins anew."
    )


def diverged(solver: Any, block: Block, what: str) -> ValueError:
    """Return the error of a fit that diverged, with what to do about it."""
    if solver.options.eta0 == "auto":
        closed, tube = "Use solver='normal_equation', or rescale", "Use a larger epsilon, or rescale"
        has_epsilon = "epsilon" in solver.objective.loss._fields
        what_to_do = closed if solver.objective.is_least_squares else tube if has_epsilon else "Rescale"
        return ValueError(f"SGD diverged: {what}. {what_to_do} X or y.")
    return ValueError(f"SGD diverged: {what}. {stable_range(solver, block)}")


def stable_range(solver: Any, block: Block) -> str:
    """Return which float eta0 is stable for the data, and what to do."""
    with np.errstate(all="ignore"):
        stable = largest_stable_step(block, solver.objective, solver.batch_size(block.n_rows), solver.rng)
    eta0 = solver.options.eta0
    if stable == 0.0:
        return f"Squares of X overflow, so that no eta0 can be called stable; got eta0={eta0}. Rescale X."
    return (
        f"For this data and batch_size the stable range is 0 < eta0 <= {stable:.2g}, about; got eta0={eta0}. Use "
        "eta0='auto', a smaller eta0, or scale the features first, for instance with StandardScaler."
    )
