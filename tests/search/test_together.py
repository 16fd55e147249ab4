"""Fits that read the rows together are the fits that they would be alone."""

import _thread
import threading
import tracemalloc
import warnings

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV, KFold

from sgdlinreg import MiniBatchSGDRegressor, MiniBatchSGDRegressorCV
from sgdlinreg._search import fits, together
from sgdlinreg._search.together import SharedKernel, Together
from sgdlinreg._solvers.sgd_numba.kernel import NumbaKernel

from ..helpers import as_csr, make_problem

ALPHAS = [1e-3, 0.1, 3.0]
AT_THE_OPTIMUM = {"tol": 1e-8}
CASES = {
    "huber": {"loss": "huber", "epsilon": [0.3, 1.0, 3.0], **AT_THE_OPTIMUM},
    "quantile": {"loss": "quantile", "quantile": [0.2, 0.5], **AT_THE_OPTIMUM},
    "epsilon-insensitive": {"loss": "epsilon_insensitive", "epsilon": [0.0, 0.2], **AT_THE_OPTIMUM},
    "squares": {"solver": "numba", "batch_size": [4, 32, "full"], **AT_THE_OPTIMUM},
    "elastic net": {"loss": "huber", "penalty": "elasticnet", "l1_ratio": [0.1, 1.0], **AT_THE_OPTIMUM},
    "positive": {"loss": "huber", "positive": True, "epsilon": [0.3, 1.0], **AT_THE_OPTIMUM},
    "no intercept": {"loss": "huber", "fit_intercept": False, "epsilon": [0.3, 1.0], **AT_THE_OPTIMUM},
    "sizes": {"eta0": ["auto", 1e-3], "max_iter": 7, "batch_size": [8, 16]},
    "schedules": {"eta0": [1e-3, 1e-2], "learning_rate": ["constant", "invscaling", "adaptive"], "max_iter": 6},
    "momentum": {"eta0": [1e-3, 3e-3], "momentum": 0.5, "nesterovs_momentum": True, "drop_last": True, "max_iter": 5},
    "averages": {"eta0": [1e-3, 3e-3], "average": 9, "max_iter": 5},
    "until no progress": {"eta0": [1e-3, 1e-2], "tol": 1e-3, "n_iter_no_change": 2},
    "early stopping": {"solver": "numba", "early_stopping": True, "batch_size": [8, 16]},
    "in order": {"eta0": [1e-3, 1e-2], "shuffle": False, "max_iter": 4},
    "full batches": {
        "solver": "numba",
        "batch_size": "full",
        "tol": None,
        "max_iter": 5,
        "learning_rate": ["constant"],
    },
}


def both(X, y, parameters, weight=None, cv=3, **common):
    """Search by us and by scikit-learn over the same fits."""
    lists = {name: value for name, value in parameters.items() if isinstance(value, list)}
    rest = {name: value for name, value in parameters.items() if name not in lists} | {"random_state": 0}
    ours = MiniBatchSGDRegressorCV(alphas=ALPHAS, cv=cv, **parameters, **common, random_state=0)
    theirs = GridSearchCV(MiniBatchSGDRegressor(**rest, **common), {"alpha": ALPHAS, **lists}, cv=cv)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return ours.fit(X, y, weight), theirs.fit(X, y, sample_weight=weight)


def assert_same(ours, theirs, tol):
    assert ours.cv_results_["params"] == theirs.cv_results_["params"]
    for name in (f"split{k}_test_score" for k in range(theirs.n_splits_)):
        np.testing.assert_allclose(ours.cv_results_[name], theirs.cv_results_[name], atol=tol, rtol=0)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("case", CASES)
def test_scores_are_those_of_fits_alone(case, weighted):
    X, y, weight = make_problem(1, n_rows=260, n_features=5)
    ends_at_the_optimum = CASES[case].get("tol") == AT_THE_OPTIMUM["tol"]
    if ends_at_the_optimum:
        X = X * [1.0, 1e3, 1e-4, 1.0, 1.0] + [0.0, 0.0, 1.0, 50.0, 0.0]
    ours, theirs = both(X, y, CASES[case], weight if weighted else None)
    assert_same(ours, theirs, 1e-6 if ends_at_the_optimum else 1e-10)


@pytest.mark.parametrize("case", CASES)
def test_scores_of_steps_in_torch(case):
    pytest.importorskip("torch")
    X, y, weight = make_problem(1, n_rows=150, n_features=4)
    ends_at_the_optimum = CASES[case].get("tol") == AT_THE_OPTIMUM["tol"]
    ours, theirs = both(X, y, CASES[case] | {"solver": "torch"}, weight)  # medians of equal weights may be intervals
    assert_same(ours, theirs, 1e-6 if ends_at_the_optimum else 1e-10)


