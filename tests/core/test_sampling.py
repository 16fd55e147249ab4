"""Samples that stand for all rows, drawn block by block."""

from dataclasses import replace
from functools import cache, reduce

import numpy as np
import pytest
from scipy import sparse
from scipy.stats import hypergeom

from sgdlinreg._core.blocks import CSR, Block, as_scipy
from sgdlinreg._core.sampling import MOST_ROWS, Reservoir, rows_of_largest, sample_size

from ..helpers import as_csr

N_ROWS, N_RANDOM, N_LARGEST = 60, 20, 5
CUTS = {
    "one block": [],
    "three blocks": [7, 30],
    "the reservoir is full before the end of a block": [15, 30],
    "single rows": list(range(1, N_ROWS)),
    "a single row at last": [N_ROWS - 1],
}


def numbered(n_rows=N_ROWS, weight=None):
    """A block whose y is the number of the row."""
    numbers = np.arange(float(n_rows))
    return Block(np.column_stack([numbers, numbers**2]), numbers[:, None], weight)


def part_of(block, rows):
    X = block.X
    if isinstance(X, CSR):
        cut = as_scipy(X)[rows]
        X = CSR(cut.data, cut.indices, cut.indptr, X.n_features)
    else:
        X = X[rows]
    return Block(X, block.y[rows], None if block.sample_weight is None else block.sample_weight[rows])


def draw(block, norms, cuts, seed, n_random=N_RANDOM, n_largest=N_LARGEST):
    reservoir, rng = Reservoir(n_random, n_largest), np.random.default_rng(seed)
    for rows in np.split(np.arange(block.n_rows), cuts):
        rows = slice(rows[0], rows[-1] + 1)
        reservoir = reservoir.add(part_of(block, rows), norms[rows], rng)
    return reservoir.sample()


def draw_shares(block, norms, cuts, seed, n_random=N_RANDOM, n_largest=N_LARGEST):
    """The same from parts that draw by themselves, and are joined in a tree."""
    rng, parts = np.random.default_rng(seed), np.split(np.arange(block.n_rows), cuts)
    shares = Reservoir(n_random, n_largest).shares([len(rows) for rows in parts], rng)
    joined = [
        share.add(part_of(block, rows), norms[rows], one)
        for share, rows, one in zip(shares, parts, rng.spawn(len(parts)), strict=True)
    ]
    while len(joined) > 1:
        joined = [reduce(Reservoir.merge, joined[start : start + 3]) for start in range(0, len(joined), 3)]
    return joined[0].sample()


def numbers_in(sample):
    return sample.block.y[:, 0].astype(int)


@cache
def drawn(cuts, draw=draw, n_draws=600):
    """Numbers of the rows of many samples without the largest ones, (n_draws, N_RANDOM)."""
    block, norms = numbered(), np.ones(N_ROWS)
    samples = [draw(block, norms, CUTS[cuts], seed, n_largest=0) for seed in range(n_draws)]
    assert not any(sample.complete for sample in samples)
    return np.array([numbers_in(sample) for sample in samples])


@pytest.mark.parametrize("draw", [draw, draw_shares])
@pytest.mark.parametrize("cuts", CUTS)
def test_every_row_is_as_likely(cuts, draw):
    numbers = drawn(cuts, draw)
    assert np.all(np.diff(np.sort(numbers, axis=1), axis=1) > 0)
    counts, expected = np.bincount(numbers.ravel(), minlength=N_ROWS), numbers.size / N_ROWS
    # a sum of squares of N_ROWS - 1 independent normal numbers, about
    freedom = N_ROWS - 1
    statistic = np.square(counts - expected).sum() / (expected * (1.0 - N_RANDOM / N_ROWS)) * freedom / N_ROWS
    assert abs(statistic - freedom) < 4.0 * np.sqrt(2.0 * freedom)


