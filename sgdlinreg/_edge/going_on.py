"""What a fitted model goes on from: its coefficients, what it has kept, and that of other models."""

from functools import reduce
from typing import Any

import numpy as np

from sgdlinreg._core.blocks import Block
from sgdlinreg._edge.attributes import coef_of, intercept_of, model_of
from sgdlinreg._edge.validation import check_start

OF_THE_MODEL = ("loss", "penalty", "alpha", "l1_ratio", "epsilon", "quantile", "fit_intercept", "positive")
"""Parameters that say which model is the best one."""


def start_of_model(estimator: Any, block: Block) -> np.ndarray:
    """Return the coefficients of the model to start from, (n_targets, n_features + 1).

    Raises
    ------
    ValueError
        If they are None, or not those of the columns and targets of the rows.
    """
    check_model(estimator)
    intercept = intercept_of(estimator) if estimator.fit_intercept else None
    try:
        start = check_start(coef_of(estimator), intercept, block.n_features, block.n_targets, estimator.fit_intercept)
    except ValueError as error:
        raise ValueError(
            f"The model does not fit these rows, which have {block.n_features} columns and {block.n_targets} targets: "
            f"{str(error).replace('_init', '_')} Give rows like those of the last fit, or set warm_start=False in fit."
        ) from error
    assert start is not None
    return start


def check_model(estimator: Any, n_features: int | None = None) -> None:
    """Check coefficients, which the user may have set.

    Raises
    ------
    ValueError
        If one of the two is missing or None, or there are not as many as features.
    """
    if getattr(estimator, "coef_", None) is None or getattr(estimator, "intercept_", None) is None:
        raise ValueError("coef_ or intercept_ of the model is None. Set both to arrays, or fit the model anew.")
    shape = estimator.coef_.shape if hasattr(estimator.coef_, "shape") else np.shape(estimator.coef_)
    if n_features is not None and shape[-1:] != (n_features,):
        raise ValueError(f"coef_ has shape {tuple(shape)}, but X has {n_features} columns. Set one for each column.")


def has_changed(estimator: Any) -> bool:
    """Return whether coefficients are not those that belong to what is kept."""
    return not all(map(np.array_equal, model_of(estimator), estimator._model_kept))


def goes_on_from(estimator: Any, name: str, block: Block) -> tuple[np.ndarray | None, Any]:
    """Return what a call of partial_fit starts from: coefficients, or what earlier calls have kept, or neither.

    Parameters
    ----------
    estimator : MiniBatchSGDRegressor
    name : str
        The solver.
    block : Block
        The rows.

    Raises
    ------
    ValueError
        If the closed form has kept nothing, or coefficients that do not belong to what it has kept.
    """
    kept = getattr(estimator, "_state", None)
    if not hasattr(estimator, "coef_"):
        return None, None
    changed = kept is not None and has_changed(estimator)
    if name != "normal_equation":
        return (start_of_model(estimator, block) if kept is None or changed else None), kept
    if changed:
        raise ValueError(
            "coef_ or intercept_ was set since the last fit. solver='normal_equation' goes on from sums of rows, not "
            "from coefficients. Use solver='numba' or 'torch', or start again with fit."
        )
    if kept is None:
        raise ValueError(
            "This model has kept nothing that solver='normal_equation' could go on from: fit keeps sums of up to 256 "
            "columns, of no more columns than rows. Use partial_fit from the first rows on, or fit all rows together."
        )
    return None, kept


def merged_state(models: list[Any]) -> Any:
    """Join what closed-form models have kept.

    Raises
    ------
    ValueError
        If there are no models, one has kept no sums, or they are not of one problem.
    """
    if not models:
        raise ValueError("models is empty. Give one or more models that were fitted by partial_fit.")
    first = models[0]
    for number, model in enumerate(models):
        if getattr(model, "solver_", None) != "normal_equation" or model._state is None:
            raise ValueError(
                f"Model {number} has kept no sums: only models of solver='normal_equation' that were fitted by "
                "partial_fit can be merged, or by fit on up to 256 columns and no fewer rows than columns."
            )
        if has_changed(model):
            raise ValueError(
                f"coef_ or intercept_ of model {number} was set since its last fit, and merging adds sums."
            )
        for attribute in (*OF_THE_MODEL, "n_features_in_"):
            theirs, ours = getattr(model, attribute), getattr(first, attribute)
            if theirs != ours:
                raise ValueError(f"{attribute} of model {number} is {theirs!r}, of the first one {ours!r}.")
        if intercept_of(model).shape != intercept_of(first).shape:
            raise ValueError(f"Model {number} has another number of targets than the first one.")
        theirs, ours = (getattr(one, "feature_names_in_", np.empty(0)) for one in (model, first))
        if not np.array_equal(theirs, ours):
            raise ValueError(f"feature_names_in_ of model {number} is {theirs}, of the first one {ours}.")
    return reduce(lambda joined, model: joined.merge(model._state), models[1:], first._state)
