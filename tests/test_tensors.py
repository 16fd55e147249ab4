"""Torch tensors: on a device they are summed up where they are. The CPU stands in for a device."""

import numpy as np
import pytest

from sgdlinreg import MiniBatchSGDRegressor, _prediction, _validation
from sgdlinreg._arrays import is_tensor

from .helpers import make_problem, needs_torch

pytestmark = needs_torch


@pytest.fixture
def tensor(monkeypatch):
    import torch

    monkeypatch.setattr(_validation, "is_on_device", is_tensor)
    return torch.tensor


@pytest.mark.parametrize("case", ["plain", "weighted", "ridge", "collinear", "dependent", "wide", "no intercept"])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("n_rows", [200, 30_000])
def test_the_closed_form_is_that_of_arrays(tensor, case, dtype, n_rows):
    X, y, weight = make_problem(0, n_rows=5 if case == "wide" else n_rows, n_targets=2)
    weight = weight if case == "weighted" else None
    if case == "collinear":
        X[:, 1] = X[:, 0] + 1e-3 * X[:, 1]
    if case == "dependent":
        X[:, 1] = 2.0 * X[:, 0]
    X = X.astype(dtype)
    model = MiniBatchSGDRegressor(alpha=0.1 * (case == "ridge"), fit_intercept=case != "no intercept")
    arrays = model.fit(X, y, weight)
    expected, std, path = arrays.predict(X), None, (arrays.factorization_, arrays.n_refinements_, arrays.rank_)
    if hasattr(arrays, "residual_std_"):
        std = arrays.predict(X, return_std=True)[1]
    tensors = model.fit(tensor(X), tensor(y), None if weight is None else tensor(weight))
    assert isinstance(tensors.coef_, np.ndarray)
    assert tensors.coef_.dtype == dtype
    assert (tensors.factorization_, tensors.n_refinements_, tensors.rank_) == path
    rtol = 1e-10 if dtype == np.float64 else 1e-5
    found = tensors.predict(tensor(X))
    assert found.dtype == tensor(X).dtype
    np.testing.assert_allclose(found.numpy(), expected, rtol=rtol, atol=rtol)
    if std is not None:
        np.testing.assert_allclose(tensors.predict(tensor(X), return_std=True)[1].numpy(), std, rtol=rtol)


def test_blocks_of_tensors(tensor):
    X, y, weight = make_problem(1)
    whole = MiniBatchSGDRegressor().fit(X, y, weight)
    cut = [(tensor(X[rows]), tensor(y[rows]), tensor(weight[rows])) for rows in np.array_split(np.arange(301), 7)]
    streamed = MiniBatchSGDRegressor()
    for block in cut:
        streamed.partial_fit(*block)
    for model in (streamed, MiniBatchSGDRegressor().fit_source(cut)):
        np.testing.assert_allclose(model.coef_, whole.coef_, rtol=1e-12)


@pytest.mark.parametrize("solver", ["numba", "torch"])
def test_sgd_takes_them_through_the_memory_of_the_cpu(tensor, solver):
    X, y, _ = make_problem(2)
    model = MiniBatchSGDRegressor(solver=solver, random_state=0)
    expected = model.fit(X, y).coef_
    np.testing.assert_array_equal(model.fit(tensor(X), tensor(y)).coef_, expected)


def test_other_types(tensor):
    X, y, _ = make_problem(3)
    whole = np.round(4 * X)
    model = MiniBatchSGDRegressor().fit(tensor(whole.astype(np.int64)), y)
    np.testing.assert_array_equal(model.coef_, MiniBatchSGDRegressor().fit(whole, y).coef_)
    half = X.astype(np.float16)
    assert MiniBatchSGDRegressor().fit(tensor(half), y).coef_.dtype == np.float32


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda X: X[0], "Expected 2D array, got 1D tensor"),
        (lambda X: X[:0], "a minimum of 1 row and 1 column is required"),
        (lambda X: X * float("nan"), "Input X contains NaN or infinity"),
        (lambda X: X * 1j, "Complex data not supported"),
        (lambda X: X[:5], "inconsistent numbers of samples"),
    ],
)
def test_wrong_tensors(tensor, change, message):
    X, y, _ = make_problem(4)
    model = MiniBatchSGDRegressor().fit(tensor(X), y)
    before = model.predict(X)
    with pytest.raises(ValueError, match=message):
        model.fit(change(tensor(X)), y)
    with pytest.raises(ValueError, match="X has 6 features, but MiniBatchSGDRegressor is expecting 7"):
        model.predict(tensor(X[:, :6]))
    np.testing.assert_array_equal(model.predict(X), before)


def test_predictions_never_share_memory():
    import torch

    rows = torch.ones((2, 1))
    assert _prediction.predict_rows(rows, np.array([1.0]), 0.0).data_ptr() != rows.data_ptr()
