"""Fits of collections of Dask: the models of the same rows in memory."""

import pickle
import warnings

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.metrics import r2_score

from sgdlinreg import MiniBatchSGDRegressor

from .helpers import RTOL, make_problem

dask = pytest.importorskip("dask")
da = pytest.importorskip("dask.array")
dd = pytest.importorskip("dask.dataframe")
pd = pytest.importorskip("pandas")
from sgdlinreg.dask import DaskMiniBatchSGDRegressor  # noqa: E402

PENALTIES = [
    {},
    {"alpha": 0.1},
    {"penalty": "l1", "alpha": 0.1},
    {"penalty": "elasticnet", "alpha": 0.2, "l1_ratio": 0.3},
    {"positive": True},
    {"positive": True, "alpha": 0.1},
    {"fit_intercept": False},
]
OTHER_LOSSES = ["huber", "squared_epsilon_insensitive", "epsilon_insensitive", "quantile"]


@pytest.fixture(autouse=True)
def in_this_thread():
    """Tasks run one after the other in the thread of the test, so that their warnings are errors as well."""
    with dask.config.set(scheduler="synchronous"):
        yield


def chunked(array, *cuts):
    """An Array with chunks between some rows, which may be empty."""
    bounds = [0, *cuts, len(array)]
    chunks = (tuple(np.diff(bounds).tolist()), *((size,) for size in array.shape[1:]))
    return da.from_array(array, chunks=chunks)


def of_unknown_sizes(array):
    """An Array that does not know how many rows its chunks have, whose chunks have uneven and empty parts left."""
    keep = da.from_array(np.ones(len(array), bool), chunks=array.chunks[0])
    return array[keep]


def framed(X, y, weight, n_parts):
    """A frame of all, and its parts X, y and weights."""
    data = pd.DataFrame(X, columns=[f"c{i}" for i in range(X.shape[1])])
    columns = list(data.columns)
    frame = dd.from_pandas(data.assign(y=y, w=weight), npartitions=n_parts)
    return frame[columns], frame["y"], frame["w"]


def assert_same(model, expected, rtol=1e-12):
    scale = np.abs(expected.coef_).max()
    np.testing.assert_allclose(model.coef_, expected.coef_, rtol=rtol, atol=rtol * scale)
    np.testing.assert_allclose(model.intercept_, expected.intercept_, rtol=rtol, atol=rtol * scale)


@pytest.mark.parametrize("parameters", PENALTIES)
@pytest.mark.parametrize("n_targets", [1, 3])
def test_the_closed_form_is_that_of_rows_in_memory(parameters, n_targets):
    X, y, weight = make_problem(0, n_rows=3000, n_targets=n_targets)
    expected = MiniBatchSGDRegressor(**parameters).fit(X, y, weight)
    data = chunked(X, 5, 5, 900, 907, 2000), chunked(y, 1000), chunked(weight, 1, 1500)
    model = DaskMiniBatchSGDRegressor(**parameters).fit(*data)
    assert_same(model, expected)
    assert (model.solver_, model.n_samples_seen_) == ("normal_equation", 3000)
    assert model.factorization_ == expected.factorization_
    assert model.coef_.dtype == np.float64


@pytest.mark.parametrize("seed", range(20))
def test_any_chunks_give_the_same(seed):
    rng = np.random.default_rng(seed)
    n_rows, n_features = int(rng.integers(1, 400)), int(rng.integers(1, 12))
    X, y, weight = make_problem(seed, n_rows=n_rows, n_features=n_features)
    weight[rng.random(n_rows) < 0.1] = 0.0
    weight[0] = 1.0
    parameters = PENALTIES[seed % len(PENALTIES)]
    rows = np.sort(rng.integers(0, n_rows + 1, rng.integers(0, 12)))
    columns = tuple(np.diff([0, *np.unique(rng.integers(1, n_features, 2)), n_features])) if n_features > 1 else (1,)
    dX = chunked(X, *rows).rechunk({1: columns})
    model = DaskMiniBatchSGDRegressor(**parameters).fit(dX, da.from_array(y, chunks=17), da.from_array(weight))
    expected = MiniBatchSGDRegressor(**parameters).fit(X, y, weight)
    assert_same(model, expected, rtol=1e-10)
    assert model.n_samples_seen_ == np.count_nonzero(weight)


