"""What the displays of a search draw, against cv_results_ and fits one by one."""

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sgdlinreg import MiniBatchSGDRegressor, MiniBatchSGDRegressorCV

from .helpers import make_problem

pytest.importorskip("matplotlib")

from matplotlib import pyplot as plt

from sgdlinreg.displays import CoefficientPathDisplay, SearchCurveDisplay


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


def test_search_curve_draws_scores_and_standard_errors():
    X, y, weight = make_problem(0)
    model = MiniBatchSGDRegressorCV(penalty="elasticnet", l1_ratio=[0.5, 1.0], alphas=[0.1, 10.0, 1.0], cv=4)
    display = SearchCurveDisplay.from_estimator(model.fit(X, y, weight), line_kwargs={"lw": 3.0})
    assert display.names == ["l1_ratio=0.5", "l1_ratio=1.0"]
    results, params = model.cv_results_, model.cv_results_["params"]
    for line, fill, l1_ratio in zip(display.lines_, display.fills_, (0.5, 1.0), strict=True):
        numbers = sorted(
            (i for i, one in enumerate(params) if one["l1_ratio"] == l1_ratio), key=lambda i: params[i]["alpha"]
        )
        np.testing.assert_array_equal(line.get_xdata(), [0.1, 1.0, 10.0])
        np.testing.assert_array_equal(line.get_ydata(), results["mean_test_score"][numbers])
        assert line.get_linewidth() == 3.0
        folds = np.column_stack([results[f"split{k}_test_score"] for k in range(4)])[numbers]
        top = folds.mean(axis=1) + folds.std(axis=1, ddof=1) / 2.0
        drawn = fill.get_paths()[0].vertices
        assert np.abs(drawn[:, 1, None] - top).min(axis=0).max() < 1e-12
    assert display.choice_.get_xdata() == [model.alpha_, model.alpha_]
    assert display.ax_.get_ylabel() == "R2"
    assert display.ax_.get_xscale() == "log"


def test_search_curve_of_one_combination_and_a_penalty_of_0():
    X, y, _ = make_problem(1)
    model = MiniBatchSGDRegressorCV(alphas=[0.0, 1e-3, 1.0], cv=None).fit(X, y)
    _, ax = plt.subplots()
    display = SearchCurveDisplay.from_estimator(model, ax=ax)
    assert display.ax_ is ax
    assert (display.names, ax.get_xscale(), ax.get_ylabel()) == ([""], "symlog", "Neg mean squared error")
    again = display.plot()
    assert again is display
    assert display.ax_ is not ax


@pytest.mark.parametrize("n_targets", [1, 3])
@pytest.mark.parametrize("parameters", [{}, {"penalty": "l1"}, {"loss": "huber", "tol": 1e-8, "random_state": 0}])
def test_paths_are_those_of_fits_one_by_one(parameters, n_targets):
    X, y, weight = make_problem(2, n_targets=n_targets)
    model = MiniBatchSGDRegressorCV(alphas=[0.01, 1.0, 0.1], cv=2, **parameters).fit(X, y, weight)
    target = None if n_targets == 1 else 1
    display = CoefficientPathDisplay.from_estimator(model, X, y, weight, target=target)
    np.testing.assert_array_equal(display.alphas, [1.0, 0.1, 0.01])
    for alpha, coef in zip(display.alphas, display.coefs, strict=True):
        fit = MiniBatchSGDRegressor(alpha=alpha, **parameters).fit(X, y, weight)
        np.testing.assert_allclose(coef, np.atleast_2d(fit.coef_)[target or 0], rtol=1e-6, atol=1e-9)
    for line, coef in zip(display.lines_, display.coefs.T, strict=True):
        np.testing.assert_array_equal(line.get_ydata(), coef)


def test_paths_of_a_pipeline_with_names():
    pandas = pytest.importorskip("pandas")
    X, y, _ = make_problem(3, n_features=9)
    frame = pandas.DataFrame(X, columns=list("abcdefghi"))
    model = make_pipeline(StandardScaler(), MiniBatchSGDRegressorCV(alphas=5)).fit(frame, y)
    display = CoefficientPathDisplay.from_estimator(model, frame, y)
    assert display.feature_names == list("abcdefghi")
    names = {text.get_text() for text in display.ax_.get_legend().get_texts()}
    largest = np.argsort(-np.abs(display.coefs).max(axis=0))[:7]
    assert names == {"abcdefghi"[number] for number in largest}
    plain = MiniBatchSGDRegressorCV(alphas=model[-1].alphas_).fit(X, y)
    scaled = CoefficientPathDisplay.from_estimator(plain, X, y, standardized=True)
    np.testing.assert_allclose(scaled.coefs, plain.path(X, y)[1] * X.std(axis=0))


def test_errors():
    X, y, _ = make_problem(4, n_targets=2)
    with pytest.raises(NotFittedError):
        SearchCurveDisplay.from_estimator(MiniBatchSGDRegressorCV())
    with pytest.raises(ValueError, match="has no search over penalties"):
        SearchCurveDisplay.from_estimator(MiniBatchSGDRegressor().fit(X, y))
    model = MiniBatchSGDRegressorCV(alphas=3).fit(X, y)
    with pytest.raises(ValueError, match="There are 2 targets"):
        CoefficientPathDisplay.from_estimator(model, X, y)
    with pytest.raises(ValueError, match="There are 1 feature_names for 7 features"):
        CoefficientPathDisplay.from_estimator(model, X, y, target=0, feature_names=["a"])
