"""The edge: what users pass becomes a checked Block, or an error before any work."""

from contextlib import contextmanager
from typing import Any

import numpy as np
from scipy import sparse
from sklearn.model_selection import ShuffleSplit
from sklearn.utils.validation import (
    _assert_all_finite,
    _check_feature_names,
    _check_n_features,
    _check_sample_weight,
    check_array,
    check_consistent_length,
)

from sgdlinreg._core.arrays import all_finite, is_tensor
from sgdlinreg._core.blocks import CSR, Block, part_of
from sgdlinreg._edge.conversion import FLOATS, refuse, to_floats
from sgdlinreg._edge.lazy import refuse_lazy
from sgdlinreg._edge.namespaces import local, to_numpy

WIDEST = 2.0**1000
"""Largest factor between two sample weights."""


@contextmanager
def named(what):
    """Say in an error which rows are refused, as block 3 of a source."""
    try:
        yield
    except (TypeError, ValueError) as error:
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(f"{what}: {error}") from error


@contextmanager
def all_or_nothing(estimator):
    """Leave the estimator as it was if the body raises."""
    before = estimator.__dict__.copy()
    try:
        yield
    except BaseException:
        restore(estimator, before)
        raise


def restore(estimator, attributes) -> None:
    """Give an estimator the attributes that it had, and no others."""
    estimator.__dict__.clear()
    estimator.__dict__.update(attributes)


def check_rows(estimator, X, y, sample_weight, *, reset, finite=True, suffix="", min_rows=1) -> Block:
    """Check training data.

    Parameters
    ----------
    estimator : MiniBatchSGDRegressor
        Its n_features_in_, feature_names_in_ and _y_ndim are set (reset=True), or checked.
    X : array-like, data frame, tensor or sparse of shape (n_samples, n_features)
    y : array-like or tensor of shape (n_samples,) or (n_samples, n_targets)
    sample_weight : array-like or tensor of shape (n_samples,), float or None
    reset : bool
    finite : bool
        Whether to look for NaN and infinity in X now; if not, `check_finite` must be called before a model is kept.
    suffix : str
        What follows their names in errors.
    min_rows : int
        With 0 there may be no rows, or none of positive weight.

    Returns
    -------
    Block
        Without the rows of weight 0. X is not copied unless its type or sparse format asks for it; on a device it
        stays there, as a torch tensor.
    """
    X = check_columns(estimator, X, f"X{suffix}", reset=reset, finite=finite, min_rows=min_rows)
    y = check_targets(estimator, y, f"y{suffix}", min_rows)
    if reset:
        estimator._y_ndim = y.ndim
    if X.shape[0] != len(y):
        check_consistent_length(X, y)
    return _weighted(X, y, to_numpy(sample_weight), f"sample_weight{suffix}", min_rows)


def check_targets(estimator, y, name="y", min_rows=1) -> np.ndarray:
    """Check y alone, in the memory of the CPU wherever it is."""
    if _is_plain(y, 1, FLOATS[:1]):
        return y
    refuse_lazy(y, name)
    y = to_numpy(y)
    if y is None:
        raise ValueError(
            f"This {type(estimator).__name__} estimator requires y to be passed, but the target y is None."
        )
    known: Any = {"dtype": FLOATS, "ensure_2d": False, "input_name": name, "ensure_min_samples": min_rows}
    return check_array(to_floats(y, name), estimator=estimator, **known)


def check_columns(estimator, X, name="X", *, reset=False, finite=True, min_rows=1) -> Any:
    """Check X alone, by default new rows to predict on; columns must be those of fit unless they are set by ``reset``.

    Returns
    -------
    ndarray, csr_array, csr_matrix or tensor of shape (n_samples, n_features)
        float32 or float64. A tensor if it is on a device.
    """
    rows = local(X)
    plain = _is_plain(rows, 2, FLOATS, finite)
    if not plain:
        refuse_lazy(X, name)
    if not plain or hasattr(estimator, "feature_names_in_"):
        _check_feature_names(estimator, X, reset=reset)
    if is_tensor(rows):
        rows = _check_tensor(estimator, rows, finite and len(rows), min_rows)
    elif not plain:
        known: Any = {"accept_sparse": "csr", "dtype": FLOATS, "ensure_all_finite": False, "input_name": name}
        floats = to_floats(rows, name, accept_sparse=True)
        flat = isinstance(floats, np.ndarray) and floats.ndim == 1  # of a Series scikit-learn's error tells more
        rows = check_array(rows if flat else floats, estimator=estimator, ensure_min_samples=min_rows, **known)
    _check_n_features(estimator, rows, reset=reset)
    if finite and not plain and not is_tensor(rows):
        _check_all_finite(estimator, rows, name)
    return rows