@pytest.mark.parametrize("loss", ["squared_error", "huber"])
def test_frames_and_unknown_sizes(loss):
    X, y, weight = make_problem(1, n_rows=1000)
    expected = MiniBatchSGDRegressor(loss=loss, tol=1e-9, random_state=0).fit(X, y, weight)
    parameters = {"loss": loss} if loss == "squared_error" else {"loss": loss, "tol": 1e-9, "random_state": 0}
    frames = framed(X, y, weight, 7)
    arrays = [of_unknown_sizes(chunked(values, 3, 3, 500)) for values in (X, y, weight)]
    mixed = frames[0].to_dask_array(), frames[1], frames[2]
    for data in (frames, arrays, mixed):
        model = DaskMiniBatchSGDRegressor(**parameters).fit(*data)
        assert_same(model, expected, rtol=1e-12 if loss == "squared_error" else 1e-5)
        assert model.n_samples_seen_ == 1000
    model = DaskMiniBatchSGDRegressor(**parameters).fit(*frames)
    assert list(model.feature_names_in_) == [f"c{i}" for i in range(7)]


@pytest.mark.parametrize("parameters", PENALTIES)
@pytest.mark.parametrize("loss", OTHER_LOSSES)
def test_other_losses_end_at_the_optimum(loss, parameters):
    X, y, weight = make_problem(2, n_rows=6000)
    given = {"loss": loss, "epsilon": 0.3, "quantile": 0.7 if loss == "quantile" else 0.5, "random_state": 0}
    given |= {"tol": 1e-7, **parameters}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # what neither reaches is compared all the same
        expected = MiniBatchSGDRegressor(**given).fit(X, y, weight)
        data = chunked(X, 5, 5, 900, 3907), chunked(y, 1000), chunked(weight, 1, 1500)
        model = DaskMiniBatchSGDRegressor(**given).fit(*data)
    assert model.solver_ == "numba"
    losses = [_objective(one, X, y, weight) for one in (model, expected)]
    assert losses[0] <= losses[1] * (1.0 + 1e-6)
    assert losses[0] == pytest.approx(model.loss_curve_[-1], rel=1e-6)


def _objective(model, X, y, weight):
    from sgdlinreg._core.blocks import Block
    from sgdlinreg._edge.parameters import objective_of

    coef = np.append(model.coef_, model.intercept_)[None]
    return float(objective_of(model).value(coef, Block(X, y[:, None], weight))[0])


def test_several_targets_of_another_loss():
    X, y, _ = make_problem(3, n_rows=900, n_targets=2)
    model = DaskMiniBatchSGDRegressor("huber", tol=1e-9, random_state=0).fit(chunked(X, 300), chunked(y, 500))
    assert_same(model, MiniBatchSGDRegressor("huber", tol=1e-9, random_state=0).fit(X, y), rtol=1e-6)


@pytest.mark.filterwarnings("ignore:max_iter, tol")
@pytest.mark.parametrize("parameters", [{}, {"alpha": 0.1}, {"penalty": "l1", "alpha": 0.1}])
def test_gradients_of_the_squared_error_end_at_the_closed_form(parameters):
    X, y, weight = make_problem(4, n_rows=9000)
    data = chunked(X, 2000, 2100), chunked(y, 5000), chunked(weight)
    model = DaskMiniBatchSGDRegressor(solver="numba", tol=1e-12, random_state=0, **parameters).fit(*data)
    expected = MiniBatchSGDRegressor(solver="normal_equation", **parameters).fit(X, y, weight)
    assert_same(model, expected, rtol=1e-6)
    assert model.optimality_gap_ < 1e-12
    assert len(model.loss_curve_) == model.n_iter_ < 20


