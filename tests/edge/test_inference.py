"""Summaries and intervals against statsmodels' OLS and WLS, on five data sets."""

import numpy as np
import pytest
from scipy import sparse
from sklearn.datasets import load_diabetes, load_iris, load_linnerud

from sgdlinreg import MiniBatchSGDRegressor

from ..helpers import as_csr, make_problem, needs_torch

DATA = ["diabetes", "iris", "exercise", "units", "uneven"]
COV_TYPES = ["nonrobust", "HC0", "HC1", "HC2", "HC3", "cluster"]


def data_set(name):
    """X, y, weights and groups of a data set."""
    rng = np.random.default_rng(7)
    if name == "diabetes":
        X, y = load_diabetes(return_X_y=True, scaled=False)
    elif name == "iris":
        rows = load_iris().data
        X, y = rows[:, :3], rows[:, 3]
    elif name == "exercise":
        X, y = load_linnerud().data, load_linnerud().target[:, 1]
    elif name == "units":
        X, y, _ = make_problem(0)
        X = X * 10.0 ** np.linspace(-1, 1, 7)
    else:  # residuals that grow with a column
        X = rng.standard_normal((3000, 4))
        y = X @ [1.0, 2.0, 0.0, -1.0] + 5.0 + np.exp(X[:, 0]) * rng.standard_normal(3000)
    return X, y, rng.uniform(0.1, 5.0, len(y)), rng.integers(0, 9, len(y))


def by_statsmodels(X, y, weight, groups, cov_type, fit_intercept):
    linear = pytest.importorskip("statsmodels.regression.linear_model")
    rows = np.column_stack([np.ones(len(X)), X]) if fit_intercept else X
    model = linear.OLS(y, rows) if weight is None else linear.WLS(y, rows, weight)
    return model.fit(cov_type=cov_type, cov_kwds={"groups": groups} if cov_type == "cluster" else None)


def logarithm(p_value):
    """Of a probability, less one: small ones magnify the rounding of a t or F by their logarithm."""
    return np.log(np.maximum(p_value, 1e-300)) - 1.0


def assert_equal(summary, expected, rtol=1e-10):
    """Every number is that of statsmodels."""
    low, high = expected.conf_int().T
    half = np.abs(high - low)  # ends near 0 have no digits of their own
    f_statistic = float(expected.fvalue)  # before f_pvalue, which follows from it
    for found, value in [
        (summary.coef, expected.params),
        (summary.std_error, expected.bse),
        (summary.t, expected.tvalues),
        (logarithm(summary.p_value), logarithm(expected.pvalues)),
        ((summary.ci_low - low) / half + 1.0, np.ones_like(low)),
        ((summary.ci_high - high) / half + 1.0, np.ones_like(low)),
        (summary.residual_std**2, expected.scale),
        (summary.r2, expected.rsquared),
        (summary.adjusted_r2, expected.rsquared_adj),
        (summary.f_statistic, f_statistic),
        (logarithm(summary.f_pvalue), logarithm(expected.f_pvalue)),
        (summary.log_likelihood, expected.llf),
        (summary.aic, expected.aic),
        (summary.bic, expected.bic),
    ]:
        np.testing.assert_allclose(found, value, rtol=rtol)
    scale = np.outer(expected.bse, expected.bse)
    np.testing.assert_allclose(summary.covariance / scale, expected.cov_params() / scale, atol=rtol)
    assert (summary.n_samples, summary.df_model, summary.df_residual) == (
        expected.nobs,
        expected.df_model,
        expected.df_resid,
    )


@pytest.mark.parametrize("name", DATA)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("cov_type", COV_TYPES)
def test_summary_is_that_of_statsmodels(name, weighted, fit_intercept, cov_type):
    X, y, weight, groups = data_set(name)
    weight, groups = weight if weighted else None, groups if cov_type == "cluster" else None
    model = MiniBatchSGDRegressor(fit_intercept=fit_intercept).fit(X, y, weight)
    rows = () if cov_type == "nonrobust" else (X, y)
    summary = model.summary(*rows, sample_weight=weight, cov_type=cov_type, groups=groups)
    expected = by_statsmodels(X, y, weight, groups, cov_type, fit_intercept)
    if cov_type == "cluster" and name == "diabetes":  # 9 groups do not tell 10 slopes
        assert np.isnan(summary.f_statistic)
        assert np.isnan(summary.f_pvalue)
        np.testing.assert_allclose(summary.std_error, expected.bse, rtol=1e-10)
        return
    assert_equal(summary, expected)


