"""What partial_fit, warm starts and merges go on from."""

import numpy as np
import pytest
from sklearn.linear_model import SGDRegressor

from sgdlinreg import MiniBatchSGDRegressor

from ..helpers import SGD_SOLVERS, as_csr, make_problem


def unchanged_by(estimator, match, call):
    before = repr(estimator.__getstate__())
    with np.printoptions(threshold=np.inf), pytest.raises(ValueError, match=match):
        call()
    assert repr(estimator.__getstate__()) == before


@pytest.mark.filterwarnings("ignore:The model is worse than the best constant one")
@pytest.mark.parametrize("solver", SGD_SOLVERS)
@pytest.mark.parametrize("first", ["fit", "partial_fit", None])
def test_partial_fit_goes_on_from_coefficients_that_were_set(solver, first):
    X, y, _ = make_problem(0, n_rows=64)
    common = {"solver": solver, "eta0": 1e-3, "shuffle": False, "batch_size": 1, "random_state": 0}
    model = MiniBatchSGDRegressor(**common)
    other = SGDRegressor(learning_rate="constant", eta0=1e-3, penalty=None, shuffle=False)
    if first:
        getattr(model, first)(X, y)
    other.partial_fit(X, y)
    model.coef_, model.intercept_ = np.arange(7.0), 0.5
    other.coef_, other.intercept_ = np.arange(7.0), np.array([0.5])
    model.partial_fit(X, y)
    other.partial_fit(X, y)
    np.testing.assert_allclose(model.coef_, other.coef_, rtol=1e-12)
    np.testing.assert_allclose(model.intercept_, other.intercept_[0], rtol=1e-12)
    model.intercept_ = 3.0
    other.intercept_ = np.array([3.0])
    model.partial_fit(X, y)
    other.partial_fit(X, y)
    np.testing.assert_allclose(model.coef_, other.coef_, rtol=1e-12)


@pytest.mark.parametrize("solver", SGD_SOLVERS)
def test_federated_averaging_converges(solver):
    X, y, _ = make_problem(1, n_rows=3000)
    shards = [slice(0, 1000), slice(1000, 2000), slice(2000, 3000)]
    best = MiniBatchSGDRegressor().fit(X, y)
    coef, intercept = np.zeros(7), 0.0
    for _ in range(30):
        models = []
        for rows in shards:
            model = MiniBatchSGDRegressor(solver=solver, random_state=0)
            model.coef_, model.intercept_ = coef.copy(), intercept
            models.append(model.partial_fit(X[rows], y[rows]))
        coef = np.mean([model.coef_ for model in models], axis=0)
        intercept = np.mean([model.intercept_ for model in models])
    gap = np.var(X @ (coef - best.coef_) + intercept - best.intercept_) / np.var(y)
    assert gap < 1e-2  # that of steps of constant size; 0.9 from the start


def test_the_closed_form_does_not_go_on_from_coefficients():
    X, y, _ = make_problem(2)
    model = MiniBatchSGDRegressor().partial_fit(X, y)
    model.coef_ = 2.0 * model.coef_
    unchanged_by(model, "was set since the last fit.*solver='numba'", lambda: model.partial_fit(X, y))
    model = MiniBatchSGDRegressor().partial_fit(X, y)
    expected = MiniBatchSGDRegressor().partial_fit(X, y).partial_fit(X, y).coef_
    np.testing.assert_array_equal(model.sparsify().partial_fit(X, y).coef_, expected)  # the same numbers


@pytest.mark.parametrize("solver", SGD_SOLVERS)
def test_after_fit_steps_go_on_from_the_coefficients(solver):
    X, y, _ = make_problem(3, n_rows=4000)
    model = MiniBatchSGDRegressor(solver=solver, random_state=0).fit(X, y)
    steps, score = model.t_, model.score(X, y)
    model.partial_fit(X[:1000], y[:1000])
    assert model.t_ > steps
    assert model.n_samples_seen_ == 5000
    assert score - model.score(X, y) < 0.02


