"""The closed form: least squares, perhaps with an l2 penalty, in one pass over the data and as many as digits ask."""

import math
import os
from typing import ClassVar, NamedTuple

import numpy as np

from sgdlinreg._core.arrays import is_on_device
from sgdlinreg._core.blocks import CSR, Block
from sgdlinreg._core.contract import Fitted, Options, Visit
from sgdlinreg._core.objective import Objective
from sgdlinreg._core.standard_errors import Inference
from sgdlinreg._solvers.closed_form.double_double import DoubleDouble
from sgdlinreg._solvers.closed_form.factorizations import Cholesky, SingularValues, factorise, least_norm, non_negative
from sgdlinreg._solvers.closed_form.moments import Moments
from sgdlinreg._solvers.closed_form.refinement import (
    Solution,
    first_solution,
    has_standard_errors,
    refined,
    scaled_equations,
    singular_values,
    with_inverse,
)
from sgdlinreg._solvers.closed_form.residuals import Residuals
from sgdlinreg._solvers.closed_form.tsqr import Triangle
from sgdlinreg._solvers.closed_form.underdetermined import Rows

SMALL = 1 << 17
"""Data of up to this many values are always refined: it takes one to three milliseconds."""
ENOUGH = 1e-9
"""Larger data are refined where the bound on the relative error of the coefficients is above this."""
ENOUGH_SINGLE = 1e-4
"""The same after float32 products; above it they are done again in float64."""
SURE = 1e-6
"""Bound on the error above which a model that could not be refined is warned about."""
MAX_REFINEMENTS = 3
ENOUGH_INFERENCE = 1e-12
"""Standard errors of small data are refined with the coefficients where the bound on the error is above this."""
SPARSE_TRIANGLE = 1 << 33
"""Operations that the QR decomposition of CSR rows may take, which become dense panels."""


class Model(NamedTuple):
    """A solved problem: what the model and its standard errors are made of, and what the user is told.

    coef is (n_targets, n_features + 1), squares the weighted sums of squared residuals (n_targets,), mean that of the
    columns (n_features,).
    """

    coef: np.ndarray
    squares: np.ndarray
    total_weight: float
    mean: np.ndarray
    n_rows: int
    rank: int
    condition: float
    factorization: str
    n_refined: int


class State(NamedTuple):
    """What is being summed up in the current pass, and what earlier passes gave."""

    work: Rows | Moments | Triangle | Residuals
    n_features: int
    n_targets: int
    is_sparse: bool = False
    moments: Moments | None = None
    solution: Solution | None = None
    model: Model | None = None


