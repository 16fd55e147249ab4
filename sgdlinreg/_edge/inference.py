"""What an estimator tells of its coefficients after least squares: standard errors, tests and intervals."""

from __future__ import annotations

from numbers import Real
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils._param_validation import Interval, StrOptions, validate_parameter_constraints
from sklearn.utils.validation import _num_samples, check_is_fitted

from sgdlinreg._core.arrays import arrays_of, dtype_of
from sgdlinreg._core.blocks import Block
from sgdlinreg._core.robust_covariance import LEVERAGE_POWERS, robust_covariance
from sgdlinreg._core.standard_errors import Covariance, Inference
from sgdlinreg._core.typing import CovarianceType, Floats, MatrixLike
from sgdlinreg._edge.attributes import beside_coef, coef_of, intercept_of, of_each_target
from sgdlinreg._edge.conversion import to_floats
from sgdlinreg._edge.going_on import check_model, has_changed
from sgdlinreg._edge.namespaces import check_same_home, like, to_numpy
from sgdlinreg._edge.out_of_memory import ExplainedOutOfMemory
from sgdlinreg._edge.prediction import predict_rows
from sgdlinreg._edge.summary import Summary, summarise, two_sided
from sgdlinreg._edge.validation import check_columns, check_rows

SET_BY_HAND = "coefficients that were set have none; fit the model"
CONSTRAINTS: dict[str, Any] = {
    "cov_type": [StrOptions({"nonrobust", *LEVERAGE_POWERS, "cluster"})],
    "confidence_level": [Interval(Real, 0, 1, closed="neither")],
    "kind": [StrOptions({"prediction", "mean"})],
}


