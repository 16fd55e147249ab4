"""scikit-learn's array API dispatch: everything follows X. Runs with SCIPY_ARRAY_API=1."""

import os
import pickle

import numpy as np
import pytest
from sklearn import config_context
from sklearn.base import clone
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import _array_api, estimator_checks

from sgdlinreg import MiniBatchSGDRegressor
from sgdlinreg._edge import namespaces as _namespaces

from ..helpers import ALL_SOLVERS, SOLVERS, make_problem, needs_torch

if not _namespaces.CAN_DISPATCH:
    pytest.skip("scikit-learn has the tools for it from 1.9 on", allow_module_level=True)
array_api_strict = pytest.importorskip("array_api_strict")
pytestmark = pytest.mark.skipif(not os.environ.get("SCIPY_ARRAY_API"), reason="SCIPY_ARRAY_API is not set")

KINDS = ["array_api_strict", pytest.param("torch", marks=needs_torch)]


@pytest.fixture
def dispatch():
    with config_context(array_api_dispatch=True):
        yield


def make_array(kind):
    """Give a function that makes arrays of a namespace, on a device that is not its first one where there is one."""
    if kind == "torch":
        import torch

        return torch.asarray
    return lambda array: array_api_strict.asarray(array, device=array_api_strict.Device("device1"))


def to_numpy(array):
    return _array_api.move_to(array, xp=np, device="cpu")


def assert_like(array, X):
    assert type(array) is type(X)
    assert array.device == X.device


@pytest.mark.parametrize("solver", ALL_SOLVERS)
@pytest.mark.parametrize(
    ("namespace", "device", "dtype"), list(_array_api.yield_namespace_device_dtype_combinations()), ids=str
)
def test_values_are_those_of_numpy(solver, namespace, device, dtype):
    model = MiniBatchSGDRegressor(solver=solver, random_state=0)
    estimator_checks.check_array_api_input_and_values(
        "MiniBatchSGDRegressor", model, namespace, device, dtype, check_sample_weight=True
    )


@pytest.mark.parametrize("solver", ALL_SOLVERS)
@pytest.mark.parametrize("case", list(_array_api.yield_mixed_namespace_input_permutations()), ids=lambda case: case[2])
def test_y_and_weights_follow_x(solver, case):
    other, of_X, _ = case
    model = MiniBatchSGDRegressor(solver=solver, random_state=0)
    estimator_checks.check_array_api_mixed_inputs("MiniBatchSGDRegressor", model, of_X, other, check_values=True)


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n_targets", [1, 2])
def test_all_attributes_follow_x(dispatch, solver, kind, n_targets):
    X, y, weight = make_problem(0, n_targets=n_targets)
    there = make_array(kind)
    model = MiniBatchSGDRegressor(solver=solver, random_state=0)
    expected = clone(model).fit(X, y, weight)
    model.fit(there(X), there(y), there(weight))
    names = ["coef_", "intercept_"]
    if solver == "normal_equation":
        names += ["residual_std_", "coef_std_error_", "intercept_std_error_", "coef_covariance_"]
    for name in names:
        assert_like(getattr(model, name), there(X))
        np.testing.assert_array_equal(to_numpy(getattr(model, name)), getattr(expected, name))
    if solver == "normal_equation":
        for found, of_arrays in zip(
            model.predict(there(X), return_std=True), expected.predict(X, return_std=True), strict=True
        ):
            assert_like(found, there(X))
            np.testing.assert_array_equal(to_numpy(found), of_arrays)


@pytest.mark.parametrize("kind", KINDS)
def test_intervals_follow_x_and_summaries_are_of_numpy(dispatch, kind):
    X, y, weight = make_problem(3)
    there, groups = make_array(kind), np.arange(301) % 9
    model, expected = (
        MiniBatchSGDRegressor().fit(*rows) for rows in ((there(X), there(y), there(weight)), (X, y, weight))
    )
    for found, bound in zip(model.predict_interval(there(X)), expected.predict_interval(X), strict=True):
        assert_like(found, there(X))
        np.testing.assert_allclose(to_numpy(found), bound, rtol=1e-14)
    summary = model.summary(
        there(X), there(y), sample_weight=there(weight), cov_type="cluster", groups=there(groups * 1.0)
    )
    of_arrays = expected.summary(X, y, sample_weight=weight, cov_type="cluster", groups=groups)
    assert isinstance(summary.coef, np.ndarray)
    np.testing.assert_allclose(summary.std_error, of_arrays.std_error, rtol=1e-14)


