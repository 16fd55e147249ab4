"""Predictions, accumulated in float64."""

from typing import Any

import numpy as np
from scipy import sparse

from sgdlinreg._core.arrays import all_finite, arrays_of, dtype_of, is_tensor


def predict_rows(X, coef: np.ndarray, intercept) -> Any:
    """``X @ coef.T + intercept`` in X's dtype.

    Parameters
    ----------
    X : ndarray, torch tensor or sparse of shape (n_samples, n_features), float32 or float64
    coef : ndarray of shape (n_features,) or (n_targets, n_features)
    intercept : float or ndarray of shape (n_targets,)

    Returns
    -------
    ndarray of shape (n_samples,) or (n_samples, n_targets), of X's dtype; a tensor on its device if X is one

    Raises
    ------
    ValueError
        If a prediction is too large for X's dtype.

    Notes
    -----
    float32 rows are widened a panel at a time: on the CPU the copy stays in the cache.
    """
    ops: Any = arrays_of(X)
    weights, constant = ops.put(coef.T.astype(np.float64)), ops.put(np.asarray(intercept, dtype=np.float64))
    dtype = dtype_of(X)
    with np.errstate(over="ignore", invalid="ignore"):
        if sparse.issparse(X):
            out = (X @ weights + constant).astype(dtype, copy=False)
        elif dtype == np.float64:
            out = X @ weights + constant
        else:
            out = ops.zeros((X.shape[0], *weights.shape[1:]), dtype)
            step = max(1, ops.panel_bytes // (8 * X.shape[1]))
            for start in range(0, X.shape[0], step):
                rows = slice(start, start + step)
                out[rows] = ops.in_double(X[rows]) @ weights + constant
        finite = bool(out.isfinite().all()) if is_tensor(out) else all_finite(out)
    if not finite:
        if not np.isfinite(coef).all() or not np.isfinite(intercept).all():
            raise ValueError("coef_ or intercept_ is not finite. Set finite numbers, or fit the model anew.")
        raise ValueError(f"A prediction is too large for {dtype}. Pass X as float64, or fit y in a larger unit.")
    return out