def test_many_features_take_gradients():
    rng = np.random.default_rng(5)
    X = rng.standard_normal((2500, 2100)).astype(np.float32)
    y = X[:, :5].sum(axis=1) + 0.1 * rng.standard_normal(2500)
    model = DaskMiniBatchSGDRegressor(alpha=0.1, random_state=0).fit(chunked(X, 1000), chunked(y))
    expected = MiniBatchSGDRegressor(solver="normal_equation", alpha=0.1).fit(X, y)
    assert (model.solver_, model.coef_.dtype) == ("numba", np.float32)
    np.testing.assert_allclose(model.coef_, expected.coef_, atol=1e-3)


@pytest.mark.parametrize("n_rows", [1, 4, 30])
@pytest.mark.parametrize("parameters", [{"alpha": 0.1}, {}, {"penalty": "l1", "alpha": 0.01}])
def test_fewer_rows_than_columns(n_rows, parameters):
    X, y, weight = make_problem(6, n_rows=n_rows, n_features=31)
    cuts = np.minimum([1, 1, 3], n_rows)
    model = DaskMiniBatchSGDRegressor(**parameters).fit(chunked(X, *cuts), chunked(y), chunked(weight))
    expected = MiniBatchSGDRegressor(**parameters).fit(X, y, weight)
    assert_same(model, expected, rtol=1e-9)
    assert model.factorization_ == expected.factorization_


@pytest.mark.parametrize(("degree", "offset", "name"), [(8, 1e3, "cholesky"), (11, 0.0, "qr")])
def test_collinear_columns_are_refined(degree, offset, name):
    rng = np.random.default_rng(7)
    X = np.linspace(0.0, 1.0, 5000)[:, None] ** np.arange(1, degree + 1) + offset
    y = X.sum(axis=1) + rng.standard_normal(5000)
    expected = MiniBatchSGDRegressor().fit(X, y)
    model = DaskMiniBatchSGDRegressor().fit(chunked(X, 100, 100, 3000), chunked(y))
    assert model.factorization_ == expected.factorization_ == name
    assert model.n_refinements_ == expected.n_refinements_ > 1
    assert_same(model, expected, rtol=1e-10)


def test_dependent_columns_have_the_least_norm():
    X, y, weight = make_problem(8, n_rows=800)
    X = np.column_stack([X, X[:, 0] + X[:, 1], np.ones(800)])
    expected = MiniBatchSGDRegressor().fit(X, y, weight)
    model = DaskMiniBatchSGDRegressor().fit(chunked(X, 400), chunked(y), chunked(weight))
    assert model.rank_ == expected.rank_ == 7
    assert_same(model, expected, rtol=1e-10)
    with pytest.raises(ValueError, match="linearly dependent"):
        model.summary()


def test_weights_of_very_different_partitions():
    X, y, weight = make_problem(9, n_rows=600)
    weight[200:] *= 2.0**-60
    weight[400:] *= 2.0**50
    data = chunked(X, 200, 400), chunked(y, 200, 400), chunked(weight, 200, 400)
    assert_same(DaskMiniBatchSGDRegressor().fit(*data), MiniBatchSGDRegressor().fit(X, y, weight), rtol=1e-10)
    huber = {"loss": "huber", "tol": 1e-9, "random_state": 0}
    model, expected = DaskMiniBatchSGDRegressor(**huber).fit(*data), MiniBatchSGDRegressor(**huber).fit(X, y, weight)
    assert_same(model, expected, rtol=1e-5)


def test_float32_and_integers():
    X, y, weight = make_problem(10, n_rows=2000)
    for dtype in (np.float32, np.int64):
        cast = (10.0 * X).astype(dtype)
        model = DaskMiniBatchSGDRegressor().fit(chunked(cast, 700), chunked(y), chunked(weight))
        expected = MiniBatchSGDRegressor().fit(cast, y, weight)
        assert model.coef_.dtype == expected.coef_.dtype
        assert_same(model, expected, rtol=RTOL[model.coef_.dtype])
        predictions = model.predict(chunked(cast, 700))
        assert predictions.dtype == predictions.compute().dtype == expected.predict(cast).dtype


