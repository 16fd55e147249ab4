"""scikit-learn's tools around the estimator give what they give around LinearRegression, Ridge and Lasso."""

import numpy as np
import pytest
import sklearn
from joblib import parallel_config
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.ensemble import BaggingRegressor, StackingRegressor, VotingRegressor
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.feature_selection import RFECV, SelectFromModel, SequentialFeatureSelector
from sklearn.inspection import partial_dependence, permutation_importance
from sklearn.linear_model import Lasso, LinearRegression, Ridge
from sklearn.model_selection import HalvingGridSearchCV, KFold, cross_validate, learning_curve
from sklearn.multioutput import MultiOutputRegressor, RegressorChain
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, QuantileTransformer, StandardScaler
from sklearn.tree import DecisionTreeRegressor

from sgdlinreg import MiniBatchSGDRegressor

from .helpers import SGD_SOLVERS, SOLVERS, make_problem

EXACT, STEPS = 1e-8, 1e-5
"""Relative tolerances: of the closed form, and of steps and full gradients with tol=1e-10."""


def ours(solver, **parameters):
    return MiniBatchSGDRegressor(
        solver=solver, tol=1e-3 if solver == "normal_equation" else 1e-10, random_state=0, **parameters
    )


def tolerance(solver):
    return EXACT if solver == "normal_equation" else STEPS


def assert_close(found, expected, solver):
    """Compare dicts of arrays: numbers up to the tolerance of the solver, all else exactly."""
    assert list(found) == list(expected)
    for name, values in expected.items():
        if np.asarray(values).dtype.kind == "f":
            scale = np.abs(values).max()
            np.testing.assert_allclose(found[name], values, rtol=0, atol=tolerance(solver) * scale, err_msg=name)
        else:
            np.testing.assert_array_equal(found[name], values, err_msg=name)


def bagged(model, X, y):
    bag = BaggingRegressor(model, n_estimators=15, max_features=0.8, oob_score=True, random_state=0)
    bag.fit(X, y[:, 0])
    return {"predictions": bag.predict(X), "out of bag": bag.oob_prediction_}


def chained(model, X, y):
    chain = RegressorChain(model, order=[2, 0, 1], cv=3).fit(X, y)
    return {"predictions": chain.predict(X)} | {f"coef {i}": one.coef_ for i, one in enumerate(chain.estimators_)}


def column_by_column(model, X, y):
    columns = MultiOutputRegressor(model).fit(X, y)
    return {"predictions": columns.predict(X), "coef": np.array([one.coef_ for one in columns.estimators_])}


def stacked(model, X, y):
    stack = StackingRegressor([("linear", model), ("tree", DecisionTreeRegressor(max_depth=3, random_state=0))], model)
    stack.fit(X, y[:, 0])
    return {"weights": stack.final_estimator_.coef_, "predictions": stack.predict(X)}


def voted(model, X, y):
    vote = VotingRegressor(
        [("linear", model), ("tree", DecisionTreeRegressor(max_depth=3, random_state=0))], weights=[2, 1]
    )
    return {"predictions": vote.fit(X, y[:, 0]).predict(X)}


def with_logarithms(model, X, y):
    logged = TransformedTargetRegressor(model, func=np.log, inverse_func=np.exp).fit(X, np.exp(y[:, 0] / 10))
    return {"predictions": logged.predict(X), "coef": logged.regressor_.coef_}


def with_quantiles(model, X, y):
    quantiles = QuantileTransformer(n_quantiles=50, output_distribution="normal")
    return {"predictions": TransformedTargetRegressor(model, transformer=quantiles).fit(X, y).predict(X)}


def importances(model, X, y):
    found = permutation_importance(model.fit(X, y), X, y, n_repeats=3, random_state=0)
    return {"mean": found.importances_mean, "std": found.importances_std}


def dependence(model, X, y):
    found = partial_dependence(model.fit(X, y[:, 0]), X, [0, 3], kind="both", grid_resolution=5)
    return {"average": found["average"], "individual": found["individual"]}


