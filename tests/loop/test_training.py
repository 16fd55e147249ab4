"""The loop around a solver, and what a failed or interrupted fit leaves behind."""

import warnings
from dataclasses import replace

import numpy as np
import pytest
from scipy import sparse
from sklearn.exceptions import ConvergenceWarning

from sgdlinreg import MiniBatchSGDRegressor
from sgdlinreg._core.blocks import Block
from sgdlinreg._core.contract import Options
from sgdlinreg._core.objective import Objective, SquaredError
from sgdlinreg._loop.data import InMemory, SameRows, Streamed
from sgdlinreg._loop.monitor import Monitor
from sgdlinreg._loop.training import train
from sgdlinreg._solvers import kernel_class, make_solver

from ..helpers import ALL_SOLVERS, SGD_SOLVERS, make_problem, weighted_least_squares


def trained(data, **options):
    """Train by the reference kernel."""
    options = Options(**options)
    solver = make_solver("reference", "squared_error", Objective(SquaredError()), options, lambda: 0)
    monitor = Monitor(4, "reference")
    return train(solver, data, monitor), monitor


@pytest.mark.parametrize("options", [{}, {"eta0": 0.01}, {"tol": None}], ids=str)
def test_every_pass_is_told_and_kept(options, capsys):
    X, y, _ = make_problem(0, n_rows=6000)
    _, monitor = trained(InMemory(Block(X, y[:, None])), **options)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) - 1 == len(monitor.loss_curve) == len(monitor.gap_curve) == monitor.n_passes
    for number, (line, loss) in enumerate(zip(lines[:-1], monitor.loss_curve, strict=True), 1):
        assert line.split()[:3] == ["reference:", "pass", str(number)]
        assert f"  loss {loss:.6g}" in line
    assert lines[-1].startswith(f"reference: ended after pass {monitor.n_passes}: ")
    assert monitor.n_passes == 4 or not options
    assert np.isnan(monitor.gap_curve).all() == bool(options)


def test_rows_in_memory_are_mapped_once_and_those_of_a_source_in_every_pass():
    X, y, _ = make_problem(1)
    block, calls = Block(X, y[:, None]), []

    def doubled(block):
        calls.append(block)
        return replace(block, y=2.0 * block.y)

    for data, n_calls in ((InMemory(block), 1), (Streamed([block, block], block), 6)):
        calls.clear()
        mapped = data.map(doubled)
        for _ in range(3):
            blocks = list(mapped.blocks)
            assert blocks
            for one in blocks:
                np.testing.assert_array_equal(one.y[:, 0], 2.0 * y)
        assert len(calls) == n_calls
        assert (mapped.once, mapped.in_memory) == (data.once, data.in_memory)


def test_source_gives_the_fit_of_the_rows_it_holds():
    X, y, _ = make_problem(2, n_rows=5000)
    passes = []

    def read():
        passes.append(0)
        for rows in np.array_split(np.arange(5000), 6):
            yield Block(X[rows], y[rows, None])

    solver = make_solver("reference", "squared_error", Objective(SquaredError()), Options(tol=1e-6), lambda: 0)
    monitor = Monitor(100)
    model = train(solver, Streamed(SameRows(read), Block(X[:1], y[:1, None])), monitor)
    assert not model.advice
    assert len(passes) == 1 + monitor.n_passes  # one measures
    np.testing.assert_allclose(model.coef[0, :-1], weighted_least_squares(X, y)[0], rtol=1e-3)


def test_source_that_gives_other_rows_later_is_an_error():
    X, y, _ = make_problem(3)
    n_rows = iter([301, 301, 300])

    def read():
        rows = slice(0, next(n_rows))
        yield Block(X[rows], y[rows, None])

    with pytest.raises(ValueError, match=r"301 rows in the first pass over it and 300 in a later one"):
        trained(Streamed(SameRows(read), Block(X[:1], y[:1, None])))


