"""Scaled and centred coordinates."""

import numpy as np
import pytest

from sgdlinreg._core.blocks import CSR, Block, take_rows
from sgdlinreg._core.coordinates import norms_of, penalty_in, raw_coordinates, scaled_coordinates
from sgdlinreg._core.objective import Objective, SquaredError
from sgdlinreg._core.statistics import column_statistics

from ..helpers import as_csr, make_problem


def coordinates_of(X, weight=None, alpha=0.0, fit_intercept=True, centred=True):
    objective = Objective(SquaredError(), alpha, fit_intercept)
    return scaled_coordinates(column_statistics(Block(X, X[:, :1].copy(), weight)), objective, centred)


@pytest.mark.parametrize("fit_intercept", [True, False])
def test_there_and_back(fit_intercept):
    X, _, weight = make_problem(2)
    X = X * 1e3 + 1e4
    coordinates = coordinates_of(X, weight, fit_intercept=fit_intercept)
    coef = np.random.default_rng(0).standard_normal((2, 8))
    scaled = coordinates.to_scaled(coef)
    np.testing.assert_allclose(coordinates.to_raw(scaled), coef, rtol=1e-9)
    found = coordinates.features(X) @ scaled[:, :-1].T + scaled[:, -1]
    np.testing.assert_allclose(found, X @ coef[:, :-1].T + coef[:, -1], rtol=1e-9)


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("alpha", [0.0, 0.5, 1e6])
def test_every_column_has_curvature_one(alpha, fit_intercept):
    X, _, weight = make_problem(3)
    X = X * 10.0 ** np.arange(-3, 4)
    coordinates = coordinates_of(X, weight, alpha, fit_intercept)
    Z = coordinates.features(X)
    curvature = weight / weight.sum() @ Z**2 + alpha / coordinates.scale**2
    np.testing.assert_allclose(curvature, 1.0, rtol=1e-10)
    found = penalty_in(coordinates, Objective(SquaredError(), alpha))
    np.testing.assert_allclose(found, alpha / coordinates.scale**2, rtol=1e-14)
    mean = weight @ X / weight.sum() if fit_intercept else np.zeros(7)
    np.testing.assert_allclose(coordinates.centre, mean, rtol=1e-12)


def test_columns_that_are_not_centred_have_a_root_mean_square_of_one():
    X, _, _ = make_problem(4)
    centred = np.arange(7) % 2 == 0
    coordinates = coordinates_of(X, centred=centred)
    np.testing.assert_array_equal(coordinates.centre != 0.0, centred)
    np.testing.assert_allclose((coordinates.features(X) ** 2).mean(axis=0), 1.0, rtol=1e-12)


def test_constant_columns_divide_by_no_zero():
    X = np.column_stack([np.zeros(50), np.full(50, -7.0), np.arange(50.0)])
    coordinates = coordinates_of(X)
    assert np.all(coordinates.scale > 0.0)
    Z = coordinates.features(X)
    np.testing.assert_array_equal(Z[:, :2], 0.0)
    assert np.isfinite(Z).all()


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("n_rows", [301, 40_000])
def test_norms(dtype, n_rows):
    X = make_problem(5, n_rows=n_rows)[0].astype(dtype)
    coordinates = coordinates_of(X)
    expected = (((X - X.mean(axis=0, dtype=np.float64)) / X.std(axis=0, dtype=np.float64)) ** 2).sum(axis=1)
    np.testing.assert_allclose(norms_of(Block(X, X[:, :1].copy(), None), coordinates), expected, rtol=1e-9)


def test_norms_of_csr():
    X, y, _ = make_problem(6)
    X[:, 1:] *= np.abs(X[:, 1:]) > 0.7  # the first column is stored in every row, and centred
    csr = as_csr(X)
    block = Block(CSR(csr.data, csr.indices, csr.indptr, 7), y[:, None], None)
    columns = column_statistics(block)
    coordinates = scaled_coordinates(columns, Objective(SquaredError()), columns.complete)
    assert coordinates.centre[0] != 0.0
    assert not coordinates.centre[1:].any()
    Z = (X - coordinates.centre) / coordinates.scale
    np.testing.assert_allclose(norms_of(block, coordinates), (Z**2).sum(axis=1), rtol=1e-12)
    found = coordinates.features(take_rows(block.X, slice(None))).toarray()
    np.testing.assert_allclose(found, Z, rtol=1e-12)


def test_raw_coordinates_change_nothing():
    coef = np.random.default_rng(0).standard_normal((2, 8))
    raw = raw_coordinates(7)
    np.testing.assert_array_equal(raw.to_scaled(coef), coef)
    np.testing.assert_array_equal(raw.to_raw(coef), coef)
