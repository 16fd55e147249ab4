"""The passes of one or several fits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from sgdlinreg.displays.models import split_pipeline
from sgdlinreg.displays.style import TICKS, draw_legend, label_axis, line_style, merged, pyplot

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D

KINDS = {"loss": "loss_curve_", "validation": "validation_scores_", "gap": "optimality_gap_curve_"}
"""Attributes of the estimator by kind."""
ADVICE = {
    "loss": "A MiniBatchSGDRegressor has one after fit",
    "validation": "Fit with X_val and y_val, or with early_stopping=True",
    "gap": 'Steps alone have none: fit with eta0="auto", a tol and early_stopping=False',
}
"""How a fit gets such a curve."""
LOSSES = {
    "squared_error": "squared error / 2",
    "huber": "Huber loss",
    "epsilon_insensitive": "epsilon-insensitive",
    "squared_epsilon_insensitive": "eps.-insensitive, squared",
    "quantile": "pinball loss",
}
"""What the objective is the mean of."""
MARKED = 15
"""About as many passes of a curve have a marker."""


class LossCurveDisplay:
    """Visualization of a fit, pass by pass: training objective, validation score and distance from the optimum.

    It is recommended to use :meth:`from_estimator` or :meth:`from_estimators` to create a display. All parameters are
    stored as attributes.

    Parameters
    ----------
    curves : dict of str to list of array-like of shape (n_passes,)
        Curves of the estimators for each kind, "loss", "validation" or "gap".
    names : list of str or None, default=None
        Names of the estimators in the legend. An estimator whose name is None is not in the legend.
    labels : dict of str to str, default=None
        Labels of the y axes by kind. None labels them with the kinds.

    Attributes
    ----------
    ax_ : matplotlib Axes
        First of the axes.
    axes_ : ndarray of shape (n_kinds,)
        Axes for each kind.
    figure_ : matplotlib Figure
        Figure with the axes.
    lines_ : ndarray of shape (n_kinds, n_estimators)
        Line for each kind and estimator.

    See Also
    --------
    sklearn.model_selection.LearningCurveDisplay : Plot scores against the number of rows.

    Examples
    --------
    >>> from sgdlinreg import MiniBatchSGDRegressor
    >>> from sgdlinreg.datasets import make_linear
    >>> from sgdlinreg.displays import LossCurveDisplay
    >>> X, y = make_linear(n_samples=6000, noise=1.0, random_state=0)
    >>> model = MiniBatchSGDRegressor(solver="numba", random_state=0)
    >>> model = model.fit(X[:5000], y[:5000], X_val=X[5000:], y_val=y[5000:])
    >>> display = LossCurveDisplay.from_estimator(model, kind=["loss", "validation", "gap"])
    """

    ax_: Axes
    axes_: np.ndarray
    figure_: Any
    lines_: np.ndarray

    def __init__(
        self,
        *,
        curves: Mapping[str, Sequence[Any]],
        names: Sequence[str | None] | None = None,
        labels: Mapping[str, str] | None = None,
    ) -> None:
        self.curves = curves
        self.names = names
        self.labels = labels

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        *,
        kind: str | Sequence[str] = "loss",
        name: str | None = None,
        ax: Any = None,
        line_kwargs: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None,
    ) -> LossCurveDisplay:
        """Plot the passes of a fitted estimator.

        Parameters
        ----------
        estimator : estimator instance
            Fitted :class:`~sgdlinreg.MiniBatchSGDRegressor`, or fitted pipeline that ends with one.
        kind : {"loss", "validation", "gap"} or list of them, default="loss"
            What is drawn. Several kinds are drawn below each other.

            - "loss": `loss_curve_`, the objective on the training data.
            - "validation": `validation_scores_`, R2 or D2 on the validation data.
            - "gap": `optimality_gap_curve_`, the estimated distance from the optimum, on a logarithmic scale. Epochs of
              steps have no gap. A gap of 0 is drawn at the bottom.
        name : str, default=None
            Name in the legend. If None, there is no legend.
        ax : matplotlib Axes or array-like of them, default=None
            Axes to plot on, one for each kind, such as `ax_` or `axes_` of another display. None creates a new figure.
        line_kwargs : dict, default=None
            Keyword arguments of matplotlib's `plot`, which override the defaults.

        Returns
        -------
        display : LossCurveDisplay
            Object that stores the curves and the plot.

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        ValueError
            If `kind` or `ax` is invalid, or the estimator has no such curve.
        ImportError
            If matplotlib is not installed.
        """
        return cls._of([(name, estimator)], kind, ax, line_kwargs)

    @classmethod
    def from_estimators(
        cls,
        estimators: Mapping[str, Any],
        *,
        kind: str | Sequence[str] = "loss",
        ax: Any = None,
        line_kwargs: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None,
    ) -> LossCurveDisplay:
        """Plot the passes of several fitted estimators on the same axes.

        Parameters
        ----------
        estimators : dict of str to estimator instance
            Fitted estimators or pipelines by their names in the legend.
        kind : {"loss", "validation", "gap"} or list of them, default="loss"
            What is drawn, as in :meth:`from_estimator`. Every estimator must have such a curve.
        ax : matplotlib Axes or array-like of them, default=None
            Axes to plot on, one for each kind. None creates a new figure.
        line_kwargs : dict or list of dict, default=None
            Keyword arguments of matplotlib's `plot` for all estimators, or a list of them with one for each.

        Returns
        -------
        display : LossCurveDisplay
            Object that stores the curves and the plot.

        Raises
        ------
        NotFittedError
            If an estimator is not fitted.
        ValueError
            If an argument is invalid, or an estimator has no such curve.
        ImportError
            If matplotlib is not installed.

        Examples
        --------
        >>> from sgdlinreg import MiniBatchSGDRegressor
        >>> from sgdlinreg.datasets import make_linear
        >>> from sgdlinreg.displays import LossCurveDisplay
        >>> X, y = make_linear(n_samples=1000, random_state=0)
        >>> models = {
        ...     f"eta0={eta0}": MiniBatchSGDRegressor(eta0=eta0, tol=None, max_iter=10, random_state=0).fit(X, y)
        ...     for eta0 in (0.01, 0.1)
        ... }
        >>> display = LossCurveDisplay.from_estimators(models)
        >>> display.lines_.shape
        (1, 2)
        """
        if not estimators:
            raise ValueError("estimators is empty. Give a dict of names and fitted estimators.")
        return cls._of(list(estimators.items()), kind, ax, line_kwargs)

    @classmethod
    def _of(cls, named: Sequence[tuple[str | None, Any]], kind: Any, ax: Any, line_kwargs: Any) -> LossCurveDisplay:
        kinds = check_kinds(kind)
        models = [(name, split_pipeline(estimator)[1]) for name, estimator in named]
        curves = {kind: [curve_of(model, kind, name) for name, model in models] for kind in kinds}
        labels = {kind: common_label([label_of(model, kind) for _, model in models]) for kind in kinds}
        return cls(curves=curves, names=[name for name, _ in named], labels=labels).plot(ax, line_kwargs=line_kwargs)

    def plot(
        self, ax: Any = None, *, line_kwargs: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None
    ) -> LossCurveDisplay:
        """Plot the curves.

        Parameters
        ----------
        ax : matplotlib Axes or array-like of them, default=None
            Axes to plot on, one for each kind. None creates a new figure.
        line_kwargs : dict or list of dict, default=None
            Keyword arguments of matplotlib's `plot` for all estimators, or a list of them with one for each.

        Returns
        -------
        display : LossCurveDisplay
            Object that stores the curves and the plot.

        Raises
        ------
        ValueError
            If the number of axes is not that of kinds, or the number of dicts in `line_kwargs` not that of estimators.
        ImportError
            If matplotlib is not installed.
        """
        plt = pyplot(self)
        n_kinds, n_estimators = len(self.curves), len(next(iter(self.curves.values())))
        each = [line_kwargs] * n_estimators if line_kwargs is None or isinstance(line_kwargs, Mapping) else line_kwargs
        if len(each) != n_estimators:
            raise ValueError(f"line_kwargs has {len(each)} dicts for {n_estimators} estimators. Give one for each.")
        names = [None] * n_estimators if self.names is None else self.names
        self.axes_ = self._axes(plt, ax, n_kinds)
        self.ax_, self.figure_ = self.axes_[0], self.axes_[0].figure
        self.lines_ = np.empty((n_kinds, n_estimators), dtype=object)
        for one, (kind, curves), lines in zip(self.axes_, self.curves.items(), self.lines_, strict=True):
            lines[:] = [draw(one, *curve) for curve in zip(curves, names, each, strict=True)]
            scale_passes(one)
            label = (self.labels or {}).get(kind, kind)
            label_axis(one.yaxis, common_label([one.get_ylabel() or label, label]))
            if kind == "gap":
                scale_gaps(one)
        label_axis(self.axes_[-1].xaxis, "Pass over the data")
        self.figure_.align_ylabels(self.axes_)
        draw_legend(self.ax_)
        return self

    @staticmethod
    def _axes(plt: Any, ax: Any, n_kinds: int) -> np.ndarray:
        if ax is None:
            size = (6.4, 1.2 + 2.4 * n_kinds)
            ax = plt.subplots(n_kinds, 1, sharex=True, figsize=size, layout="constrained")[1]
        axes = np.asarray(ax, dtype=object).ravel()
        if len(axes) != n_kinds:
            raise ValueError(f"There are {len(axes)} axes for {n_kinds} kinds. Give as many, or ax=None.")
        return axes


def check_kinds(kind: str | Sequence[str]) -> list[str]:
    """Return the kinds as a list.

    Raises
    ------
    ValueError
        If one is unknown or given twice, or there is none.
    """
    kinds = [kind] if isinstance(kind, str) else list(kind)
    if not kinds or set(kinds) - set(KINDS) or len(set(kinds)) < len(kinds):
        allowed = ", ".join(map(repr, KINDS))
        raise ValueError(f"kind={kind!r} should be one of {allowed}, or a list of some of them, each once.")
    return kinds


def curve_of(model: Any, kind: str, name: str | None) -> np.ndarray:
    """Return a curve of a fitted estimator.

    Raises
    ------
    ValueError
        If it has none, or no value in it.
    """
    curve = np.asarray(getattr(model, KINDS[kind], None) or [], dtype=np.float64)
    if not np.isfinite(curve).any():
        who = type(model).__name__ if name is None else repr(name)
        raise ValueError(f"{who} has nothing in {KINDS[kind]} for kind={kind!r}. {ADVICE[kind]}.")
    return curve


def label_of(model: Any, kind: str) -> str:
    """Return what the numbers of a curve are, and in a second line their unit."""
    loss = getattr(model, "loss", "squared_error")
    if kind == "validation":
        return f"Validation score\n({'D²' if loss == 'quantile' else 'R²'})"
    if kind == "gap":
        return f"Gap to the optimum\n(estimated, {'in R²' if loss == 'squared_error' else 'relative'})"
    penalty = "\n+ penalty" if getattr(model, "alpha", 0.0) and getattr(model, "penalty", "l2") else ""
    return f"Training objective\n({LOSSES.get(loss, loss)}{penalty})"


def common_label(labels: Sequence[str]) -> str:
    """Return the label of curves on the same axes: without a unit where they differ."""
    return labels[-1] if len(set(labels)) == 1 else labels[-1].partition("\n")[0]


def draw(ax: Axes, curve: Any, name: str | None, given: Mapping[str, Any] | None) -> Line2D:
    """Draw a curve against the passes, counted from 1, with a marker where it has only one value."""
    from matplotlib.lines import Line2D

    drawn = np.flatnonzero(np.isfinite(curve))
    style = line_style(len(ax.get_lines())) | {"markevery": drawn[:: max(1, len(drawn) // MARKED)].tolist()}
    style |= {} if name is None else {"label": name}
    (line,) = ax.plot(np.arange(1, len(curve) + 1), curve, **merged(Line2D, style, given))
    return line


def scale_passes(ax: Axes) -> None:
    """Let the x axis begin at pass 1, with integers at the ticks."""
    from matplotlib.ticker import MaxNLocator

    last = max(float(np.max(line.get_xdata())) for line in ax.get_lines())
    ax.set_xlim(max(0.1, 1.0 - 0.04 * last), 1.04 * last)
    ax.xaxis.set_major_locator(MaxNLocator(nbins=TICKS, integer=True, min_n_ticks=1, steps=[1, 2, 5, 10]))


def scale_gaps(ax: Axes) -> None:
    """Set a logarithmic scale, which has a 0 below the smallest decade if some gap is 0."""
    from matplotlib.ticker import SymmetricalLogLocator

    gaps = np.concatenate([np.asarray(line.get_ydata(), dtype=np.float64) for line in ax.get_lines()])
    positive = gaps[gaps > 0.0]
    if not len(positive):
        ax.set_yscale("linear")
    elif np.any(gaps == 0.0):
        threshold = 10.0 ** np.floor(np.log10(positive.min()))
        decades = np.log10(positive.max() / threshold)
        ax.set_yscale("symlog", linthresh=threshold, linscale=max(1.0, 0.2 * decades))
        ax.set_ylim(-0.4 * threshold, 3.0 * positive.max())
        locator = SymmetricalLogLocator(base=10.0, linthresh=threshold)
        locator.set_params(numticks=6)
        ax.yaxis.set_major_locator(locator)
    else:
        ax.set_yscale("log")