def test_several_targets_are_those_of_each():
    X, y = load_linnerud().data, load_linnerud().target
    groups = np.arange(20) % 6
    model = MiniBatchSGDRegressor().fit(X, y)
    for cov_type in COV_TYPES:
        rows = {} if cov_type == "nonrobust" else {"X": X, "y": y}
        labels = groups if cov_type == "cluster" else None
        summary = model.summary(**rows, cov_type=cov_type, groups=labels)
        assert summary.covariance.shape == (3, 4, 4)
        for target in range(3):
            expected = by_statsmodels(X, y[:, target], None, labels, cov_type, True)
            np.testing.assert_allclose(summary.std_error[target], expected.bse, rtol=1e-10)
            np.testing.assert_allclose(summary.p_value[target], expected.pvalues, rtol=1e-10)
            np.testing.assert_allclose(summary.f_statistic[target], float(expected.fvalue), rtol=1e-10)
            np.testing.assert_allclose(summary.f_pvalue[target], expected.f_pvalue, rtol=1e-10)
            np.testing.assert_allclose(summary.log_likelihood[target], expected.llf, rtol=1e-10)
            np.testing.assert_allclose(summary.r2[target], expected.rsquared, rtol=1e-10)


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("n_targets", [1, 2])
def test_covariance_of_the_coefficients(fit_intercept, n_targets):
    X, y, weight = make_problem(1, n_targets=n_targets)
    model = MiniBatchSGDRegressor(fit_intercept=fit_intercept).fit(X, y, weight)
    covariance = np.reshape(model.coef_covariance_, (n_targets, 7 + fit_intercept, 7 + fit_intercept))
    assert model.coef_covariance_.ndim == (2 if n_targets == 1 else 3)
    for target in range(n_targets):
        expected = by_statsmodels(X, y.reshape(301, -1)[:, target], weight, None, "nonrobust", fit_intercept)
        np.testing.assert_allclose(covariance[target], expected.cov_params(), rtol=1e-9)
    errors = np.sqrt(np.diagonal(covariance, axis1=1, axis2=2))[:, fit_intercept:]
    np.testing.assert_allclose(np.squeeze(errors), model.coef_std_error_, rtol=1e-14)


def streamed(way, X, y, weight):
    """A model that has seen the rows in parts."""
    parts = np.array_split(np.arange(len(y)), [3, 50, 51, 200])  # the first has fewer rows than columns
    blocks = [(X[rows], y[rows], None if weight is None else weight[rows]) for rows in parts]
    if way == "fit_source":
        return MiniBatchSGDRegressor().fit_source([block if weight is not None else block[:2] for block in blocks])
    if way == "merge":
        return MiniBatchSGDRegressor.merge([MiniBatchSGDRegressor().partial_fit(*block) for block in blocks])
    model = MiniBatchSGDRegressor()
    for block in blocks:
        model.partial_fit(*block)
    return model


@pytest.mark.parametrize("way", ["partial_fit", "merge", "fit_source"])
@pytest.mark.parametrize("weighted", [False, True])
def test_streams_have_the_summary_of_one_fit(way, weighted):
    X, y, weight = make_problem(2)
    weight = weight * np.where(np.arange(301) < 50, 1e-5, 1e5) if weighted else None  # blocks in other units
    model = streamed(way, X, y, weight)
    assert_equal(model.summary(), by_statsmodels(X, y, weight, None, "nonrobust", True), rtol=1e-9)
    order = np.random.default_rng(0).permutation(301)
    weight = None if weight is None else weight[order]
    summary = model.summary(X[order], y[order], sample_weight=weight, cov_type="HC3")
    assert_equal(summary, by_statsmodels(X[order], y[order], weight, None, "HC3", True), rtol=1e-9)


def test_factors_of_the_weights_cancel():
    """Even those that are no float64 together."""
    X, y, weight = make_problem(3)
    expected = by_statsmodels(X, y, weight, None, "nonrobust", True)
    for factor in (1e-300, 1e300):
        summary = MiniBatchSGDRegressor().fit(X, y, weight * factor).summary()
        np.testing.assert_allclose(summary.log_likelihood, expected.llf, rtol=1e-12)
        np.testing.assert_allclose(summary.std_error, expected.bse, rtol=1e-10)
        np.testing.assert_allclose(summary.f_statistic, expected.fvalue, rtol=1e-10)
    parts = [MiniBatchSGDRegressor().partial_fit(X[r], y[r], weight[r] * 1e150) for r in (slice(150), slice(150, 301))]
    summary = MiniBatchSGDRegressor.merge(parts).summary()
    np.testing.assert_allclose(summary.log_likelihood, expected.llf, rtol=1e-12)


def test_rows_without_weight_do_not_count():
    X, y, weight = make_problem(4)
    kept = np.arange(301) % 3 > 0
    groups = np.where(np.arange(301) % 5 < 2, "left", "right")
    groups[5] = "between"
    groups[~kept] = "nowhere"
    model = MiniBatchSGDRegressor().fit(X, y, weight * kept)
    summary = model.summary(X, y, sample_weight=weight * kept, cov_type="cluster", groups=groups)
    expected = by_statsmodels(X[kept], y[kept], weight[kept], groups[kept], "cluster", True)
    assert summary.n_groups == 3
    np.testing.assert_allclose(summary.std_error, expected.bse, rtol=1e-10)
    np.testing.assert_allclose(model.summary().log_likelihood, expected.llf, rtol=1e-12)