def test_frames_of_mixed_types_are_those_of_memory():
    X, y, _ = make_problem(11, n_rows=300, n_features=3)
    data = pd.DataFrame({"a": X[:, 0].astype(np.float32), "b": (5 * X[:, 1]).astype(int), "c": X[:, 2] > 0})
    model = DaskMiniBatchSGDRegressor().fit(dd.from_pandas(data, npartitions=3), dd.from_pandas(pd.Series(y), 3))
    assert_same(model, MiniBatchSGDRegressor().fit(data, y))


def test_standard_errors_and_summary():
    X, y, weight = make_problem(12, n_rows=500)
    model = DaskMiniBatchSGDRegressor().fit(chunked(X, 100), chunked(y), chunked(weight))
    expected = MiniBatchSGDRegressor().fit(X, y, weight)
    np.testing.assert_allclose(model.coef_std_error_, expected.coef_std_error_, rtol=1e-12)
    np.testing.assert_allclose(model.intercept_std_error_, expected.intercept_std_error_, rtol=1e-12)
    np.testing.assert_allclose(model.coef_covariance_, expected.coef_covariance_, rtol=1e-10)
    np.testing.assert_allclose(model.residual_std_, expected.residual_std_, rtol=1e-12)
    assert model.summary().aic == pytest.approx(expected.summary().aic, rel=1e-12)


@pytest.mark.parametrize("n_targets", [1, 2])
def test_predictions_and_scores_are_lazy(n_targets):
    X, y, weight = make_problem(13, n_rows=400, n_targets=n_targets)
    dX, dy, dweight = chunked(X, 100, 100), chunked(y, 300), chunked(weight)
    model = DaskMiniBatchSGDRegressor().fit(dX, dy, dweight)
    expected = MiniBatchSGDRegressor().fit(X, y, weight)
    for rows in (dX, dX.rechunk({1: 3})):
        predictions = model.predict(rows)
        assert isinstance(predictions, da.Array)
        assert (predictions.shape, predictions.chunks[0]) == (y.shape, dX.chunks[0])
        np.testing.assert_allclose(predictions.compute(), expected.predict(X), rtol=1e-12)
    unknown = model.predict(of_unknown_sizes(dX))
    np.testing.assert_allclose(unknown.compute(), expected.predict(X), rtol=1e-12)
    score = model.score(dX, dy, dweight)
    assert isinstance(score, da.Array)
    assert score.shape == ()
    assert float(score) == pytest.approx(r2_score(y, expected.predict(X), sample_weight=weight), rel=1e-10)
    assert float(model.score(dX, dy)) == pytest.approx(expected.score(X, y), rel=1e-10)


def test_predictions_of_frames_have_their_index():
    X, y, weight = make_problem(14, n_rows=90)
    dX, dy, dweight = framed(X, y, weight, 4)
    model = DaskMiniBatchSGDRegressor().fit(dX, dy, dweight)
    predictions = model.predict(dX)
    assert isinstance(predictions, dd.Series)
    found = predictions.compute()
    assert found.index.equals(dX.compute().index)
    np.testing.assert_allclose(found, MiniBatchSGDRegressor().fit(X, y, weight).predict(X), rtol=1e-12)
    both = dd.concat([dy, 2.0 * dy], axis=1)
    both.columns = ["y", "z"]
    several = DaskMiniBatchSGDRegressor().fit(dX, both).predict(dX)
    assert isinstance(several, dd.DataFrame)
    assert several.compute().shape == (90, 2)
    with pytest.raises(ValueError, match="feature names should match"):
        model.predict(dX[["c1", "c0", "c2", "c3", "c4", "c5", "c6"]])


