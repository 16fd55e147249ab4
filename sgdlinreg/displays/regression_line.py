"""Data of one or two features and the model through them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Integral
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_consistent_length

from sgdlinreg._edge.conversion import to_floats
from sgdlinreg._edge.namespaces import to_numpy
from sgdlinreg.displays.models import check_confidence_level, of_target, percent, split_pipeline
from sgdlinreg.displays.style import COLORS, draw_legend, label_axis, merged, pyplot

if TYPE_CHECKING:
    from matplotlib.axes import Axes

INTERVALS = {"prediction": ("new values", 0.15), "mean": ("the mean", 0.35)}
"""Kinds of intervals, the wider one first: what they are for in the legend, and the opacity of their bands."""
POINTS_OF_LINE, POINTS_OF_PLANE = 200, 20
"""Points along each feature at which the model is drawn. A line needs two, but the bands and pipelines are curved."""


class RegressionLineDisplay:
    """Visualization of a regression on one feature as a line, or on two features as a plane.

    It is recommended to use :meth:`from_estimator` to create a display. All parameters are stored as attributes.

    Parameters
    ----------
    X : ndarray of shape (n_samples, 1) or (n_samples, 2)
        Rows that are drawn as points.
    y : ndarray of shape (n_samples,)
        Target values of the points.
    X_line : ndarray of shape (n_points, 1) or (n_points**2, 2)
        Points at which the model is drawn. For two features they are a grid, in which the second feature varies
        fastest.
    y_line : ndarray of shape (n_points,) or (n_points**2,)
        Predictions at `X_line`.
    intervals : dict of str to (ndarray of shape (n_points,), ndarray of shape (n_points,)), default=None
        Lower and upper bounds at `X_line` by kind, "prediction" or "mean". For one feature only.
    confidence_level : float, default=0.95
        Confidence level of the intervals.
    feature_names : list of str, default=None
        Names of the features. None is "x0" and "x1".
    target_name : str, default="y"
        Name of the target.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes with the points and the model. They are three-dimensional for two features.
    figure_ : matplotlib Figure
        Figure with the axes.
    scatter_ : matplotlib Artist
        Points of the data.
    line_ : matplotlib Artist or None
        Line of the model, None for two features.
    surface_ : matplotlib Artist or None
        Plane of the model, None for one feature.
    bands_ : dict of str to matplotlib Artist
        Intervals by kind.

    See Also
    --------
    sklearn.metrics.PredictionErrorDisplay : Plot residuals, or actual against predicted values.
    sklearn.inspection.PartialDependenceDisplay : Plot how predictions depend on one or two of many features.

    Examples
    --------
    >>> from sgdlinreg import MiniBatchSGDRegressor
    >>> from sgdlinreg.datasets import make_linear
    >>> from sgdlinreg.displays import RegressionLineDisplay
    >>> X, y = make_linear(n_samples=100, coef=[2.0], noise=1.0, random_state=0)
    >>> model = MiniBatchSGDRegressor().fit(X, y)
    >>> display = RegressionLineDisplay.from_estimator(model, X, y)
    """

    ax_: Any
    figure_: Any
    scatter_: Any
    line_: Any
    surface_: Any
    bands_: dict[str, Any]

    def __init__(
        self,
        *,
        X: np.ndarray,
        y: np.ndarray,
        X_line: np.ndarray,
        y_line: np.ndarray,
        intervals: Mapping[str, tuple[np.ndarray, np.ndarray]] | None = None,
        confidence_level: float = 0.95,
        feature_names: Sequence[str] | None = None,
        target_name: str = "y",
    ) -> None:
        self.X = X
        self.y = y
        self.X_line = X_line
        self.y_line = y_line
        self.intervals = intervals
        self.confidence_level = confidence_level
        self.feature_names = feature_names
        self.target_name = target_name

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        y: Any,
        *,
        target: int | None = None,
        intervals: Sequence[str] = ("prediction", "mean"),
        confidence_level: float = 0.95,
        subsample: float | None = 1_000,
        random_state: Any = None,
        ax: Any = None,
        scatter_kwargs: Mapping[str, Any] | None = None,
        line_kwargs: Mapping[str, Any] | None = None,
        band_kwargs: Mapping[str, Any] | None = None,
        surface_kwargs: Mapping[str, Any] | None = None,
    ) -> RegressionLineDisplay:
        """Plot data and the model that is fitted to them.

        Parameters
        ----------
        estimator : estimator instance
            Fitted :class:`~sgdlinreg.MiniBatchSGDRegressor`, or fitted pipeline that ends with one. With polynomial
            features in the pipeline, the line is a curve. Other regressors are drawn without intervals.
        X : {array-like, sparse matrix} of shape (n_samples, 1) or (n_samples, 2)
            Rows to draw.
        y : array-like of shape (n_samples,) or (n_samples, n_targets)
            Target values.
        target : int, default=None
            Index of the target if y has several.
        intervals : tuple of {"prediction", "mean"}, default=("prediction", "mean")
            Intervals around the line. "mean" is the interval of the mean of y, and "prediction" that of a new
            observation of weight 1. They are drawn for one feature, if the fit has standard errors. An empty tuple
            draws none.
        confidence_level : float, default=0.95
            Confidence level of the intervals, in (0, 1).
        subsample : float, int or None, default=1_000
            Rows that are drawn as points, chosen at random. A float in (0, 1) is a fraction of the rows, an int their
            maximum number, and None draws all rows. The model is drawn over the range of all rows.
        random_state : int, RandomState instance or None, default=None
            Seed of the random choice.
        ax : matplotlib Axes, default=None
            Axes to plot on. For two features they must be three-dimensional, and their view is not changed. None
            creates a new figure. A plane is then seen from a side where it does not look like an edge.
        scatter_kwargs : dict, default=None
            Keyword arguments of matplotlib's `scatter`, for the points.
        line_kwargs : dict, default=None
            Keyword arguments of matplotlib's `plot`, for the line.
        band_kwargs : dict, default=None
            Keyword arguments of matplotlib's `fill_between`, for the intervals.
        surface_kwargs : dict, default=None
            Keyword arguments of matplotlib's `plot_surface`, for the plane.

        Returns
        -------
        display : RegressionLineDisplay
            Object that stores the predictions and the plot.

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        ValueError
            If X has more than two features, or an argument is invalid.
        ImportError
            If matplotlib is not installed.
        """
        _, model = split_pipeline(estimator)
        check_intervals(intervals, confidence_level)
        rows, targets = to_floats(to_numpy(X), "X", accept_sparse=True), to_floats(to_numpy(y), "y")
        check_columns(rows)
        check_consistent_length(rows, targets)
        of_y = of_target(targets, target)
        names = column_names(X, estimator, rows.shape[1])
        X_line, asked = grid_over(rows, X, names)
        y_line = of_target(to_numpy(estimator.predict(asked)), target)
        kinds = [kind for kind in INTERVALS if kind in intervals]
        has_intervals = rows.shape[1] == 1 and hasattr(model, "predict_interval") and hasattr(model, "residual_std_")
        bands = interval_ends(estimator, asked, kinds, confidence_level, target) if has_intervals else None
        shown = chosen_rows(rows.shape[0], subsample, random_state)
        return cls(
            X=rows[shown].toarray() if hasattr(rows, "toarray") else rows[shown],
            y=of_y[shown],
            X_line=X_line,
            y_line=y_line,
            intervals=bands,
            confidence_level=confidence_level,
            feature_names=list(map(str, names)),
            target_name=target_name(y, targets, target),
        ).plot(
            ax,
            scatter_kwargs=scatter_kwargs,
            line_kwargs=line_kwargs,
            band_kwargs=band_kwargs,
            surface_kwargs=surface_kwargs,
        )

    def plot(
        self,
        ax: Any = None,
        *,
        scatter_kwargs: Mapping[str, Any] | None = None,
        line_kwargs: Mapping[str, Any] | None = None,
        band_kwargs: Mapping[str, Any] | None = None,
        surface_kwargs: Mapping[str, Any] | None = None,
    ) -> RegressionLineDisplay:
        """Plot the points, the model and its intervals.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to plot on. For two features they must be three-dimensional, and their view is not changed. None
            creates a new figure. A plane is then seen from a side where it does not look like an edge.
        scatter_kwargs : dict, default=None
            Keyword arguments of matplotlib's `scatter`, for the points.
        line_kwargs : dict, default=None
            Keyword arguments of matplotlib's `plot`, for the line.
        band_kwargs : dict, default=None
            Keyword arguments of matplotlib's `fill_between`, for the intervals.
        surface_kwargs : dict, default=None
            Keyword arguments of matplotlib's `plot_surface`, for the plane.

        Returns
        -------
        display : RegressionLineDisplay
            Object that stores the predictions and the plot.

        Raises
        ------
        ValueError
            If `ax` is three-dimensional for one feature, or not for two.
        ImportError
            If matplotlib is not installed.
        """
        plt = pyplot(self)
        self.ax_ = self._axes(plt, ax)
        self.figure_ = self.ax_.figure
        names = ["x0", "x1"][: self.X.shape[1]] if self.feature_names is None else self.feature_names
        self.line_ = self.surface_ = None
        self.bands_ = {}
        if self.X.shape[1] == 1:
            self._draw_line(line_kwargs, band_kwargs)
        else:
            self._draw_plane(surface_kwargs)
            if ax is None:
                self.ax_.view_init(azim=azimuth(self.y_line))
        self.scatter_ = draw_points(self.ax_, [*self.X.T, self.y], scatter_kwargs)
        for letter, label in zip("xyz", [*names, self.target_name], strict=False):
            label_axis(getattr(self.ax_, f"{letter}axis"), label)
        draw_legend(self.ax_)
        return self

    def _axes(self, plt: Any, ax: Any) -> Any:
        projection = "3d" if self.X.shape[1] == 2 else None
        if ax is None:
            return plt.subplots(subplot_kw={"projection": projection}, layout="constrained")[1]
        if (ax.name == "3d") != (projection == "3d"):
            raise ValueError(
                f"{self.X.shape[1]} feature(s) are drawn in {'3-D' if projection else '2-D'} axes, but ax is of "
                f"projection {ax.name!r}. Give plt.figure().add_subplot(projection={projection!r}), or ax=None."
            )
        return ax

    def _draw_line(self, line_kwargs: Mapping[str, Any] | None, band_kwargs: Mapping[str, Any] | None) -> None:
        from matplotlib.collections import PolyCollection
        from matplotlib.lines import Line2D

        x = self.X_line[:, 0]
        for kind, (lower, upper) in (self.intervals or {}).items():
            what, alpha = INTERVALS[kind]
            label = f"{percent(self.confidence_level)} for {what}"
            look = {"color": COLORS[0], "alpha": alpha, "linewidth": 0, "label": label, "zorder": 1}
            self.bands_[kind] = self.ax_.fill_between(x, lower, upper, **merged(PolyCollection, look, band_kwargs))
        look = {"color": COLORS[0], "linewidth": 2, "label": "Fit", "zorder": 3}
        (self.line_,) = self.ax_.plot(x, self.y_line, **merged(Line2D, look, line_kwargs))

    def _draw_plane(self, given: Mapping[str, Any] | None) -> None:
        from matplotlib.collections import PolyCollection

        n = int(np.sqrt(len(self.y_line)))
        grids = [values.reshape(n, n) for values in (*self.X_line.T, self.y_line)]
        look = {"color": COLORS[5], "alpha": 0.4, "edgecolor": COLORS[0], "linewidth": 0.3, "shade": False}
        look |= {"label": "Fit", "zorder": 1}
        self.surface_ = self.ax_.plot_surface(*grids, **merged(PolyCollection, look, given))
        self.ax_.tick_params(labelsize="small")
        self.ax_.locator_params(nbins=5)
        self.ax_.set_box_aspect(None, zoom=0.8)  # layouts leave no room for labels of 3-D axes
        self.ax_.computed_zorder = False  # points stand above the plane: all are to be seen


def azimuth(y_line: np.ndarray) -> float:
    """Return from which of four sides, in degrees, to look at a plane: one from where it is neither edge nor wall."""
    n = int(np.sqrt(len(y_line)))
    corners = y_line.reshape(n, n)[:: n - 1, :: n - 1]
    slope = corners[1].sum() - corners[0].sum(), corners[:, 1].sum() - corners[:, 0].sum()
    sides = np.array([-60.0, 30.0, 120.0, 210.0])
    heights = slope[0] * np.cos(np.deg2rad(sides)) + slope[1] * np.sin(np.deg2rad(sides))
    return float(sides[np.argmax(np.where(heights <= 0.0, heights, -np.inf))])


def draw_points(ax: Axes, coordinates: Sequence[np.ndarray], given: Mapping[str, Any] | None) -> Any:
    """Draw the data; many points are smaller."""
    from matplotlib.collections import PathCollection

    size = 14 if len(coordinates[0]) <= 300 else 7
    look: dict[str, Any] = {"s": size, "color": "0.35", "alpha": 0.6, "linewidth": 0, "label": "Data", "zorder": 2}
    look = merged(PathCollection, look, given)
    if "c" in look:
        del look["color"]
    return ax.scatter(*coordinates, **look)


def check_intervals(intervals: Sequence[str], confidence_level: float) -> None:
    """Raise a ValueError if a kind of interval is unknown, or a confidence level is not in (0, 1)."""
    if isinstance(intervals, str) or set(intervals) - set(INTERVALS):
        raise ValueError(f"intervals={intervals!r} should be a tuple of 'prediction', 'mean' or both, or empty.")
    check_confidence_level(confidence_level)


def check_columns(X: Any) -> None:
    """Raise a ValueError if X has no rows, or not one or two columns."""
    if X.ndim != 2 or X.shape[1] not in (1, 2) or not X.shape[0]:
        raise ValueError(
            f"X has shape {X.shape}: a line is drawn for one feature, a plane for two, of at least one row. For more "
            "features use sklearn.inspection.PartialDependenceDisplay or sklearn.metrics.PredictionErrorDisplay."
        )


def column_names(X: Any, estimator: Any, n_features: int) -> list[Any]:
    """Return the labels of the columns of a data frame, the names that the estimator knows, or "x0" and "x1"."""
    default = getattr(estimator, "feature_names_in_", [f"x{i}" for i in range(n_features)])
    return list(X.columns) if is_frame(X) else list(default)


def is_frame(X: Any) -> bool:
    """Return whether X is a data frame as pandas and polars have them."""
    return hasattr(X, "columns") and hasattr(X, "to_numpy")


def grid_over(rows: Any, X: Any, names: Sequence[Any]) -> tuple[np.ndarray, Any]:
    """Return points over the range of the columns, as an array and as the type of data frame that X is."""
    n = (POINTS_OF_LINE, POINTS_OF_PLANE)[rows.shape[1] - 1]
    columns = [rows[:, [i]] for i in range(rows.shape[1])]
    axes = [np.linspace(float(column.min()), float(column.max()), n) for column in columns]
    grid = np.column_stack([values.ravel() for values in np.meshgrid(*axes, indexing="ij")])
    return grid, type(X)(dict(zip(names, grid.T, strict=True))) if is_frame(X) else grid


def interval_ends(
    estimator: Any, X: Any, kinds: Sequence[str], confidence_level: float, target: int | None
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return lower and upper ends of the intervals of one target by kind."""
    transformers, model = split_pipeline(estimator)
    X = X if transformers is None else transformers.transform(X)
    ends = {kind: model.predict_interval(X, confidence_level=confidence_level, kind=kind) for kind in kinds}
    return {kind: (of_target(lower, target), of_target(upper, target)) for kind, (lower, upper) in ends.items()}


def chosen_rows(n_rows: int, subsample: float | None, random_state: Any) -> Any:
    """Return the rows that are drawn: all, or so many of them at random.

    Raises
    ------
    ValueError
        If subsample is neither an int of at least 1 nor a float between 0 and 1.
    """
    if subsample is None:
        return slice(None)
    if not (subsample >= 1 if isinstance(subsample, Integral) else 0.0 < subsample < 1.0):
        raise ValueError(f"subsample={subsample} should be an int of at least 1, a float between 0 and 1, or None.")
    size = int(subsample) if isinstance(subsample, Integral) else max(1, int(n_rows * subsample))
    if size >= n_rows:
        return slice(None)
    return np.sort(check_random_state(random_state).choice(n_rows, size=size, replace=False))


def target_name(y: Any, targets: np.ndarray, target: int | None) -> str:
    """Return the label of a column of y, or "y" with the number of the target if there are several."""
    if is_frame(y):
        return str(y.columns[target or 0])
    name = getattr(y, "name", None)
    if name is not None:
        return str(name)
    return "y" if targets.ndim == 1 or targets.shape[1] == 1 else f"y, target {target}"
