"""What the parameters of the estimator mean: checks of some together, and the solver that they ask for."""

import inspect
import warnings
from collections.abc import Callable
from dataclasses import fields
from functools import cache
from numbers import Integral
from typing import Any, NamedTuple, TypeVar

import numpy as np
from sklearn.base import _fit_context
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import validate_parameter_constraints

from sgdlinreg import _solvers
from sgdlinreg._core.arrays import is_tensor
from sgdlinreg._core.blocks import Block
from sgdlinreg._core.contract import Options
from sgdlinreg._core.objective import Objective, make_loss

STEP_DEFAULTS = {field.name: field.default for field in fields(Options) if field.name not in ("device", "n_jobs")}
STEP_DEFAULTS |= {"validation_fraction": 0.1, "warm_start": False}
"""Parameters that mean nothing to the closed form: solver="auto" takes SGD where one of them is not at its default."""
MAX_EXACT = 2000
"""solver="auto" takes the closed form up to this many features, or rows."""

Method = TypeVar("Method", bound=Callable[..., Any])


class Choice(NamedTuple):
    """A solver by name, and why it was chosen."""

    name: str
    reason: str


def validated(method: Method) -> Method:
    """Have scikit-learn check the parameters before a method that fits; type checkers keep the method's own type."""
    checked: Method = _fit_context(prefer_skip_nested_validation=True)(method)
    return checked


@cache
def defaults_of(estimator: Callable) -> dict:
    """Return the defaults of the constructor of a class."""
    return {name: parameter.default for name, parameter in inspect.signature(estimator).parameters.items()}


def check_ranges(estimator: Any) -> None:
    """Check the parameters that are not at their default: on tiny data the others would take a third of a fit."""
    defaults = defaults_of(estimator.__class__)
    given = {name: getattr(estimator, name) for name in defaults if getattr(estimator, name) is not defaults[name]}
    validate_parameter_constraints(estimator._parameter_constraints, given, caller_name=type(estimator).__name__)


def check_parameters(estimator: Any) -> None:
    """Check what the range of a single parameter does not tell."""
    if estimator.learning_rate == "optimal" and (estimator.penalty is None or estimator.alpha == 0):
        raise ValueError(
            "alpha must be > 0 since learning_rate is 'optimal': alpha is used to compute the optimal learning rate. "
            "Set alpha, or use learning_rate='constant'."
        )
    if estimator.loss == "huber" and estimator.epsilon == 0:
        raise ValueError("epsilon should be > 0 with loss='huber', got 0. For the median use 'epsilon_insensitive'.")
    if estimator.penalty == "elasticnet" and estimator.l1_ratio is None:
        raise ValueError("l1_ratio must be set when penalty is 'elasticnet', to a number in [0, 1]. Got None.")
    if estimator.penalty in ("l1", "elasticnet") and estimator.alpha == 0:
        _warn(f"penalty={estimator.penalty!r} has no effect with alpha=0.0, which is least squares. Set alpha.")
    if estimator.penalty is None and estimator.alpha != 0:
        _warn(f"alpha={estimator.alpha} has no effect with penalty=None. Set penalty, or leave alpha at 0.0.")
    if estimator.loss != "quantile" and estimator.quantile != 0.5:
        _warn(f"quantile={estimator.quantile} has no effect with loss={estimator.loss!r}. Set loss='quantile'.")
    if estimator.solver == "normal_equation":
        refused = "early_stopping", "warm_start"
        ignored = [name for name, default in STEP_DEFAULTS.items() if getattr(estimator, name) != default]
        ignored = [name for name in ignored if name not in refused]
        if ignored:
            _warn(
                f"{', '.join(ignored)}: no effect with solver='normal_equation', which takes no steps. Leave them at "
                "their defaults, or use solver='numba' or 'torch'."
            )


def _warn(message: str) -> None:
    warnings.warn(message, UserWarning, stacklevel=6)


def objective_of(estimator: Any) -> Objective:
    """Return the objective that the parameters describe."""
    l1_ratio = {"l1": 1.0, "elasticnet": estimator.l1_ratio}.get(estimator.penalty, 0.0)
    return Objective(
        make_loss(estimator.loss, float(estimator.epsilon), float(estimator.quantile)),
        0.0 if estimator.penalty is None else float(estimator.alpha),
        bool(estimator.fit_intercept),
        float(l1_ratio),
        bool(estimator.positive),
    )


