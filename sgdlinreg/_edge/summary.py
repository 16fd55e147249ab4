"""The summary of a least-squares fit: coefficients with their tests and intervals, and how good the fit is."""

import importlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import special

from sgdlinreg._core.standard_errors import Covariance, Inference
from sgdlinreg._edge.summary_text import as_html, as_text

COLUMNS = ("coef", "std_error", "t", "p_value", "ci_low", "ci_high")


@dataclass(frozen=True, eq=False, repr=False)
class Summary:
    """Coefficients of a least-squares fit with their tests and intervals, and how good the fit is.

    It prints as text, and shows as HTML in notebooks. All arrays are NumPy's, of float64. With y of shape (n_samples,)
    what is of shape (n_targets, ...) below has no first axis, and what is of shape (n_targets,) is a float.

    Attributes
    ----------
    feature_names : ndarray of shape (n_coef,), object
        "intercept", if there is one, and the names of the features, x0, x1, ... where they have none.
    coef : ndarray of shape (n_targets, n_coef)
        The intercept and the coefficients.
    std_error : ndarray of shape (n_targets, n_coef)
        Their standard errors.
    t : ndarray of shape (n_targets, n_coef)
        ``coef / std_error``. With robust standard errors it is a z statistic.
    p_value : ndarray of shape (n_targets, n_coef)
        Probability of an absolute t at least as large if the coefficient is 0, by Student's t distribution with
        `df_residual` degrees of freedom; with robust standard errors by the normal one.
    ci_low, ci_high : ndarray of shape (n_targets, n_coef)
        Confidence intervals, by the same distribution.
    covariance : ndarray of shape (n_targets, n_coef, n_coef)
        Covariance of the intercept and the coefficients, whose diagonal is ``std_error**2``.
    n_samples : int
        Rows of positive weight.
    df_model, df_residual : int
        Degrees of freedom: the features; the rows less the coefficients and the intercept.
    residual_std : float or ndarray of shape (n_targets,)
        As `residual_std_` of the estimator.
    r2, adjusted_r2 : float or ndarray of shape (n_targets,)
        Explained part of the weighted sum of squares of y about its mean, about 0 without an intercept; the same with
        each sum divided by its degrees of freedom.
    f_statistic, f_pvalue : float or ndarray of shape (n_targets,)
        Test that all coefficients but the intercept are 0; with robust standard errors Wald's, by their covariance, and
        nan where the groups are too few for it.
    f_df : tuple of int
        Degrees of freedom of that test: `df_model` and `df_residual`, or with "cluster" the groups less one.
    log_likelihood, aic, bic : float or ndarray of shape (n_targets,)
        Of normal residuals, with variances that are one over the weights up to a factor.
    condition_number : float
        As `condition_number_` of the estimator.
    cov_type : str
        As it was given.
    n_groups : int or None
        Groups of cov_type="cluster".
    confidence_level : float
        Of the intervals.
    """

    feature_names: np.ndarray
    coef: np.ndarray
    std_error: np.ndarray
    t: np.ndarray
    p_value: np.ndarray
    ci_low: np.ndarray
    ci_high: np.ndarray
    covariance: np.ndarray
    n_samples: int
    df_model: int
    df_residual: int
    residual_std: Any
    r2: Any
    adjusted_r2: Any
    f_statistic: Any
    f_pvalue: Any
    f_df: tuple[int, int]
    log_likelihood: Any
    aic: Any
    bic: Any
    condition_number: float
    cov_type: str
    n_groups: int | None
    confidence_level: float

    @property
    def table(self) -> Any:
        """The coefficients as a table.

        A pandas DataFrame with the columns coef, std_error, t, p_value, ci_low and ci_high, indexed by feature; with y
        of shape (n_samples, n_targets) by the number of the target and feature. Where pandas is not installed, a
        dictionary of arrays with "feature", "target" where there is such an axis, and these columns.
        """
        columns = {name: np.ravel(getattr(self, name)) for name in COLUMNS}
        n_targets = len(np.atleast_2d(self.coef))
        labels = {"feature": np.tile(self.feature_names, n_targets)}
        if self.coef.ndim == 2:
            labels = {"target": np.repeat(np.arange(n_targets), len(self.feature_names))} | labels
        try:
            pandas = importlib.import_module("pandas")
        except ImportError:
            return labels | columns
        return pandas.DataFrame(labels | columns).set_index(list(labels))

    def __str__(self) -> str:
        return as_text(self)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return as_html(self)


