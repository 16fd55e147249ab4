"""Predictions, accumulated in float64."""

import numpy as np
from scipy import sparse

from sgdlinreg._arrays import TorchArrays, is_tensor

ROWS_BYTES = 1 << 20


def predict_rows(X, coef: np.ndarray, intercept) -> np.ndarray:
    """``X @ coef.T + intercept`` in X's dtype.

    Parameters
    ----------
    X : ndarray, torch tensor or sparse of shape (n_samples, n_features), float32 or float64
    coef : ndarray of shape (n_features,) or (n_targets, n_features)
    intercept : float or ndarray of shape (n_targets,)

    Returns
    -------
    ndarray of shape (n_samples,) or (n_samples, n_targets), of X's dtype; a tensor on its device if X is one

    Notes
    -----
    float32 rows are widened a panel at a time: the copy stays in the cache.
    """
    weights = coef.T.astype(np.float64)
    if is_tensor(X):
        there = TorchArrays(X.device)
        return (X.double() @ there.put(weights) + there.put(np.asarray(intercept, dtype=np.float64))).to(X.dtype)
    if X.dtype == np.float64 or sparse.issparse(X):
        return (X @ weights + intercept).astype(X.dtype, copy=False)
    out = np.empty((X.shape[0], *weights.shape[1:]), dtype=X.dtype)
    step = max(1, ROWS_BYTES // (8 * X.shape[1]))
    for start in range(0, X.shape[0], step):
        rows = slice(start, start + step)
        out[rows] = X[rows].astype(np.float64) @ weights + intercept
    return out
