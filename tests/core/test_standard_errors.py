"""Standard errors and prediction intervals against statsmodels' formulas written out with a dense inverse."""

import numpy as np
import pytest
from scipy import sparse

from sgdlinreg import MiniBatchSGDRegressor

from ..helpers import as_csr, make_problem


def by_the_book(X, y, weight, fit_intercept):
    """Coefficients, standard errors, residual standard deviation and inverse of X'WX, all with the intercept last."""
    rows = np.column_stack([X, np.ones(len(X))]) if fit_intercept else X
    weight = np.ones(len(X)) if weight is None else weight
    inverse = np.linalg.inv(rows.T @ (weight[:, None] * rows))
    coef = inverse @ (rows.T @ (weight[:, None] * y.reshape(len(X), -1)))
    residual = y.reshape(len(X), -1) - rows @ coef
    std = np.sqrt(weight @ residual**2 / (np.count_nonzero(weight) - rows.shape[1]))
    return coef, np.sqrt(np.diag(inverse))[:, None] * std, std, inverse


@pytest.mark.parametrize("n_rows", [60, 6_000])  # refined, and from the moments alone
@pytest.mark.parametrize("n_targets", [1, 2])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("convert", [np.asarray, sparse.csr_array])
def test_standard_errors_and_intervals(n_rows, n_targets, weighted, fit_intercept, convert):
    X, y, weight = make_problem(0, n_rows=n_rows, n_features=30 if n_rows > 60 else 5, n_targets=n_targets)
    if n_rows > 60:
        X = np.random.default_rng(1).standard_normal(X.shape)
    X = X * 10.0 ** np.linspace(-2, 2, X.shape[1]) + 3.0 * fit_intercept
    weight = 7.0 * weight * (np.arange(n_rows) % 5 > 0) if weighted else None
    _, errors, std, inverse = by_the_book(X, y, weight, fit_intercept)
    model = MiniBatchSGDRegressor(fit_intercept=fit_intercept).fit(convert(X), y, weight)
    assert model.n_refinements_ == (n_rows == 60)
    if n_targets == 1:
        errors, std = errors[:, 0], std[0]
    d = X.shape[1]
    np.testing.assert_allclose(model.coef_std_error_, errors[:d].T, rtol=1e-9)
    np.testing.assert_allclose(model.intercept_std_error_, errors[d] if fit_intercept else 0.0 * std, rtol=1e-9)
    np.testing.assert_allclose(model.residual_std_, std, rtol=1e-11)
    new = X[:7] * 1.5
    rows = np.column_stack([new, np.ones(7)]) if fit_intercept else new
    share = np.sqrt(1.0 + np.einsum("ij,jk,ik->i", rows, inverse, rows))
    mean, deviation = model.predict(convert(new), return_std=True)
    np.testing.assert_array_equal(mean, model.predict(convert(new)))
    np.testing.assert_allclose(deviation, share * std if n_targets == 1 else np.outer(share, std), rtol=1e-8)
    assert deviation.shape == mean.shape


def test_a_third_of_new_observations_lies_outside_one_deviation():
    X, y, _ = make_problem(1, n_rows=4000, n_features=3)
    model = MiniBatchSGDRegressor().fit(X[:40], y[:40])
    mean, deviation = model.predict(X[40:], return_std=True)
    assert np.mean(np.abs(y[40:] - mean) > deviation) == pytest.approx(0.317, abs=0.1)


def test_float32_gives_float32():
    X, y, _ = make_problem(2)
    mean, deviation = MiniBatchSGDRegressor().fit(X, y).predict(X.astype(np.float32), return_std=True)
    assert mean.dtype == deviation.dtype == np.float32


def test_partial_fit_and_fit_source_give_those_of_fit():
    X, y, weight = make_problem(3)
    fitted = MiniBatchSGDRegressor().fit(X, y, weight)
    streamed = MiniBatchSGDRegressor()
    blocks = [(X[rows], y[rows], weight[rows]) for rows in np.array_split(np.arange(301), 9)]
    for block in blocks:
        streamed.partial_fit(*block)
    for model in (streamed, MiniBatchSGDRegressor().fit_source(blocks)):
        np.testing.assert_allclose(model.coef_std_error_, fitted.coef_std_error_, rtol=1e-11)
        np.testing.assert_allclose(model.intercept_std_error_, fitted.intercept_std_error_, rtol=1e-11)
        np.testing.assert_allclose(model.residual_std_, fitted.residual_std_, rtol=1e-11)


