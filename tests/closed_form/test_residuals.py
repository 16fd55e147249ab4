"""Residuals in double-double against rational numbers."""

from fractions import Fraction

import numpy as np
import pytest

from sgdlinreg._core.blocks import CSR, Block
from sgdlinreg._solvers.closed_form.double_double import DoubleDouble
from sgdlinreg._solvers.closed_form.residuals import residual_sums

from ..helpers import as_csr, make_problem


def fractions(values):
    return [[Fraction(float(v)) for v in row] for row in values]


@pytest.mark.parametrize("kind", ["float64", "float32", "CSR"])
@pytest.mark.parametrize("weighted", [False, True])
def test_sums_at_any_solution(weighted, kind):
    X, y, weight = make_problem(3, n_rows=37, n_features=3, n_targets=2, weighted=weighted)
    X = X * [1e-7, 1.0, 1e9] + [0.0, 1e3, 0.0]
    X = X.astype(np.float32) if kind == "float32" else X
    coef = np.random.default_rng(0).standard_normal((4, 2)) / [[1e-7], [1.0], [1e9], [1.0]]
    size = np.array([2.0**-22, 2.0**10, 2.0**31])
    csr = as_csr(X)
    rows = CSR(csr.data, csr.indices, csr.indptr, 3) if kind == "CSR" else X
    block = Block(rows, np.ascontiguousarray(y), weight)
    gradient, squares = residual_sums(block, DoubleDouble(coef, 1e-17 * coef), size)
    data = fractions(np.column_stack([X.astype(np.float64), np.ones(37)]))
    weight = [Fraction(float(w)) for w in (np.ones(37) if weight is None else weight)]
    exact = [[Fraction(v) + Fraction(1e-17 * v) for v in row] for row in coef.tolist()]
    for t in range(2):
        residual = [
            Fraction(float(target)) - sum(x * c[t] for x, c in zip(row, exact, strict=True))
            for row, target in zip(data, y[:, t], strict=True)
        ]
        expected = sum(w * r * r for w, r in zip(weight, residual, strict=True))
        assert squares[t] == pytest.approx(float(expected), rel=1e-14)
        for j, unit in enumerate([*size, 1.0]):
            terms = [w * row[j] * r for w, row, r in zip(weight, data, residual, strict=True)]
            given = Fraction(float(gradient.high[j, t])) + Fraction(float(gradient.low[j, t]))
            largest = max(abs(term) for term in terms) / Fraction(unit)
            assert abs(given - sum(terms) / Fraction(unit)) <= Fraction(1, 10**26) * largest
