"""Least squares with an l1 part in the penalty, or coefficients >= 0, by scikit-learn and SciPy.

Both work on a triangle instead of the rows: R of [X, y], centred and weighted, has the same objective in as many rows
as there are columns.
"""

import warnings
from typing import Any, NamedTuple

import numpy as np
from scipy import linalg, optimize
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import ElasticNet

from sgdlinreg._core.blocks import Block
from sgdlinreg._core.contract import Model
from sgdlinreg._core.objective import Objective
from sgdlinreg._solvers.closed_form.double_double import power_of_two_above
from sgdlinreg._solvers.closed_form.dual import centred_rows
from sgdlinreg._solvers.closed_form.equations import NormalEquations
from sgdlinreg._solvers.closed_form.factorizations import nonzero_eigenvalues
from sgdlinreg._solvers.closed_form.phase import BIASED, Phase, Solved, attributes_of

TOL = 1e-11
"""Duality gap of coordinate descent, relative to the sum of squares that the rows explain."""
SWEPT_VALUES, SWEEPS = 1e9, (1_000, 100_000)
"""Coordinate descent sweeps over so many values at most, and so many times at least and at most."""
ENOUGH_GAP = 1e-9
"""Largest gap without a warning, relative to the loss of the constant model."""
NOT_CONVERGED = (
    "Coordinate descent has not converged (optimality_gap_ is at most {:.2g}): columns are nearly dependent. Leave "
    "some out, or increase alpha."
)
AT_A_BOUND = "they do not hold for coefficients at a bound; fit with positive=False"


class Found(NamedTuple):
    """A solution.

    Attributes
    ----------
    coef : ndarray of shape (n_targets, n_features + 1)
    mean_squares, gap : ndarray of shape (n_targets,)
        Weighted mean of squared residuals, and the duality gap relative to the loss of the constant model.
    name : str
    rank : int
    condition : float
        As the fitted attributes of a factor.
    """

    coef: np.ndarray
    mean_squares: np.ndarray
    gap: np.ndarray
    name: str
    rank: int
    condition: float

    def solved(self, objective: Objective, n_rows: int, kept: Phase, mean: np.ndarray) -> Solved:
        """Return the phase of the solution; ``mean`` are the means of the columns, ``kept`` is for partial_fit."""
        model = Model(
            self.coef,
            attributes_of(self.coef, n_rows, self),
            kept,
            mean if objective.fit_intercept else None,
            BIASED if objective.alpha > 0.0 else AT_A_BOUND,
            advice=(NOT_CONVERGED.format(self.gap.max()),) if self.gap.max() > ENOUGH_GAP else (),
        )
        return Solved(model, self.mean_squares, self.gap)


