"""What the closed form costs: ``python benchmarks/closed_form.py --help``.

Six parts, each a table and rows of one CSV file: fits against other libraries, and the distance to what the machine
can do; the same of small data; a refinement and a QR decomposition as factors over the pass that sums moments; the peak
of extra memory; and the number of features from which mini-batch SGD is faster.
"""

import argparse
import time
import tracemalloc
from importlib.util import find_spec
from pathlib import Path
from statistics import median

import environment

RESULTS = Path(__file__).parent / "results"
SHAPES = {False: [(1_000_000, 20), (1_000_000, 100), (200_000, 500)], True: [(20_000, 20), (5_000, 100)]}
SMALL_SHAPES = {False: [(100, 5), (1_000, 10), (1_000, 30), (5_000, 20), (20_000, 5)], True: [(100, 5)]}
CROSSOVER = {
    False: [(n, d) for d in (100, 300, 1000, 2000, 4000) for n in (10_000, 100_000) if n * d <= 2e8],
    True: [(2_000, 20)],
}
SLOW = 3.0
"""Seconds: a contender that takes longer is timed 3 times."""


def seconds_of(function):
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def in_turn(functions, repeats, pause):
    """Seconds of each function, called in turn; a pause lets threads that still wait for work fall asleep."""
    import gc

    warm = {name: seconds_of(function) for name, function in functions.items()}
    gc.collect()
    gc.freeze()
    found = {name: [] for name in functions}
    for turn in range(repeats):
        for name, function in functions.items():
            if warm[name] < SLOW or turn < 3:
                time.sleep(pause)
                found[name].append(seconds_of(function))
    return found


def draw(n_rows, n_features, dtype):
    import numpy as np

    rng = np.random.default_rng(0)
    X = rng.standard_normal((n_rows, n_features), dtype=dtype)
    return X, (X @ rng.standard_normal(n_features) + rng.standard_normal(n_rows)).astype(dtype)


def peak_flops(dtype):
    """Multiply-adds a second of the BLAS, counted as two operations, on a product of 3000 x 3000."""
    import numpy as np

    A = np.random.default_rng(0).standard_normal((3000, 3000)).astype(dtype)
    return 2 * 3000**3 / min(seconds_of(lambda: A @ A) for _ in range(5))


def against_libraries(fast, repeats, part="fit", shapes=SHAPES, pause=0.1):
    from sklearn.linear_model import LinearRegression, Ridge

    from sgdlinreg import MiniBatchSGDRegressor

    rows = []
    for n_rows, n_features in shapes[fast]:
        for dtype in ("float64", "float32"):
            X, y = draw(n_rows, n_features, dtype)

            def fit(make, X=X, y=y):
                return lambda: make().fit(X, y)

            contenders = {"sgdlinreg": fit(lambda: MiniBatchSGDRegressor(solver="normal_equation"))}
            if find_spec("sklearnex"):
                from sklearnex.linear_model import LinearRegression as Intelex

                contenders["scikit-learn-intelex"] = fit(Intelex)
            contenders["Ridge(cholesky)"] = fit(lambda: Ridge(1e-9, solver="cholesky"))
            contenders["LinearRegression"] = fit(LinearRegression)
            read = min(seconds_of(X.sum) for _ in range(5))
            limit = max(read, n_rows * n_features**2 / peak_flops(dtype))
            found = in_turn(contenders, repeats, pause)
            ours = found["sgdlinreg"]
            for name, seconds in found.items():
                ratio = median(a / b for a, b in zip(ours, seconds, strict=False))
                rows.append(
                    {
                        "part": part,
                        "n_rows": n_rows,
                        "n_features": n_features,
                        "dtype": dtype,
                        "name": name,
                        "seconds": median(seconds),
                        "ours_over_it": ratio,
                        "over_limit": median(seconds) / limit,
                    }
                )
    return rows


def small(fast, repeats):
    return against_libraries(fast, 10 * repeats, "small", SMALL_SHAPES, 0.0)


