"""MiniBatchSGDRegressorCV beside GridSearchCV, RidgeCV, LassoCV and ElasticNetCV."""

import pickle

import numpy as np
import pytest
import sklearn
from scipy import sparse
from sklearn.base import clone
from sklearn.exceptions import FitFailedWarning, UndefinedMetricWarning
from sklearn.linear_model import ElasticNetCV, LassoCV, RidgeCV
from sklearn.metrics import get_scorer, make_scorer, mean_absolute_error
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    KFold,
    LeaveOneGroupOut,
    LeaveOneOut,
    PredefinedSplit,
    RepeatedKFold,
    ShuffleSplit,
    TimeSeriesSplit,
    cross_validate,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import (
    check_dataframe_column_names_consistency,
    check_param_validation,
    parametrize_with_checks,
)

from sgdlinreg import MiniBatchSGDRegressor, MiniBatchSGDRegressorCV

from .helpers import make_problem

ALPHAS = [0.0, 1e-6, 1e-3, 0.1, 10.0]


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.UndefinedMetricWarning")
@pytest.mark.filterwarnings("ignore:SCIPY_ARRAY_API is not set")
@parametrize_with_checks(
    [
        MiniBatchSGDRegressorCV(),
        MiniBatchSGDRegressorCV(penalty="l1", alphas=10, cv=3),
        MiniBatchSGDRegressorCV(cv=None),
        MiniBatchSGDRegressorCV(solver="numba", alphas=[0.1], cv=2),
    ]
)
def test_check_estimator(estimator, check):
    check(estimator)


@pytest.mark.parametrize("check", [check_param_validation, check_dataframe_column_names_consistency])
def test_checks_that_check_estimator_leaves_out(check):
    check("MiniBatchSGDRegressorCV", MiniBatchSGDRegressorCV())


def grid_search(X, y, weight=None, alphas=ALPHAS, cv=5, scoring=None, grid=None, groups=None, **parameters):
    """The same by a fit for each candidate and fold."""
    model = MiniBatchSGDRegressor(solver="normal_equation", **parameters)
    search = GridSearchCV(model, {"alpha": alphas} | (grid or {}), cv=cv, scoring=scoring)
    if weight is None:
        return search.fit(X, y, groups=groups)
    with sklearn.config_context(enable_metadata_routing=True):
        scorer = get_scorer(scoring or "r2").set_score_request(sample_weight=True)
        search = GridSearchCV(
            model.set_fit_request(sample_weight=True).set_score_request(sample_weight=True),
            search.param_grid,
            cv=cv,
            scoring=scorer,
        )
        return search.fit(X, y, sample_weight=weight, **({} if groups is None else {"groups": groups}))


def assert_same_search(ours, theirs, tol=1e-9):
    keys = [key for key in theirs.cv_results_ if key.endswith("test_score") and not key.startswith("rank")]
    assert len(keys) == ours.n_splits_ + 2 == theirs.n_splits_ + 2
    for key in keys:
        np.testing.assert_allclose(ours.cv_results_[key], theirs.cv_results_[key], rtol=tol, atol=tol, err_msg=key)
    assert ours.cv_results_["params"] == theirs.cv_results_["params"]
    for key in theirs.cv_results_:
        if key.startswith("param_"):
            assert ours.cv_results_[key].dtype == theirs.cv_results_[key].dtype
            np.testing.assert_array_equal(ours.cv_results_[key], theirs.cv_results_[key])
    assert ours.best_params_ == theirs.best_params_
    assert ours.best_score_ == pytest.approx(theirs.best_score_, rel=tol)
    np.testing.assert_array_equal(ours.coef_, theirs.best_estimator_.coef_)


