import numpy as np
import pytest

from sgdlinreg import _ordering
from sgdlinreg._ordering import CACHE_BYTES, LONG_ROW_BYTES, WINDOW_ROWS

BLOCK_ROWS, WINDOW_BLOCKS = 16, WINDOW_ROWS // 16

LARGE = 3 * BLOCK_ROWS * WINDOW_BLOCKS * 10 + 7
BIG_ROW = CACHE_BYTES / LARGE + 1


def epoch_order(n_rows, row_bytes, shuffle, rng):
    return _ordering.epoch_order(n_rows, row_bytes, shuffle, rng).rows(0, n_rows)


@pytest.mark.parametrize("shuffle", [True, "full", False])
@pytest.mark.parametrize("n_rows", [1, 2, 301, 4096, 8191, 8192, LARGE])
@pytest.mark.parametrize("row_bytes", [8, BIG_ROW, LONG_ROW_BYTES])
def test_every_row_once_and_reproducible(shuffle, n_rows, row_bytes):
    order = epoch_order(n_rows, row_bytes, shuffle, np.random.default_rng(0))
    np.testing.assert_array_equal(np.sort(order), np.arange(n_rows))
    np.testing.assert_array_equal(order, epoch_order(n_rows, row_bytes, shuffle, np.random.default_rng(0)))
    if not shuffle:
        np.testing.assert_array_equal(order, np.arange(n_rows))


