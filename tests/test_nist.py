"""Correct digits on the linear regressions that NIST certifies (Statistical Reference Datasets, public domain).

The expected values are NIST's certified ones and, for the design as float64 holds it, exact rational solutions.
"""

import json
from pathlib import Path

import numpy as np
import pytest

from sgdlinreg import MiniBatchSGDRegressor

FOLDER = Path(__file__).parent / "data" / "nist"
DIGITS = {
    "Norris": 13.8,
    "Pontius": 13.2,
    "NoInt1": 14.4,
    "NoInt2": 14.5,
    "Filip": 7.3,
    "Longley": 14.2,
    "Wampler1": 14.5,
    "Wampler2": 12.9,
    "Wampler3": 14.5,
    "Wampler4": 14.5,
    "Wampler5": 14.5,
}
"""What the certified coefficients allow: the powers of x are rounded to float64."""


def correct_digits(values, expected):
    """Log relative error of the worst value, absolute where 0 is expected; 16 at most."""
    values, expected = np.atleast_1d(values), np.atleast_1d(np.asarray(expected, dtype=np.float64))
    error = np.abs(values - expected) / np.where(expected == 0.0, 1.0, np.abs(expected))
    return float(np.min(-np.log10(np.maximum(error, 1e-16))))


def read(name):
    """About a data set, X and y."""
    about = json.loads((FOLDER / f"{name}.json").read_text())
    columns = np.genfromtxt(FOLDER / about["csv"], delimiter=",", skip_header=1)
    y, X = columns[:, 0], columns[:, 1:]
    degree = about["polynomial_degree"]
    if degree:
        X = np.column_stack([X[:, 0] ** power for power in range(1, degree + 1)])
    return about, X, y


def fit(name):
    """About a data set, the model, and its coefficients and standard errors in NIST's order."""
    about, X, y = read(name)
    model = MiniBatchSGDRegressor(solver="normal_equation", fit_intercept=about["intercept"]).fit(X, y)
    coef, errors = model.coef_, model.coef_std_error_
    if about["intercept"]:
        coef, errors = np.append(model.intercept_, coef), np.append(model.intercept_std_error_, errors)
    return about, model, coef, errors


def test_all_sets_are_there():
    assert {path.stem for path in FOLDER.glob("*.json")} == set(DIGITS)


@pytest.mark.parametrize("name", DIGITS)
def test_certified_coefficients(name):
    about, model, coef, _ = fit(name)
    assert correct_digits(coef, about["certified_coef"]) >= DIGITS[name]
    assert model.rank_ == model.n_features_in_


@pytest.mark.parametrize("name", DIGITS)
def test_exact_solution_of_the_float64_design(name):
    about, _, coef, _ = fit(name)
    exact = [float(value) for value in about["exact_coef_for_float64_design_str"]]
    assert correct_digits(coef, exact) >= 15.0


@pytest.mark.parametrize("name", DIGITS)
def test_standard_errors(name):
    about, model, _, errors = fit(name)
    assert correct_digits(errors, about["certified_sd"]) >= DIGITS[name] - 2.0
    assert correct_digits(model.residual_std_, about["certified_residual_sd"]) >= DIGITS[name] - 2.0


@pytest.mark.parametrize("name", DIGITS)
def test_certified_analysis_of_variance(name):
    about, model, _, _ = fit(name)
    summary = model.summary()
    rounding = 1e-11 if name == "Filip" else 1e-14  # the powers of x are rounded
    np.testing.assert_allclose(summary.r2, about["certified_r2"], rtol=0.0, atol=rounding)
    assert summary.df_residual == about["anova_residual"]["df"]
    assert summary.f_df[0] == about["anova_regression"]["df"]
    certified = float(about["anova_regression"]["F"])
    if np.isfinite(certified):
        assert correct_digits(summary.f_statistic, certified) >= DIGITS[name] - 2.0


def test_the_path_that_was_taken():
    paths = {name: fit(name)[1] for name in DIGITS}
    assert {name for name, model in paths.items() if model.factorization_ == "qr"} == {"Filip"}
    assert all(1 <= model.n_refinements_ <= 3 for model in paths.values())
