"""The callbacks of scikit-learn: what they see after each pass, and how they end a fit."""

import copy
import pickle
import subprocess
import sys
import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import mean_absolute_error, r2_score
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sgdlinreg import MiniBatchSGDRegressor

from ..helpers import SOLVERS, as_csr, make_problem

callback = pytest.importorskip("sklearn.callback")

QUANTILE = {"loss": "quantile", "penalty": "l1", "alpha": 0.01, "max_iter": 40}
STEPS_ALONE = {"eta0": 0.01, "max_iter": 8}
FITS = {
    "squared error": {},
    "l2": {"alpha": 0.1},
    "l1": {"alpha": 0.1, "penalty": "l1"},
    "positive": {"positive": True},
    "huber": {"loss": "huber", "epsilon": 0.5},
    "quantile": {"loss": "quantile", "quantile": 0.3},
    "quantile, l1": QUANTILE,
    "no intercept": {"fit_intercept": False},
    "epochs": {"tol": None, "max_iter": 8},
    "full batches": {"tol": None, "max_iter": 8, "batch_size": "full"},
    "float eta0": STEPS_ALONE,
    "average": STEPS_ALONE | {"average": True},
    "average from a sample on": STEPS_ALONE | {"average": 700},
    "momentum": STEPS_ALONE | {"momentum": 0.5},
    "optimal": {"learning_rate": "optimal", "alpha": 0.1, "max_iter": 8},
    "adaptive": STEPS_ALONE | {"learning_rate": "adaptive", "n_iter_no_change": 1},
    "early stopping": {"early_stopping": True, "tol": 1e-2, "n_iter_no_change": 3},
}


class Tasks:
    """Keeps what it is told, and ends the fit after some passes."""

    def __init__(self, stop_after=None, error=None):
        self.stop_after, self.error = stop_after, error
        self.hooks, self.fitted, self.told = [], [], []

    def setup(self, estimator, context):
        self.hooks.append("setup")

    def teardown(self, estimator, context):
        self.hooks.append("teardown")

    def on_fit_task_begin(self, estimator, context, *, X, y, metadata):
        self.hooks.append(f"begin {context.task_name}")

    def on_fit_task_end(self, estimator, context, *, X, y, metadata, fitted_estimator):
        self.hooks.append(f"end {context.task_name}")
        if context.task_name != "pass":
            return False
        if self.error is not None:
            raise self.error
        self.told.append((X, y, metadata))
        self.fitted.append(fitted_estimator)
        return len(self.fitted) == self.stop_after


def fit_quietly(model, *args, **kwargs):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit(*args, **kwargs)


def assert_same_model(one, other):
    np.testing.assert_array_equal(one.coef_, other.coef_)
    np.testing.assert_array_equal(one.intercept_, other.intercept_)
    assert one.coef_.dtype == other.coef_.dtype
    for attribute in ("n_iter_", "loss_curve_", "best_loss_", "solver_", "n_samples_seen_", "n_features_in_"):
        assert getattr(one, attribute) == getattr(other, attribute), attribute
    np.testing.assert_array_equal(one.optimality_gap_curve_, other.optimality_gap_curve_)
    assert getattr(one, "validation_scores_", None) == getattr(other, "validation_scores_", None)


@pytest.mark.parametrize(("dtype", "n_targets"), [(np.float64, 1), (np.float32, 2)])
@pytest.mark.parametrize("name", FITS)
def test_after_each_pass_callbacks_see_the_model_of_a_fit_of_so_many_passes(name, n_targets, dtype):
    X, y, weight = make_problem(0, n_targets=n_targets)
    X = (X + 10.0 * ("eta0" not in FITS[name])).astype(dtype)
    model = MiniBatchSGDRegressor(solver="numba", random_state=0, **FITS[name])
    tasks = Tasks()
    whole = fit_quietly(clone(model).set_callbacks(tasks), X, y, weight)
    assert 1 < whole.n_iter_ == len(tasks.fitted)
    for n_passes, fitted in enumerate(tasks.fitted, 1):
        assert_same_model(fitted, fit_quietly(clone(model).set_params(max_iter=n_passes), X, y, weight))
    assert_same_model(tasks.fitted[-1], whole)


@pytest.mark.parametrize("form", ["csr", "torch", "start", "validation"])
def test_they_see_it_in_every_form_of_a_fit(form):
    X, y, weight = make_problem(1)
    if form == "torch":
        pytest.importorskip("torch")
    model = MiniBatchSGDRegressor(solver="torch" if form == "torch" else "numba", random_state=0, tol=1e-6)
    given = {"coef_init": np.ones(7)} if form == "start" else {}
    given |= {"X_val": X[::2], "y_val": y[::2]} if form == "validation" else {}
    rows, tasks = as_csr(X) if form == "csr" else X, Tasks()
    clone(model).set_callbacks(tasks).fit(rows, y, weight, **given)
    assert len(tasks.fitted) > 2
    for n_passes, fitted in enumerate(tasks.fitted, 1):
        assert_same_model(fitted, fit_quietly(clone(model).set_params(max_iter=n_passes), rows, y, weight, **given))


