"""Errors at the edge: what was given, what is allowed."""

import numpy as np
import pytest

from sgdlinreg import MiniBatchSGDRegressor
from sgdlinreg._solvers.closed_form import kept_rows

from ..helpers import ALL_SOLVERS, SGD_SOLVERS, SOLVERS, as_csr, make_problem


@pytest.mark.parametrize("solver", SGD_SOLVERS)
@pytest.mark.parametrize(
    ("start", "message"),
    [
        ({"coef_init": [1.0]}, r"coef_init has shape \(1,\), should be \(1, 7\) or \(7,\)"),
        ({"coef_init": np.zeros((2, 7))}, r"coef_init has shape \(2, 7\)"),
        ({"intercept_init": [1.0, 2.0]}, r"intercept_init has shape \(2,\), should be \(1,\) or a number"),
        ({"coef_init": np.full(7, np.nan)}, "must be finite"),
    ],
)
def test_start(solver, start, message):
    X, y, _ = make_problem(0)
    with pytest.raises(ValueError, match=message):
        MiniBatchSGDRegressor(solver=solver).fit(X, y, **start)


def test_start_of_several_targets():
    X, y, _ = make_problem(0, n_targets=2)
    with pytest.raises(ValueError, match=r"coef_init has shape \(7,\), should be \(2, 7\)"):
        MiniBatchSGDRegressor(solver="numba").fit(X, y, coef_init=np.zeros(7))
    with pytest.raises(ValueError, match=r"intercept_init has shape \(\), should be \(2,\)\."):
        MiniBatchSGDRegressor(solver="numba").fit(X, y, intercept_init=1.0)


def test_start_without_an_intercept():
    X, y, _ = make_problem(0)
    with pytest.raises(ValueError, match="intercept_init is given but fit_intercept=False"):
        MiniBatchSGDRegressor(solver="numba", fit_intercept=False).fit(X, y, intercept_init=1.0)


def test_the_closed_form_has_nothing_to_start_from():
    X, y, _ = make_problem(0)
    with pytest.raises(ValueError, match=r"has no epochs.*solver='numba' or 'torch'"):
        MiniBatchSGDRegressor(solver="normal_equation").fit(X, y, coef_init=np.zeros(7))


def test_another_number_of_targets_in_partial_fit():
    X, y, _ = make_problem(0, n_targets=2)
    model = MiniBatchSGDRegressor().partial_fit(X, y)
    with pytest.raises(ValueError, match="y has 1 targets, but the model was fitted with 2"):
        model.partial_fit(X, y[:, 0])


def test_coefficients_that_float32_cannot_hold():
    X = np.array([[0.0], [1e-20], [2e-20]], dtype=np.float32)
    with pytest.raises(ValueError, match=r"too large for float32\. Pass X as float64"):
        MiniBatchSGDRegressor().fit(X, [0.0, 1e25, 2e25])


def with_value(array, value, dtype=None):
    array = array.astype(dtype) if dtype else array.copy()
    array[(3, 2) if array.ndim == 2 else 3] = value
    return array


def to_float32(array):
    with np.errstate(over="ignore"):
        return array.astype(np.float32)


