"""What several test modules share: the solvers that are installed, problems, and plain second ways of computing."""

import importlib.util
import subprocess
import sys

import numpy as np
import pytest
from scipy import sparse

from sgdlinreg._core.blocks import CSR, Block

RTOL = {np.dtype(np.float32): 2e-4, np.dtype(np.float64): 1e-10}

needs_torch = pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="torch is not installed")
SGD_SOLVERS = ["numba", pytest.param("torch", marks=needs_torch)]
SOLVERS = ["normal_equation", *SGD_SOLVERS]
ALL_SOLVERS = ["auto", *SOLVERS]


def make_problem(seed, n_rows=301, n_features=7, n_targets=1, weighted=True, noise=0.5):
    """A random problem with an intercept, correlated columns and uneven scales: X, y, sample_weight."""
    rng = np.random.default_rng(seed)
    mix = np.eye(n_features) + 0.3 * rng.standard_normal((n_features, n_features))
    X = rng.standard_normal((n_rows, n_features)) @ mix * rng.uniform(0.5, 2.0, n_features) + rng.uniform(
        -1, 1, n_features
    )
    coef = rng.uniform(-2.0, 2.0, (n_features, n_targets))
    y = X @ coef + 3.0 + noise * rng.standard_normal((n_rows, n_targets))
    weight = rng.uniform(0.2, 3.0, n_rows) if weighted else None
    return X, (y[:, 0] if n_targets == 1 else y), weight


def as_csr(X, index_dtype=np.int32):
    """X as a CSR array with indices of the given type."""
    X = sparse.csr_array(X)
    X.indices, X.indptr = X.indices.astype(index_dtype), X.indptr.astype(index_dtype)
    return X


def weighted_least_squares(X, y, weight=None, alpha=0.0):
    """Coefficients and intercept by SVD of the augmented system; alpha in our scale."""
    weight = np.ones(len(X)) if weight is None else weight
    root = np.sqrt(weight / weight.sum())[:, None]
    x_mean, y_mean = np.average(X, axis=0, weights=weight), np.average(y, axis=0, weights=weight)
    rows = np.vstack([root * (X - x_mean), np.sqrt(alpha) * np.eye(X.shape[1])])
    target = np.concatenate([root * (np.reshape(y - y_mean, (len(X), -1))), np.zeros((X.shape[1], y[0].size))])
    coef = np.linalg.lstsq(rows, target, rcond=None)[0].T.reshape(*np.shape(y_mean), X.shape[1])
    return coef, y_mean - coef @ x_mean


def missing_of(model, X, y, weight=None, alpha=0.0, fit_intercept=True):
    """What `optimality_gap_` estimates, 2 * (F - F*) over the variance of y, by SVD of the scaled, weighted rows.

    F - F* is quadratic in the distance from the optimum, which keeps the digits that a difference of losses loses.
    """
    y = np.reshape(y, (len(y), -1))
    share = np.full(len(y), 1.0 / len(y)) if weight is None else weight / weight.sum()
    x_mean, y_mean = (share @ X, share @ y) if fit_intercept else (np.zeros(X.shape[1]), np.zeros(y.shape[1]))
    scale = np.sqrt(share @ (X - x_mean) ** 2 + alpha)
    scale[scale == 0.0] = 1.0
    Z, root = (X - x_mean) / scale, np.sqrt(share)[:, None]
    rows = np.vstack([root * Z, np.diag(np.sqrt(alpha) / scale)])
    target = np.vstack([root * (y - y_mean), np.zeros((X.shape[1], y.shape[1]))])
    best = np.linalg.lstsq(rows, target, rcond=1e-13)[0]
    moved = model.predict(X).reshape(y.shape) - y_mean - Z @ best
    shrunk = model.coef_.reshape(-1, X.shape[1]).T - best / scale[:, None]
    missing = share @ moved**2 + alpha * (shrunk**2).sum(axis=0)
    return (missing / (share @ (y - y_mean) ** 2)).max()


def epochs_until_stop(losses, tol, n_iter_no_change, unit):
    """One target, as SGDRegressor counts: epochs that are not below the best by tol units, in a row."""
    best, in_a_row = np.inf, 0
    for epoch, loss in enumerate(losses, 1):
        in_a_row = in_a_row + 1 if loss >= best - tol * unit else 0
        best = min(best, loss)
        if in_a_row >= n_iter_no_change:
            return epoch
    return None


def block_of(X, y, weight=None, sparse=False):
    """A block with weights of mean one."""
    if sparse:
        csr = as_csr(X)
        X = CSR(csr.data, csr.indices, csr.indptr, X.shape[1])
    weight = None if weight is None else weight / weight.mean()
    return Block(X, np.reshape(y, (len(y), -1)).astype(float), weight)


def fit_form(model, form, X, y, weight=None):
    """Fit rows as an array, as CSR or in blocks."""
    if form == "source":
        weight = np.ones(len(y)) if weight is None else weight
        parts = np.array_split(np.arange(len(y)), 5)
        return model.fit_source([(X[rows], y[rows], weight[rows]) for rows in parts])
    return model.fit(as_csr(X) if form == "csr" else X, y, weight)


def run_without(libraries, code, **kwargs):
    """Run a program where these libraries cannot be imported, and return what it prints."""
    blocker = f"""
import sys
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {tuple(libraries)!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Missing())
"""
    done = subprocess.run([sys.executable, "-c", blocker + code], capture_output=True, text=True, **kwargs)
    assert done.returncode == 0, done.stderr
    return done.stdout
