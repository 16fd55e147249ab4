"""What the displays draw, against the estimator's attributes and intervals by the textbooks' formulas."""

import io
import itertools
import sys

import numpy as np
import pytest
from scipy import sparse, stats
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures, StandardScaler

from sgdlinreg import MiniBatchSGDRegressor

from .helpers import make_problem

pytest.importorskip("matplotlib")

from matplotlib import pyplot as plt
from matplotlib.text import Text
from mpl_toolkits.mplot3d import Axes3D

from sgdlinreg.displays import CoefficientDisplay, LossCurveDisplay, RegressionLineDisplay
from sgdlinreg.displays.loss_curve import LOSSES

ALL = ["loss", "validation", "gap"]


@pytest.fixture(autouse=True)
def _close_figures():
    assert not plt.get_fignums()
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def by_steps():
    """A fit that has every curve."""
    X, y, _ = make_problem(0, n_rows=2000)
    model = MiniBatchSGDRegressor(solver="numba", random_state=0)
    return model.fit(X[:1500], y[:1500], X_val=X[1500:], y_val=y[1500:])


@pytest.fixture(scope="module")
def closed():
    X, y, _ = make_problem(0, n_rows=200)
    return MiniBatchSGDRegressor().fit(X, y)


def one_feature(n_rows=40, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.uniform(-1.0, 3.0, n_rows)
    return x[:, None], 1.0 - 2.0 * x + rng.standard_normal(n_rows)


def labels_of(ax):
    return [] if ax.get_legend() is None else [text.get_text() for text in ax.get_legend().get_texts()]


# ---- loss curves


def test_curves_are_those_of_the_estimator(by_steps):
    display = LossCurveDisplay.from_estimator(by_steps, kind=ALL)
    assert display.lines_.shape == (3, 1)
    curves = by_steps.loss_curve_, by_steps.validation_scores_, by_steps.optimality_gap_curve_
    for line, curve, ax in zip(display.lines_[:, 0], curves, display.axes_, strict=True):
        np.testing.assert_array_equal(line.get_xdata(), np.arange(1, by_steps.n_iter_ + 1))
        np.testing.assert_array_equal(line.get_ydata(), curve)
        assert line.axes is ax
        assert ax.get_ylabel()
        assert ax.get_legend() is None
    assert display.ax_ is display.axes_[0]
    assert display.figure_ is display.ax_.figure
    assert np.isnan(by_steps.optimality_gap_curve_[0])
    assert [ax.get_yscale() for ax in display.axes_] == ["linear", "linear", "log"]
    assert display.axes_[-1].get_xlabel() == "Pass over the data"


def test_ticks_are_passes_from_1(by_steps, closed):
    for model in (by_steps, closed):
        ax = LossCurveDisplay.from_estimator(model).ax_
        low, high = ax.get_xlim()
        shown = [tick for tick in ax.get_xticks() if low <= tick <= high]
        assert shown
        assert set(shown) <= set(range(1, model.n_iter_ + 1))


@pytest.mark.parametrize("kind", ["loss", "gap"])
def test_a_single_pass_is_a_marker(closed, kind):
    line = LossCurveDisplay.from_estimator(closed, kind=kind).lines_[0, 0]
    assert list(line.get_xdata()) == [1]
    assert line.get_marker() not in ("", "None", None)
    assert line.get_markevery() == [0]


def test_a_gap_of_0_stands_below_the_smallest_decade(by_steps, closed):
    ax = LossCurveDisplay.from_estimators({"steps": by_steps, "closed": closed}, kind="gap").ax_
    assert closed.optimality_gap_curve_ == [0.0]
    assert ax.get_yscale() == "symlog"
    positive = np.array(by_steps.optimality_gap_curve_)
    threshold = ax.yaxis.get_transform().linthresh
    assert threshold <= np.nanmin(positive) < 10.0 * threshold
    assert LossCurveDisplay.from_estimator(closed, kind="gap").ax_.get_yscale() == "linear"


def test_several_estimators_are_told_apart(by_steps):
    names = [f"model {i}" for i in range(9)]
    display = LossCurveDisplay.from_estimators(dict.fromkeys(names, by_steps), kind=["loss", "gap"])
    assert display.lines_.shape == (2, 9)
    assert labels_of(display.ax_) == names
    assert display.axes_[1].get_legend() is None
    looks = [(line.get_color(), line.get_linestyle()) for line in display.lines_[0]]
    assert len(set(looks)) == 9
    assert len({line.get_marker() for line in display.lines_[0]}) == 7


def test_an_estimator_joins_the_axes_of_another(by_steps, closed):
    first = LossCurveDisplay.from_estimator(by_steps, name="steps")
    second = LossCurveDisplay.from_estimator(closed, ax=first.ax_, name="closed")
    assert second.ax_ is first.ax_
    assert len(plt.get_fignums()) == 1
    assert list(first.ax_.get_lines()) == [first.lines_[0, 0], second.lines_[0, 0]]
    assert labels_of(first.ax_) == ["steps", "closed"]
    assert first.lines_[0, 0].get_color() != second.lines_[0, 0].get_color()
    assert first.ax_.get_xlim()[1] > by_steps.n_iter_


def test_axes_that_are_given_are_drawn_on(by_steps):
    figure, axes = plt.subplots(3, 1)
    display = LossCurveDisplay.from_estimator(by_steps, kind=ALL, ax=axes)
    assert display.figure_ is figure
    assert list(display.axes_) == list(axes)
    assert len(plt.get_fignums()) == 1
    with pytest.raises(ValueError, match="There are 3 axes for 1 kinds"):
        LossCurveDisplay.from_estimator(by_steps, ax=axes)


def test_a_display_may_be_made_from_numbers():
    display = LossCurveDisplay(curves={"loss": [[3.0, 2.0], [1.0]]}).plot()
    assert [len(line.get_xdata()) for line in display.lines_[0]] == [2, 1]
    assert display.ax_.get_ylabel() == "loss"


def test_line_kwargs_override(by_steps):
    models = {"a": by_steps, "b": by_steps}
    both = LossCurveDisplay.from_estimators(models, line_kwargs={"lw": 5, "c": "red"}).lines_[0]
    assert {(line.get_linewidth(), line.get_color()) for line in both} == {(5.0, "red")}
    each = LossCurveDisplay.from_estimators(models, line_kwargs=[{"ls": ":"}, {"label": "other"}])
    assert each.lines_[0, 0].get_linestyle() == ":"
    assert labels_of(each.ax_) == ["a", "other"]
    with pytest.raises(ValueError, match="1 dicts for 2 estimators"):
        LossCurveDisplay.from_estimators(models, line_kwargs=[{}])


def test_labels_say_what_is_minimised_and_scored():
    X, y, _ = make_problem(0)
    penalised = MiniBatchSGDRegressor(alpha=0.1).fit(X, y)
    assert LossCurveDisplay.from_estimator(penalised).ax_.get_ylabel() == (
        "Training objective\n(squared error / 2\n+ penalty)"
    )
    quantile = MiniBatchSGDRegressor(loss="quantile", random_state=0).fit(X, y, X_val=X, y_val=y)
    display = LossCurveDisplay.from_estimator(quantile, kind=ALL)
    assert [ax.get_ylabel() for ax in display.axes_] == [
        "Training objective\n(pinball loss)",
        "Validation score\n(D²)",
        "Gap to the optimum\n(estimated, relative)",
    ]
    LossCurveDisplay.from_estimator(penalised, ax=display.ax_)
    assert display.ax_.get_ylabel() == "Training objective"
    assert set(LOSSES) == set(MiniBatchSGDRegressor._parameter_constraints["loss"][0].options)


def test_a_pipeline_shows_its_last_step(by_steps, closed):
    X, y, _ = make_problem(0, n_rows=200)
    pipeline = make_pipeline(StandardScaler(), MiniBatchSGDRegressor(solver="numba", random_state=0)).fit(X, y)
    line = LossCurveDisplay.from_estimator(pipeline).lines_[0, 0]
    np.testing.assert_array_equal(line.get_ydata(), pipeline[-1].loss_curve_)


@pytest.mark.parametrize("kind", ["losses", [], ["loss", "loss"], ["gap", "score"]])
def test_kinds_that_do_not_exist(by_steps, kind):
    with pytest.raises(ValueError, match="should be one of 'loss', 'validation', 'gap', or a list"):
        LossCurveDisplay.from_estimator(by_steps, kind=kind)


def test_curves_that_do_not_exist(closed):
    with pytest.raises(ValueError, match=r"'mine' has nothing in validation_scores_.*Fit with X_val"):
        LossCurveDisplay.from_estimators({"mine": closed}, kind="validation")
    X, y, _ = make_problem(0)
    steps = MiniBatchSGDRegressor(eta0=1e-2, tol=None, max_iter=9, random_state=0).fit(X, y)
    with pytest.raises(ValueError, match=r"MiniBatchSGDRegressor has nothing in optimality_gap_curve_.*Steps alone"):
        LossCurveDisplay.from_estimator(steps, kind="gap")
    with pytest.raises(ValueError, match="LinearRegression has nothing in loss_curve_"):
        LossCurveDisplay.from_estimator(LinearRegression().fit(X, y))
    with pytest.raises(ValueError, match="estimators is empty"):
        LossCurveDisplay.from_estimators({})
    assert not plt.get_fignums()


# ---- regression lines


def textbook_interval(design, y, at, kind, level=0.95):
    """Student's interval at rows of a design with its column of ones."""
    coef, squares, *_ = np.linalg.lstsq(design, y, rcond=None)
    df = design.shape[0] - design.shape[1]
    factor = np.einsum("ij,jk,ik->i", at, np.linalg.inv(design.T @ design), at) + (kind == "prediction")
    half = stats.t.ppf(0.5 + level / 2.0, df) * np.sqrt(squares[0] / df * factor)
    return at @ coef - half, at @ coef + half


def with_ones(X):
    return np.column_stack([np.ones(len(X)), X])


def check_band(band, x, ends, rtol=1e-9):
    """The band reaches from the lower to the upper end everywhere."""
    points = band.get_paths()[0].vertices
    for at, low, high in zip(x, *ends, strict=True):
        here = points[np.isclose(points[:, 0], at, atol=1e-9), 1]
        np.testing.assert_allclose([here.min(), here.max()], [low, high], rtol=rtol)


def test_data_and_line():
    X, y = one_feature()
    display = RegressionLineDisplay.from_estimator(MiniBatchSGDRegressor().fit(X, y), X, y)
    np.testing.assert_array_equal(display.scatter_.get_offsets(), np.column_stack([X, y]))
    line = stats.linregress(X[:, 0], y)
    x, drawn = display.line_.get_data()
    assert (x[0], x[-1]) == (X.min(), X.max())
    np.testing.assert_allclose(drawn, line.intercept + line.slope * x, rtol=1e-9)
    assert display.surface_ is None
    assert (display.ax_.get_xlabel(), display.ax_.get_ylabel()) == ("x0", "y")


@pytest.mark.parametrize("level", [0.95, 0.5])
def test_intervals_are_those_of_the_textbooks(level):
    X, y = one_feature()
    display = RegressionLineDisplay.from_estimator(MiniBatchSGDRegressor().fit(X, y), X, y, confidence_level=level)
    assert list(display.bands_) == ["prediction", "mean"]
    x = display.line_.get_xdata()
    for kind, band in display.bands_.items():
        ends = textbook_interval(with_ones(X), y, with_ones(x), kind, level)
        np.testing.assert_allclose(display.intervals[kind], ends, rtol=1e-9)
        check_band(band, x, ends)
    assert labels_of(display.ax_) == [f"{level:.0%} for new values", f"{level:.0%} for the mean", "Fit", "Data"]


def test_a_pipeline_is_a_curve_with_its_intervals():
    X, y = one_feature()
    model = make_pipeline(PolynomialFeatures(3, include_bias=False), MiniBatchSGDRegressor()).fit(X, y)
    display = RegressionLineDisplay.from_estimator(model, X, y, intervals=["mean"])
    assert list(display.bands_) == ["mean"]
    designs = [np.vander(values, 4, increasing=True) for values in (X[:, 0], display.line_.get_xdata())]
    np.testing.assert_allclose(
        display.intervals["mean"], textbook_interval(designs[0], y, designs[1], "mean"), rtol=1e-8
    )


@pytest.mark.parametrize(
    "model",
    [MiniBatchSGDRegressor(alpha=0.1), MiniBatchSGDRegressor(solver="numba", random_state=0), LinearRegression()],
)
def test_fits_without_standard_errors_are_a_line_alone(model):
    X, y = one_feature()
    display = RegressionLineDisplay.from_estimator(model.fit(X, y), X, y)
    assert display.bands_ == {}
    assert labels_of(display.ax_) == ["Fit", "Data"]
    np.testing.assert_array_equal(display.line_.get_ydata(), model.predict(display.X_line))


def test_two_features_are_a_plane(monkeypatch):
    surfaces = []
    real = Axes3D.plot_surface
    monkeypatch.setattr(
        Axes3D, "plot_surface", lambda self, *grids, **kwargs: surfaces.append(grids) or real(self, *grids, **kwargs)
    )
    X, y, _ = make_problem(0, n_features=2)
    model = MiniBatchSGDRegressor().fit(X, y)
    display = RegressionLineDisplay.from_estimator(model, X, y)
    assert display.ax_.name == "3d"
    assert display.line_ is None
    assert display.bands_ == {}
    np.testing.assert_array_equal(np.column_stack(display.scatter_._offsets3d), np.column_stack([X, y]))
    corners = np.array(list(itertools.product(*np.column_stack([X.min(axis=0), X.max(axis=0)]))))
    (grids,) = surfaces
    drawn = np.column_stack([grid[[0, 0, -1, -1], [0, -1, 0, -1]] for grid in grids])
    np.testing.assert_allclose(drawn, np.column_stack([corners, corners @ model.coef_ + model.intercept_]), rtol=1e-9)
    inside = np.column_stack([grid.ravel() for grid in grids])
    np.testing.assert_allclose(inside[:, :2] @ model.coef_ + model.intercept_, inside[:, 2], rtol=1e-9)
    assert [getattr(display.ax_, f"get_{axis}label")() for axis in "xyz"] == ["x0", "x1", "y"]


@pytest.mark.parametrize("sign", [-1.0, 1.0])
@pytest.mark.parametrize("number", [0, 1])
def test_a_plane_is_not_seen_from_above_its_upper_edge(number, sign):
    rng = np.random.default_rng(0)
    X = rng.uniform(-1.0, 1.0, (50, 2))
    y = sign * X[:, number] + 1e-3 * rng.standard_normal(50)
    ax = RegressionLineDisplay.from_estimator(MiniBatchSGDRegressor().fit(X, y), X, y).ax_
    towards = np.deg2rad(ax.azim)
    assert sign * (np.cos(towards), np.sin(towards))[number] <= 0.0


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_data_frames_give_the_labels(library):
    frames = pytest.importorskip(library)
    X, y = one_feature()
    frame, series = frames.DataFrame({"speed, $ per _": X[:, 0]}), frames.DataFrame({"cost": y})["cost"]
    display = RegressionLineDisplay.from_estimator(MiniBatchSGDRegressor().fit(frame, series), frame, series)
    assert (display.ax_.get_xlabel(), display.ax_.get_ylabel()) == ("speed, $ per _", "cost")
    np.testing.assert_array_equal(display.scatter_.get_offsets(), np.column_stack([X, y]))
    display.figure_.savefig(io.BytesIO())
    two = frames.DataFrame({"cost": y, "gain": -y})
    display = RegressionLineDisplay.from_estimator(MiniBatchSGDRegressor().fit(frame, two), frame, two, target=1)
    assert display.ax_.get_ylabel() == "gain"


def test_one_of_several_targets():
    X, y = one_feature()
    Y = np.column_stack([y, 5.0 - 3.0 * y])
    model = MiniBatchSGDRegressor().fit(X, Y)
    display = RegressionLineDisplay.from_estimator(model, X, Y, target=1)
    np.testing.assert_array_equal(display.scatter_.get_offsets()[:, 1], Y[:, 1])
    line = stats.linregress(X[:, 0], Y[:, 1])
    np.testing.assert_allclose(display.line_.get_ydata(), line.intercept + line.slope * display.line_.get_xdata())
    ends = textbook_interval(with_ones(X), Y[:, 1], with_ones(display.line_.get_xdata()), "mean")
    np.testing.assert_allclose(display.intervals["mean"], ends, rtol=1e-9)
    assert display.ax_.get_ylabel() == "y, target 1"
    with pytest.raises(ValueError, match=r"There are 2 targets\. Choose one by target=0 to target=1"):
        RegressionLineDisplay.from_estimator(model, X, Y)
    with pytest.raises(ValueError, match="target=2 should be between 0 and 1"):
        RegressionLineDisplay.from_estimator(model, X, Y, target=2)


def test_sparse_rows():
    X, y = one_feature()
    display = RegressionLineDisplay.from_estimator(MiniBatchSGDRegressor().fit(X, y), sparse.csr_array(X), y)
    np.testing.assert_array_equal(display.scatter_.get_offsets(), np.column_stack([X, y]))


@pytest.mark.parametrize(("subsample", "n_points"), [(1000, 1000), (0.01, 50), (None, 5000), (10_000, 5000)])
def test_points_are_a_sample_of_the_rows(subsample, n_points):
    X, y = one_feature(5000)
    model = MiniBatchSGDRegressor().fit(X, y)
    first, second = (
        RegressionLineDisplay.from_estimator(model, X, y, subsample=subsample, random_state=3) for _ in range(2)
    )
    points = first.scatter_.get_offsets()
    np.testing.assert_array_equal(points, second.scatter_.get_offsets())
    assert points.shape == (n_points, 2)
    assert len(set(map(tuple, points)) & set(zip(X[:, 0], y, strict=True))) == n_points
    assert first.line_.get_xdata()[-1] == X.max()


def test_axes_and_kwargs_of_a_line():
    X, y = one_feature()
    model = MiniBatchSGDRegressor().fit(X, y)
    _, ax = plt.subplots()
    display = RegressionLineDisplay.from_estimator(
        model, X, y, ax=ax, scatter_kwargs={"c": "green", "s": 3}, line_kwargs={"lw": 7}, band_kwargs={"color": "red"}
    )
    assert display.ax_ is ax
    assert len(plt.get_fignums()) == 1
    assert display.line_.get_linewidth() == 7.0
    assert list(display.scatter_.get_sizes()) == [3.0]
    np.testing.assert_allclose(display.scatter_.get_facecolor()[0, :3], (0.0, 128 / 255, 0.0))
    for band in display.bands_.values():
        np.testing.assert_allclose(band.get_facecolor()[0, :3], (1.0, 0.0, 0.0))
    again = display.plot(scatter_kwargs={"marker": "x", "linewidth": 1})
    assert again is display
    assert display.ax_ is not ax


def test_what_no_line_can_be_drawn_for():
    X, y, _ = make_problem(0, n_features=3)
    model = MiniBatchSGDRegressor().fit(X, y)
    with pytest.raises(ValueError, match=r"X has shape \(301, 3\): a line is drawn for one feature, a plane for two"):
        RegressionLineDisplay.from_estimator(model, X, y)
    X, y = one_feature()
    model = MiniBatchSGDRegressor().fit(X, y)
    for wrong, match in [
        ({"intervals": "mean"}, "intervals='mean' should be a tuple"),
        ({"intervals": ["confidence"]}, "should be a tuple of 'prediction', 'mean' or both"),
        ({"confidence_level": 95}, "confidence_level=95 should be between 0 and 1"),
        ({"subsample": 0}, "subsample=0 should be an int of at least 1"),
        ({"subsample": 1.5}, r"subsample=1.5 should be an int of at least 1, a float between 0 and 1"),
        ({"target": 1}, "target=1 should be 0 or None"),
    ]:
        with pytest.raises(ValueError, match=match):
            RegressionLineDisplay.from_estimator(model, X, y, **wrong)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        RegressionLineDisplay.from_estimator(model, X, y[1:])
    assert not plt.get_fignums()


def test_axes_must_have_as_many_dimensions_as_the_data():
    X, y = one_feature()
    with pytest.raises(ValueError, match="drawn in 2-D axes, but ax is of projection '3d'"):
        RegressionLineDisplay.from_estimator(MiniBatchSGDRegressor().fit(X, y), X, y, ax=plt.subplot(projection="3d"))
    X = np.column_stack([X, X**2])
    with pytest.raises(ValueError, match=r"3-D axes.*add_subplot\(projection='3d'\)"):
        RegressionLineDisplay.from_estimator(MiniBatchSGDRegressor().fit(X, y), X, y, ax=plt.subplots()[1])


# ---- coefficients


def textbook_std_error(X, y, weight=None):
    """Coefficients and their standard errors by the inverse of the moments, without the intercept."""
    root = np.ones(len(X)) if weight is None else np.sqrt(weight)
    design = with_ones(X) * root[:, None]
    inverse = np.linalg.inv(design.T @ design)
    coef = inverse @ design.T @ (y * root)
    residuals = y * root - design @ coef
    variance = residuals @ residuals / (len(X) - design.shape[1])
    return coef[1:], np.sqrt(variance * np.diag(inverse))[1:]


def names_on(ax):
    return [label.get_text() for label in ax.get_yticklabels()]


@pytest.mark.parametrize("level", [0.95, 0.8])
def test_coefficients_and_intervals(level):
    X, y, weight = make_problem(1)
    model = MiniBatchSGDRegressor().fit(X, y, weight)
    display = CoefficientDisplay.from_estimator(model, confidence_level=level)
    coef, std_error = textbook_std_error(X, y, weight)
    order = np.argsort(-coef)
    half = stats.t.ppf(0.5 + level / 2.0, len(X) - 8) * std_error[order]
    points, _, (bars,) = display.errorbar_
    np.testing.assert_allclose(points.get_xdata(), coef[order], rtol=1e-9)
    np.testing.assert_array_equal(points.get_ydata(), np.arange(7))
    segments = np.array(bars.get_segments())
    np.testing.assert_allclose(segments[:, 0, 0], coef[order] - half, rtol=1e-8)
    np.testing.assert_allclose(segments[:, 1, 0], coef[order] + half, rtol=1e-8)
    assert names_on(display.ax_) == display.feature_names == [f"x{i}" for i in order]
    assert display.ax_.yaxis_inverted()
    assert display.ax_.get_xlabel() == f"Coefficient\n({level:.0%} interval)"
    assert list(display.zero_line_.get_xdata()) == [0.0, 0.0]


def test_orders_and_the_largest_features():
    X, y, _ = make_problem(2)
    X = X * [1.0, 1e3, 1.0, 1e-3, 1.0, 1e2, 1.0]
    model = MiniBatchSGDRegressor().fit(X, y)
    coef, std_error = textbook_std_error(X, y)

    def shown(**kwargs):
        return [int(name[1:]) for name in CoefficientDisplay.from_estimator(model, **kwargs).feature_names]

    by_size, by_t = np.argsort(-np.abs(coef)), np.argsort(-np.abs(coef / std_error))
    assert list(by_size) != list(by_t)
    assert shown(order="t") == list(by_t)
    assert shown(order="columns") == list(range(7))
    assert shown(order="t", max_features=3) == list(by_t[:3])
    assert shown(order="columns", max_features=3) == sorted(by_size[:3])
    assert shown(max_features=3) == sorted(by_size[:3], key=lambda i: -coef[i])
    assert shown(max_features=100) == list(np.argsort(-coef))


def test_without_standard_errors_there_are_points_alone(by_steps):
    display = CoefficientDisplay.from_estimator(by_steps, order="columns")
    points, caps, bars = display.errorbar_
    assert (caps, bars) == ((), ())
    assert display.ci_low is None
    assert display.ci_high is None
    np.testing.assert_array_equal(points.get_xdata(), by_steps.coef_)
    assert display.ax_.get_xlabel() == "Coefficient"
    with pytest.raises(
        ValueError, match=r"order='t' is for fits with standard errors, use order='value'. summary needs"
    ):
        CoefficientDisplay.from_estimator(by_steps, order="t")
    other = LinearRegression().fit(*make_problem(0)[:2])
    np.testing.assert_array_equal(
        CoefficientDisplay.from_estimator(other, order="columns").errorbar_[0].get_xdata(), other.coef_
    )
    X, y, _ = make_problem(0)
    sparse_coef = MiniBatchSGDRegressor(penalty="l1", alpha=0.5).fit(X, y).sparsify()
    drawn = CoefficientDisplay.from_estimator(sparse_coef, order="columns").errorbar_[0].get_xdata()
    np.testing.assert_array_equal(drawn, np.ravel(sparse_coef.coef_.toarray()))


def test_coefficients_of_one_of_several_targets():
    X, Y, _ = make_problem(3, n_targets=2, weighted=False)
    model = MiniBatchSGDRegressor().fit(X, Y)
    display = CoefficientDisplay.from_estimator(model, target=1, order="columns")
    coef, std_error = textbook_std_error(X, Y[:, 1])
    np.testing.assert_allclose(display.errorbar_[0].get_xdata(), coef, rtol=1e-9)
    half = stats.t.ppf(0.975, len(X) - 8) * std_error
    np.testing.assert_allclose([display.ci_low, display.ci_high], [coef - half, coef + half], rtol=1e-8)
    assert display.ax_.get_xlabel().startswith("Coefficient of target 1")
    with pytest.raises(ValueError, match="There are 2 targets"):
        CoefficientDisplay.from_estimator(model)


def test_names_of_features():
    pandas = pytest.importorskip("pandas")
    X, y, _ = make_problem(0)
    names = [f"{letter} of $_ %" for letter in "abcdefg"]
    model = MiniBatchSGDRegressor().fit(pandas.DataFrame(X, columns=names), y)
    display = CoefficientDisplay.from_estimator(model, order="columns")
    assert names_on(display.ax_) == names
    display.figure_.savefig(io.BytesIO())
    given = CoefficientDisplay.from_estimator(model, order="columns", feature_names=range(7), max_features=7)
    assert names_on(given.ax_) == list("0123456")
    pipeline = make_pipeline(PolynomialFeatures(2, include_bias=False), MiniBatchSGDRegressor()).fit(X[:, :2], y)
    display = CoefficientDisplay.from_estimator(pipeline, order="columns")
    assert names_on(display.ax_) == ["x0", "x1", "x0^2", "x0 x1", "x1^2"]
    with pytest.raises(ValueError, match="There are 2 feature_names for 7 coefficients"):
        CoefficientDisplay.from_estimator(model, feature_names=["a", "b"])


def test_long_names_lose_their_middle(closed):
    names = [f"a rather long name of a column, level {i}" for i in range(7)]
    display = CoefficientDisplay.from_estimator(closed, feature_names=names, order="columns")
    assert display.feature_names == names
    shown = names_on(display.ax_)
    assert len(set(shown)) == 7
    assert all(name.startswith("a rather") and "…" in name and len(name) <= 28 for name in shown)


def test_axes_and_kwargs_of_coefficients(closed):
    _, ax = plt.subplots()
    display = CoefficientDisplay.from_estimator(
        closed, ax=ax, errorbar_kwargs={"c": "red", "marker": "s"}, line_kwargs={"ls": ":"}
    )
    assert display.ax_ is ax
    assert len(plt.get_fignums()) == 1
    assert display.errorbar_[0].get_color() == "red"
    assert display.errorbar_[0].get_marker() == "s"
    assert display.zero_line_.get_linestyle() == ":"


def test_what_no_coefficients_can_be_drawn_for(closed):
    for wrong, match in [
        ({"order": "size"}, "order='size' should be one of 'value', 't', 'columns'"),
        ({"max_features": 0}, "max_features=0 should be an int of at least 1, or None"),
        ({"max_features": 2.5}, "max_features=2.5 should be an int"),
        ({"confidence_level": 1.0}, "confidence_level=1.0 should be between 0 and 1"),
        ({"target": -1}, "target=-1 should be 0 or None"),
    ]:
        with pytest.raises(ValueError, match=match):
            CoefficientDisplay.from_estimator(closed, **wrong)
    assert not plt.get_fignums()


# ---- all displays


def draw_any(which, model, **kwargs):
    X, y = one_feature()
    if which is RegressionLineDisplay:
        return which.from_estimator(model.fit(X, y) if kwargs.pop("fit", True) else model, X, y, **kwargs)
    return which.from_estimator(model.fit(X, y) if kwargs.pop("fit", True) else model, **kwargs)


@pytest.mark.parametrize("display", [LossCurveDisplay, RegressionLineDisplay, CoefficientDisplay])
def test_estimators_must_be_fitted(display):
    with pytest.raises(NotFittedError):
        draw_any(display, MiniBatchSGDRegressor(), fit=False)
    with pytest.raises(NotFittedError):
        draw_any(display, make_pipeline(StandardScaler(), MiniBatchSGDRegressor()), fit=False)


@pytest.mark.parametrize("display", [LossCurveDisplay, RegressionLineDisplay, CoefficientDisplay])
def test_matplotlib_is_optional(display, monkeypatch):
    monkeypatch.delitem(sys.modules, "matplotlib.pyplot")
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    match = rf"{display.__name__}.plot needs 'matplotlib.*pip install 'sgdlinreg\[plot\]'"
    with pytest.raises(ImportError, match=match):
        draw_any(display, MiniBatchSGDRegressor())


def situations(by_steps, closed):
    X, y = one_feature()
    long = MiniBatchSGDRegressor().fit(X * 1e9, y * 1e-9)
    wide = np.random.default_rng(0).standard_normal((200, 40))
    coefs = MiniBatchSGDRegressor().fit(wide, 1e7 * wide @ np.linspace(-1.0, 1.0, 40))
    names = {f"a name of some letters {i}": model for i, model in enumerate([by_steps, closed, by_steps])}
    yield lambda ax: LossCurveDisplay.from_estimator(by_steps, ax=ax)
    yield lambda ax: LossCurveDisplay.from_estimators(names, kind="gap", ax=ax)
    yield lambda ax: RegressionLineDisplay.from_estimator(long, X * 1e9, y * 1e-9, ax=ax)
    yield lambda ax: LossCurveDisplay(curves={"loss": [np.geomspace(1e9, 1.0, 1200)]}, names=["long"]).plot(ax)
    yield lambda ax: CoefficientDisplay.from_estimator(coefs, ax=ax)
    few = MiniBatchSGDRegressor().fit(wide[:, :5], 4e3 * wide[:, :5] @ [-1.0, -0.3, 0.2, 0.4, 0.9] + y[0])
    yield lambda ax: CoefficientDisplay.from_estimator(few, ax=ax)
    yield lambda ax: CoefficientDisplay.from_estimator(
        closed, feature_names=[f"one of the long names of columns {i}" for i in range(7)], ax=ax
    )


@pytest.mark.parametrize("size", [(3.5, 2.6), (7.0, 4.0)])
def test_text_does_not_overlap(by_steps, closed, size):
    for draw in situations(by_steps, closed):
        figure, ax = plt.subplots(figsize=size, dpi=150, layout="constrained")
        draw(ax)
        figure.draw_without_rendering()
        texts = [text for text in ax.findobj(Text) if text.get_visible() and text.get_text()]
        ticks = {id(label) for axis in (ax.xaxis, ax.yaxis) for label in axis.get_majorticklabels()}
        boxes = [text.get_window_extent() for text in texts if id(text) not in ticks]
        boxes += [tick.label1.get_window_extent() for tick in ax.xaxis._update_ticks()]
        boxes += [tick.label1.get_window_extent() for tick in ax.yaxis._update_ticks()]
        boxes = [box for box in boxes if box.width and box.height]
        assert len(boxes) > 5
        inside = figure.bbox.padded(1.0)
        assert all(inside.contains(*box.min) and inside.contains(*box.max) for box in boxes)
        assert not [pair for pair in itertools.combinations(boxes, 2) if pair[0].padded(-0.5).overlaps(pair[1])]
        plt.close(figure)