def test_steps_that_are_no_start_are_not_shown():
    rng = np.random.default_rng(0)
    X, y = rng.standard_t(1.5, (40, 7)), rng.standard_normal(40)
    model = MiniBatchSGDRegressor(solver="numba", random_state=0, batch_size=1)
    tasks = Tasks(stop_after=1)
    clone(model).set_callbacks(tasks).fit(X, y)
    assert not tasks.fitted[0].coef_.any()  # one epoch has made less of them than the constant model
    assert_same_model(tasks.fitted[0], fit_quietly(clone(model).set_params(max_iter=1), X, y))


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("weighted", [False, True])
def test_scoring_monitor_logs_the_scores_of_refits(solver, weighted):
    X, y, weight = make_problem(3, weighted=weighted)
    monitor = callback.ScoringMonitor(scoring=["r2", "neg_mean_absolute_error"])
    model = MiniBatchSGDRegressor(solver=solver, random_state=0)
    whole = clone(model).set_callbacks(monitor).fit(X, y, weight)
    rows = monitor.get_logs().data
    passes = [row for row in rows if row["task_name"] == "pass"]
    assert len(passes) == whole.n_iter_ == len(rows) - 1
    for n_passes, row in enumerate(passes, 1):
        refit = (
            whole
            if n_passes == whole.n_iter_
            else fit_quietly(clone(model).set_params(max_iter=n_passes), X, y, weight)
        )
        assert row["r2"] == r2_score(y, refit.predict(X), sample_weight=weight)
        error = mean_absolute_error(y, refit.predict(X), sample_weight=weight)
        assert row["neg_mean_absolute_error"] == -error


@pytest.mark.parametrize("options", [{}, {"loss": "huber"}, QUANTILE, {"tol": None}, STEPS_ALONE], ids=str)
@pytest.mark.parametrize("n_targets", [1, 2])
def test_a_callback_ends_the_fit_with_the_model_of_its_pass_and_no_warning(options, n_targets, capsys):
    X, y, _ = make_problem(4, n_targets=n_targets)
    model = MiniBatchSGDRegressor(solver="numba", random_state=0, **options)
    tasks = Tasks(stop_after=2)
    stopped = clone(model).set_params(verbose=1).set_callbacks(tasks).fit(X, y)
    assert_same_model(stopped, fit_quietly(clone(model).set_params(max_iter=2), X, y))
    assert np.isnan(stopped.optimality_gap_) == (options in ({"tol": None}, STEPS_ALONE))
    lines = capsys.readouterr().out.splitlines()
    assert len([line for line in lines if "compiling" not in line]) == 3
    assert lines[-1] == "numba: ended after pass 2: stopped by a callback"


def test_ctrl_c_in_a_hook_keeps_the_model_of_the_last_pass(capsys):
    X, y, _ = make_problem(5)
    model = MiniBatchSGDRegressor(solver="numba", random_state=0, verbose=1)
    tasks = Tasks(error=KeyboardInterrupt())
    with pytest.warns(ConvergenceWarning, match="The fit was interrupted"):
        interrupted = clone(model).set_callbacks(tasks).fit(X, y)
    assert capsys.readouterr().out.splitlines()[-1] == "numba: ended after pass 1: interrupted"
    assert tasks.hooks[-1] == "teardown"
    assert_same_model(interrupted, fit_quietly(clone(model).set_params(max_iter=1), X, y))


def test_a_useless_model_is_told_where_a_callback_ends_the_fit():
    X, y, _ = make_problem(5)
    model = MiniBatchSGDRegressor(solver="numba", eta0=1e-6, random_state=0).set_callbacks(Tasks(stop_after=1))
    with pytest.warns(ConvergenceWarning, match=r"^The model is worse than the best constant one"):
        model.fit(X, y)


@pytest.mark.parametrize("solver", SOLVERS)
def test_the_order_of_tasks_and_what_they_are_told(solver):
    X, y, weight = make_problem(6)
    X = pd.DataFrame(X, columns=list("abcdefg"))
    tasks = Tasks()
    model = MiniBatchSGDRegressor(solver=solver, random_state=0).set_callbacks(tasks).fit(X, y, weight)
    assert tasks.hooks == ["setup", "begin fit", *["begin pass", "end pass"] * model.n_iter_, "end fit", "teardown"]
    for told_X, told_y, metadata in tasks.told:
        assert told_X is X
        assert told_y is y
        assert metadata == {"sample_weight": weight}
    model.fit(X, y, 2.0)
    assert tasks.told[-1][2] is None
    assert list(tasks.fitted[-1].feature_names_in_) == list("abcdefg")


def test_an_earlier_fit_leaves_nothing_to_the_estimator_that_they_see():
    X, y, _ = make_problem(7)
    tasks = Tasks()
    model = MiniBatchSGDRegressor(solver="normal_equation").fit(X, y)
    model.set_params(solver="numba").set_callbacks(tasks).fit(X, y)
    assert not hasattr(tasks.fitted[0], "rank_")
    with pytest.raises(ValueError, match="the fit is not at its end"):
        tasks.fitted[0].predict(X, return_std=True)


