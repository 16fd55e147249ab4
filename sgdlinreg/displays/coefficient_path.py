"""The coefficients along the penalties of a search."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from sgdlinreg.displays.models import check_search, coefficient_names, of_target, split_pipeline
from sgdlinreg.displays.style import draw_legend, label_axis, line_style, merged, pyplot, scale_penalties

NAMED = 7
"""So many paths have a name, those of the largest coefficients."""


class CoefficientPathDisplay:
    """Visualization of the coefficients along the penalties of a search.

    It is recommended to use :meth:`from_estimator` to create a display. All parameters are stored as attributes.

    Parameters
    ----------
    alphas : ndarray of shape (n_alphas,)
        Penalties of the path.
    coefs : ndarray of shape (n_alphas, n_features)
        Coefficients of one target for each penalty.
    feature_names : list of str
        Names of all features.
    alpha : float
        Chosen penalty.
    ylabel : str, default="Coefficient"
        Label of the y axis.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes with the paths.
    figure_ : matplotlib Figure
        Figure with the axes.
    lines_ : list of matplotlib Artist
        Paths in the order of the features.
    choice_ : matplotlib Artist
        Line at the chosen penalty.

    See Also
    --------
    SearchCurveDisplay : Plot the scores of the same penalties.

    Examples
    --------
    >>> from sgdlinreg import MiniBatchSGDRegressorCV
    >>> from sgdlinreg.datasets import make_linear
    >>> from sgdlinreg.displays import CoefficientPathDisplay
    >>> X, y = make_linear(n_samples=100, coef=[2.0, -3.4, 0.1], noise=1.0, random_state=0)
    >>> model = MiniBatchSGDRegressorCV(penalty="l1", alphas=20).fit(X, y)
    >>> display = CoefficientPathDisplay.from_estimator(model, X, y)
    >>> display.coefs.shape
    (20, 3)
    """

    ax_: Any
    figure_: Any
    lines_: Any
    choice_: Any

    def __init__(
        self,
        *,
        alphas: np.ndarray,
        coefs: np.ndarray,
        feature_names: Sequence[str],
        alpha: float,
        ylabel: str = "Coefficient",
    ) -> None:
        self.alphas = alphas
        self.coefs = coefs
        self.feature_names = feature_names
        self.alpha = alpha
        self.ylabel = ylabel

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        *,
        target: int | None = None,
        standardized: bool = False,
        feature_names: Sequence[str] | None = None,
        ax: Any = None,
        line_kwargs: Mapping[str, Any] | None = None,
    ) -> CoefficientPathDisplay:
        """Plot the coefficients along the penalties of a search.

        Parameters
        ----------
        estimator : MiniBatchSGDRegressorCV
            Fitted estimator, or fitted pipeline that ends with one. The coefficients of a pipeline are those of the
            transformed features.
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows to which the coefficients are fitted, usually those of `fit`.
        y : array-like of shape (n_samples,) or (n_samples, n_targets)
            Target values.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows.
        target : int, default=None
            Index of the target if there are several.
        standardized : bool, default=False
            Whether to multiply the coefficients by the standard deviations of the features, so that their sizes can be
            compared. This needs dense X.
        feature_names : list of str, default=None
            Names of all features. None takes them from the estimator or the pipeline.
        ax : matplotlib Axes, default=None
            Axes to plot on. None creates a new figure.
        line_kwargs : dict, default=None
            Keyword arguments of matplotlib's `plot`, for all paths.

        Returns
        -------
        display : CoefficientPathDisplay
            Object that stores the coefficients and the plot.

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        ValueError
            If an argument is invalid, or the estimator is not a search over penalties.
        ImportError
            If matplotlib is not installed.
        """
        transformers, model = split_pipeline(estimator)
        check_search(model)
        X = X if transformers is None else transformers.transform(X)
        alphas, coefs = model.path(X, y, sample_weight)
        if coefs.ndim == 3:
            coefs = of_target(coefs.transpose(0, 2, 1).reshape(-1, coefs.shape[1]), target).reshape(len(alphas), -1)
        else:
            of_target(coefs.reshape(-1, 1), target)
        names = coefficient_names(transformers, model, coefs.shape[1]) if feature_names is None else list(feature_names)
        if len(names) != coefs.shape[1]:
            raise ValueError(f"There are {len(names)} feature_names for {coefs.shape[1]} features. Give one for each.")
        coefs = coefs * np.std(np.asarray(X, dtype=float), axis=0) if standardized else coefs
        label = "Coefficient times standard deviation" if standardized else "Coefficient"
        label += "" if target is None else f" of target {target}"
        display = cls(alphas=alphas, coefs=coefs, feature_names=names, alpha=model.alpha_, ylabel=label)
        return display.plot(ax, line_kwargs=line_kwargs)

    def plot(self, ax: Any = None, *, line_kwargs: Mapping[str, Any] | None = None) -> CoefficientPathDisplay:
        """Plot the coefficients.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to plot on. None creates a new figure.
        line_kwargs : dict, default=None
            Keyword arguments of matplotlib's `plot`, for all paths.

        Returns
        -------
        display : CoefficientPathDisplay
            Object that stores the coefficients and the plot.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        """
        plt = pyplot(self)
        from matplotlib.lines import Line2D

        if ax is None:
            _, ax = plt.subplots(layout="constrained")
        self.ax_, self.figure_, self.lines_ = ax, ax.figure, []
        scale_penalties(ax, self.alphas)
        largest = np.argsort(-np.abs(self.coefs).max(axis=0), kind="stable")[:NAMED].tolist()
        for number, (coef, name) in enumerate(zip(self.coefs.T, self.feature_names, strict=True)):
            look: dict[str, Any] = {"color": "0.7", "linewidth": 0.8}
            if number in largest:
                look = line_style(largest.index(number)) | {"marker": "none", "label": str(name)}
            self.lines_ += ax.plot(self.alphas, coef, **merged(Line2D, look, line_kwargs))
        ax.axhline(0.0, color="0.4", linewidth=0.8, zorder=0)
        self.choice_ = ax.axvline(self.alpha, color="0.4", linestyle="--", linewidth=1.0)
        label_axis(ax.xaxis, "alpha")
        label_axis(ax.yaxis, self.ylabel)
        draw_legend(ax)
        return self
