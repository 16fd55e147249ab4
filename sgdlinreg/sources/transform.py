"""A fitted scikit-learn transformer, applied to each block as a data frame."""

from typing import Any

import numpy as np
from scipy import sparse
from sklearn.utils.validation import check_is_fitted

from sgdlinreg._core.arrays import all_finite
from sgdlinreg._edge.conversion import to_floats

TEXT_WIDTH = 4
"""What a column of text takes in a data frame, in columns of float64."""


def check_transform(transform: Any) -> None:
    """Check that a transformer can be applied.

    Raises
    ------
    ValueError
        If it has no ``transform``, or is not fitted.
    """
    if isinstance(transform, type) or not hasattr(transform, "transform"):
        kind = transform.__name__ if isinstance(transform, type) else type(transform).__name__
        raise ValueError(f"transform should be a fitted scikit-learn transformer, got {kind}. It has to be an object.")
    check_is_fitted(
        transform,
        msg="transform is a %(name)s that is not fitted. Fit it before, on a part of the data for instance: it is "
        "applied to one block after the other.",
    )


def names_in(transform: Any) -> list[str] | None:
    """Return the columns that a transformer was fitted on; None if it does not know them, or there is none."""
    names = getattr(transform, "feature_names_in_", None)
    return None if names is None else list(names)


def names_out(transform: Any) -> tuple[str, ...] | None:
    """Return the names of the columns that a transformer makes; None if it does not know them."""
    try:
        return tuple(map(str, transform.get_feature_names_out()))
    except (AttributeError, TypeError, ValueError):
        return None


def width(transform: Any, columns: tuple[str, ...]) -> int:
    """Return how many columns of float64 take the room of a row: of what a transformer makes, and of its data frame."""
    return len(columns) if transform is None else len(names_out(transform) or columns) + TEXT_WIDTH * len(columns)


def transformed(transform: Any, frame: Any, where: str) -> Any:
    """Transform the rows of a block.

    Parameters
    ----------
    transform : transformer
    frame : pandas.DataFrame
    where : str
        Where the rows come from, for errors.

    Returns
    -------
    ndarray or CSR of shape (n_rows, n_features)
        float32 or float64; dense rows are in C order.

    Raises
    ------
    ValueError
        If the transformer raises, or gives what are no finite numbers.
    """
    try:
        X = to_floats(transform.transform(frame), "X", accept_sparse=True)
    except Exception as error:  # of any kind: users write transformers
        raise ValueError(f"{where}: transform failed with {type(error).__name__}: {error}") from error
    X = X if sparse.issparse(X) else np.ascontiguousarray(X)
    with np.errstate(over="ignore", invalid="ignore"):
        values: Any = X.data if sparse.issparse(X) else X
        if all_finite(values):
            return X
    rows = sparse.coo_array(X)  # which keeps NaN
    column, names = rows.coords[1][~np.isfinite(rows.data)][0], names_out(transform)
    raise ValueError(
        f"{where}: transform gives NaN or infinity in column {names[column] if names else column!r}. Add a "
        "SimpleImputer to it, or leave such rows out."
    )
