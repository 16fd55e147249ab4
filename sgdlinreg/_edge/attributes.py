"""Fitted attributes: what of a model is kept with the estimator, and what the user is told about it."""

import warnings
from typing import Any

import numpy as np
from scipy import sparse
from scipy.linalg import LinAlgWarning
from sklearn.exceptions import ConvergenceWarning

from sgdlinreg._core.blocks import Block, as_scipy
from sgdlinreg._core.contract import Model
from sgdlinreg._core.standard_errors import Dependent
from sgdlinreg._edge.namespaces import at_home, home_of, to_numpy
from sgdlinreg._edge.parameters import Choice
from sgdlinreg._loop.monitor import Monitor, Validation

OF_SOME_FITS = (
    "rank_",
    "condition_number_",
    "factorization_",
    "n_refinements_",
    "validation_scores_",
    "best_validation_score_",
)
"""Attributes that not every fit sets."""


def forget(estimator: Any) -> None:
    """Drop what belongs to the last fit and may not belong to this one."""
    for attribute in OF_SOME_FITS:
        vars(estimator).pop(attribute, None)
    estimator.loss_curve_, estimator.optimality_gap_curve_ = [], []
    estimator.n_iter_, estimator.n_samples_seen_ = 0, 0


def keep(
    estimator: Any, model: Model, monitor: Monitor, choice: Choice, block: Block, X: Any, once: bool = False
) -> None:
    """Set the fitted attributes.

    Parameters
    ----------
    estimator : MiniBatchSGDRegressor
    model : Model
    monitor : Monitor
    choice : Choice
        The solver.
    block : Block
        The rows, or the first of them: coefficients have the dtype of X.
    X : Any
        What the user passed: arrays go to its namespace and device if scikit-learn dispatches.
    once : bool
        Whether all is kept that another call of partial_fit needs; after fit no row is.

    Raises
    ------
    ValueError
        If a coefficient is too large for the dtype of X.
    """
    home, exact, intercept = home_of(X), model.coef[:, :-1], model.coef[:, -1]
    with np.errstate(over="ignore"):
        coef = exact.astype(block.dtype)
    if model.column_means is not None:
        intercept = intercept + (exact - coef) @ model.column_means
    if not (np.isfinite(coef).all() and np.isfinite(intercept).all()):
        raise ValueError(f"A coefficient is too large for {block.dtype}. Pass X as float64, or in a larger unit.")
    if _underflows(block, exact, coef):
        raise ValueError(f"A coefficient is too small for {block.dtype}. Pass X as float64, or in a smaller unit.")
    single = estimator._y_ndim == 1
    estimator.coef_ = at_home(coef[0] if single else coef, home)
    estimator.intercept_ = at_home(intercept[0] if single else intercept, home)
    estimator.solver_, estimator._solver_reason = choice
    estimator.loss_curve_ = estimator.loss_curve_ + monitor.loss_curve
    estimator.optimality_gap_curve_ = estimator.optimality_gap_curve_ + monitor.gap_curve
    estimator.optimality_gap_ = monitor.gap_curve[-1]
    estimator.best_loss_ = min(estimator.loss_curve_)
    estimator.n_iter_ += monitor.n_passes
    estimator.n_samples_seen_ += block.n_rows
    estimator._state = model.kept if once or model.kept is None else model.kept.after_fit()
    estimator._inference = model.inference
    estimator._model_kept = None
    if estimator._state is not None:
        estimator._model_kept = [np.array(values[0] if single else values) for values in (coef, intercept)]
    if isinstance(model.inference, Dependent):
        estimator._inference = model.inference.reason(getattr(estimator, "feature_names_in_", None))
    vars(estimator).update(model.attributes)
    if monitor.validation is not None:
        estimator.validation_scores_ = monitor.validation.scores[: monitor.n_passes]
        estimator.best_validation_score_ = float(monitor.validation.best.mean())


def _underflows(block: Block, exact: np.ndarray, coef: np.ndarray) -> bool:
    """Return whether coefficients (n_targets, n_features) lose so much in the dtype of X that predictions do."""
    eps = np.finfo(coef.dtype).eps
    error = np.abs(exact - coef)
    columns = np.flatnonzero((error > eps * np.abs(exact)).any(axis=0))
    if not len(columns) or not block.n_rows:  # of rows elsewhere, or models that are joined, there are none
        return False
    X = (as_scipy(block.X) if block.is_sparse else block.X)[:, columns]
    largest = abs(X.astype(np.float64) if block.is_sparse else block.ops.take(X)).max(axis=0)
    largest = largest.toarray().ravel() if block.is_sparse else largest
    return bool(np.any(error[:, columns] * largest > eps * np.abs(block.y).max(axis=0)[:, None]))


def warn(model: Model, validation: Validation | None = None) -> None:
    """Tell the user what a model lacks.

    Parameters
    ----------
    model : Model
    validation : Validation or None
        Scores on the validation data that the user gave.

    Warns
    -----
    LinAlgWarning
        If digits of the coefficients are missing.
    ConvergenceWarning
        If the fit has not converged.
    UserWarning
        If the model is of no use on the validation data, although it fits the training data.
    """
    if model.lost_digits:
        warnings.warn(model.lost_digits, LinAlgWarning, stacklevel=4)
    if model.advice:
        warnings.warn(" ".join(model.advice), ConvergenceWarning, stacklevel=4)
    if validation and validation.scores[-1] < -1.0 and not model.is_worse_than_constant:
        warnings.warn(
            f"{validation.metric} on X_val is {validation.scores[-1]:.3g} although the model fits the training data"
            f"{validation.describe_distance()}. Validation data arrive as they are given. In a Pipeline name X_val in "
            "transform_input=['X_val']; in a TransformedTargetRegressor, which transforms y only, transform y_val.",
            UserWarning,
            stacklevel=4,
        )


def coef_of(estimator: Any) -> np.ndarray:
    """Return coef_ as an array of NumPy, also after sparsify."""
    coef = estimator.coef_
    if not sparse.issparse(coef):
        return np.asarray(to_numpy(coef))
    return of_each_target(estimator, np.atleast_2d(coef.toarray()))


def intercept_of(estimator: Any) -> np.ndarray:
    """Return intercept_ as an array of NumPy."""
    return np.asarray(to_numpy(estimator.intercept_))


def model_of(estimator: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return coef_ and intercept_ as arrays of NumPy of their own."""
    return np.array(coef_of(estimator)), np.array(intercept_of(estimator))


def model_with_intercept(estimator: Any) -> np.ndarray:
    """Return the coefficients with the intercept last, (n_targets, n_features + 1)."""
    coef, intercept = model_of(estimator)
    return np.column_stack([np.atleast_2d(coef), np.atleast_1d(intercept)])


def of_each_target(estimator: Any, values: np.ndarray) -> Any:
    """Return values of shape (n_targets, ...) without the first axis where y has one target."""
    return values[0] if np.ndim(estimator.intercept_) == 0 else values


def beside_coef(estimator: Any, values: np.ndarray) -> Any:
    """Return values of each target in the namespace and on the device of coef_."""
    return at_home(of_each_target(estimator, values), home_of(estimator.coef_))
