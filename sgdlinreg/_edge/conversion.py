"""What users pass becomes floats: an array, CSR or a tensor. What is no real number is refused by name."""

import copy
import datetime
import reprlib
from numbers import Number
from typing import Any

import numpy as np
from scipy import sparse

from sgdlinreg._core.arrays import is_tensor

FLOATS = [np.float64, np.float32]
MISSING = frozenset({"NoneType", "NAType", "NaTType", "MaskedConstant"})
"""Names of types that mark missing values; their libraries need not be installed."""
TYPES: dict[str, tuple] = {
    "text": (str, bytes),
    "date": (datetime.date, datetime.time, np.datetime64),
    "span": (datetime.timedelta, np.timedelta64),
    "complex": (complex, np.complexfloating),
}
"""Objects that are refused."""
KINDS = {"M": "date", "m": "span", "c": "complex", "V": "record", "S": "text", "U": "text", "T": "text"}
"""What arrays that are refused hold, by the kind of their type."""
ERRORS = {
    "text": "{Where} holds text ({value}). Encode it as numbers first, for instance with OneHotEncoder or "
    "OrdinalEncoder in a ColumnTransformer; pd.to_numeric and pd.to_datetime read numbers and dates that are written "
    "as text.",
    "date": "{Where} holds dates or times ({value}). Make them numbers first: choose a start and a unit, for instance "
    "(t - t0) / np.timedelta64(1, 's').",
    "span": "{Where} holds time spans ({value}). Make them numbers first: choose a unit, for instance "
    "t / np.timedelta64(1, 's') or t.dt.total_seconds().",
    "complex": "Complex data not supported: {where} holds {value}. Pass real and imaginary parts as columns.",
    "record": "{Where} is a structured array ({value}). Pass a DataFrame, or convert it first with "
    "numpy.lib.recfunctions.structured_to_unstructured.",
    "object": "{Where} holds {value}, but an argument must be a string or a real number, and strings must be encoded "
    "as numbers first. Pass an array, a sparse matrix or a data frame of numbers.",
    "missing": "Input {name} contains NaN: {where} has missing values ({value}). Fill them first, for instance with "
    "SimpleImputer, or drop these rows.",
    "infinite": "Input {name} contains infinity: {where} has values that are infinite or too large for {value}. "
    "Correct them, or drop these rows.",
}


def to_floats(values: Any, name: str, accept_sparse: bool = False) -> Any:
    """Convert what holds real numbers to floats.

    Parameters
    ----------
    values : array-like, data frame, sparse matrix or tensor
        NumPy arrays of float32 or float64 and tensors are returned as they are.
    name : str
        What errors call it.
    accept_sparse : bool
        Whether sparse values stay sparse; if not, sparse matrices are refused, and sparse columns become dense.

    Returns
    -------
    ndarray, csr_array, csr_matrix or tensor
        float32 if all values are, else float64, in native byte order. NaN and infinity are still to be looked for.

    Raises
    ------
    TypeError, ValueError
        If there are text, dates, time spans, complex numbers, other objects or markers of missing values, or a sparse
        matrix is malformed.
    """
    if is_tensor(values):
        return values
    if sparse.issparse(values):
        if not accept_sparse:
            raise TypeError(f"{name} is sparse. Pass it dense: {name}.toarray().ravel(), or {name}.toarray() if 2D.")
        return _sparse_floats(values, name)
    columns = _columns_of(values)
    if columns is None:
        return _floats(_read(values, name), name)
    first = getattr(columns[0][1], "dtype", None) if columns else None
    if isinstance(first, np.dtype) and all(column.dtype == first for _, column in columns):
        return _floats(np.asarray(values), name, [label for label, _ in columns])  # without a copy
    if accept_sparse and columns and all(_is_sparse_column(column) for _, column in columns):
        return _sparse_columns(columns, len(values), name)
    converted = [_floats(_read(column, name, label), name, [label]) for label, column in columns]
    out = np.empty((len(values), len(columns)), _common_type(converted), order="F")
    for number, column in enumerate(converted):
        if column.ndim != 1:
            raise ValueError(f"{_where(name, columns[number][0])} holds arrays. Make a column of each of their parts.")
        if np.isnan(column).any():
            refuse("missing", name, columns[number][0], "NaN")
        out[:, number] = column
    return out


def _columns_of(values) -> list | None:
    """Return the labels and columns of a data frame: of pandas, polars or pyarrow; None for anything else."""
    if hasattr(values, "iloc") and getattr(values, "ndim", 0) == 2:
        return [*values.items()]
    if hasattr(values, "get_columns"):
        return [(column.name, column) for column in values.get_columns()]
    if hasattr(values, "column_names") and hasattr(values, "columns"):
        return [*zip(values.column_names, values.columns, strict=True)]
    return None


def _read(values, name, label=None) -> np.ndarray:
    """Read anything as an array. NumPy drops masks, so masked values are refused before."""
    several = isinstance(values, list | tuple) and any(isinstance(row, np.ma.MaskedArray) for row in values)
    for row in values if several else [values]:
        if isinstance(row, np.ma.MaskedArray) and row.dtype.names is None and np.ma.is_masked(row):
            refuse("missing", name, int(np.argwhere(row.mask)[0][1]) if row.ndim > 1 else None, "masked")
    try:
        array = np.asarray(values)
        mixed = array.dtype.kind in "SU" and isinstance(values, list | tuple)  # numbers became text, too
        return np.array(values, dtype=object) if mixed else array
    except MemoryError:
        raise
    except Exception as error:  # each library has its own
        kind = ValueError if isinstance(error, ValueError) else TypeError
        message = f"{_where(name, label)} cannot be read as an array: {error}. Pass numbers, in rows of one length."
        raise kind(message) from error