def two_sided(confidence_level: float, df: int | None) -> float:
    """Return the half width of an interval in standard errors, by Student's t, or the normal distribution for None."""
    upper = 0.5 + 0.5 * confidence_level
    return float(special.ndtri(upper) if df is None else special.stdtrit(df, upper))


def summarise(
    inference: Inference,
    covariance: Covariance,
    coef: np.ndarray,
    *,
    names: list[str],
    confidence_level: float,
    condition_number: float,
    single: bool,
) -> Summary:
    """Make the summary of a fit.

    Parameters
    ----------
    inference : Inference
    covariance : Covariance
    coef : ndarray of shape (n_targets, n_coef)
        The intercept first, if there is one.
    names : list of str
        Of the features.
    confidence_level : float
    condition_number : float
    single : bool
        Whether there is no axis of targets.
    """
    df, errors, robust = inference.df_residual, covariance.std_errors, covariance.wald is not None
    with np.errstate(divide="ignore", invalid="ignore"):  # of exact fits errors are 0
        t = coef / errors
    half = two_sided(confidence_level, None if robust else df) * errors
    of_targets = {
        "coef": coef,
        "std_error": errors,
        "t": t,
        "p_value": 2.0 * (special.ndtr(-np.abs(t)) if robust else special.stdtr(df, -np.abs(t))),
        "ci_low": coef - half,
        "ci_high": coef + half,
        "covariance": covariance.matrix,
        "residual_std": inference.residual_std,
        **_goodness(inference),
    }
    f_df = len(names), df if covariance.n_groups is None else covariance.n_groups - 1
    f = _f_statistic(inference) if covariance.wald is None else covariance.wald
    of_targets |= {"f_statistic": f, "f_pvalue": special.fdtrc(*f_df, f)}
    return Summary(
        feature_names=np.array((["intercept"] if inference.mean is not None else []) + names, dtype=object),
        n_samples=inference.n_rows,
        df_model=len(names),
        df_residual=df,
        f_df=f_df,
        condition_number=condition_number,
        cov_type=covariance.cov_type,
        n_groups=covariance.n_groups,
        confidence_level=confidence_level,
        **{name: values[0] if single else values for name, values in of_targets.items()},
    )


@np.errstate(divide="ignore", invalid="ignore")
def _goodness(inference: Inference) -> dict[str, np.ndarray]:
    """Return what R2 and the log-likelihood tell, (n_targets,) each."""
    n, df, std = inference.n_rows, inference.df_residual, inference.std
    missing = np.square(std / inference.y_norm)  # for each degree of freedom
    log_squares = 2.0 * np.log(std) + np.log(df)
    log_likelihood = 0.5 * (inference.log_weight - n * (1.0 + np.log(2.0 * np.pi / n) + log_squares))
    n_coef = n - df
    return {
        "r2": 1.0 - df * missing,
        "adjusted_r2": 1.0 - (n - (inference.mean is not None)) * missing,
        "log_likelihood": log_likelihood,
        "aic": 2.0 * (n_coef - log_likelihood),
        "bic": np.log(n) * n_coef - 2.0 * log_likelihood,
    }


@np.errstate(divide="ignore", invalid="ignore")
def _f_statistic(inference: Inference) -> np.ndarray:
    """Return the explained sum of squares over its degrees of freedom and the variance of the residuals."""
    return (np.square(inference.y_norm / inference.std) - inference.df_residual) / len(inference.scale)
