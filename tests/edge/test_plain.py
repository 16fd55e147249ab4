"""What a file of a model holds: how much, of which types, and that the model comes back."""

import copy
import pickle

import joblib
import numpy as np
import pytest

from sgdlinreg import MiniBatchSGDRegressor
from sgdlinreg._edge.plain import from_plain, to_plain

from ..helpers import SOLVERS, as_csr, make_problem, run_without

PLAIN = np.ndarray | np.generic | int | float | str | bool


def leaves_of(value):
    if isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from leaves_of(part)
    else:
        yield value


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
@pytest.mark.parametrize("convert", [np.asarray, as_csr])
def test_files_hold_plain_values_alone_and_models_come_back(solver, method, convert):
    X, y, weight = make_problem(0, n_targets=2)
    model = getattr(MiniBatchSGDRegressor(solver=solver, random_state=0), method)(convert(X), y, weight)
    for name in ("_state", "_inference"):
        for leaf in leaves_of(model.__getstate__()[name]):
            assert leaf is None or isinstance(leaf, PLAIN) or type(leaf).__module__.startswith("scipy.sparse")
    for back in (pickle.loads(pickle.dumps(model)), copy.deepcopy(model)):
        np.testing.assert_array_equal(back.predict(X), model.predict(X))
        if method == "partial_fit" or solver == "normal_equation":
            again = pickle.loads(pickle.dumps(back))
            again.partial_fit(convert(X), y, weight)
            original = copy.deepcopy(model).partial_fit(convert(X), y, weight)
            np.testing.assert_array_equal(again.coef_, original.coef_)


def test_conversion_is_undone():
    X, y, _ = make_problem(1, n_rows=4)
    state = MiniBatchSGDRegressor().partial_fit(X, y)._state
    back = from_plain(to_plain(state))
    assert type(back) is type(state)
    np.testing.assert_array_equal(back.block.X, state.block.X)
    assert from_plain(to_plain("a reason")) == "a reason"


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize(("n_rows", "n_features"), [(2000, 5), (2000, 256), (600, 400), (400, 3000)])
@pytest.mark.parametrize("n_targets", [1, 3])
def test_a_fitted_model_is_small(solver, n_rows, n_features, n_targets):
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((n_rows, n_features)), rng.standard_normal((n_rows, n_targets))
    model = MiniBatchSGDRegressor(solver=solver, random_state=0).fit(X, y)
    bound = 16 * n_targets * n_features + 4096
    if hasattr(model, "coef_std_error_"):
        bound = 16 * (n_features + n_targets) ** 2 + 4096
    assert len(pickle.dumps(model)) <= bound


def set_by_hand(model):
    model.coef_ = np.array(model.coef_) + 1.0
    return model


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("n_targets", [0, 1, 3])
@pytest.mark.parametrize("kind", ["fit", "partial_fit", "partial_fit of few rows", "fit of CSR", "set by hand"])
def test_skops_asks_to_trust_the_estimator_alone(solver, n_targets, kind):
    io = pytest.importorskip("skops.io")
    X, y, _ = make_problem(2, n_targets=3)
    y = y[:, :n_targets] if n_targets else y[:, 0]
    rows = slice(4) if "few rows" in kind else slice(None)
    method = "partial_fit" if "partial_fit" in kind else "fit"
    X = as_csr(X) if "CSR" in kind else X
    model = getattr(MiniBatchSGDRegressor(solver=solver, random_state=0), method)(X[rows], y[rows])
    model = set_by_hand(model) if kind == "set by hand" else model
    data = io.dumps(model)
    unknown = io.get_untrusted_types(data=data)
    assert unknown == ["sgdlinreg._estimator.MiniBatchSGDRegressor"]
    back = io.loads(data, trusted=unknown)
    np.testing.assert_array_equal(back.predict(X), model.predict(X))
    assert back.predict(X).shape == y.shape
    assert back.get_params() == model.get_params()
    if method == "partial_fit":
        np.testing.assert_array_equal(back.partial_fit(X, y).coef_, model.partial_fit(X, y).coef_)
    elif solver == "normal_equation":
        np.testing.assert_array_equal(back.coef_std_error_, model.coef_std_error_)


@pytest.mark.parametrize("solver", SOLVERS)
def test_joblib_files_come_back_memory_mapped_too(solver, tmp_path):
    X, y, _ = make_problem(4, n_targets=2)
    model = MiniBatchSGDRegressor(solver=solver, random_state=0).partial_fit(X, y)
    expected = copy.deepcopy(model).partial_fit(X, y)
    joblib.dump(model, tmp_path / "model.joblib")
    for mmap_mode in (None, "r"):
        back = joblib.load(tmp_path / "model.joblib", mmap_mode=mmap_mode)
        np.testing.assert_array_equal(back.predict(X), model.predict(X))
        np.testing.assert_array_equal(back.partial_fit(X, y).coef_, expected.coef_)


def test_models_of_steps_load_without_numba_and_torch(tmp_path):
    X, y, _ = make_problem(3)
    model = MiniBatchSGDRegressor(solver="numba", random_state=0).partial_fit(X, y)
    (tmp_path / "model.pkl").write_bytes(pickle.dumps(model))
    np.save(tmp_path / "X.npy", X)
    code = f"""
import pickle, numpy as np
X = np.load({str(tmp_path / "X.npy")!r})
model = pickle.load(open({str(tmp_path / "model.pkl")!r}, "rb"))
print(model.predict(X)[0].item())
"""
    assert float(run_without(["numba", "llvmlite", "torch"], code)) == model.predict(X)[0]
