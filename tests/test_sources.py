"""fit_source: the same rows in blocks."""

from dataclasses import replace

import numpy as np
import pytest

from sgdlinreg import MiniBatchSGDRegressor
from sgdlinreg._core.blocks import CSR, Block, join_rows, sample_rows

from .helpers import ALL_SOLVERS, SGD_SOLVERS, as_csr, make_problem


def cut(X, y, weight, n_blocks, convert=lambda X: X):
    return [(convert(X[rows]), y[rows], weight[rows]) for rows in np.array_split(np.arange(len(X)), n_blocks)]


class Reiterable:
    """Reads its blocks anew in every pass, and counts the passes."""

    def __init__(self, blocks):
        self.blocks, self.passes = blocks, 0

    def __iter__(self):
        self.passes += 1
        yield from self.blocks


@pytest.mark.filterwarnings("ignore:The source gives 301 blocks")
@pytest.mark.parametrize("convert", [lambda X: X, as_csr])
@pytest.mark.parametrize("n_blocks", [1, 7, 301])
def test_the_closed_form_is_exact(n_blocks, convert):
    X, y, weight = make_problem(0)
    model = MiniBatchSGDRegressor().fit_source(cut(X, y, weight, n_blocks, convert))
    whole = MiniBatchSGDRegressor().fit(X, y, weight)
    np.testing.assert_allclose(model.coef_, whole.coef_, rtol=1e-12)
    assert model.n_samples_seen_ == 301
    assert model.n_iter_ == 1
    generator = MiniBatchSGDRegressor().fit_source(block for block in cut(X, y, weight, n_blocks, convert))
    np.testing.assert_allclose(generator.coef_, model.coef_, rtol=1e-12)
    assert (model.n_refinements_, generator.n_refinements_) == (1, 0)  # a generator cannot be read again


@pytest.mark.parametrize("solver", SGD_SOLVERS)
def test_plain_steps_are_those_of_fit(solver):
    X, y, _ = make_problem(1, n_rows=320)
    common = {"solver": solver, "eta0": 0.01, "batch_size": 16, "shuffle": False, "max_iter": 4, "tol": None}
    blocks = Reiterable([(X[i : i + 64], y[i : i + 64]) for i in range(0, 320, 64)])
    model = MiniBatchSGDRegressor(**common).fit_source(blocks)
    whole = MiniBatchSGDRegressor(**common).fit(X, y)
    np.testing.assert_allclose(model.coef_, whole.coef_, rtol=1e-12)
    np.testing.assert_allclose(model.loss_curve_, whole.loss_curve_, rtol=1e-9)
    assert model.t_ == whole.t_
    assert model.n_iter_ == 4
    assert blocks.passes == 6  # one to look at the first block, one to measure


@pytest.mark.parametrize("solver", SGD_SOLVERS)
@pytest.mark.parametrize("convert", [lambda X: X, as_csr])
def test_automatic_steps_reach_least_squares(solver, convert):
    X, y, weight = make_problem(2, n_rows=20_000)
    X = 1e3 * X + (0 if convert is as_csr else 1e4)
    model = MiniBatchSGDRegressor(solver=solver, random_state=0).fit_source(cut(X, y, weight, 8, convert))
    best = MiniBatchSGDRegressor().fit(X, y, weight).score(X, y, weight)
    assert best - model.score(X, y, weight) < 1e-3
    assert model.n_iter_ < 100


def test_wrong_sources():
    X, y, _ = make_problem(3)
    model = MiniBatchSGDRegressor(solver="numba", random_state=0).fit(X, y)
    before = dict(vars(model))
    two = np.column_stack([y, y])
    for source, message in (
        (3, "source should be an iterable"),
        ([], "The source gave no blocks"),
        ([(X,)], r"Block 0 of the source should be \(X, y\).*got tuple of length 1"),
        ([X], "Block 0 of the source should be .*got ndarray"),
        (iter([(X, y)]), "passes over the source more than once, but it is an iterator"),
        ([(X, y), (X, two)], "Block 1 of the source has 2 targets, the first one 1"),
        ([(X, y), (X[:, :3], y)], "X has 3 features"),
        ([(X, y), (X * np.nan, y)], "Input X contains NaN"),
    ):
        with pytest.raises(ValueError, match=message):
            model.fit_source(source)
        assert vars(model) == before
    with pytest.raises(ValueError, match="early_stopping should be False with fit_source"):
        MiniBatchSGDRegressor(early_stopping=True).fit_source([(X, y)])


@pytest.mark.parametrize("solver", SGD_SOLVERS)
def test_diverging_steps(solver):
    X, y, weight = make_problem(4)
    with pytest.raises(ValueError, match=r"SGD diverged.*stable range is 0 < eta0 <="):
        MiniBatchSGDRegressor(solver=solver, eta0=1e3, max_iter=3).fit_source(cut(X, y, weight, 3))


@pytest.mark.parametrize("solver", ALL_SOLVERS)
def test_partial_fit_goes_on(solver):
    X, y, weight = make_problem(5, n_rows=2000)
    model = MiniBatchSGDRegressor(solver=solver, random_state=0).fit_source(cut(X[:1600], y[:1600], weight[:1600], 4))
    model.partial_fit(X[1600:], y[1600:], weight[1600:])
    assert model.n_samples_seen_ == 2000
    assert model.score(X, y) > 0.9


def test_sampling_and_joining_rows():
    X, y, weight = make_problem(6)
    sparse = as_csr(X)
    csr = CSR(sparse.data, sparse.indices, sparse.indptr, 7)
    rng = np.random.default_rng(0)
    for matrices in ((X, X), (csr, csr), (X, csr)):
        parts = [sample_rows(Block(matrix, y[:, None], weight), 50, rng) for matrix in matrices]
        joined = join_rows(parts[0], replace(parts[1], sample_weight=None))
        assert joined.n_rows == 100
        assert joined.n_features == 7
        assert (joined.sample_weight[50:] == 1.0).all()
    everything = sample_rows(Block(X, y[:, None], None), 1000, rng)
    np.testing.assert_array_equal(everything.X, X)
    assert join_rows(everything, everything).sample_weight is None


def test_blocks_of_very_different_size():
    rng = np.random.default_rng(0)
    blocks = []
    for _ in range(40):
        X = rng.standard_normal((20, 2))
        blocks.append((X, -3 * X[:, 0] + 0.1 * rng.standard_normal(20)))
    X = rng.standard_normal((100_000, 2))
    blocks.append((X, 3 * X[:, 0] + 10 * rng.standard_normal(100_000)))
    model = MiniBatchSGDRegressor(solver="numba", random_state=0).fit_source(blocks)
    assert model.coef_[0] == pytest.approx(3.0, abs=0.3)