def choose_solver(
    estimator: Any, block: Block, objective: Objective, has_start: bool, all_rows: bool = False
) -> Choice:
    """Resolve solver="auto".

    Parameters
    ----------
    estimator : MiniBatchSGDRegressor
    block : Block
        The rows, or the first of them.
    objective : Objective
    has_start : bool
        Whether there is a coef_init, an intercept_init or an X_val.
    all_rows : bool
        Whether the block is all there is, as in fit.

    Notes
    -----
    The rule never imports torch:

    1. "torch" for an explicit device other than the CPU;
    2. "normal_equation" if the loss is the squared error, there are at most 2000 features, or rows in fit, every
       parameter of the steps has its default and there is no start and no X_val;
    3. else "torch" if X is a tensor on a device and device is "auto";
    4. else "numba".
    """
    solver, device = estimator.solver, estimator.device
    if solver != "auto":
        return Choice(solver, "as asked")
    if device not in ("auto", "cpu"):
        return Choice("torch", f"device={device!r}")
    steps = "torch" if device == "auto" and is_tensor(block.X) else "numba"
    if not objective.is_least_squares:
        return Choice(steps, "the closed form is for the squared error")
    if has_start:
        return Choice(steps, "coef_init, intercept_init or X_val given")
    if any(getattr(estimator, name) != default for name, default in STEP_DEFAULTS.items()):
        return Choice(steps, "a parameter of the steps is set")
    if block.n_features <= MAX_EXACT:
        return Choice("normal_equation", f"{block.n_features} features, exact is affordable")
    if all_rows and block.n_rows <= MAX_EXACT:
        return Choice("normal_equation", f"{block.n_rows} rows, exact is affordable")
    return Choice(steps, f"{block.n_features} features > {MAX_EXACT}")


def solver_that_goes_on(estimator: Any, block: Block, n_targets: int) -> Choice:
    """Return the solver for a further call of partial_fit: the one before, or one that can go on from its state."""
    if block.n_targets != n_targets:
        raise ValueError(f"y has {block.n_targets} targets, but the model was fitted with {n_targets}.")
    solver, before = estimator.solver, estimator.solver_
    if solver in ("auto", before):
        return Choice(before, estimator._solver_reason)
    if "normal_equation" in (solver, before):
        raise ValueError(
            f"partial_fit cannot go on with solver={solver!r} after {before!r}: they keep different state. Set "
            f"solver={before!r}, or start again with fit."
        )
    return Choice(solver, "as asked")


def make_solver(
    estimator: Any, name: str, block: Block, objective: Objective, *, needs_steps: bool = False, n_steps: int = 0
) -> Any:
    """Make the solver that the parameters ask for, with what its seed is made of.

    Parameters
    ----------
    estimator : MiniBatchSGDRegressor
    name : str
        One of `_solvers.NAMES`.
    block : Block
        The rows, or the first of them.
    objective : Objective
    needs_steps : bool
        Whether a start, validation data or a parameter of the steps is given.
    n_steps : int
        Steps of earlier calls of partial_fit, which belong to the seed.
    """
    chosen = {field: getattr(estimator, field) for field in Options.__dataclass_fields__}
    if name != "normal_equation" and estimator.shuffle and block.is_memory_mapped:
        chosen["shuffle"] = "blocks"
    if name == "torch" and is_tensor(block.X) and estimator.device == "auto":
        chosen["device"] = str(block.X.device)

    def seed():
        drawn = seed_of(estimator.random_state)
        return [drawn, n_steps] if n_steps else drawn

    return _solvers.make_solver(
        name, estimator.loss, objective, Options(**chosen), seed, needs_steps=needs_steps, n_steps=n_steps
    )


def seed_of(random_state: Any) -> int:
    """Return a seed; an int is taken as it is, because making a RandomState takes a tenth of a small fit."""
    if isinstance(random_state, Integral):
        return int(random_state)
    if isinstance(random_state, np.random.Generator):
        return int(random_state.integers(2**31 - 1))
    return int(check_random_state(random_state).randint(2**31 - 1))
