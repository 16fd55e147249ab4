"""Validation data: early stopping, the best model, scores, and how they reach fit through a Pipeline."""

import numpy as np
import pytest
import sklearn
from sklearn.base import clone
from sklearn.compose import TransformedTargetRegressor
from sklearn.metrics import r2_score
from sklearn.model_selection import GridSearchCV, ShuffleSplit
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from sgdlinreg import MiniBatchSGDRegressor

from .helpers import SGD_SOLVERS, as_csr, epochs_until_stop, make_problem


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.filterwarnings("ignore:R2 on X_val is")  # more noise than signal
@pytest.mark.parametrize("solver", SGD_SOLVERS)
@pytest.mark.parametrize("eta0", ["auto", 0.01])
@pytest.mark.parametrize("n_targets", [1, 2])
@pytest.mark.parametrize("own", [False, True])
def test_the_best_of_all_epochs_is_kept(solver, eta0, n_targets, own):
    X, y, weight = make_problem(0, n_rows=120, n_features=30, n_targets=n_targets, noise=20.0)
    given = {}
    if own:
        X, y, weight, given = X[:90], y[:90], weight[:90], {"X_val": X[90:], "y_val": y[90:]}
        given["sample_weight_val"] = weight[:30]
        train, test = np.arange(90), None
        X_test, y_test, s_test = given["X_val"], given["y_val"], given["sample_weight_val"]
    else:
        train, test = next(ShuffleSplit(1, test_size=0.25, random_state=7).split(X))
        X_test, y_test, s_test = X[test], y[test], weight[test]
    common = {"solver": solver, "eta0": eta0, "batch_size": 16, "random_state": 7}
    common |= {"early_stopping": True, "validation_fraction": 0.25, "n_iter_no_change": 3}
    model = MiniBatchSGDRegressor(**common).fit(X, y, weight, **given)
    k = model.n_iter_
    assert 3 < k < 1000
    assert len(model.validation_scores_) == k
    fits = [
        MiniBatchSGDRegressor(**common | {"max_iter": n, "tol": None}).fit(X, y, weight, **given)
        for n in range(1, k + 1)
    ]
    scores = np.array(
        [
            np.atleast_1d(r2_score(y_test, fit.predict(X_test), sample_weight=s_test, multioutput="raw_values"))
            for fit in fits
        ]
    )
    stops = [epochs_until_stop(-scores[:, t], 1e-3, 3, 1.0) for t in range(n_targets)]
    best = [scores[:stop, t].argmax() for t, stop in enumerate(stops)]
    coef = np.reshape(model.coef_, (n_targets, -1))
    for t in range(n_targets):
        expected = np.reshape(fits[best[t]].coef_, (n_targets, -1))[t]
        np.testing.assert_array_equal(coef[t], expected)
    assert model.best_validation_score_ == pytest.approx(scores[best, range(n_targets)].mean(), rel=1e-10)
    assert model.n_samples_seen_ == len(train)


@pytest.mark.parametrize("solver", SGD_SOLVERS)
def test_without_early_stopping_scores_are_recorded_only(solver):
    X, y, _ = make_problem(1)
    kwargs = {"solver": solver, "random_state": 0}
    plain = MiniBatchSGDRegressor(**kwargs).fit(X[:200], y[:200])
    model = MiniBatchSGDRegressor(**kwargs).fit(X[:200], y[:200], X_val=as_csr(X[200:]), y_val=y[200:])
    np.testing.assert_array_equal(model.coef_, plain.coef_)
    assert len(model.validation_scores_) == model.n_iter_
    assert model.validation_scores_[-1] == pytest.approx(r2_score(y[200:], model.predict(X[200:])), rel=1e-10)
    assert not hasattr(plain, "validation_scores_")
    model.fit(X, y)
    assert not hasattr(model, "validation_scores_")


def test_validation_data_make_auto_take_sgd():
    X, y, _ = make_problem(2)
    assert MiniBatchSGDRegressor(random_state=0).fit(X, y, X_val=X, y_val=y).solver_ == "numba"
    assert MiniBatchSGDRegressor(random_state=0, early_stopping=True).fit(X, y).solver_ == "numba"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"X_val": 1}, "X_val is given without y_val"),
        ({"y_val": 1}, "y_val or sample_weight_val is given without X_val"),
        ({"sample_weight_val": 1}, "y_val or sample_weight_val is given without X_val"),
        ({"X_val": 1, "y_val": 2}, "y_val has 2 targets, but y has 1"),
        ({"X_val": 2, "y_val": 1}, "X has 3 features"),
    ],
)
def test_wrong_validation_data(given, message):
    X, y, _ = make_problem(3)
    values = {"X_val": {1: X, 2: X[:, :3]}, "y_val": {1: y, 2: np.column_stack([y, y])}, "sample_weight_val": {1: y**2}}
    model = MiniBatchSGDRegressor(random_state=0).fit(X, y)
    before = model.coef_
    with pytest.raises(ValueError, match=message):
        model.fit(X, y, **{name: values[name][which] for name, which in given.items()})
    assert model.coef_ is before