CVS = {
    "int": 4,
    "shuffled": KFold(5, shuffle=True, random_state=0),
    "repeated": RepeatedKFold(n_splits=3, n_repeats=2, random_state=0),
    "random": ShuffleSplit(3, test_size=0.3, random_state=0),
    "overlapping": ShuffleSplit(3, train_size=0.4, test_size=0.5, random_state=0),
    "time": TimeSeriesSplit(4),
    "predefined": PredefinedSplit(np.arange(301) % 7 - 1),
    "pairs": [(np.arange(200), np.arange(190, 301)), (np.arange(301) > 150, np.arange(301) < 40)],
    "negative": [(np.arange(-200, 0), np.arange(0, 100))],
}


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("cv", CVS.values(), ids=list(CVS))
def test_scores_are_those_of_fits_one_by_one(cv, weighted):
    X, y, weight = make_problem(0)
    weight = weight if weighted else None
    ours = MiniBatchSGDRegressorCV(alphas=ALPHAS, cv=cv).fit(X, y, weight)
    assert_same_search(ours, grid_search(X, y, weight, cv=cv))


PROBLEMS = {
    "offsets": lambda X, rng: X + 1e6,
    "units": lambda X, rng: X * [1e-6, 1.0, 1e6, 1.0, 1e-3, 1e3, 1.0],
    "offsets and units": lambda X, rng: np.add(X, [0, 1e6, 0, 1e3, 0, 1e6, 0]) * [1e-6, 1e-6, 1e6, 1, 1e-3, 1e3, 1],
    "constant column": lambda X, rng: np.column_stack([X, np.full(len(X), 0.1)]),
    "constant in a fold": lambda X, rng: np.column_stack([X, np.arange(len(X)) < 40]),
    "one-hot": lambda X, rng: np.column_stack([X, np.eye(4)[rng.integers(0, 4, len(X))]]),
    "dependent": lambda X, rng: np.column_stack([X, X @ rng.standard_normal((7, 2))]),
    "nearly dependent": lambda X, rng: np.column_stack([X, X[:, 0] + 1e-6 * rng.standard_normal(len(X))]),
    "float32": lambda X, rng: X.astype(np.float32),
}


@pytest.mark.filterwarnings("ignore::scipy.linalg.LinAlgWarning")
@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("make", PROBLEMS.values(), ids=list(PROBLEMS))
def test_digits_of_hard_columns(make, fit_intercept):
    X, y, weight = make_problem(1)
    X = make(X, np.random.default_rng(0))
    ours = MiniBatchSGDRegressorCV(alphas=ALPHAS, fit_intercept=fit_intercept).fit(X, y, weight)
    theirs = grid_search(X, y, weight, fit_intercept=fit_intercept)
    assert_same_search(ours, theirs, tol=1e-6 if X.dtype == np.float32 else 1e-9)


@pytest.mark.parametrize("scoring", ["r2", "neg_mean_squared_error", "neg_root_mean_squared_error"])
def test_scores_of_a_nearly_exact_fit(scoring):
    """Sums over the tested rows have no digits for it."""
    X, y, weight = make_problem(2, noise=1e-7)
    ours = MiniBatchSGDRegressorCV(alphas=ALPHAS, scoring=scoring).fit(X, y, weight)
    assert_same_search(ours, grid_search(X, y, weight, scoring=scoring))


@pytest.mark.parametrize("sparse_rows", [False, True])
@pytest.mark.parametrize("n_targets", [1, 3])
def test_fewer_rows_than_columns(n_targets, sparse_rows):
    X, y, weight = make_problem(3, n_rows=40, n_features=60, n_targets=n_targets)
    X = sparse.random_array(X.shape, density=0.3, rng=np.random.default_rng(0), format="csr") if sparse_rows else X
    ours = MiniBatchSGDRegressorCV(alphas=ALPHAS).fit(X, y, weight)
    assert_same_search(ours, grid_search(X, y, weight))


def test_fewer_rows_than_columns_in_some_folds():
    X, y, _ = make_problem(3, n_rows=45, n_features=40)
    cv = [(np.arange(20), np.arange(20, 45)), (np.arange(43), np.arange(43, 45)), (np.arange(20, 45), np.arange(20))]
    ours = MiniBatchSGDRegressorCV(alphas=ALPHAS, cv=cv).fit(X, y)
    assert_same_search(ours, grid_search(X, y, cv=cv))


