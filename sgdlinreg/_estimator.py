"""The estimator."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, MultiOutputMixin, RegressorMixin, clone
from sklearn.linear_model import LinearRegression
from sklearn.linear_model._base import SparseCoefMixin
from sklearn.metrics import r2_score
from sklearn.utils import assert_all_finite
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from sgdlinreg._core.arrays import dtype_of
from sgdlinreg._core.blocks import Block
from sgdlinreg._core.objective import LOSSES
from sgdlinreg._core.typing import Floats, Loss, MatrixLike, Penalty, Request, Schedule, Seed, Solver
from sgdlinreg._edge.attributes import coef_of, forget, intercept_of, keep, of_each_target, warn
from sgdlinreg._edge.callbacks import CallbackSupportMixin, Tasks
from sgdlinreg._edge.conversion import to_floats
from sgdlinreg._edge.documentation import page_template
from sgdlinreg._edge.export import linear_regression_of
from sgdlinreg._edge.going_on import check_model, goes_on_from, merged_state, start_of_model
from sgdlinreg._edge.inference import InferenceMixin
from sgdlinreg._edge.namespaces import CAN_DISPATCH, check_same_home, home_of, like, to_numpy
from sgdlinreg._edge.out_of_memory import ExplainedOutOfMemory
from sgdlinreg._edge.parameters import (
    Choice,
    check_parameters,
    check_ranges,
    choose_solver,
    make_solver,
    objective_of,
    solver_that_goes_on,
    validated,
)
from sgdlinreg._edge.plain import OBJECTS, from_plain, to_plain
from sgdlinreg._edge.prediction import predict_rows
from sgdlinreg._edge.validation import (
    all_or_nothing,
    check_columns,
    check_finite,
    check_rows,
    check_start,
    check_targets,
    check_validation_rows,
    restore,
    split_rows,
)
from sgdlinreg._loop.data import InMemory, Streamed
from sgdlinreg._loop.monitor import Monitor, Validation
from sgdlinreg._loop.training import train
from sgdlinreg._solvers import NAMES
from sgdlinreg._solvers.sgd.schedules import SCHEDULES
from sgdlinreg._streams import StreamMixin


class MiniBatchSGDRegressor(
    CallbackSupportMixin,
    StreamMixin,
    InferenceMixin,
    SparseCoefMixin,
    MultiOutputMixin,
    RegressorMixin,
    BaseEstimator,
):
    """Linear regression: exact where exact is affordable, mini-batch SGD everywhere else.

    Minimises, by one of three solvers,

    ``F(w, b) = sum_i s_i * loss(x_i @ w + b, y_i) / sum_i s_i + alpha * R(w)``

    with the sample weights s and ``R(w) = (1 - l1_ratio) * 0.5 * ||w||_2^2 + l1_ratio * ||w||_1``.
    Features need no scaling and the step size no tuning. A fit by SGD ends with passes of full gradients, and
    `optimality_gap_` says how far from the optimum it stopped.

    Parameters
    ----------
    loss : {"squared_error", "huber", "epsilon_insensitive", "squared_epsilon_insensitive", "quantile"}, \
            default="squared_error"
        With the residual ``r = prediction - y``: ``0.5 * r**2``; the same up to epsilon and linear beyond; ``max(0,
        |r| - epsilon)``; its square; ``quantile * max(0, -r) + (1 - quantile) * max(0, r)``. Where the loss is the
        mean squared error without the 1/2 (Keras, torch's MSELoss), a step size of lr is ``eta0=2 * lr`` here, and
        torch's weight_decay is ``alpha=weight_decay / 2``.

    solver : {"auto", "normal_equation", "numba", "torch"}, default="auto"
        - "normal_equation": the closed form, one pass over the data.
        - "numba": mini-batch SGD, compiled for the CPU.
        - "torch": mini-batch SGD in torch operations, on `device`.
        - "auto": "torch" for an explicit device other than the CPU; else "normal_equation" if the loss is the squared
          error, there are at most 2000 features, or rows in `fit`, every parameter of the steps (from batch_size to
          warm_start below) has its default and there is no coef_init, intercept_init or X_val; else "torch" if X is a
          tensor on a device and `device` is "auto"; else "numba". Where the folds of a cross-validation are about 2000
          rows of more features, some may take one solver and some the other: both end at the same optimum, up to tol.

    penalty : {"l2", "l1", "elasticnet", None}, default="l2"
        Penalty on the coefficients; the intercept is never penalised. "l1" and "elasticnet" make coefficients exactly
        0: the closed form by coordinate descent on a triangle of the data, which is exact, steps by a proximal step.

    alpha : float, default=0.0
        Strength of the penalty, in [0, inf). 0 is least squares. ``Ridge(alpha=alpha * sample_weight.sum())`` has the
        same solution.

    l1_ratio : float or None, default=0.5
        Fraction of the l1 part for penalty="elasticnet", in [0, 1]; None for other penalties only.

    epsilon : float, default=0.1
        Where loss="huber", "epsilon_insensitive" and "squared_epsilon_insensitive" change their shape, in the unit of
        y, in [0, inf).

    quantile : float, default=0.5
        Which quantile of y is predicted with loss="quantile", in (0, 1); 0.5 is the median. Other losses have none.

    fit_intercept : bool, default=True
        Whether to fit an intercept. If not, data are taken to be centred.

    positive : bool, default=False
        Whether coefficients are kept from being negative.

    batch_size : int, "auto" or "full", default="auto"
        Rows of one step, in [1, inf), at most the number of rows. "auto" is 32 for numba and 256 for torch, "full"
        all rows.

    max_iter : int, default=1000
        Largest number of passes over the data, in [1, inf): epochs of steps, and passes of full gradients. The passes
        that measure the data before the first epoch do not count.

    tol : float or None, default=1e-3
        Tolerance in units of R2, in [0, inf). With eta0="auto" a fit goes on until `optimality_gap_`, the estimated
        distance from the optimum, is at most tol / 100. Where that estimate is not certain (losses but the squared
        error, and without an l1 penalty more than 1024 features unless X is dense with at most 1024 rows), it goes on
        until the last third of the passes, at least four, have together gained less than tol / 10, and the gap is at
        most tol; with an l1 penalty or positive=True a tenth of both. Steps alone (a float eta0 or early_stopping)
        stop where the loss has not fallen below the best by tol times the loss of the constant model for
        n_iter_no_change epochs. None: exactly max_iter epochs of steps.
        SGDRegressor's tol is absolute.

    n_iter_no_change : int, default=5
        Epochs without progress before steps alone stop, in [1, inf).

    shuffle : bool or "blocks", default=True
        Order of the rows in an epoch; with fit_source, of the rows of each block.

        - True: a new random permutation. A memory-mapped X takes "blocks" instead.
        - "blocks": blocks of 64 neighbouring rows in random order, the rows of 1024 blocks shuffled together. This
          reads a file nearly in sequence, but neighbours that belong together share batches.
        - False: file order, for rows that are in random order already. The safe step is then that of single rows.

    drop_last : bool, default=False
        Whether to leave out the last batch of an epoch where it is shorter than batch_size.

    learning_rate : {"constant", "optimal", "invscaling", "adaptive"} or callable, default="constant"
        Shape of the step size over the steps t = 1, 2, ...; the step is the shape times the scale of eta0.

        - "constant": 1.
        - "invscaling": ``t ** -power_t``.
        - "optimal": ``1 / (alpha * (t0 + t - 1))`` with t0 from alpha, as in SGDRegressor; a float eta0 does not
          matter then, and with eta0="auto" the first step is the safe one.
        - "adaptive": 1, divided by 5 each time the stopping rule is met, until the step is below 1e-6 (of the safe
          step with eta0="auto").
        - callable: called with an array of step numbers, gives as many factors.

    eta0 : float or "auto", default="auto"
        Scale of the step size.

        - "auto": features are scaled and centred on the fly, and the step is the safe one for this data. After one
          epoch, passes of full gradients lead to the optimum, so that parameters of the steps do not change the
          model. There are steps alone with tol=None or early_stopping=True.
        - A float in (0, inf): steps alone, of this size on the data as they are, as in SGDRegressor.

    power_t : float, default=0.25
        Exponent of "invscaling", in [0, inf).

    momentum : float, default=0.0
        Factor of the last step that is added to a step, in [0, 1). The safe step of mini-batches is multiplied by
        1 - momentum.

    nesterovs_momentum : bool, default=False
        Whether momentum looks ahead, as in MLPRegressor.

    average : bool, int or "auto", default="auto"
        Whether the model of the steps is a mean of iterates. "auto": over the last half to three quarters of all
        steps, with eta0="auto", a constant learning_rate, no l1 penalty, positive=False and batches smaller than the
        data; else the last iterate. True: over all steps. An int counts samples: over the steps from there on, as in
        SGDRegressor.

    early_stopping : bool, default=False
        Whether to take steps alone, to stop where the score of validation data (see `validation_scores_`) has not
        risen by tol for n_iter_no_change epochs, and to keep the best model. The data are X_val or, without it, a part
        of the training data.

    validation_fraction : float, default=0.1
        Fraction of the training data that is set aside for early stopping, by ShuffleSplit, in (0, 1).

    warm_start : bool, default=False
        Whether fit starts at the coefficients of the last fit, as with coef_init.

    device : str, default="auto"
        Where the torch solver runs: a name that torch knows, as "cpu" or "cuda:0". "auto": where X is, if it is a
        tensor on a device, else the CPU. "cpu" brings tensors there, for the closed form too.

    n_jobs : int or None, default=None
        Threads of the numba solver, -1 for all cores; None is 1 unless in a `joblib.parallel_config`. They share sums
        over 16 MiB of rows and more: those of full gradients and of large batches. The result does not depend on
        n_jobs. The closed form takes as many threads as BLAS may, the torch solver those of torch.

    random_state : int, RandomState instance, numpy.random.Generator or None, default=None
        Seed of the order of the rows and of what is sampled; the closed form draws nothing. Pass an int for
        reproducible results.

    verbose : int, default=0
        1 prints a line for each pass: its number, seconds since the fit began, `loss_curve_`, the score of validation
        data and `optimality_gap_curve_`, the last two where they are known. A last line says why the fit has ended, and
        one before kernels are compiled that this takes some seconds.

    Attributes
    ----------
    coef_ : ndarray of shape (n_features,) or (n_targets, n_features)
        Coefficients in the dtype of X; one-dimensional for y of shape (n_samples,). With scikit-learn's array API
        dispatch this and the other arrays are of X's namespace and on its device.

    intercept_ : float or ndarray of shape (n_targets,)
        Intercept, float64; 0.0 without one.

    solver_ : str
        The solver that ran.

    n_iter_ : int
        Passes of fit, as max_iter counts them, 1 for the closed form; plus the calls of partial_fit since.

    t_ : int
        Number of the next step, counted from 1.

    n_samples_seen_ : int
        Rows of positive weight seen by fit and the calls of partial_fit since.

    batch_size_ : int
        Rows of one step; all rows for the closed form.

    step_size_ : float
        Size of the steps, in scaled features if eta0="auto"; nan after the closed form.

    loss_curve_ : list of float
        Objective of each pass, mean over the targets. That of an epoch is the mean over its batches, each before its
        step, so the first epoch reads much higher than the model it ends with. With full gradients it is that of the
        model.

    optimality_gap_ : float
        Estimated distance of the objective F from its smallest value F*: ``2 * (F - F*)`` over the variance of y (over
        its mean square without an intercept), which without a penalty is the R2 that is missing. For other losses
        ``F - F*`` over the loss of the constant model. For the squared error with an l1 penalty it is the duality gap,
        or less where the curvature says so: at least that distance. So it is with loss="quantile" or
        "epsilon_insensitive", no l1 penalty and up to 180 features. Largest over the targets; 0 for constant y, nan
        after steps alone, and after the closed form 0 or, with an l1 penalty, the duality gap.

    optimality_gap_curve_ : list of float
        `optimality_gap_` after each pass, nan for epochs of steps.

    best_loss_ : float
        Smallest value of `loss_curve_`.

    validation_scores_ : list of float
        R2 on the validation data after each pass, mean over the targets; only if there are such data. With
        loss="quantile" it is :func:`~sklearn.metrics.d2_pinball_score`: 1 less the loss over that of a constant.

    best_validation_score_ : float
        Largest value of `validation_scores_`, target by target; only with them.

    rank_ : int
        Rank of the columns, centred if there is an intercept; all of them if alpha > 0. After the closed form
        only.

    condition_number_ : float
        Condition number of the same columns scaled to unit norm, with the rows of the penalty if alpha > 0,
        estimated; inf if they are linearly dependent. With fewer rows than columns and alpha > 0, that of the rows of
        the dual problem. After the closed form only.

    factorization_ : {"cholesky", "qr", "pivoted_cholesky", "dual", "coordinate_descent", "non_negative"}
        How the closed form was solved: "cholesky" of the moments; "qr" of the rows where the columns are too
        collinear for that; "pivoted_cholesky" where they are, and the rows are sparse or cannot be read again; "dual"
        where there are fewer rows than columns; "coordinate_descent" for an l1 penalty; "non_negative" for
        positive=True without one. After the closed form only.

    n_refinements_ : int
        Refinements of the closed form, with residuals in double-double. After the closed form only.

    residual_std_ : float or ndarray of shape (n_targets,)
        Root of the weighted sum of squared residuals over (rows - rank - 1), or (rows - rank) without an intercept: the
        standard deviation of a row of weight 1. As the three below, after the closed form without a penalty, of full
        rank and with more rows than coefficients; the AttributeError says what is missing.

    coef_std_error_ : ndarray of shape (n_features,) or (n_targets, n_features)
        Standard errors of the coefficients, as R's lm and statsmodels' WLS give them.

    intercept_std_error_ : float or ndarray of shape (n_targets,)
        Standard errors of the intercepts; 0 without one.

    coef_covariance_ : ndarray of shape (n_features + 1, n_features + 1) or (n_targets, n_features + 1, n_features + 1)
        Covariance of the intercept and the coefficients. As in `summary`, and in cov_params of statsmodels after
        add_constant, the intercept comes first; without one the shape is (n_features, n_features).

    n_features_in_ : int
        Number of features.

    feature_names_in_ : ndarray of shape (n_features,)
        Names of the features, if X has string column names.

    See Also
    --------
    sklearn.linear_model.SGDRegressor : One row a step, absolute tol, no automatic step size.
    sklearn.linear_model.LinearRegression : The closed form by SVD.
    sklearn.linear_model.QuantileRegressor : The quantile loss by linear programming, its penalty l1.
    sklearn.linear_model.Ridge : Its alpha is ours times the sum of the weights.

    Notes
    -----
    Cost: the closed form takes n_samples * n_features**2 operations, a pass of SGD n_samples * n_features. With up to
    1024 features the preconditioner of the full gradients takes a QR decomposition of the sample below.

    Memory beside the data: the closed form needs O(n_features**2). SGD needs O(n_samples), up to 64 times the
    coefficients and, with eta0="auto", a float64 sample of max(4096, 8 * n_features) random rows and the 512 of
    largest norm. No row stays with the estimator after fit: beside the coefficients, sums of up to 256 columns for
    partial_fit, and what standard errors follow from. An estimator that takes steps in partial_fit keeps 576 rows.
    solver="torch" copies NumPy data to a device other than the CPU; where there is no room, rows go there again in
    every pass.

    Where columns of X are so collinear that rounding nearly hides it, SGD warns that it cannot be sure of the optimum.
    The closed form is exact there.

    Rows of weight 0 are dropped first. Only ratios of weights matter.

    References
    ----------
    Jain, Kakade, Kidambi, Netrapalli, Sidford, "Parallelizing stochastic gradient descent for least squares
    regression: mini-batching, averaging, and model misspecification", JMLR 18 (2018).

    Rokhlin, Tygert, "A fast randomized algorithm for overdetermined linear least-squares regression", PNAS 105 (2008).

    Examples
    --------
    >>> from sgdlinreg import MiniBatchSGDRegressor
    >>> from sgdlinreg.datasets import make_linear
    >>> X, y = make_linear(n_samples=1000, random_state=0)
    >>> model = MiniBatchSGDRegressor().fit(X, y)
    >>> model.solver_, model.coef_.round(2), float(round(model.intercept_, 2))
    ('normal_equation', array([ 2. , -3.4]), 4.2)
    >>> model = MiniBatchSGDRegressor(solver="numba", random_state=0).fit(X, y)
    >>> model.coef_.round(2), model.optimality_gap_ < 1e-5
    (array([ 2. , -3.4]), True)
    """

    coef_: Floats
    intercept_: Any  # a float, or an array of one for each target: a union of the two could hardly be used
    solver_: str
    n_iter_: int
    t_: int
    n_samples_seen_: int
    batch_size_: int
    step_size_: float
    loss_curve_: list[float]
    optimality_gap_: float
    optimality_gap_curve_: list[float]
    best_loss_: float
    validation_scores_: list[float]
    best_validation_score_: float
    rank_: int
    condition_number_: float
    factorization_: str
    n_refinements_: int
    n_features_in_: int
    feature_names_in_: NDArray[np.object_]

    _doc_link_module = "sgdlinreg"

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "loss": [StrOptions(set(LOSSES))],
        "solver": [StrOptions({"auto", *NAMES})],
        "penalty": [StrOptions({"l2", "l1", "elasticnet"}), None],
        "alpha": [Interval(Real, 0, None, closed="left")],
        "l1_ratio": [Interval(Real, 0, 1, closed="both"), None],
        "epsilon": [Interval(Real, 0, None, closed="left")],
        "quantile": [Interval(Real, 0, 1, closed="neither")],
        "fit_intercept": ["boolean"],
        "positive": ["boolean"],
        "batch_size": [Interval(Integral, 1, None, closed="left"), StrOptions({"auto", "full"})],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="left"), None],
        "n_iter_no_change": [Interval(Integral, 1, None, closed="left")],
        "shuffle": ["boolean", StrOptions({"blocks"})],
        "drop_last": ["boolean"],
        "learning_rate": [StrOptions(set(SCHEDULES)), callable],
        "eta0": [Interval(Real, 0, None, closed="neither"), StrOptions({"auto"})],
        "power_t": [Interval(Real, 0, None, closed="left")],
        "momentum": [Interval(Real, 0, 1, closed="left")],
        "nesterovs_momentum": ["boolean"],
        "average": ["boolean", Interval(Integral, 1, None, closed="left"), StrOptions({"auto"})],
        "early_stopping": ["boolean"],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
        "warm_start": ["boolean"],
        "device": [str],
        "n_jobs": [Integral, None],
        "random_state": ["random_state", np.random.Generator],
        "verbose": ["verbose"],
    }

    def __init__(
        self,
        loss: Loss = "squared_error",
        *,
        solver: Solver = "auto",
        penalty: Penalty | None = "l2",
        alpha: float = 0.0,
        l1_ratio: float | None = 0.5,
        epsilon: float = 0.1,
        quantile: float = 0.5,
        fit_intercept: bool = True,
        positive: bool = False,
        batch_size: int | Literal["auto", "full"] = "auto",
        max_iter: int = 1000,
        tol: float | None = 1e-3,
        n_iter_no_change: int = 5,
        shuffle: bool | Literal["blocks"] = True,
        drop_last: bool = False,
        learning_rate: Schedule = "constant",
        eta0: float | Literal["auto"] = "auto",
        power_t: float = 0.25,
        momentum: float = 0.0,
        nesterovs_momentum: bool = False,
        average: bool | int | Literal["auto"] = "auto",
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        warm_start: bool = False,
        device: str = "auto",
        n_jobs: int | None = None,
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
        self.batch_size = batch_size
        self.max_iter = max_iter
        self.tol = tol
        self.n_iter_no_change = n_iter_no_change
        self.shuffle = shuffle
        self.drop_last = drop_last
        self.learning_rate = learning_rate
        self.eta0 = eta0
        self.power_t = power_t
        self.momentum = momentum
        self.nesterovs_momentum = nesterovs_momentum
        self.average = average
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.warm_start = warm_start
        self.device = device
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.verbose = verbose

    @validated
    def fit(
        self,
        X: MatrixLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        coef_init: ArrayLike | None = None,
        intercept_init: ArrayLike | None = None,
        X_val: MatrixLike | None = None,
        y_val: ArrayLike | None = None,
        sample_weight_val: ArrayLike | None = None,
    ) -> Self:
        """Fit the model from scratch.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Training data, dense in any memory order or CSR; float32 and float64 are used as they are. A torch tensor on
            a device is used there, without a copy, by the closed form and solver="torch"; solver="numba" takes it
            through the memory of the CPU.
        y : array-like of shape (n_samples,) or (n_samples, n_targets)
            Target values.
        sample_weight : array-like of shape (n_samples,) or float, default=None
            Weights, at least 0; None is the same as equal weights.
        coef_init : array-like of shape (n_features,) or (n_targets, n_features), default=None
            Coefficients to start from, for SGD. Where they are no worse than the constant model and eta0="auto", full
            gradients follow at once, without an epoch of steps.
        intercept_init : float or array-like of shape (n_targets,), default=None
            Intercept to start from, for SGD. If only one of the two is given, the other starts at 0.
        X_val : {array-like, sparse matrix} of shape (n_val, n_features), default=None
            Validation data, scored after each pass. In a Pipeline they arrive as they are given, unless its
            transform_input names them.
        y_val : array-like of shape (n_val,) or (n_val, n_targets), default=None
            Targets of the validation data, on the scale of y: a TransformedTargetRegressor transforms y only.
        sample_weight_val : array-like of shape (n_val,) or float, default=None
            Weights of the validation data.

        Returns
        -------
        self : MiniBatchSGDRegressor
            The fitted estimator.

        Raises
        ------
        ValueError
            If an argument or parameter is invalid, or the steps diverge. The estimator is then as it was before.
        ImportError
            If the solver is "torch" or "numba" and that library cannot be imported.
        MemoryError
            If a device runs out of memory. The estimator is then as it was before.
        KeyboardInterrupt
            If the user interrupts the closed form, or SGD before the first pass has finished. The estimator is then as
            it was before.

        Warns
        -----
        ConvergenceWarning
            If max_iter passes were not enough for tol, columns are too collinear for SGD to be sure of the optimum,
            steps alone end worse than the best constant model, or the user interrupted SGD (Ctrl-C): then the model of
            the last finished pass is kept. A callback that ends the fit is no reason.
        LinAlgWarning
            If the closed form could not give all digits of the coefficients.
        """
        tasks = Tasks(self, X, y, sample_weight)
        with all_or_nothing(self), ExplainedOutOfMemory(X, self.device):
            check_parameters(self)
            objective = objective_of(self)
            # sums over the columns tell NaN and infinity: a pass of its own would take up to a third of the time
            finite = sample_weight is not None or self.early_stopping
            block = check_rows(self, X, y, sample_weight, reset=True, finite=finite)
            start = check_start(coef_init, intercept_init, block.n_features, block.n_targets, self.fit_intercept)
            if start is None and self.warm_start and hasattr(self, "coef_"):
                start = start_of_model(self, block)
            given = check_validation_rows(self, X_val, y_val, sample_weight_val, block.n_targets)
            has_start = start is not None or given is not None
            choice = choose_solver(self, block, objective, has_start, all_rows=True)
            needs_steps = has_start or self.early_stopping or self.warm_start
            if self.early_stopping and given is None:
                block, given = split_rows(block, self.validation_fraction, self.random_state)
            solver = make_solver(self, choice.name, block, objective, needs_steps=needs_steps)
            if not finite and not solver.sums_first:
                check_finite(self, block)
            validation = None if given is None else Validation([given], block, objective.loss)
            forget(self)
            watch, name = tasks.watch(choice, block, X), choice.name if self.verbose else None
            monitor = Monitor(self.max_iter, name, validation, keeps_best=self.early_stopping, watch=watch)
            try:
                model = train(solver, InMemory(block), monitor, start)
            except ValueError:
                check_finite(self, block)  # of NaN scikit-learn's error tells more
                raise
            keep(self, model, monitor, choice, block, X)
            warn(model, None if X_val is None else validation)
            tasks.end()
        return self

    @validated
    def partial_fit(self, X: MatrixLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Take in more rows: one pass over them in batches; the closed form stays exact.

        It may follow fit or other calls of partial_fit, and coefficients that were set by hand, from which steps go on.
        solver="auto" is resolved at the first call and kept.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Further rows. No rows, and rows without weight, change nothing.
        y : array-like of shape (n_samples,) or (n_samples, n_targets)
            Their targets.
        sample_weight : array-like of shape (n_samples,) or float, default=None
            Their weights. Weights count relative to the mean over all rows seen by partial_fit.

        Returns
        -------
        self : MiniBatchSGDRegressor
            The fitted estimator.

        Raises
        ------
        ValueError
            If an argument or parameter is invalid, the result is not finite, or the closed form has nothing to go on
            from: fit keeps sums of up to 256 columns, where these are no more than the rows. The estimator is then as
            it was before.

        Warns
        -----
        ConvergenceWarning
            If the model of the steps is worse than the best constant one on up to 576 rows of all calls, which
            the estimator keeps.
        LinAlgWarning
            If the closed form could not give all digits, because rows cannot be read again.

        Notes
        -----
        The closed form is the exact answer for a stream: the model is the least-squares fit of all rows so far, however
        they are cut into calls. Memory does not grow with the rows.

        Other solvers take plain steps over the new rows, from where the last call, or fit, has led to; full gradients
        do not follow. With eta0="auto" the scales and the means are those of all rows seen by partial_fit, the step is
        the safe one for the new rows, and the model is the mean of the iterates of the last half to three quarters of
        all steps of partial_fit. Nothing of a fit is kept for it but the coefficients. Steps forget:
        rows should come in random order. Only `fit` and `fit_source` read rows again, and end at the optimum.
        """
        with all_or_nothing(self), ExplainedOutOfMemory(X, self.device):
            self._validate_params()  # the decorator does so in the first call only
            if self.early_stopping:
                raise ValueError("early_stopping should be False with partial_fit")
            check_parameters(self)
            first, before = not hasattr(self, "solver_"), vars(self).copy()
            block, objective = check_rows(self, X, y, sample_weight, reset=first, min_rows=0), objective_of(self)
            if not block.n_rows:
                restore(self, before)
                return self
            if first:
                choice = choose_solver(self, block, objective, hasattr(self, "coef_"))
                forget(self)
            else:
                choice = solver_that_goes_on(self, block, intercept_of(self).size)
            start, kept = goes_on_from(self, choice.name, block)
            solver = make_solver(self, choice.name, block, objective, n_steps=0 if first else self.t_ - 1)
            monitor = Monitor(self.max_iter, choice.name if self.verbose else None, n_before=self.n_iter_)
            model = train(solver, InMemory(block, once=True), monitor, start, kept)
            keep(self, model, monitor, choice, block, X, once=True)
            warn(model)
        return self

    @classmethod
    def merge(cls, models: Iterable[Self]) -> Self:
        """Join closed-form models of different rows: return the model of all their rows.

        Each may have been fitted on another machine, by partial_fit or, on up to 256 columns, by fit.

        Parameters
        ----------
        models : iterable of MiniBatchSGDRegressor
            Fitted with solver="normal_equation" and the same parameters, columns and number of targets.

        Returns
        -------
        model : MiniBatchSGDRegressor
            A new estimator with the parameters of the first one, to which partial_fit may add further rows.

        Raises
        ------
        ValueError
            If there are no models, one has kept no sums, as after steps, or they are not of one problem.

        Warns
        -----
        LinAlgWarning
            As in `partial_fit`.

        Examples
        --------
        >>> import numpy as np
        >>> from sgdlinreg import MiniBatchSGDRegressor
        >>> X, y = np.array([[0.0], [1.0], [2.0], [3.0]]), np.array([1.0, 3.0, 5.0, 7.0])
        >>> parts = [MiniBatchSGDRegressor().partial_fit(X[rows], y[rows]) for rows in (slice(2), slice(2, 4))]
        >>> merged = MiniBatchSGDRegressor.merge(parts)
        >>> merged.n_samples_seen_
        4
        >>> merged.coef_.round(6), merged.intercept_.round(6)
        (array([2.]), np.float64(1.0))
        """
        models = list(models)
        state = merged_state(models)
        first = models[0]
        dtype = np.result_type(*(coef_of(model) for model in models))
        none = Block(np.empty((0, first.n_features_in_), dtype), np.empty((0, intercept_of(first).size)))
        merged: Self = clone(first)
        merged._y_ndim = first._y_ndim
        forget(merged)
        choice = Choice("normal_equation", "merged models")
        solver = make_solver(merged, choice.name, none, objective_of(merged))
        monitor = Monitor(merged.max_iter)
        model = train(solver, Streamed((), none, once=True), monitor, kept=state)
        keep(merged, model, monitor, choice, none, none.X, once=True)
        merged.n_iter_ = sum(one.n_iter_ for one in models)
        merged.n_samples_seen_ = sum(one.n_samples_seen_ for one in models)
        merged.n_features_in_ = first.n_features_in_
        if hasattr(first, "feature_names_in_"):
            merged.feature_names_in_ = first.feature_names_in_
        warn(model)
        return merged

    @overload
    def predict(self, X: MatrixLike, return_std: Literal[False] = False) -> Floats: ...
    @overload
    def predict(self, X: MatrixLike, return_std: Literal[True]) -> tuple[Floats, Floats]: ...
    @overload
    def predict(self, X: MatrixLike, return_std: bool) -> Floats | tuple[Floats, Floats]: ...
    def predict(self, X: MatrixLike, return_std: bool = False) -> Floats | tuple[Floats, Floats]:
        """Predict.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows.
        return_std : bool, default=False
            Whether to give the standard deviation of new observations too, for rows of weight 1: that of the residuals
            and of the coefficients. After the closed form without a penalty only.

        Returns
        -------
        y_mean : ndarray of shape (n_samples,) or (n_samples, n_targets)
            Predictions, accumulated in float64, of X's dtype; a tensor on X's device if X is a tensor.
        y_std : ndarray of shape (n_samples,) or (n_samples, n_targets)
            Standard deviations, if asked for, of X's dtype. Cost: n_samples * n_features**2 operations.

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        ValueError
            If X is invalid or its columns are not those of fit, a prediction is too large for X's dtype, the fit has no
            standard errors, or array API dispatch is on and X is not in the namespace or on the device of the fit.
        """
        check_is_fitted(self)
        inference = self._inference_for("return_std=True") if return_std else None
        check_same_home(X, self, "predict")
        with ExplainedOutOfMemory(X, self.device):
            rows = check_columns(self, X, min_rows=0)
            check_model(self, rows.shape[1])
            predictions: Floats = like(X, predict_rows(rows, coef_of(self), intercept_of(self)))
            if inference is None:
                return predictions
            std = of_each_target(self, inference.predict_std(rows).T).T
            return predictions, like(X, std.astype(dtype_of(rows), copy=False))

    def score(self, X: MatrixLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
        """Return R2 of the predictions, the mean over the targets.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows, as `predict` takes them.
        y : array-like of shape (n_samples,) or (n_samples, n_targets)
            Their true values. Tensors on a device are compared in the memory of the CPU.
        sample_weight : array-like of shape (n_samples,), default=None
            Their weights.

        Returns
        -------
        score : float
            R2, at most 1; that of the constant model, the mean of y, is 0.
        """
        predictions = self.predict(X)
        if home_of(X) is None:
            y, predictions = check_targets(self, y), to_numpy(predictions)
            if sample_weight is not None:
                sample_weight = to_floats(to_numpy(sample_weight), "sample_weight")
                assert_all_finite(sample_weight, input_name="sample_weight")  # r2_score does from 1.7 on
        return float(r2_score(y, predictions, sample_weight=sample_weight))

    if TYPE_CHECKING:  # scikit-learn makes these for metadata routing

        def set_fit_request(
            self,
            *,
            sample_weight: Request = ...,
            coef_init: Request = ...,
            intercept_init: Request = ...,
            X_val: Request = ...,
            y_val: Request = ...,
            sample_weight_val: Request = ...,
        ) -> Self: ...
        def set_partial_fit_request(self, *, sample_weight: Request = ...) -> Self: ...
        def set_predict_request(self, *, return_std: Request = ...) -> Self: ...
        def set_score_request(self, *, sample_weight: Request = ...) -> Self: ...

    def to_sklearn(self) -> LinearRegression:
        """Return the model as a fitted LinearRegression, which loads and predicts where sgdlinreg is not installed.

        Returns
        -------
        model : LinearRegression
            A plain estimator of scikit-learn with `coef_`, `intercept_`, `n_features_in_` and, if there are,
            `feature_names_in_`. They are copies, NumPy arrays of float64, wherever and in whatever dtype the fit was:
            so predictions are those of `predict`, in float64 also for X in float32.

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        ValueError
            If `coef_` or `intercept_` was set to None.

        Notes
        -----
        Of the parameters it has fit_intercept and positive. Its own fit would be least squares, whatever the loss and
        the penalty were here.

        Examples
        --------
        >>> import numpy as np
        >>> from sgdlinreg import MiniBatchSGDRegressor
        >>> from sgdlinreg.datasets import make_linear
        >>> X, y = make_linear(n_samples=1000, random_state=0)
        >>> model = MiniBatchSGDRegressor(loss="huber", random_state=0).fit(X, y)
        >>> plain = model.to_sklearn()
        >>> plain, np.allclose(plain.predict(X), model.predict(X), rtol=1e-12)
        (LinearRegression(), True)
        """
        return linear_regression_of(self)

    @property
    def _doc_link_template(self) -> str:
        return page_template()

    def _validate_params(self) -> None:
        check_ranges(self)

    def __getstate__(self) -> dict[str, Any]:
        state: dict[str, Any] = super().__getstate__()
        return state | {name: to_plain(state[name]) for name in OBJECTS if name in state}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state | {name: from_plain(state[name]) for name in OBJECTS if name in state})

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.array_api_support = CAN_DISPATCH and self.solver != "numba"
        return tags

    def __sklearn_array_api_convert__(self, converter: Callable[[Any], Any]) -> Self:
        """Return a copy whose coefficients the converter moved: what scikit-learn's move_estimator_to calls."""
        moved: Self = clone(self)
        moved.__dict__.update(vars(self))
        if hasattr(self, "coef_"):
            moved.coef_ = converter(self.coef_)
            intercept = converter(np.asarray(self.intercept_) if np.isscalar(self.intercept_) else self.intercept_)
            moved.intercept_ = intercept[()] if isinstance(intercept, np.ndarray) else intercept
        return moved
