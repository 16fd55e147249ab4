"""The estimator that chooses its penalty, and other parameters, by cross-validation."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from numbers import Integral, Real
from typing import Any, ClassVar, Literal, NoReturn, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn import get_config
from sklearn.base import clone
from sklearn.metrics import get_scorer, get_scorer_names
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.metadata_routing import MetadataRouter, MethodMapping, process_routing
from sklearn.utils.validation import check_is_fitted

from sgdlinreg._core.blocks import Block
from sgdlinreg._core.typing import BlockLike, Floats, Loss, MatrixLike, Penalty, Seed, Solver
from sgdlinreg._edge.attributes import coef_of
from sgdlinreg._edge.callbacks import Tasks
from sgdlinreg._edge.namespaces import to_numpy
from sgdlinreg._edge.out_of_memory import ExplainedOutOfMemory
from sgdlinreg._edge.parameters import (
    check_parameters,
    check_ranges,
    choose_solver,
    make_solver,
    objective_of,
    validated,
)
from sgdlinreg._edge.validation import all_or_nothing, check_finite, check_rows, named
from sgdlinreg._estimator import MiniBatchSGDRegressor
from sgdlinreg._loop.data import SameRows
from sgdlinreg._search.closed_form import extent_of_block, leave_one_out_scores, path_of_rows, scores_of_folds
from sgdlinreg._search.fits import scores_of_fits
from sgdlinreg._search.grid import SEARCHED, Grid, best_of, is_list, one_standard_error, results_of, summary_of
from sgdlinreg._search.halving import halve
from sgdlinreg._search.paths import Penalties
from sgdlinreg._search.rows import RowsInMemory, RowsOfSource
from sgdlinreg._search.scores import OF_SQUARES, Scoring
from sgdlinreg._search.splits import splits_of
from sgdlinreg._streams import blocks_of
from sgdlinreg.sources.iterable import as_source

LISTS = (list, tuple, np.ndarray)


class MiniBatchSGDRegressorCV(MiniBatchSGDRegressor):
    """Linear regression that chooses its penalty by cross-validation.

    Scores every combination of the penalties in `alphas` and of the other parameters that are lists, chooses one, and
    fits it on all rows. The result is that of :class:`~sklearn.model_selection.GridSearchCV` over
    :class:`MiniBatchSGDRegressor`. For the squared error, a search over penalties takes about as long as two or three
    fits, because the closed form reads the rows once and solves each fold from sums. For other losses, the fits of a
    fold read its rows together.

    Parameters
    ----------
    loss : str, default="squared_error"
        Loss of one row. This and all parameters that are not described here are those of
        :class:`MiniBatchSGDRegressor`.

    solver : {"auto", "normal_equation", "numba", "torch"}, default="auto"
        With "normal_equation", and with "auto" if a fit would take the closed form, penalties are scored from sums.
        Otherwise there is a fit for each candidate and fold. Up to 32 candidates share each pass over the rows, and
        fewer if there are more than 65,536 features.

    penalty : {"l2", "l1", "elasticnet"}, default="l2"
        Penalty on the coefficients.

    alphas : int or array-like of shape (n_alphas,), default=100
        Strengths of the penalty, in [0, inf), or their number. If it is a number, they go from the largest one down to
        `eps` times it, at equal ratios. For "l1" and "elasticnet" the largest is the smallest one that sets all
        coefficients to 0. For "l2" it is 100 times the sum of the variances of the columns, with which predictions
        hardly differ from the mean of y.

    eps : float or None, default=None
        Ratio of the smallest to the largest penalty if `alphas` is an int, in (0, 1). None is 1e-10 for "l2" and, as in
        ElasticNetCV, 1e-3 for the other penalties.

    l1_ratio : float or list of float, default=0.5
        Fraction of the l1 part for penalty="elasticnet", in [0, 1].

    cv : int, cross-validation generator, iterable or None, default=5
        How the rows are split.

        - int: number of folds of neighbouring rows, as in :class:`~sklearn.model_selection.KFold`.
        - A splitter, or an iterable of pairs of arrays of row numbers, (train, test).
        - None: each row is predicted from all others, as in RidgeCV. This needs an l2 penalty and the closed form. The
          strength of the penalty remains that for all rows.

    scoring : str, callable or None, default=None
        Name of a scorer, or a callable with signature ``scorer(estimator, X, y)``. None is R2 or, with cv=None, the
        negative mean squared error. "r2", "neg_mean_squared_error" and "neg_root_mean_squared_error" are computed from
        sums, other scores from predictions. With cv=None the score is that of the predictions of all rows together.

    refit : {"best", "one_standard_error"} or callable, default="best"
        Which candidate is fitted on all rows.

        - "best": the one with the best mean score.
        - "one_standard_error": with the other parameters of the best one, the largest alpha whose mean score is within
          one standard error of the best score.
        - callable: gets `cv_results_` and returns the index of a candidate, as in GridSearchCV.

    factor : float or None, default=None
        Factor of successive halving, as in :class:`~sklearn.model_selection.HalvingGridSearchCV`, for fits by SGD. All
        candidates are scored on a part of the rows of each fold. The best of them, one in `factor`, are scored on
        `factor` times as many rows, and so on. A usual value is 3. None scores all candidates on all rows.

    min_resources : int, "exhaust" or "smallest", default="exhaust"
        Number of rows of the first iteration of successive halving. "smallest" is two rows for each fold. "exhaust" is
        the number with which the last iteration takes all rows.

    epsilon : float or list of float, default=0.1
        Size of the residual at which the loss changes its shape.

    quantile : float or list of float, default=0.5
        Quantile of y that is predicted. A list is only useful with a scoring that depends on the quantile.

    fit_intercept, positive : bool, default=True, False
        Whether to fit an intercept, and whether to keep the coefficients from becoming negative.

    batch_size : int, "auto", "full" or list of these, default="auto"
        Number of rows of one step.

    max_iter, tol, n_iter_no_change, shuffle, drop_last : default=1000, 1e-3, 5, True, False
        Passes, stopping and order of the rows of each fit by SGD.

    learning_rate : str, callable or list of these, default="constant"
        Shape of the step size.

    eta0 : float, "auto" or list of these, default="auto"
        Scale of the step size.

    power_t, momentum, nesterovs_momentum, average : default=0.25, 0.0, False, "auto"
        Parameters of the steps.

    early_stopping, validation_fraction : default=False, 0.1
        Early stopping of each fit. The validation data are a part of the rows that a fold trains on.

    device : str, default="auto"
        Device of the torch solver.

    n_jobs : int or None, default=None
        Number of threads, which fit the folds in parallel if there is a fit for each candidate and fold.

    random_state : int, RandomState instance, numpy.random.Generator or None, default=None
        Seed of every fit. Splitters have a seed of their own.

    verbose : int, default=0
        1 prints a line for each pass of the fit on all rows.

    Attributes
    ----------
    cv_results_ : dict of ndarray
        Results in the form of GridSearchCV, without times: params, param_alpha and the other parameters that are lists,
        split0_test_score and so on, mean_test_score, std_test_score, rank_test_score. With cv=None there are no scores
        of splits. Then std_test_score is the standard deviation of the squared errors in units of the score, and nan
        for scores that are not means. With `factor`, the results are those of all iterations, with the keys iter and
        n_resources, and the candidate is chosen from the last iteration.

    best_params_ : dict
        Parameters of the chosen candidate.

    best_score_ : float
        Mean score of the chosen candidate.

    best_index_ : int
        Index of the chosen candidate in `cv_results_`.

    alpha_ : float
        Chosen strength of the penalty.

    l1_ratio_ : float
        Chosen l1_ratio. It is 0 with an l2 and 1 with an l1 penalty.

    alphas_ : ndarray of shape (n_alphas,) or (n_l1_ratios, n_alphas)
        All penalties. They have a row for each l1_ratio if `l1_ratio` is a list and `alphas` an int.

    n_splits_ : int
        Number of splits; with cv=None the number of rows.

    scorer_ : callable
        Function that scored the candidates.

    coef_, intercept_ : ndarray
        Coefficients and intercept of the fit on all rows. It has all other attributes of
        :class:`MiniBatchSGDRegressor`, too.

    See Also
    --------
    MiniBatchSGDRegressor : A fit with given parameters.
    sklearn.linear_model.RidgeCV : Leave-one-out cross-validation of an l2 penalty.
    sklearn.linear_model.ElasticNetCV : Cross-validation of an l1 or elastic-net penalty.
    sklearn.model_selection.GridSearchCV : Cross-validation of any estimator, with a fit for each candidate and fold.

    Notes
    -----
    The closed form takes n_samples * n_features**2 operations for the sums, and as many again for the fit on all rows.
    Each fold takes n_features**3 operations or, with an l1 penalty, a coordinate descent on n_features rows for each
    candidate. If columns are nearly dependent, each fold takes a QR decomposition of its rows. If the sums are not
    accurate enough for a score, the rows of the fold are read again.

    In fits by SGD the full gradients of all candidates of a fold are products of matrices, and the slowest fit
    determines the number of passes. With solver="numba" all candidates take their steps over a batch while it is in the
    cache. With solver="torch" the steps of all candidates with the same batch_size are products of matrices or, on a
    GPU with Triton, programs of one launch, which has not been run on a GPU yet.

    Sums take O(n_splits * n_features**2) memory. X is not copied, except for rows of a fold that are not neighbours,
    which are copied in panels. Fits by SGD keep a sample of ``max(4096, 8 * n_features) + 512`` rows for each fold that
    is being fitted. solver="torch", sparse X and early stopping copy the rows of a fold. The candidates run in threads,
    for each of which the C library may keep freed memory: the environment variable MALLOC_ARENA_MAX=2 limits that.

    Sample weights count in the fits and, as in GridSearchCV, in the scores of a fold. All folds have the same weight in
    a mean score. With metadata routing, scorers given by name take weights, and other scorers if they request them.
    Rows of weight 0 are left out.

    Examples
    --------
    >>> import numpy as np
    >>> from sgdlinreg import MiniBatchSGDRegressorCV
    >>> from sgdlinreg.datasets import make_linear
    >>> X, y = make_linear(n_samples=100, coef=[2.0, -3.4, 0.1], noise=1.0, random_state=0)
    >>> model = MiniBatchSGDRegressorCV(alphas=np.logspace(-4, 1, 6)).fit(X, y)
    >>> model.alpha_, model.coef_.shape
    (0.001, (3,))
    >>> model.cv_results_["mean_test_score"].round(3)
    array([0.942, 0.943, 0.942, 0.935, 0.694, 0.124])
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        name: [*constraints, *LISTS] if name in SEARCHED else constraints
        for name, constraints in MiniBatchSGDRegressor._parameter_constraints.items()
        if name not in ("alpha", "warm_start")
    } | {
        "penalty": [StrOptions({"l2", "l1", "elasticnet"})],
        "alphas": [Interval(Integral, 1, None, closed="left"), *LISTS],
        "eps": [Interval(Real, 0, 1, closed="neither"), None],
        "cv": ["cv_object"],
        "scoring": [StrOptions(set(get_scorer_names())), callable, None],
        "refit": [StrOptions({"best", "one_standard_error"}), callable],
        "factor": [Interval(Real, 1, None, closed="neither"), None],
        "min_resources": [Interval(Integral, 1, None, closed="left"), StrOptions({"exhaust", "smallest"})],
    }

    def __init__(
        self,
        loss: Loss = "squared_error",
        *,
        solver: Solver = "auto",
        penalty: Penalty = "l2",
        alphas: int | ArrayLike = 100,
        eps: float | None = None,
        l1_ratio: Any = 0.5,
        cv: Any = 5,
        scoring: str | Callable[..., float] | None = None,
        refit: str | Callable[[dict[str, Any]], int] = "best",
        factor: float | None = None,
        min_resources: int | Literal["exhaust", "smallest"] = "exhaust",
        epsilon: Any = 0.1,
        quantile: Any = 0.5,
        fit_intercept: bool = True,
        positive: bool = False,
        batch_size: Any = "auto",
        max_iter: int = 1000,
        tol: float | None = 1e-3,
        n_iter_no_change: int = 5,
        shuffle: bool | Literal["blocks"] = True,
        drop_last: bool = False,
        learning_rate: Any = "constant",
        eta0: Any = "auto",
        power_t: float = 0.25,
        momentum: float = 0.0,
        nesterovs_momentum: bool = False,
        average: bool | int | Literal["auto"] = "auto",
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        device: str = "auto",
        n_jobs: int | None = None,
        random_state: Seed | None = None,
        verbose: int = 0,
    ) -> None:
        super().__init__(
            loss,
            solver=solver,
            penalty=penalty,
            l1_ratio=l1_ratio,
            epsilon=epsilon,
            quantile=quantile,
            fit_intercept=fit_intercept,
            positive=positive,
            batch_size=batch_size,
            max_iter=max_iter,
            tol=tol,
            n_iter_no_change=n_iter_no_change,
            shuffle=shuffle,
            drop_last=drop_last,
            learning_rate=learning_rate,
            eta0=eta0,
            power_t=power_t,
            momentum=momentum,
            nesterovs_momentum=nesterovs_momentum,
            average=average,
            early_stopping=early_stopping,
            validation_fraction=validation_fraction,
            device=device,
            n_jobs=n_jobs,
            random_state=random_state,
            verbose=verbose,
        )
        self.alphas = alphas
        self.eps = eps
        self.cv = cv
        self.scoring = scoring
        self.refit = refit
        self.factor = factor
        self.min_resources = min_resources

    @validated
    def fit(self, X: MatrixLike, y: ArrayLike, sample_weight: ArrayLike | None = None, **params: Any) -> Self:
        """Score the candidates, choose one and fit it on all rows.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Training data, of the kinds that :meth:`MiniBatchSGDRegressor.fit` accepts.
        y : array-like of shape (n_samples,) or (n_samples, n_targets)
            Target values. With several targets, scores are means over the targets, and all have the same penalty.
        sample_weight : array-like of shape (n_samples,) or float, default=None
            Weights, at least 0.
        **params : dict
            `groups` for the splitter and, with `enable_metadata_routing=True`, what the splitter and the scorer
            request.

        Returns
        -------
        self : MiniBatchSGDRegressorCV
            The fitted estimator.

        Raises
        ------
        ValueError
            If an argument or parameter is invalid, cv=None is used without an l2 penalty or without the closed form, a
            split has no rows to train or to test on, or all fits fail. The estimator is then as it was before.
        ImportError, MemoryError
            As in :meth:`MiniBatchSGDRegressor.fit`.

        Warns
        -----
        FitFailedWarning
            If the fits of some candidates diverge. Their scores are nan.
        UndefinedMetricWarning
            If a fold tests a single row and the score is R2.
        ConvergenceWarning, LinAlgWarning
            As in :meth:`MiniBatchSGDRegressor.fit`, once for all fits of a search.
        """
        tasks = Tasks(self, X, y, sample_weight)
        with all_or_nothing(self), ExplainedOutOfMemory(X, self.device):
            grid, model = Grid(self), self._model()
            split_params, score_params = self._routed(sample_weight, params)
            block = check_rows(self, X, y, sample_weight, reset=True, finite=False)
            weights = np.asarray(1.0 if sample_weight is None else to_numpy(sample_weight))
            kept = weights > 0.0 if weights.ndim else np.ones(block.n_rows, bool)
            closed = self._is_closed(model, block, grid)
            if not closed:
                check_finite(self, block)
            scoring = self._scoring(model, block, kept, score_params, sample_weight is not None)
            if self.cv is None and block.n_rows < 2:
                raise ValueError(f"cv=None predicts each row from all others, got n_samples = {block.n_rows}.")
            splits = None if self.cv is None else splits_of(self.cv, X, y, kept, split_params)
            try:
                if splits is not None and not closed:
                    nothing = np.empty(0), np.empty(0)
                    grid.make(*(nothing if grid.is_given else extent_of_block(block, objective_of(model))))
                    self._choose_by_fits(grid, block, splits, model, scoring)
                else:
                    self._choose_by_sums(grid, RowsInMemory(block), splits, model, scoring)
            except ValueError:
                check_finite(self, block)  # its error tells more of NaN
                raise
            self._keep(model.set_params(**self.best_params_).fit(X, y, sample_weight))
            tasks.end()
        return self

    @validated
    def fit_source(self, source: Iterable[BlockLike]) -> Self:  # type: ignore[override]
        """Score the candidates, choose one and fit it on blocks of rows, which may together be larger than memory.

        Folds consist of whole blocks: `cv` splits the numbers of the blocks. All candidates are scored from the sums of
        the blocks, which takes one pass over the source. The fit on all rows follows.

        Parameters
        ----------
        source : iterable of tuples
            List, or object with ``__iter__``, that gives ``(X, y)`` or ``(X, y, sample_weight)`` in the same order in
            every pass. A generator is not accepted.

        Returns
        -------
        self : MiniBatchSGDRegressorCV
            The fitted estimator.

        Raises
        ------
        ValueError
            If a block is invalid, there are no blocks, the source can be read only once, the scoring is not based on
            squared errors, or the closed form cannot be used. The estimator is then as it was before.

        Warns
        -----
        ConvergenceWarning, LinAlgWarning
            As in :meth:`MiniBatchSGDRegressor.fit`.

        Notes
        -----
        The sums of the blocks take O(n_blocks * n_features**2) memory.
        """
        tasks = Tasks(self)
        with all_or_nothing(self), ExplainedOutOfMemory(source, self.device):
            grid, model, given = Grid(self), self._model(), source
            source = as_source(source, joins=False)
            X, y, sample_weight = source.first()
            with named(source.where):
                first = check_rows(self, X, y, sample_weight, reset=True)
            if source.once:
                raise ValueError(
                    "The source is an iterator, which can be passed over once, and the fit on all rows passes over it "
                    "again. Give a list or an object with __iter__."
                )
            if not self._is_closed(model, first, grid, all_rows=False):
                raise ValueError(
                    "fit_source scores candidates from sums, for the squared error with no parameter of the steps set. "
                    f"Use solver='normal_equation', or {type(self).__name__}.fit."
                )
            scoring = self._scoring(model, first, np.ones(first.n_rows, bool), {"sample_weight": None}, False)
            if not scoring.is_of_squares:
                raise ValueError(f"scoring should be one of {', '.join(OF_SQUARES)} with fit_source: {self.scoring!r}.")
            rows = RowsOfSource(SameRows(lambda: blocks_of(self, source, first.n_targets)).__iter__)
            every = np.ones(rows.n_numbers, bool)
            splits = None if self.cv is None else splits_of(self.cv, every[:, None], None, every, {})
            self._choose_by_sums(grid, rows, splits, model, scoring)
            self._keep(model.set_params(**self.best_params_).fit_source(given))
            tasks.end()
        return self

    def path(self, X: MatrixLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> tuple[Floats, Floats]:
        """Return the coefficients for all penalties on given rows, with the other parameters as chosen.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Training data, usually those of `fit`.
        y : array-like of shape (n_samples,) or (n_samples, n_targets)
            Target values.
        sample_weight : array-like of shape (n_samples,) or float, default=None
            Weights.

        Returns
        -------
        alphas : ndarray of shape (n_alphas,)
            Penalties in descending order.
        coefs : ndarray of shape (n_alphas, n_features) or (n_alphas, n_targets, n_features)
            Coefficients for each penalty.

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        ValueError
            If X, y or the weights are invalid, or the columns are not those of `fit`.

        Notes
        -----
        The closed form takes one pass over the rows and one decomposition. SGD takes a fit for each penalty.
        """
        check_is_fitted(self)
        model = self._model().set_params(**self.best_params_)
        others = {**self.best_params_, "alpha": None}
        params = self.cv_results_["params"]
        alphas = np.unique([one["alpha"] for one in params if {**one, "alpha": None} == others])[::-1]
        block = check_rows(self, X, y, sample_weight, reset=False)
        if choose_solver(model, block, objective_of(model), False, all_rows=True).name == "normal_equation":
            penalties = Penalties(alphas, np.full(len(alphas), float(self.l1_ratio_)), self.positive)
            coefs = path_of_rows(RowsInMemory(block), penalties, self.fit_intercept).coef
            return alphas, coefs[:, 0] if np.ndim(self.intercept_) == 0 else coefs
        fits = [clone(model).set_params(alpha=alpha).fit(X, y, sample_weight) for alpha in alphas.tolist()]
        return alphas, np.stack([coef_of(fit) for fit in fits])

    def get_metadata_routing(self) -> MetadataRouter:
        """Return the metadata routing of `fit` to the splitter and the scorer.

        Returns
        -------
        routing : MetadataRouter
            Routing of the metadata that `fit` accepts.
        """
        calls = MethodMapping()
        return (
            MetadataRouter(owner=self)
            .add_self_request(self)
            .add(scorer=self._scorer(), method_mapping=calls.add(caller="fit", callee="score"))
            .add(splitter=self.cv, method_mapping=MethodMapping().add(caller="fit", callee="split"))
        )

    @property
    def partial_fit(self) -> NoReturn:
        """Not there: a choice by cross-validation needs all rows."""
        raise AttributeError(
            f"{type(self).__name__} has no partial_fit. Choose with fit, and go on with "
            "MiniBatchSGDRegressor(**best_params_)."
        )

    @property
    def merge(self) -> NoReturn:
        """Not there: a choice by cross-validation needs all rows."""
        raise AttributeError(f"{type(self).__name__} has no merge. Choose with fit or fit_source.")

    def _model(self) -> MiniBatchSGDRegressor:
        """Return the estimator that the candidates are variants of, after a check of all their parameters."""
        names = MiniBatchSGDRegressor().get_params()
        given = {name: value for name, value in self.get_params().items() if name in names}
        first = {name: value[0] if is_list(value) else value for name, value in given.items()}
        model = MiniBatchSGDRegressor(**first, alpha=1.0)
        for name in SEARCHED:
            for value in given[name] if is_list(given[name]) else ():
                check_ranges(clone(model).set_params(**{name: value}))
        check_parameters(model)
        return model

    def _is_closed(self, model: MiniBatchSGDRegressor, block: Block, grid: Grid, all_rows: bool = True) -> bool:
        """Return whether candidates are scored from sums; an error where cv=None or factor do not go with that."""
        objective = objective_of(model)
        choice = choose_solver(model, block, objective, False, all_rows)
        make_solver(model, choice.name, block, objective)
        closed = choice.name == "normal_equation" and not set(grid.lists) - {"l1_ratio"}
        if closed and self.factor is not None:
            raise ValueError(
                f"factor={self.factor} is for fits by steps. Here all penalties are scored from sums, which take one "
                "pass over the rows. Leave factor at None."
            )
        if self.cv is None and not (closed and self.penalty == "l2" and not self.positive):
            raise ValueError(
                "cv=None predicts each row from all others, for penalty='l2' with the closed form and positive=False. "
                "Set cv, as cv=5."
            )
        return closed

    def _scorer(self) -> Any:
        """Return the scorer; one that has a name takes weights where its metric does."""
        if callable(self.scoring):
            return self.scoring
        scorer = get_scorer(self._score_name())
        return scorer.set_score_request(sample_weight=True) if _takes_weight(scorer) and _routes() else scorer

    def _score_name(self) -> str:
        if isinstance(self.scoring, str):
            return self.scoring
        return "neg_mean_squared_error" if self.cv is None else "r2"

    def _scoring(
        self, model: MiniBatchSGDRegressor, block: Block, kept: np.ndarray, score_params: dict[str, Any], weighted: bool
    ) -> Scoring:
        name = self.scoring if callable(self.scoring) else self._score_name()
        single = self._y_ndim == 1
        arrays = {key: np.asarray(to_numpy(value)) for key, value in score_params.items()}
        of_samples = {key for key, value in arrays.items() if value.ndim and len(value) == len(kept)}

        def of_rows(rows: Any) -> tuple[np.ndarray, dict[str, Any]]:
            y = block.y[rows, 0] if single else block.y[rows]
            numbers = np.flatnonzero(kept)[rows]
            return y, {key: arrays[key][numbers] if key in of_samples else score_params[key] for key in arrays}

        def fitted(coef: np.ndarray, intercept: np.ndarray) -> MiniBatchSGDRegressor:
            one: MiniBatchSGDRegressor = clone(model)
            one.coef_, one.intercept_ = (coef[0], intercept[0]) if single else (coef, intercept)
            one.n_features_in_ = block.n_features
            return one

        squares = isinstance(name, str) and name in OF_SQUARES and (not weighted or "sample_weight" in score_params)
        return Scoring(name, squares, of_rows, fitted)

    def _routed(self, sample_weight: Any, params: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return what the splitter and the scorer are given."""
        given = {} if sample_weight is None else {"sample_weight": sample_weight}
        if _routes():
            routed = process_routing(self, "fit", **given, **params)
            return routed.splitter.split, routed.scorer.score
        unknown = sorted(set(params) - {"groups"})
        if unknown:
            raise ValueError(
                f"{unknown} are passed on with sklearn.set_config(enable_metadata_routing=True) only. Without it, fit "
                "takes X, y, sample_weight and groups."
            )
        return {"groups": params.get("groups")}, given if _takes_weight(self._scorer()) else {}

    def _choose_by_fits(
        self, grid: Grid, block: Block, splits: Any, model: MiniBatchSGDRegressor, scoring: Scoring
    ) -> None:
        if self.factor is None:
            self._choose(grid, scores_of_fits(model, grid.candidates, block, splits, scoring))
            return

        def score(candidates: Any, parts: Any) -> np.ndarray:
            return scores_of_fits(model, candidates, block, parts, scoring)

        how = self.factor, self.min_resources, self.random_state
        found = halve(score, grid.candidates, splits, block.n_rows, *how)
        grid.candidates = found.candidates
        self._choose(grid, found.scores, more={"iter": found.iteration, "n_resources": found.n_resources})

    def _choose_by_sums(
        self, grid: Grid, rows: Any, splits: Any, model: MiniBatchSGDRegressor, scoring: Scoring
    ) -> None:
        objective = objective_of(model)
        if splits is not None:
            self._choose(grid, scores_of_folds(rows, splits, objective, grid.make, scoring))
            return
        mean, std = leave_one_out_scores(rows, objective, grid.make, scoring)
        n_rows = rows.moments([np.arange(rows.n_numbers)])[0].n_rows
        self._choose(grid, np.empty((len(mean), 0)), summary_of(mean, std), n_rows)

    def _choose(
        self, grid: Grid, scores: np.ndarray, summary: Any = None, n_splits: int | None = None, more: Any = None
    ) -> None:
        """Set what the search has found, from scores (n_candidates, n_splits)."""
        self.n_splits_ = scores.shape[1] if n_splits is None else n_splits
        self.cv_results_ = results_of(grid.candidates, scores, summary) | (more or {})
        self.alphas_, self.scorer_ = grid.alphas, self._scorer()
        if callable(self.refit):
            index = self.refit(self.cv_results_)
            if not (isinstance(index, Integral) and 0 <= int(index) < len(grid.candidates)):
                raise ValueError(f"refit should return the number of a candidate, an int, got {index!r}.")
        elif self.refit == "one_standard_error":
            index = one_standard_error(self.cv_results_, self.n_splits_)
        else:
            index = best_of(self.cv_results_)
        self.best_index_ = int(index)
        self.best_params_ = grid.candidates[self.best_index_]
        self.best_score_ = float(self.cv_results_["mean_test_score"][self.best_index_])
        self.alpha_ = self.best_params_["alpha"]
        ratio: Any = self.best_params_.get("l1_ratio", self.l1_ratio)
        self.l1_ratio_ = float({"l1": 1.0, "l2": 0.0, "elasticnet": ratio}[str(self.penalty)])

    def _keep(self, fitted: Any) -> None:
        """Take over the fitted attributes of a model."""
        parameters = fitted.get_params()
        self.__dict__.update({name: value for name, value in vars(fitted).items() if name not in parameters})


def _routes() -> bool:
    return bool(get_config()["enable_metadata_routing"])


def _takes_weight(scorer: Any) -> bool:
    """Return whether a scorer, or the metric behind it, has sample weights."""
    return "sample_weight" in inspect.signature(getattr(scorer, "_score_func", scorer)).parameters
