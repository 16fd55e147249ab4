"""l1 penalties and coefficients >= 0 in the closed form, beside scikit-learn on the rows."""

import warnings

import numpy as np
import pytest
from scipy import sparse
from scipy.optimize import nnls
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import ElasticNet, Lasso, LinearRegression

from sgdlinreg import MiniBatchSGDRegressor

from ..helpers import make_problem

KINDS = ("plain", "collinear", "one-hot", "heavy tails", "offsets", "units", "wide", "pairs")
PENALTIES = {
    "l1": {"penalty": "l1"},
    "elastic net": {"penalty": "elasticnet", "l1_ratio": 0.4},
    "l1, positive": {"penalty": "l1", "positive": True},
    "positive": {"positive": True},
    "l2, positive": {"positive": True},
}


def draw(kind, seed, weighted):
    rng = np.random.default_rng([KINDS.index(kind), seed])
    n_rows, n_features = int(rng.integers(60, 2000)), int(rng.integers(5, 60))
    X = rng.standard_normal((n_rows, n_features))
    if kind == "collinear":
        X = X @ (np.eye(n_features) + 0.5 * rng.standard_normal((n_features, n_features)))
    elif kind == "one-hot":
        X = np.eye(n_features)[rng.integers(0, n_features, n_rows)]
    elif kind == "heavy tails":
        X = rng.standard_t(2.5, X.shape)
    elif kind == "offsets":
        X = X + 1e3 * rng.standard_normal(n_features)
    elif kind == "units":
        X = X * 10.0 ** rng.uniform(-6, 6, n_features)
    elif kind == "wide":
        X = rng.standard_normal((60, 200))
    elif kind == "pairs":
        X[:, 1] = X[:, 0] + 1e-2 * X[:, 1]
    scale = np.where(X.std(axis=0) > 0.0, X.std(axis=0), 1.0)
    y = (X[:, :4] / scale[:4]) @ [3.0, -2.0, 1.0, 0.5] + rng.standard_normal(len(X)) + 5.0
    weight = rng.uniform(0.2, 3.0, len(X)) if weighted else np.ones(len(X))
    share = weight / weight.sum()
    largest = np.abs((X - share @ X).T @ (share * (y - share @ y))).max()  # all coefficients are 0 from here on
    return X, y, weight, float(largest * 10.0 ** rng.uniform(-2, -0.5))


def reference(penalty, alpha, X, y, weight):
    """Coefficients and intercept by scikit-learn and SciPy on all rows."""
    if penalty == "positive":
        model = LinearRegression(positive=True).fit(X, y, weight)
        return model.coef_, model.intercept_
    if penalty == "l2, positive":
        share = weight / weight.sum()
        Z, t = X - share @ X, y - share @ y
        rows = np.vstack([Z * np.sqrt(share)[:, None], np.sqrt(alpha) * np.eye(X.shape[1])])
        coef = nnls(rows, np.append(t * np.sqrt(share), np.zeros(X.shape[1])))[0]
        return coef, share @ y - share @ X @ coef
    common = {"tol": 1e-12, "max_iter": 200_000, "positive": "positive" in penalty}
    model = Lasso(alpha, **common) if "l1" in penalty else ElasticNet(alpha, l1_ratio=0.4, **common)
    model.fit(X, y, sample_weight=weight)
    return model.coef_, model.intercept_


def objective(penalty, alpha, X, y, weight, coef, intercept):
    l1_ratio = {"l1": 1.0, "l1, positive": 1.0, "elastic net": 0.4}.get(penalty, 0.0)
    loss = 0.5 * np.average(np.square(X @ coef + intercept - y), weights=weight)
    if penalty == "positive":
        return loss
    return loss + alpha * (l1_ratio * np.abs(coef).sum() + 0.5 * (1 - l1_ratio) * coef @ coef)


