"""A user's script over the whole public API: checked by mypy --strict, and run by a test."""

import pickle
from collections.abc import Iterator
from typing import Any, assert_type

import numpy as np
import sklearn
from numpy.typing import NDArray
from scipy import sparse
from sklearn.base import clone
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import sgdlinreg
import sgdlinreg.onnx
from sgdlinreg import MiniBatchSGDRegressor, MiniBatchSGDRegressorCV
from sgdlinreg.datasets import make_linear, make_sensor_readings
from sgdlinreg.displays import CoefficientDisplay, LossCurveDisplay, RegressionLineDisplay
from sgdlinreg.sources import from_arrays, from_files, from_loader, from_sql, write_parquet

Floats = NDArray[np.floating[Any]]


class Halves:
    """Two blocks of rows, as often as they are asked for."""

    def __init__(self, X: NDArray[np.float64], y: NDArray[np.float64]) -> None:
        self.X, self.y = X, y

    def __iter__(self) -> Iterator[tuple[NDArray[np.float64], NDArray[np.float64]]]:
        yield self.X[::2], self.y[::2]
        yield self.X[1::2], self.y[1::2]


def halving(steps: NDArray[np.float64]) -> NDArray[np.float64]:
    return 0.5 ** (steps / 1000.0)


def main() -> None:
    X, y = make_linear(300, coef=[2.0, -3.4], intercept=4.2, noise=0.01, random_state=np.random.default_rng(0))
    assert_type(X, NDArray[np.float64])
    readings, _, coef, intercept = make_sensor_readings(100, random_state=0)
    assert_type(intercept, float)
    assert readings.shape == (100, len(coef))
    assert_type(sgdlinreg.__version__, str)

    # constructor: every parameter
    steps = MiniBatchSGDRegressor(
        "huber",
        solver="numba",
        penalty="elasticnet",
        alpha=1e-4,
        l1_ratio=0.5,
        epsilon=0.1,
        quantile=0.5,
        fit_intercept=True,
        positive=False,
        batch_size=10,
        max_iter=300,
        tol=1e-3,
        n_iter_no_change=5,
        shuffle="blocks",
        drop_last=False,
        learning_rate=halving,
        eta0=0.01,
        power_t=0.25,
        momentum=0.5,
        nesterovs_momentum=True,
        average=False,
        early_stopping=False,
        validation_fraction=0.1,
        warm_start=False,
        device="cpu",
        n_jobs=None,
        random_state=np.random.RandomState(0),
        verbose=0,
    )
    assert_type(steps.fit(X, y), MiniBatchSGDRegressor)
    assert_type(steps.alpha, float)
    print(steps.set_params(alpha=1e-3).get_params()["alpha"], clone(steps).alpha)
    MiniBatchSGDRegressor(penalty=None, batch_size="full", eta0="auto", shuffle=True, tol=None, l1_ratio=None)
    MiniBatchSGDRegressor(average=10, random_state=0)
    MiniBatchSGDRegressor(solver="svd")  # type: ignore[arg-type]
    MiniBatchSGDRegressor(alpha="0.1")  # type: ignore[arg-type]

    # fit: what X, y and weights may be
    model = MiniBatchSGDRegressor()
    model.fit([[1.0, 2.0], [3.0, 5.0]], [1.0, 2.0])
    model.fit(X, np.column_stack([y, -y]), sample_weight=2.0)
    assert_type(model.coef_, Floats)
    print(model.intercept_[0], model.coef_.shape)
    model.fit(sparse.csr_array(X), y, sample_weight=np.ones(300))
    model.fit(sparse.csr_matrix(X), y.tolist(), [1.0] * 300)
    stepped = MiniBatchSGDRegressor(solver="numba", random_state=0).fit(
        X, y, coef_init=model.coef_, intercept_init=model.intercept_, X_val=X[:50], y_val=y[:50], sample_weight_val=1.0
    )
    assert_type(stepped.validation_scores_, list[float])
    assert_type(stepped.best_validation_score_, float)
    assert_type(stepped.optimality_gap_curve_, list[float])
    print(stepped.t_, stepped.batch_size_, f"{stepped.step_size_:.3g}", stepped.best_loss_)

    # blocks, streams, models from elsewhere
    assert_type(MiniBatchSGDRegressor().fit_source([(X[:100], y[:100]), (X[100:], y[100:])]), MiniBatchSGDRegressor)
    MiniBatchSGDRegressor().fit_source(Halves(X, y))
    MiniBatchSGDRegressor().fit_source((X[i::3], y[i::3], np.ones(100)) for i in range(3))
    source = from_arrays(X, y)
    streamed: MiniBatchSGDRegressor = MiniBatchSGDRegressor().fit_source(source, source_val=[(X, y)])
    r2: float = streamed.score_source(source)
    print(r2, [len(predictions) for predictions in streamed.predict_source(source)])
    parts = [MiniBatchSGDRegressor().partial_fit(X[rows], y[rows]) for rows in (slice(100), slice(100, 300))]
    assert_type(MiniBatchSGDRegressor.merge(parts), MiniBatchSGDRegressor)

    # what is known of a fit
    model.fit(X, y)
    assert_type(model.predict(X), Floats)
    mean, std = model.predict(X, return_std=True)
    assert_type(std, Floats)
    assert_type(model.score(X, y, sample_weight=np.ones(300)), float)
    assert_type(model.coef_std_error_, Floats)
    print(((y - mean) / std).std(), model.residual_std_, round(model.intercept_, 2), model.intercept_std_error_)
    assert_type(model.solver_, str)
    print(model.rank_, model.condition_number_, model.factorization_, model.n_refinements_, model.optimality_gap_)
    print(model.n_iter_, model.n_samples_seen_, model.n_features_in_, np.diff(model.loss_curve_))
    print(type(model.sparsify().coef_), model.densify().coef_)
    assert_type(pickle.loads(pickle.dumps(model)).coef_, Any)

    # tests, intervals and displays
    summary = model.summary(X, y, sample_weight=np.ones(300), cov_type="HC3", confidence_level=0.9)
    assert_type(summary.std_error, NDArray[Any])
    print(summary.df_residual, f"{summary.r2:.3f}", summary.table["p_value"])
    lower, upper = model.predict_interval(X, 0.9, kind="mean")
    print(float((upper - lower).mean()))
    assert_type(upper, Floats)
    assert_type(model.coef_covariance_, Floats)
    assert_type(LossCurveDisplay.from_estimator(stepped, kind="gap"), LossCurveDisplay)
    assert_type(CoefficientDisplay.from_estimator(model, feature_names=["a", "b"]).plot(), CoefficientDisplay)
    assert_type(RegressionLineDisplay.from_estimator(model, X, y), RegressionLineDisplay)

    # scikit-learn around it
    print(model.to_sklearn().predict(X), sgdlinreg.onnx.register)
    search = GridSearchCV(make_pipeline(StandardScaler(), model), {"minibatchsgdregressor__alpha": [0.0, 0.1]}, cv=3)
    print(search.fit(X, y).best_params_)
    with sklearn.config_context(enable_metadata_routing=True):
        use_metadata_routing()
    print(LinearRegression().fit(X, y).coef_ - model.coef_)


