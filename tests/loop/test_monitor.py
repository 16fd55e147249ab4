"""Scores on validation data, and what a user reads of a fit."""

import warnings

import numpy as np
import pytest
from sklearn.metrics import d2_pinball_score, mean_pinball_loss, r2_score

from sgdlinreg import MiniBatchSGDRegressor
from sgdlinreg._core.blocks import CSR, Block
from sgdlinreg._core.objective import Quantile
from sgdlinreg._loop.monitor import Monitor, Validation

from ..helpers import as_csr, make_problem


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
def test_scores_are_those_of_scikit_learn(weighted, sparse):
    X, y, weight = make_problem(0, n_targets=3, weighted=weighted)
    y[:, 2] = 4.0
    rows = X
    if sparse:
        csr = as_csr(X)
        rows = CSR(csr.data, csr.indices, csr.indptr, 7)
    block = Block(rows, y, weight)
    validation = Validation([block], block)
    models = np.random.default_rng(1).standard_normal((5, 3, 8))
    models[3, 2] = np.append(np.zeros(7), 4.0)  # exact
    expected = []
    for coef in models:
        prediction = X @ coef[:, :-1].T + coef[:, -1]
        expected.append(r2_score(y, prediction, sample_weight=weight, multioutput="raw_values"))
        np.testing.assert_allclose(validation.score(coef), expected[-1], rtol=1e-9)
        np.testing.assert_array_equal(validation.last, validation.score(coef))
    assert expected[3][2] == 1.0
    np.testing.assert_allclose(validation.scores[::2], np.mean(expected, axis=1), rtol=1e-9)
    best = np.argmax(expected, axis=0)
    assert len(set(best)) > 1
    np.testing.assert_allclose(validation.best, np.max(expected, axis=0), rtol=1e-9)
    np.testing.assert_array_equal(validation.best_coef, models[best, range(3)])


@pytest.mark.parametrize("weighted", [False, True])
def test_scores_of_a_quantile_are_d2(weighted):
    X, y, weight = make_problem(0, n_targets=2, weighted=weighted)
    validation = Validation([Block(X, y, weight)], Block(X, y, weight), Quantile(0.2))
    coef = np.random.default_rng(1).standard_normal((2, 8))
    theirs = {"sample_weight": weight, "alpha": 0.2, "multioutput": "raw_values"}
    prediction = X @ coef[:, :-1].T + coef[:, -1]
    np.testing.assert_allclose(validation.score(coef), d2_pinball_score(y, prediction, **theirs), rtol=1e-6)
    constant = Validation([Block(X, np.full((301, 1), 0.1))], Block(X, y[:, :1]), Quantile(0.2))
    assert constant.score(np.append(np.zeros(7), 0.1)[None])[0] == 1.0
    assert constant.score(np.append(np.zeros(7), 0.2)[None])[0] == 0.0
    assert constant.unit[0] == pytest.approx(loss_of_constant(y[:, 0], 0.2))


def loss_of_constant(y, quantile):
    return mean_pinball_loss(y, np.full(len(y), np.quantile(y, quantile)), alpha=quantile)


def test_constant_targets_are_scored_up_to_rounding_and_the_least_error_is_the_best():
    X = np.zeros((3, 1))
    y = np.column_stack([np.full(3, 0.1), np.zeros(3)])
    trained_on = Block(np.zeros((2, 1)), np.array([[0.0, 5.0], [2.0, 5.0]]))
    validation = Validation([Block(X, y)], trained_on)
    for intercepts, expected in (((3.0, 1.0), 0.0), ((2.0, 2.0), 0.0), ((0.1 + 1e-17, 0.0), 1.0), ((0.2, 0.1), 0.0)):
        coef = np.array([[0.0, intercept] for intercept in intercepts])
        np.testing.assert_array_equal(validation.score(coef), expected)
    np.testing.assert_array_equal(validation.best_coef[:, 1], [0.1 + 1e-17, 0.0])
    np.testing.assert_array_equal(validation.unit, [1.0, 0.0])  # the variances of what is trained on
    with np.errstate(all="raise"):
        Validation([Block(X, y + 1e300)], trained_on)


