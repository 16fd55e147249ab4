"""What an epoch costs: ``python benchmarks/epochs.py --help``.

The seconds of an epoch are the slope between a few and many epochs, so that validation and set-up do not count; one
thread, batches of 32 unless said otherwise, default shuffle, a constant float eta0, no stopping. Contenders are
fitted in turn and medians compared. ``reads`` are seconds of an epoch over those of one ``X @ w``.
"""

from statistics import median

import environment

DENSE = {
    False: [(1_000_000, 2), (1_000_000, 10), (1_000_000, 20), (200_000, 100), (50_000, 500), (20_000, 2000)],
    True: [(20_000, 2), (5_000, 100)],
}
FEW = 1
MORE_SECONDS = 0.3
"""The additional epochs of the longer fit take about as long."""


def draw(n_rows, n_features, dtype):
    import numpy as np

    rng = np.random.default_rng(0)
    X = rng.standard_normal((n_rows, n_features), dtype=dtype)
    return X, (X @ rng.standard_normal(n_features) + rng.standard_normal(n_rows)).astype(dtype)


def contenders(eta0, is_sparse=False):
    """Makers of estimators that take a number of epochs, by name."""
    from sklearn.linear_model import SGDRegressor

    from sgdlinreg import MiniBatchSGDRegressor

    def ours(batch_size):
        return lambda epochs: MiniBatchSGDRegressor(
            solver="numba", batch_size=batch_size, eta0=eta0, tol=None, max_iter=epochs, random_state=0
        )

    found = {f"batch {size}": ours(size) for size in (32, 10, 256)}
    found["SGDRegressor"] = lambda epochs: SGDRegressor(
        learning_rate="constant", eta0=eta0 / 10, tol=None, max_iter=epochs, penalty=None, random_state=0
    )
    return found


def seconds_of_epochs(makers, X, y, repeats, more_seconds=MORE_SECONDS):
    """Median seconds of one epoch of each contender."""
    import time

    import numpy as np

    def fit(make, epochs):
        start = time.perf_counter()
        make(epochs).fit(X, y)
        return time.perf_counter() - start

    many = {}
    for name, make in makers.items():
        fit(make, FEW)
        short, longer = fit(make, FEW), fit(make, FEW + 2)
        many[name] = FEW + int(np.clip(more_seconds / max((longer - short) / 2, 1e-6), 2, 500))
    slopes = {name: [] for name in makers}
    for _ in range(repeats):
        for name, make in makers.items():
            slopes[name].append((fit(make, many[name]) - fit(make, FEW)) / (many[name] - FEW))
    return {name: median(values) for name, values in slopes.items()}


def seconds_of_read(X):
    """Seconds of one X @ w."""
    import time

    import numpy as np

    w = np.ones(X.shape[1], X.dtype)
    found = []
    for _ in range(15):
        start = time.perf_counter()
        X @ w
        found.append(time.perf_counter() - start)
    return median(found)


def dense(shapes, dtypes, repeats):
    for n_rows, n_features in shapes:
        for dtype in dtypes:
            X, y = draw(n_rows, n_features, dtype)
            seconds = seconds_of_epochs(contenders(0.1 / n_features), X, y, repeats)
            yield from rows_of(f"{n_rows} x {n_features}", dtype, n_rows, seconds, seconds_of_read(X))


def sparse_sets(fast, repeats):
    import numpy as np
    import problems
    import real_data

    readers = {} if fast else real_data.available()
    sets = {name: readers[name] for name in ("insteval", "flights_sparse") if name in readers}
    sets["tfidf"] = lambda: problems.sparse_tfidf(fast)
    for name, read in sets.items():
        X, y = read()
        seconds = seconds_of_epochs(contenders(0.01), X, (y - np.mean(y)) / np.std(y), repeats)
        yield from rows_of(name, "float64", X.shape[0], seconds, seconds_of_read(X))


def largest(repeats):
    """1e6 rows in memory and 1e8 in a memory-mapped file that is in the page cache, without SGDRegressor."""
    import tempfile

    from cost import in_file, in_memory

    with tempfile.TemporaryDirectory() as folder:
        for what, n_rows in (("in memory", 10**6), ("memmap", 10**8)):
            X, y = in_memory(n_rows) if what == "in memory" else in_file(n_rows, folder)
            makers = {name: make for name, make in contenders(0.01).items() if name == "batch 32"}
            seconds = seconds_of_epochs(makers, X, y, repeats, more_seconds=10.0)
            yield from rows_of(f"{what}, 1e{len(str(n_rows)) - 1} x 10", "float32", n_rows, seconds, seconds_of_read(X))
            del X, y  # before the file


def rows_of(problem, dtype, n_rows, seconds, read):
    for name, value in seconds.items():
        yield {
            "problem": problem,
            "dtype": dtype,
            "name": name,
            "ns_per_row": 1e9 * value / n_rows,
            "times_faster_than_SGDRegressor": seconds["SGDRegressor"] / value if "SGDRegressor" in seconds else "",
            "reads": value / read,
        }


def main():
    parser = environment.make_parser("epochs", __doc__, repeats=7)
    parser.add_argument("--shapes", help="n x d with commas between, instead of the default ones")
    parser.add_argument("--largest", action="store_true", help="1e8 rows instead: 4 GB on disk, 13 GB of memory")
    args = parser.parse_args()
    environment.fix_threads(1)
    from run import write

    about = environment.describe(1)
    print(", ".join(f"{name} {value}" for name, value in about.items()))
    shapes = DENSE[args.fast]
    if args.shapes:
        shapes = [tuple(map(int, shape.split("x"))) for shape in args.shapes.split(",")]
    found = []

    def keep(rows):
        for row in rows:
            found.append(row | about)
            speed = row["times_faster_than_SGDRegressor"]
            compared = f"  {speed:6.1f} times SGDRegressor's speed" if speed else ""
            print(
                f"{row['problem']:>18} {row['dtype']:8} {row['name']:14} {row['ns_per_row']:9.1f} ns a row{compared}  "
                f"{row['reads']:6.2f} reads",
                flush=True,
            )

    if args.largest:
        keep(largest(args.repeats))
    else:
        keep(dense(shapes, ("float64", "float32"), args.repeats))
    if not args.shapes and not args.largest:
        keep(sparse_sets(args.fast, args.repeats))
    write(args.output, found)


if __name__ == "__main__":
    main()