def use_search(X: NDArray[np.float64], y: NDArray[np.float64]) -> None:
    """Choose a penalty."""
    chosen = MiniBatchSGDRegressorCV(alphas=10, penalty="elasticnet", l1_ratio=[0.1, 0.9], cv=3).fit(X, y)
    assert_type(chosen, MiniBatchSGDRegressorCV)
    alphas, coefs = chosen.path(X, y)
    print(alphas.shape, coefs.shape, chosen.predict(X).shape)


def use_files(model: MiniBatchSGDRegressor, folder: str, connection: object) -> None:
    """What would need files: only its types are looked at."""
    model.fit_source(from_files(folder, target="y", features=["a", "b"], transform=StandardScaler()))
    model.fit_source(from_sql(connection, "select * from t", target=["y", "z"]))
    model.fit_source(from_loader([(np.ones((2, 1)), np.ones(2))]))
    assert_type(write_parquet(model.predict_source(from_files(folder, target=None)), "predictions.parquet"), int)


def use_metadata_routing() -> None:
    routed = MiniBatchSGDRegressor().set_fit_request(sample_weight=True, X_val=False, y_val="y_test")
    assert_type(routed, MiniBatchSGDRegressor)
    routed.set_partial_fit_request(sample_weight=None).set_predict_request(return_std=False)
    assert_type(routed.set_score_request(sample_weight=True), MiniBatchSGDRegressor)


if __name__ == "__main__":
    main()
