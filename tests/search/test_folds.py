"""Moments of folds against those of their rows."""

import numpy as np
import pytest
from sklearn.model_selection import (
    KFold,
    LeaveOneOut,
    PredefinedSplit,
    RepeatedKFold,
    ShuffleSplit,
    TimeSeriesSplit,
)

from sgdlinreg._search.folds import Split, folds_of, is_complement
from sgdlinreg._search.rows import RowsInMemory

from ..helpers import block_of, make_problem


class Counting(RowsInMemory):
    """Rows that count how often they are read."""

    n_read = 0

    def blocks(self, numbers):
        self.n_read += len(numbers)
        return super().blocks(numbers)


@pytest.mark.parametrize(
    ("cv", "times"),
    [
        (KFold(5), 1),
        (KFold(7, shuffle=True, random_state=0), 1),
        (RepeatedKFold(n_splits=3, n_repeats=4, random_state=0), 4),
        (PredefinedSplit(np.arange(101) % 6 - 1), 1),
        (LeaveOneOut(), 1),
        (ShuffleSplit(3, test_size=0.6, random_state=0), 3),
        (TimeSeriesSplit(3), 2.5),
    ],
)
def test_folds_are_summed_once_and_merged(cv, times):
    X, y, weight = make_problem(0, n_rows=101)
    X = X + 1e6
    rows = Counting(block_of(X, y, weight))
    weight = rows.block.sample_weight
    splits = [Split(*pair) for pair in cv.split(X)]
    folds = list(folds_of(rows, splits))
    assert rows.n_read <= times * 101
    columns = np.column_stack([X - 1e6, y])
    assert [fold.split for fold in folds] == splits
    for fold in folds:
        for numbers, moments in ((fold.split.train, fold.train), (fold.split.test, fold.test)):
            share = weight[numbers]
            mean = np.average(columns[numbers], axis=0, weights=share)
            centred = columns[numbers] - mean
            assert moments.n_rows == len(numbers)
            assert moments.total_weight == pytest.approx(share.sum(), rel=1e-12)
            found = (moments.mean.high - np.r_[np.full(7, 1e6), 0.0]) + moments.mean.low
            np.testing.assert_allclose(found, mean, atol=1e-8)
            expected = (centred * share[:, None]).T @ centred
            scale = np.sqrt(np.outer(expected.diagonal(), expected.diagonal())) + 1e-300
            products = moments.products * np.outer(moments.unit, moments.unit)
            assert (np.abs(products - expected) / np.maximum(scale, 1e-12)).max() < 1e-8


def test_no_moments_where_rows_are_fewer_than_columns():
    X, y, _ = make_problem(1, n_rows=20, n_features=30)
    folds = list(folds_of(RowsInMemory(block_of(X, y)), [Split(*pair) for pair in KFold(4).split(X)]))
    assert [(fold.train, fold.test) for fold in folds] == [(None, None)] * 4


@pytest.mark.parametrize(
    ("train", "test", "expected"),
    [([0, 1], [2, 3], True), ([0, 1], [2], False), ([0, 1, 2], [2, 3], False), ([0, 0, 1], [2, 3], False)],
)
def test_is_complement(train, test, expected):
    assert is_complement(Split(np.array(train), np.array(test)), 4) == expected
