"""fit_source: the same rows in blocks."""

import warnings
from dataclasses import replace

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.metrics import r2_score

from sgdlinreg import MiniBatchSGDRegressor
from sgdlinreg._core.blocks import CSR, Block, join_rows, sample_rows
from sgdlinreg.sources import from_files

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
    with pytest.raises(ValueError, match="early_stopping=True with fit_source needs validation data"):
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


@pytest.mark.parametrize("solver", SGD_SOLVERS)
@pytest.mark.parametrize(
    ("loss", "early_stopping"), [("squared_error", False), ("squared_error", True), ("quantile", True)]
)
def test_validation_on_a_source_is_that_of_fit(solver, loss, early_stopping):
    X, y, weight = make_problem(4, n_rows=480)
    common = {"solver": solver, "loss": loss, "batch_size": 16, "shuffle": False, "max_iter": 9, "average": False}
    if early_stopping:
        common |= {"eta0": 0.01, "early_stopping": True, "n_iter_no_change": 2}
    train, val = slice(320), slice(320, None)
    model, whole = MiniBatchSGDRegressor(**common), MiniBatchSGDRegressor(**common)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit_source(cut(X[train], y[train], weight[train], 5), cut(X[val], y[val], weight[val], 3))
        whole.fit(X[train], y[train], weight[train], X_val=X[val], y_val=y[val], sample_weight_val=weight[val])
    np.testing.assert_allclose(model.validation_scores_, whole.validation_scores_, rtol=1e-6)
    assert model.best_validation_score_ == pytest.approx(whole.best_validation_score_, rel=1e-6)
    np.testing.assert_allclose(model.coef_, whole.coef_, rtol=1e-5)


def test_validation_needs_a_source_that_can_be_read_again():
    X, y, weight = make_problem(4)
    model, blocks = MiniBatchSGDRegressor(solver="numba", random_state=0), cut(X, y, weight, 3)
    for source_val, message in (
        (iter(blocks), "passes over the source more than once, but it is an iterator"),
        ([(X[:, :2], y)], "the validation data: Block 0 of the source.*X has 2 features"),
        ([(X, np.column_stack([y, y]))], "the validation data: Block 0 of the source has 2 targets"),
        (3, "source should be an iterable"),
    ):
        with pytest.raises(ValueError, match=message):
            model.fit_source(blocks, source_val)
        assert not hasattr(model, "coef_")
    assert model.fit_source(blocks, blocks).score(X, y) > 0.9


@pytest.mark.parametrize("n_targets", [1, 2])
@pytest.mark.parametrize("convert", [lambda X: X, as_csr])
def test_scores_and_predictions_over_a_source(convert, n_targets):
    X, y, weight = make_problem(5)
    y = y if n_targets == 1 else np.column_stack([y, np.sin(y)])
    weight = weight * 1e6 ** np.linspace(0.0, 1.0, len(y))  # blocks count in other units
    model = MiniBatchSGDRegressor().fit(X, y)
    blocks = cut(X, y, weight, 7, convert)
    assert model.score_source(blocks) == pytest.approx(r2_score(y, model.predict(X), sample_weight=weight), rel=1e-12)
    assert model.score_source(block for block in blocks) == model.score_source(blocks)
    predictions = np.concatenate(list(model.predict_source((X, None) for X, _, _ in blocks)))
    np.testing.assert_allclose(predictions, model.predict(X), rtol=1e-12)


def test_scores_of_constant_targets_are_those_of_scikit_learn():
    X = np.arange(6.0)[:, None]
    model = MiniBatchSGDRegressor().fit(X, 2.0 * X)
    for y in (2.0 * X, np.full((6, 1), 3.0), np.hstack([2.0 * X, X])[:, 1:]):
        assert model.score_source([(X[:3], y[:3]), (X[3:], y[3:])]) == pytest.approx(r2_score(y, model.predict(X)))


def test_scores_and_predictions_of_wrong_sources():
    X, y, _ = make_problem(6)
    with pytest.raises(NotFittedError):
        MiniBatchSGDRegressor().score_source([(X, y)])
    with pytest.raises(NotFittedError):
        MiniBatchSGDRegressor().predict_source([(X, y)])
    model = MiniBatchSGDRegressor().fit(X, y)
    with pytest.raises(ValueError, match=r"Block 1 of the source.*X has 2 features"):
        model.score_source([(X, y), (X[:, :2], y)])
    with pytest.raises(ValueError, match="The source gave no blocks"):
        model.score_source([])
    with pytest.raises(ValueError, match="has 2 targets, the first one 1"):
        model.score_source([(X, np.column_stack([y, y]))])
    with pytest.raises(ValueError, match=r"Block 0 of the source.*NaN"):
        list(model.predict_source([(np.full_like(X, np.nan), None)]))


def test_a_source_of_other_columns_is_refused(tmp_path):
    pandas = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    X, y, _ = make_problem(7, weighted=False)
    frame = pandas.DataFrame(X, columns=[f"x{i}" for i in range(X.shape[1])]).assign(y=y)
    frame.to_parquet(tmp_path / "a.parquet")
    names = [name for name in frame if name != "y"]
    model = MiniBatchSGDRegressor().fit(frame[names], y)
    source = from_files(tmp_path / "a.parquet", target="y")
    assert model.score_source(source) == pytest.approx(model.score(frame[names], y), rel=1e-12)
    turned = from_files(tmp_path / "a.parquet", target="y", features=names[::-1])
    for method in (model.score_source, model.predict_source):
        with pytest.raises(ValueError, match=r"The source has the columns .* but the fit had .*in the same order"):
            method(turned)
    fitted = MiniBatchSGDRegressor().fit_source(turned)
    assert list(fitted.feature_names_in_) == names[::-1]
    np.testing.assert_allclose(fitted.coef_[::-1], model.coef_, rtol=1e-10)
    with pytest.raises(ValueError, match="The source has the columns"):
        MiniBatchSGDRegressor(solver="numba").fit_source(turned, source)