@pytest.mark.parametrize("form", ["dense", "csr", "chunks", "source"])
@pytest.mark.parametrize("penalty", PENALTIES)
@pytest.mark.parametrize("kind", KINDS)
def test_the_optimum_and_the_support_are_those_of_scikit_learn(kind, penalty, form):
    for seed in range(3):
        X, y, weight, alpha = draw(kind, seed, weighted=seed > 0)
        parameters = PENALTIES[penalty] | ({} if penalty == "positive" else {"alpha": alpha})
        model = MiniBatchSGDRegressor(solver="normal_equation", **parameters)
        blocks = [(X[rows], y[rows], weight[rows]) for rows in np.array_split(np.arange(len(y)), 4)]
        if form == "chunks":
            for block in blocks:
                model.partial_fit(*block)
        elif form == "source":
            model.fit_source(blocks)
        else:
            model.fit(sparse.csr_array(X) if form == "csr" else X, y, weight)
        coef, intercept = reference(penalty, alpha, X, y, weight)
        best = objective(penalty, alpha, X, y, weight, coef, intercept)
        constant = objective(penalty, alpha, X, y, weight, 0.0 * coef, np.average(y, weights=weight))
        found = objective(penalty, alpha, X, y, weight, model.coef_, model.intercept_)
        assert found <= best + 1e-9 * constant
        assert model.loss_curve_[-1] == pytest.approx(found, rel=1e-9)
        assert model.optimality_gap_ < 1e-9
        if "l1" in penalty or penalty == "elastic net":
            np.testing.assert_array_equal(model.coef_ != 0.0, coef != 0.0)
            assert model.factorization_ == "coordinate_descent"
        else:
            assert model.factorization_ == "non_negative"
        assert (model.coef_ >= 0.0).all() or "positive" not in penalty


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_several_targets_and_no_intercept(dtype):
    X, y, weight = make_problem(1, n_rows=5000, n_targets=3)
    X = X.astype(dtype)
    model = MiniBatchSGDRegressor(penalty="l1", alpha=0.3, fit_intercept=False).fit(X, y, weight)
    assert model.solver_ == "normal_equation"
    for t in range(3):
        one = Lasso(0.3, fit_intercept=False, tol=1e-12).fit(X.astype(float), y[:, t], sample_weight=weight)
        np.testing.assert_allclose(model.coef_[t], one.coef_, rtol=1e-6 if dtype == np.float32 else 1e-9, atol=1e-12)


def test_positive_keeps_its_digits_where_columns_nearly_agree():
    rng = np.random.default_rng(2)
    X = rng.standard_normal((300, 2))
    X[:, 1] = X[:, 0] + 1e-7 * X[:, 1]
    y = 1e7 * (X[:, 1] - X[:, 0]) + X[:, 0]
    X = np.column_stack([X, -X])  # so that a difference is a sum of coefficients >= 0
    model = MiniBatchSGDRegressor(positive=True).fit(X, y)
    assert model.score(X, y) > 1.0 - 1e-9
    assert (model.coef_ >= 0.0).all()


def test_what_has_not_converged_says_how_far_it_is(monkeypatch):
    from sgdlinreg._solvers.closed_form import constrained

    monkeypatch.setattr(constrained, "SWEEPS", (2, 2))
    X, y, _ = make_problem(3)
    X[:, 1] = X[:, 0] + 3e-2 * X[:, 1]
    with pytest.warns(ConvergenceWarning, match="Coordinate descent has not converged"):
        model = MiniBatchSGDRegressor(penalty="l1", alpha=1e-4).fit(X, y)
    gap = model.optimality_gap_
    best = Lasso(1e-4, tol=1e-12, max_iter=1_000_000).fit(X, y)
    arguments = ("l1", 1e-4, X, y, np.ones(len(y)))
    missing = objective(*arguments, model.coef_, model.intercept_) - objective(*arguments, best.coef_, best.intercept_)
    assert 0.0 < 2.0 * missing / y.var() <= gap


def test_standard_errors_and_constant_columns():
    X, y, _ = make_problem(4)
    X[:, 2] = 7.0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = MiniBatchSGDRegressor(penalty="l1", alpha=0.1).fit(X, y)
        constant = MiniBatchSGDRegressor(positive=True).fit(X, np.full(len(y), 3.0))
    assert model.coef_[2] == 0.0
    assert constant.predict(X)[0] == pytest.approx(3.0)
    with pytest.raises(AttributeError, match="a penalty biases"):
        model.coef_std_error_  # noqa: B018
    with pytest.raises(AttributeError, match="at a bound"):
        constant.coef_std_error_  # noqa: B018