def triangle_of(equations: NormalEquations, factor: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return a root of the moments, (n, n_active), and the targets that belong to it, (n, n_targets)."""
    if factor.lower is not None:
        return factor.lower.T, linalg.solve_triangular(factor.lower, equations.right, lower=True)
    values, vectors = linalg.eigh(equations.gram)
    kept = nonzero_eigenvalues(values)
    root, vectors = np.sqrt(values[kept])[:, None], vectors[:, kept]
    return root * vectors.T, (vectors.T @ equations.right) / root


def solve_triangle(
    equations: NormalEquations, rows: np.ndarray, targets: np.ndarray, factor: Any, objective: Objective
) -> Found:
    """Minimise an objective whose l2 part is among the rows already.

    Parameters
    ----------
    equations : NormalEquations
    rows : ndarray of shape (n, n_active)
        In scaled columns.
    targets : ndarray of shape (n, n_targets)
        In units of y.
    factor : object with rank and condition
        Of these columns.
    objective : Objective
    """
    total_weight, y_unit = equations.moments.total_weight, equations.y_unit
    scale, name = equations.scale[equations.active, None], "non_negative"
    if objective.l1 > 0.0:
        l1 = objective.l1 * total_weight / y_unit
        weights, gap = coordinate_descent(rows * scale.T, targets, l1, objective.positive)
        weights, name = weights * scale, "coordinate_descent"
    else:
        weights, gap = non_negative(rows, targets), np.zeros(len(y_unit))
    coef = equations.coef_of(weights).T * y_unit[:, None]
    squares = np.sqrt(equations.residual_squares(weights) / total_weight) * y_unit
    gap = np.divide(2.0 * gap, equations.y_squares, out=np.zeros_like(gap), where=gap > 0.0)
    return Found(coef, np.square(squares), gap, name, factor.rank, factor.condition)


def solve_rows(block: Block, objective: Objective) -> tuple[Found, np.ndarray]:
    """Minimise an objective over rows that are fewer than columns; return also the means of the columns."""
    (x_mean, X), (y_mean, y), root = centred_rows(block, objective.fit_intercept)
    y_unit, total_weight = power_of_two_above(np.abs(y).max(axis=0)), block.total_weight
    rows, targets = X * root, y / y_unit * root
    l2, gap, name = objective.l2 * total_weight, np.zeros(len(y_unit)), "non_negative"
    if objective.l1 > 0.0:
        l1 = objective.l1 * total_weight / y_unit
        weights, gap = coordinate_descent(rows, targets, l1, objective.positive, l2)
        name = "coordinate_descent"
    else:
        ridge = np.eye(len(x_mean) if l2 else 0, len(x_mean)) * np.sqrt(l2)
        weights = non_negative(np.vstack([rows, ridge]), np.vstack([targets, np.zeros((len(ridge), len(y_unit)))]))
    squares = np.square(targets).sum(axis=0)
    gap = np.divide(2.0 * gap, squares, out=np.zeros_like(gap), where=gap > 0.0)
    left = np.sqrt(np.square(targets - rows @ weights).sum(axis=0) / total_weight) * y_unit
    coef = (weights * y_unit).T
    coef = np.column_stack([coef, y_mean - coef @ x_mean])
    return Found(coef, np.square(left), gap, name, int(np.linalg.matrix_rank(rows)), np.inf), x_mean


def coordinate_descent(
    rows: np.ndarray, targets: np.ndarray, l1: np.ndarray, positive: bool, l2: float = 0.0
) -> tuple[np.ndarray, np.ndarray]:
    """Minimise ``0.5 * ||rows @ w - target||**2 + l1 * ||w||_1 + 0.5 * l2 * ||w||**2`` for each target.

    Parameters
    ----------
    rows : ndarray of shape (n, n_features)
    targets : ndarray of shape (n, n_targets)
    l1 : ndarray of shape (n_targets,)
    positive : bool
    l2 : float

    Returns
    -------
    weights : ndarray of shape (n_features, n_targets)
    gap : ndarray of shape (n_targets,)
        Duality gap.
    """
    n_rows, weights, gap = max(1, len(rows)), np.zeros((rows.shape[1], targets.shape[1])), np.zeros(targets.shape[1])
    if not rows.size:
        return weights, gap
    rows, max_iter = np.asfortranarray(rows), int(np.clip(SWEPT_VALUES / rows.size, *SWEEPS))
    for t, target in enumerate(targets.T):
        net = ElasticNet(
            alpha=(l1[t] + l2) / n_rows,
            l1_ratio=l1[t] / (l1[t] + l2),
            fit_intercept=False,
            tol=TOL,
            max_iter=max_iter,
            positive=positive,
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # the gap tells
            net.fit(rows, target)
        weights[:, t], gap[t] = net.coef_ + 0.0, max(0.0, net.dual_gap_ * n_rows)  # no -0.0
    return weights, gap


def non_negative(rows: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Minimise ``||rows @ w - target||`` for w >= 0 and each target; return w, (n_features, n_targets)."""
    if not rows.size:  # SciPy aborts
        return np.zeros((rows.shape[1], targets.shape[1]))
    return np.column_stack([optimize.nnls(rows, target)[0] for target in targets.T])