@pytest.mark.parametrize("density", [0.05, 0.5])
def test_csr(density):
    X, y, weight = make_problem(4)
    X = sparse.random_array((301, 20), density=density, rng=np.random.default_rng(1), format="csr")
    for cv in (5, KFold(5, shuffle=True, random_state=0)):
        assert_same_search(
            MiniBatchSGDRegressorCV(alphas=ALPHAS, cv=cv).fit(X, y, weight), grid_search(X, y, weight, cv=cv)
        )


def test_several_targets():
    X, y, weight = make_problem(5, n_targets=3)
    for scoring in ("r2", "neg_root_mean_squared_error"):
        ours = MiniBatchSGDRegressorCV(alphas=ALPHAS, scoring=scoring).fit(X, y, weight)
        assert_same_search(ours, grid_search(X, y, weight, scoring=scoring))


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("cv", [LeaveOneGroupOut(), GroupKFold(3)])
def test_groups(cv, weighted):
    X, y, weight = make_problem(6)
    weight = weight if weighted else None
    groups = np.sort(np.random.default_rng(0).integers(0, 5, len(y)))
    ours = MiniBatchSGDRegressorCV(alphas=ALPHAS, cv=cv).fit(X, y, weight, groups=groups)
    assert_same_search(ours, grid_search(X, y, weight, cv=cv, groups=groups))


def test_folds_of_one_row():
    X, y, weight = make_problem(7, n_rows=30)
    ours = MiniBatchSGDRegressorCV(alphas=ALPHAS, cv=LeaveOneOut(), scoring="neg_mean_squared_error").fit(X, y, weight)
    assert_same_search(ours, grid_search(X, y, weight, cv=LeaveOneOut(), scoring="neg_mean_squared_error"))
    with pytest.warns(UndefinedMetricWarning, match="less than two samples"):
        ours = MiniBatchSGDRegressorCV(alphas=ALPHAS, cv=LeaveOneOut()).fit(X, y)
    assert np.isnan(ours.best_score_)


def test_rows_of_weight_zero_take_no_part():
    X, y, weight = make_problem(8)
    weight[::3] = 0.0
    cv = KFold(4, shuffle=True, random_state=0)
    ours = MiniBatchSGDRegressorCV(alphas=ALPHAS, cv=cv, scoring="neg_mean_absolute_error").fit(X, y, weight)
    assert_same_search(ours, grid_search(X, y, weight, cv=cv, scoring="neg_mean_absolute_error"))
    with pytest.raises(ValueError, match="Split 1 of cv has no testing rows of positive weight"):
        MiniBatchSGDRegressorCV(cv=[(range(100), range(100, 301)), (range(100), [0, 3])]).fit(X, y, weight)


@pytest.mark.parametrize("positive", [False, True])
@pytest.mark.parametrize(
    "parameters", [{"penalty": "l1"}, {"penalty": "elasticnet", "l1_ratio": 0.3}, {"alphas": [1e-3, 0.1, 10.0]}]
)
def test_l1_and_positive(parameters, positive):
    X, y, weight = make_problem(9, n_targets=2)
    parameters = {"alphas": [1e-3, 1.0, 0.1], "positive": positive} | parameters
    ours = MiniBatchSGDRegressorCV(**parameters).fit(X, y, weight)
    assert_same_search(ours, grid_search(X, y, weight, **parameters), tol=1e-8)


@pytest.mark.parametrize("shape", [(40, 60), (301, 7)])
def test_l1_ratio_as_a_list(shape):
    X, y, weight = make_problem(10, *shape)
    ours = MiniBatchSGDRegressorCV(penalty="elasticnet", alphas=[0.1, 1.0], l1_ratio=[0.2, 0.0, 1.0]).fit(X, y, weight)
    theirs = grid_search(
        X, y, weight, alphas=[0.1, 1.0], grid={"l1_ratio": [0.2, 0.0, 1.0]}, penalty="elasticnet", scoring="r2"
    )
    assert_same_search(ours, theirs, tol=1e-8)
    assert ours.l1_ratio_ == ours.best_params_["l1_ratio"]


