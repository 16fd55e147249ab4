"""The table of a summary, and fits that leave no residuals."""

import importlib

import numpy as np
import pytest
from scipy import stats

from sgdlinreg import MiniBatchSGDRegressor

from ..helpers import make_problem

COLUMNS = ["coef", "std_error", "t", "p_value", "ci_low", "ci_high"]


@pytest.mark.parametrize("n_targets", [1, 2])
@pytest.mark.parametrize("fit_intercept", [True, False])
def test_table_is_a_data_frame(n_targets, fit_intercept):
    pandas = pytest.importorskip("pandas")
    X, y, _ = make_problem(0, n_features=2, n_targets=n_targets)
    frame = pandas.DataFrame(X, columns=["width", "depth"])
    model = MiniBatchSGDRegressor(fit_intercept=fit_intercept).fit(frame, y)
    summary = model.summary()
    table, features = summary.table, ["intercept"] * fit_intercept + ["width", "depth"]
    assert list(table.columns) == COLUMNS
    if n_targets == 1:
        assert list(table.index) == features
        assert table.loc["depth", "coef"] == model.coef_[1]
        assert table.loc["depth", "std_error"] == model.coef_std_error_[1]
        assert isinstance(summary.r2, float)
    else:
        assert list(table.index) == [(target, feature) for target in range(2) for feature in features]
        assert table.loc[(1, "depth"), "coef"] == model.coef_[1, 1]
        assert summary.r2.shape == (2,)
    if fit_intercept:
        intercepts = table["coef"].to_numpy().reshape(n_targets, 3)[:, 0]
        np.testing.assert_array_equal(intercepts, np.ravel(model.intercept_))


def test_table_without_pandas(monkeypatch):
    X, y, _ = make_problem(1, n_features=2, n_targets=2)
    single = MiniBatchSGDRegressor().fit(X, y[:, 0]).summary()
    several = MiniBatchSGDRegressor().fit(X, y).summary()
    real = importlib.import_module

    def without_pandas(name, *rest):
        if name == "pandas":
            raise ModuleNotFoundError(name)
        return real(name, *rest)

    monkeypatch.setattr(importlib, "import_module", without_pandas)
    assert list(single.table) == ["feature", *COLUMNS]
    assert list(single.table["feature"]) == ["intercept", "x0", "x1"]
    np.testing.assert_array_equal(single.table["t"], single.coef / single.std_error)
    assert list(several.table) == ["target", "feature", *COLUMNS]
    assert list(several.table["target"]) == [0, 0, 0, 1, 1, 1]
    np.testing.assert_array_equal(several.table["coef"][3:], several.coef[1])


@pytest.mark.parametrize("level", [0.5, 0.99])
def test_confidence_level(level):
    X, y, _ = make_problem(2, n_rows=12)
    model = MiniBatchSGDRegressor().fit(X, y)
    for rows, distribution in (((), stats.t(4)), ((X, y), stats.norm)):
        summary = model.summary(*rows, cov_type="HC0" if rows else "nonrobust", confidence_level=level)
        low, high = distribution.interval(level)
        np.testing.assert_allclose(summary.ci_low, summary.coef + low * summary.std_error, rtol=1e-10)
        np.testing.assert_allclose(summary.ci_high, summary.coef + high * summary.std_error, rtol=1e-10)


@pytest.mark.parametrize("cov_type", ["nonrobust", "HC0", "HC3", "cluster"])
def test_fits_without_residuals(cov_type):
    X = np.arange(20.0).reshape(10, 2) ** 2
    groups = np.arange(10) % 5 if cov_type == "cluster" else None
    for y in (np.full(10, 4.0), X @ [1.0, 2.0] + 8.0):
        rows = () if cov_type == "nonrobust" else (X, y)
        summary = MiniBatchSGDRegressor().fit(X, y).summary(*rows, cov_type=cov_type, groups=groups)
        np.testing.assert_allclose(summary.residual_std, 0.0, atol=1e-12)
        np.testing.assert_allclose(summary.std_error, 0.0, atol=1e-12)
        np.testing.assert_allclose(summary.covariance, 0.0, atol=1e-24)
        assert np.isnan(summary.r2) if y[0] == y[1] else summary.r2 == pytest.approx(1.0)
        assert len(str(summary).splitlines()) == 15


def test_groups_that_are_too_few_for_f():
    X, y, _ = make_problem(3)
    model = MiniBatchSGDRegressor().fit(X, y)
    few, enough = (model.summary(X, y, cov_type="cluster", groups=np.arange(301) % n) for n in (7, 8))
    assert np.isnan(few.f_statistic)
    assert few.f_df == (7, 6)
    assert enough.f_statistic > 0.0
    assert enough.f_df == (7, 7)


def test_units_of_y_at_the_ends_of_float64():
    X, y, _ = make_problem(4)
    plain = MiniBatchSGDRegressor().fit(X, y).summary()
    for factor in (1e-150, 1e150):
        summary = MiniBatchSGDRegressor().fit(X, y * factor).summary()
        for name in ("t", "p_value", "r2", "adjusted_r2", "f_statistic"):
            np.testing.assert_allclose(getattr(summary, name), getattr(plain, name), rtol=1e-10)
        np.testing.assert_allclose(summary.log_likelihood, plain.log_likelihood - 301 * np.log(factor), rtol=1e-12)
