"""The estimator of rows on a cluster."""

from __future__ import annotations

import copy
import inspect
from numbers import Real
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import numpy as np
from sklearn.base import BaseEstimator, MultiOutputMixin, RegressorMixin
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from sgdlinreg._core.explained import Explained
from sgdlinreg._core.optional import import_optional
from sgdlinreg._core.typing import Loss, Penalty, Request, Seed
from sgdlinreg._edge.attributes import forget, keep, model_with_intercept, warn
from sgdlinreg._edge.documentation import page_template
from sgdlinreg._edge.going_on import check_model
from sgdlinreg._edge.inference import InferenceMixin
from sgdlinreg._edge.parameters import check_parameters, choose_solver, make_solver, objective_of, validated
from sgdlinreg._edge.validation import all_or_nothing, check_columns, check_rows
from sgdlinreg._estimator import MiniBatchSGDRegressor
from sgdlinreg._loop.monitor import Monitor
from sgdlinreg._loop.training import train
from sgdlinreg.dask.collections import empty_like, is_frame, rows_of, whole_columns
from sgdlinreg.dask.partitions import NO_ROWS, Checked, Partitions
from sgdlinreg.dask.scheduler import places_of

dask = import_optional("dask", "dask", "sgdlinreg.dask")
array = import_optional("dask.array", "dask", "sgdlinreg.dask")