class InferenceMixin:
    """Standard errors, a summary and intervals, for an estimator that least squares has fitted."""

    feature_names_in_: np.ndarray
    condition_number_: float
    n_features_in_: int
    device: str

    @property
    def residual_std_(self) -> Any:
        """Standard deviation of the residuals."""
        return beside_coef(self, self._inferred("residual_std_").residual_std)

    @property
    def coef_std_error_(self) -> Floats:
        """Standard errors of the coefficients."""
        return beside_coef(self, self._inferred("coef_std_error_").std_errors()[0])

    @property
    def intercept_std_error_(self) -> Any:
        """Standard errors of the intercepts."""
        return beside_coef(self, self._inferred("intercept_std_error_").std_errors()[1])

    @property
    def coef_covariance_(self) -> Floats:
        """Covariance of the intercept, which comes first, and the coefficients."""
        return beside_coef(self, self._inferred("coef_covariance_").covariance().matrix)

    def summary(
        self,
        X: MatrixLike | None = None,
        y: ArrayLike | None = None,
        *,
        sample_weight: ArrayLike | None = None,
        cov_type: CovarianceType = "nonrobust",
        groups: ArrayLike | None = None,
        confidence_level: float = 0.95,
    ) -> Summary:
        """Summarise the fit: coefficients with standard errors, tests and intervals, R2, F and log-likelihood.

        The numbers are those of lm in R and of OLS or, with weights, WLS in statsmodels. They exist after the closed
        form without a penalty, with full rank and more rows than coefficients.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features), default=None
            The rows of the fit, in any order. Only robust standard errors need them, to compute residuals.
        y : array-like of shape (n_samples,) or (n_samples, n_targets), default=None
            Their targets.
        sample_weight : array-like of shape (n_samples,) or float, default=None
            Their weights.
        cov_type : {"nonrobust", "HC0", "HC1", "HC2", "HC3", "cluster"}, default="nonrobust"
            What is assumed of the residuals of rows of weight 1.

            - "nonrobust": independent, with the same variance. Needs only the model.
            - "HC0" to "HC3": independent, with different variances. "HC1" multiplies the covariance by n_samples
              divided by the residual degrees of freedom. "HC2" divides squared residuals by one minus the leverage, and
              "HC3" by its square.
            - "cluster": independent between groups, with the usual correction for the number of groups.

            All but the first use the normal distribution instead of Student's t, as statsmodels does.
        groups : array-like of shape (n_samples,), default=None
            Labels of the groups, for "cluster": numbers or text.
        confidence_level : float, default=0.95
            Confidence level of the intervals, in (0, 1).

        Returns
        -------
        summary : Summary
            Prints as text. `table` is a pandas DataFrame if pandas is installed. Attributes hold the numbers as NumPy
            arrays: coef, std_error, t, p_value, ci_low, ci_high, covariance (the intercept first), n_samples, df_model,
            df_residual, residual_std, r2, adjusted_r2, f_statistic, f_pvalue, log_likelihood, aic, bic,
            condition_number.

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        ValueError
            If the fit has no standard errors, for a reason that the message gives; if cov_type needs rows or groups
            that are missing; if the rows are not those of the fit; or if a row has leverage 1 with "HC2" or "HC3".

        Notes
        -----
        Robust standard errors take two passes over X, of n_samples * n_features**2 operations for each target, in
        panels of rows in the memory of the CPU. "cluster" keeps a sum of n_features + 1 numbers for each group.

        Examples
        --------
        >>> from sgdlinreg import MiniBatchSGDRegressor
        >>> from sgdlinreg.datasets import make_linear
        >>> X, y = make_linear(n_samples=100, noise=1.0, random_state=0)
        >>> model = MiniBatchSGDRegressor().fit(X, y)
        >>> summary = model.summary()
        >>> summary.df_residual, float(round(summary.r2, 3))
        (97, 0.902)
        >>> summary.std_error.round(3)
        array([0.113, 0.116, 0.119])
        >>> model.summary(X, y, cov_type="HC3").std_error.round(3)
        array([0.112, 0.117, 0.129])
        """
        check_is_fitted(self)
        _check(cov_type=cov_type, confidence_level=confidence_level)
        inference = self._inference_for("summary")
        coef = np.atleast_2d(coef_of(self)).astype(np.float64)
        if inference.mean is not None:
            coef = np.column_stack([np.atleast_1d(intercept_of(self)), coef])
        if cov_type == "nonrobust":
            if groups is not None:
                raise ValueError("groups is given, and cov_type='nonrobust' has none. Set cov_type='cluster'.")
            covariance = inference.covariance()
        else:
            covariance = self._robust(inference, coef, X, y, sample_weight, cov_type, groups)
        d = self.n_features_in_
        return summarise(
            inference,
            covariance,
            coef,
            names=[str(name) for name in getattr(self, "feature_names_in_", [f"x{i}" for i in range(d)])],
            confidence_level=confidence_level,
            condition_number=float(self.condition_number_),
            single=np.ndim(intercept_of(self)) == 0,
        )

    def predict_interval(
        self, X: MatrixLike, confidence_level: float = 0.95, kind: Literal["prediction", "mean"] = "prediction"
    ) -> tuple[Floats, Floats]:
        """Predict intervals for new observations or for the mean of y.

        The intervals use Student's t distribution, as get_prediction of statsmodels does. They exist after the closed
        form without a penalty only.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows.
        confidence_level : float, default=0.95
            Probability that an interval contains the new observation or the mean, in (0, 1).
        kind : {"prediction", "mean"}, default="prediction"
            Whether an interval is for a new observation of weight 1, or for the mean of such observations, which does
            not include the noise.

        Returns
        -------
        lower, upper : ndarray of shape (n_samples,) or (n_samples, n_targets)
            Bounds, of the same kind as the predictions. They take n_samples * n_features**2 operations.

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        ValueError
            If a parameter or X is invalid, or the fit has no standard errors.

        Examples
        --------
        >>> import numpy as np
        >>> from sgdlinreg import MiniBatchSGDRegressor
        >>> from sgdlinreg.datasets import make_linear
        >>> X, y = make_linear(n_samples=1000, random_state=0)
        >>> model = MiniBatchSGDRegressor().fit(X[:500], y[:500])
        >>> lower, upper = model.predict_interval(X[500:], confidence_level=0.9)
        >>> float(np.mean((lower <= y[500:]) & (y[500:] <= upper)).round(2))
        0.9
        """
        check_is_fitted(self)
        _check(confidence_level=confidence_level, kind=kind)
        inference = self._inference_for("predict_interval")
        check_same_home(X, self, "predict_interval")
        with ExplainedOutOfMemory(X, self.device):
            rows = check_columns(self, X, min_rows=0)
            check_model(self, rows.shape[1])
            mean = arrays_of(rows).take(predict_rows(rows, coef_of(self), intercept_of(self))).astype(np.float64)
            std = of_each_target(self, inference.predict_std(rows, of_mean=kind == "mean").T).T
            half = two_sided(confidence_level, inference.df_residual) * std
            lower, upper = (like(X, bound.astype(dtype_of(rows), copy=False)) for bound in (mean - half, mean + half))
            return lower, upper

    def _inferred(self, attribute) -> Inference:
        inference = self.__dict__.get("_inference", "the estimator is not fitted yet; call fit first")
        if isinstance(inference, str):
            raise AttributeError(f"There is no {attribute}: {inference}.")
        return inference

    def _inference_for(self, what) -> Inference:
        """Return what standard errors follow from, or raise a ValueError that says why there is nothing."""
        inference = getattr(self, "_inference", SET_BY_HAND)
        if getattr(self, "_model_kept", None) is not None and has_changed(self):
            inference = SET_BY_HAND
        if isinstance(inference, str):
            raise ValueError(f"{what} needs standard errors, and this fit has none: {inference}.")
        return inference

    def _robust(self, inference, coef, X, y, sample_weight, cov_type, groups) -> Covariance:
        """Check the rows of the fit and compute a robust covariance."""
        if X is None or y is None:
            raise ValueError(
                f"cov_type={cov_type!r} needs the residuals, and no row stays with a model. Pass X, y and, if there "
                "were weights, sample_weight of the fit; or use cov_type='nonrobust'."
            )
        if (groups is None) == (cov_type == "cluster"):
            wrong = "groups are for cov_type='cluster'" if groups is not None else "cov_type='cluster' needs groups"
            raise ValueError(f"{wrong}, got cov_type={cov_type!r} and groups={groups!r}. Pass both, or neither.")
        check_same_home(X, self, "summary")
        with ExplainedOutOfMemory(X, self.device):
            block = check_rows(self, X, y, sample_weight, reset=False)
            _check_rows_of_fit(inference, block)
            codes = None if groups is None else _codes(groups, block, y, sample_weight)
            return robust_covariance(inference, block, coef, cov_type, codes)


