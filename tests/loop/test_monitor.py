"""Scores on validation data."""

import numpy as np
import pytest
from sklearn.metrics import r2_score

from sgdlinreg._core.blocks import CSR, Block
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