@pytest.mark.parametrize(
    ("parameters", "change", "reason"),
    [
        ({"alpha": 0.1}, None, "a penalty biases the coefficients; fit with alpha=0"),
        ({"positive": True}, None, "fit with positive=False"),
        ({"solver": "numba"}, None, "SGD gives none; fit with solver='normal_equation'"),
        ({}, "dependent", "linearly dependent; leave some out"),
        ({}, "constant", "linearly dependent; leave some out"),
        ({}, "few", "8 rows leave no degrees of freedom for 7 features"),
        ({}, "wide", "linearly dependent"),
    ],
)
def test_they_are_absent_with_a_reason(parameters, change, reason):
    X, y, _ = make_problem(4)
    if change == "dependent":
        X = np.column_stack([X, X[:, 0] - X[:, 1]])
    if change == "constant":
        X[:, 2] = 3.0
    if change in ("few", "wide"):
        X, y = X[: 8 if change == "few" else 5], y[: 8 if change == "few" else 5]
    model = MiniBatchSGDRegressor(**parameters).fit(X, y)
    for attribute in ("residual_std_", "coef_std_error_", "intercept_std_error_"):
        assert not hasattr(model, attribute)
        with pytest.raises(AttributeError, match=f"There is no {attribute}: .*{reason}"):
            getattr(model, attribute)
    with pytest.raises(ValueError, match=f"return_std=True needs standard errors, and this fit has none: .*{reason}"):
        model.predict(X, return_std=True)


@pytest.mark.parametrize("way", ["fit", "sparse", "partial_fit", "float32"])
@pytest.mark.parametrize("fit_intercept", [True, False])
def test_dependent_columns_are_named(way, fit_intercept):
    pd = pytest.importorskip("pandas")
    rng = np.random.default_rng(0)
    levels = [rng.integers(n, size=300) for n in (3, 2)]
    columns = {f"{name}{k}": (codes == k) * 1.0 for name, codes in zip("ab", levels, strict=True) for k in set(codes)}
    x = rng.standard_normal(300).round(1) * 10.0  # whole numbers, so that float32 is exact
    independent = {"x": x, "z": 5.0 + rng.standard_normal(300)}

    def reason(columns):
        table, y = pd.DataFrame(columns), rng.standard_normal(300)
        model = MiniBatchSGDRegressor(fit_intercept=fit_intercept)
        if way == "partial_fit":
            for rows in np.array_split(np.arange(300), 3):
                model.partial_fit(table.iloc[rows], y[rows])
        else:
            model.fit(as_csr(table.to_numpy()) if way == "sparse" else table.astype(way.replace("fit", "float64")), y)
        with pytest.raises(AttributeError) as caught:
            _ = model.coef_std_error_
        return str(caught.value).removeprefix("There is no coef_std_error_: ").replace("'", "")

    def named(names, columns):
        return ", ".join(str(list(columns).index(name)) if way == "sparse" else name for name in names)

    told = reason(independent | columns)
    names = named(["a0", "a1", "a2", "b0", "b1"], independent | columns)
    if fit_intercept:
        expected = f"the columns {names}, with that of the intercept, are linearly dependent; leave some out, with a "
        assert told == expected + "OneHotEncoder by drop=first."
    else:
        assert told == f"the columns {names} are linearly dependent; leave some out."
    shifted = independent | {"u": x - 3.0, "v": 2.0 - x, "w": 4.0 - 2.0 * x}
    told = reason(shifted)
    if fit_intercept:
        assert told.startswith(f"the columns {named(['x', 'u', 'v', 'w'], shifted)}, with that of the intercept, are")
    else:
        assert told == f"the columns {named(['x', 'u', 'v', 'w'], shifted)} are linearly dependent; leave some out."
    many = {f"c{k}": x * 2.0**k for k in range(12)}
    names = named([f"c{k}" for k in range(8)], many)
    assert reason(many).startswith(f"the columns {names} and 4 more are linearly dependent; leave some out")


def test_before_fit():
    with pytest.raises(AttributeError, match="not fitted yet"):
        _ = MiniBatchSGDRegressor().residual_std_