def test_a_line_has_what_is_known(capsys):
    X, y, _ = make_problem(1)
    block = Block(X, y[:, None])
    monitor = Monitor(10, "name", Validation([block], block), n_before=8)
    coef = np.zeros((1, 8))
    for loss, gap in ((123.456789, np.nan), (1e-7, 0.0123), (2.0, 1e-9)):
        monitor.record(coef, np.array([loss]), gap)
    monitor.end("because")
    lines = capsys.readouterr().out.splitlines()
    score = f"validation R2 {monitor.validation.scores[0]:.5f}"
    for line, words in zip(
        lines,
        (
            ["pass    9 ", "loss 123.457 ", score],
            ["pass   10 ", "loss 1e-07 ", score, "gap 1.2e-02"],
            ["pass   11 ", "loss 2 ", score, "gap 1.0e-09"],
            ["ended after pass 11: because"],
        ),
        strict=True,
    ):
        assert line.startswith("name: ")
        assert all(word in line for word in words), line
    assert "gap" not in lines[0]
    assert len({line.index("loss") for line in lines[:3]}) == len({line.index("validation") for line in lines[:3]}) == 1


def test_without_a_name_nothing_is_printed(capsys):
    monitor = Monitor(10)
    monitor.record(np.zeros((1, 8)), np.ones(1))
    with monitor.telling_of_compilation():
        monitor.end("because")
    assert capsys.readouterr().out == ""


def test_the_watch_is_called_after_each_pass_and_ends_the_fit():
    seen = []

    def watch(monitor):
        seen.append((monitor.n_passes, monitor.coef[0, 0], monitor.loss_curve[-1]))
        return monitor.n_passes == 2

    monitor = Monitor(10, watch=watch)
    assert monitor.record(np.full((1, 2), 5.0), np.ones(1))
    assert not monitor.is_stopped
    assert not monitor.record(np.full((1, 2), 6.0), np.zeros(1))
    assert monitor.is_stopped
    assert seen == [(1, 5.0, 1.0), (2, 6.0, 0.0)]


@pytest.mark.parametrize("keeps_best", [False, True])
def test_the_model_is_the_last_one_or_the_best(keeps_best):
    X, y, _ = make_problem(2)
    block = Block(X, y[:, None])
    monitor = Monitor(10, validation=Validation([block], block), keeps_best=keeps_best)
    good, bad = np.append(np.zeros(7), y.mean())[None], np.full((1, 8), 1e3)
    for coef in (good, bad):
        monitor.record(coef, np.ones(1))
    np.testing.assert_array_equal(monitor.model, good if keeps_best else bad)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"solver": "normal_equation"}, "solved, factorization cholesky"),
        ({"solver": "normal_equation", "positive": True}, "solved, factorization non_negative"),
        ({}, "converged, gap "),
        ({"loss": "huber", "max_iter": 2}, "max_iter=2"),
        ({"tol": None, "max_iter": 3}, "max_iter=3"),
        ({"eta0": 0.01, "n_iter_no_change": 4}, "no progress for 4 epochs"),
        ({"early_stopping": True, "n_iter_no_change": 3}, "early stopping, no better score for 3 epochs"),
    ],
    ids=str,
)
def test_the_last_line_says_why_a_fit_has_ended(options, reason, capsys):
    X, y, _ = make_problem(3)
    model = MiniBatchSGDRegressor(**{"solver": "numba", "random_state": 0, "verbose": 1} | options)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The stopping rule")
        model.fit(X, y)
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith(f"{model.solver_}: ended after pass {model.n_iter_}: {reason}")


def test_it_also_says_so_of_streams_and_sources(capsys):
    X, y, _ = make_problem(4)
    model = MiniBatchSGDRegressor(solver="numba", random_state=0, verbose=1)
    for _ in range(2):
        model.partial_fit(X, y)
    assert capsys.readouterr().out.splitlines()[-1] == "numba: ended after pass 2: rows come once"
    model.fit_source([(X, y)])
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith(f"numba: ended after pass {model.n_iter_}: converged, gap ")


def test_the_first_compilation_is_told_before_it_begins(capsys):
    numba = pytest.importorskip("numba")
    if numba.config.DISABLE_JIT:
        pytest.skip("nothing is compiled")
    printed = []

    def told_so_far():
        printed.append(capsys.readouterr().out)

    square, cube = numba.njit(lambda x: x * x), numba.njit(lambda x: x * x * x)
    with Monitor(1, "numba").telling_of_compilation():
        for function in (square, square, cube):
            function(2.0)
            told_so_far()
    cube(2)
    told_so_far()
    assert printed == ["numba: compiling kernels, once for this kind of data, takes some seconds\n", "", "", ""]
