"""The closed form: least squares, perhaps with an l2 penalty, in one pass over the data and as many as digits ask."""

import os
from dataclasses import dataclass, replace
from typing import Any, ClassVar, NamedTuple

import numpy as np

from sgdlinreg._blocks import CSR, Block
from sgdlinreg._double_double import DoubleDouble, power_of_two_above
from sgdlinreg._inference import Inference
from sgdlinreg._objective import Objective
from sgdlinreg._solvers.base import Fitted, Options
from sgdlinreg._solvers.factors import EPS, Cholesky, SingularValues, factorise, least_norm, non_negative
from sgdlinreg._solvers.moments import Moments
from sgdlinreg._solvers.residuals import Residuals
from sgdlinreg._solvers.triangle import Triangle
from sgdlinreg._solvers.wide import Rows

SMALL = 1 << 17
"""Data of up to this many values are always refined: it takes a millisecond or two."""
SMALL_INFERENCE = 1 << 22
"""Products of values and columns up to which standard errors are refined too."""
ENOUGH = 1e-9
"""Larger data are refined where the bound on the relative error of the coefficients is above this."""
ENOUGH_SINGLE = 1e-4
"""The same after float32 products; above it they are done again in float64."""
SURE = 1e-6
"""Bound on the error above which a model that could not be refined is warned about."""
MAX_REFINEMENTS = 3
STUCK = 1e-6
"""Corrections beyond the first that are larger than this, relative to the coefficients, should shrink."""
LOST_RESIDUALS = 1e-6
"""Share of unexplained variance below which moments do not tell the residuals; 100 times more in float32."""
SPARSE_TRIANGLE = 1 << 33
"""Operations that the QR decomposition of CSR rows may take, which become dense panels."""


@dataclass(frozen=True)
class Scaled:
    """The normal equations in columns of unit norm, without columns that are constant.

    gram is (n_active, n_active), right (n_active, n_targets) in units of ``y_unit``; scale (n_features,) is what
    columns of X are divided by, inf where they are constant.
    """

    moments: Moments
    active: np.ndarray
    gram: np.ndarray
    right: np.ndarray
    scale: np.ndarray
    penalty: float

    @property
    def y_unit(self) -> np.ndarray:
        """Powers of two in which y is counted."""
        return self.moments.unit[self.moments.n_features :]

    @property
    def total_squares(self) -> np.ndarray:
        """Weighted sum of squares of y about its mean, (n_targets,); about 0 without an intercept."""
        return np.diag(self.moments.products)[self.moments.n_features :] * self.y_unit**2

    def in_columns(self, weights: np.ndarray) -> np.ndarray:
        """Give weights of scaled columns as weights of the data's, (n_features, n_columns)."""
        out = np.zeros((len(self.scale), weights.shape[1]))
        out[self.active] = weights / self.scale[self.active, None]
        return out

    def residual_squares(self, weights: np.ndarray) -> np.ndarray:
        """Weighted sum of squared residuals of scaled weights, (n_targets,), to the precision of moments."""
        explained = (weights * (2.0 * self.right - self.gram @ weights)).sum(axis=0)
        squares = np.diag(self.moments.products)[self.moments.n_features :] - explained
        pull = np.sqrt(self.penalty) / self.scale[self.active, None] * weights
        return np.maximum(squares - np.square(pull).sum(axis=0), 0.0) * self.y_unit**2


@dataclass(frozen=True)
class Solution:
    """A solution on its way: coefficients (n_features + 1, n_columns) and what refines them.

    Columns after the targets are those of the inverse moments, for standard errors; ``linear`` is their right-hand
    side. ``lost`` says that ``squares``, the weighted sum of squared residuals, is the difference of larger numbers,
    ``last_step`` how large the last correction was beside the coefficients and y, ``stuck`` that corrections do not
    shrink.
    """

    scaled: Scaled
    factor: Any
    coef: DoubleDouble
    linear: np.ndarray
    size: np.ndarray
    squares: np.ndarray
    lost: bool
    n_refined: int = 0
    last_step: float = np.inf
    stuck: bool = False


@dataclass(frozen=True)
class State:
    """What is being summed up in the current pass, and what earlier passes gave."""

    work: Rows | Moments | Triangle | Residuals
    n_features: int
    n_targets: int
    is_sparse: bool = False
    moments: Moments | None = None
    solution: Solution | None = None


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