def selected_forward(model, X, y):
    found = SequentialFeatureSelector(model, n_features_to_select=4, cv=3).fit(X, y)
    return {"support": found.get_support()}


def selected_by_coefficients(model, X, y):
    one, all_targets = SelectFromModel(model).fit(X, y[:, 0]), SelectFromModel(model, threshold="median").fit(X, y)
    return {"one target": one.transform(X), "threshold": one.threshold_, "all": all_targets.get_support()}


def eliminated(model, X, y):
    found = RFECV(model, min_features_to_select=2, cv=3).fit(X, y)
    return {"ranking": found.ranking_, "scores": np.asarray(found.cv_results_["mean_test_score"])}


def learned(model, X, y):
    sizes, train, test = learning_curve(model, X, y, train_sizes=[20, 60, 200], cv=3)
    return {"sizes": sizes, "train": train, "test": test}


def cross_validated(model, X, y):
    found = cross_validate(model, X, y, cv=KFold(3), return_estimator=True, return_train_score=True)
    coefs = {f"coef {i}": one.coef_ for i, one in enumerate(found["estimator"])}
    return coefs | {"test": found["test_score"], "train": found["train_score"]}


TOOLS = [
    bagged,
    chained,
    column_by_column,
    stacked,
    voted,
    with_logarithms,
    with_quantiles,
    importances,
    dependence,
    selected_forward,
    selected_by_coefficients,
    eliminated,
    learned,
    cross_validated,
]


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("tool", TOOLS)
def test_tool(tool, solver):
    X, y, _ = make_problem(0, n_targets=3)
    assert_close(tool(ours(solver), X, y), tool(LinearRegression(), X, y), solver)


@pytest.mark.parametrize("solver", SOLVERS)
def test_select_from_model_drops_what_l1_sets_to_zero(solver):
    X, y, _ = make_problem(1, n_features=9)
    X[:, 6:] = np.random.default_rng(1).standard_normal((301, 3))  # y does not depend on them
    model = SelectFromModel(ours(solver, penalty="l1", alpha=0.3)).fit(X, y)
    reference = SelectFromModel(Lasso(alpha=0.3, tol=1e-10)).fit(X, y)
    assert 0 < reference.get_support().sum() < 9
    np.testing.assert_array_equal(model.get_support(), reference.get_support())
    assert model.threshold_ == reference.threshold_ == 1e-5


@pytest.mark.parametrize("solver", SOLVERS)
def test_halving_grid_search(solver):
    X, y, _ = make_problem(2, noise=5.0)
    grid = {"alpha": [0.001, 0.03, 0.1, 0.3, 1.0, 3.0]}
    found, expected = (
        HalvingGridSearchCV(model, grid, cv=3, min_resources=30, random_state=0, refit=True).fit(X, y)
        for model in (ours(solver, penalty="l1"), Lasso(tol=1e-10))
    )
    assert len(expected.n_resources_) > 1
    assert found.best_params_ == expected.best_params_
    results = [
        {"scores": search.cv_results_["mean_test_score"], "coef": search.best_estimator_.coef_}
        for search in (found, expected)
    ]
    assert_close(*results, solver)


@pytest.mark.parametrize("backend", ["loky", "threading"])
@pytest.mark.parametrize("solver", ["normal_equation", "numba"])
def test_joblib_backends(backend, solver):
    X, y, _ = make_problem(3, n_targets=2)
    expected = cross_validated(ours(solver), X, y) | column_by_column(ours(solver), X, y)
    with parallel_config(backend=backend, n_jobs=2):
        found = cross_validate(ours(solver), X, y, cv=KFold(3), return_estimator=True, return_train_score=True)
        columns = MultiOutputRegressor(ours(solver)).fit(X, y)
    for i, one in enumerate(found["estimator"]):
        np.testing.assert_allclose(one.coef_, expected[f"coef {i}"], rtol=1e-12)
    np.testing.assert_allclose(found["test_score"], expected["test"], rtol=1e-12)
    np.testing.assert_allclose([one.coef_ for one in columns.estimators_], expected["coef"], rtol=1e-12)