def test_a_warm_start_needs_a_model_of_these_rows():
    X, y, _ = make_problem(4)
    model = MiniBatchSGDRegressor(solver="numba", warm_start=True, random_state=0).fit(X, y)
    unchanged_by(
        model, r"The model does not fit these rows.* 2 columns.*coef_ has shape \(7,\)", lambda: model.fit(X[:, :2], y)
    )
    unchanged_by(model, "2 targets", lambda: model.fit(X, np.column_stack([y, y])))
    model.coef_ = None
    unchanged_by(model, "coef_ or intercept_ of the model is None", lambda: model.fit(X, y))
    model.coef_ = np.full(7, np.nan)
    unchanged_by(model, "must be finite", lambda: model.fit(X, y))


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
@pytest.mark.parametrize("n_models", [1, 2, 5])
@pytest.mark.parametrize("n_targets", [1, 3])
def test_a_merged_model_is_that_of_all_rows(method, n_models, n_targets):
    X, y, weight = make_problem(5, n_targets=n_targets)
    parts = np.array_split(np.arange(len(y)), n_models)
    models = [getattr(MiniBatchSGDRegressor(alpha=0.1), method)(X[p], y[p], weight[p]) for p in parts]
    merged = MiniBatchSGDRegressor.merge(model for model in models)
    whole = MiniBatchSGDRegressor(alpha=0.1).fit(X, y, weight)
    np.testing.assert_allclose(merged.coef_, whole.coef_, rtol=1e-12)
    np.testing.assert_allclose(merged.intercept_, whole.intercept_, rtol=1e-12)
    assert merged.n_samples_seen_ == 301
    assert merged.n_iter_ == n_models
    np.testing.assert_allclose(merged.partial_fit(X, y, weight).coef_, whole.coef_, rtol=1e-12)  # all rows twice


def test_merging_keeps_standard_errors_and_names():
    pandas = pytest.importorskip("pandas")
    X, y, weight = make_problem(6)
    frame = pandas.DataFrame(X, columns=list("abcdefg"))
    whole = MiniBatchSGDRegressor().fit(frame, y, weight)
    models = [
        MiniBatchSGDRegressor().partial_fit(frame[p], y[p], weight[p])
        for p in (slice(5), slice(5, 200), slice(200, 301))
    ]
    for order in (models, models[::-1]):  # the first has fewer rows than columns
        merged = MiniBatchSGDRegressor.merge(order)
        np.testing.assert_allclose(merged.coef_std_error_, whole.coef_std_error_, rtol=1e-10)
        assert list(merged.feature_names_in_) == list("abcdefg")
    wide = [MiniBatchSGDRegressor().partial_fit(X[p], y[p]) for p in (slice(3), slice(3, 6))]
    np.testing.assert_allclose(MiniBatchSGDRegressor.merge(wide).coef_, MiniBatchSGDRegressor().fit(X[:6], y[:6]).coef_)
    sparse = MiniBatchSGDRegressor().partial_fit(as_csr(X[200:]), y[200:])
    dense = MiniBatchSGDRegressor().partial_fit(X[:200].astype(np.float32), y[:200])
    assert MiniBatchSGDRegressor.merge([sparse, dense]).coef_.dtype == np.float64


def test_models_that_cannot_be_merged():
    X, y, _ = make_problem(7)
    one = MiniBatchSGDRegressor().partial_fit(X, y)
    other = MiniBatchSGDRegressor
    for models, match in [
        ([], "models is empty"),
        ([one, other()], "Model 1 has kept no sums"),
        ([one, other(solver="numba", random_state=0).fit(X, y)], "Model 1 has kept no sums"),
        ([other().fit(X[:4], y[:4]), one], "Model 0 has kept no sums"),
        ([one, other(alpha=1.0).fit(X, y)], "alpha of model 1 is 1.0, of the first one 0.0"),
        ([one, other(fit_intercept=False).fit(X, y)], "fit_intercept of model 1"),
        ([one, other().fit(X[:, :3], y)], "n_features_in_ of model 1 is 3"),
        ([one, other().fit(X, np.column_stack([y, y]))], "number of targets"),
    ]:
        with pytest.raises(ValueError, match=match):
            MiniBatchSGDRegressor.merge(models)


def test_coefficients_that_were_set_predict_and_are_checked():
    X, y, _ = make_problem(8)
    model = MiniBatchSGDRegressor(solver="numba")
    model.coef_ = np.ones(7)
    with pytest.raises(ValueError, match="coef_ or intercept_ of the model is None"):
        model.partial_fit(X, y)
    model.intercept_ = 1.0
    np.testing.assert_allclose(model.predict(X), X.sum(axis=1) + 1.0)
    with pytest.raises(ValueError, match="standard errors, and this fit has none"):
        model.predict(X, return_std=True)
    for coef, match in ((None, "is None"), (np.ones(3), r"coef_ has shape \(3,\)"), (np.full(7, np.nan), "not finite")):
        model.coef_ = coef
        with pytest.raises(ValueError, match=match):
            model.predict(X)
    one = MiniBatchSGDRegressor().fit(X, y)
    one.coef_ = 0.0 * one.coef_
    with pytest.raises(ValueError, match="of model 1 was set since its last fit"):
        MiniBatchSGDRegressor.merge([MiniBatchSGDRegressor().fit(X, y), one])
