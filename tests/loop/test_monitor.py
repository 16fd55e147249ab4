"""Scores on validation data."""

import numpy as np
import pytest
from sklearn.metrics import d2_pinball_score, mean_pinball_loss, r2_score

from sgdlinreg._core.blocks import CSR, Block
from sgdlinreg._core.objective import Quantile
from sgdlinreg._loop.monitor import Validation

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
    validation = Validation(block, block)
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
    validation = Validation(Block(X, y, weight), Block(X, y, weight), Quantile(0.2))
    coef = np.random.default_rng(1).standard_normal((2, 8))
    theirs = {"sample_weight": weight, "alpha": 0.2, "multioutput": "raw_values"}
    prediction = X @ coef[:, :-1].T + coef[:, -1]
    np.testing.assert_allclose(validation.score(coef), d2_pinball_score(y, prediction, **theirs), rtol=1e-6)
    constant = Validation(Block(X, np.full((301, 1), 0.1)), Block(X, y[:, :1]), Quantile(0.2))
    assert constant.score(np.append(np.zeros(7), 0.1)[None])[0] == 1.0
    assert constant.score(np.append(np.zeros(7), 0.2)[None])[0] == 0.0
    assert constant.unit[0] == pytest.approx(loss_of_constant(y[:, 0], 0.2))


def loss_of_constant(y, quantile):
    return mean_pinball_loss(y, np.full(len(y), np.quantile(y, quantile)), alpha=quantile)


def test_constant_targets_are_scored_up_to_rounding_and_the_least_error_is_the_best():
    X = np.zeros((3, 1))
    y = np.column_stack([np.full(3, 0.1), np.zeros(3)])
    trained_on = Block(np.zeros((2, 1)), np.array([[0.0, 5.0], [2.0, 5.0]]))
    validation = Validation(Block(X, y), trained_on)
    for intercepts, expected in (((3.0, 1.0), 0.0), ((2.0, 2.0), 0.0), ((0.1 + 1e-17, 0.0), 1.0), ((0.2, 0.1), 0.0)):
        coef = np.array([[0.0, intercept] for intercept in intercepts])
        np.testing.assert_array_equal(validation.score(coef), expected)
    np.testing.assert_array_equal(validation.best_coef[:, 1], [0.1 + 1e-17, 0.0])
    np.testing.assert_array_equal(validation.unit, [1.0, 0.0])  # the variances of what is trained on
    with np.errstate(all="raise"):
        Validation(Block(X, y + 1e300), trained_on)