WRONG = {
    "NaN in X": (lambda X, y, s: (with_value(X, np.nan), y), ValueError, "Input X contains NaN"),
    "NaN in y": (lambda X, y, s: (X, with_value(y, np.nan)), ValueError, "Input y contains NaN"),
    "infinity in X": (lambda X, y, s: (with_value(X, np.inf), y), ValueError, "Input X contains infinity"),
    "infinity in y": (lambda X, y, s: (X, with_value(y, -np.inf)), ValueError, "Input y contains infinity"),
    "infinity in CSR": (lambda X, y, s: (as_csr(with_value(X, np.inf)), y), ValueError, "Input X contains infinity"),
    "overflow to float32": (
        lambda X, y, s: (to_float32(np.where(X > 2, 1e39, X)), y),
        ValueError,
        "Input X contains infinity",
    ),
    "strings": (lambda X, y, s: (X.astype(str).astype(object) + "a", y), ValueError, "holds text"),
    "strings in y": (lambda X, y, s: (X, y.astype(str) + np.array("a")), ValueError, "holds text"),
    "objects": (lambda X, y, s: (with_value(X, {}, object), y), TypeError, "must be a string or a real number"),
    "complex": (lambda X, y, s: (X + 1j, y), ValueError, "Complex data not supported"),
    "no rows": (lambda X, y, s: (X[:0], y[:0]), ValueError, "Found array with 0 sample"),
    "no columns": (lambda X, y, s: (X[:, :0], y), ValueError, r"0 feature\(s\)"),
    "one row of X": (lambda X, y, s: (X[0], y), ValueError, "Expected 2D array, got 1D array"),
    "lengths": (lambda X, y, s: (X, y[:-1]), ValueError, "inconsistent numbers of samples"),
    "three dimensions of y": (lambda X, y, s: (X, y[:, None, None]), ValueError, "dim 3|3 dimensions|dim 3 was"),
    "no y": (lambda X, y, s: (X, None), ValueError, "requires y to be passed"),
    "negative weights": (lambda X, y, s: (X, y, -s), ValueError, "Negative values"),
    "zero weights": (lambda X, y, s: (X, y, 0 * s), ValueError, "zero"),
    "NaN in weights": (lambda X, y, s: (X, y, with_value(s, np.nan)), ValueError, "sample_weight contains NaN"),
    "length of weights": (lambda X, y, s: (X, y, s[:-1]), ValueError, "sample_weight.shape"),
    "dimensions of weights": (lambda X, y, s: (X, y, s[:, None]), ValueError, "must be 1D array or scalar"),
}


@pytest.mark.parametrize("solver", ALL_SOLVERS)
@pytest.mark.parametrize("wrong", WRONG)
def test_wrong_data(solver, wrong):
    make, error, message = WRONG[wrong]
    X, y, weight = make_problem(0)
    model = MiniBatchSGDRegressor(solver=solver, random_state=0).fit(X, y, weight)
    before = dict(vars(model)), model.predict(X)
    arguments = make(X, y, weight)
    with pytest.raises(error, match=message):
        model.fit(*arguments)
    assert vars(model) == before[0]
    np.testing.assert_array_equal(model.predict(X), before[1])
    if wrong in ("no rows", "zero weights"):  # change nothing
        assert not hasattr(MiniBatchSGDRegressor(solver=solver).partial_fit(*arguments), "coef_")
        return
    with pytest.raises(error, match=message):
        MiniBatchSGDRegressor(solver=solver).partial_fit(*arguments)


@pytest.mark.parametrize(
    "parameters",
    [
        {"loss": "poisson"},
        {"solver": "adam"},
        {"penalty": "l0"},
        {"alpha": -1.0},
        {"alpha": "1"},
        {"l1_ratio": 1.5},
        {"epsilon": -0.1},
        {"quantile": 0},
        {"quantile": 1},
        {"quantile": "a"},
        {"fit_intercept": "yes"},
        {"positive": 2},
        {"batch_size": 0},
        {"batch_size": 1.5},
        {"batch_size": "all"},
        {"max_iter": 0},
        {"max_iter": 10.0},
        {"tol": -1.0},
        {"n_iter_no_change": 0},
        {"shuffle": "rows"},
        {"shuffle": "full"},
        {"drop_last": None},
        {"learning_rate": "pa1"},
        {"eta0": 0.0},
        {"eta0": "safe"},
        {"power_t": -0.5},
        {"momentum": 1.0},
        {"nesterovs_momentum": "no"},
        {"average": 0},
        {"average": "tail"},
        {"early_stopping": 3},
        {"validation_fraction": 1.0},
        {"warm_start": "yes"},
        {"device": 0},
        {"random_state": "seed"},
        {"verbose": -1},
    ],
    ids=str,
)
def test_wrong_parameters(parameters):
    X, y, _ = make_problem(1)
    model = MiniBatchSGDRegressor(random_state=0).fit(X, y)
    before = model.predict(X)
    model.set_params(**parameters)
    name = next(iter(parameters))
    for method in (model.fit, model.partial_fit):
        with pytest.raises(ValueError, match=f"The '{name}' parameter of MiniBatchSGDRegressor must be"):
            method(X, y)
    np.testing.assert_array_equal(model.predict(X), before)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"solver": "normal_equation", "loss": "huber"}, "cannot minimise loss='huber'; use solver='numba'"),
        ({"solver": "normal_equation", "loss": "quantile"}, "cannot minimise loss='quantile'; use solver='numba'"),
        ({"solver": "normal_equation", "early_stopping": True}, "has no epochs.*need solver='numba'"),
        ({"learning_rate": "optimal"}, "alpha must be > 0 since learning_rate is 'optimal'"),
        (
            {"penalty": "elasticnet", "l1_ratio": None, "alpha": 1.0},
            "l1_ratio must be set when penalty is 'elasticnet'",
        ),
    ],
)
def test_combinations_that_cannot_work(parameters, message):
    X, y, _ = make_problem(2)
    model = MiniBatchSGDRegressor(random_state=0).fit(X, y)
    before = model.coef_
    with pytest.raises(ValueError, match=message):
        model.set_params(**parameters).fit(X, y)
    assert model.coef_ is before