@needs_torch
@pytest.mark.parametrize("solver", ["normal_equation", "torch"])
def test_arrays_on_a_gpu_become_tensors_by_dlpack(dispatch, solver, monkeypatch):
    """What CuPy arrays go through, with DLPack's number of the CPU for that of CUDA."""
    import torch

    monkeypatch.setattr(_namespaces, "DLPACK_GPUS", frozenset({1}))
    monkeypatch.setattr("sgdlinreg._core.arrays.HOST_DEVICES", frozenset())
    X, y, weight = make_problem(1, n_targets=2)
    there = array_api_strict.asarray
    rows = there(X)
    shared = _namespaces.local(rows)
    assert isinstance(shared, torch.Tensor)
    assert shared.data_ptr() == np.asarray(rows).ctypes.data
    options = {"tol": None, "max_iter": 5} if solver == "torch" else {}
    model = MiniBatchSGDRegressor(solver=solver, random_state=0, **options)
    expected = clone(model).fit(X, y, weight)
    model.fit(rows, there(y), there(weight))
    assert_like(model.coef_, rows)
    np.testing.assert_allclose(to_numpy(model.coef_), expected.coef_, rtol=1e-10)
    assert_like(model.predict(rows), rows)
    np.testing.assert_allclose(to_numpy(model.predict(rows)), expected.predict(X), rtol=1e-10)
    assert model.score(rows, there(y)) == pytest.approx(expected.score(X, y), abs=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_predict_in_another_namespace_is_an_error(dispatch, kind):
    X, y, _ = make_problem(2)
    there = make_array(kind)
    message = "must use the same namespace and the same device as those passed to fit"
    model = MiniBatchSGDRegressor().fit(there(X), there(y))
    with pytest.raises(ValueError, match=message):
        model.predict(X)
    with pytest.raises(ValueError, match=message):
        model.score(X, y)
    with pytest.raises(ValueError, match=message):
        MiniBatchSGDRegressor().fit(X, y).predict(there(X))
    if kind == "array_api_strict":
        with pytest.raises(ValueError, match=r"Devices used during fit .* differ"):
            model.predict(array_api_strict.asarray(X))


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_model_moves_to_numpy_and_back(dispatch, solver, kind):
    X, y, _ = make_problem(3)
    there = make_array(kind)
    model = MiniBatchSGDRegressor(solver=solver, random_state=0).fit(there(X), there(y))
    moved = _array_api.move_estimator_to(model, np, "cpu")
    assert isinstance(moved.coef_, np.ndarray)
    assert isinstance(moved.intercept_, np.float64)
    np.testing.assert_array_equal(moved.predict(X), to_numpy(model.predict(there(X))))
    assert_like(model.coef_, there(X))
    xp, _, device = _array_api.get_namespace_and_device(there(X))
    back = _array_api.move_estimator_to(moved, xp, device)
    assert_like(back.coef_, there(X))
    assert_like(back.intercept_, there(X))
    np.testing.assert_array_equal(to_numpy(back.predict(there(X))), moved.predict(X))
    assert back.partial_fit(there(X), there(y)).n_samples_seen_ == 602
    assert moved.n_samples_seen_ == 301
    with config_context(array_api_dispatch=False):
        np.testing.assert_array_equal(pickle.loads(pickle.dumps(moved)).predict(X), moved.predict(X))
    assert not hasattr(_array_api.move_estimator_to(clone(model), np, "cpu"), "coef_")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n_targets", [1, 2])
def test_a_linear_regression_of_the_model_is_of_numpy(dispatch, kind, n_targets):
    X, y, _ = make_problem(9, n_targets=n_targets)
    there = make_array(kind)
    model = MiniBatchSGDRegressor().fit(there(X), there(y))
    plain = model.to_sklearn()
    assert_like(model.coef_, there(X))
    assert type(plain.coef_) is np.ndarray
    assert type(plain.intercept_) is (np.float64 if n_targets == 1 else np.ndarray)
    np.testing.assert_allclose(plain.predict(X), to_numpy(model.predict(there(X))), rtol=1e-12)


def test_a_model_of_a_data_frame_moves(dispatch):
    pandas = pytest.importorskip("pandas")
    X, y, _ = make_problem(4)
    frame = pandas.DataFrame(X, columns=list("abcdefg"))
    model = MiniBatchSGDRegressor().fit(frame, y)
    xp, _, device = _array_api.get_namespace_and_device(array_api_strict.asarray(X))
    moved = _array_api.move_estimator_to(model, xp, device)
    assert list(moved.feature_names_in_) == list("abcdefg")
    np.testing.assert_array_equal(to_numpy(moved.coef_), model.coef_)


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.filterwarnings("ignore:invalid value encountered in divide")  # StandardScaler's, of namespaces but NumPy
def test_a_pipeline_stays_in_the_namespace(dispatch, solver, kind):
    X, y, _ = make_problem(5)
    there = make_array(kind)
    options = {} if solver == "normal_equation" else {"tol": None, "max_iter": 5}
    pipeline = make_pipeline(StandardScaler(), MiniBatchSGDRegressor(solver=solver, random_state=0, **options))
    expected = clone(pipeline).fit(X, y)
    pipeline.fit(there(X), there(y))
    assert_like(pipeline.predict(there(X)), there(X))
    np.testing.assert_allclose(to_numpy(pipeline.predict(there(X))), expected.predict(X), rtol=1e-10)
    assert pipeline.score(there(X), there(y)) == pytest.approx(expected.score(X, y), abs=1e-12)
    moved = _array_api.move_estimator_to(pipeline, np, "cpu")
    np.testing.assert_allclose(moved.predict(X), expected.predict(X), rtol=1e-10)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("solver", SOLVERS)
def test_partial_fit_and_warm_start_follow_x(dispatch, kind, solver):
    X, y, weight = make_problem(6, n_targets=2)
    there = make_array(kind)
    model = MiniBatchSGDRegressor(solver=solver, random_state=0)
    here = clone(model)
    for rows in np.array_split(np.arange(301), 3):
        model.partial_fit(there(X[rows]), there(y[rows]), there(weight[rows]))
        here.partial_fit(X[rows], y[rows], weight[rows])
    assert_like(model.coef_, there(X))
    np.testing.assert_array_equal(to_numpy(model.coef_), here.coef_)
    if solver != "normal_equation":
        model.set_params(warm_start=True).fit(there(X), there(y))
        here.set_params(warm_start=True).fit(X, y)
        np.testing.assert_array_equal(to_numpy(model.coef_), here.coef_)
        start = {"coef_init": there(here.coef_), "intercept_init": there(here.intercept_)}
        model.fit(there(X), there(y), **start, X_val=there(X), y_val=there(y))
        here.fit(X, y, coef_init=here.coef_, intercept_init=here.intercept_, X_val=X, y_val=y)
        np.testing.assert_array_equal(to_numpy(model.coef_), here.coef_)
        assert model.validation_scores_ == here.validation_scores_


@needs_torch
def test_a_model_of_tensors_without_dispatch():
    import torch

    X, y, _ = make_problem(7)
    with config_context(array_api_dispatch=True):
        model = MiniBatchSGDRegressor().fit(torch.asarray(X), torch.asarray(y))
    expected = MiniBatchSGDRegressor().fit(X, y)
    again = pickle.loads(pickle.dumps(model))
    assert isinstance(again.coef_, torch.Tensor)
    np.testing.assert_array_equal(again.predict(X), expected.predict(X))
    np.testing.assert_array_equal(again.predict(torch.asarray(X)).numpy(), expected.predict(X))
    assert again.score(torch.asarray(X), y) == expected.score(X, y)


@needs_torch
def test_an_older_scikit_learn_has_no_dispatch(dispatch, monkeypatch):
    import torch

    monkeypatch.setattr(_namespaces, "CAN_DISPATCH", False)
    X, y, _ = make_problem(7)
    expected = MiniBatchSGDRegressor().fit(X, y)
    model = MiniBatchSGDRegressor().fit(torch.asarray(X), torch.asarray(y))
    np.testing.assert_array_equal(model.coef_, expected.coef_)
    np.testing.assert_array_equal(model.predict(torch.asarray(X)).numpy(), expected.predict(X))
    assert model.score(torch.asarray(X), torch.asarray(y)) == expected.score(X, y)


@needs_torch
def test_cross_validation_of_tensors(dispatch):
    import torch

    X, y, _ = make_problem(8)
    scores = cross_val_score(MiniBatchSGDRegressor(), torch.asarray(X), torch.asarray(y))
    np.testing.assert_allclose(scores, cross_val_score(MiniBatchSGDRegressor(), X, y), rtol=1e-12)


def test_data_without_a_namespace_are_as_ever(dispatch):
    pandas = pytest.importorskip("pandas")
    from scipy import sparse

    X, y, _ = make_problem(9)
    expected = MiniBatchSGDRegressor().fit(X, y)
    for form in (X.tolist(), pandas.DataFrame(X), sparse.csr_array(X)):
        model = MiniBatchSGDRegressor().fit(form, pandas.Series(y))
        assert isinstance(model.coef_, np.ndarray)
        np.testing.assert_allclose(model.predict(form), expected.predict(X), rtol=1e-12)


@pytest.mark.parametrize("solver", ALL_SOLVERS)
def test_the_tag(solver):
    tags = MiniBatchSGDRegressor(solver=solver).__sklearn_tags__()
    assert tags.array_api_support == (solver != "numba")