def test_models_go_to_memory_and_back():
    X, y, weight = make_problem(15, n_rows=200)
    model = DaskMiniBatchSGDRegressor(alpha=0.1, verbose=0).fit(chunked(X, 50), chunked(y), chunked(weight))
    local = model.to_local()
    assert isinstance(local, MiniBatchSGDRegressor)
    assert local.get_params()["alpha"] == 0.1
    assert np.array_equal(local.coef_, model.coef_)
    more = local.partial_fit(X[:20], y[:20], weight[:20])
    expected = MiniBatchSGDRegressor(alpha=0.1).fit(X, y, weight).partial_fit(X[:20], y[:20], weight[:20])
    assert_same(more, expected, rtol=1e-10)
    assert not np.array_equal(more.coef_, model.coef_)
    back = DaskMiniBatchSGDRegressor.from_local(local)
    assert back.get_params() == model.get_params()
    assert np.array_equal(back.predict(chunked(X)).compute(), local.predict(X))
    steps = MiniBatchSGDRegressor(solver="torch", tol=None, batch_size=3, alpha=0.2)
    steps.coef_, steps.intercept_, steps.n_features_in_ = local.coef_, local.intercept_, 7
    made = DaskMiniBatchSGDRegressor.from_local(steps)
    assert (made.solver, made.tol, made.alpha) == ("auto", 1e-3, 0.2)
    made.fit(chunked(X), chunked(y))
    for method in (DaskMiniBatchSGDRegressor().to_local, lambda: DaskMiniBatchSGDRegressor.from_local(clone(local))):
        with pytest.raises(NotFittedError):
            method()


def test_it_is_an_estimator_like_others():
    X, y, _ = make_problem(16, n_rows=100)
    model = DaskMiniBatchSGDRegressor("huber", epsilon=0.5, alpha=0.1)
    assert repr(model) == "DaskMiniBatchSGDRegressor(alpha=0.1, epsilon=0.5, loss='huber')"
    assert clone(model).set_params(alpha=0.2).get_params() == {**model.get_params(), "alpha": 0.2}
    fitted = model.fit(chunked(X, 30), chunked(y))
    loaded = pickle.loads(pickle.dumps(fitted))
    assert np.array_equal(loaded.coef_, fitted.coef_)
    fitted.set_params(loss="squared_error", alpha=0.0).fit(chunked(X, 30), chunked(y))
    assert fitted.factorization_ == "cholesky"
    fitted.set_params(loss="huber").fit(chunked(X, 30), chunked(y))
    assert not hasattr(fitted, "factorization_")  # nothing is left of another fit
    assert "DaskMiniBatchSGDRegressor" in fitted._repr_html_()


def test_errors_leave_the_estimator_as_it_was():
    X, y, _ = make_problem(17, n_rows=100)
    model = DaskMiniBatchSGDRegressor().fit(chunked(X, 30), chunked(y))
    before = model.coef_
    with pytest.raises(ValueError, match="X has 100 rows, y 99"):
        model.fit(chunked(X, 30), chunked(y[1:]))
    with pytest.raises(ValueError, match="'alpha' parameter of DaskMiniBatchSGDRegressor must be"):
        clone(model).set_params(alpha=-1.0).fit(chunked(X), chunked(y))
    with pytest.raises(ValueError, match="'tol' parameter"):
        clone(model).set_params(tol=None).fit(chunked(X), chunked(y))
    with pytest.raises(ValueError, match="cannot minimise loss='huber'; use solver='numba'"):
        model.set_params(loss="huber", solver="normal_equation").fit(chunked(X), chunked(y))
    assert model.coef_ is before
    with pytest.raises(ValueError, match=r"X has 5 features, but .* is expecting 7"):
        model.predict(chunked(X[:, :5]))
    with pytest.raises(ValueError, match="y has 2 targets, but the model was fitted with 1"):
        model.score(chunked(X), chunked(np.column_stack([y, y])))
    for method in (lambda m: m.predict(chunked(X)), lambda m: m.score(chunked(X), chunked(y)), lambda m: m.summary()):
        with pytest.raises(NotFittedError):
            method(DaskMiniBatchSGDRegressor())


