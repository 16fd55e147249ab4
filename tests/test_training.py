"""The loops around a solver, and what a failed fit leaves behind."""

import numpy as np
import pytest
from scipy import sparse

from sgdlinreg import MiniBatchSGDRegressor
from sgdlinreg._core.blocks import Block
from sgdlinreg._core.contract import Options
from sgdlinreg._core.objective import Objective, SquaredError
from sgdlinreg._loop.training import BlockInMemory, BlocksOfSource, train
from sgdlinreg._solvers import make_solver
from sgdlinreg._solvers.sgd.stopping import Limits

from .helpers import ALL_SOLVERS, SGD_SOLVERS, make_problem, weighted_least_squares


def trained(data, n_features=7, **options):
    """Train by the reference kernel, and the losses that were reported."""
    options = Options(**options)
    solver, reported = make_solver("reference", "squared_error", Objective(SquaredError()), options), []
    limits = Limits(4, options.tol, 5)
    report = lambda number, loss: reported.append((number, loss))  # noqa: E731
    return train(solver, data, np.zeros((1, n_features + 1)), limits, np.random.default_rng(0), report), reported


@pytest.mark.parametrize("options", [{}, {"eta0": 0.01}, {"tol": None}], ids=str)
def test_every_pass_is_reported_and_kept(options):
    X, y, _ = make_problem(0, n_rows=6000)
    result, reported = trained(BlockInMemory(Block(X, y[:, None], None)), **options)
    assert [number for number, _ in reported] == list(range(1, len(result.loss_curve) + 1))
    assert [loss for _, loss in reported] == result.loss_curve
    assert len(result.gap_curve) == len(result.loss_curve) == (4 if options else len(result.loss_curve))
    assert np.isnan(result.gap_curve).all() == bool(options)


def test_rows_in_memory_are_made_ready_once(monkeypatch):
    X, y, _ = make_problem(1)
    data = BlockInMemory(Block(X, y[:, None], None))
    calls = []

    class Solver:
        def ready(self, state, block):
            calls.append(block)
            return block

    for _ in range(3):
        assert list(data.ready(Solver(), None)) == [data.block]
    assert len(calls) == 1


def test_source_gives_the_fit_of_the_rows_it_holds():
    X, y, _ = make_problem(2, n_rows=5000)
    passes = []

    def blocks():
        passes.append(0)
        for rows in np.array_split(np.arange(5000), 6):
            yield Block(X[rows], y[rows, None], None)

    result, reported = trained(BlocksOfSource(blocks), tol=1e-6)
    assert result.converged
    assert len(passes) == 1 + len(reported)  # one measures
    np.testing.assert_allclose(result.coef[0, :-1], weighted_least_squares(X, y)[0], rtol=1e-3)


def test_source_that_gives_other_rows_later_is_an_error():
    X, y, _ = make_problem(3)
    n_rows = iter([301, 301, 300])

    def blocks():
        rows = slice(0, next(n_rows))
        yield Block(X[rows], y[rows, None], None)

    with pytest.raises(ValueError, match=r"301 rows in the first pass over it and 300 in a later one"):
        trained(BlocksOfSource(blocks))


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