class NormalEquation:
    """Least squares, with or without an l2 penalty, from moments that are merged block by block.

    Parameters
    ----------
    objective : Objective
    options : Options

    Notes
    -----
    One pass sums up centred moments, n_rows * n_features**2 operations; they are scaled to unit diagonal, so neither
    offsets nor units cost digits, and factorised by Cholesky. What follows depends on the reciprocal condition number:

    - small data, or a poor one: up to three refinements with residuals in double-double on the data as they are;
    - below 1e-12, or no factor at all: QR of the rows in panels, whose singular values decide the rank of the scaled
      columns, then refinements; of dependent columns the solution of least norm in the units of the data;
    - float32 data: float32 products in panels; in float64, by another pass, where the factor is poor.

    Fewer rows than columns are kept and solved in the dual form. Data that cannot be read again (partial_fit) are
    solved from the moments.
    """

    losses: ClassVar[frozenset[str]] = frozenset({"squared_error"})
    devices: ClassVar[bool] = False
    n_passes: ClassVar[int | None] = 1

    def __init__(self, objective: Objective, options: Options):
        self.objective = objective
        self.options = options
        self._made: tuple[State, Model] | None = None

    def init(self, n_features, n_targets, coef):
        """No rows yet. There is nothing to start from in a closed form, so ``coef`` is not used."""
        return State(Rows(n_features, n_targets), n_features, n_targets)

    def prepare(self, state, block, rng, stream, again=False):
        """Choose between keeping rows and summing moments, by the number of rows."""
        state = replace(state, is_sparse=isinstance(block.X, CSR))
        work = state.work
        if not isinstance(work, Rows):
            return state, block
        n_rows = work.n_rows + block.n_rows
        if n_rows < state.n_features and not self.objective.positive:
            return state, block.on_host()
        _check_memory(state.n_features, state.n_features + state.n_targets)
        precise = stream or n_rows * state.n_features <= SMALL
        moments = Moments.empty(state.n_features, state.n_targets, precise)
        return replace(state, work=moments if work.block is None else moments.add(work.block)), block

    def update(self, state, block: Block, rng):
        """Take in a block."""
        return replace(state, work=state.work.add(block))

    def solve(self, state):
        """Solve with what there is, and say whether another pass over the same rows is wanted."""
        work = state.work
        if isinstance(work, Moments):
            work.check()
        if isinstance(work, Rows):
            return state, False
        if self.objective.positive:
            again = isinstance(work, Moments) and work.rounded
            moments = Moments.empty(state.n_features, state.n_targets, True)
            return replace(state, moments=work, work=moments if again else work), again
        if isinstance(work, Moments):
            scaled = self._scaled(work)
            factor = factorise(scaled.gram, work.rounding)
            solution = self._first(scaled, factor, factor.solve(scaled.right))
            state = replace(state, moments=work, solution=solution)
            if work.rounded and (factor.error > ENOUGH_SINGLE or not isinstance(factor, Cholesky)):
                return replace(state, work=Moments.empty(state.n_features, state.n_targets, True)), True
            affordable = not state.is_sparse or work.n_rows * len(work.unit) ** 2 <= SPARSE_TRIANGLE
            if not isinstance(factor, Cholesky) and affordable and len(scaled.active):
                scale = np.concatenate([scaled.scale, scaled.y_unit])
                share = float(self.objective.fit_intercept)
                centre = DoubleDouble(share * work.mean, share * work.mean_rest)
                return replace(state, work=Triangle(centre, scale, np.empty((0, len(scale))))), True
        elif isinstance(work, Triangle):
            scaled = state.solution.scaled
            singular = self._singular_values(scaled, work)
            state = replace(state, solution=self._first(scaled, singular, singular.weights))
        else:
            state = replace(state, solution=_refined(state.solution, work, self.objective.fit_intercept))
        solution = state.solution
        if solution.n_refined >= self._refinements(solution):
            return state, False
        if solution.n_refined == 0:
            solution = self._with_inverse(solution)
            state = replace(state, solution=solution)
        return replace(state, work=Residuals.at(solution.coef, solution.size, state.n_targets)), True

    def _scaled(self, moments: Moments) -> Scaled:
        d, products, unit = moments.n_features, moments.products, moments.unit
        mean = moments.mean / unit
        if not self.objective.fit_intercept:
            products = products + moments.total_weight * np.outer(mean, mean)
            moments = replace(moments, products=products)
        penalty = self.objective.l2 * moments.total_weight
        gram = products[:d, :d].copy()
        gram[np.diag_indices(d)] += np.square(np.sqrt(penalty) / unit[:d])
        scale = np.sqrt(np.diag(gram))
        rounding = 16 * EPS * np.abs(mean[:d]) * np.sqrt(moments.total_weight)
        active = np.flatnonzero(scale > (rounding if self.objective.fit_intercept else 0.0))
        scale = scale[active]
        gram = gram[np.ix_(active, active)] / (scale[:, None] * scale)
        columns = np.full(d, np.inf)
        columns[active] = scale * unit[active]
        return Scaled(moments, active, gram, products[active, d:] / scale[:, None], columns, penalty)

    def _singular_values(self, scaled: Scaled, triangle: Triangle) -> SingularValues:
        d = scaled.moments.n_features
        rows, targets = triangle.factor[:, :d][:, scaled.active], triangle.factor[:, d:]
        if scaled.penalty:
            rows = np.vstack([rows, np.diag(np.sqrt(scaled.penalty) / scaled.scale[scaled.active])])
            targets = np.vstack([targets, np.zeros((len(scaled.active), targets.shape[1]))])
        return SingularValues(rows, targets)

    def _first(self, scaled: Scaled, factor, weights) -> Solution:
        """Make a solution of weights of the scaled columns, (n_active, n_targets) in units of y."""
        moments = scaled.moments
        d = moments.n_features
        coef = np.zeros((d + 1, weights.shape[1]))
        coef[:d] = scaled.in_columns(weights * scaled.y_unit)
        if self.objective.fit_intercept:
            coef[d] = moments.mean[d:] - moments.mean[:d] @ coef[:d]
        spread = np.where(np.isinf(scaled.scale), 0.0, scaled.scale) / np.sqrt(moments.total_weight)
        size = power_of_two_above(np.abs(moments.mean[:d]) + spread)
        squares = scaled.residual_squares(weights)
        lost = bool(np.any(squares < LOST_RESIDUALS * (100.0 if moments.rounded else 1.0) * scaled.total_squares))
        zeros = np.zeros_like(coef)
        return Solution(scaled, factor, DoubleDouble(coef, zeros), zeros, size, squares, lost)

    def _refinements(self, solution: Solution) -> int:
        """How many refinements a solution needs, each of which divides its error by the factor's."""
        moments, error = solution.scaled.moments, solution.factor.error
        if not len(solution.scaled.active):
            return 0
        if moments.n_rows * moments.n_features <= SMALL:
            enough, least = 1e-18, 1
        else:
            enough, least = 1e-12, int(error > (ENOUGH_SINGLE if moments.rounded else ENOUGH))
        needed = np.ceil(np.log(enough) / np.log(min(error, 0.5))) - 1 if least else 0
        if solution.lost:
            needed = max(needed, solution.n_refined + 1)
        return int(np.clip(needed, least, MAX_REFINEMENTS))

    def _infers(self, solution: Solution) -> bool:
        full = solution.factor.rank == solution.scaled.moments.n_features
        return full and solution.scaled.penalty == 0.0 and solution.factor.lower is not None

    def _with_inverse(self, solution: Solution) -> Solution:
        """Add the columns of the inverse moments where that is cheap, for standard errors of full precision."""
        moments, scaled = solution.scaled.moments, solution.scaled
        d = moments.n_features
        if not self._infers(solution) or moments.n_rows * d * (d + 1) > SMALL_INFERENCE:
            return solution
        linear = np.zeros((d + 1, d + self.objective.fit_intercept))
        linear[np.arange(d), np.arange(d)] = scaled.scale / solution.size
        if self.objective.fit_intercept:
            linear[d, d] = np.sqrt(moments.total_weight)
        step, _, _ = _step(solution, DoubleDouble(linear, np.zeros_like(linear)), self.objective.fit_intercept)
        coef = np.hstack([solution.coef.high, step])
        return replace(
            solution,
            coef=DoubleDouble(coef, np.zeros_like(coef)),
            linear=np.hstack([solution.linear, linear]),
        )

    def losses_of(self, state, block):
        """Objective of each target at the solution."""
        model = self._model(state)
        return 0.5 * model.squares / model.total_weight + self.objective.penalty(model.coef)

    def _model(self, state) -> Model:
        """Give the model of the passes so far; made once for each state."""
        if self._made is None or self._made[0] is not state:
            self._made = state, self._make(state)
        return self._made[1]

    def _make(self, state) -> Model:
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
        condition = factor.condition if len(scaled.active) == d else np.inf
        about = (factor.rank, condition, factor.name, solution.n_refined)
        return Model(coef, solution.squares, moments.total_weight, moments.mean[:d], moments.n_rows, *about)

    def _positive(self, moments):
        scaled = self._scaled(moments)
        weights, rank, condition = non_negative(scaled.gram, scaled.right)
        coef = self._first(scaled, None, weights).coef.high.T
        condition = condition if len(scaled.active) == moments.n_features else np.inf
        squares, mean = scaled.residual_squares(weights), moments.mean[: moments.n_features]
        about = (mean, moments.n_rows, rank, condition, "non_negative", 0)
        return Model(coef, squares, moments.total_weight, *about)

    def fitted(self, state):
        """Give the model."""
        model = self._model(state)
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
        if solution is None or not self._infers(solution):
            return "the columns, with that of the intercept, are linearly dependent; leave some out"
        if solution.lost and not solution.n_refined:
            return "the residuals are too small for sums to tell, and the rows cannot be read again; use fit"
        freedom = model.n_rows - n_features - self.objective.fit_intercept
        if freedom <= 0:
            return f"{model.n_rows} rows leave no degrees of freedom for {n_features} features; use more rows"
        factors, diagonal = None, np.arange(n_features)
        if solution.n_refined and solution.coef.high.shape[1] > state.n_targets:
            inverse = solution.coef.high[:, state.n_targets :]
            factors = inverse[diagonal, diagonal] * solution.scaled.scale
            of_intercept = inverse[-1, -1] * np.sqrt(model.total_weight) if self.objective.fit_intercept else 0.0
            factors = np.append(factors, of_intercept)
        mean = model.mean if self.objective.fit_intercept else None
        std = np.sqrt(model.squares / freedom)
        return Inference(mean, solution.scaled.scale, solution.factor.lower, model.total_weight, std, factors)

    def finish(self, state):
        """Keep the moments, or the rows where they are fewer than columns; not the caller's arrays."""
        work = state.work if state.moments is None else state.moments
        if isinstance(work, Moments):
            work = replace(work, precise=True)
        elif isinstance(work, Rows) and work.block is not None:
            X, y, weight = work.block
            X = X._replace(data=X.data.copy(), indices=X.indices.copy()) if isinstance(X, CSR) else np.array(X)
            work = replace(work, block=Block(X, y.copy(), None if weight is None else weight.copy()))
        return State(work, state.n_features, state.n_targets)