@pytest.mark.parametrize("solver", ALL_SOLVERS)
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_a_failed_fit_leaves_the_estimator_as_it_was(solver, method):
    X, y, weight = make_problem(1)
    model = MiniBatchSGDRegressor(solver=solver, random_state=0).fit(X, y, weight)
    before = model.predict(X)
    attributes = {name: value for name, value in vars(model).items() if name.endswith("_")}
    bad = X.copy()
    bad[5, 3] = np.nan
    for arguments in (
        (bad, y),
        (X, y[:-1]),
        (X, y, -weight),
        (X, y, np.zeros(301)),
        (X[:, :0], y),
        (X[:0], y[:0]),
    ):
        if method == "partial_fit" and not (len(arguments[0]) and np.any(arguments[-1])):
            model.partial_fit(*arguments)  # nothing to take in
        else:
            with pytest.raises(ValueError, match=r"NaN|inconsistent|[Nn]egative|zero|minimum"):
                getattr(model, method)(*arguments)
        assert {name: value for name, value in vars(model).items() if name.endswith("_")} == attributes
        np.testing.assert_array_equal(model.predict(X), before)


@pytest.mark.parametrize("solver", SGD_SOLVERS)
def test_a_diverged_fit_leaves_the_estimator_as_it_was(solver):
    X, y, weight = make_problem(2)
    model = MiniBatchSGDRegressor(solver=solver, random_state=0).fit(X, y, weight)
    before = model.predict(X)
    model.set_params(eta0=1e3)
    for method in (model.fit, model.partial_fit):
        with pytest.raises(ValueError, match=r"SGD (diverged|would diverge)"):
            method(1e150 * X if method == model.partial_fit else X, y)
        np.testing.assert_array_equal(model.predict(X), before)
        assert model.n_samples_seen_ == 301


def test_an_unfitted_estimator_stays_unfitted():
    X, y, _ = make_problem(3)
    model = MiniBatchSGDRegressor()
    with pytest.raises(ValueError, match="NaN"):
        model.fit(X * np.nan, y)
    assert set(vars(model)) == set(model.get_params())


@pytest.mark.parametrize("solver", SGD_SOLVERS)
def test_tol_is_in_units_of_r2(solver):
    X, y, _ = make_problem(4, n_rows=6000)
    for eta0, smallest in (("auto", 1e-10), (0.01, 1e-6)):
        epochs, gaps = [], []
        best = MiniBatchSGDRegressor().fit(X, y).score(X, y)
        for tol in (1e-2, smallest):
            model = MiniBatchSGDRegressor(solver=solver, eta0=eta0, tol=tol, batch_size=32, random_state=0).fit(X, y)
            epochs.append(model.n_iter_)
            gaps.append(best - model.score(X, y))
            if eta0 == "auto":
                assert model.set_params(random_state=0).fit(X, 1e6 * y).n_iter_ == epochs[-1]
        assert epochs[0] < epochs[1]
        assert gaps[1] < 1e-3


@pytest.mark.parametrize("solver", ALL_SOLVERS)
def test_without_an_intercept_there_is_no_false_warning(solver):
    X, y, _ = make_problem(7)
    model = MiniBatchSGDRegressor(solver=solver, fit_intercept=False, random_state=0)
    assert model.fit(X, y + 1e3).n_iter_ < 1000


@pytest.mark.parametrize("solver", SGD_SOLVERS)
def test_crossed_levels_in_few_passes(solver):
    # 20,000 marks that 1,000 people give to 300 others: as sparse and as noisy as such data are
    rng = np.random.default_rng(0)
    n_rows, n_givers, n_takers = 20_000, 1_000, 300
    giver, taker = rng.integers(n_givers, size=n_rows), rng.integers(n_takers, size=n_rows)
    y = rng.normal(size=n_givers)[giver] + rng.normal(size=n_takers)[taker] + 2.0 * rng.normal(size=n_rows)
    columns = np.column_stack([giver, n_givers + taker]).ravel()
    starts = np.arange(0, 2 * n_rows + 1, 2)
    X = sparse.csr_matrix((np.ones(2 * n_rows), columns, starts), shape=(n_rows, n_givers + n_takers))
    best = sparse.linalg.lsmr(sparse.hstack([X, np.ones((n_rows, 1))], format="csr"), y, atol=1e-12, btol=1e-12)[0]
    least = np.mean((X @ best[:-1] + best[-1] - y) ** 2)
    for seed in range(4 if solver == "numba" else 2):
        model = MiniBatchSGDRegressor(solver=solver, random_state=seed).fit(X, y)
        assert model.n_iter_ <= 40
        assert np.isnan(model.optimality_gap_curve_).tolist() == [True] + [False] * (model.n_iter_ - 1)
        assert np.mean((model.predict(X) - y) ** 2) - least < 3e-4 * np.var(y)