def _floats(array: np.ndarray, name: str, labels=None) -> np.ndarray:
    """Convert an array, whose columns have labels if they are given, by the kind of its type."""
    dtype, kind = array.dtype, array.dtype.kind
    if kind in KINDS and (kind != "V" or issubclass(dtype.type, np.void)):  # else a type such as bfloat16
        value = reprlib.repr(str(array.flat[0])) if KINDS[kind] == "text" and array.size else dtype
        refuse(KINDS[kind], name, labels[0] if labels else None, value)
    if kind == "O":
        _check_objects(array, name, labels)
    try:
        with np.errstate(over="ignore"):  # infinity is looked for later
            return np.asarray(array, np.float32 if kind == "f" and dtype.itemsize == 4 else np.float64)
    except OverflowError as error:
        raise ValueError(f"Input {name} contains infinity or a value too large for dtype('float64').") from error
    except (ArithmeticError, RuntimeError, TypeError, ValueError) as error:
        raise TypeError(f"{name} holds what is no number: {error}.") from error


def _check_objects(array, name, labels) -> None:
    """Refuse the first object that is no real number; missing values where there is nothing worse."""
    causes = {kind: _cause(kind) for kind in set(map(type, array.flat))}
    wrong = {kind for kind, cause in causes.items() if cause not in (None, "missing")}
    wrong = wrong or {kind for kind, cause in causes.items() if cause}
    if wrong:
        place, value = next((place, value) for place, value in np.ndenumerate(array) if type(value) in wrong)
        column = place[1] if array.ndim > 1 else 0
        label = labels[column] if labels else column if array.ndim > 1 else None
        cause = causes[type(value)]
        refuse(cause, name, label, f"a {type(value).__name__}" if cause == "object" else reprlib.repr(value))


def _cause(kind: type) -> str | None:
    """Return what objects of a type are; None for real numbers."""
    if kind.__name__ in MISSING:
        return "missing"
    if kind.__name__ == "Period":
        return "date"
    for cause, types in TYPES.items():
        if issubclass(kind, types):
            return cause
    return None if hasattr(kind, "__float__") and not hasattr(kind, "__len__") else "object"


def _where(name, label) -> str:
    return name if label is None else f"Column {label!r} of {name}"


def refuse(cause, name, label, value):
    """Raise the error of a cause, one of `ERRORS`, that names the argument, the column and what it holds."""
    where = _where(name, label)
    message = ERRORS[cause].format(name=name, Where=where, where=where.replace("Column", "column", 1), value=value)
    raise (TypeError if cause == "object" else ValueError)(message)


def _common_type(arrays):
    return np.float32 if arrays and all(array.dtype == np.float32 for array in arrays) else np.float64


def _is_sparse_column(column) -> bool:
    fill = getattr(getattr(column, "dtype", None), "fill_value", None)
    return isinstance(fill, Number | np.bool_) and bool(fill == 0)


def _sparse_columns(columns, n_rows, name):
    """Join columns of pandas that are sparse with zeros."""
    arrays = [column.array for _, column in columns]
    data = [_floats(array.sp_values, name, [label]) for array, (label, _) in zip(arrays, columns, strict=True)]
    rows = [array.sp_index.to_int_index().indices for array in arrays]
    parts = np.concatenate(data, dtype=_common_type(data)), np.concatenate(rows), np.cumsum([0, *map(len, data)])
    return sparse.csc_array(parts, shape=(n_rows, len(columns))).tocsr()


def _sparse_floats(X, name):
    """Convert a sparse matrix to CSR of floats. Compiled code trusts indices, so they are checked; X stays as it is."""
    if X.ndim != 2:
        raise ValueError(f"Expected 2D input, got {name}, a sparse array of shape {X.shape}. Reshape it to 2D.")
    try:
        if X.format == "lil" and [*map(len, X.rows)] != [*map(len, X.data)]:
            raise ValueError("rows and data differ in length")
        X = X.tocoo() if X.format in ("lil", "dok") else copy.copy(X)  # which shares the arrays
        if X.format == "coo":
            X = sparse.coo_array((X.data, tuple(map(_indices, X.coords))), shape=X.shape)
        elif X.format == "dia":
            X = sparse.dia_array((X.data, _indices(X.offsets)), shape=X.shape)
        else:
            _check_compressed(X)
    except (AttributeError, IndexError, TypeError, ValueError) as error:
        raise ValueError(f"{name} is not a valid sparse matrix: {error}. Build it anew from its parts.") from error
    X.data = np.ascontiguousarray(_floats(_read(X.data, name), name))  # before tocsr, which sums duplicates
    return X.tocsr()


def _check_compressed(X) -> None:
    """Check CSR, CSC or BSR, more than SciPy does; what is cached may be old."""
    for cached in ("_has_canonical_format", "_has_sorted_indices"):
        vars(X).pop(cached, None)
    X.indices, X.indptr = _indices(X.indices), _indices(X.indptr)
    X.check_format(full_check=True)
    if (X.indptr[1:] < X.indptr[:-1]).any():
        raise ValueError("indptr must be a non-decreasing sequence")


def _indices(array) -> np.ndarray:
    """Convert indices to int32 or int64 in native byte order."""
    array = np.asarray(array)
    if array.dtype.kind not in "iu":
        raise ValueError(f"indices are of type {array.dtype}, should be integers")
    return np.ascontiguousarray(array, np.int32 if np.can_cast(array.dtype, np.int32) else np.int64)
