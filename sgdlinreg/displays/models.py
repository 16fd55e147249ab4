"""What the displays ask of an estimator: its last step, one of its targets, the names of its features."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted


def split_pipeline(estimator: Any) -> tuple[Any, Any]:
    """Return what transforms X, None without a pipeline, and the regressor.

    Raises
    ------
    NotFittedError
        If the regressor is not fitted.
    """
    transformers, model = None, estimator
    if isinstance(estimator, Pipeline):
        transformers, model = (estimator[:-1] if len(estimator) > 1 else None), estimator[-1]
    check_is_fitted(model)
    return transformers, model


def of_target(values: np.ndarray, target: int | None) -> np.ndarray:
    """Return the values of one target.

    Parameters
    ----------
    values : ndarray of shape (n,) or (n, n_targets)
    target : int or None
        None where there is one target only.

    Raises
    ------
    ValueError
        If there are several targets and none is chosen, or there is no such target.
    """
    values = values[:, None] if values.ndim == 1 else values
    last = values.shape[1] - 1
    if target is None and last > 0:
        raise ValueError(f"There are {last + 1} targets. Choose one by target=0 to target={last}.")
    if not 0 <= (target or 0) <= last:
        raise ValueError(f"target={target} should be {'0 or None' if last == 0 else f'between 0 and {last}'}.")
    return values[:, target or 0]


def check_confidence_level(confidence_level: float) -> None:
    """Raise a ValueError if a confidence level is not in (0, 1)."""
    if not 0.0 < confidence_level < 1.0:
        raise ValueError(f"confidence_level={confidence_level} should be between 0 and 1, as 0.95.")


def percent(confidence_level: float) -> str:
    """Return a confidence level as text, "95%"."""
    return f"{100.0 * confidence_level:.6g}%"


def coefficient_names(transformers: Any, model: Any, n_features: int) -> list[str]:
    """Return the names of the columns that the regressor was fitted on; "x0", "x1" and so on if it knows none."""
    names: Sequence[Any] = [f"x{i}" for i in range(n_features)]
    if hasattr(model, "feature_names_in_"):
        names = model.feature_names_in_
    elif hasattr(transformers, "get_feature_names_out"):
        names = transformers.get_feature_names_out()
    return [str(name) for name in names]


def check_search(model: Any) -> None:
    """Raise an error for an estimator that has chosen no penalty."""
    if not hasattr(model, "cv_results_") or not hasattr(model, "alpha_"):
        raise ValueError(f"{type(model).__name__} has no search over penalties. Give a MiniBatchSGDRegressorCV.")