FITS = [
    {},
    {"eta0": 0.01},
    {"loss": "huber"},
    {"loss": "epsilon_insensitive"},
    {"loss": "quantile", "quantile": 0.9},
    {"penalty": "l1", "alpha": 0.01},
]
FITS += [{"early_stopping": True}, {"tol": None}]


def interrupting(function, at, after=False):
    """The function, which raises KeyboardInterrupt in call number ``at``, perhaps after its work."""
    calls = iter(range(at + 1))

    def wrapper(*args, **kwargs):
        interrupts = next(calls, 0) == at
        if interrupts and not after:
            raise KeyboardInterrupt
        result = function(*args, **kwargs)
        if interrupts:
            raise KeyboardInterrupt
        return result

    return wrapper


def passes_of(monkeypatch, fit):
    """The models of all passes of a fit, and the fitted model."""
    coefs, record = [], Monitor.record

    def keep(self, coef, *args):
        coefs.append(coef.copy())
        return record(self, coef, *args)

    with monkeypatch.context() as patch, warnings.catch_warnings():
        patch.setattr(Monitor, "record", keep)
        warnings.simplefilter("ignore", ConvergenceWarning)
        return fit(), coefs


def check_interrupted(model, whole, coefs):
    """Check that a model is that of a pass of the whole fit, and return the number of the pass."""
    n = model.n_iter_
    assert 0 < n <= whole.n_iter_
    np.testing.assert_array_equal(model.loss_curve_, whole.loss_curve_[:n])
    np.testing.assert_array_equal(model.optimality_gap_curve_, whole.optimality_gap_curve_[:n])
    np.testing.assert_equal(model.optimality_gap_, whole.optimality_gap_curve_[n - 1])
    last = n - 1
    if model.early_stopping:
        np.testing.assert_array_equal(model.validation_scores_, whole.validation_scores_[:n])
        last = np.argmax(model.validation_scores_)
        assert model.best_validation_score_ == max(model.validation_scores_)
    np.testing.assert_array_equal(np.append(model.coef_, model.intercept_), coefs[last][0])
    assert (model.t_ - 1) % 10 == 0  # whole epochs of 320 rows in batches of 32
    return n


@pytest.mark.parametrize("solver", SGD_SOLVERS)
@pytest.mark.parametrize(
    ("options", "source"),
    [(options, source) for options in FITS for source in (False, True) if not (source and "early_stopping" in options)],
    ids=str,
)
def test_the_model_of_the_last_finished_pass_is_kept(monkeypatch, options, solver, source):
    X, y, _ = make_problem(0, n_rows=320 + 80 * ("early_stopping" in options), weighted=False)
    options = {"max_iter": 12, "batch_size": 32, "random_state": 0, "validation_fraction": 0.2} | options
    kernel, seen = kernel_class(solver), set()

    def fit(model):
        return model.fit_source([(X[:160], y[:160]), (X[160:], y[160:])]) if source else model.fit(X, y)

    whole, coefs = passes_of(monkeypatch, lambda: fit(MiniBatchSGDRegressor(solver=solver, **options)))
    calls = [(Monitor, "record", False), (Monitor, "record", True)]
    calls += [(kernel, "run_batches", False), (kernel, "gradient_sums", True)]
    for (owner, name, after), at in [(call, at) for call in calls for at in (0, 1, 2, 3, 7, 14)]:
        model = MiniBatchSGDRegressor(solver=solver, **options)
        before = vars(model).copy()
        with monkeypatch.context() as patch, warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            patch.setattr(owner, name, interrupting(getattr(owner, name), at, after))
            try:
                fit(model)
            except KeyboardInterrupt:
                assert vars(model) == before
                seen.add(0)
                continue
        told = " ".join(str(one.message) for one in caught)
        if "interrupted" in told:
            n = check_interrupted(model, whole, coefs)
            seen.add(n)
            assert f"last finished pass, number {n}; " in told
            assert ("its loss is" in told) == np.isnan(model.optimality_gap_)
        else:
            assert model.n_iter_ == whole.n_iter_  # fewer calls than that
    assert set(range(min(whole.n_iter_, 3) + 1)) <= seen