@pytest.mark.parametrize("positive", [False, True])
@pytest.mark.parametrize("fit_intercept", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
def test_count_of_alphas_is_that_of_elastic_net_cv(weighted, fit_intercept, positive):
    X, y, weight = make_problem(11)
    weight = weight if weighted else None
    common = {"l1_ratio": [0.2, 0.9], "cv": 4, "fit_intercept": fit_intercept, "positive": positive, "alphas": 20}
    ours = MiniBatchSGDRegressorCV(penalty="elasticnet", scoring="neg_mean_squared_error", **common).fit(X, y, weight)
    theirs = ElasticNetCV(tol=1e-12, max_iter=100_000, **common).fit(X, y, weight)
    np.testing.assert_allclose(ours.alphas_, theirs.alphas_, rtol=1e-10)
    folds = np.column_stack([ours.cv_results_[f"split{k}_test_score"] for k in range(4)])
    np.testing.assert_allclose(-folds.reshape(2, 20, 4), theirs.mse_path_, rtol=1e-6)


def test_lasso_cv():
    X, y, _ = make_problem(12)
    ours = MiniBatchSGDRegressorCV(penalty="l1", eps=1e-2, alphas=30).fit(X, y)
    theirs = LassoCV(eps=1e-2, alphas=30, tol=1e-12).fit(X, y)
    assert ours.alpha_ == pytest.approx(theirs.alpha_, rel=1e-10)
    np.testing.assert_allclose(ours.coef_, theirs.coef_, rtol=1e-6)
    assert not MiniBatchSGDRegressor(penalty="l1", alpha=ours.alphas_[0]).fit(X, y).coef_.any()


def test_largest_alpha_of_an_l2_penalty_leaves_next_to_nothing():
    X, y, _ = make_problem(13)
    ours = MiniBatchSGDRegressorCV(alphas=7).fit(X, y)
    assert ours.alphas_[0] == pytest.approx(100 * X.var(axis=0).sum())
    np.testing.assert_allclose(ours.alphas_[1:] / ours.alphas_[:-1], 1e-10 ** (1 / 6))
    left = MiniBatchSGDRegressor(alpha=ours.alphas_[0]).fit(X, y).predict(X) - y.mean()
    assert np.abs(left).max() <= 0.01 * np.abs(y - y.mean()).max() * len(y) ** 0.5


@pytest.mark.parametrize("fit_intercept", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("n_targets", [1, 3])
@pytest.mark.parametrize("kind", ["long", "wide", "csr"])
def test_leave_one_out_is_that_of_ridge_cv(kind, n_targets, weighted, fit_intercept):
    X, y, weight = make_problem(14, *((40, 60) if kind == "wide" else (301, 7)), n_targets=n_targets)
    weight = weight / weight.mean() if weighted else None
    X = sparse.csr_array(X * (np.abs(X) > 1.0)) if kind == "csr" else X
    alphas = np.array(ALPHAS[1:])
    ours = MiniBatchSGDRegressorCV(alphas=alphas, cv=None, fit_intercept=fit_intercept).fit(X, y, weight)
    mode = "svd" if kind == "wide" else None  # the other loses digits there
    theirs = RidgeCV(alphas * len(y), fit_intercept=fit_intercept, gcv_mode=mode, store_cv_results=True)
    theirs.fit(X, y, weight)
    errors = theirs.cv_results_.reshape(-1, len(alphas))
    np.testing.assert_allclose(ours.cv_results_["mean_test_score"], -errors.mean(axis=0), rtol=1e-9)
    assert ours.alpha_ * len(y) == pytest.approx(theirs.alpha_)
    assert ours.best_score_ == pytest.approx(theirs.best_score_, rel=1e-9)
    np.testing.assert_allclose(ours.coef_, theirs.coef_, rtol=1e-7)
    if not weighted and n_targets == 1:
        np.testing.assert_allclose(ours.cv_results_["std_test_score"], errors.std(axis=0), rtol=1e-7)


@pytest.mark.parametrize("scoring", ["r2", "neg_root_mean_squared_error", "neg_median_absolute_error"])
def test_leave_one_out_with_other_scores(scoring):
    X, y, _ = make_problem(15, n_targets=2)
    alphas = np.array(ALPHAS[1:])
    ours = MiniBatchSGDRegressorCV(alphas=alphas, cv=None, scoring=scoring).fit(X, y)
    theirs = RidgeCV(alphas * len(y), scoring=scoring).fit(X, y)
    assert ours.best_score_ == pytest.approx(theirs.best_score_, rel=1e-9)
    assert ours.alpha_ * len(y) == pytest.approx(theirs.alpha_)


def test_leave_one_out_without_a_penalty_is_that_of_fits_one_by_one():
    X, y, weight = make_problem(16, n_rows=50)
    X = np.add(X, [0, 1e6, 0, 0, 0, 0, 0]) * [1e-6, 1.0, 1e6, 1, 1, 1, 1]
    ours = MiniBatchSGDRegressorCV(alphas=[0.0], cv=None).fit(X, y, weight)
    theirs = [MiniBatchSGDRegressor().fit(np.delete(X, i, 0), np.delete(y, i), np.delete(weight, i)) for i in range(50)]
    errors = [(model.predict(X[i : i + 1])[0] - y[i]) ** 2 for i, model in enumerate(theirs)]
    assert ours.best_score_ == pytest.approx(-np.average(errors, weights=weight), rel=1e-9)


def test_a_row_that_determines_a_coefficient_has_no_leave_one_out_error():
    X, y, _ = make_problem(17)
    X = np.column_stack([X, np.arange(len(X)) == 7])
    scores = MiniBatchSGDRegressorCV(alphas=[0.0, 1.0], cv=None).fit(X, y).cv_results_
    assert np.isnan(scores["mean_test_score"]).tolist() == [True, False]
    assert scores["rank_test_score"].tolist() == [2, 1]


@pytest.mark.parametrize("parameters", [{"penalty": "l1"}, {"positive": True}, {"loss": "huber"}, {"solver": "numba"}])
def test_leave_one_out_is_refused_without_the_hat_matrix(parameters):
    X, y, _ = make_problem(0)
    with pytest.raises(ValueError, match="cv=None predicts each row from all others, for penalty='l2'"):
        MiniBatchSGDRegressorCV(cv=None, **parameters).fit(X, y)


def count_of_zeros(estimator, X, y):
    """A scorer that looks at the coefficients."""
    return float(np.sum(estimator.coef_ == 0.0)) + estimator.score(X, y)


@pytest.mark.parametrize(
    "scoring", ["neg_mean_absolute_error", "max_error", make_scorer(mean_absolute_error), count_of_zeros]
)
@pytest.mark.parametrize("shape", [(301, 7), (40, 60)])
def test_other_scorers(scoring, shape):
    X, y, _ = make_problem(18, *shape, weighted=False)
    scoring = "neg_max_error" if scoring == "max_error" else scoring
    ours = MiniBatchSGDRegressorCV(alphas=[1.0, 0.1], penalty="l1", scoring=scoring).fit(X, y)
    theirs = grid_search(X, y, alphas=[1.0, 0.1], penalty="l1", scoring=scoring)
    assert_same_search(ours, theirs, tol=1e-8)
    assert callable(ours.scorer_)


def test_one_standard_error():
    X, y, _ = make_problem(19, n_rows=60, noise=6.0)
    ours = MiniBatchSGDRegressorCV(alphas=40, cv=6, refit="one_standard_error").fit(X, y)
    best = MiniBatchSGDRegressorCV(alphas=40, cv=6).fit(X, y)
    folds = np.column_stack([best.cv_results_[f"split{k}_test_score"] for k in range(6)])
    error = folds[best.best_index_].std(ddof=1) / 6**0.5
    enough = folds.mean(axis=1) >= best.best_score_ - error
    assert ours.alpha_ == best.alphas_[enough].max() > best.alpha_
    assert ours.best_score_ == folds.mean(axis=1)[ours.best_index_]


def test_one_standard_error_keeps_the_other_parameters():
    X, y, _ = make_problem(19, n_rows=60, noise=6.0)
    parameters = {"penalty": "elasticnet", "l1_ratio": [0.1, 0.9], "alphas": 30}
    best = MiniBatchSGDRegressorCV(**parameters).fit(X, y)
    ours = MiniBatchSGDRegressorCV(refit="one_standard_error", **parameters).fit(X, y)
    assert ours.l1_ratio_ == best.l1_ratio_
    assert ours.alpha_ > best.alpha_


def test_refit_as_a_callable():
    X, y, _ = make_problem(20)
    ours = MiniBatchSGDRegressorCV(alphas=ALPHAS, refit=lambda results: len(results["params"]) - 1).fit(X, y)
    assert (ours.best_index_, ours.alpha_) == (4, 10.0)
    with pytest.raises(ValueError, match="refit should return the number of a candidate"):
        MiniBatchSGDRegressorCV(refit=lambda results: 0.5).fit(X, y)


def test_everything_that_a_fitted_model_has():
    X, y, weight = make_problem(21)
    ours = MiniBatchSGDRegressorCV(alphas=[0.0], cv=3).fit(X, y, weight)
    model = MiniBatchSGDRegressor().fit(X, y, weight)
    missing = {name for name in vars(model) if not hasattr(ours, name)} - {"alpha", "warm_start"}
    assert not missing
    np.testing.assert_array_equal(ours.coef_std_error_, model.coef_std_error_)
    for ours_, theirs in zip(ours.predict(X, return_std=True), model.predict(X, return_std=True), strict=True):
        np.testing.assert_array_equal(ours_, theirs)
    assert ours.score(X, y) == model.score(X, y)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(ours)).predict(X), ours.predict(X))
    assert not hasattr(clone(ours), "coef_")
    assert not hasattr(ours, "partial_fit")
    assert not hasattr(ours, "merge")
    with pytest.raises(AttributeError, match=r"go on with MiniBatchSGDRegressor\(\*\*best_params_"):
        ours.partial_fit(X, y)


