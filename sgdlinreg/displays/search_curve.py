"""The scores of a search over penalties."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from sgdlinreg.displays.models import check_search, split_pipeline
from sgdlinreg.displays.style import draw_legend, label_axis, line_style, merged, pyplot, scale_penalties


class SearchCurveDisplay:
    """Visualization of the scores of a search over penalties, with their standard errors and the choice.

    It is recommended to use :meth:`from_estimator` to create a display. All parameters are stored as attributes.

    Parameters
    ----------
    alphas : list of ndarray of shape (n_alphas,)
        Penalties of each curve, ascending.
    scores : list of ndarray of shape (n_alphas,)
        Mean scores of each curve.
    errors : list of ndarray of shape (n_alphas,)
        Standard errors of the scores, nan if there are none.
    names : list of str
        Other parameters of each curve, "" if there is a single curve.
    alpha : float
        Chosen penalty.
    score_name : str, default="Score"
        Name of the score.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes with the curves.
    figure_ : matplotlib Figure
        Figure with the axes.
    lines_ : list of matplotlib Artist
        Curves of the scores.
    fills_ : list of matplotlib Artist
        Bands of one standard error.
    choice_ : matplotlib Artist
        Line at the chosen penalty.

    See Also
    --------
    sklearn.model_selection.ValidationCurveDisplay : Plot the scores of any estimator against a parameter.

    Examples
    --------
    >>> from sgdlinreg import MiniBatchSGDRegressorCV
    >>> from sgdlinreg.datasets import make_linear
    >>> from sgdlinreg.displays import SearchCurveDisplay
    >>> X, y = make_linear(n_samples=100, coef=[2.0, -3.4, 0.1], noise=1.0, random_state=0)
    >>> model = MiniBatchSGDRegressorCV(alphas=20).fit(X, y)
    >>> display = SearchCurveDisplay.from_estimator(model)
    >>> display.alpha == model.alpha_
    True
    """

    ax_: Any
    figure_: Any
    lines_: Any
    fills_: Any
    choice_: Any

    def __init__(
        self,
        *,
        alphas: Sequence[np.ndarray],
        scores: Sequence[np.ndarray],
        errors: Sequence[np.ndarray],
        names: Sequence[str],
        alpha: float,
        score_name: str = "Score",
    ) -> None:
        self.alphas = alphas
        self.scores = scores
        self.errors = errors
        self.names = names
        self.alpha = alpha
        self.score_name = score_name

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        *,
        score_name: str | None = None,
        ax: Any = None,
        line_kwargs: Mapping[str, Any] | None = None,
        fill_kwargs: Mapping[str, Any] | None = None,
    ) -> SearchCurveDisplay:
        """Plot the scores of a search.

        Parameters
        ----------
        estimator : MiniBatchSGDRegressorCV
            Fitted estimator, or fitted pipeline that ends with one. There is a curve for each combination of the
            parameters other than alpha.
        score_name : str, default=None
            Name of the score. None takes it from `scoring`.
        ax : matplotlib Axes, default=None
            Axes to plot on. None creates a new figure.
        line_kwargs : dict, default=None
            Keyword arguments of matplotlib's `plot`, for all curves.
        fill_kwargs : dict, default=None
            Keyword arguments of matplotlib's `fill_between`, for all bands.

        Returns
        -------
        display : SearchCurveDisplay
            Object that stores the scores and the plot.

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        ValueError
            If the estimator is not a search over penalties.
        ImportError
            If matplotlib is not installed.
        """
        _, model = split_pipeline(estimator)
        check_search(model)
        results = model.cv_results_
        curves: dict[str, list[int]] = {}
        iteration = results.get("iter", np.zeros(len(results["params"])))
        for number in np.flatnonzero(iteration == iteration.max()).tolist():
            one = results["params"][number]
            name = ", ".join(f"{key}={value}" for key, value in one.items() if key != "alpha")
            curves.setdefault(name, []).append(number)
        alphas, scores, errors = [], [], []
        for numbers in curves.values():
            alpha = np.array([results["params"][number]["alpha"] for number in numbers])
            order = np.argsort(alpha, kind="stable")
            chosen = np.array(numbers)[order]
            alphas.append(alpha[order])
            scores.append(results["mean_test_score"][chosen])
            errors.append(results["std_test_score"][chosen] / max(1, model.n_splits_ - 1) ** 0.5)
        default = "Neg mean squared error" if model.cv is None else "R2"
        given = model.scoring.replace("_", " ").capitalize() if isinstance(model.scoring, str) else None
        name = score_name or given or ("Score" if callable(model.scoring) else default)
        display = cls(
            alphas=alphas, scores=scores, errors=errors, names=list(curves), alpha=model.alpha_, score_name=name
        )
        return display.plot(ax, line_kwargs=line_kwargs, fill_kwargs=fill_kwargs)

    def plot(
        self,
        ax: Any = None,
        *,
        line_kwargs: Mapping[str, Any] | None = None,
        fill_kwargs: Mapping[str, Any] | None = None,
    ) -> SearchCurveDisplay:
        """Plot the scores.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to plot on. None creates a new figure.
        line_kwargs : dict, default=None
            Keyword arguments of matplotlib's `plot`, for all curves.
        fill_kwargs : dict, default=None
            Keyword arguments of matplotlib's `fill_between`, for all bands.

        Returns
        -------
        display : SearchCurveDisplay
            Object that stores the scores and the plot.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        """
        plt = pyplot(self)
        from matplotlib.collections import PolyCollection
        from matplotlib.lines import Line2D

        if ax is None:
            _, ax = plt.subplots(layout="constrained")
        self.ax_, self.figure_, self.lines_, self.fills_ = ax, ax.figure, [], []
        scale_penalties(ax, np.concatenate(self.alphas))
        curves = zip(self.alphas, self.scores, self.errors, self.names, strict=True)
        for number, (alpha, score, error, name) in enumerate(curves):
            look = line_style(number) | {"markersize": 3.0} | ({"label": name} if name else {})
            self.lines_ += ax.plot(alpha, score, **merged(Line2D, look, line_kwargs))
            look = {"color": self.lines_[-1].get_color(), "alpha": 0.15, "linewidth": 0.0}
            kwargs = merged(PolyCollection, look, fill_kwargs)
            self.fills_.append(ax.fill_between(alpha, score - error, score + error, **kwargs))
        self.choice_ = ax.axvline(
            self.alpha, color="0.4", linestyle="--", linewidth=1.0, label=f"chosen: {self.alpha:.3g}"
        )
        label_axis(ax.xaxis, "alpha")
        label_axis(ax.yaxis, self.score_name)
        draw_legend(ax)
        return self
