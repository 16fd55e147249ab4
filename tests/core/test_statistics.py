"""Means and variances of columns."""

from dataclasses import replace
from functools import reduce

import numpy as np
import pytest

from sgdlinreg._core import blocks as _blocks
from sgdlinreg._core.blocks import CSR, Block
from sgdlinreg._core.coordinates import norms_of, scaled_coordinates
from sgdlinreg._core.objective import Objective, SquaredError
from sgdlinreg._core.statistics import ColumnStatistics, column_statistics

from ..helpers import as_csr, make_problem


def block_of(X, y, weight=None, sparse=False):
    if sparse:
        csr = as_csr(X)
        X = CSR(csr.data, csr.indices, csr.indptr, X.shape[1])
    return Block(X, np.reshape(y, (len(y), -1)).astype(float), weight)


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
def test_column_statistics(sparse, weighted):
    X, y, weight = make_problem(0, weighted=weighted)
    found = column_statistics(block_of(X, y, weight, sparse))
    np.testing.assert_allclose(found.mean, np.average(X, axis=0, weights=weight), rtol=1e-12)
    expected = np.average((X - found.mean) ** 2, axis=0, weights=weight)
    np.testing.assert_allclose(found.variance, expected, rtol=1e-10)


def test_columns_of_csr_without_zeros_are_complete():
    X, y, _ = make_problem(0)
    X[3, [1, 4]] = 0.0
    assert list(np.flatnonzero(~column_statistics(block_of(X, y, sparse=True)).complete)) == [1, 4]
    assert column_statistics(block_of(X, y)).complete.all()


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("weighted", [False, True])
def test_compiled_passes_measure_the_same(monkeypatch, dtype, weighted):
    passes = pytest.importorskip("sgdlinreg._core.numba_loops")
    monkeypatch.setattr(_blocks, "COMPILED_VALUES", 0)
    monkeypatch.setattr(passes, "PANEL_ROWS", 37)
    X, y, weight = make_problem(0, weighted=weighted, n_targets=2)
    X = (X + 10.0 ** np.arange(X.shape[1])).astype(dtype)
    X[0] *= 30.0
    block = replace(block_of(X, y, weight), compiled=True)
    assert block.compiles
    assert not replace(block_of(np.asfortranarray(X), y), compiled=True).compiles
    found = column_statistics(block)
    mean = np.average(X.astype(np.float64), axis=0, weights=weight)
    np.testing.assert_allclose(found.mean, mean, rtol=1e-13)
    np.testing.assert_allclose(found.variance, np.average((X - mean) ** 2, axis=0, weights=weight), rtol=1e-9)
    coordinates = scaled_coordinates(found, Objective(SquaredError()))
    Z = (X - mean) / np.sqrt(np.average((X - mean) ** 2, axis=0, weights=weight))
    np.testing.assert_allclose(norms_of(block, coordinates), (Z**2).sum(axis=1), rtol=1e-9)


def test_statistics_of_parts_merge_to_those_of_the_whole():
    X, y, weight = make_problem(1)
    X = X + 1e6
    parts = [Block(X[rows], y[rows, None], weight[rows]) for rows in np.array_split(np.arange(301), 7)]
    merged = reduce(ColumnStatistics.merge, map(column_statistics, parts))
    mean = np.average(X, axis=0, weights=weight)
    assert merged.total_weight == pytest.approx(weight.sum(), rel=1e-13)
    np.testing.assert_allclose(merged.mean, mean, rtol=1e-14)
    np.testing.assert_allclose(merged.variance, np.average((X - mean) ** 2, axis=0, weights=weight), rtol=1e-9)


def test_variance_of_a_constant_column_is_exactly_zero():
    X = np.full((1000, 3), [0.1, 1e9 / 3, 0.0])
    assert not column_statistics(Block(X, X[:, :1], None)).variance.any()
