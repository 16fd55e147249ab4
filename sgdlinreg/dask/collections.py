"""What users pass becomes partitions of X, y and the weights that belong together, or an error before any work."""

from typing import Any, NamedTuple

import numpy as np

from sgdlinreg._core.optional import import_optional

array = import_optional("dask.array", "dask", "sgdlinreg.dask")
base = import_optional("dask.base", "dask", "sgdlinreg.dask")
utils = import_optional("dask.utils", "dask", "sgdlinreg.dask")

UNKNOWN = "call its compute_chunk_sizes() first, or make all of one frame"


class Rows(NamedTuple):
    """Rows in partitions.

    Attributes
    ----------
    parts : list of tuple
        X, y and the weights of each partition: Delayed, or None where there are none.
    X, y : ndarray, DataFrame or Series
        What they are like: no rows, but types and names of the columns.
    collection : dask Array or DataFrame
        X.
    """

    parts: list[tuple[Any, Any, Any]]
    X: Any
    y: Any
    collection: Any


def rows_of(X: Any, y: Any, sample_weight: Any = None) -> Rows:
    """Bring collections into the partitions of X.

    Parameters
    ----------
    X : dask Array of shape (n_samples, n_features) or DataFrame
    y : dask Array of shape (n_samples,) or (n_samples, n_targets), Series or DataFrame
    sample_weight : dask Array of shape (n_samples,), Series or None

    Raises
    ------
    TypeError
        If one of them is no such collection.
    ValueError
        If they have other dimensions, or partitions that cannot be brought together.
    """
    X = whole_columns(X, "X", (2,))
    y = _beside(X, whole_columns(y, "y", (1, 2)), "y")
    parts = [_delayed(X), _delayed(y)]
    if sample_weight is None:
        parts.append([None] * len(parts[0]))
    else:
        parts.append(_delayed(_beside(X, whole_columns(sample_weight, "sample_weight", (1,)), "sample_weight")))
    return Rows([*zip(*parts, strict=True)], empty_like(X), empty_like(y), X)


def is_frame(values: Any) -> bool:
    """Return whether a collection is a DataFrame or a Series, not an Array."""
    return bool(utils.is_dataframe_like(values) or utils.is_series_like(values))


def whole_columns(values: Any, name: str, dimensions: tuple[int, ...]) -> Any:
    """Check one collection, and bring chunks along columns together."""
    kind = f"{type(values).__module__.partition('.')[0]} {type(values).__name__}"
    if not base.is_dask_collection(values) or not (is_frame(values) or isinstance(values, array.Array)):
        raise TypeError(
            f"{name} is a {kind}, should be a dask Array or DataFrame. Fit data in memory by MiniBatchSGDRegressor, or "
            f"make them one by dask.array.from_array or dask.dataframe.from_pandas."
        )
    if values.ndim not in dimensions:
        allowed = " or ".join(f"{one}D" for one in dimensions)
        raise ValueError(f"Expected {allowed} {name}, got a {values.ndim}D {kind}. Reshape it.")
    several = not is_frame(values) and values.ndim == 2 and len(values.chunks[1]) > 1
    return values.rechunk({1: -1}) if several else values


def empty_like(values: Any) -> Any:
    """Return an array or frame in memory with the columns of a collection, but no rows."""
    return values._meta.iloc[:0] if is_frame(values) else np.empty((0, *values.shape[1:]), values.dtype)


def _beside(X: Any, values: Any, name: str) -> Any:
    """Bring other values into the partitions of X; those of unknown sizes can only be taken one by one."""
    if is_frame(X) and is_frame(values):
        if X.known_divisions and values.known_divisions and X.divisions != values.divisions:
            raise ValueError(
                f"X has the divisions {X.divisions}, {name} {values.divisions}. Bring them together: "
                f"{name}.repartition(divisions=X.divisions)."
            )
    elif not is_frame(X) and not is_frame(values) and not np.isnan([*X.chunks[0], *values.chunks[0]]).any():
        if len(X) != len(values):
            raise ValueError(f"X has {len(X)} rows, {name} {len(values)}. Give one for each row.")
        return values.rechunk({0: X.chunks[0]})
    if X.npartitions != values.npartitions:
        raise ValueError(
            f"X has {X.npartitions} partitions, {name} {values.npartitions}, and their sizes are not all known. Where "
            f"that is an Array, {UNKNOWN}; a frame has repartition."
        )
    return values


def _delayed(values: Any) -> list[Any]:
    return list(np.ravel(np.asarray(values.to_delayed(), dtype=object)))