def test_feature_names():
    pandas = pytest.importorskip("pandas")
    X, y, _ = make_problem(22)
    frame = pandas.DataFrame(X, columns=list("abcdefg"))
    model = MiniBatchSGDRegressorCV(alphas=ALPHAS, scoring="neg_mean_absolute_error").fit(frame, y)
    assert list(model.feature_names_in_) == list("abcdefg")
    assert model.predict(frame).shape == y.shape


@pytest.mark.parametrize("cut", [8, 30])
@pytest.mark.parametrize("cv", [3, KFold(4, shuffle=True, random_state=0), ShuffleSplit(3, random_state=0)])
def test_fit_source_splits_blocks(cv, cut):
    X, y, weight = make_problem(23)
    X = np.add(X, [0, 1e6, 0, 0, 0, 0, 0])
    weight[:100] *= 1e-3
    blocks = np.array_split(np.arange(len(y)), cut)
    of_row = np.concatenate([np.full(len(rows), number) for number, rows in enumerate(blocks)])
    pairs = [[np.flatnonzero(np.isin(of_row, part)) for part in pair] for pair in _splits(cv, cut)]
    source = [(X[rows], y[rows], weight[rows]) for rows in blocks]
    ours = MiniBatchSGDRegressorCV(alphas=ALPHAS, cv=cv).fit_source(source)
    theirs = grid_search(X, y, weight, cv=pairs)
    np.testing.assert_allclose(
        ours.cv_results_["mean_test_score"], theirs.cv_results_["mean_test_score"], rtol=1e-9, atol=1e-9
    )
    assert ours.best_params_ == theirs.best_params_
    np.testing.assert_allclose(ours.coef_, theirs.best_estimator_.coef_, rtol=1e-9)
    loo = MiniBatchSGDRegressorCV(alphas=ALPHAS, cv=None).fit_source(source)
    in_memory = MiniBatchSGDRegressorCV(alphas=ALPHAS, cv=None).fit(X, y, weight)
    np.testing.assert_allclose(loo.cv_results_["mean_test_score"], in_memory.cv_results_["mean_test_score"], rtol=1e-9)
    assert loo.n_splits_ == len(y)


