"""The order of rows in an epoch."""

import numpy as np
import pytest

from sgdlinreg import MiniBatchSGDRegressor
from sgdlinreg._solvers.sgd import epoch
from sgdlinreg._solvers.sgd.row_order import BLOCK_ROWS, WINDOW_ROWS, epoch_order

from ..helpers import SGD_SOLVERS, make_problem, missing_of

LARGE = 5 * WINDOW_ROWS + 1007


def pieces_of(n_rows, batch_size, shuffle, seed=0):
    return list(epoch_order(n_rows, batch_size, shuffle, np.random.default_rng(seed)))


@pytest.mark.parametrize("shuffle", [True, "blocks", False])
@pytest.mark.parametrize("n_rows", [1, 2, 63, 64, 301, 4096, WINDOW_ROWS, LARGE])
@pytest.mark.parametrize("batch_size", [1, 10, 32, 100_000])
def test_every_row_once_in_whole_batches(shuffle, n_rows, batch_size):
    pieces = pieces_of(n_rows, batch_size, shuffle)
    order = np.concatenate(pieces)
    assert order.dtype == np.int32
    np.testing.assert_array_equal(np.sort(order), np.arange(n_rows))
    np.testing.assert_array_equal(order, np.concatenate(pieces_of(n_rows, batch_size, shuffle)))
    assert all(len(piece) % batch_size == 0 for piece in pieces[:-1])
    window = max(batch_size, WINDOW_ROWS // batch_size * batch_size)
    assert len(pieces) == (1 if shuffle is True else -(-n_rows // window))
    if not shuffle:
        np.testing.assert_array_equal(order, np.arange(n_rows))
    elif n_rows > 100:
        assert not np.array_equal(order, np.concatenate(pieces_of(n_rows, batch_size, shuffle, seed=1)))


def test_true_is_a_permutation_without_neighbours():
    order = pieces_of(LARGE, 32, True)[0]
    assert np.count_nonzero(np.abs(np.diff(order)) < BLOCK_ROWS) < 4 * 2 * BLOCK_ROWS  # by chance 128 in the mean
    assert abs(np.corrcoef(order, np.arange(LARGE))[0, 1]) < 4.0 / np.sqrt(LARGE)


def test_blocks_are_read_whole_and_from_all_over_the_data():
    pieces = pieces_of(LARGE, 32, "blocks")
    n_blocks = WINDOW_ROWS // BLOCK_ROWS
    assert len(pieces) == 6
    for piece in pieces[:-1]:
        assert len(piece) == WINDOW_ROWS
        blocks, counts = np.unique(piece // BLOCK_ROWS, return_counts=True)
        np.testing.assert_array_equal(counts, BLOCK_ROWS)
        # means of n_blocks uniform draws without replacement
        assert abs(piece.mean() / LARGE - 0.5) < 4.0 / np.sqrt(12 * n_blocks)
        assert blocks.std() * BLOCK_ROWS / LARGE == pytest.approx(1 / np.sqrt(12), rel=0.1)


def test_batches_of_blocks_mix_rows_of_their_window():
    piece = pieces_of(LARGE, 32, "blocks")[0]
    batches = np.sort(piece.reshape(-1, 32) // BLOCK_ROWS, axis=1)
    pairs = (batches[:, 1:] == batches[:, :-1]).sum(axis=1).mean()
    by_chance = 32 * 31 / 2 * (BLOCK_ROWS - 1) / (WINDOW_ROWS - 1)
    assert pairs == pytest.approx(by_chance, rel=0.2)


def test_rows_after_the_last_block_are_not_lost():
    for n_rows in (BLOCK_ROWS - 1, 3 * BLOCK_ROWS + 5):
        np.testing.assert_array_equal(np.sort(np.concatenate(pieces_of(n_rows, 7, "blocks"))), np.arange(n_rows))


@pytest.mark.parametrize("solver", SGD_SOLVERS)
def test_memory_maps_are_read_in_blocks(solver, tmp_path, monkeypatch):
    X, y, _ = make_problem(23, n_rows=5000)
    X, y = X[np.argsort(y)], np.sort(y)  # sorted rows: neighbours are alike
    np.save(tmp_path / "X.npy", X)
    mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
    taken = []

    def spy(n_rows, batch_size, shuffle, rng):
        taken.append(shuffle)
        return epoch_order(n_rows, batch_size, shuffle, rng)

    monkeypatch.setattr(epoch, "epoch_order", spy)
    for rows, shuffle, expected in (
        (mapped, True, "blocks"),
        (mapped[::2], True, "blocks"),
        (mapped, False, False),
        (X, True, True),
        (X, "blocks", "blocks"),
        (X, False, False),
    ):
        targets = y[:: len(y) // len(rows)]
        model = MiniBatchSGDRegressor(solver=solver, shuffle=shuffle, random_state=0).fit(rows, targets)
        assert set(taken) == {expected}
        assert missing_of(model, np.array(rows), targets) < 3e-5
        taken.clear()


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_full_is_no_order(method):
    X, y, _ = make_problem(0)
    with pytest.raises(ValueError, match=r"The 'shuffle' parameter of MiniBatchSGDRegressor must be.*'blocks'"):
        getattr(MiniBatchSGDRegressor(shuffle="full"), method)(X, y)