@pytest.mark.parametrize("penalty", ["l1", "elasticnet"])
def test_a_penalty_without_strength_warns(penalty):
    X, y, _ = make_problem(3)
    with pytest.warns(UserWarning, match=f"penalty='{penalty}' has no effect with alpha=0.0"):
        model = MiniBatchSGDRegressor(penalty=penalty).fit(X, y)
    np.testing.assert_array_equal(model.coef_, MiniBatchSGDRegressor().fit(X, y).coef_)


def test_more_features_than_memory_for_the_closed_form(monkeypatch):
    X, y, _ = make_problem(4)
    monkeypatch.setattr(kept_rows, "_memory_bytes", lambda: 1000.0)
    with pytest.raises(ValueError, match=r"GiB for the moments of 7 features.*Use solver='numba'"):
        MiniBatchSGDRegressor(solver="normal_equation").fit(X, y)
    assert MiniBatchSGDRegressor(solver="numba", random_state=0).fit(X, y).score(X, y) > 0.9


@pytest.mark.parametrize("solver", ALL_SOLVERS)
def test_columns_at_predict(solver):
    pandas = pytest.importorskip("pandas")
    X, y, _ = make_problem(5)
    frame = pandas.DataFrame(X, columns=list("abcdefg"))
    model = MiniBatchSGDRegressor(solver=solver, random_state=0).fit(frame, y)
    for wrong in (frame.rename(columns={"a": "z"}), frame[list("gfedcba")], frame.drop(columns="a")):
        with pytest.raises(ValueError, match=r"feature names should match"):
            model.predict(wrong)
    with pytest.raises(ValueError, match="X has 3 features, but MiniBatchSGDRegressor is expecting 7"):
        MiniBatchSGDRegressor(solver=solver, random_state=0).fit(X, y).predict(X[:, :3])


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("layout", [np.ascontiguousarray, np.asfortranarray, as_csr])
@pytest.mark.parametrize("solver", SOLVERS)
def test_sums_of_large_data_find_what_is_not_finite(solver, layout, dtype, bad):
    X, y, _ = make_problem(16, n_rows=160_000)
    X = X.astype(dtype)
    model = MiniBatchSGDRegressor(solver=solver, random_state=0).fit(X[:1000], y[:1000])
    before = model.predict(X[:100])
    X[31_234, 3] = bad
    with pytest.raises(ValueError, match=f"Input X contains {'NaN' if np.isnan(bad) else 'infinity'}"):
        model.fit(layout(X), y)
    np.testing.assert_array_equal(model.predict(X[:100]), before)


@pytest.mark.parametrize(
    "parameters",
    [
        {"eta0": 0.1, "batch_size": 1000, "drop_last": True},
        {"early_stopping": True, "batch_size": 1000},
        {"loss": "epsilon_insensitive"},
        {"shuffle": False, "batch_size": "full"},
    ],
    ids=str,
)
def test_what_is_not_finite_in_rows_that_may_not_be_read(parameters):
    X, y, _ = make_problem(16, n_rows=160_001)
    X[-1, 3] = np.nan
    with pytest.raises(ValueError, match="Input X contains NaN"):
        MiniBatchSGDRegressor(solver="numba", random_state=0, max_iter=2, tol=None, **parameters).fit(X, y)
