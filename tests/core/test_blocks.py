from dataclasses import replace

import numpy as np
import pytest

from sgdlinreg._core.arrays import NUMPY
from sgdlinreg._core.blocks import CSR, Block, as_scipy, panels, part_of, pick_rows, squared, take_rows

from ..helpers import as_csr, make_problem


def blocks(n_rows=301, n_features=7, dtype=np.float64):
    X, y, weight = make_problem(0, n_rows, n_features)
    X = X.astype(dtype)
    sparse = as_csr(X)
    csr = CSR(sparse.data, sparse.indices, sparse.indptr, n_features)
    return Block(X, y[:, None], weight), Block(csr, y[:, None], weight)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_panels_give_every_row_once_in_float64(dtype):
    dense, sparse = blocks(n_rows=NUMPY.panel_bytes // (8 * 7) * 2 + 5, dtype=dtype)
    for block in (dense, sparse):
        parts = list(panels(block))
        stacked = np.vstack([X if isinstance(X, np.ndarray) else X.toarray() for _, X, _ in parts])
        assert stacked.dtype == np.float64
        np.testing.assert_array_equal(stacked, dense.X.astype(np.float64))
        np.testing.assert_array_equal(np.concatenate([w for _, _, w in parts]), block.sample_weight)
    assert len(list(panels(dense))) == 3


def test_panels_are_copies():
    dense, _ = blocks()
    before = dense.X.copy()
    for _, X, _ in panels(dense):
        X *= 0
    np.testing.assert_array_equal(dense.X, before)


def test_dense_and_csr_answer_alike():
    dense, sparse = blocks()
    assert dense.n_features == sparse.n_features == 7
    assert dense.n_rows == sparse.n_rows == 301
    assert dense.dtype == sparse.dtype == np.float64
    rows = np.array([5, 0, 300, 5])
    np.testing.assert_array_equal(take_rows(dense.X, rows), take_rows(sparse.X, rows).toarray())
    np.testing.assert_array_equal(squared(dense.X), squared(as_scipy(sparse.X)).toarray())
    assert dense.total_weight == pytest.approx(dense.sample_weight.sum())
    assert replace(dense, sample_weight=None).total_weight == 301


@pytest.mark.parametrize("rows", [slice(2, 5), np.array([4, 0, 4])])
def test_picked_rows_are_copied_where_they_are_asked_for(rows):
    block = blocks(n_rows=9)[0]
    numbers = np.array([8, 1, 3, 3, 0, 7])
    picked = pick_rows(block, numbers)
    assert picked.X.X is block.X
    assert (picked.n_rows, picked.n_features, picked.dtype) == (6, 7, block.dtype)
    np.testing.assert_array_equal(picked.X[rows], block.X[numbers][rows])
    np.testing.assert_array_equal(picked.y, block.y[numbers])
    part = part_of(picked, rows)
    np.testing.assert_array_equal(np.asarray(part.X), block.X[numbers][rows])
    np.testing.assert_array_equal(part.sample_weight, block.sample_weight[numbers][rows])
    np.testing.assert_array_equal(np.vstack([X for _, X, _ in panels(picked)]), block.X[numbers])


def test_picked_rows_of_csr_are_a_copy():
    block = blocks(n_rows=9)[1]
    picked = pick_rows(block, np.array([8, 1]))
    np.testing.assert_array_equal(as_scipy(picked.X).toarray(), as_scipy(block.X).toarray()[[8, 1]])