def table(library):
    """A data frame with numbers and text, y and weights as columns of the library."""
    frames = pytest.importorskip(library)
    rng = np.random.default_rng(4)
    columns = {
        "area": rng.uniform(20.0, 200.0, 120),
        "rooms": rng.integers(1, 7, 120),
        "city": rng.choice(["Bern", "Lyon", "Turin"], 120),
    }
    price = 3.0 * columns["area"] + 40.0 * columns["rooms"] + 100.0 * (columns["city"] == "Lyon")
    X = frames.DataFrame(columns)
    return X, frames.Series(price + rng.standard_normal(120)), frames.Series(rng.uniform(0.5, 2.0, 120))


def with_columns(model, library):
    """A pipeline that hands a frame of the library to the model."""
    columns = ColumnTransformer(
        [
            ("numbers", StandardScaler(), ["area", "rooms"]),
            ("text", OneHotEncoder(sparse_output=False, drop="first"), ["city"]),
        ]
    )
    return Pipeline([("columns", columns), ("fit", model)]).set_output(transform=library)


@pytest.mark.parametrize("library", ["pandas", "polars"])
@pytest.mark.parametrize("solver", SOLVERS)
def test_frames_through_a_column_transformer(library, solver):
    X, y, weight = table(library)
    model = with_columns(ours(solver), library).fit(X, y, fit__sample_weight=weight)
    reference = with_columns(LinearRegression(), library).fit(X, y, fit__sample_weight=weight)
    assert type(model[:-1].transform(X)).__module__.startswith(library)
    assert list(model[-1].feature_names_in_) == list(model[:-1].get_feature_names_out())
    found, expected = ({"predictions": one.predict(X), "coef": one[-1].coef_} for one in (model, reference))
    assert_close(found, expected, solver)
    assert model.score(X, y, sample_weight=weight) == pytest.approx(reference.score(X, y, sample_weight=weight))


@pytest.fixture
def routing():
    with sklearn.config_context(enable_metadata_routing=True):
        yield


@pytest.mark.parametrize("solver", SGD_SOLVERS)
def test_transform_input_scores_the_rows_that_the_steps_see(solver, routing):
    X, y, _ = make_problem(5)
    X = 1e3 + 10.0 * X
    train, test = slice(0, 200), slice(200, None)
    model = ours(solver).set_fit_request(X_val=True, y_val=True)
    steps = [("scale", StandardScaler()), ("fit", model)]
    pipeline = Pipeline(steps, transform_input=["X_val"]).fit(X[train], y[train], X_val=X[test], y_val=y[test])
    scaled = StandardScaler().fit(X[train])
    alone = ours(solver).fit(scaled.transform(X[train]), y[train], X_val=scaled.transform(X[test]), y_val=y[test])
    assert pipeline[-1].validation_scores_ == alone.validation_scores_
    expected = LinearRegression().fit(X[train], y[train]).score(X[test], y[test])
    assert pipeline[-1].validation_scores_[-1] == pytest.approx(expected, abs=STEPS)


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("weighted", [True, False])
def test_requests_for_weights(solver, weighted, routing):
    X, y, weight = make_problem(6)
    results = []
    for model in (ours(solver, alpha=0.1), Ridge()):
        model.set_fit_request(sample_weight=weighted).set_score_request(sample_weight=True)
        scores = []
        for rows, others in KFold(3).split(X):
            if isinstance(model, Ridge):  # its penalty is not relative to the weights
                model.set_params(alpha=0.1 * (weight[rows].sum() if weighted else len(rows)))
            folds = [(rows, others)]
            found = cross_validate(model, X, y, params={"sample_weight": weight}, cv=folds, return_estimator=True)
            scores.append(found["test_score"][0])
        results.append({"scores": np.array(scores), "coef": found["estimator"][0].coef_})
    assert_close(*results, solver)
