"""The last phase: a solved problem, from which the model is made and from which partial_fit goes on."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from sgdlinreg._core.contract import Model
from sgdlinreg._core.objective import Objective
from sgdlinreg._core.standard_errors import Inference
from sgdlinreg._solvers.closed_form.equations import Solution
from sgdlinreg._solvers.closed_form.factorizations import least_norm

ENOUGH_SINGLE = 1e-4
"""Bound on the error above which a model from float32 products is made again, or warned about."""
SURE = 1e-6
"""Bound on the error above which a model that could not be refined is warned about."""


@dataclass(frozen=True)
class Solved:
    """A solved problem.

    Attributes
    ----------
    coef : ndarray of shape (n_targets, n_features + 1)
    squares : ndarray of shape (n_targets,)
        Weighted sums of squared residuals.
    total_weight : float
    mean : ndarray of shape (n_features,)
        Of the columns.
    n_rows, rank : int
    condition : float
    factorization : str
    kept : Any
        Moments, or rows where they are fewer than columns: what is kept of the data.
    n_refined : int
    solution : Solution or None
        What standard errors and warnings follow from, if there are any.
    """

    coef: np.ndarray
    squares: np.ndarray
    total_weight: float
    mean: np.ndarray
    n_rows: int
    rank: int
    condition: float
    factorization: str
    kept: Any
    n_refined: int = 0
    solution: Solution | None = None
    done: ClassVar[bool] = True

    def losses(self, objective: Objective) -> np.ndarray:
        """Return the objective of each target, (n_targets,)."""
        return 0.5 * self.squares / self.total_weight + objective.penalty(self.coef)

    def model(self, objective: Objective, kept: Any) -> Model:
        """Return the model; ``kept`` is the phase that partial_fit goes on from."""
        attributes = {
            "t_": 2,
            "batch_size_": self.n_rows,
            "step_size_": np.nan,
            "rank_": self.rank,
            "condition_number_": self.condition,
            "factorization_": self.factorization,
            "n_refinements_": self.n_refined,
        }
        means = self.mean if objective.fit_intercept else None
        return Model(self.coef, attributes, kept, means, self._inference(objective), _lost_digits(self.solution))

    def _inference(self, objective: Objective) -> Inference | str:
        """Return what standard errors follow from, or why there are none."""
        solution, n_features = self.solution, len(self.mean)
        if objective.l2 > 0.0:
            return "a penalty biases the coefficients; fit with alpha=0"
        if objective.positive:
            return "they do not hold for coefficients at a bound; fit with positive=False"
        if solution is not None and solution.factor.rank == n_features and solution.factor.lower is None:
            return "the columns are too collinear for sums alone, and the rows cannot be read again; use fit"
        if solution is None or not has_standard_errors(solution):
            return "the columns, with that of the intercept, are linearly dependent; leave some out"
        if solution.lost and not solution.n_refined:
            return "the residuals are too small for sums to tell, and the rows cannot be read again; use fit"
        freedom = self.n_rows - n_features - objective.fit_intercept
        if freedom <= 0:
            return f"{self.n_rows} rows leave no degrees of freedom for {n_features} features; use more rows"
        scale, lower, std = solution.scaled.scale, solution.factor.lower, np.sqrt(self.squares / freedom)
        factors = _refined_factors(solution, objective.fit_intercept)
        mean = self.mean if objective.fit_intercept else None
        return Inference(mean, scale, lower, self.total_weight, std, factors)


def has_standard_errors(solution: Solution) -> bool:
    """Return whether the columns are independent, without a penalty, and their factor is known."""
    full = solution.factor.rank == solution.scaled.moments.n_features
    return full and solution.scaled.penalty == 0.0 and solution.factor.lower is not None


def _refined_factors(solution: Solution, fit_intercept: bool) -> np.ndarray | None:
    """Return variances for a residual variance of 1, (n_features + 1,), where the inverse moments were refined."""
    inverse = solution.coef.high[:, len(solution.squares) :]
    if not solution.n_refined or not inverse.shape[1]:
        return None
    moments = solution.scaled.moments
    diagonal = np.arange(moments.n_features)
    factors = np.zeros(moments.n_features + 1)
    factors[:-1] = inverse[diagonal, diagonal] * solution.scaled.scale
    if fit_intercept:
        factors[-1] = inverse[-1, -1] * np.sqrt(moments.total_weight)
    return factors


def solved(solution: Solution, objective: Objective) -> Solved:
    """Return the end of a solution; of dependent columns the one of least norm in the units of the data."""
    scaled, factor = solution.scaled, solution.factor
    moments = scaled.moments
    d = moments.n_features
    coef = solution.coef.high[:, : len(solution.squares)].T
    if factor.null.shape[1]:
        coef = coef.copy()
        weights = coef[:, scaled.active].T / scaled.y_unit
        weights = least_norm(weights, factor.null, scaled.scale[scaled.active], scaled.gram, scaled.right)
        coef[:, scaled.active] = (weights * scaled.y_unit).T
        if objective.fit_intercept:
            coef[:, d] = moments.mean[d:] - coef[:, :d] @ moments.mean[:d]
    return Solved(
        coef,
        solution.squares,
        moments.total_weight,
        moments.mean[:d],
        moments.n_rows,
        factor.rank,
        factor.condition if len(scaled.gram) == d else np.inf,
        factor.name,
        moments,
        solution.n_refined,
        solution,
    )


def _lost_digits(solution: Solution | None) -> str | None:
    """Say where digits are missing: refinement that does not converge, or moments alone where rows cannot be read."""
    if solution is None or not len(solution.scaled.gram):
        return None
    if solution.stuck:
        return (
            "Refinement of the solution did not converge: the columns of X are too collinear, or the weights too "
            "uneven, for all digits of the coefficients. Leave columns out, or set a small alpha."
        )
    sure = ENOUGH_SINGLE if solution.scaled.moments.rounded else SURE
    if solution.n_refined or solution.factor.name == "qr" or solution.factor.error <= sure:
        return None
    return (
        f"The columns of X are nearly linearly dependent, or the weights very uneven: of the coefficients about "
        f"{max(0, int(-np.log10(min(solution.factor.error, 1.0))))} digits are sure, because the rows cannot be read "
        "again. Use fit, or fit_source with a source that can be passed over again."
    )
