"""Streams: partial_fit by plain steps, and by the closed form."""

import pickle
import signal
import subprocess
import sys
import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.exceptions import ConvergenceWarning

from sgdlinreg import MiniBatchSGDRegressor

from .helpers import SGD_SOLVERS, as_csr, make_problem, weighted_least_squares


def streamed(X, y, n_blocks, weight=None, **parameters):
    """The model after all blocks, and what the last call warned of."""
    model = MiniBatchSGDRegressor(**({"solver": "numba", "random_state": 0} | parameters))
    for rows in np.array_split(np.arange(len(y)), n_blocks):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            model.partial_fit(X[rows], y[rows], None if weight is None else weight[rows])
        assert all(one.category is ConvergenceWarning for one in caught)
    return model, [str(one.message) for one in caught]


def drifting(n_rows=6000, seed=0):
    """Rows in order of time: levels, spreads and correlations of the features drift, the model does not."""
    rng = np.random.default_rng(seed)
    time = np.linspace(0, 1, n_rows)[:, None]
    common = rng.standard_normal((n_rows, 1))
    X = rng.standard_normal((n_rows, 6)) * (0.05 + time) + time * common + 3 * np.sin(6 * time * np.arange(1, 7))
    X = X * [1, 1e3, 1e-3, 1, 10, 1] + [0, 1e4, 0, 5, 0, -1]
    y = X @ [1.0, 2e-3, -1e3, 0.5, -0.1, 2.0] + rng.standard_normal(n_rows)
    return X, y


def r2_of_least_squares(X, y):
    coef, intercept = weighted_least_squares(X, y)
    return 1.0 - np.square(X @ coef + intercept - y).mean() / y.var()


@pytest.mark.parametrize("n_blocks", [2, 10, 60])
def test_closed_form_is_the_exact_answer_for_a_stream(n_blocks):
    X, y = drifting()
    model, told = streamed(X, y, n_blocks, solver="auto")
    expected, intercept = weighted_least_squares(X, y)
    np.testing.assert_allclose(model.coef_, expected, rtol=1e-8)
    assert model.intercept_ == pytest.approx(intercept, rel=1e-8)
    assert not told


@pytest.mark.parametrize("solver", SGD_SOLVERS)
@pytest.mark.parametrize("convert", [np.asarray, as_csr])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_random_blocks_are_close_to_least_squares(dtype, convert, solver):
    X, y, weight = make_problem(0, n_rows=20_000)
    model, told = streamed(convert(X.astype(dtype)), y, 20, weight, solver=solver)
    expected, intercept = weighted_least_squares(X, y, weight)
    missing = np.average((model.predict(X) - X @ expected - intercept) ** 2, weights=weight) / np.var(y)
    assert missing < 1e-3
    assert not told