def test_two_levels_read_in_windows_of_blocks():
    order = epoch_order(LARGE, BIG_ROW, True, np.random.default_rng(0))
    window = LARGE // BLOCK_ROWS // 30 * BLOCK_ROWS
    for start in range(0, 29 * window, window):
        blocks, counts = np.unique(order[start : start + window] // BLOCK_ROWS, return_counts=True)
        assert len(blocks) >= WINDOW_BLOCKS
        np.testing.assert_array_equal(counts, BLOCK_ROWS)
    assert LARGE - 29 * window >= window  # what is left over makes the last window longer, never shorter


def test_windows_have_the_same_share_of_every_part_of_the_data():
    order = epoch_order(LARGE, BIG_ROW, True, np.random.default_rng(0))
    window = LARGE // BLOCK_ROWS // 30 * BLOCK_ROWS
    means = order[: 29 * window].reshape(29, window).mean(axis=1) / LARGE
    assert means.std() < 1e-3  # of blocks at random 1 / sqrt(12 * 256) = 2e-2
    assert abs(means.mean() - 0.5) < 1e-3


def test_every_block_gets_into_every_window_with_the_same_probability():
    n_blocks, n_windows, n_draws = 37, 5, 4000
    n_strata = n_blocks // n_windows
    stratum = np.searchsorted(np.arange(1, n_strata + 1) * n_blocks // n_strata, np.arange(n_blocks), side="right")
    width = np.bincount(stratum)[stratum]
    counts, meetings = np.zeros((n_windows, n_blocks)), 0
    for seed in range(n_draws):
        dealt = _ordering._deal(n_blocks, n_windows, np.random.default_rng(seed))
        np.testing.assert_array_equal(np.sort(dealt), np.arange(n_blocks))
        windows = dealt[: n_strata * n_windows].reshape(n_windows, n_strata)
        np.testing.assert_array_equal(stratum[windows], np.tile(np.arange(n_strata), (n_windows, 1)))
        np.add.at(counts, (np.arange(n_windows)[:, None], windows), 1)
        meetings += any({0, 20, 36} <= set(window) for window in windows.tolist())
    expected = n_draws / width
    assert (np.abs(counts - expected) < 5 * np.sqrt(expected)).all()
    together = n_draws * n_windows / (width[0] * width[20] * width[36])
    assert abs(meetings - together) < 4 * np.sqrt(together)


def test_blocks_among_many_rows_are_longer(monkeypatch):
    assert _ordering.MANY_ROWS == 1 << 24
    monkeypatch.setattr(_ordering, "MANY_ROWS", LARGE)
    order = epoch_order(LARGE, BIG_ROW, True, np.random.default_rng(0))
    np.testing.assert_array_equal(np.sort(order), np.arange(LARGE))
    blocks, counts = np.unique(order[:WINDOW_ROWS] // 64, return_counts=True)
    np.testing.assert_array_equal(counts, 64)
    assert len(np.unique(np.diff(blocks))) > 10  # from everywhere


@pytest.mark.parametrize("many_rows", [1 << 24, LARGE])
def test_blocks_of_rows_with_heavy_tails_are_shorter(monkeypatch, many_rows):
    monkeypatch.setattr(_ordering, "MANY_ROWS", many_rows)
    order = _ordering.epoch_order(LARGE, BIG_ROW, True, np.random.default_rng(0), heavy_tailed=True)
    rows = order.rows(0, LARGE)
    np.testing.assert_array_equal(np.sort(rows), np.arange(LARGE))
    blocks, counts = np.unique(rows[:WINDOW_ROWS] // 8, return_counts=True)
    np.testing.assert_array_equal(counts, 8)
    assert len(blocks) == WINDOW_ROWS // 8


def test_batches_of_two_levels_mix_rows_from_everywhere():
    order = epoch_order(LARGE, BIG_ROW, True, np.random.default_rng(0))
    batches = order[: len(order) // 32 * 32].reshape(-1, 32)
    spread = batches.mean(axis=1).std() / LARGE
    assert spread < 1.2 / np.sqrt(12 * 32)  # of means of 32 independent uniform draws, plus a fifth


def test_full_differs_from_two_levels_only_on_large_data():
    small = [epoch_order(301, 8, kind, np.random.default_rng(0)) for kind in (True, "full")]
    np.testing.assert_array_equal(*small)
    large = [epoch_order(LARGE, BIG_ROW, kind, np.random.default_rng(0)) for kind in (True, "full")]
    assert not np.array_equal(*large)


def test_few_dense_rows_in_the_cache_are_permuted():
    def is_permutation(n_rows, row_bytes, grouped=False):
        order = _ordering.epoch_order(n_rows, row_bytes, True, np.random.default_rng(0), grouped=grouped)
        return np.array_equal(order.rest, np.random.default_rng(0).permutation(n_rows))

    few = _ordering.FEW_WINDOWS * WINDOW_ROWS
    assert is_permutation(few - 1, 16)
    assert not is_permutation(few, 16)
    assert not is_permutation(few - 1, 16, grouped=True)
    assert is_permutation(2 * WINDOW_ROWS - 1, 800)
    assert not is_permutation(2 * WINDOW_ROWS, 800)  # beyond the cache


def test_blocks_of_small_sparse_data_are_spread_over_all_rows():
    n_rows = 20 * WINDOW_ROWS + 5
    order = _ordering.epoch_order(n_rows, 72, True, np.random.default_rng(0), grouped=True).rows(0, n_rows)
    np.testing.assert_array_equal(np.sort(order), np.arange(n_rows))
    batches = order[: len(order) // 32 * 32].reshape(-1, 32)
    groups = np.sort(batches // 25, axis=1)  # like rows in groups of 25 neighbours
    pairs = (groups[:, 1:] == groups[:, :-1]).sum(axis=1).mean()
    assert pairs < 1.2 * 32 * 31 / 2 * 24 / n_rows  # as many as chance brings together


@pytest.mark.parametrize("grouped", [False, True])
@pytest.mark.parametrize("n_rows", [100, LARGE])
def test_any_part_of_an_order_can_be_looked_up(n_rows, grouped):
    chosen = np.random.default_rng(1).permutation(2 * n_rows)[:n_rows]
    row_bytes = 10 if grouped else BIG_ROW
    order = _ordering.epoch_order(n_rows, row_bytes, True, np.random.default_rng(0), chosen, grouped)
    whole = order.rows(0, n_rows)
    assert order.n_rows == n_rows
    np.testing.assert_array_equal(np.sort(whole), np.sort(chosen))
    for start in range(0, n_rows, n_rows // 7):
        stop = min(start + n_rows // 5, n_rows)
        np.testing.assert_array_equal(order.rows(start, stop), whole[start:stop])


@pytest.mark.parametrize("n_rows", [100, LARGE])
def test_the_compiled_kernel_looks_up_the_same_rows(n_rows):
    lookup_numba = pytest.importorskip("sgdlinreg._solvers.lookup_numba")
    from numba import njit

    look_up = njit(lookup_numba.look_up_group)
    permutation = np.random.default_rng(1).permutation(n_rows)
    for chosen, row_bytes, grouped in ((None, BIG_ROW, False), (permutation, BIG_ROW, False), (permutation, 10, True)):
        order = _ordering.epoch_order(n_rows, row_bytes, True, np.random.default_rng(0), chosen, grouped)
        span, rows = np.zeros(2, np.intp), np.empty(1024, np.intp)
        for start in range(0, n_rows, 150):
            count = min(150, n_rows - start)
            found, _ = look_up(order, start, count, n_rows, span, rows)
            np.testing.assert_array_equal(rows[found : found + count], order.rows(start, start + count))