def test_early_stopping_is_not_for_partial_fit():
    X, y, _ = make_problem(4)
    with pytest.raises(ValueError, match="early_stopping should be False with partial_fit"):
        MiniBatchSGDRegressor(early_stopping=True).partial_fit(X, y)


def test_too_few_rows_to_set_some_aside():
    with pytest.raises(ValueError, match=r"have 1 rows.*too few.*Use a larger validation_fraction, give X_val"):
        MiniBatchSGDRegressor(early_stopping=True).fit([[1.0]], [1.0])
    with pytest.raises(ValueError, match=r"has no epochs.*early_stopping"):
        MiniBatchSGDRegressor(early_stopping=True, solver="normal_equation").fit([[1.0], [2.0]], [1.0, 2.0])


@pytest.fixture
def routing():
    with sklearn.config_context(enable_metadata_routing=True):
        yield


@pytest.mark.parametrize("transform", [True, False])
def test_validation_data_in_a_pipeline(routing, transform):
    X, y, _ = make_problem(5)
    X = 100.0 + 1e-2 * X
    model = MiniBatchSGDRegressor(solver="numba", random_state=0, early_stopping=True)
    model = model.set_fit_request(X_val=True, y_val=True)
    pipeline = Pipeline([("scale", StandardScaler()), ("fit", model)], transform_input=["X_val"] if transform else None)
    if not transform:
        with pytest.warns(UserWarning, match=r"R2 on X_val is -.*transform_input=\['X_val'\]"):
            pipeline.fit(X[:200], y[:200], X_val=X[200:], y_val=y[200:])
        return
    pipeline.fit(X[:200], y[:200], X_val=X[200:], y_val=y[200:])
    scores = pipeline[-1].validation_scores_
    assert max(scores) == pytest.approx(r2_score(y[200:], pipeline.predict(X[200:])), rel=1e-9)
    assert max(scores) > 0.9


@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("transform", [True, False])
def test_targets_of_the_validation_data_on_another_scale(early_stopping, transform):
    X, y, _ = make_problem(9)
    y = 1e3 + 20.0 * y
    model = MiniBatchSGDRegressor(solver="numba", random_state=0, early_stopping=early_stopping)
    scaler = StandardScaler().fit(y[:200, None])
    model = TransformedTargetRegressor(model, transformer=scaler)
    y_val = scaler.transform(y[200:, None])[:, 0] if transform else y[200:]
    if transform:
        model.fit(X[:200], y[:200], X_val=X[200:], y_val=y_val)
        assert model.regressor_.best_validation_score_ > 0.9
        return
    match = r"R2 on X_val is -.*mean of y_val is 1.*e\+03, that of y -?\d.*TransformedTargetRegressor.*transform y_val"
    with pytest.warns(UserWarning, match=match) as caught:
        model.fit(X[:200], y[:200], X_val=X[200:], y_val=y_val)
    assert len(caught) == 1


def test_every_argument_of_fit_can_be_routed(routing):
    X, y, weight = make_problem(6)
    model = MiniBatchSGDRegressor(solver="numba", random_state=0)
    model = model.set_fit_request(sample_weight=True, coef_init=True).set_score_request(sample_weight=True)
    search = GridSearchCV(model, {"alpha": [0.0, 0.1]}, cv=3).fit(X, y, sample_weight=weight, coef_init=np.zeros(7))
    expected = clone(model).set_params(**search.best_params_).fit(X, y, weight, coef_init=np.zeros(7))
    np.testing.assert_array_equal(search.best_estimator_.coef_, expected.coef_)


@pytest.mark.filterwarnings("ignore:The model is worse than the best constant")  # after a few small steps
@pytest.mark.parametrize("solver", SGD_SOLVERS)
def test_warm_start_carries_coefficients_only(solver):
    X, y, _ = make_problem(7)
    model = MiniBatchSGDRegressor(solver=solver, eta0=0.01, max_iter=3, tol=None, random_state=0, warm_start=True)
    model.fit(X, y)
    coef, intercept, steps, loss = model.coef_, model.intercept_, model.t_, model.loss_curve_[0]
    model.fit(X, y)
    cold = MiniBatchSGDRegressor(solver=solver, eta0=0.01, max_iter=3, tol=None, random_state=0)
    cold.fit(X, y, coef_init=coef, intercept_init=intercept)
    np.testing.assert_array_equal(model.coef_, cold.coef_)
    assert model.t_ == steps
    assert model.loss_curve_[0] < loss


@pytest.mark.parametrize("solver", ["auto", *SGD_SOLVERS])
@pytest.mark.parametrize("n_targets", [1, 2])
def test_sparsify(solver, n_targets):
    X, y, _ = make_problem(8, n_targets=n_targets)
    model = MiniBatchSGDRegressor(solver=solver, random_state=0).fit(X, y)
    dense, expected = model.coef_, model.predict(X)
    model.sparsify()
    np.testing.assert_allclose(model.predict(X), expected, rtol=1e-12)
    model.partial_fit(X, y)
    model.fit(X, y).sparsify().densify()
    np.testing.assert_array_equal(np.ravel(model.coef_), dense.ravel())