def _splits(cv, n):
    return (KFold(cv) if isinstance(cv, int) else cv).split(np.zeros((n, 1)))


@pytest.mark.parametrize("make", [PROBLEMS["one-hot"], PROBLEMS["nearly dependent"]])
def test_fit_source_with_dependent_columns(make):
    X, y, _ = make_problem(24)
    X = make(X, np.random.default_rng(0))
    rows = np.array_split(np.arange(len(y)), 5)
    ours = MiniBatchSGDRegressorCV(alphas=ALPHAS).fit_source([(X[part], y[part]) for part in rows])
    theirs = grid_search(X, y).cv_results_["mean_test_score"]
    np.testing.assert_allclose(ours.cv_results_["mean_test_score"], theirs, rtol=1e-9)


def test_what_fit_source_refuses():
    X, y, _ = make_problem(25)
    source = [(X[:150], y[:150]), (X[150:], y[150:])]
    with pytest.raises(ValueError, match="is an iterator, which can be passed over once"):
        MiniBatchSGDRegressorCV(cv=2).fit_source(iter(source))
    with pytest.raises(ValueError, match="scoring should be one of r2, neg_mean_squared_error"):
        MiniBatchSGDRegressorCV(cv=2, scoring="neg_max_error").fit_source(source)
    with pytest.raises(ValueError, match="fit_source scores candidates from sums"):
        MiniBatchSGDRegressorCV(cv=2, loss="huber").fit_source(source)
    with pytest.raises(ValueError, match="Cannot have number of splits n_splits=5 greater than the number of samples"):
        MiniBatchSGDRegressorCV().fit_source(source)