@pytest.mark.parametrize("kind", ["float32", "Fortran", "csr", "two targets", "shuffled", "many", "torch"])
def test_scores_of_other_rows(kind, monkeypatch):
    X, y, _ = make_problem(2, n_rows=260, n_features=5, n_targets=2 if kind == "two targets" else 1)
    X = {"float32": X.astype(np.float32), "Fortran": np.asfortranarray(X), "csr": as_csr(np.where(X > 0, X, 0.0))}.get(
        kind, X
    )
    cv = KFold(4, shuffle=True, random_state=0) if kind == "shuffled" else 3
    solver = {"solver": "torch"} if kind == "torch" else {}
    if kind == "torch":
        pytest.importorskip("torch")
    if kind == "many":
        monkeypatch.setattr(fits, "MOST_TOGETHER", 2)
    tol = 2e-6 if kind == "float32" else 1e-7
    assert_same(*both(X, y, CASES["huber"], cv=cv, **solver), tol)
    assert_same(*both(X, y, CASES["sizes"], cv=cv, **solver), 1e-5 if kind == "float32" else 1e-9)


def test_cut_into_chunks_steps_are_the_same(monkeypatch):
    monkeypatch.setattr(together, "CHUNK_BYTES", 100)
    X, y, _ = make_problem(3, n_rows=260, n_features=5)
    assert_same(*both(X, y, CASES["sizes"]), 1e-10)


def test_rows_are_read_once_for_all(monkeypatch):
    X, y, _ = make_problem(4, n_rows=3000, n_features=5)
    counts = []
    sums = NumbaKernel.gradient_sums
    monkeypatch.setattr(
        NumbaKernel, "gradient_sums", lambda self, *args: (counts.append(len(args[2])), sums(self, *args))[1]
    )
    common = {"loss": "huber", "random_state": 0}
    search = MiniBatchSGDRegressorCV(
        alphas=ALPHAS, epsilon=[0.5, 1.0, 2.0], cv=[(np.arange(2000), np.arange(2000, 3000))]
    )
    search.set_params(**common).fit(X, y)
    together_, counts[:] = list(counts), []
    alone = []
    for candidate in search.cv_results_["params"]:
        MiniBatchSGDRegressor(**candidate, **common).fit(X[:2000], y[:2000])
        alone.append(len(counts))
        counts.clear()
    MiniBatchSGDRegressor(**search.best_params_, **common).fit(X, y)
    assert together_[: -len(counts)][0] == 9
    assert len(together_) - len(counts) == max(alone)
    assert sum(together_) - sum(counts) == sum(alone)


@pytest.mark.parametrize("n_targets", [1, 2])
@pytest.mark.parametrize("penalty", ["l2", "elasticnet"])
def test_steps_of_all_candidates_are_one_call_in_torch(penalty, n_targets, monkeypatch):
    """On a GPU the steps of a call are one launch."""
    kernel_class = pytest.importorskip("sgdlinreg._solvers.sgd_torch.kernel").TorchKernel
    X, y, _ = make_problem(4, n_rows=700, n_features=5, n_targets=n_targets)
    counts, run = [], kernel_class.run_batches
    monkeypatch.setattr(
        kernel_class, "run_batches", lambda self, *args: (counts.append(len(args[-1].coef)), run(self, *args))[1]
    )
    search = MiniBatchSGDRegressorCV(alphas=ALPHAS, epsilon=[0.5, 1.0, 2.0], cv=[(np.arange(500), np.arange(500, 700))])
    search.set_params(loss="huber", penalty=penalty, solver="torch", random_state=0).fit(X, y)
    together_, counts[:] = list(counts), []
    MiniBatchSGDRegressor(**search.best_params_, loss="huber", penalty=penalty, solver="torch", random_state=0).fit(
        X, y
    )
    assert together_ == [9 * n_targets] * (len(together_) - len(counts)) + counts
    assert len(together_) == 2 * len(counts)


def test_no_fold_and_no_candidate_copies_the_rows():
    X, y, _ = make_problem(5, n_rows=40_000, n_features=20)
    search = MiniBatchSGDRegressorCV(alphas=ALPHAS, epsilon=[0.5, 1.0, 2.0], loss="huber", random_state=0, cv=3)
    search.fit(X[:200], y[:200])
    tracemalloc.start()
    search.fit(X, y)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1.5 * X.nbytes  # of 4608 rows there are copies: the sample, and its decomposition


class Broken(NumbaKernel):
    def gradient_sums(self, *args):
        raise MemoryError("no room")


def test_an_error_of_a_pass_is_that_of_all_fits():
    shared = SharedKernel(Together(Broken()))

    def fit():
        try:
            shared.gradient_sums(object(), (), np.zeros((1, 2)), np.zeros(1))
        except MemoryError as error:
            return str(error)

    assert shared.together.run([fit, fit]) == ["no room", "no room"]
    with pytest.raises(MemoryError, match="no room"):
        shared.together.run([lambda: shared.gradient_sums(object(), (), np.zeros((1, 2)), np.zeros(1))] * 2)


def test_an_interrupt_ends_all_threads(monkeypatch):
    X, y, _ = make_problem(6, n_rows=300)
    search = MiniBatchSGDRegressorCV(alphas=ALPHAS, loss="huber", random_state=0, cv=2)
    before, n_threads = vars(clone(search)), threading.active_count()

    def interrupted(self, *args):
        _thread.interrupt_main()
        return sums(self, *args)

    sums = NumbaKernel.gradient_sums
    monkeypatch.setattr(NumbaKernel, "gradient_sums", interrupted)
    with pytest.raises(KeyboardInterrupt):
        search.fit(X, y)
    assert vars(search) == before
    assert threading.active_count() == n_threads