def test_fit_source_tells_passes_without_rows_and_partial_fit_nothing():
    X, y, _ = make_problem(8)
    source, tasks = [(X[:150], y[:150]), (X[150:], y[150:])], Tasks()
    model = MiniBatchSGDRegressor(solver="numba", random_state=0)
    whole = clone(model).set_callbacks(tasks).fit_source(source)
    assert tasks.told == [(None, None, None)] * whole.n_iter_
    with pytest.warns(ConvergenceWarning, match="max_iter=2"):
        refit = clone(model).set_params(max_iter=2).fit_source(source)
    np.testing.assert_array_equal(tasks.fitted[1].coef_, refit.coef_)
    tasks = Tasks()
    model.set_callbacks(tasks).partial_fit(X, y)
    assert tasks.hooks == []


@pytest.mark.parametrize("method", ["fit", "fit_source"])
@pytest.mark.parametrize("problem", ["hook", "rows"])
def test_a_fit_that_fails_leaves_the_estimator_as_it_was_and_ends_the_callbacks(problem, method):
    X, y, _ = make_problem(9)
    model = MiniBatchSGDRegressor(solver="numba", random_state=0).fit(X, y)
    tasks = Tasks(error=RuntimeError("the hook fails") if problem == "hook" else None)
    before = dict(vars(model.set_callbacks(tasks)))
    bad = X if problem == "hook" else np.full_like(X, np.nan)
    error = RuntimeError if problem == "hook" else ValueError
    with pytest.raises(error, match=r"the hook fails|NaN"):
        model.fit(bad, y) if method == "fit" else model.fit_source([(bad, y)])
    assert vars(model) == before
    assert (tasks.hooks[0], tasks.hooks[-1]) == ("setup", "teardown")


@pytest.mark.parametrize("copied", [clone, copy.deepcopy, copy.copy, lambda model: pickle.loads(pickle.dumps(model))])
def test_copies_keep_callbacks(copied):
    X, y, _ = make_problem(10)
    model = MiniBatchSGDRegressor(solver="numba", random_state=0)
    model.set_callbacks(callback.ProgressBar(), callback.ScoringMonitor(scoring="r2")).fit(X, y)
    twin = copied(model)
    kinds = [type(one) for one in twin._skl_callbacks]
    assert kinds == [callback.ProgressBar, callback.ScoringMonitor]
    np.testing.assert_array_equal(twin.fit(X, y).coef_, model.coef_)
    assert twin._skl_callbacks[1].get_logs().data
    assert not hasattr(twin.set_callbacks(), "_skl_callbacks")


@pytest.mark.parametrize("tol", [1e-3, None])
def test_a_progress_bar_is_full_at_the_end(tol, capsys):
    X, y, _ = make_problem(11)
    model = MiniBatchSGDRegressor(solver="numba", tol=tol, max_iter=30, random_state=0)
    model.set_callbacks(callback.ProgressBar()).fit(X, y)
    line = capsys.readouterr().out.strip().splitlines()[-1]
    assert line.startswith("MiniBatchSGDRegressor - fit")
    assert "100%" in line


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_a_search_shows_every_fit_and_logs_every_pass(n_jobs, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    X, y, _ = make_problem(12)
    monitor = callback.ScoringMonitor(scoring="r2")
    model = MiniBatchSGDRegressor(solver="numba", random_state=0).set_callbacks(monitor)
    pipeline = make_pipeline(StandardScaler(), model)
    grid = {"minibatchsgdregressor__alpha": [0.0, 0.1, 1.0]}
    search = GridSearchCV(pipeline, grid, cv=2, n_jobs=n_jobs)
    search.set_callbacks(callback.ProgressBar(max_propagation_depth=None)).fit(X, y)
    lines = capsys.readouterr().out.splitlines()
    bars = [line for line in lines if "MiniBatchSGDRegressor - fit" in line]
    assert len(bars) == 7
    assert all("100%" in line for line in bars)
    passes = [row for row in monitor.get_logs().data if row["task_name"] == "pass"]
    assert len({row["parent_task_id_path"] for row in passes}) == 7
    best = search.best_estimator_
    last = max(row["r2"] for row in passes if row["parent_task_id_path"][1] == 1)
    assert last == best.score(X, y)


def test_without_them_in_scikit_learn_the_estimator_works():
    code = """
import sys
import numpy as np
import sklearn.linear_model, sklearn.pipeline, sklearn.model_selection
theirs = sys.modules["sklearn.callback"]
sys.modules["sklearn.callback"] = None
from sgdlinreg import MiniBatchSGDRegressor
sys.modules["sklearn.callback"] = theirs
X = np.arange(20.0).reshape(10, 2) ** 2
model = MiniBatchSGDRegressor()
assert not hasattr(model, "set_callbacks")
print(model.fit(X, X @ [1.0, 2.0]).fit_source([(X, X @ [1.0, 2.0])]).coef_.round(9).tolist())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[1.0, 2.0]"