class DaskMiniBatchSGDRegressor(InferenceMixin, MultiOutputMixin, RegressorMixin, BaseEstimator):
    """Linear regression of rows on a cluster: the model that MiniBatchSGDRegressor fits to the same rows in memory.

    Rows are collections of Dask, whose partitions stay where they are. The closed form sums them up on the workers, and
    only its sums, (n_features + 1)**2 numbers, are sent. For other losses, and for more than 2000 features, every
    pass sums a full gradient over the partitions. No local models are averaged, and no steps are taken.

    Parameters
    ----------
    loss : {"squared_error", "huber", "epsilon_insensitive", "squared_epsilon_insensitive", "quantile"}, \
            default="squared_error"
        What is minimised, as in :class:`~sgdlinreg.MiniBatchSGDRegressor`.

    solver : {"auto", "normal_equation", "numba"}, default="auto"
        - "normal_equation": the closed form, one pass over the rows, and another where it wants more digits.
        - "numba": passes of full gradients, compiled for the CPU on each worker.
        - "auto": "normal_equation" if the loss is the squared error, there are at most 2000 features, and max_iter and
          tol have their defaults; else "numba".

    penalty : {"l2", "l1", "elasticnet", None}, default="l2"
        Penalty on the coefficients; the intercept is never penalised.

    alpha : float, default=0.0
        Strength of the penalty, in [0, inf).

    l1_ratio : float or None, default=0.5
        Fraction of the l1 part for penalty="elasticnet", in [0, 1].

    epsilon : float, default=0.1
        Where loss="huber", "epsilon_insensitive" and "squared_epsilon_insensitive" change their shape, in the unit of
        y, in [0, inf).

    quantile : float, default=0.5
        Which quantile of y is predicted with loss="quantile", in (0, 1).

    fit_intercept : bool, default=True
        Whether to fit an intercept.

    positive : bool, default=False
        Whether coefficients are kept from being negative.

    max_iter : int, default=1000
        Largest number of passes of full gradients, in [1, inf). Two passes that count and measure the rows before do
        not count.

    tol : float, default=1e-3
        Tolerance of full gradients in units of R2, in [0, inf), as in :class:`~sgdlinreg.MiniBatchSGDRegressor`.

    random_state : int, RandomState instance, numpy.random.Generator or None, default=None
        Seed of the rows that are drawn for the preconditioner of full gradients; the closed form draws nothing.

    verbose : int, default=0
        1 prints a line for each pass, 2 also shows distributed's progress bar of it.

    Attributes
    ----------
    coef_ : ndarray of shape (n_features,) or (n_targets, n_features)
        Coefficients in the dtype of X, in memory as all attributes.

    intercept_ : float or ndarray of shape (n_targets,)
        Intercept, float64; 0.0 without one.

    solver_ : str
        The solver that ran.

    n_iter_ : int
        Passes of full gradients, 1 for the closed form.

    n_samples_seen_ : int
        Rows of positive weight.

    loss_curve_ : list of float
        Objective after each pass, mean over the targets.

    optimality_gap_ : float
        Estimated distance from the optimum, as in :class:`~sgdlinreg.MiniBatchSGDRegressor`.

    optimality_gap_curve_ : list of float
        `optimality_gap_` after each pass.

    best_loss_ : float
        Smallest value of `loss_curve_`.

    rank_ : int
        Rank of the columns. This and the next three after the closed form only.

    condition_number_ : float
        Condition number of the columns scaled to unit norm.

    factorization_ : str
        How the closed form was solved.

    n_refinements_ : int
        Refinements of the closed form, each of which is a pass.

    residual_std_ : float or ndarray of shape (n_targets,)
        Standard deviation of the residuals. This and the next three after the closed form without a penalty only.

    coef_std_error_ : ndarray of shape (n_features,) or (n_targets, n_features)
        Standard errors of the coefficients.

    intercept_std_error_ : float or ndarray of shape (n_targets,)
        Standard errors of the intercepts.

    coef_covariance_ : ndarray of shape (n_features + 1, n_features + 1) or (n_targets, n_features + 1, n_features + 1)
        Covariance of the intercept, which comes first, and the coefficients.

    n_features_in_ : int
        Number of features.

    feature_names_in_ : ndarray of shape (n_features,)
        Names of the features, if X is a DataFrame with string column names.

    See Also
    --------
    sgdlinreg.MiniBatchSGDRegressor : Rows in memory, or in files of one machine.

    Notes
    -----
    Fits run on the scheduler that Dask uses: the cluster of the current ``dask.distributed.Client``, else threads of
    this process. Persist X and y before fit (``X = X.persist()``) where they fit into the memory of the workers: each
    pass reads them, and nothing is persisted here.

    Every task is a function of coefficients and one partition, so Dask repeats what a lost worker had to do.
    The sums of the closed form join first where the partitions are, so that the last bits depend on which worker has
    which partition. Full gradients join in the order of the partitions.

    Cost: for n rows in p partitions on k workers the closed form takes ``n * n_features**2 / k`` operations and sends
    about ``8 * k * (n_features + 1)**2`` bytes; a full gradient ``4 * n * n_features / k`` operations and about
    ``24 * p * n_features`` bytes.

    Examples
    --------
    >>> import dask.array as da
    >>> from sgdlinreg.dask import DaskMiniBatchSGDRegressor
    >>> from sgdlinreg.datasets import make_linear
    >>> X, y = make_linear(n_samples=1000, random_state=0)
    >>> X, y = da.from_array(X, chunks=(300, -1)), da.from_array(y, chunks=300)
    >>> model = DaskMiniBatchSGDRegressor().fit(X, y)
    >>> model.coef_.round(2), float(round(model.intercept_, 2)), model.n_samples_seen_
    (array([ 2. , -3.4]), 4.2, 1000)
    >>> model.predict(X)
    dask.array<predict_part, shape=(1000,), dtype=float64, chunksize=(300,), chunktype=numpy.ndarray>
    >>> round(float(model.score(X, y)), 3)
    1.0
    """

    device = "cpu"
    _doc_link_module = "sgdlinreg"

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        name: MiniBatchSGDRegressor._parameter_constraints[name]
        for name in (
            *("loss", "penalty", "alpha", "l1_ratio", "epsilon", "quantile", "fit_intercept", "positive", "max_iter"),
            *("random_state", "verbose"),
        )
    } | {
        "solver": [StrOptions({"auto", "normal_equation", "numba"})],
        "tol": [Interval(Real, 0, None, closed="left")],
    }

    def __init__(
        self,
        loss: Loss = "squared_error",
        *,
        solver: Literal["auto", "normal_equation", "numba"] = "auto",
        penalty: Penalty | None = "l2",
        alpha: float = 0.0,
        l1_ratio: float | None = 0.5,
        epsilon: float = 0.1,
        quantile: float = 0.5,
        fit_intercept: bool = True,
        positive: bool = False,
        max_iter: int = 1000,
        tol: float = 1e-3,
        random_state: Seed | None = None,
        verbose: int = 0,
    ) -> None:
        self.loss = loss
        self.solver = solver
        self.penalty = penalty
        self.alpha = alpha
        self.l1_ratio = l1_ratio
        self.epsilon = epsilon
        self.quantile = quantile
        self.fit_intercept = fit_intercept
        self.positive = positive
        self.max_iter = max_iter
        self.tol = tol
        self.random_state = random_state
        self.verbose = verbose

    @validated
    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Fit the model from scratch.

        Parameters
        ----------
        X : dask Array of shape (n_samples, n_features) or dask DataFrame
            Training data; float32 and float64 are used as they are, other numbers are converted in every pass. Chunks
            along columns are joined. Partitions may be of any and of unknown sizes, and empty.
        y : dask Array of shape (n_samples,) or (n_samples, n_targets), dask Series or DataFrame
            Target values. Where all sizes are known they are brought into the partitions of X; else they must have as
            many.
        sample_weight : dask Array of shape (n_samples,) or dask Series, default=None
            Weights, at least 0; None is the same as equal weights.

        Returns
        -------
        self : DaskMiniBatchSGDRegressor
            The fitted estimator.

        Raises
        ------
        TypeError
            If X, y or sample_weight is no such collection.
        ValueError
            If a parameter is invalid, or the collections do not fit together; or, by the number of the partition, if
            its values are refused as :class:`~sgdlinreg.MiniBatchSGDRegressor` refuses them, as NaN. The
            estimator is then as it was before.
        OSError
            If the scheduler of a cluster is lost. The estimator is then as it was before.

        Warns
        -----
        ConvergenceWarning
            If max_iter passes were not enough for tol, or columns are too collinear for full gradients to be sure.
        LinAlgWarning
            If the closed form could not give all digits of the coefficients.
        """
        local = MiniBatchSGDRegressor(**self.get_params())
        with all_or_nothing(self):
            check_parameters(local)
            rows = rows_of(X, y, sample_weight)
            first = check_rows(local, rows.X, rows.y, None, reset=True, finite=False, min_rows=0)
            objective = objective_of(local)
            choice = choose_solver(local, first, objective, has_start=False)
            solver = make_solver(local, choice.name, first, objective)
            places = places_of(rows.collection, len(rows.parts))
            # sums of gradients are small: in their order they keep their last bits
            in_order = choice.name != "normal_equation"
            data = Partitions(rows, Checked(copy.copy(local), first.n_targets), places, in_order, self.verbose > 1)
            if in_order:
                solver.weight_exponent = data.count()
            forget(local)
            monitor = Monitor(self.max_iter, choice.name if self.verbose else None)
            try:
                model = train(solver, data, monitor)
            except ValueError:
                data.check_finite()  # of NaN scikit-learn's error tells more
                raise
            keep(local, model, monitor, choice, first, first.X)
            local.n_samples_seen_ = sum(data.n_rows) or model.attributes["batch_size_"]
            self._adopt(local)
            warn(model)
        return self

    def predict(self, X: Any) -> Any:
        """Predict, lazily.

        Parameters
        ----------
        X : dask Array of shape (n_samples, n_features) or dask DataFrame
            Rows.

        Returns
        -------
        y : dask Array of shape (n_samples,) or (n_samples, n_targets), dask Series or DataFrame
            Predictions of X's dtype in the partitions of X: an Array for an Array, else a Series or, for several
            targets, a DataFrame, with the index of X. Nothing is computed yet.

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        TypeError
            If X is no such collection.
        ValueError
            If its columns are not those of fit; when it is computed, if its values are invalid.
        """
        check_is_fitted(self)
        X = whole_columns(X, "X", (2,))
        like_X, predictor = check_columns(self, empty_like(X), min_rows=0), self._predictor()
        check_model(self, like_X.shape[1])
        single = np.ndim(self.intercept_) == 0
        if is_frame(X):
            return X.map_partitions(predict_part, predictor, meta=predict_part(X._meta, predictor))
        if single:
            return X.map_blocks(predict_part, predictor, dtype=like_X.dtype, drop_axis=1, meta=like_X[:, 0])
        chunks = (X.chunks[0], (len(predictor.coef_),))
        return X.map_blocks(predict_part, predictor, dtype=like_X.dtype, chunks=chunks, meta=like_X)

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> Any:
        """Return R2 of the predictions, the mean over the targets, lazily.

        Parameters
        ----------
        X : dask Array of shape (n_samples, n_features) or dask DataFrame
            Rows, as `predict` takes them.
        y : dask Array of shape (n_samples,) or (n_samples, n_targets), dask Series or DataFrame
            Their true values.
        sample_weight : dask Array of shape (n_samples,) or dask Series, default=None
            Their weights.

        Returns
        -------
        score : dask Array of shape ()
            R2, at most 1; that of the constant model, the mean of y, is 0. ``float(score)`` or ``score.compute()``
            computes it: each partition is summed up on its worker.

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        TypeError, ValueError
            As in `predict` and `fit`.
        """
        check_is_fitted(self)
        rows = rows_of(X, y, sample_weight)
        local = self._predictor()
        first = check_rows(local, rows.X, rows.y, None, reset=False, finite=False, min_rows=0)
        coef = model_with_intercept(local)
        check_model(local, first.n_features)
        if first.n_targets != len(coef):
            raise ValueError(f"y has {first.n_targets} targets, but the model was fitted with {len(coef)}.")
        data = Partitions(rows, Checked(local, first.n_targets), places_of(rows.collection, len(rows.parts)))
        score = dask.delayed(_score_of)(data.folded(Explained(coef)))
        return array.from_delayed(score, shape=(), dtype=np.float64)

    def to_local(self) -> MiniBatchSGDRegressor:
        """Return the fitted model as an estimator of rows in memory.

        Returns
        -------
        model : MiniBatchSGDRegressor
            With the parameters and the fitted attributes of this one. After the closed form on up to 256 columns its
            partial_fit goes on from the sums.

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.

        Examples
        --------
        >>> import dask.array as da
        >>> from sgdlinreg.dask import DaskMiniBatchSGDRegressor
        >>> from sgdlinreg.datasets import make_linear
        >>> X, y = make_linear(n_samples=1000, random_state=0)
        >>> model = DaskMiniBatchSGDRegressor().fit(da.from_array(X), da.from_array(y))
        >>> model.to_local().predict(X[:2]).round(1)
        array([4.9, 5.1])
        """
        check_is_fitted(self)
        local = MiniBatchSGDRegressor(**self.get_params())
        local.__dict__.update(copy.deepcopy(self._fitted()))
        return local

    @classmethod
    def from_local(cls, model: MiniBatchSGDRegressor) -> Self:
        """Make an estimator of rows on a cluster from a fitted one of rows in memory.

        Parameters
        ----------
        model : MiniBatchSGDRegressor
            Fitted. Parameters that an estimator of rows on a cluster does not have, as those of steps, are left out;
            solver="torch" becomes "auto".

        Returns
        -------
        model : DaskMiniBatchSGDRegressor
            With its parameters and fitted attributes.

        Raises
        ------
        NotFittedError
            If the model is not fitted.
        """
        check_is_fitted(model)
        names, given = inspect.signature(cls).parameters, model.get_params()
        made = cls(**{name: value for name, value in given.items() if name in names})
        if made.solver not in ("auto", "normal_equation", "numba"):
            made.solver = "auto"
        if made.tol is None:
            made.tol = names["tol"].default
        made._adopt(copy.deepcopy(model))
        return made

    def _adopt(self, local: MiniBatchSGDRegressor) -> None:
        """Take over the fitted attributes of a model of rows in memory, and drop those of the last fit."""
        for name in self._fitted():
            delattr(self, name)
        parameters = local.get_params()
        self.__dict__.update({name: value for name, value in vars(local).items() if name not in parameters})

    def _fitted(self) -> dict[str, Any]:
        parameters = self.get_params()
        return {name: value for name, value in vars(self).items() if name not in parameters}

    def _predictor(self) -> MiniBatchSGDRegressor:
        """Return what predicts on the workers: coefficients, and names of the columns."""
        local = MiniBatchSGDRegressor()
        names = ("coef_", "intercept_", "n_features_in_", "feature_names_in_", "_y_ndim")
        local.__dict__.update({name: value for name, value in vars(self).items() if name in names})
        return local

    @property
    def _doc_link_template(self) -> str:
        return page_template()

    if TYPE_CHECKING:  # scikit-learn makes these for metadata routing

        def set_fit_request(self, *, sample_weight: Request = ...) -> Self: ...
        def set_score_request(self, *, sample_weight: Request = ...) -> Self: ...


def predict_part(part: Any, predictor: MiniBatchSGDRegressor) -> Any:
    """Predict a partition: a Series or DataFrame with the index of a frame, an array for an array."""
    predictions = predictor.predict(part)
    if not hasattr(part, "iloc"):
        return predictions
    make = part._constructor_sliced if predictions.ndim == 1 else part._constructor
    return make(predictions, index=part.index)


def _score_of(explained: Explained | None) -> np.float64:
    if explained is None:
        raise ValueError(NO_ROWS)
    return np.float64(explained.score)
