"""What is not in memory is refused, and nothing of it is computed."""

import pathlib

import numpy as np
import pytest

from sgdlinreg import MiniBatchSGDRegressor
from sgdlinreg.sources import from_arrays

from ..helpers import make_problem


def of_polars(X):
    polars = pytest.importorskip("polars")
    return polars.DataFrame(X, schema=[f"x{i}" for i in range(X.shape[1])]).lazy()


def of_pyarrow(X):
    pytest.importorskip("pyarrow")
    import pyarrow as pa
    import pyarrow.dataset

    return pa.dataset.dataset(pa.table({f"x{i}": column for i, column in enumerate(X.T)}))


def of_dask(X):
    dask = pytest.importorskip("dask")
    array = pytest.importorskip("dask.array")

    def refuse():
        raise AssertionError("computed")

    return array.from_delayed(dask.delayed(refuse)(), X.shape, X.dtype)


LAZY = {
    "polars": (of_polars, "a polars LazyFrame, which is not in memory.*fit_source"),
    "pyarrow": (of_pyarrow, "a pyarrow Dataset.*from_files"),
    "dask": (of_dask, "a dask Array, which is not in memory.*fit_source.*sgdlinreg.dask.DaskMiniBatchSGDRegressor"),
    "str": (lambda X: "folder", "the path 'folder'.*from_files"),
    "path": (lambda X: pathlib.Path("a.npy"), "the path 'a.npy'.*from_arrays"),
}


@pytest.mark.parametrize("kind", LAZY)
@pytest.mark.parametrize("method", ["fit", "partial_fit", "predict", "score"])
def test_what_is_not_in_memory_is_refused(kind, method):
    X, y, _ = make_problem(0)
    make, message = LAZY[kind]
    lazy = make(X)
    model = MiniBatchSGDRegressor().fit(X, y)
    before = dict(vars(model))
    with pytest.raises(TypeError, match=rf"(?s)^X is {message}"):
        getattr(model, method)(*((lazy,) if method == "predict" else (lazy, y)))
    assert vars(model) == before
    np.testing.assert_array_equal(model.predict(X), MiniBatchSGDRegressor().fit(X, y).predict(X))


@pytest.mark.parametrize("method", ["fit", "predict", "score"])
def test_a_source_is_not_in_memory(method):
    X, y, _ = make_problem(0)
    model = MiniBatchSGDRegressor().fit(X, y)
    arguments = (from_arrays(X, y),) if method == "predict" else (from_arrays(X, y), y)
    with pytest.raises(TypeError, match=r"^X is a ArraySource, .*predict_source or score_source\.$"):
        getattr(model, method)(*arguments)


def test_the_name_of_a_column_is_no_target():
    X, _, _ = make_problem(0)
    with pytest.raises(TypeError, match=r"y is the path 'price'.*pass the column itself"):
        MiniBatchSGDRegressor().fit(X, "price")


def test_targets_that_are_not_in_memory_are_refused():
    X, y, _ = make_problem(0)
    with pytest.raises(TypeError, match=r"^y is a polars LazyFrame"):
        MiniBatchSGDRegressor().fit(X, of_polars(y[:, None]))


@pytest.mark.parametrize("kind", LAZY)
@pytest.mark.parametrize("method", ["fit_source", "score_source", "predict_source"])
def test_a_source_is_no_path_and_no_lazy_frame(kind, method):
    X, y, _ = make_problem(0)
    make, message = LAZY[kind]
    lazy = make(X)
    model = MiniBatchSGDRegressor().fit(X, y)
    before = dict(vars(model))
    with pytest.raises(TypeError, match=rf"(?s)^source is {message}"):
        getattr(model, method)(lazy)
    assert vars(model) == before