@pytest.mark.parametrize("solver", SGD_SOLVERS)
@pytest.mark.parametrize("n_blocks", [2, 10, 60])
@pytest.mark.parametrize("order", ["time", "back", "y", "idle", "outlier"])
def test_model_is_no_worse_than_the_constant_one_or_says_so(order, n_blocks, solver):
    X, y = drifting()
    if order == "back":
        X, y = X[::-1], y[::-1]
    elif order == "y":
        X, y = X[np.argsort(y)], np.sort(y)
    elif order == "idle":
        X[:3000, [2, 5]] = 0.0
    elif order == "outlier":
        X[4000] = X.mean(axis=0) + 1e4 * X.std(axis=0)
        y[4000] = y.mean()
    for stop in (n_blocks // 2, n_blocks):
        seen = slice(0, sum(map(len, np.array_split(np.arange(6000), n_blocks)[:stop])))
        model, told = streamed(X[seen], y[seen], stop, solver=solver)
        assert np.isfinite(model.coef_).all()
        assert model.score(X[seen], y[seen]) > -0.05 or any("worse than the best constant" in one for one in told)


@pytest.mark.parametrize("solver", SGD_SOLVERS)
@pytest.mark.parametrize("scale", [1.0, 1e6])
@pytest.mark.parametrize("first", ["zero", "constant", "nearly constant"])
@pytest.mark.parametrize("sparse", [False, True])
def test_column_that_comes_to_life_later(sparse, first, scale, solver):
    rng = np.random.default_rng(1)
    X = rng.standard_normal((6000, 4))
    idle = {"zero": 0.0, "constant": 5.0, "nearly constant": 5.0 + 1e-6 * rng.standard_normal(1000)}[first]
    X[:1000, 3] = idle
    X[:, 3] *= scale
    y = X[:, :3].sum(axis=1) + 3.0 * X[:, 3] / scale + rng.standard_normal(6000)
    rows = as_csr(X) if sparse else X
    for n_blocks in (2, 6):
        model, told = streamed(rows[:2000], y[:2000], n_blocks, solver=solver)
        best = r2_of_least_squares(X[:2000], y[:2000])
        assert model.score(X[:2000], y[:2000]) > best - 0.05 or told
        model, told = streamed(rows, y, n_blocks, solver=solver)
        assert model.score(X, y) > r2_of_least_squares(X, y) - 0.01 or told
        assert model.score(X, y) > 0.0 or told


def test_several_targets_are_independent():
    X, y, _ = make_problem(3, n_rows=600, n_targets=3)
    together, _ = streamed(X, y, 6)
    for target in range(3):
        alone, _ = streamed(X, y[:, target], 6)
        np.testing.assert_allclose(together.coef_[target], alone.coef_, rtol=1e-9)


@pytest.mark.parametrize("solver", SGD_SOLVERS)
def test_a_model_worse_than_the_constant_one_is_told_by_rows_of_earlier_calls(solver):
    rng = np.random.default_rng(4)
    X = rng.standard_normal((2000, 2))
    y = X @ [1.0, -1.0]
    model = MiniBatchSGDRegressor(solver=solver, eta0=1e-3, random_state=0)
    model.partial_fit(X[:1999], y[:1999], np.ones(1999))
    assert model.score(X, y) > 0.0
    # one row far out moves the model away from all the others
    with pytest.warns(ConvergenceWarning, match="worse than the best constant"):
        model.partial_fit([[30.0, 30.0]], [-2000.0])
    assert model.score(X, y) < 0.0


@pytest.mark.parametrize("solver", SGD_SOLVERS)
def test_a_stream_may_turn_sparse(solver):
    X, y, _ = make_problem(8, n_rows=6000)
    model = MiniBatchSGDRegressor(solver=solver, random_state=0)
    for number, rows in enumerate(np.array_split(np.arange(6000), 12)):
        model.partial_fit(as_csr(X[rows]) if number % 2 else X[rows], y[rows])
    assert r2_of_least_squares(X, y) - model.score(X, y) < 2e-3


@pytest.mark.parametrize("solver", SGD_SOLVERS)
def test_a_stream_goes_on_after_a_fit_from_its_optimum(solver):
    X, y, _ = make_problem(9, n_rows=5000)
    model = MiniBatchSGDRegressor(solver=solver, random_state=0).fit(X[:4000], y[:4000])
    best = r2_of_least_squares(X, y)
    model.partial_fit(X[4000:], y[4000:])
    assert model.n_samples_seen_ == 5000
    assert best - model.score(X, y) < 1e-3


def test_little_is_kept_of_a_stream():
    X, y, _ = make_problem(10, n_rows=40_000)
    model, _ = streamed(X, y, 40)
    state = model._state
    assert state.measured.reservoir is None
    assert len(state.seen.random.y) == 512
    numbers = state.seen.random.numbers
    assert len(np.unique(numbers)) == 512
    assert abs(numbers.mean() / 40_000 - 0.5) < 4.0 / np.sqrt(12 * 512)


def test_steps_without_shuffling_are_stable_on_sorted_rows():
    X, y = drifting()
    for order in (np.arange(6000), np.argsort(y), np.argsort(X[:, 0])):
        for max_iter in (1, 100):
            model = MiniBatchSGDRegressor(solver="numba", shuffle=False, max_iter=max_iter, tol=None)
            assert model.fit(X[order], y[order]).score(X[order], y[order]) > 0.0


@pytest.mark.parametrize("solver", ["auto", "numba"])
def test_verbose_counts_the_calls(solver, capsys):
    X, y, _ = make_problem(0)
    model = MiniBatchSGDRegressor(solver=solver, verbose=1, random_state=0)
    for _ in range(3):
        model.partial_fit(X, y)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[2] for line in lines if ": pass" in line] == ["1", "2", "3"]
    assert sum("ended after pass" in line for line in lines) == 3


JOB = """
import os, pickle, signal, sys
from pathlib import Path
from sgdlinreg import MiniBatchSGDRegressor
from sgdlinreg.sources import from_files

def fit_new_days(days, state, solver, killed_on=None, saves=True):
    model, done = MiniBatchSGDRegressor(solver=solver, random_state=0), []
    if state.exists():
        model, done = pickle.loads(state.read_bytes())
    for day in sorted(days.glob("*.parquet")):
        if day.name in done:
            continue
        for X, y, weight in from_files(day, "y", sample_weight="weight", rows_per_block=150):
            model.partial_fit(X, y, weight)
        done.append(day.name)
        part = state.with_name("part")
        part.write_bytes(pickle.dumps((model, done)))
        if day.name == killed_on and not saves:
            os.kill(os.getpid(), signal.SIGKILL)
        os.replace(part, state)
        if day.name == killed_on:
            os.kill(os.getpid(), signal.SIGKILL)
    return model
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="there is no SIGKILL")
@pytest.mark.parametrize("saves", [True, False])
@pytest.mark.parametrize("solver", ["normal_equation", "numba"])
def test_a_job_that_is_killed_goes_on_to_the_same_bits(tmp_path, solver, saves):
    pytest.importorskip("pyarrow")
    days, job = tmp_path / "days", {}
    days.mkdir()
    X, y, weight = make_problem(11, n_rows=1500)
    frame = pd.DataFrame(X, columns=list("abcdefg")).assign(y=y, weight=weight)
    for number in range(5):
        frame[300 * number : 300 * (number + 1)].to_parquet(days / f"{number}.parquet", index=False)
    exec(JOB, job)
    whole = job["fit_new_days"](days, tmp_path / "whole", solver)
    call = f"fit_new_days(Path({str(days)!r}), Path({str(tmp_path / 'state')!r}), {solver!r}, '2.parquet', {saves})"
    killed = subprocess.run([sys.executable, "-c", JOB + call], capture_output=True, text=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert pickle.loads((tmp_path / "state").read_bytes())[1] == [f"{n}.parquet" for n in range(2 + saves)]
    resumed = job["fit_new_days"](days, tmp_path / "state", solver)
    assert resumed.n_samples_seen_ == whole.n_samples_seen_ == 1500
    assert resumed.coef_.tobytes() == whole.coef_.tobytes()
    assert resumed.intercept_ == whole.intercept_
    assert resumed.loss_curve_ == whole.loss_curve_
