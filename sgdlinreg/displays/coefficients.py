"""The coefficients of a fit and their confidence intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Integral
from typing import Any

import numpy as np

from sgdlinreg._edge.attributes import coef_of
from sgdlinreg.displays.models import check_confidence_level, coefficient_names, of_target, percent, split_pipeline
from sgdlinreg.displays.style import COLORS, label_axis, merged, pyplot

ORDERS = ("value", "t", "columns")
LONGEST_NAME = 28
"""Longer names of features lose their middle."""


class CoefficientDisplay:
    """Visualization of coefficients and their confidence intervals.

    It is recommended to use :meth:`from_estimator` to create a display. All parameters are stored as attributes.

    Parameters
    ----------
    coef : ndarray of shape (n_shown,)
        Coefficients of one target, from top to bottom.
    feature_names : list of str
        Names of the features that are drawn.
    ci_low, ci_high : ndarray of shape (n_shown,) or None, default=None
        Bounds of the confidence intervals.
    confidence_level : float, default=0.95
        Confidence level of the intervals.
    target : int or None, default=None
        Index of the target, which is part of the label.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes with the coefficients.
    figure_ : matplotlib Figure
        Figure with the axes.
    errorbar_ : matplotlib ErrorbarContainer
        Points and intervals.
    zero_line_ : matplotlib Artist
        Line at 0.

    See Also
    --------
    sklearn.inspection.permutation_importance : How much a score depends on each feature.

    Examples
    --------
    >>> from sgdlinreg import MiniBatchSGDRegressor
    >>> from sgdlinreg.datasets import make_linear
    >>> from sgdlinreg.displays import CoefficientDisplay
    >>> X, y = make_linear(n_samples=100, coef=[2.0, -3.4, 0.1], noise=1.0, random_state=0)
    >>> model = MiniBatchSGDRegressor().fit(X, y)
    >>> display = CoefficientDisplay.from_estimator(model)
    >>> display.feature_names
    ['x0', 'x2', 'x1']
    """

    ax_: Any
    figure_: Any
    errorbar_: Any
    zero_line_: Any

    def __init__(
        self,
        *,
        coef: np.ndarray,
        feature_names: Sequence[str],
        ci_low: np.ndarray | None = None,
        ci_high: np.ndarray | None = None,
        confidence_level: float = 0.95,
        target: int | None = None,
    ) -> None:
        self.coef = coef
        self.feature_names = feature_names
        self.ci_low = ci_low
        self.ci_high = ci_high
        self.confidence_level = confidence_level
        self.target = target

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        *,
        target: int | None = None,
        order: str = "value",
        max_features: int | None = None,
        feature_names: Sequence[str] | None = None,
        confidence_level: float = 0.95,
        ax: Any = None,
        errorbar_kwargs: Mapping[str, Any] | None = None,
        line_kwargs: Mapping[str, Any] | None = None,
    ) -> CoefficientDisplay:
        """Plot the coefficients of a fitted estimator.

        Coefficients are in units of y per unit of the feature. Compare their sizes only if the features have the same
        unit.

        Parameters
        ----------
        estimator : estimator instance
            Fitted :class:`~sgdlinreg.MiniBatchSGDRegressor`, or fitted pipeline that ends with one. The coefficients of
            a pipeline are those of the transformed features. There are no intervals for fits without standard errors,
            by SGD or with a penalty, and for other linear models.
        target : int, default=None
            Index of the target if there are several.
        order : {"value", "t", "columns"}, default="value"
            Order from top to bottom.

            - "value": descending coefficients.
            - "t": descending absolute values of t, which is the coefficient divided by its standard error.
            - "columns": the order of the columns of X.
        max_features : int, default=None
            Maximum number of features. The features with the largest absolute coefficients are drawn or, with
            order="t", those with the largest absolute t. None draws all features.
        feature_names : list of str, default=None
            Names of all features. None takes them from the estimator or the pipeline.
        confidence_level : float, default=0.95
            Confidence level of the intervals, in (0, 1). They are the same as in `summary`.
        ax : matplotlib Axes, default=None
            Axes to plot on. None creates a new figure, whose height depends on the number of features.
        errorbar_kwargs : dict, default=None
            Keyword arguments of matplotlib's `errorbar`.
        line_kwargs : dict, default=None
            Keyword arguments of matplotlib's `axvline`, for the line at 0.

        Returns
        -------
        display : CoefficientDisplay
            Object that stores the coefficients and the plot.

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        ValueError
            If an argument is invalid, or order="t" and the fit has no standard errors.
        ImportError
            If matplotlib is not installed.
        """
        transformers, model = split_pipeline(estimator)
        check_arguments(order, max_features, confidence_level)
        coef = of_target(coef_of(model).T, target)
        names = coefficient_names(transformers, model, len(coef)) if feature_names is None else list(feature_names)
        if len(names) != len(coef):
            raise ValueError(f"There are {len(names)} feature_names for {len(coef)} coefficients. Give one for each.")
        t, ci_low, ci_high = tests_of(model, target, len(coef), confidence_level, needed=order == "t")
        shown = sorted_features(coef, t, order, max_features)
        return cls(
            coef=coef[shown],
            feature_names=[str(names[i]) for i in shown],
            ci_low=None if ci_low is None else ci_low[shown],
            ci_high=None if ci_high is None else ci_high[shown],
            confidence_level=confidence_level,
            target=target,
        ).plot(ax, errorbar_kwargs=errorbar_kwargs, line_kwargs=line_kwargs)

    def plot(
        self,
        ax: Any = None,
        *,
        errorbar_kwargs: Mapping[str, Any] | None = None,
        line_kwargs: Mapping[str, Any] | None = None,
    ) -> CoefficientDisplay:
        """Plot the coefficients.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to plot on. None creates a new figure, whose height depends on the number of features.
        errorbar_kwargs : dict, default=None
            Keyword arguments of matplotlib's `errorbar`.
        line_kwargs : dict, default=None
            Keyword arguments of matplotlib's `axvline`, for the line at 0.

        Returns
        -------
        display : CoefficientDisplay
            Object that stores the coefficients and the plot.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        """
        plt = pyplot(self)
        from matplotlib.lines import Line2D

        rows = np.arange(len(self.coef))
        if ax is None:
            _, ax = plt.subplots(figsize=(6.4, 1.0 + 0.22 * max(4, len(rows))), layout="constrained")
        self.ax_, self.figure_ = ax, ax.figure
        look = {"color": "0.4", "linestyle": "--", "linewidth": 1, "zorder": 0}
        self.zero_line_ = ax.axvline(0.0, **merged(Line2D, look, line_kwargs))
        points = 72.0 * ax.bbox.height / ax.figure.dpi / len(rows)  # of a row: text must not overlap
        look = {"color": COLORS[0], "linestyle": "none", "marker": "o", "markersize": min(4.5, 0.6 * points)}
        kwargs = merged(Line2D, look | {"capsize": min(2.5, 0.3 * points)}, errorbar_kwargs)
        ends = None if self.ci_low is None else [self.coef - self.ci_low, self.ci_high - self.coef]
        self.errorbar_ = ax.errorbar(self.coef, rows, xerr=ends, **kwargs)
        size = min(0.83 * plt.rcParams["font.size"], 0.8 * points)
        ax.set_yticks(rows, list(map(shortened, self.feature_names)), parse_math=False, fontsize=size)
        ax.set_ylim(len(rows) - 0.4, -0.6)
        of_target = "" if self.target is None else f" of target {self.target}"
        level = "" if self.ci_low is None else f"\n({percent(self.confidence_level)} interval)"
        label_axis(ax.xaxis, f"Coefficient{of_target}{level}")
        return self


def check_arguments(order: str, max_features: int | None, confidence_level: float) -> None:
    """Raise a ValueError for an unknown order, a number of features below 1 or a level that is not in (0, 1)."""
    if order not in ORDERS:
        raise ValueError(f"order={order!r} should be one of {', '.join(map(repr, ORDERS))}.")
    if max_features is not None and not (isinstance(max_features, Integral) and max_features >= 1):
        raise ValueError(f"max_features={max_features!r} should be an int of at least 1, or None for all.")
    check_confidence_level(confidence_level)


def tests_of(
    model: Any, target: int | None, n_features: int, confidence_level: float, needed: bool
) -> tuple[np.ndarray | None, np.ndarray | None, np.ndarray | None]:
    """Return t and the ends of the intervals of the coefficients of a target; None each if the fit has none.

    Raises
    ------
    ValueError
        If the fit has none and they are needed.
    """
    try:
        summary = model.summary(confidence_level=confidence_level)
    except (AttributeError, ValueError) as error:
        if needed:
            raise ValueError(f"order='t' is for fits with standard errors, use order='value'. {error}") from error
        return None, None, None
    t, ci_low, ci_high = (
        of_target(values.T[-n_features:], target) for values in (summary.t, summary.ci_low, summary.ci_high)
    )
    return t, ci_low, ci_high


def sorted_features(coef: np.ndarray, t: np.ndarray | None, order: str, max_features: int | None) -> np.ndarray:
    """Return the numbers of the features that are drawn, from top to bottom."""
    size = np.abs(t) if order == "t" and t is not None else np.abs(coef)
    largest = np.argsort(-size, kind="stable")[:max_features]
    if order == "t":
        return largest
    kept = np.sort(largest)
    return kept if order == "columns" else kept[np.argsort(-coef[kept], kind="stable")]


def shortened(name: str) -> str:
    """Return a name without its middle if it is long: both ends of names such as one-hot levels tell them apart."""
    if len(name) <= LONGEST_NAME:
        return name
    half = (LONGEST_NAME - 1) // 2
    return f"{name[:half]}…{name[-half:]}"
