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
        Loss of one row, with the residual ``r = prediction - y``.

        - "squared_error": ``0.5 * r**2``. Code with a loss without the 1/2 (Keras, torch's MSELoss) takes the same
          steps with half of eta0 as its learning rate, and twice alpha as its weight_decay.
        - "huber": ``0.5 * r**2`` up to ``|r| = epsilon``, linear beyond.
        - "epsilon_insensitive": ``max(0, |r| - epsilon)``.
        - "squared_epsilon_insensitive": ``max(0, |r| - epsilon)**2``.
        - "quantile": ``quantile * max(0, -r) + (1 - quantile) * max(0, r)``.

    solver : {"auto", "normal_equation", "numba", "torch"}, default="auto"
        - "normal_equation": the closed form, one pass over the data.
        - "numba": mini-batch SGD, compiled for the CPU.
        - "torch": mini-batch SGD in torch operations, on `device`.
        - "auto": "torch" if `device` names a device other than the CPU. Otherwise "normal_equation" if the loss is the
          squared error, there are at most 2000 features or, in `fit`, at most 2000 rows, every parameter of the steps
          (from batch_size to warm_start below) has its default, and there is no coef_init, intercept_init or X_val.
          Otherwise "torch" if X is a tensor on a device and `device` is "auto", and else "numba".

    penalty : {"l2", "l1", "elasticnet", None}, default="l2"
        Penalty on the coefficients. The intercept is not penalised. "l1" and "elasticnet" set coefficients to exactly
        0, by coordinate descent in the closed form and by proximal steps in SGD.

    alpha : float, default=0.0
        Strength of the penalty, in [0, inf). 0 is least squares. ``Ridge(alpha=alpha * sample_weight.sum())`` has the
        same solution.

    l1_ratio : float or None, default=0.5
        Fraction of the l1 part for penalty="elasticnet", in [0, 1]. It may be None for other penalties.

    epsilon : float, default=0.1
        Size of the residual at which loss="huber", "epsilon_insensitive" and "squared_epsilon_insensitive" change
        their shape, in the unit of y, in [0, inf).

    quantile : float, default=0.5
        Quantile of y that is predicted with loss="quantile", in (0, 1); 0.5 is the median.

    fit_intercept : bool, default=True
        Whether to fit an intercept. If False, the data are expected to be centred.

    positive : bool, default=False
        Whether to keep the coefficients from becoming negative.

    batch_size : int, "auto" or "full", default="auto"
        Number of rows of one step, in [1, inf). "auto" is 32 for numba and 256 for torch; "full" is all rows.

    max_iter : int, default=1000
        Maximum number of passes over the data, in [1, inf): epochs of steps and passes of full gradients. The passes
        that measure the data before the first epoch do not count.

    tol : float or None, default=1e-3
        Tolerance in units of R2, in [0, inf); that of SGDRegressor is absolute.

        - With eta0="auto" a fit goes on until `optimality_gap_`, the estimated distance from the optimum, is at most
          tol / 100. For losses other than the squared error, and without an l1 penalty for more than 1024 features
          unless X is dense with at most 1024 rows, that estimate is not certain. Then the fit goes on until the last
          third of the passes, at least four, have together gained less than tol / 10, and the gap is at most tol. With
          an l1 penalty or positive=True it takes a tenth of both.
        - Steps alone (a float eta0 or early_stopping=True) stop after n_iter_no_change epochs in which the loss has
          not fallen by tol times the loss of the constant model.
        - None: exactly max_iter epochs of steps.

    n_iter_no_change : int, default=5
        Epochs without progress before steps alone stop, in [1, inf).

    shuffle : bool or "blocks", default=True
        Order of the rows in an epoch; with fit_source, of the rows of each block.

        - True: a new random permutation. A memory-mapped X takes "blocks" instead.
        - "blocks": blocks of 64 neighbouring rows in random order, the rows of 1024 blocks shuffled together. This
          reads a file nearly in sequence, but rows of the same block share batches.
        - False: the order of the data, for rows that are in random order already. The safe step is then as small as
          for single rows.

    drop_last : bool, default=False
        Whether to leave out the last batch of an epoch if it is smaller than batch_size.

    learning_rate : {"constant", "optimal", "invscaling", "adaptive"} or callable, default="constant"
        Shape of the step size over the steps t = 1, 2, ...; the step is the shape times the scale of eta0.

        - "constant": 1.
        - "invscaling": ``t ** -power_t``.
        - "optimal": ``1 / (alpha * (t0 + t - 1))`` with t0 from alpha, as in SGDRegressor. A float eta0 is then
          ignored; with eta0="auto" the first step is the safe one.
        - "adaptive": 1, divided by 5 each time the stopping rule is met, until the step is below 1e-6, or with
          eta0="auto" below 1e-6 times the safe step.
        - callable: called with an array of step numbers, returns an array of factors.

    eta0 : float or "auto", default="auto"
        Scale of the step size.

        - "auto": features are scaled and centred on the fly, and the step size is safe for these data. After one
          epoch, passes of full gradients lead to the optimum, so that the parameters of the steps do not change the
          model. With tol=None or early_stopping=True the fit takes steps alone.
        - A float in (0, inf): the fit takes steps of this size alone, without scaling, as SGDRegressor does.

    power_t : float, default=0.25
        Exponent of "invscaling", in [0, inf).

    momentum : float, default=0.0
        Fraction of the previous step that is added to a step, in [0, 1). The safe step of mini-batches is multiplied by
        1 - momentum.

    nesterovs_momentum : bool, default=False
        Whether to use Nesterov's momentum, as in MLPRegressor.

    average : bool, int or "auto", default="auto"
        Whether the model of the steps is a mean of iterates.

        - "auto": the mean over the last half to three quarters of all steps with eta0="auto", a constant
          learning_rate, no l1 penalty, positive=False and batches smaller than the data; otherwise the last iterate.
        - True: the mean over all steps.
        - int: the mean over the steps after this number of samples, as in SGDRegressor.
        - False: the last iterate.

    early_stopping : bool, default=False
        Whether to take steps alone, to stop when the score of validation data (see `validation_scores_`) has not
        risen by tol for n_iter_no_change epochs, and to keep the best model. The validation data are X_val and y_val
        or, without them, a part of the training data.

    validation_fraction : float, default=0.1
        Fraction of the training data that is set aside for early stopping, by ShuffleSplit, in (0, 1).

    warm_start : bool, default=False
        Whether fit starts at the coefficients of the previous fit, as with coef_init.

    device : str, default="auto"
        Device of the torch solver: a name that torch knows, such as "cpu" or "cuda:0". "auto" is the device of X if X
        is a tensor, else the CPU. With "cpu", tensors are copied to the CPU, for the closed form too.

    n_jobs : int or None, default=None
        Number of threads of the numba solver, -1 for all cores; None is 1 unless in a `joblib.parallel_config`. They
        split sums over 16 MiB of rows or more, in full gradients and large batches. The result does not depend on
        n_jobs. The closed form uses as many threads as BLAS, and the torch solver those of torch.

    random_state : int, RandomState instance, numpy.random.Generator or None, default=None
        Seed of the order of the rows and of the sample. The closed form uses no random numbers. Pass an int for
        reproducible results.

    verbose : int, default=0
        1 prints a line for each pass: its number, the seconds since the fit began, `loss_curve_` and, if they are
        known, the score of validation data and `optimality_gap_curve_`. The last line says why the fit has ended.
        Another line announces the compilation of kernels, which takes some seconds.

    Attributes
    ----------
    coef_ : ndarray of shape (n_features,) or (n_targets, n_features)
        Coefficients in the dtype of X; one-dimensional for y of shape (n_samples,). With scikit-learn's array API
        dispatch all arrays are of the same library and on the same device as X.

    intercept_ : float or ndarray of shape (n_targets,)
        Intercept, float64; 0.0 without one.

    solver_ : str
        The solver that ran.

    n_iter_ : int
        Number of passes of fit, as max_iter counts them, plus the calls of partial_fit since then. It is 1 for the
        closed form.

    t_ : int
        Number of the next step, counted from 1.

    n_samples_seen_ : int
        Number of rows of positive weight in fit and in the calls of partial_fit since then.

    batch_size_ : int
        Number of rows of one step; all rows for the closed form.

    step_size_ : float
        Size of the steps, in scaled features if eta0="auto"; nan after the closed form.

    loss_curve_ : list of float
        Objective of each pass, as a mean over the targets. For a pass of full gradients it is that of the model. For an
        epoch of steps it is the mean over the batches, each before its own step, and higher than that of the model at
        the end of the epoch, most of all in the first one.

    optimality_gap_ : float
        Estimated distance of the objective F from its minimum F*. For the squared error it is ``2 * (F - F*)`` divided
        by the variance of y or, without an intercept, by its mean square; without a penalty this is the R2 that is
        missing. For other losses it is ``F - F*`` divided by the loss of the constant model. It is an upper bound for
        the squared error with an l1 penalty (at most the duality gap), and for loss="quantile" and
        "epsilon_insensitive" with no l1 penalty and up to 180 features. With several targets it is the largest value.
        It is 0 for constant y, and nan after steps alone. After the closed form it is 0 or, with an l1 penalty, the
        duality gap.

    optimality_gap_curve_ : list of float
        `optimality_gap_` after each pass, nan for epochs of steps.

    best_loss_ : float
        Smallest value of `loss_curve_`.

    validation_scores_ : list of float
        R2 on the validation data after each pass, as a mean over the targets, if there are such data. With
        loss="quantile" it is :func:`~sklearn.metrics.d2_pinball_score`.

    best_validation_score_ : float
        Largest value of `validation_scores_`, target by target; only with them.

    rank_ : int
        Rank of X, centred if there is an intercept; the number of columns if alpha > 0. After the closed form only.

    condition_number_ : float
        Estimated condition number of these columns, scaled to unit norm and, if alpha > 0, with the rows of the
        penalty; inf if the columns are linearly dependent. With fewer rows than columns and alpha > 0, it is that of
        the dual problem. After the closed form only.

    factorization_ : {"cholesky", "qr", "pivoted_cholesky", "dual", "coordinate_descent", "non_negative"}
        How the closed form was solved: by "cholesky" of the moments; by "qr" of the rows if the columns are too
        collinear for that; by "pivoted_cholesky" if they are and the rows are sparse or cannot be read again; by the
        "dual" problem with fewer rows than columns; by "coordinate_descent" with an l1 penalty; as "non_negative" with
        positive=True and no l1 penalty. After the closed form only.

    n_refinements_ : int
        Number of refinements of the solution, with residuals in double-double. After the closed form only.

    residual_std_ : float or ndarray of shape (n_targets,)
        Estimated standard deviation of a row of weight 1: the square root of the weighted sum of squared residuals
        divided by (rows - rank - 1), or by (rows - rank) without an intercept. This attribute and the next three exist
        after the closed form without a penalty, with full rank and more rows than coefficients. Otherwise an
        AttributeError says why they do not.

    coef_std_error_ : ndarray of shape (n_features,) or (n_targets, n_features)
        Standard errors of the coefficients, the same as those of lm in R and of WLS in statsmodels.

    intercept_std_error_ : float or ndarray of shape (n_targets,)
        Standard errors of the intercepts; 0 without one.

    coef_covariance_ : ndarray of shape (n_features + 1, n_features + 1) or (n_targets, n_features + 1, n_features + 1)
        Covariance of the intercept and the coefficients. The intercept comes first, as in `summary` and in cov_params
        of statsmodels after add_constant. Without an intercept the shape is (n_features, n_features).

    n_features_in_ : int
        Number of features.

    feature_names_in_ : ndarray of shape (n_features,)
        Names of the features, if X has string column names.

    See Also
    --------
    sklearn.linear_model.SGDRegressor : Steps of single rows, an absolute tol and no automatic step size.
    sklearn.linear_model.LinearRegression : The closed form by SVD.
    sklearn.linear_model.QuantileRegressor : The quantile loss with an l1 penalty, by linear programming.
    sklearn.linear_model.Ridge : An l2 penalty; its alpha is that of this class times the sum of the weights.

    Notes
    -----
    Cost: the closed form takes n_samples * n_features**2 operations, a pass of SGD n_samples * n_features. With up to
    1024 features the preconditioner of the full gradients takes a QR decomposition of the sample below.

    Memory in addition to the data: the closed form needs O(n_features**2). SGD needs O(n_samples), up to 64 times the
    coefficients and, with eta0="auto", a float64 sample of max(4096, 8 * n_features) random rows and the 512 rows of
    largest norm. After fit the estimator keeps no rows. It keeps the coefficients, the sums of up to 256 columns for
    partial_fit, and the numbers from which standard errors are computed. An estimator that takes steps in partial_fit
    keeps 576 rows. solver="torch" copies NumPy data to a device other than the CPU; if they do not fit there, rows are
    copied again in every pass.

    If columns of X are so collinear that rounding nearly hides their differences, SGD warns that it may be further from
    the optimum than it says. Use the closed form then.

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
            Training data, dense in any memory order or CSR. float32 and float64 are not converted. The closed form and
            solver="torch" use a torch tensor on its device, without a copy; solver="numba" copies it to the memory of
            the CPU.
        y : array-like of shape (n_samples,) or (n_samples, n_targets)
            Target values.
        sample_weight : array-like of shape (n_samples,) or float, default=None
            Weights, at least 0; None is the same as equal weights.
        coef_init : array-like of shape (n_features,) or (n_targets, n_features), default=None
            Coefficients to start from, for SGD. If they are no worse than the constant model and eta0="auto", the fit
            begins with full gradients, without an epoch of steps.
        intercept_init : float or array-like of shape (n_targets,), default=None
            Intercept to start from, for SGD. If only one of the two is given, the other starts at 0.
        X_val : {array-like, sparse matrix} of shape (n_val, n_features), default=None
            Validation data, scored after each pass. A Pipeline transforms them only if its transform_input names them.
        y_val : array-like of shape (n_val,) or (n_val, n_targets), default=None
            Targets of the validation data. A TransformedTargetRegressor transforms y but not y_val.
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
            If max_iter passes were not enough for tol, if columns are too collinear for SGD to know how far the optimum
            is, if steps alone end worse than the best constant model, or if the user interrupts SGD by Ctrl-C, which
            keeps the model of the last finished pass.
        LinAlgWarning
            If coefficients of the closed form may be inaccurate.
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
                check_finite(self, block)  # its error tells more of NaN
                raise
            keep(self, model, monitor, choice, block, X)
            warn(model, None if X_val is None else validation)
            tasks.end()
        return self

    @validated
    def partial_fit(self, X: MatrixLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Update the model with new rows, in one pass over them.

        It may follow fit or other calls of partial_fit. Steps also go on from coefficients that you set yourself.
        solver="auto" chooses in the first call and keeps its choice.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            New rows. Rows of weight 0 do not count.
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
            If an argument or parameter is invalid, the result is not finite, or the closed form cannot go on from a
            fit, which keeps sums of up to 256 columns and only if there are no fewer rows. The estimator is then as it
            was before.

        Warns
        -----
        ConvergenceWarning
            If the model of the steps is worse than the best constant on up to 576 rows of all calls, which the
            estimator keeps.
        LinAlgWarning
            If the closed form may be inaccurate, because rows cannot be read again.

        Notes
        -----
        With the closed form the model is the least-squares fit of all rows so far, however they are split into calls.
        Memory does not grow with the number of rows.

        Other solvers take plain steps over the new rows, from the model of the previous call or of fit, without full
        gradients. With eta0="auto" the scales and the means are those of all rows seen by partial_fit, the step size is
        safe for the new rows, and the model is the mean of the iterates of the last half to three quarters of all steps
        of partial_fit. Early rows have less influence than late ones, so the rows should come in random order. To end
        at the optimum, use `fit` or `fit_source`.
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
        """Merge closed-form models of different rows, and return the model of all rows.

        The models may come from different machines. They are fitted by partial_fit or, with up to 256 columns, by fit.

        Parameters
        ----------
        models : iterable of MiniBatchSGDRegressor
            Fitted with solver="normal_equation" and the same parameters, columns and number of targets.

        Returns
        -------
        model : MiniBatchSGDRegressor
            A new estimator with the parameters of the first one. partial_fit may add further rows to it.

        Raises
        ------
        ValueError
            If there are no models, a model has no sums, for instance after steps, or the models differ in columns or
            parameters.

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
        """Predict the targets of rows.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows.
        return_std : bool, default=False
            Whether to also return the standard deviation of new observations of weight 1, which combines the noise and
            the uncertainty of the coefficients. After the closed form without a penalty only.

        Returns
        -------
        y_mean : ndarray of shape (n_samples,) or (n_samples, n_targets)
            Predictions in the dtype of X, computed in float64; a tensor on the device of X if X is a tensor.
        y_std : ndarray of shape (n_samples,) or (n_samples, n_targets)
            Standard deviations in the dtype of X, if return_std=True. They take n_samples * n_features**2 operations.

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        ValueError
            If X is invalid or its columns are not those of fit, a prediction is too large for the dtype of X,
            return_std=True and the fit has no standard errors, or array API dispatch is on and X is of another library
            or on another device than in the fit.
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
        """Return R2 of the predictions, as a mean over the targets.

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
            R2, at most 1. It is 0 for the constant model that predicts the mean of y.
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
        """Return the model as a fitted LinearRegression, which does not need sgdlinreg.

        Returns
        -------
        model : LinearRegression
            An estimator of scikit-learn with `coef_`, `intercept_`, `n_features_in_` and, if there are any,
            `feature_names_in_`. They are copies, and NumPy arrays of float64 for any X. Predictions are those of
            `predict`, but always float64.

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        ValueError
            If `coef_` or `intercept_` was set to None.

        Notes
        -----
        It has the parameters fit_intercept and positive. If you fit it again, it fits least squares, without the loss
        and the penalty of this estimator.

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