def _is_plain(array, n_dimensions, dtypes, finite=True) -> bool:
    """Whether scikit-learn's check of an array, which takes a tenth of a small fit, would give it back as it is."""
    if type(array) is not np.ndarray or array.ndim != n_dimensions or not array.size or array.dtype not in dtypes:
        return False
    with np.errstate(over="ignore", invalid="ignore"):
        return not finite or all_finite(array)


def _check_tensor(estimator, X, finite, min_rows):
    """Check rows on a device as scikit-learn checks arrays; integers and half precision become float64 and float32."""
    if X.ndim != 2:
        raise ValueError(f"Expected 2D array, got {X.ndim}D tensor instead. Reshape it to (n_samples, n_features).")
    if X.shape[0] < min_rows or X.shape[1] == 0:
        minimum = f"a minimum of {min_rows} row and 1 column"
        raise ValueError(f"Found array with shape {tuple(X.shape)}; {minimum} is required.")
    if X.is_complex():
        raise ValueError("Complex data not supported: X is a complex tensor.")
    if X.is_meta:
        raise ValueError("X is on device 'meta', where tensors have no values. Give tensors on another device.")
    if not X.is_floating_point():
        X = X.double()
    elif X.element_size() < 4:
        X = X.float()
    if finite:
        _check_finite_tensor(estimator, X)
    return X.detach()


def _check_finite_tensor(estimator, X) -> None:
    least, largest = X.aminmax()  # NaN goes through, and this needs no memory
    if not bool(least.isfinite() & largest.isfinite()):
        name = type(estimator).__name__
        raise ValueError(f"Input X contains NaN or infinity.\n{name} does not accept missing values.")


def _weighted(X, y, sample_weight, name, min_rows) -> Block:
    """Make a block without the rows of weight 0; the others are divided by a power of two, so that they are at most 1.

    Raises
    ------
    ValueError
        If no weight is positive, or they differ by more than float64 can sum up.
    """
    y = np.ascontiguousarray(y, dtype=np.float64)
    y = y[:, None] if y.ndim == 1 else y
    exponent = 0
    if sample_weight is not None and len(y):
        sample_weight = to_floats(sample_weight, name)
        if min_rows == 0 and not np.any(sample_weight):
            return Block(_plain(X[:0]), y[:0])
        sample_weight = sample_weight if sample_weight.ndim else np.full(len(y), sample_weight)
        sample_weight = _check_sample_weight(sample_weight, y, dtype=np.float64, ensure_non_negative=True)
        kept = sample_weight > 0
        if not kept.any():
            raise ValueError("All sample weights are zero: there is nothing to fit. Give some rows a positive weight.")
        if not kept.all():
            X, y, sample_weight = X[kept], y[kept], sample_weight[kept]
    if sample_weight is not None and len(y):
        least, largest = sample_weight.min(), sample_weight.max()
        if least < largest / WIDEST:
            raise ValueError(
                f"Sample weights are between {least:.3g} and {largest:.3g}: they should not differ by more than a "
                f"factor of {WIDEST:.0e}. Leave rows of the smallest weights out."
            )
        exponent = int(np.frexp(largest)[1])
        sample_weight = np.ldexp(sample_weight, -exponent)
    return Block(_plain(X), y, sample_weight, exponent)


def check_finite(estimator, block: Block) -> None:
    """Raise a ValueError where X, on the CPU or on a device, holds NaN or infinity."""
    if is_tensor(block.X):
        _check_finite_tensor(estimator, block.X)
    else:
        _check_all_finite(estimator, block.X, "X")


