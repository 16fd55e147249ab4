"""Whole default fits with solver="numba" against scikit-learn's SGD: ``python benchmarks/whole_fits.py --help``.

Synthetic data of a million rows, TF-IDF of synthetic texts, and the real sets of more than 10,000 rows: seconds and R2
below least squares of our defaults, SGDRegressor's defaults on the same data, StandardScaler + SGDRegressor
(with_mean=False on sparse data) and, on the synthetic data, three epochs of a torch loop over a DataLoader. One thread;
median of interleaved fits, slow ones fitted once. At last, rows sorted by y and by the first feature: R2 of steps with
shuffle="blocks" below that with a permutation, at the same number of epochs; also of a curve that no line fits.
"""

import time
import warnings
from functools import partial
from importlib.util import find_spec
from statistics import median

import environment

SLOW = 20.0
"""Seconds from which a contender is fitted once."""
SORTED = ("mortgages", "fertility", "birthdays")
EPOCHS = 8
FEWEST = 10_000
"""Rows: smaller real sets are left out."""


def contenders(is_sparse, with_loop):
    from sklearn.linear_model import SGDRegressor
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    from sgdlinreg import MiniBatchSGDRegressor

    found = {
        "sgdlinreg": lambda: MiniBatchSGDRegressor(solver="numba", random_state=0),
        "SGDRegressor": lambda: SGDRegressor(random_state=0),
        "StandardScaler + SGDRegressor": lambda: make_pipeline(
            StandardScaler(with_mean=not is_sparse), SGDRegressor(random_state=0)
        ),
    }
    if with_loop and find_spec("torch"):
        from adapters import TextbookTorchLoop

        found["torch loop"] = TextbookTorchLoop
    return found


def problems(fast):
    import real_data
    from epochs import draw
    from problems import sparse_tfidf

    n_rows = 20_000 if fast else 1_000_000
    for n_features in (10, 100):
        yield f"synthetic, d = {n_features}", partial(draw, n_rows, n_features, "float64")
    yield "tfidf", partial(sparse_tfidf, fast)
    if not fast:
        yield from real_data.available().items()


def fits(X, y, repeats, with_loop):
    """Median seconds, R2 and epochs of each contender."""
    from no_tuning import r2_of
    from scipy import sparse

    makers = contenders(sparse.issparse(X), with_loop)
    found = {name: [] for name in makers}
    models = {}
    for turn in range(repeats + 1):  # the first turn compiles and is not counted, unless it is slow
        for name, make in makers.items():
            if turn and found[name] and found[name][0] > SLOW:
                continue
            start = time.perf_counter()
            models[name] = make().fit(X, y)
            seconds = time.perf_counter() - start
            if turn or seconds > SLOW:
                found[name].append(seconds)
    for name, model in models.items():
        last = model[-1] if hasattr(model, "steps") else model
        yield name, median(found[name]), r2_of(model.predict(X), y), last.n_iter_


def draw_curve():
    """Draw a curved relation to a heavy-tailed feature: the rows of largest norm all have large residuals."""
    import numpy as np

    rng = np.random.default_rng(0)
    X = rng.standard_normal((1_000_000, 2))
    X[:, 0] = np.exp(X[:, 0])
    return X, X[:, 0] + 0.03 * X[:, 0] ** 2 + rng.standard_normal(len(X))


def sorted_rows():
    """R2 with the default order below that with a full permutation."""
    import numpy as np
    import real_data
    from no_tuning import r2_of

    from sgdlinreg import MiniBatchSGDRegressor

    real = {name: load for name, load in real_data.available().items() if name in SORTED}
    for name, load in (real | {"a curve": draw_curve}).items():
        X, y = load()
        for what, order in (("y", np.argsort(y, kind="stable")), ("a feature", np.argsort(X[:, 0], kind="stable"))):
            r2 = {
                shuffle: r2_of(
                    MiniBatchSGDRegressor(solver="numba", shuffle=shuffle, max_iter=EPOCHS, tol=None, random_state=0)
                    .fit(X[order], y[order])
                    .predict(X),
                    y,
                )
                for shuffle in (True, "blocks")
            }
            print(f"{name:20} sorted by {what:10} {r2[True] - r2['blocks']:9.2e} below a permutation", flush=True)


def main():
    parser = environment.make_parser("whole_fits", __doc__, repeats=3)
    parser.add_argument("--problem", help="one of them, by name, and no sorted rows (default: all)")
    args = parser.parse_args()
    environment.fix_threads(1)
    from no_tuning import best_r2
    from run import write

    about = environment.describe(1)
    print(", ".join(f"{name} {value}" for name, value in about.items()))
    warnings.simplefilter("ignore")
    found = []
    readers = dict(problems(args.fast))
    if args.problem and args.problem not in readers:
        parser.error(f"no {args.problem} here; there are {'; '.join(readers)}")
    for problem in [args.problem] if args.problem else readers:
        X, y = readers[problem]()
        if len(y) < FEWEST and not args.fast:
            continue
        best = best_r2(X, y)
        rows = list(fits(X, y, args.repeats, with_loop=problem.startswith("synthetic")))
        ours = rows[0][1]
        for name, seconds, r2, epochs in rows:
            row = {"problem": problem, "name": name, "seconds": seconds, "times_ours": seconds / ours}
            found.append(row | {"r2_gap": best - r2, "epochs": epochs} | about)
            print(
                f"{problem:20} {name:30} {seconds:8.3f} s  {seconds / ours:7.1f} times ours  gap {best - r2:9.2e}  "
                f"{epochs} epochs",
                flush=True,
            )
    if not args.fast and not args.problem:
        sorted_rows()
    write(args.output, found)


if __name__ == "__main__":
    main()
