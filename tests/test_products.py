"""The compiled products of large data, on small data, against NumPy's."""

import os
import subprocess
import sys

import numpy as np
import pytest

from sgdlinreg import MiniBatchSGDRegressor
from sgdlinreg._solvers import exact_products, moments
from sgdlinreg._solvers.products_numba import MAX_PANEL_ROWS, TILE_ROWS, VECTOR_BYTES, VECTORS, Products

from .helpers import make_problem, run_with_narrow_vectors

SHAPES = [(1, 1), (3, 14), (MAX_PANEL_ROWS, 15), (MAX_PANEL_ROWS + 1, 30), (2 * MAX_PANEL_ROWS + 7, 37), (70, 333)]


def draw(n_rows, n_features, dtype, n_targets=2):
    rng = np.random.default_rng(n_rows)
    X = (rng.normal(size=(n_rows, n_features)) + 3.0).astype(dtype)
    return X, rng.normal(size=(n_rows, n_targets)), rng.uniform(0.1, 2.0, n_rows)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("given", "dtype"), [("f8", "f8"), ("f4", "f8"), ("f4", "f4")])
@pytest.mark.parametrize("weighted", [False, True])
def test_sums_of_products(shape, given, dtype, weighted):
    X, y, weight = draw(*shape, given)
    rng = np.random.default_rng(0)
    size = X.shape[1] + 2
    shift, factor = rng.normal(size=size).astype(dtype).astype(float), 2.0 ** rng.integers(-3, 3, size)
    root = np.sqrt(weight) if weighted else None
    total = Products(X, y, shift, factor, root, np.dtype(dtype)).strip(0, len(X))
    rows = np.column_stack([(np.column_stack([X.astype(float), y]) - shift) * factor, np.ones(len(X))])
    rows *= 1.0 if root is None else root[:, None]
    expected = rows.T @ rows
    size = np.sqrt(np.outer(np.diag(expected), np.diag(expected)))
    assert np.abs((total - expected) / size).max() < MAX_PANEL_ROWS * np.finfo(dtype).eps / 2
    np.testing.assert_array_equal(total, total.T)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("weighted", [False, True])
def test_a_fit_is_the_same_by_blas(monkeypatch, dtype, weighted):
    X, y, weight = make_problem(0, n_rows=5000, n_targets=2, weighted=weighted)
    X = (X * 10.0 ** np.arange(-9, 12, 3)[: X.shape[1]]).astype(dtype)
    monkeypatch.setattr(exact_products, "MOST_PRODUCTS", 0)
    by_blas = MiniBatchSGDRegressor(solver="normal_equation").fit(X, y, weight)
    monkeypatch.setattr(moments, "COMPILED", 0)
    made = []
    original = moments._compiled
    monkeypatch.setattr(moments, "_compiled", lambda *args: made.append(1) or original(*args))
    compiled = MiniBatchSGDRegressor(solver="normal_equation").fit(X, y, weight)
    assert made
    np.testing.assert_allclose(compiled.predict(X), by_blas.predict(X), rtol=1e-12)
    np.testing.assert_allclose(compiled.coef_, by_blas.coef_, rtol=1e-11)


@pytest.mark.parametrize("layout", ["columns", "steps"])
def test_other_memory_layouts_go_to_blas(monkeypatch, layout):
    monkeypatch.setattr(exact_products, "MOST_PRODUCTS", 0)
    monkeypatch.setattr(moments, "COMPILED", 0)
    monkeypatch.setattr(moments, "_compiled", None)
    X, y, _ = make_problem(0)
    X = np.asfortranarray(X) if layout == "columns" else np.repeat(X, 2, axis=1)[:, ::2]
    assert MiniBatchSGDRegressor(solver="normal_equation").fit(X, y).score(X, y) > 0.5


def test_rows_with_gaps_and_read_only():
    X, y, _ = draw(300, 20, "f8")
    wide = np.zeros((300, 33))
    wide[:, :20] = X
    view = wide[:, :20]
    view.flags.writeable = False
    total = [Products(one, y, np.zeros(22), np.ones(22), None, np.dtype("f8")).strip(0, 300) for one in (X, view)]
    np.testing.assert_array_equal(*total)


def test_narrow_vectors(tmp_path):
    """What a processor without AVX-512 runs, compiled anew and checked by the tests above."""
    assert (TILE_ROWS, VECTORS * VECTOR_BYTES) in ((8, 128), (4, 64))
    run_with_narrow_vectors(__file__, "sums_of or gaps", tmp_path)


def test_without_compilation():
    code = (
        "import numpy as np; from sgdlinreg import MiniBatchSGDRegressor; from sgdlinreg._solvers import moments; "
        "moments.COMPILED = 0; X = np.random.default_rng(0).normal(size=(99, 3)); "
        "print(abs(MiniBatchSGDRegressor().fit(X, X @ [1, 2, 3]).coef_ - [1, 2, 3]).max() < 1e-14)"
    )
    environment = os.environ | {"NUMBA_DISABLE_JIT": "1"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "True"