@pytest.mark.parametrize("convert", [as_csr, sparse.csc_matrix, np.asfortranarray, "float32", "pandas", "tensor"])
@pytest.mark.parametrize("cov_type", ["HC2", "cluster"])
def test_forms_of_the_rows(convert, cov_type):
    X, y, weight = make_problem(5)
    X = X.astype(np.float32).astype(np.float64)
    groups, rtol = np.array(["a", "b", "c", "d"])[np.arange(301) % 4], 1e-10
    rows = X if isinstance(convert, str) else convert(X)
    if convert == "float32":
        rows, rtol = X.astype(np.float32), 1e-5  # coefficients are float32, too
    elif convert == "pandas":
        pandas = pytest.importorskip("pandas")
        rows, groups = pandas.DataFrame(X).add_prefix("column"), pandas.Series(groups, dtype="category")
    elif convert == "tensor":
        rows = pytest.importorskip("torch").as_tensor(X)
    groups = groups if cov_type == "cluster" else None
    model = MiniBatchSGDRegressor().fit(rows, y, weight)
    summary = model.summary(rows, y, sample_weight=weight, cov_type=cov_type, groups=groups)
    if groups is not None:
        groups = np.asarray(groups)
    expected = by_statsmodels(X, y, weight, groups, cov_type, True)
    np.testing.assert_allclose(summary.std_error, expected.bse, rtol=rtol)
    assert summary.feature_names[1] == ("column0" if convert == "pandas" else "x0")