def costs(fast, repeats):
    import numpy as np
    from sgdlinreg._solvers.closed_form.tsqr import Triangle

    from sgdlinreg._core.blocks import Block
    from sgdlinreg._solvers.closed_form.double_double import DoubleDouble
    from sgdlinreg._solvers.closed_form.moments import Moments
    from sgdlinreg._solvers.closed_form.residuals import Residuals

    rows = []
    for n_rows, n_features in SHAPES[fast]:
        X, y = draw(n_rows, n_features, "float64")
        block = Block(X, y[:, None], None)
        coef = DoubleDouble(np.ones((n_features + 1, 1)), np.zeros((n_features + 1, 1)))
        ones = np.ones(n_features + 1)
        centre = DoubleDouble(0.0 * ones, 0.0 * ones)
        passes = {
            "moments": lambda block=block, d=n_features: Moments.empty(d, 1, True).add(block),
            "refinement": lambda block=block, coef=coef, d=n_features: Residuals.at(coef, np.ones(d), 1).add(block),
            "qr": lambda block=block, c=centre, s=ones: Triangle(c, s, np.empty((0, len(s)))).add(block),
        }
        found = in_turn(passes, max(3, repeats // 3), pause=0.0)
        for name, seconds in found.items():
            ratio = median(a / b for a, b in zip(seconds, found["moments"], strict=False))
            rows.append(
                {
                    "part": "pass",
                    "n_rows": n_rows,
                    "n_features": n_features,
                    "dtype": "float64",
                    "name": name,
                    "seconds": median(seconds),
                    "over_moments": ratio,
                }
            )
    return rows


def memory(fast, repeats):
    from sgdlinreg import MiniBatchSGDRegressor

    rows = []
    for n_rows, n_features in SHAPES[fast]:
        X, y = draw(n_rows, n_features, "float64")
        MiniBatchSGDRegressor(solver="normal_equation").fit(X[:1000], y[:1000])
        tracemalloc.start()
        MiniBatchSGDRegressor(solver="normal_equation").fit(X, y)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        rows.append(
            {
                "part": "memory",
                "n_rows": n_rows,
                "n_features": n_features,
                "dtype": "float64",
                "name": "peak of extra memory",
                "megabytes": peak / 1e6,
            }
        )
    return rows


def crossover(fast, repeats):
    from sgdlinreg import MiniBatchSGDRegressor

    rows = []
    for n_rows, n_features in CROSSOVER[fast]:
        X, y = draw(n_rows, n_features, "float64")
        functions = {
            name: lambda name=name, X=X, y=y: MiniBatchSGDRegressor(solver=name, random_state=0).fit(X, y)
            for name in ("normal_equation", "numba")
        }
        found = in_turn(functions, 3, pause=0.0)
        for name, seconds in found.items():
            model = MiniBatchSGDRegressor(solver=name, random_state=0).fit(X, y)
            rows.append(
                {
                    "part": "crossover",
                    "n_rows": n_rows,
                    "n_features": n_features,
                    "dtype": "float64",
                    "name": name,
                    "seconds": median(seconds),
                    "r2": model.score(X, y),
                    "epochs": model.n_iter_,
                }
            )
    return rows


PARTS = {"fit": against_libraries, "small": small, "pass": costs, "memory": memory, "crossover": crossover}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fast", action="store_true", help="small data, some seconds")
    parser.add_argument("--parts", default=",".join(PARTS), help="with commas between (default: all)")
    parser.add_argument("--repeats", type=int, help="timed fits of each (default: 15, 3 with --fast)")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--output", type=Path, help="default: results/closed_form.csv; none with --fast")
    args = parser.parse_args()
    environment.fix_threads(args.threads)
    from run import write

    shared = environment.describe(args.threads)
    print(", ".join(f"{name} {value}" for name, value in shared.items()))
    repeats = args.repeats or (3 if args.fast else 15)
    columns = ["part", "n_rows", "n_features", "dtype", "name", "seconds", "ours_over_it", "over_limit", "over_moments"]
    columns += ["megabytes", "r2", "epochs"]
    table = []
    for part in args.parts.split(","):
        for row in PARTS[part](args.fast, repeats):
            known = {name: f"{value:.6g}" if isinstance(value, float) else value for name, value in row.items()}
            print("  ".join(f"{name} {value}" for name, value in known.items() if name != "part"), flush=True)
            table.append({name: known.get(name, "") for name in columns} | shared)
    output = args.output or (None if args.fast else RESULTS / "closed_form.csv")
    if output:
        write(output, table)


if __name__ == "__main__":
    main()