class NormalEquation:
    """Least squares, with or without an l2 penalty, from moments that are merged block by block.

    Parameters
    ----------
    objective : Objective
    options : Options

    Notes
    -----
    One pass sums up centred moments, n_rows * n_features**2 operations; they are scaled to unit diagonal, so neither
    offsets nor units cost digits, and factorised by Cholesky. What else follows depends on the reciprocal condition
    number:

    - small data, or a poor one: up to three refinements with residuals in double-double on the data as they are;
    - below 1e-12, or no factor at all: QR of the rows in panels, whose singular values decide the rank of the scaled
      columns, then refinements; of dependent columns the solution of least norm in the units of the data;
    - float32 data: float32 products in panels; in float64, by another pass, where the factor is poor, and on a device
      at once.

    Fewer rows than columns are kept and solved in the dual form. Data that cannot be read again (partial_fit) are
    solved from the moments.
    """

    losses: ClassVar[frozenset[str]] = frozenset({"squared_error"})
    devices: ClassVar[bool] = False
    n_passes: ClassVar[int | None] = 1
    sums_first = True

    def __init__(self, objective: Objective, options: Options):
        self.objective = objective
        self.options = options

    def init(self, n_features, n_targets, coef):
        """No rows yet. There is nothing to start from in a closed form, so ``coef`` is not used."""
        return State(Rows(n_features, n_targets), n_features, n_targets)

    def place(self, block, visit):
        """Leave X where it is, unless the CPU is asked for."""
        return block.on_host() if self.options.device == "cpu" else block

    def prepare(self, state, block, rng, visit):
        """Choose between keeping rows and summing moments, by the number of rows."""
        state = state._replace(is_sparse=isinstance(block.X, CSR))
        work = state.work
        if not isinstance(work, Rows):
            return state, block
        n_rows = work.n_rows + block.n_rows
        if n_rows < state.n_features and not self.objective.positive:
            return state, block.on_host()
        _check_memory(state.n_features, state.n_features + state.n_targets)
        precise = visit is not Visit.ALL or n_rows * state.n_features <= SMALL or is_on_device(block.X)
        moments = Moments.empty(state.n_features, state.n_targets, precise)
        return state._replace(work=moments if work.block is None else moments.add(work.block)), block

    def update(self, state, block: Block, rng):
        """Take in a block."""
        return state._replace(work=state.work.add(block))

    def solve(self, state):
        """Solve with what there is, and say whether another pass over the same rows is wanted."""
        state, again = self._advance(state)
        return state._replace(model=self._make(state)), again

    def _advance(self, state) -> tuple[State, bool]:
        """Take in the sums of a pass, and choose what another one would sum up, if it is wanted."""
        work = state.work
        if isinstance(work, Moments):
            work.check()
        if isinstance(work, Rows):
            return state, False
        if self.objective.positive:
            again = isinstance(work, Moments) and work.rounded
            moments = Moments.empty(state.n_features, state.n_targets, True)
            return state._replace(moments=work, work=moments if again else work), again
        if isinstance(work, Moments):
            scaled = scaled_equations(work, self.objective.l2, self.objective.fit_intercept)
            factor = factorise(scaled.gram, work.rounding)
            solution = first_solution(scaled, factor, factor.solve(scaled.right), self.objective.fit_intercept)
            state = state._replace(moments=work, solution=solution)
            if work.rounded and (factor.error > ENOUGH_SINGLE or not isinstance(factor, Cholesky)):
                return state._replace(work=Moments.empty(state.n_features, state.n_targets, True)), True
            affordable = not state.is_sparse or work.n_rows * len(work.unit) ** 2 <= SPARSE_TRIANGLE
            if not isinstance(factor, Cholesky) and affordable and scaled.n_active:
                scale = np.concatenate([scaled.scale, scaled.y_unit])
                share = float(self.objective.fit_intercept)
                centre = DoubleDouble(share * work.mean, share * work.mean_rest)
                return state._replace(work=Triangle(centre, scale, np.empty((0, len(scale))))), True
        elif isinstance(work, Triangle):
            scaled = state.solution.scaled
            singular = singular_values(scaled, work)
            solution = first_solution(scaled, singular, singular.weights, self.objective.fit_intercept)
            state = state._replace(solution=solution)
        else:
            state = state._replace(solution=refined(state.solution, work, self.objective.fit_intercept))
        solution = state.solution
        if solution.n_refined >= self._refinements(solution):
            return state, False
        if solution.n_refined == 0 and solution.factor.error > ENOUGH_INFERENCE:
            solution = with_inverse(solution, self.objective.fit_intercept)
        work = Residuals.at(solution.coef, solution.size, state.n_targets)
        return state._replace(work=work, solution=solution), True

    def _refinements(self, solution: Solution) -> int:
        """How many refinements a solution needs, each of which divides its error by the factor's."""
        moments, error = solution.scaled.moments, solution.factor.error
        if not solution.scaled.n_active:
            return 0
        if moments.n_rows * moments.n_features <= SMALL:
            enough, least = 1e-18, 1
        else:
            enough, least = 1e-12, int(error > (ENOUGH_SINGLE if moments.rounded else ENOUGH))
        needed = math.ceil(math.log(enough) / math.log(min(max(error, enough), 0.5))) - 1 if least else 0
        if solution.lost:
            needed = max(needed, solution.n_refined + 1)
        return min(max(needed, least), MAX_REFINEMENTS)

    def losses_of(self, state, block):
        """Objective of each target at the solution."""
        model = state.model
        return 0.5 * model.squares / model.total_weight + self.objective.penalty(model.coef)

    def _make(self, state) -> Model:
        """Make the model of the passes so far."""
        work = state.work
        if isinstance(work, Rows):
            weight = work.total_weight
            wide = work.solve(self.objective.l2 * weight, self.objective.fit_intercept)
            return Model(wide.coef, wide.squares, weight, wide.mean, work.n_rows, wide.rank, wide.condition, "dual", 0)
        if self.objective.positive:
            return self._positive(state.moments)
        solution = state.solution
        scaled, factor = solution.scaled, solution.factor
        moments = scaled.moments
        d = moments.n_features
        coef = solution.coef.high[:, : state.n_targets].T
        if factor.null.shape[1]:
            coef = coef.copy()
            scale = scaled.scale[scaled.active]
            weights = coef[:, scaled.active].T / scaled.y_unit
            weights = least_norm(weights, factor.null, scale, scaled.gram, scaled.right) * scaled.y_unit
            coef[:, scaled.active] = weights.T
            if self.objective.fit_intercept:
                coef[:, d] = moments.mean[d:] - coef[:, :d] @ moments.mean[:d]
        condition = factor.condition if scaled.n_active == d else np.inf
        about = (factor.rank, condition, factor.name, solution.n_refined)
        return Model(coef, solution.squares, moments.total_weight, moments.mean[:d], moments.n_rows, *about)

    def _positive(self, moments):
        scaled = scaled_equations(moments, self.objective.l2, self.objective.fit_intercept)
        weights, rank, condition = non_negative(scaled.gram, scaled.right)
        coef = first_solution(scaled, None, weights, self.objective.fit_intercept).coef.high.T
        condition = condition if scaled.n_active == moments.n_features else np.inf
        squares, mean = scaled.residual_squares(weights) * scaled.y_unit**2, moments.mean[: moments.n_features]
        about = (mean, moments.n_rows, rank, condition, "non_negative", 0)
        return Model(coef, squares, moments.total_weight, *about)

    def fitted(self, state):
        """Give the model."""
        model = state.model
        summary = {
            "t_": 2,
            "batch_size_": model.n_rows,
            "step_size_": np.nan,
            "rank_": model.rank,
            "condition_number_": model.condition,
            "factorization_": model.factorization,
            "n_refinements_": model.n_refined,
        }
        means = model.mean if self.objective.fit_intercept else None
        return Fitted(model.coef, means, summary, self._inference(state, model), _warning(state))

    def _inference(self, state, model: Model) -> Inference | str:
        """Give what standard errors follow from, or why there are none."""
        solution, n_features = state.solution, state.n_features
        if self.objective.l2 > 0.0:
            return "a penalty biases the coefficients; fit with alpha=0"
        if self.objective.positive:
            return "they do not hold for coefficients at a bound; fit with positive=False"
        if solution is not None and solution.factor.rank == n_features and solution.factor.lower is None:
            return "the columns are too collinear for sums alone, and the rows cannot be read again; use fit"
        if solution is None or not has_standard_errors(solution):
            return "the columns, with that of the intercept, are linearly dependent; leave some out"
        if solution.lost and not solution.n_refined:
            return "the residuals are too small for sums to tell, and the rows cannot be read again; use fit"
        freedom = model.n_rows - n_features - self.objective.fit_intercept
        if freedom <= 0:
            return f"{model.n_rows} rows leave no degrees of freedom for {n_features} features; use more rows"
        factors, diagonal = None, np.arange(n_features)
        if solution.n_refined and solution.coef.high.shape[1] > state.n_targets:
            inverse = solution.coef.high[:, state.n_targets :]
            factors = np.zeros(n_features + 1)
            factors[:-1] = inverse[diagonal, diagonal] * solution.scaled.scale
            if self.objective.fit_intercept:
                factors[-1] = inverse[-1, -1] * np.sqrt(model.total_weight)
        mean = model.mean if self.objective.fit_intercept else None
        std = np.sqrt(model.squares / freedom)
        return Inference(mean, solution.scaled.scale, solution.factor.lower, model.total_weight, std, factors)

    def finish(self, state):
        """Keep the moments, or the rows where they are fewer than columns; not the caller's arrays."""
        work = state.work if state.moments is None else state.moments
        if isinstance(work, Moments):
            work = work._replace(precise=True)
        elif isinstance(work, Rows) and work.block is not None:
            X, y, weight = work.block[:3]
            X = X._replace(data=X.data.copy(), indices=X.indices.copy()) if isinstance(X, CSR) else np.array(X)
            work = work._replace(block=Block(X, y.copy(), None if weight is None else weight.copy()))
        return State(work, state.n_features, state.n_targets)


