"""Draw the pictures of the documentation from results/*.csv: ``python benchmarks/plot.py --help``.

docs/images/epochs.png, cost.png and suboptimality.png are drawn from the results of the parts of `speed.py` with these
names: nanoseconds a row in an epoch against features, those of whole fits against rows, and R2 that is missing against
seconds. docs/images/sources.png, seconds and memory of a fit against the size of its files, is drawn from the part
"growth" of `sources.py`. docs/images/tuning.png, scores against penalties, is drawn from the part "curves" of
`tuning.py`. docs/images/quantiles.png is drawn from the example in docs/user_guide/quantiles.rst.
"""

import argparse
import csv
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from sgdlinreg import MiniBatchSGDRegressor
from sgdlinreg.displays import SearchCurveDisplay

RESULTS = Path(__file__).parent / "results"
IMAGES = Path(__file__).resolve().parents[1] / "docs" / "images"
STYLES = {  # colour and marker, told apart without seeing colours, too
    "sgdlinreg-numba": ("#0072B2", "o"),
    "sgdlinreg-numba, default": ("#0072B2", "o"),
    "sgdlinreg": ("#56B4E9", "D"),
    "sgdlinreg, closed form": ("#56B4E9", "D"),
    "SGDRegressor": ("#D55E00", "s"),
    "StandardScaler+SGDRegressor": ("#D55E00", "s"),
    "LinearRegression": ("#000000", "P"),
    "scikit-learn-intelex": ("#009E73", "X"),
    "MLPRegressor": ("#999933", "v"),
    "torch-loop": ("#882255", "^"),
}
STYLES |= {
    "Parquet, steps and full gradients": ("#0072B2", "o"),
    "Parquet, closed form": ("#56B4E9", "D"),
    ".npy, steps and full gradients": ("#D55E00", "s"),
    ".npy, closed form": ("#000000", "P"),
}
SMALLEST_GAP = 1e-12


def style_of(name):
    return dict(zip(("color", "marker"), STYLES[name], strict=True)) | {"markersize": 5, "linewidth": 1.6}


def curves(rows, x, y):
    """Return the points of each name, in the order of the file."""
    found = {}
    for row in rows:
        found.setdefault(row["name"], []).append((float(row[x]), float(row[y])))
    return {name: tuple(zip(*points, strict=True)) for name, points in found.items()}


def plain(axis, values):
    """Put ticks at these values only, written as plain numbers."""
    axis.set_major_locator(FixedLocator(values))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))


def legend_below(figure, axes, columns):
    """Draw one legend for all axes, under them."""
    pairs = [pair for one in axes for pair in zip(*one.get_legend_handles_labels(), strict=True)]
    handles = {label: handle for handle, label in reversed(pairs)}
    handles = {label: handles[label] for _, label in pairs}
    figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=columns, frameon=False)


def epochs(rows):
    """Draw the time of an epoch against the number of features."""
    dense = [row | {"d": row["problem"].split(" x ")[1]} for row in rows if " x " in row["problem"]]
    figure, axes = plt.subplots(1, 2, figsize=(9, 4.2), sharey=True, layout="constrained")
    for one, dtype in zip(axes, ("float64", "float32"), strict=True):
        of_dtype = [row for row in dense if row["dtype"] == dtype]
        times, (d, reads) = curves(of_dtype, "d", "ns_per_row"), curves(of_dtype, "d", "reads")["batch 32"]
        ours, look = times["batch 32"][1], style_of("sgdlinreg-numba")
        one.loglog(*times["SGDRegressor"], label="SGDRegressor", **style_of("SGDRegressor"))
        one.loglog(d, ours, label="sgdlinreg-numba, batch 32; band: 10 to 256", **look)
        one.fill_between(d, times["batch 10"][1], times["batch 256"][1], color=look["color"], alpha=0.25, linewidth=0)
        one.loglog(d, np.divide(ours, reads), "--", color="black", label="memory bandwidth: one X @ w")
        one.set(title=dtype, xlabel="features")
        plain(one.xaxis, d)
        one.grid(alpha=0.3)
    axes[0].set_ylabel("nanoseconds a row in an epoch")
    plain(axes[0].yaxis, (1, 10, 100, 1000))
    legend_below(figure, axes, 3)
    return figure


