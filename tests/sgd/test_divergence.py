"""When a fit has diverged, and what the user is told."""

import re

import numpy as np
import pytest

from sgdlinreg import MiniBatchSGDRegressor
from sgdlinreg._solvers.sgd.epoch import Epoch
from sgdlinreg.datasets import make_linear

from ..helpers import SGD_SOLVERS, as_csr, make_problem


@pytest.mark.parametrize("solver", SGD_SOLVERS)
@pytest.mark.parametrize(("eta0", "max_iter"), [(1e3, 3), (1e3, 1), (10.0, 100), (1e9, 1000)])
def test_diverging_steps_are_an_error_with_advice(solver, eta0, max_iter):
    X, y = make_linear(1000, random_state=0)
    model = MiniBatchSGDRegressor(solver=solver, eta0=eta0, batch_size=10, max_iter=max_iter, random_state=0)
    with pytest.raises(ValueError, match=r"SGD would diverge from the first step on.*eta0='auto'") as caught:
        model.fit(X, y)
    stable = float(re.search(r"0 < eta0 <= ([\d.e+-]+),", str(caught.value))[1])
    model.set_params(eta0=stable, max_iter=100).fit(X, y)
    assert model.score(X, y) > 0.999
    with pytest.raises(ValueError, match=r"SGD (diverged|would diverge)"):
        model.set_params(eta0=20 * stable).fit(X, y)


@pytest.mark.parametrize("solver", SGD_SOLVERS)
def test_where_squares_overflow_no_step_is_called_stable(solver):
    X, y = make_linear(100, random_state=0)
    with pytest.raises(
        ValueError, match=r"Squares of X overflow, so that no eta0 can be called stable; got eta0=0.01. Rescale X."
    ):
        MiniBatchSGDRegressor(solver=solver, eta0=0.01, random_state=0).fit(X * 1e160, y)


def test_the_numbers_can_still_be_finite():
    X, y = make_linear(100, random_state=0)
    model = MiniBatchSGDRegressor(solver="numba", eta0=1e3, learning_rate="adaptive", batch_size="full", max_iter=3)
    with pytest.raises(ValueError, match=r"epoch 2 is \d\.\d+e\+\d+, above 6\.\d+, that of the constant model"):
        model.fit(X, y)


@pytest.mark.parametrize("solver", SGD_SOLVERS)
def test_raw_units_diverge_with_a_fixed_step_and_not_with_auto(solver):
    X, y, _ = make_problem(0)
    X = X * 1e3
    with pytest.raises(ValueError, match=r"SGD (diverged|would diverge)"):
        MiniBatchSGDRegressor(solver=solver, eta0=0.01, random_state=0).fit(X, y)
    assert MiniBatchSGDRegressor(solver=solver, random_state=0).fit(X, y).score(X, y) > 0.9


@pytest.mark.parametrize("solver", SGD_SOLVERS)
@pytest.mark.parametrize("seed", range(5))
def test_noise_is_no_divergence(solver, seed):
    rng = np.random.default_rng(seed)
    X, y = rng.standard_normal((200, 10)), rng.standard_normal(200)
    for eta0 in ("auto", 0.01):
        model = MiniBatchSGDRegressor(solver=solver, eta0=eta0, random_state=seed).fit(X, y)
        assert model.score(X, y) >= -0.01


@pytest.mark.parametrize("solver", SGD_SOLVERS)
def test_slow_steps_are_no_divergence(solver):
    X, y = make_linear(1000, random_state=0)
    model = MiniBatchSGDRegressor(solver=solver, eta0=1e-6, max_iter=3, tol=None, random_state=0)
    with pytest.warns(UserWarning, match="worse than the best constant"):
        model.fit(X, y)
    assert np.all(np.diff(model.loss_curve_) < 0)


def test_values_whose_squares_overflow():
    X, y, _ = make_problem(6)
    X[:, 2] *= 1e180
    with pytest.raises(ValueError, match="squares of column 2 of X overflow"):
        MiniBatchSGDRegressor(solver="numba").fit(X, y)


@pytest.mark.parametrize("solver", SGD_SOLVERS)
@pytest.mark.parametrize("sparse", [False, True])
def test_a_step_beyond_the_stable_range_is_told_before_the_first_epoch(monkeypatch, solver, sparse):
    X, y, weight = make_problem(6, n_rows=2000, weighted=True)
    rows = np.column_stack([X, np.ones(len(X))])
    curvature = np.linalg.eigvalsh((rows * weight[:, None]).T @ rows / weight.sum())[-1]
    X = as_csr(X) if sparse else X
    epochs = []
    monkeypatch.setattr(Epoch, "run", lambda *args: epochs.append(1))
    for momentum in (0.0, 0.9):
        model = MiniBatchSGDRegressor(solver=solver, momentum=momentum, eta0=2.2 * (1 + momentum) / curvature)
        before = vars(model).copy()
        with pytest.raises(ValueError, match="would diverge from the first step on"):
            model.fit(X, y, weight)
        assert vars(model) == before
    assert not epochs
    monkeypatch.undo()
    model = MiniBatchSGDRegressor(solver=solver, eta0=1.9 / curvature, batch_size="full", max_iter=2000)
    assert model.fit(X, y, weight).score(X, y, weight) > 0.9
