"""What the phases of the closed form have in common, and the last one."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from sgdlinreg._core.contract import Model, Sums
from sgdlinreg._core.objective import Objective

BIASED = "a penalty biases the coefficients; fit with alpha=0"
DEPENDENT = "the columns, with that of the intercept, are linearly dependent; leave some out"
"""Why there are no standard errors."""


class Phase(Sums):
    """What one pass over the rows sums up: a value, which holds NumPy arrays only."""

    done: ClassVar[bool] = False

    def without_rows(self) -> Sums:
        """Return what is summed up, before any rows: the phase itself, unless it holds more than that."""
        return self

    def with_sums(self, sums: Any) -> "Phase":
        """Return the phase with the sums of all rows."""
        return sums

    def after_fit(self) -> "Phase | None":
        """Return what stays with an estimator after fit, for partial_fit: no row does."""
        return None

    def next(self, objective: Objective, again: bool) -> "Phase":
        """Return the phase of the next pass, or the solved one; ``again`` says whether another pass is possible."""
        raise NotImplementedError


@dataclass(frozen=True)
class Solved(Phase):
    """The model, and of each target, (n_targets,), the weighted mean of squared residuals and the optimality gap."""

    done = True
    model: Model
    mean_squares: np.ndarray
    gap: Any = 0.0


def attributes_of(coef: np.ndarray, n_rows: int, factor: Any, n_refined: int = 0) -> dict[str, Any]:
    """Return the fitted attributes of a model, by name.

    Parameters
    ----------
    coef : ndarray of shape (n_targets, n_features + 1)
    n_rows : int
    factor : object with name, rank and condition
        What was solved with.
    n_refined : int
    """
    return {
        "t_": 2,
        "batch_size_": n_rows,
        "step_size_": np.nan,
        "rank_": factor.rank,
        "condition_number_": factor.condition if factor.rank == coef.shape[1] - 1 else np.inf,
        "factorization_": factor.name,
        "n_refinements_": n_refined,
    }