def suboptimality(rows):
    """Draw the gap to least squares against seconds, a panel for each problem."""
    problems = list(dict.fromkeys(row["problem"] for row in rows))
    figure, axes = plt.subplots(-(-len(problems) // 2), 2, figsize=(9, 7.6), layout="constrained", squeeze=False)
    axes = axes.ravel()
    for one, problem in zip(axes, problems, strict=False):
        of_problem = [row for row in rows if row["problem"] == problem]
        for name, (seconds, gaps) in curves(of_problem, "seconds", "r2_gap").items():
            look = style_of(name)
            if len(gaps) == 1:  # a star for ours, below the smaller marks of others
                look |= {"marker": "*", "markersize": 20, "markeredgecolor": "white"} if "," in name else {"zorder": 5}
                look |= {"linestyle": "none", "markersize": max(7, look["markersize"])}
            one.loglog(seconds, [max(gap, SMALLEST_GAP) for gap in gaps], label=name, **look)
        one.set(title=problem, xlabel="seconds", ylim=(SMALLEST_GAP / 5, 10))
        one.grid(alpha=0.3)
    for one in axes[::2]:
        one.set_ylabel("R2 of least squares less R2")
    legend_below(figure, axes, 4)
    return figure


def cost(rows):
    """Draw the cost of a row against the number of rows."""
    figure, one = plt.subplots(figsize=(7, 4.6), layout="constrained")
    for name, points in curves(rows, "n_rows", "ns_per_row").items():
        one.loglog(*points, label=name, **style_of(name))
    one.set(xlabel="rows (10 features, float32)", ylabel="nanoseconds a row in a whole default fit")
    one.set_ylim(10, None)
    plain(one.yaxis, (10, 100, 1000, 10000))
    one.grid(alpha=0.3)
    if max(float(row["n_rows"]) for row in rows) > 5e7:
        one.axvspan(5e7, one.get_xlim()[1], color="black", alpha=0.06, linewidth=0)
        one.text(1e8, one.get_ylim()[1], "from a\nfile", ha="center", va="top")
    legend_below(figure, [one], 3)
    return figure


def sources(rows):
    """Draw seconds and the peak of memory against the size of the files."""
    rows = [row for row in rows if row["part"] == "growth"]
    kinds = {"npy": ".npy", "parquet": "Parquet"}
    solvers = {"normal_equation": "closed form", "numba": "steps and full gradients"}
    rows = [row | {"name": f"{kinds[row['name']]}, {solvers[row['solver']]}"} for row in rows]
    sizes = [float(row["file_MB"]) for row in rows]
    figure, axes = plt.subplots(1, 2, figsize=(9, 4.4), layout="constrained")
    for one, y in zip(axes, ("seconds", "above_import_MB"), strict=True):
        for name, points in sorted(curves(rows, "file_MB", y).items(), reverse=True):
            one.loglog(*points, label=name, **style_of(name))
    ends = min(sizes), max(sizes)
    axes[1].loglog(ends, ends, "--", color="0.4", label="as large as the files")
    axes[0].set(title="time", ylabel="seconds of a whole default fit")
    axes[1].set(title="memory", ylabel="peak above the imports, MB")
    axes[0].yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    plain(axes[1].yaxis, (1, 10, 100, 1000))
    for one in axes:
        one.set_xlabel("size of the files, MB")
        plain(one.xaxis, (50, 100, 200, 500, 1000, 2000))
        one.grid(alpha=0.3)
    legend_below(figure, axes, 3)
    return figure


def tuning(rows):
    """Draw the scores of penalties on real data, and which one is chosen."""
    rows = [row for row in rows if row["part"] == "curves"]
    names = list(dict.fromkeys(row["problem"] for row in rows))
    figure, axes = plt.subplots(2, len(names), figsize=(3.4 * len(names), 5.6), layout="constrained", squeeze=False)
    for line, penalty in zip(axes, ("l2", "l1"), strict=True):
        for one, name in zip(line, names, strict=True):
            found = [row for row in rows if (row["problem"], row["penalty"]) == (name, penalty)]
            columns = (np.array([float(row[key]) for row in found]) for key in ("alpha", "score", "standard_error"))
            alpha, score, error = (column[::-1] for column in columns)
            chosen = next(float(row["alpha"]) for row in found if row["chosen"] == "1")
            one_curve = {"alphas": [alpha], "scores": [score], "errors": [error], "names": ["mean of 5 folds"]}
            SearchCurveDisplay(**one_curve, alpha=chosen, score_name="R2").plot(one)
            one.get_legend().remove()
            one.set_title(f"{name}, {penalty}: alpha={chosen:.2g}", fontsize="medium")
            one.grid(alpha=0.3)
    return figure


def quantiles():
    """Draw lines for three quantiles of data whose noise grows."""
    rng = np.random.default_rng(0)
    x = rng.uniform(0, 10, 2000)
    y = 2 + x + (0.5 + 0.5 * x) * rng.standard_normal(2000)
    figure, one = plt.subplots(figsize=(6, 4), layout="constrained")
    one.plot(x, y, ".", color="0.7", markersize=3, zorder=0)
    for quantile, color, line in ((0.9, "#D55E00", "--"), (0.5, "#000000", "-"), (0.1, "#0072B2", "-.")):
        model = MiniBatchSGDRegressor(loss="quantile", quantile=quantile, random_state=0).fit(x[:, None], y)
        ends = np.array([0.0, 10.0])
        one.plot(ends, model.predict(ends[:, None]), line, color=color, linewidth=2, label=f"quantile={quantile}")
    one.set(xlabel="x", ylabel="y")
    one.legend(loc="upper left")
    return figure


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of CSV files (default: results)")
    parser.add_argument("--images", type=Path, default=IMAGES, help="folder of pictures (default: docs/images)")
    args = parser.parse_args()
    plt.switch_backend("Agg")
    args.images.mkdir(parents=True, exist_ok=True)
    for draw in (epochs, suboptimality, cost, sources, tuning, quantiles):
        if draw is quantiles:
            figure = draw()
        else:
            with (args.results / f"{draw.__name__}.csv").open(newline="") as file:
                figure = draw(list(csv.DictReader(file)))
        figure.savefig(args.images / f"{draw.__name__}.png", dpi=110, metadata={"Software": None})
        print(args.images / f"{draw.__name__}.png")


if __name__ == "__main__":
    main()