@pytest.mark.parametrize("draw", [draw, draw_shares])
@pytest.mark.parametrize("cuts", CUTS)
def test_parts_are_as_frequent_as_in_a_draw_from_all_rows(cuts, draw):
    found = np.count_nonzero(drawn(cuts, draw) < 30, axis=1)
    mean, std = hypergeom.stats(N_ROWS, 30, N_RANDOM)[0], hypergeom.std(N_ROWS, 30, N_RANDOM)
    assert abs(found.mean() - mean) < 4.0 * std / np.sqrt(len(found))
    assert abs(found.std() / std - 1.0) < 4.0 / np.sqrt(2.0 * len(found))


@pytest.mark.parametrize("draw", [draw, draw_shares])
@pytest.mark.parametrize("cuts", CUTS)
def test_second_moment_is_unbiased(cuts, draw):
    rng = np.random.default_rng(0)
    X = rng.standard_t(2.5, (N_ROWS, 3))
    block, norms = Block(X, np.arange(float(N_ROWS))[:, None], None), np.square(X).sum(axis=1)
    moments = []
    for seed in range(600):
        sample = draw(block, norms, CUTS[cuts], seed)
        assert sample.importance.sum() == pytest.approx(1.0, rel=1e-12)
        moments.append((sample.block.X.T * sample.importance) @ sample.block.X)
    error = np.std(moments, axis=0) / np.sqrt(len(moments))
    assert error.min() > 0.0
    assert np.all(np.abs(np.mean(moments, axis=0) - X.T @ X / N_ROWS) < 4.5 * error)


@pytest.mark.parametrize("draw", [draw, draw_shares])
@pytest.mark.parametrize("cuts", CUTS)
def test_largest_rows_are_kept_and_stand_for_themselves(cuts, draw):
    norms = np.random.default_rng(1).permutation(N_ROWS).astype(float)
    largest = set(np.argsort(norms)[-N_LARGEST:])
    for seed in range(20):
        sample = draw(numbered(), norms, CUTS[cuts], seed)
        numbers = numbers_in(sample)
        assert len(set(numbers)) == len(numbers) <= N_RANDOM + N_LARGEST
        assert largest <= set(numbers)
        is_large = np.isin(numbers, list(largest))
        np.testing.assert_allclose(sample.importance[is_large], 1.0 / N_ROWS, rtol=1e-12)
        others = (1.0 - N_LARGEST / N_ROWS) / np.count_nonzero(~is_large)
        np.testing.assert_allclose(sample.importance[~is_large], others, rtol=1e-12)


@pytest.mark.parametrize("draw", [draw, draw_shares])
@pytest.mark.parametrize("cuts", CUTS)
@pytest.mark.parametrize("n_random", [N_ROWS, N_ROWS + 1, 1000])
def test_small_data_are_taken_whole(cuts, n_random, draw):
    weight = np.random.default_rng(2).uniform(0.5, 2.0, N_ROWS)
    sample = draw(numbered(weight=weight), np.ones(N_ROWS), CUTS[cuts], 0, n_random)
    assert sample.complete
    np.testing.assert_array_equal(numbers_in(sample), np.arange(N_ROWS))
    np.testing.assert_array_equal(sample.block.sample_weight, weight)
    np.testing.assert_allclose(sample.importance, weight / weight.sum(), rtol=1e-13)


def test_shares_are_in_proportion_to_the_weights():
    weight = np.random.default_rng(3).uniform(0.5, 2.0, N_ROWS)
    sample = draw(numbered(weight=weight), np.arange(float(N_ROWS)), [30], 0)
    numbers = numbers_in(sample)
    np.testing.assert_array_equal(sample.block.sample_weight, weight[numbers])
    factor = sample.importance / weight[numbers]
    large = numbers >= N_ROWS - N_LARGEST
    assert np.ptp(factor[large]) < 1e-12
    assert np.ptp(factor[~large]) < 1e-12
    assert factor[~large][0] / factor[large][0] == pytest.approx((N_ROWS - N_LARGEST) / np.count_nonzero(~large))
    assert sample.as_block().total_weight == pytest.approx(len(numbers), rel=1e-12)