def _refined(solution: Solution, residuals: Residuals, fit_intercept: bool) -> Solution:
    """Correct a solution by the gradient that is left."""
    penalty, n_targets = solution.scaled.penalty, len(residuals.squares)
    gradient = residuals.gradient.add(solution.linear)
    if penalty:
        pull = DoubleDouble(solution.coef.high[:-1], solution.coef.low[:-1]).times(-penalty / solution.size[:, None])
        zero = np.zeros((1, pull.high.shape[1]))
        gradient = gradient.add_all(DoubleDouble(np.vstack([pull.high, zero]), np.vstack([pull.low, zero])))
    step, gain, moved = _step(solution, gradient, fit_intercept)
    squares = residuals.squares - gain[:n_targets]
    if penalty:
        squares -= penalty * (moved * (2.0 * solution.coef.high[:-1] + moved)).sum(axis=0)[:n_targets]
    squares = np.maximum(squares, 0.0)
    lost = (squares < 1e-3 * residuals.squares) & (residuals.squares > EPS**2 * solution.scaled.total_squares)
    scale = np.where(np.isinf(solution.scaled.scale), 0.0, solution.scaled.scale)[:, None]
    moved, kept = (np.linalg.norm(scale * part[:, :n_targets]) for part in (moved, solution.coef.high[:-1]))
    beside = kept + np.sqrt(solution.scaled.total_squares.sum())  # of constant y the coefficients are 0
    last_step = float(moved / beside) if beside > 0.0 else 0.0
    return replace(
        solution,
        coef=solution.coef.add(step),
        last_step=last_step,
        stuck=last_step > max(STUCK, 0.1 * solution.last_step),
        squares=squares,
        lost=bool(lost.any()),
        n_refined=solution.n_refined + 1,
    )