def test_metadata_routing():
    X, y, weight = make_problem(26)
    groups = np.arange(len(y)) % 6
    alphas = {"alphas": ALPHAS, "cv": GroupKFold(3)}
    plain = MiniBatchSGDRegressorCV(**alphas).fit(X, y, weight, groups=groups)
    with sklearn.config_context(enable_metadata_routing=True):
        routed = MiniBatchSGDRegressorCV(**alphas).fit(X, y, weight, groups=groups)
        assert_same_search(routed, grid_search(X, y, weight, cv=GroupKFold(3), groups=groups))
        np.testing.assert_array_equal(routed.cv_results_["mean_test_score"], plain.cv_results_["mean_test_score"])
        unweighted = get_scorer("r2").set_score_request(sample_weight=False)
        other = MiniBatchSGDRegressorCV(scoring=unweighted, **alphas).fit(X, y, weight, groups=groups)
        assert other.best_score_ != pytest.approx(routed.best_score_, rel=1e-6)
        model = MiniBatchSGDRegressorCV(**alphas).set_fit_request(sample_weight=True)
        model.set_score_request(sample_weight=True)
        done = cross_validate(
            make_pipeline(StandardScaler().set_fit_request(sample_weight=True), model),
            X,
            y,
            params={"sample_weight": weight, "groups": groups},
            cv=KFold(2),
        )
        assert done["test_score"].min() > 0.5
    with pytest.raises(ValueError, match="passed on with sklearn"):
        MiniBatchSGDRegressorCV().fit(X, y, some_metadata=3)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"alphas": [-1.0]}, r"alphas should be an int, or a list of one or more numbers in \[0, inf\)"),
        ({"alphas": []}, "alphas should be an int"),
        ({"alphas": ["a"]}, "alphas should be an int"),
        ({"l1_ratio": [0.1, 0.5]}, "l1_ratio is a list, which has no effect with penalty='l2'"),
        ({"epsilon": []}, "epsilon is an empty list"),
        ({"batch_size": [32, -1]}, "The 'batch_size' parameter"),
        ({"penalty": None}, "The 'penalty' parameter"),
        ({"cv": []}, "cv gave no splits"),
        ({"solver": "normal_equation", "device": "cuda"}, "runs where X is"),
    ],
)
def test_errors_leave_the_estimator_as_it_was(parameters, message):
    X, y, _ = make_problem(27)
    model = MiniBatchSGDRegressorCV(**parameters)
    before = vars(model).copy()
    with pytest.raises(ValueError, match=message):
        model.fit(X, y)
    assert vars(model) == before