@pytest.mark.parametrize("solver", SGD_SOLVERS)
def test_an_interrupted_fit_can_be_gone_on_from(monkeypatch, solver):
    X, y, _ = make_problem(1)
    model = MiniBatchSGDRegressor(solver=solver, max_iter=12, warm_start=True, random_state=0).fit(X, y)
    at_once, kernel = 2.0 * model.coef_, kernel_class(solver)
    with monkeypatch.context() as patch:
        patch.setattr(kernel, "gradient_sums", interrupting(kernel.gradient_sums, 1))
        with pytest.warns(ConvergenceWarning, match="interrupted.*warm_start=True"):
            model.fit(X, 2.0 * y)  # starts with full gradients
    assert (model.n_iter_, model.t_, model.batch_size_) == (1, 1, model.batch_size_)
    assert model.batch_size_ > 1
    assert np.isfinite(model.step_size_)
    model.partial_fit(X, 2.0 * y)
    np.testing.assert_allclose(model.fit(X, 2.0 * y).coef_, at_once, rtol=1e-3)


@pytest.mark.filterwarnings("ignore:The model is worse than the best constant")  # after two epochs
def test_interrupted_by_a_schedule_or_a_source():
    X, y, _ = make_problem(2, n_rows=320, weighted=False)
    passes = []

    class Source:
        def __iter__(self):
            passes.append(0)
            yield X[:160], y[:160]
            if len(passes) == 5:  # one is for the first block, one measures, one takes steps
                raise KeyboardInterrupt
            yield X[160:], y[160:]

    with pytest.warns(ConvergenceWarning, match=r"number 2; optimality_gap_ is"):
        model = MiniBatchSGDRegressor(solver="numba", random_state=0).fit_source(Source())
    assert (model.n_iter_, model.n_samples_seen_) == (2, 320)

    def schedule(steps):
        if steps[0] > 20:
            raise KeyboardInterrupt
        return np.ones(len(steps))

    model = MiniBatchSGDRegressor(solver="numba", learning_rate=schedule, eta0=0.01, random_state=0)
    with pytest.warns(ConvergenceWarning, match="number 2; its loss is"):
        model.fit(X, y)
    two = MiniBatchSGDRegressor(solver="numba", eta0=0.01, max_iter=2, tol=None, random_state=0).fit(X, y)
    np.testing.assert_array_equal(model.coef_, two.coef_)
    assert (model.n_iter_, model.t_) == (2, 21)


@pytest.mark.parametrize("solver", ALL_SOLVERS)
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_without_a_finished_pass_the_estimator_is_as_it_was(monkeypatch, solver, method):
    X, y, _ = make_problem(3)
    model = MiniBatchSGDRegressor(solver=solver, random_state=0).fit(X, y)
    before = vars(model).copy()
    if method == "partial_fit" or model.solver_ == "normal_equation":
        monkeypatch.setattr(Monitor, "record", interrupting(Monitor.record, 0, after=True))
    else:
        monkeypatch.setattr(kernel_class(solver), "run_batches", interrupting(None, 0))
    with pytest.raises(KeyboardInterrupt):
        getattr(model, method)(X, y)
    assert vars(model) == before