def _step(solution: Solution, gradient: DoubleDouble, fit_intercept: bool):
    """Solve the normal equations for a gradient (n_features + 1, n_columns) in units of the sizes.

    Returns the step (n_features + 1, n_columns), what it gains of the sum of squares, and its part for the columns.
    """
    scaled = solution.scaled
    moments, active = scaled.moments, scaled.active
    d = moments.n_features
    mean = moments.mean[:d, None]
    columns = DoubleDouble(gradient.high[:d], gradient.low[:d])
    if fit_intercept:  # eliminate the intercept: moments about the mean
        rest = DoubleDouble(gradient.high[d:], gradient.low[d:])
        columns = columns.add_all(rest.times(-mean / solution.size[:, None]))
        columns = columns.add_all(rest.times(-moments.mean_rest[:d, None] / solution.size[:, None]))
    right = columns.high[active] * (solution.size[active] / scaled.scale[active])[:, None]
    weights = solution.factor.solve(right)
    moved = scaled.in_columns(weights)
    gain = (weights * right).sum(axis=0)
    intercept = np.zeros((1, moved.shape[1]))
    if fit_intercept:
        intercept = gradient.high[d:] / moments.total_weight - mean.T @ moved
        gain = gain + gradient.high[d] ** 2 / moments.total_weight
    return np.vstack([moved, intercept]), gain, moved


def _warning(state: State) -> str | None:
    """Say where digits are missing: refinement that does not converge, or moments alone where rows cannot be read."""
    solution = state.solution
    if solution is None or not len(solution.scaled.active):
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
