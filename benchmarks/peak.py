"""Fit files in a process of its own, for the peak of its memory: ``python benchmarks/peak.py CONTENDER FOLDER``.

`sources.py` runs it, the contenders of others by a Python that has them. It prints JSON: the seconds of the fit, the
peak of anonymous memory (RssAnon) above that after the imports and above that after a small fit, and the model.
"""

import json
import sys
import threading
import time
from functools import partial
from pathlib import Path

import numpy as np

INTERVAL = 0.002  # seconds between two looks at the memory


def sgdlinreg(kind, solver):
    """Return a small fit, and the fit of a folder."""
    import pyarrow.dataset
    import pyarrow.parquet  # noqa: F401

    from sgdlinreg import MiniBatchSGDRegressor
    from sgdlinreg.sources import from_arrays, from_files

    def small():
        X = np.random.default_rng(0).standard_normal((1000, 5))
        MiniBatchSGDRegressor(solver=solver, random_state=0).fit_source([(X, X[:, 0] + X[::-1, 1])])

    def fit(folder):
        files = from_arrays(folder / "X.npy", folder / "y.npy") if kind == "npy" else from_files(folder, "y")
        model = MiniBatchSGDRegressor(solver=solver, random_state=0).fit_source(files)
        return {"n_iter": model.n_iter_, "coef": model.coef_.tolist(), "intercept": float(model.intercept_)}

    return small, fit


def dask_ml(kind):
    """Return the fit of a folder of Parquet by dask-ml: Newton's method, or a pass of SGDRegressor."""
    import dask
    import dask.dataframe as dd
    from dask_ml.linear_model import LinearRegression
    from dask_ml.wrappers import Incremental
    from sklearn.linear_model import SGDRegressor

    model = LinearRegression(solver="newton") if kind == "newton" else Incremental(SGDRegressor(random_state=0))

    def fit(folder):
        with dask.config.set(scheduler="threads", num_workers=1):
            rows = dd.read_parquet(str(folder / "*.parquet")).to_dask_array(lengths=True)
            model.fit(rows[:, :-1], rows[:, -1])
        return {"coef": np.ravel(model.coef_).tolist(), "intercept": float(np.ravel(model.intercept_)[0])}

    return lambda: None, fit


def vowpal_wabbit():
    """Return the fit of a folder of Parquet by Vowpal Wabbit: written as its text first, which takes text_s."""
    import pyarrow.parquet as pq
    from vowpalwabbit import Workspace

    def write(folder, path):
        with path.open("w") as file:
            for one in sorted(folder.glob("*.parquet")):
                for batch in pq.ParquetFile(one).iter_batches(100_000):
                    *X, y = (column.to_numpy() for column in batch.columns)
                    line = "%.8g | " + " ".join(f"{number}:%.8g" for number in range(len(X))) + "\n"
                    file.write("".join(line % row for row in zip(y, *X, strict=True)))
        return len(X)

    def fit(folder):
        path, start = folder / "rows.vw", time.perf_counter()
        n_features = write(folder, path)
        text_s = time.perf_counter() - start
        model = Workspace(f"-d {path} --quiet --holdout_off -b 10")  # one pass, adaptive steps
        seconds = time.perf_counter() - start - text_s
        path.unlink()
        intercept = model.predict("| ")
        coef = [model.predict(f"| {number}:1") - intercept for number in range(n_features)]
        return {"seconds": seconds, "text_s": text_s, "coef": coef, "intercept": intercept}

    return lambda: None, fit


CONTENDERS = {
    **{
        f"sgdlinreg, {kind}, {solver}": partial(sgdlinreg, kind, solver)
        for kind in ("npy", "parquet")
        for solver in ("normal_equation", "numba")
    },
    "dask-ml, newton": partial(dask_ml, "newton"),
    "dask-ml, SGDRegressor": partial(dask_ml, "sgd"),
    "Vowpal Wabbit": vowpal_wabbit,
}


def anonymous():
    """Return the anonymous memory of this process in MB."""
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("RssAnon")) / 1024


def main(name, folder):
    small, fit = CONTENDERS[name]()
    imported = anonymous()
    small()
    start, peaks, done = anonymous(), [0.0], threading.Event()

    def watch():
        while not done.wait(INTERVAL):
            peaks[0] = max(peaks[0], anonymous())

    threading.Thread(target=watch, daemon=True).start()
    begin = time.perf_counter()
    found = fit(Path(folder))
    seconds = time.perf_counter() - begin
    done.set()
    peak = {"above_a_small_fit_MB": peaks[0] - start, "above_import_MB": peaks[0] - imported}
    print(json.dumps({"seconds": seconds} | peak | found))


if __name__ == "__main__":
    main(*sys.argv[1:])