@pytest.mark.parametrize("loss", ["squared_error", "huber"])
@pytest.mark.parametrize("name", ["X", "y", "sample_weight"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_the_partition_with_a_missing_value_is_named(loss, name, value):
    X, y, weight = make_problem(18, n_rows=100)
    data = {"X": X, "y": y, "sample_weight": weight}
    data[name][61] = value
    with pytest.raises(ValueError, match=f"partition 2: Input {name} contains {'NaN' if value != value else 'inf'}"):
        DaskMiniBatchSGDRegressor(loss).fit(*(chunked(values, 30, 60) for values in data.values()))


def test_partitions_without_rows_to_fit():
    X, y, weight = make_problem(19, n_rows=100)
    for loss in ("squared_error", "huber"):
        with pytest.raises(ValueError, match="There are no rows of positive weight"):
            DaskMiniBatchSGDRegressor(loss).fit(chunked(X, 30), chunked(y, 30), chunked(0.0 * weight, 30))
        with pytest.raises(ValueError, match="There are no rows of positive weight"):
            DaskMiniBatchSGDRegressor(loss).fit(chunked(X[:0]), chunked(y[:0]))
        weight[:60] = 0.0
        model = DaskMiniBatchSGDRegressor(loss).fit(chunked(X, 30), chunked(y, 30), chunked(weight, 30))
        assert model.n_samples_seen_ == 40


def test_too_few_passes_are_a_warning():
    X, y, _ = make_problem(20, n_rows=9000)
    with pytest.warns(ConvergenceWarning, match="max_iter=2"):
        model = DaskMiniBatchSGDRegressor("huber", max_iter=2, random_state=0).fit(chunked(X, 5000), chunked(y))
    assert model.n_iter_ == 2
    assert model.optimality_gap_ > 0.0


def test_a_seed_makes_it_reproducible():
    X, y, weight = make_problem(21, n_rows=20_000)
    data = chunked(X, 5000, 12_000), chunked(y), chunked(weight)
    models = [DaskMiniBatchSGDRegressor("huber", random_state=seed).fit(*data) for seed in (0, 0, 1)]
    assert np.array_equal(models[0].coef_, models[1].coef_)
    assert not np.array_equal(models[0].coef_, models[2].coef_)


def test_lines_of_passes(capsys):
    X, y, _ = make_problem(22, n_rows=100)
    model = DaskMiniBatchSGDRegressor("huber", verbose=1, random_state=0).fit(chunked(X, 30), chunked(y))
    lines = capsys.readouterr().out.splitlines()
    assert len([line for line in lines if "gap" in line and "pass" in line]) >= model.n_iter_
    DaskMiniBatchSGDRegressor(verbose=2).fit(chunked(X, 30), chunked(y))  # without a cluster there is no bar
    assert "normal_equation: pass    1" in capsys.readouterr().out


def test_threads_give_the_same():
    X, y, weight = make_problem(23, n_rows=3000)
    data = chunked(X, 500, 900, 901, 2000), chunked(y), chunked(weight)
    for loss in ("squared_error", "huber"):
        expected = DaskMiniBatchSGDRegressor(loss, random_state=0).fit(*data)
        with dask.config.set(scheduler="threads"):
            model = DaskMiniBatchSGDRegressor(loss, random_state=0).fit(*data)
        assert np.array_equal(model.coef_, expected.coef_)


def test_sparse_chunks():
    sparse = pytest.importorskip("scipy.sparse")
    X, y, _ = make_problem(24, n_rows=400)
    X[X < 1.0] = 0.0
    parts = chunked(X, 100, 300).map_blocks(sparse.csr_array)
    csr = sparse.csr_array(X)
    assert_same(DaskMiniBatchSGDRegressor().fit(parts, chunked(y)), MiniBatchSGDRegressor().fit(csr, y))
    huber = {"loss": "huber", "tol": 1e-9, "random_state": 0}
    model = DaskMiniBatchSGDRegressor(**huber).fit(parts, chunked(y))
    assert_same(model, MiniBatchSGDRegressor(**huber).fit(csr, y), rtol=1e-5)