def _warning(state: State) -> str | None:
    """Say where digits are missing: refinement that does not converge, or moments alone where rows cannot be read."""
    solution = state.solution
    if solution is None or not solution.scaled.n_active:
        return None
    if solution.stuck:
        return (
            "Refinement of the solution did not converge: the columns of X are too collinear, or the weights too "
            "uneven, for all digits of the coefficients. Leave columns out, or set a small alpha."
        )
    sure = ENOUGH_SINGLE if solution.scaled.moments.rounded else SURE
    if solution.n_refined or isinstance(solution.factor, SingularValues) or solution.factor.error <= sure:
        return None
    return (
        f"The columns of X are nearly linearly dependent, or the weights very uneven: of the coefficients about "
        f"{max(0, int(-np.log10(min(solution.factor.error, 1.0))))} digits are sure, because the rows cannot be read "
        "again. Use fit, or fit_source with a source that can be passed over again."
    )


def _check_memory(n_features, size) -> None:
    needed, there = 4 * 8 * size**2, _memory_bytes()
    if needed > there:
        raise ValueError(
            f"solver='normal_equation' needs about {needed / 2**30:.1f} GiB for the moments of {n_features} "
            f"features, and this machine has {there / 2**30:.1f} GiB. Use solver='numba'."
        )


def _memory_bytes() -> float:
    """Physical memory; inf where the system does not tell."""
    try:
        return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    except (AttributeError, ValueError, OSError):
        return np.inf