def _check_all_finite(estimator, X, name) -> None:
    """Raise a ValueError that names the column where X, dense or CSR, holds NaN or infinity."""
    values = X if isinstance(X, np.ndarray) else X.data
    try:
        _assert_all_finite(values)
        return
    except ValueError as error:
        is_nan = "NaN" in str(error)
    is_wrong = np.isnan if is_nan else np.isinf
    if values is X:  # reduced first, because X may be larger than the memory that is left
        wrong = is_wrong(X.min(axis=0)) | is_wrong(X.max(axis=0))
        column = int(wrong.argmax())
    else:
        column = int(X.indices[is_wrong(values).argmax()])
    names = getattr(estimator, "feature_names_in_", None)
    label = column if names is None else names[column]
    refuse("missing" if is_nan else "infinite", name, label, "NaN" if is_nan else values.dtype)


def check_validation_rows(estimator, X_val, y_val, sample_weight_val, n_targets) -> Block | None:
    """Check validation data, as `check_rows` does training data; None if there are none.

    Raises
    ------
    ValueError
        If only a part of them is given, or their columns or targets are not those of the training data.
    """
    if X_val is None:
        if y_val is not None or sample_weight_val is not None:
            raise ValueError("y_val or sample_weight_val is given without X_val. Give X_val too, or none of them.")
        return None
    if y_val is None:
        raise ValueError("X_val is given without y_val. Give y_val too, or leave X_val out.")
    with named("The validation data"):
        block = check_rows(estimator, X_val, y_val, sample_weight_val, reset=False, suffix="_val")
    if block.n_targets != n_targets:
        raise ValueError(f"y_val has {block.n_targets} targets, but y has {n_targets}.")
    return block


def split_rows(block: Block, fraction: float, random_state: Any) -> tuple[Block, Block]:
    """Set a part of the rows aside, by ShuffleSplit.

    Raises
    ------
    ValueError
        If one of the parts would be empty.
    """
    if isinstance(random_state, np.random.Generator):
        random_state = int(random_state.integers(2**31 - 1))
    try:
        train, test = next(
            ShuffleSplit(1, test_size=fraction, random_state=random_state).split(np.empty((block.n_rows, 1)))
        )
    except ValueError as error:
        raise ValueError(
            f"The training data have {block.n_rows} rows of positive weight, too few to set aside "
            f"validation_fraction={fraction} of them. Use a larger validation_fraction, give X_val and y_val, or set "
            "early_stopping=False."
        ) from error
    return part_of(block, np.sort(train)), part_of(block, np.sort(test))


def _plain(X):
    if not sparse.issparse(X):
        return X
    if not X.has_canonical_format:
        X = X.copy()
        X.sum_duplicates()
    return CSR(X.data, X.indices, X.indptr, X.shape[1])


def check_start(coef_init, intercept_init, n_features, n_targets, fit_intercept) -> np.ndarray | None:
    """Check where to start.

    Parameters
    ----------
    coef_init : array-like of shape (n_features,) or (n_targets, n_features), or None
    intercept_init : float, array-like of shape (n_targets,) or None
    n_features, n_targets : int
    fit_intercept : bool

    Returns
    -------
    ndarray of shape (n_targets, n_features + 1) or None
        None if neither is given; what is not given starts at 0.
    """
    if coef_init is None and intercept_init is None:
        return None
    start = np.zeros((n_targets, n_features + 1))
    if coef_init is not None:
        coef = to_floats(to_numpy(coef_init), "coef_init")
        allowed = [(n_targets, n_features)] + ([(n_features,)] if n_targets == 1 else [])
        if coef.shape not in allowed:
            raise ValueError(
                f"coef_init has shape {coef.shape}, should be {' or '.join(map(str, allowed))}: that of coef_."
            )
        start[:, :-1] = coef
    if intercept_init is not None:
        if not fit_intercept:
            raise ValueError("intercept_init is given but fit_intercept=False. Leave one of them out.")
        intercept = to_floats(to_numpy(intercept_init), "intercept_init")
        if intercept.shape not in [(n_targets,)] + ([()] if n_targets == 1 else []):
            raise ValueError(
                f"intercept_init has shape {intercept.shape}, should be ({n_targets},)"
                + (" or a number." if n_targets == 1 else ".")
            )
        start[:, -1] = intercept
    if not np.isfinite(start).all():
        raise ValueError("coef_init and intercept_init must be finite, got NaN or infinity.")
    return start
