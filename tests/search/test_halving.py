"""Successive halving, beside scikit-learn's."""

import numpy as np
import pytest
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.model_selection import HalvingGridSearchCV

from sgdlinreg import MiniBatchSGDRegressor, MiniBatchSGDRegressorCV

from ..helpers import make_problem

COMMON = {"loss": "huber", "tol": 1e-8, "random_state": 0}
GRID = {"alpha": [1e-4, 1e-3, 1e-2, 0.1, 1.0, 10.0], "epsilon": [0.3, 1.0, 3.0]}


@pytest.mark.parametrize("min_resources", ["exhaust", 30])
@pytest.mark.parametrize("factor", [2, 3, 2.5])
def test_iterations_are_those_of_scikit_learn(factor, min_resources):
    X, y, _ = make_problem(1, n_rows=301)
    how = {"factor": factor, "min_resources": min_resources, "cv": 3}
    ours = MiniBatchSGDRegressorCV(alphas=GRID["alpha"], epsilon=GRID["epsilon"], **how, **COMMON).fit(X, y)
    theirs = HalvingGridSearchCV(MiniBatchSGDRegressor(**COMMON), GRID, random_state=0, **how).fit(X, y)
    expected = theirs.cv_results_
    np.testing.assert_array_equal(ours.cv_results_["iter"], expected["iter"])
    np.testing.assert_array_equal(ours.cv_results_["n_resources"], expected["n_resources"])
    np.testing.assert_allclose(ours.cv_results_["mean_test_score"], expected["mean_test_score"], atol=1e-6)
    assert ours.cv_results_["params"] == expected["params"]
    assert (ours.best_index_, ours.best_params_) == (theirs.best_index_, theirs.best_params_)
    np.testing.assert_allclose(ours.coef_, theirs.best_estimator_.coef_, rtol=1e-9)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.UndefinedMetricWarning")
def test_the_smallest_first_iteration():
    X, y, _ = make_problem(1, n_rows=301)
    how = {"factor": 3, "min_resources": "smallest", "cv": 3, "scoring": "neg_mean_squared_error"}
    ours = MiniBatchSGDRegressorCV(alphas=GRID["alpha"], epsilon=GRID["epsilon"], **how, **COMMON).fit(X, y)
    theirs = HalvingGridSearchCV(MiniBatchSGDRegressor(**COMMON), GRID, random_state=0, **how).fit(X, y)
    for name in ("iter", "n_resources"):
        np.testing.assert_array_equal(ours.cv_results_[name], theirs.cv_results_[name])


def test_candidates_that_diverge_leave():
    X, y, _ = make_problem(2, n_rows=301)
    search = MiniBatchSGDRegressorCV(alphas=[0.0], eta0=[10.0, 1e-2, 1e-3, 20.0], factor=2, cv=3, random_state=0)
    with pytest.warns(Warning, match="6 of 12 fits failed"):
        search.fit(X, y)
    second = search.cv_results_["iter"] == 1
    assert {one["eta0"] for one in np.array(search.cv_results_["params"])[second]} == {1e-2, 1e-3}
    assert search.best_params_["eta0"] in (1e-2, 1e-3)


def test_one_standard_error_looks_at_the_last_iteration():
    X, y, _ = make_problem(3, n_rows=301)
    search = MiniBatchSGDRegressorCV(alphas=GRID["alpha"], factor=2, refit="one_standard_error", cv=3, **COMMON).fit(
        X, y
    )
    assert search.cv_results_["iter"][search.best_index_] == search.cv_results_["iter"].max() > 0


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"factor": 3}, "Leave factor at None"),
        ({"factor": 1.0, "loss": "huber"}, "'factor' parameter"),
        ({"factor": 2, "loss": "huber", "min_resources": 302}, "at most the number of rows, 301"),
    ],
)
def test_what_is_asked_for_in_vain_is_an_error(parameters, message):
    X, y, _ = make_problem(4, n_rows=301)
    model = MiniBatchSGDRegressorCV(**parameters)
    before = vars(model).copy()
    with pytest.raises(ValueError, match=message):
        model.fit(X, y)
    assert vars(model) == before


def test_the_picture_shows_the_last_iteration():
    pytest.importorskip("matplotlib")
    from sgdlinreg.displays import SearchCurveDisplay

    X, y, _ = make_problem(5, n_rows=301)
    search = MiniBatchSGDRegressorCV(alphas=GRID["alpha"], factor=2, cv=3, **COMMON).fit(X, y)
    last = search.cv_results_["iter"] == search.cv_results_["iter"].max()
    display = SearchCurveDisplay.from_estimator(search)
    assert sorted(display.alphas[0]) == sorted(search.cv_results_["param_alpha"][last])
