"""The objective of a training fold on a few rows, and its decomposition, in 50 digits."""

import numpy as np
import pytest

from sgdlinreg._search.folds import Fold, Split
from sgdlinreg._search.paths import Penalties, path_of
from sgdlinreg._search.rows import RowsInMemory
from sgdlinreg._search.triangles import triangle_of_fold

from ..helpers import block_of, make_problem

mpmath = pytest.importorskip("mpmath")


def ridge_in_50_digits(X, y, weight, alpha):
    """The coefficients, with weights of sum W and a penalty of alpha * W."""
    mpmath.mp.dps = 50
    rows, share = mpmath.matrix(X.tolist()), [mpmath.mpf(one) for one in weight.tolist()]
    total, (n, d) = sum(share), X.shape
    x_mean = [sum(share[i] * rows[i, j] for i in range(n)) / total for j in range(d)]
    y_mean = sum(s * mpmath.mpf(one) for s, one in zip(share, y.tolist(), strict=True)) / total
    centred = mpmath.matrix(n, d)
    for i in range(n):
        for j in range(d):
            centred[i, j] = rows[i, j] - x_mean[j]
    weighted = centred.copy()
    for i in range(n):
        weighted[i, :] *= share[i]
    gram = weighted.T * centred
    for j in range(d):
        gram[j, j] += mpmath.mpf(alpha) * total
    right = weighted.T * mpmath.matrix([[mpmath.mpf(one) - y_mean] for one in y.tolist()])
    return np.array([float(one) for one in mpmath.lu_solve(gram, right)])


@pytest.mark.parametrize("n_rows", [60, 5])
@pytest.mark.parametrize("unit", [1.0, 1e6])
def test_coefficients_have_all_digits(unit, n_rows):
    X, y, weight = make_problem(0, n_rows=n_rows, n_features=6)
    X = X * np.array([unit, 1.0, 1.0 / unit, 1.0, 1.0, 1.0])
    block = block_of(X, y, weight)
    rows = RowsInMemory(block)
    numbers = np.arange(n_rows)
    fold = Fold(Split(numbers, numbers), rows.moments([numbers])[0] if n_rows > 6 else None, None)
    alphas = np.array([1e-8, 1e-3, 10.0])
    path = path_of(triangle_of_fold(fold, rows, True, False), Penalties(alphas, np.zeros(3), False))
    for alpha, coef in zip(alphas, path.coef[:, 0], strict=True):
        expected = ridge_in_50_digits(X, y, block.sample_weight, alpha)
        size = np.abs(expected) * X.std(axis=0)
        assert (np.abs(coef - expected) * X.std(axis=0)).max() < 1e-12 * size.max()
