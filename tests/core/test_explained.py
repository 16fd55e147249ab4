"""R2 from sums over blocks."""

from functools import reduce

import numpy as np
import pytest
from sklearn.metrics import r2_score

from sgdlinreg._core.blocks import Block
from sgdlinreg._core.explained import Explained

from ..helpers import make_problem


@pytest.mark.parametrize("n_targets", [1, 3])
@pytest.mark.parametrize("exponents", [(0, 0, 0, 0), (3, -2, 0, 5)])
def test_r2_is_that_of_scikit_learn(n_targets, exponents):
    X, y, weight = make_problem(0, n_targets=n_targets)
    y, parts = y.reshape(len(y), -1), np.array_split(np.arange(len(y)), 4)
    weight /= weight.max()
    blocks = [Block(X[rows], y[rows], weight[rows], exponent) for rows, exponent in zip(parts, exponents, strict=True)]
    coef = np.random.default_rng(1).standard_normal((n_targets, 8))
    whole = np.concatenate([2.0**exponent * weight[rows] for rows, exponent in zip(parts, exponents, strict=True)])
    expected = r2_score(y, X @ coef[:, :-1].T + coef[:, -1], sample_weight=whole)
    assert reduce(Explained.add, blocks, Explained(coef)).score == pytest.approx(expected, rel=1e-12)
    halves = [reduce(Explained.add, half, Explained(coef)) for half in (blocks[:1], blocks[1:])]
    assert halves[0].merge(halves[1]).score == pytest.approx(expected, rel=1e-12)


def test_constant_targets_are_explained_or_not():
    block = Block(np.ones((5, 1)), np.full((5, 1), 2.0))
    assert Explained(np.array([[0.0, 2.0]])).add(block).score == 1.0
    assert Explained(np.array([[0.0, 1.0]])).add(block).score == 0.0
