"""Moments of dense rows, panel by panel, against products of centred columns in extended precision."""

from dataclasses import replace

import numpy as np
import pytest

from sgdlinreg._core.blocks import CSR, Block
from sgdlinreg._solvers.closed_form import block_moments as module
from sgdlinreg._solvers.closed_form.block_moments import moments_of

from ..helpers import as_csr

SHAPES = [(1, 1), (3, 14), (64, 5), (65, 30), (1000, 3), (70, 333)]


def draw(n_rows, n_features, dtype="f8", weighted=False):
    rng = np.random.default_rng(n_rows)
    X = (rng.normal(size=(n_rows, n_features)) + 3.0).astype(dtype)
    return Block(X, rng.normal(size=(n_rows, 2)), rng.uniform(0.1, 2.0, n_rows) if weighted else None)


def by_definition(block, X):
    """Total weight, means and products of deviations of the columns of [X, y], in extended precision."""
    rows = np.column_stack([X, block.y]).astype(np.longdouble)
    weight = np.ones(len(rows)) if block.sample_weight is None else block.sample_weight.astype(np.longdouble)
    mean = (weight @ rows) / weight.sum()
    return weight.sum(), mean, ((rows - mean) * weight[:, None]).T @ (rows - mean)


@pytest.fixture
def short_panels(monkeypatch):
    """Panels of one to four pieces of 16 rows, so that small data are several strips of several panels."""
    monkeypatch.setattr(module, "PIECE_ROWS", 16)
    monkeypatch.setattr(module, "PANEL_BYTES", 8 * 8 * 64)


@pytest.mark.usefixtures("short_panels")
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("given", "precise"), [("f8", True), ("f4", True), ("f4", False)])
@pytest.mark.parametrize("weighted", [False, True])
def test_products_about_the_mean(shape, given, precise, weighted):
    block = draw(*shape, given, weighted)
    found = moments_of(block, precise)
    total, mean, products = by_definition(block, block.X)
    eps = float(np.finfo("f8" if precise else "f4").eps)
    assert found.total_weight == pytest.approx(float(total), rel=4 * eps)
    np.testing.assert_allclose(found.mean.high, mean.astype(float), rtol=4 * eps, atol=4 * eps)
    size = np.sqrt(np.outer(products.diagonal(), products.diagonal()))
    error = np.abs(found.products - products)
    assert (error <= 16 * eps * size + eps**2).all()
    np.testing.assert_array_equal(found.products, found.products.T)
    assert (found.n_rows, found.rounded) == (shape[0], given == "f4" and not precise)


@pytest.mark.parametrize("n_features", [5, 100])
def test_float32_keeps_its_digits_in_long_panels(n_features):
    block = draw(40_000, n_features, "f4")
    found = moments_of(block, False)
    _, _, products = by_definition(block, block.X)
    size = np.sqrt(np.outer(products.diagonal(), products.diagonal()))
    assert np.abs((found.products - products) / size).max() < 8 * np.finfo("f4").eps


@pytest.mark.usefixtures("short_panels")
@pytest.mark.parametrize("layout", ["columns", "steps", "gaps", "backwards", "read-only", "CSR"])
def test_memory_layout_does_not_change_a_bit(layout):
    block = draw(300, 20)
    expected = moments_of(block, True)
    X = block.X
    if layout == "columns":
        X = np.asfortranarray(X)
    elif layout == "steps":
        X = np.repeat(X, 2, axis=1)[:, ::2]
    elif layout == "gaps":
        X = np.column_stack([X, np.zeros((300, 13))])[:, :20]
    elif layout == "backwards":
        X = X[::-1].copy()[::-1]
    elif layout == "read-only":
        X = X.copy()
        X.flags.writeable = False
    else:
        csr = as_csr(X)
        X = CSR(csr.data, csr.indices, csr.indptr, 20)
    found = moments_of(replace(block, X=X), True)
    np.testing.assert_array_equal(found.products, expected.products)
    np.testing.assert_array_equal(found.mean.high, expected.mean.high)