def test_large_data_in_float32():
    """Their products are float32."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((40_000, 4)).astype(np.float32) + np.float32(2.0)
    y = X.astype(np.float64) @ [1.0, 2.0, -0.5, 0.0] + rng.standard_normal(40_000)
    model = MiniBatchSGDRegressor().fit(X, y)
    for cov_type, rows in (("nonrobust", ()), ("HC3", (X, y))):
        expected = by_statsmodels(X.astype(np.float64), y, None, None, cov_type, True)
        summary = model.summary(*rows, cov_type=cov_type)
        np.testing.assert_allclose(summary.coef, expected.params, rtol=1e-3, atol=1e-5)
        np.testing.assert_allclose(summary.std_error, expected.bse, rtol=1e-5)
        np.testing.assert_allclose(summary.r2, expected.rsquared, rtol=1e-6)
        np.testing.assert_allclose(summary.log_likelihood, expected.llf, rtol=1e-6)


@pytest.mark.parametrize("kind", ["prediction", "mean"])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("convert", [np.asarray, as_csr])
def test_intervals_of_predictions(kind, weighted, fit_intercept, convert):
    X, y, weight = make_problem(6, n_targets=2)
    weight = weight if weighted else None
    model = MiniBatchSGDRegressor(fit_intercept=fit_intercept).fit(X, y, weight)
    lower, upper = model.predict_interval(convert(X[:9] * 1.5), confidence_level=0.8, kind=kind)
    rows = np.column_stack([np.ones(9), X[:9] * 1.5]) if fit_intercept else X[:9] * 1.5
    for target in range(2):
        fitted = by_statsmodels(X, y[:, target], weight, None, "nonrobust", fit_intercept)
        expected = fitted.get_prediction(rows).conf_int(obs=kind == "prediction", alpha=0.2)
        np.testing.assert_allclose(np.column_stack([lower[:, target], upper[:, target]]), expected, rtol=1e-9)


def test_intervals_have_the_form_of_predictions():
    X, y, _ = make_problem(7)
    model = MiniBatchSGDRegressor().fit(X, y)
    single = model.predict_interval(X[:5].astype(np.float32))
    for bound, expected in zip(single, model.predict_interval(X[:5]), strict=True):
        assert (bound.dtype, bound.shape) == (np.float32, (5,))
        np.testing.assert_allclose(bound, expected, rtol=1e-5)
    assert all(bound.shape == (0,) for bound in model.predict_interval(X[:0]))


@needs_torch
def test_intervals_of_tensors_are_tensors():
    import torch

    X, y, _ = make_problem(8)
    model = MiniBatchSGDRegressor().fit(X, y)
    for bound, expected in zip(model.predict_interval(torch.as_tensor(X)), model.predict_interval(X), strict=True):
        assert isinstance(bound, torch.Tensor)
        np.testing.assert_allclose(bound.numpy(), expected, rtol=1e-12)


def test_a_wide_interval_holds_its_part_of_new_observations():
    rng = np.random.default_rng(1)
    X = rng.standard_normal((20_030, 5))
    y = X.sum(axis=1) + rng.standard_normal(20_030)
    inside = []
    for start in range(0, 20_000, 500):
        model = MiniBatchSGDRegressor().fit(X[start : start + 12], y[start : start + 12])  # 6 degrees of freedom
        lower, upper = model.predict_interval(X[start + 12 : start + 500], confidence_level=0.7)
        inside.append(np.mean((lower <= y[start + 12 : start + 500]) & (y[start + 12 : start + 500] <= upper)))
    assert np.mean(inside) == pytest.approx(0.7, abs=0.04)


@pytest.mark.parametrize(
    ("parameters", "change", "reason"),
    [
        ({"alpha": 0.1}, None, "a penalty biases the coefficients; fit with alpha=0"),
        ({"solver": "numba", "random_state": 0}, None, "SGD gives none; fit with solver='normal_equation'"),
        ({}, "dependent", "linearly dependent; leave some out"),
        ({}, "few", "8 rows leave no degrees of freedom for 7 features"),
        ({}, "set", "coefficients that were set have none; fit the model"),
        ({}, "never fitted", "coefficients that were set have none; fit the model"),
    ],
)
def test_a_fit_without_standard_errors_says_why(parameters, change, reason):
    X, y, _ = make_problem(9)
    X = np.column_stack([X, X[:, 0] - X[:, 1]]) if change == "dependent" else X
    X, y = (X[:8], y[:8]) if change == "few" else (X, y)
    model = MiniBatchSGDRegressor(**parameters)
    if change == "never fitted":
        model.intercept_ = 0.0
    else:
        model.fit(X, y)
    if change in ("set", "never fitted"):
        model.coef_ = np.ones(7)
    with pytest.raises(ValueError, match=f"summary needs standard errors, and this fit has none: .*{reason}"):
        model.summary()
    with pytest.raises(ValueError, match=f"predict_interval needs standard errors, and this fit has none: .*{reason}"):
        model.predict_interval(X)
    if change not in ("set", "never fitted"):
        with pytest.raises(AttributeError, match=f"There is no coef_covariance_: .*{reason}"):
            _ = model.coef_covariance_


def test_before_fit():
    X, _, _ = make_problem(10)
    with pytest.raises(ValueError, match="not fitted yet"):
        MiniBatchSGDRegressor().summary()
    with pytest.raises(ValueError, match="not fitted yet"):
        MiniBatchSGDRegressor().predict_interval(X)


def test_wrong_arguments():
    X, y, weight = make_problem(11)
    model = MiniBatchSGDRegressor().fit(X, y, weight)
    given = {"X": X, "y": y, "sample_weight": weight}
    groups = np.arange(301) % 7
    clustered = given | {"cov_type": "cluster"}
    for arguments, match in [
        ({"cov_type": "HC4"}, "'cov_type' parameter of MiniBatchSGDRegressor must be a str among"),
        ({"confidence_level": 1.0}, "'confidence_level' parameter .* must be a float in the range"),
        ({"cov_type": "HC3"}, "cov_type='HC3' needs the residuals.*Pass X, y and"),
        ({"cov_type": "HC3", "X": X}, "cov_type='HC3' needs the residuals"),
        ({"groups": groups}, "groups is given, and cov_type='nonrobust' has none"),
        (clustered, "cov_type='cluster' needs groups"),
        (given | {"cov_type": "HC1", "groups": groups}, "groups are for cov_type='cluster'"),
        (clustered | {"groups": groups[:9]}, r"groups has shape \(9,\), should be \(301,\)"),
        (clustered | {"groups": groups[:, None]}, r"groups has shape \(301, 1\), should be \(301,\)"),
        (clustered | {"groups": np.where(groups < 3, np.nan, 1.0)}, "groups holds NaN"),
        (clustered | {"groups": np.array(["a", None, 2, *[1] * 298], dtype=object)}, "labels of several types"),
        (clustered | {"groups": np.ones(301)}, "groups has one label only"),
        ({"cov_type": "HC0", "X": X[:, :3], "y": y}, "X has 3 features, but MiniBatchSGDRegressor is expecting 7"),
        ({"cov_type": "HC0", "X": X[:300], "y": y[:300]}, "X and y have 300 rows of positive weight, the fit had 301"),
        ({"cov_type": "HC0", "X": X, "y": np.column_stack([y, y])}, "X and y have 2 targets, the fit had 1"),
    ]:
        with pytest.raises(ValueError, match=match):
            model.summary(**arguments)
    for arguments, match in [
        ({"kind": "median"}, "'kind' parameter of MiniBatchSGDRegressor must be a str among"),
        ({"confidence_level": 0}, "'confidence_level' parameter"),
    ]:
        with pytest.raises(ValueError, match=match):
            model.predict_interval(X, **arguments)
