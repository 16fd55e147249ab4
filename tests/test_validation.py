"""Errors at the edge: what was given, what is allowed."""

import numpy as np
import pytest

from sgdlinreg import MiniBatchSGDRegressor

from .helpers import SGD_SOLVERS, make_problem


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