# steps


@pytest.mark.parametrize("weighted", [False, True])
def test_steps_give_what_grid_search_gives(weighted):
    X, y, weight = make_problem(28)
    weight = weight if weighted else None
    grid = {"alpha": [0.001, 0.1, 10.0], "epsilon": [0.2, 1.0]}
    common = {"loss": "huber", "tol": 1e-7, "random_state": 0}
    ours = MiniBatchSGDRegressorCV(alphas=grid["alpha"], epsilon=grid["epsilon"], **common).fit(X, y, weight)
    theirs = GridSearchCV(MiniBatchSGDRegressor(**common), grid).fit(X, y, sample_weight=weight)
    scores = theirs.cv_results_["mean_test_score"]
    np.testing.assert_allclose(ours.cv_results_["mean_test_score"], scores, atol=1e-6)
    assert ours.cv_results_["params"] == theirs.cv_results_["params"]
    assert ours.best_params_ == theirs.best_params_
    np.testing.assert_array_equal(ours.coef_, theirs.best_estimator_.coef_)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_plain_steps_follow_the_path_of_grid_search():
    X, y, _ = make_problem(29)
    grid = {"alpha": [0.0], "batch_size": [8, 32], "eta0": [1e-3, 1e-2], "learning_rate": ["constant", "invscaling"]}
    common = {"solver": "numba", "max_iter": 5, "random_state": 0}
    lists = {name: values for name, values in grid.items() if name != "alpha"}
    ours = MiniBatchSGDRegressorCV(alphas=grid["alpha"], n_jobs=2, **lists, **common).fit(X, y)
    theirs = GridSearchCV(MiniBatchSGDRegressor(**common), grid).fit(X, y)
    assert_same_search(ours, theirs, tol=1e-12)


def test_scores_are_nan_where_steps_diverge():
    X, y, _ = make_problem(30)
    common = {"alphas": [0.0], "random_state": 0, "cv": 3}
    with pytest.warns(FitFailedWarning, match="3 of 6 fits failed, their scores are nan"):
        ours = MiniBatchSGDRegressorCV(eta0=[1e-2, 10.0], **common).fit(X, y)
    assert np.isnan(ours.cv_results_["mean_test_score"]).tolist() == [False, True]
    assert ours.best_params_ == {"alpha": 0.0, "eta0": 1e-2}
    with pytest.raises(ValueError, match="All 3 fits failed"):
        MiniBatchSGDRegressorCV(eta0=[10.0], **common).fit(X, y)


def test_count_of_alphas_with_another_loss():
    X, y, _ = make_problem(31)
    ours = MiniBatchSGDRegressorCV(loss="huber", epsilon=1.0, penalty="l1", alphas=3, cv=2, random_state=0).fit(X, y)
    residual = np.clip(y.mean() - y, -1.0, 1.0)
    assert ours.alphas_[0] == pytest.approx(np.abs(residual @ X).max() / len(y), rel=1e-9)