def _check(**given) -> None:
    validate_parameter_constraints({name: CONSTRAINTS[name] for name in given}, given, "MiniBatchSGDRegressor")


def _check_rows_of_fit(inference: Inference, block: Block) -> None:
    for what, found, expected in (
        ("rows of positive weight", block.n_rows, inference.n_rows),
        ("targets", block.n_targets, len(inference.std)),
    ):
        if found != expected:
            raise ValueError(
                f"X and y have {found} {what}, the fit had {expected}. Robust standard errors need all rows of the fit."
            )


def _codes(groups: Any, block: Block, y: Any, sample_weight: Any) -> np.ndarray:
    """Return the groups of the rows of a block, numbered from 0.

    Raises
    ------
    ValueError
        If there is not one label for each row, they cannot be told apart, or are all the same.
    """
    labels, n_rows = np.asarray(to_numpy(groups)), _num_samples(y)
    if labels.shape != (n_rows,):
        raise ValueError(f"groups has shape {labels.shape}, should be ({n_rows},): a label for each row.")
    if block.n_rows < n_rows:
        labels = labels[to_floats(to_numpy(sample_weight), "sample_weight") > 0]
    try:
        found, codes = np.unique(labels, return_inverse=True)
        missing = bool((found != found).any())
    except TypeError as error:
        raise ValueError(
            "groups holds labels of several types, or missing ones. Pass numbers only, or text."
        ) from error
    if missing:
        raise ValueError("groups holds NaN. Give every row a label.")
    if len(found) < 2:
        raise ValueError("groups has one label only. Robust standard errors by groups need two groups, better thirty.")
    return codes
