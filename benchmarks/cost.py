"""What a whole default fit costs against the number of rows: ``python benchmarks/cost.py --help``.

float32 data of 10 features, rows from 1e4 to 1e7; with --largest, 1e8 rows in a memory-mapped file of 4 GB in the
folder for temporary files, read from the page cache. Contenders are fitted in turn; medians of the last fits, after
one that is not counted. A contender is left out from where ten times its last fit would take more than 100 seconds.
"""

import tempfile
import time
import warnings
from statistics import median

import environment

N_FEATURES = 10
CHUNK = 1_000_000
ONCE = 5.0
"""Seconds: a contender that takes longer is fitted once."""
CAP = 100.0


def fill(X, y):
    """Draw the rows of a linear model into X and y, in chunks, so that a file need not fit in memory."""
    import numpy as np

    rng = np.random.default_rng(0)
    coef = rng.standard_normal(X.shape[1], dtype=np.float32)
    for start in range(0, len(X), CHUNK):
        rows = rng.standard_normal((min(CHUNK, len(X) - start), X.shape[1]), dtype=np.float32)
        X[start : start + CHUNK] = rows
        y[start : start + CHUNK] = rows @ coef + rng.standard_normal(len(rows), dtype=np.float32)


def in_memory(n_rows):
    import numpy as np

    X, y = np.empty((n_rows, N_FEATURES), np.float32), np.empty(n_rows, np.float32)
    fill(X, y)
    return X, y


def in_file(n_rows, folder):
    import numpy as np

    shape = (n_rows, N_FEATURES)
    y = np.empty(n_rows, np.float32)
    fill(np.lib.format.open_memmap(f"{folder}/X.npy", mode="w+", dtype=np.float32, shape=shape), y)
    return np.load(f"{folder}/X.npy", mmap_mode="r"), y


def contenders():
    from contenders import available

    names = ("sgdlinreg", "sgdlinreg-numba", "StandardScaler+SGDRegressor", "LinearRegression", "scikit-learn-intelex")
    return {name: one.make for name, one in available().items() if name in names}


def seconds_of_fits(makers, X, y, repeats):
    """Median seconds, epochs, and R2 on the first rows, of each contender."""
    from no_tuning import r2_of

    found, about = {name: [] for name in makers}, {}
    for turn in range(repeats + 1):  # the first turn is not counted, unless it is slow
        for name, make in makers.items():
            if turn and found[name] and found[name][0] > ONCE:
                continue
            start = time.perf_counter()
            model = make().fit(X, y)
            seconds = time.perf_counter() - start
            if turn or seconds > ONCE:
                found[name].append(seconds)
            last = model[-1] if hasattr(model, "steps") else model
            about[name] = getattr(last, "n_iter_", ""), r2_of(model.predict(X[:CHUNK]), y[:CHUNK])
    return {name: (median(values), *about[name]) for name, values in found.items()}


def main():
    parser = environment.make_parser("cost", __doc__, repeats=3)
    parser.add_argument("--largest", action="store_true", help="1e8 rows, too: 4 GB on disk, 13 GB of memory")
    parser.add_argument("--threads", type=int, default=1, help="of BLAS, OpenMP and numba (default: 1)")
    args = parser.parse_args()
    environment.fix_threads(args.threads)
    from run import write

    about = environment.describe(args.threads)
    print(", ".join(f"{name} {value}" for name, value in about.items()))
    warnings.simplefilter("ignore")
    makers = contenders()
    head = in_memory(1000)
    for make in makers.values():  # imports and compiles
        make().fit(*head)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for exponent in range(3, 5) if args.fast else range(4, 9 if args.largest else 8):
            n_rows = 10**exponent
            X, y = in_file(n_rows, folder) if exponent == 8 else in_memory(n_rows)
            found = seconds_of_fits(makers, X, y, args.repeats)
            for name, (seconds, epochs, r2) in found.items():
                row = {"n_rows": n_rows, "n_features": N_FEATURES, "dtype": "float32", "name": name}
                row |= {"seconds": seconds, "ns_per_row": 1e9 * seconds / n_rows, "epochs": epochs, "r2": r2}
                rows.append(row | about)
                print(
                    f"{n_rows:>9} {name:28} {seconds:9.4f} s {row['ns_per_row']:9.1f} ns a row  R2 {r2:.6f}", flush=True
                )
            makers = {name: make for name, make in makers.items() if 10 * found[name][0] < CAP}
            write(args.output, rows)
            del X, y  # before the file


if __name__ == "__main__":
    main()
