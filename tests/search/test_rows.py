"""Rows of folds are views where they can be, and panels where not."""

import tracemalloc

import numpy as np
import pytest
from scipy import sparse

from sgdlinreg._core.blocks import as_scipy
from sgdlinreg._search import rows as module
from sgdlinreg._search.rows import RowsInMemory, RowsOfSource

from ..helpers import block_of, make_problem


@pytest.mark.parametrize("is_sparse", [False, True])
@pytest.mark.parametrize("numbers", [np.arange(10, 90), np.r_[0:20, 50:101], np.arange(100)[::3], np.array([7, 7, 3])])
def test_blocks_give_the_rows(numbers, is_sparse, monkeypatch):
    monkeypatch.setattr(module, "MOST_RUNS", 2)
    monkeypatch.setattr(module, "GATHERED_BYTES", 1)
    X, y, weight = make_problem(0, n_rows=101)
    block = block_of(X, y, weight, sparse=is_sparse)
    parts = list(RowsInMemory(block).blocks(numbers))
    found = [as_scipy(part.X).toarray() if is_sparse else part.X for part in parts]
    np.testing.assert_array_equal(np.vstack(found), X[numbers])
    np.testing.assert_array_equal(np.vstack([part.y for part in parts])[:, 0], y[numbers])
    np.testing.assert_array_equal(np.concatenate([part.sample_weight for part in parts]), block.sample_weight[numbers])


@pytest.mark.parametrize("is_sparse", [False, True])
def test_neighbours_are_views(is_sparse):
    X, y, _ = make_problem(1, n_rows=101)
    block = block_of(X, y, sparse=is_sparse)
    values = block.X.data if is_sparse else block.X
    for part in RowsInMemory(block).blocks(np.r_[0:20, 50:101]):
        assert np.shares_memory(part.X.data if is_sparse else part.X, values)


def test_other_rows_are_copied_in_panels(monkeypatch):
    monkeypatch.setattr(module, "GATHERED_BYTES", 1 << 18)
    X = np.random.default_rng(0).standard_normal((40_000, 50))
    rows = RowsInMemory(block_of(X, X[:, 0]))
    numbers = np.random.default_rng(1).permutation(40_000)
    tracemalloc.start()
    rows.moments([numbers])
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < X.nbytes / 2


def test_a_source_is_read_once_for_all_sets():
    X, y, weight = make_problem(2)
    blocks = [block_of(X[part], y[part], weight[part]) for part in np.array_split(np.arange(301), 6)]
    reads = []

    def read():
        reads.append(1)
        return iter(blocks)

    rows = RowsOfSource(read)
    found = rows.moments([np.array([0, 3]), np.arange(6)])
    assert len(reads) == 1
    assert [moments.n_rows for moments in found] == [len(blocks[0].y) + len(blocks[3].y), 301]
    assert [len(block.y) for block in rows.blocks(np.array([1, 4, 4]))] == [len(blocks[k].y) for k in (1, 4, 4)]
    assert sparse.issparse(as_scipy(block_of(X, y, sparse=True).X))
