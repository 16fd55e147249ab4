"""Robust covariances of rows that are hard, and of rows that are not those of the fit."""

import numpy as np
import pytest

from sgdlinreg import MiniBatchSGDRegressor
from sgdlinreg._core import robust_covariance

from ..helpers import as_csr, make_problem


def sandwich(X, y, power):
    """HC0, HC2 or HC3 (power 0, 0.5, 1) from a QR decomposition of the centred, scaled rows."""
    scale = X.std(axis=0)
    mean = X.mean(axis=0)
    rows = np.column_stack([np.ones(len(X)), (X - mean) / scale])
    orthonormal, triangle = np.linalg.qr(rows)
    residual = y - orthonormal @ (orthonormal.T @ y)
    residual = residual / (1.0 - np.square(orthonormal).sum(axis=1)) ** power
    scores = np.linalg.solve(triangle, (orthonormal * residual[:, None]).T)
    return np.sqrt(np.square(scores).sum(axis=1))[1:] / scale


@pytest.mark.parametrize(("cov_type", "power"), [("HC0", 0.0), ("HC2", 0.5), ("HC3", 1.0)])
@pytest.mark.parametrize("n_rows", [300, 30_000])  # refined, and from the moments alone
def test_collinear_columns_cost_no_digits(cov_type, power, n_rows):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n_rows, 6))
    X[:, 5] = X[:, 0] + 1e-4 * X[:, 5]
    X += 100.0
    y = X.sum(axis=1) + rng.standard_normal(n_rows) * np.abs(X[:, 1])
    model = MiniBatchSGDRegressor().fit(X, y)
    assert model.factorization_ == "cholesky"
    assert model.condition_number_ > 1e4
    found = model.summary(X, y, cov_type=cov_type).std_error[1:]
    np.testing.assert_allclose(found, sandwich(X, y, power), rtol=1e-9)


@pytest.mark.parametrize("convert", [np.asarray, as_csr])
def test_panels_give_what_all_rows_together_do(convert, monkeypatch):
    X, y, weight = make_problem(1, n_targets=2)
    groups = np.random.default_rng(0).integers(0, 40, 301)
    model = MiniBatchSGDRegressor().fit(convert(X), y, weight)

    def errors():
        for cov_type, labels in (("HC1", None), ("HC3", None), ("cluster", groups), ("cluster", np.arange(301))):
            yield model.summary(convert(X), y, sample_weight=weight, cov_type=cov_type, groups=labels).covariance

    together = list(errors())
    monkeypatch.setattr(robust_covariance, "PANEL_BYTES", 8 * 8 * 17)
    for found, expected in zip(errors(), together, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-8)
    np.testing.assert_allclose(together[3] * (300 / 301) / (300 / 293), together[0] * (293 / 301), rtol=1e-10)


def test_rows_that_are_not_those_of_the_fit():
    X, y, weight = make_problem(2)
    model = MiniBatchSGDRegressor().fit(X, y, weight)
    for other in (
        {"X": X * 2.0, "y": y, "sample_weight": weight},
        {"X": X[:, ::-1], "y": y, "sample_weight": weight},
        {"X": X, "y": y},
        {"X": X, "y": y, "sample_weight": weight * 3.0},
        {"X": X, "y": y[::-1], "sample_weight": weight},
        {"X": X, "y": y, "sample_weight": weight[::-1]},
    ):
        with pytest.raises(ValueError, match="X, y and sample_weight are not the rows of the fit"):
            model.summary(**other, cov_type="HC0")


def test_a_row_with_a_coefficient_of_its_own():
    X, y, _ = make_problem(3)
    X[:, 2] = np.arange(301) == 7
    model = MiniBatchSGDRegressor().fit(X, y)
    for cov_type in ("HC2", "HC3"):
        with pytest.raises(ValueError, match="row 7 of positive weight has leverage 1"):
            model.summary(X, y, cov_type=cov_type)
    assert np.isfinite(model.summary(X, y, cov_type="HC1").std_error).all()