def test_sparse_rows_are_drawn_as_dense_ones():
    X = np.random.default_rng(4).standard_normal((N_ROWS, 4))
    X[np.abs(X) < 0.7] = 0.0
    csr = as_csr(X)
    dense = Block(X, np.arange(float(N_ROWS))[:, None], None)
    thin = replace(dense, X=CSR(csr.data, csr.indices, csr.indptr, 4))
    norms = np.square(X).sum(axis=1)
    for cuts in CUTS.values():
        one, other = draw(dense, norms, cuts, 0), draw(thin, norms, cuts, 0)
        assert isinstance(other.block.X, CSR)
        np.testing.assert_array_equal(as_scipy(other.block.X).toarray(), one.block.X)
        np.testing.assert_array_equal(other.importance, one.importance)


def test_dense_and_sparse_blocks_make_a_dense_sample():
    X = np.random.default_rng(5).standard_normal((N_ROWS, 2))
    csr = sparse.csr_array(X[30:])
    rng, norms = np.random.default_rng(0), np.ones(30)
    reservoir = Reservoir(N_RANDOM, N_LARGEST).add(Block(X[:30], np.arange(30.0)[:, None], None), norms, rng)
    before = reservoir.sample()
    second = Block(CSR(csr.data, csr.indices, csr.indptr, 2), np.arange(30.0, 60.0)[:, None], None)
    sample = reservoir.add(second, norms, rng).sample()
    np.testing.assert_array_equal(sample.block.X, X[numbers_in(sample)])
    assert np.any(numbers_in(sample) >= 30)
    again = reservoir.sample()  # adding leaves the old one as it was
    for one, other in (
        (again.rows, before.rows),
        (again.block.y, before.block.y),
        (again.importance, before.importance),
    ):
        np.testing.assert_array_equal(one, other)


def test_float32_rows_are_kept_in_float64():
    block = replace(numbered(), X=np.arange(2.0 * N_ROWS, dtype=np.float32).reshape(N_ROWS, 2))
    sample = draw(block, np.ones(N_ROWS), [], 0)
    assert sample.block.X.dtype == np.float64
    np.testing.assert_array_equal(sample.block.X, block.X[numbers_in(sample)])


def test_sample_grows_with_the_columns():
    assert [sample_size(n_features) for n_features in (1, 512, 513, 1024)] == [4096, 4096, 4104, 8192]


@pytest.mark.parametrize("n_largest", [1, 3, 40, 600])
def test_rows_of_largest_are_those_of_a_sort(n_largest):
    norms = np.random.default_rng(6).permutation(600).astype(float)
    np.testing.assert_array_equal(rows_of_largest(norms, n_largest), np.sort(np.argsort(norms)[-n_largest:]))


def test_rows_of_equal_norm_are_told_apart_by_their_place():
    rng = np.random.default_rng(0)
    norms = np.repeat([7.0, 2.0, 3.0], 200)
    rounded = norms * (1.0 + 1e-14 * rng.normal(size=600))
    assert len(set(rounded)) > 100
    np.testing.assert_array_equal(rows_of_largest(rounded, 20), rows_of_largest(norms, 20))
    assert list(rows_of_largest(norms, 200)) == list(range(200))


def test_of_more_rows_than_numpy_draws_from_shares_are_in_proportion():
    shares = Reservoir(1000, 0).shares([2 * MOST_ROWS, MOST_ROWS, 3], np.random.default_rng(0))
    drawn = [share.n_random for share in shares]
    assert sum(drawn) == 1000
    assert drawn[0] == pytest.approx(2000 / 3, abs=5 * np.sqrt(1000 * 2 / 9))
    assert drawn[2] == 0
