"""The model as a LinearRegression: its predictions, its attributes, and that it needs nothing of ours."""

import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LinearRegression
from sklearn.utils._testing import assert_allclose

from sgdlinreg import MiniBatchSGDRegressor

from ..helpers import SOLVERS, as_csr, make_problem, run_without


def shapes_of_y(y):
    return {"one target": y[:, 0], "(n, 1)": y[:, :1], "three targets": y}


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("shape", ["one target", "(n, 1)", "three targets"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("convert", [np.asarray, as_csr])
def test_predictions_and_shapes_are_those_of_the_model(solver, shape, dtype, convert):
    X, y, _ = make_problem(0, n_targets=3)
    X, y = convert(X.astype(dtype)), shapes_of_y(y)[shape]
    model = MiniBatchSGDRegressor(solver=solver, random_state=0).fit(X, y)
    plain = model.to_sklearn()
    assert type(plain) is LinearRegression
    reference = LinearRegression().fit(X, y)
    assert plain.coef_.shape == reference.coef_.shape
    assert np.shape(plain.intercept_) == np.shape(reference.intercept_)
    rtol = 4 * np.finfo(dtype).eps
    assert_allclose(plain.predict(X), model.predict(X), rtol=rtol, atol=rtol * np.abs(y).max())
    assert plain.score(X, y) == pytest.approx(model.score(X, y), rel=1e-6)


def test_float32_keeps_the_digits_of_offsets():
    rng = np.random.default_rng(1)
    X = (1e6 + rng.integers(0, 1000, (200, 3))).astype(np.float32)
    y = X.astype(np.float64) @ [1.0, -2.0, 0.5] + rng.standard_normal(200)
    model = MiniBatchSGDRegressor().fit(X, y)
    assert model.coef_.dtype == np.float32
    assert_allclose(model.to_sklearn().predict(X), model.predict(X), rtol=1e-7)


def test_attributes_and_parameters():
    X, y, _ = make_problem(2)
    frame = pd.DataFrame(X, columns=[f"column {i}" for i in range(X.shape[1])])
    model = MiniBatchSGDRegressor(positive=True, fit_intercept=False).fit(frame, y)
    plain = model.to_sklearn()
    assert plain.positive is True
    assert plain.fit_intercept is False
    assert plain.intercept_ == 0.0
    assert plain.n_features_in_ == X.shape[1]
    assert list(plain.feature_names_in_) == list(frame)
    assert_allclose(plain.predict(frame), model.predict(frame), rtol=1e-14)
    with pytest.raises(ValueError, match="feature names should match"):
        plain.predict(frame.rename(columns={"column 0": "another"}))
    plain.coef_[:] = 0.0
    plain.feature_names_in_[0] = "another"
    assert model.coef_.any()
    assert model.feature_names_in_[0] == "column 0"


def test_coefficients_that_were_set_and_sparse_ones():
    X, y, _ = make_problem(3, n_targets=2)
    by_hand = MiniBatchSGDRegressor()
    by_hand.coef_, by_hand.intercept_ = [1.0, -1.0], 2.0
    plain = by_hand.to_sklearn()
    assert plain.n_features_in_ == 2
    assert_allclose(plain.predict([[3.0, 1.0]]), [4.0])
    for targets in (y, y[:, 0]):
        model = MiniBatchSGDRegressor().fit(X, targets)
        dense = model.predict(X)
        assert_allclose(model.sparsify().to_sklearn().predict(X), dense, rtol=1e-12)


def test_not_fitted():
    with pytest.raises(NotFittedError):
        MiniBatchSGDRegressor().to_sklearn()
    model = MiniBatchSGDRegressor().fit([[0.0], [1.0]], [0.0, 1.0])
    model.intercept_ = None
    with pytest.raises(ValueError, match="coef_ or intercept_ of the model is None"):
        model.to_sklearn()


@pytest.mark.parametrize("solver", SOLVERS)
def test_loads_and_predicts_where_the_package_is_not_installed(solver, tmp_path):
    X, y, _ = make_problem(5, n_targets=2)
    model = MiniBatchSGDRegressor(solver=solver, random_state=0).fit(X, y)
    (tmp_path / "model.pkl").write_bytes(pickle.dumps(model.to_sklearn()))
    np.save(tmp_path / "X.npy", X)
    code = f"""
import pickle, numpy as np
model = pickle.load(open({str(tmp_path / "model.pkl")!r}, "rb"))
np.save({str(tmp_path / "y.npy")!r}, model.predict(np.load({str(tmp_path / "X.npy")!r})))
try:
    import sgdlinreg
except ModuleNotFoundError:
    print("blocked")
"""
    assert run_without(["sgdlinreg", "numba", "torch"], code).strip() == "blocked"
    assert_allclose(np.load(tmp_path / "y.npy"), model.predict(X), rtol=1e-12)
