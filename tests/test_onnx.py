"""Models in ONNX, run by onnxruntime."""

import sys

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

import sgdlinreg.onnx
from sgdlinreg import MiniBatchSGDRegressor
from sgdlinreg.datasets import make_sensor_readings

from .helpers import SOLVERS, make_problem

skl2onnx = pytest.importorskip("skl2onnx")
onnxruntime = pytest.importorskip("onnxruntime")
from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType, StringTensorType  # noqa: E402

RTOL = {np.dtype(np.float32): 1e-6, np.dtype(np.float64): 1e-12}


@pytest.fixture(autouse=True)
def registered():
    sgdlinreg.onnx.register()


def predictions_of(onnx_model, feed):
    return onnxruntime.InferenceSession(onnx_model.SerializeToString()).run(None, feed)[0]


def assert_equal(found, expected):
    assert found.dtype == expected.dtype
    assert found.shape == (len(expected), expected[0].size)
    np.testing.assert_allclose(found.reshape(expected.shape), expected, rtol=RTOL[found.dtype])


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n_targets", [1, 3])
@pytest.mark.parametrize("fit_intercept", [True, False])
def test_predictions_are_those_of_the_model(solver, dtype, n_targets, fit_intercept):
    X, y, _ = make_problem(0, n_targets=n_targets)
    X = X.astype(dtype)
    model = MiniBatchSGDRegressor(solver=solver, fit_intercept=fit_intercept, random_state=0).fit(X, y)
    assert_equal(predictions_of(skl2onnx.to_onnx(model, X[:1]), {"X": X}), model.predict(X))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(-1,), (-1, 1)])
def test_raw_units_keep_their_digits(dtype, shape):
    X, y, *_ = make_sensor_readings(2000, random_state=0)
    X = X.astype(dtype)
    model = MiniBatchSGDRegressor().fit(X, y.reshape(shape))
    assert_equal(predictions_of(skl2onnx.to_onnx(model, X[:1]), {"X": X}), model.predict(X))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n_targets", [1, 2])
def test_in_a_pipeline(dtype, n_targets):
    X, y, _ = make_problem(1, n_targets=n_targets)
    X, y = X.astype(dtype), y + 100.0
    model = make_pipeline(StandardScaler(), MiniBatchSGDRegressor()).fit(X, y)
    assert_equal(predictions_of(skl2onnx.to_onnx(model, X[:1]), {"X": X}), model.predict(X))


@pytest.mark.parametrize(("dtype", "kind"), [(np.float32, FloatTensorType), (np.float64, DoubleTensorType)])
def test_behind_a_column_transformer(dtype, kind):
    X, y, _ = make_problem(2, n_features=2)
    frame = pd.DataFrame(X.astype(dtype), columns=["a", "b"])
    frame["level"] = np.random.default_rng(0).choice(["low", "middle", "high"], len(y))
    columns = ColumnTransformer(
        [
            ("numbers", StandardScaler(), ["a", "b"]),
            ("levels", OneHotEncoder(drop="first", sparse_output=False, dtype=dtype), ["level"]),
        ]
    )
    model = make_pipeline(columns, MiniBatchSGDRegressor()).fit(frame, y + 100.0)
    inputs = [("a", kind([None, 1])), ("b", kind([None, 1])), ("level", StringTensorType([None, 1]))]
    converted = skl2onnx.convert_sklearn(model, initial_types=inputs)
    feed = {name: frame[[name]].to_numpy() for name in frame}
    assert_equal(predictions_of(converted, feed), model.predict(frame))


def test_integers_give_float32_as_other_regressors_do():
    X, y, _ = make_problem(3)
    X = (100.0 * X).astype(np.int64)
    model = MiniBatchSGDRegressor().fit(X, y)
    found = predictions_of(skl2onnx.to_onnx(model, X[:1]), {"X": X})
    assert_equal(found, model.predict(X).astype(np.float32))


def test_registering_twice_changes_nothing():
    X, y, _ = make_problem(4)
    model = MiniBatchSGDRegressor().fit(X, y)
    once = skl2onnx.to_onnx(model, X[:1]).SerializeToString()
    sgdlinreg.onnx.register()
    assert skl2onnx.to_onnx(model, X[:1]).SerializeToString() == once


def test_a_model_that_is_not_fitted():
    with pytest.raises(NotFittedError):
        skl2onnx.to_onnx(MiniBatchSGDRegressor(), np.zeros((1, 2)))


def test_without_skl2onnx(monkeypatch):
    monkeypatch.setitem(sys.modules, "skl2onnx", None)
    with pytest.raises(ImportError, match=r"register needs 'skl2onnx'.*pip install 'sgdlinreg\[onnx\]'"):
        sgdlinreg.onnx.register()
