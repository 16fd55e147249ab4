"""What tiny data cost, 100 x 5, beside scikit-learn's estimators: ``python benchmarks/small_fits.py --help``.

The default fit and LinearRegression's, mini-batch SGD with solver="numba" and SGDRegressor's, and predictions of one
row, in a random order each time, as a call finds what the one before left in the caches; medians. One thread.
"""

import time
import warnings
from statistics import median

import environment

N_ROWS, N_FEATURES = 100, 5
PAIRS = {
    "default fit": ("sgdlinreg", "LinearRegression"),
    "SGD fit": ("sgdlinreg-numba", "SGDRegressor"),
    "predict of one row": ("sgdlinreg", "LinearRegression"),
}


def actions():
    """Give calls to time, by what they do and who does it."""
    import numpy as np
    from contenders import available

    rng = np.random.default_rng(0)
    X = rng.standard_normal((N_ROWS, N_FEATURES))
    y = X @ rng.standard_normal(N_FEATURES) + rng.standard_normal(N_ROWS)
    for what, names in PAIRS.items():
        for name in names:
            model = available()[name].make()
            model.fit(X, y)
            if what == "predict of one row":
                yield (what, name), lambda model=model: model.predict(X[:1])
            else:
                yield (what, name), lambda model=model: model.fit(X, y)


def main():
    parser = environment.make_parser("small_fits", __doc__, repeats=1000)
    args = parser.parse_args()
    environment.fix_threads(1)
    import numpy as np
    from run import write

    warnings.simplefilter("ignore")
    about = environment.describe(1)
    print(", ".join(f"{name} {value}" for name, value in about.items()))
    calls = dict(actions())
    seconds = {key: [] for key in calls}
    order, rng = list(calls), np.random.default_rng(0)
    for _ in range(10 if args.fast else args.repeats):
        rng.shuffle(order)
        for key in order:
            start = time.perf_counter()
            calls[key]()
            seconds[key].append(time.perf_counter() - start)
    found = []
    for what, (ours, theirs) in PAIRS.items():
        own, other = (median(seconds[what, name]) for name in (ours, theirs))
        print(f"{what:20} {1e3 * own:7.3f} ms, {1e3 * other:7.3f} ms by {theirs:16} {own / other:5.2f} times as long")
        found += [
            {"what": what, "name": name, "seconds": median(seconds[what, name])} | about for name in (ours, theirs)
        ]
    write(args.output, found)


if __name__ == "__main__":
    main()
