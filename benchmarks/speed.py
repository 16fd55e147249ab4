"""How long fits take, and how far they get in that time: ``python benchmarks/speed.py --help``.

Parts, of one thread unless told otherwise:

- epochs: nanoseconds a row in an epoch, constant float eta0, with batches of 32, 10 and 256 rows and by SGDRegressor;
  "reads" are epochs in units of one ``X @ w``.
- whole: default fits with solver="numba" beside SGDRegressor, plain and scaled, and three epochs of a torch loop.
- all: default fits of everything that is installed. What takes more than 20 seconds is fitted once.
- small: fits of 100 x 5, and predictions of one row.
- first: what comes before the first epoch of a new process: the import, and the first fit, with an empty cache of
  compiled code and with the one that this fit left.
- cost: default fits of 10 features, float32, from 1e4 to 1e7 rows; with --largest, 1e8 rows in a memory-mapped file. A
  contender is left out where ten times its last fit would take more than 100 seconds.
- suboptimality: R2 below least squares against seconds: contenders are fitted anew with 1, 2, 3, 5, 8, ... epochs, all
  but ours on standardised columns where X is dense. Exact solvers and our default fit are one point each.
"""

import os
import subprocess
import sys
import tempfile
from contextlib import suppress
from functools import partial
from statistics import median

import numpy as np
import problems
from contenders import CONTENDERS, usable
from measuring import best_r2, choose, clock, epoch_clock, fit_clock, in_turn, make_parser, r2_of, run_parts
from scipy import sparse
from sklearn.linear_model import SGDRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sgdlinreg import MiniBatchSGDRegressor

SHAPES = ("1000000 x 2", "1000000 x 10", "1000000 x 20", "200000 x 100", "50000 x 500", "20000 x 2000")
SPARSE = ("insteval", "flights_sparse", "tfidf")
LARGE_SETS = ("randhie", "california_housing", "diamonds", "mortgages", "fertility", "birthdays")
WHOLE = ("1000000 x 10", "1000000 x 100", "tfidf", *LARGE_SETS, "insteval", "flights_sparse")
WHOLE_CONTENDERS = ("sgdlinreg-numba", "SGDRegressor", "StandardScaler+SGDRegressor", "torch-loop")
ALL = ("textbook", "diabetes", "sensor", "200000 x 100", "200000 x 100, float32", "sparse-onehot", "birthdays")
SLOW = 20.0  # seconds: a contender that takes longer is fitted once
SMALL = {
    "default fit": ("sgdlinreg", "LinearRegression"),
    "SGD fit": ("sgdlinreg-numba", "SGDRegressor"),
    "predict of one row": ("sgdlinreg", "LinearRegression"),
}
FIRST = """
import time
start = time.perf_counter()
import sklearn.linear_model
sklearn_done = time.perf_counter()
import sgdlinreg
own_done = time.perf_counter()
import numba, numpy as np
rng = np.random.default_rng(0)
X = rng.standard_normal((1000, 10))
y = X @ rng.standard_normal(10) + rng.standard_normal(1000)
before = time.perf_counter()
sgdlinreg.MiniBatchSGDRegressor(solver="numba", random_state=0).fit(X, y)
print(sklearn_done - start, own_done - sklearn_done, time.perf_counter() - before)
"""
COST = ("sgdlinreg", "sgdlinreg-numba", "StandardScaler+SGDRegressor", "LinearRegression", "scikit-learn-intelex")
CAP = 100.0  # seconds, from which a contender is left out of larger data
STEPPING = [name for name, one in CONTENDERS.items() if one.make_with_epochs]
EXACT = ("sgdlinreg, closed form", "LinearRegression", "scikit-learn-intelex")
EPOCHS = (1, 2, 3, 5, 8, 13, 21, 34, 55, 89)
LIMIT = 2.0  # seconds, from which a contender is given no more epochs


def names_of(args, default):
    """Return the problems to time: those of the option, or the default ones that can be drawn here."""
    default = [name for name in default if problems.is_available(name) and not (args.fast and name in problems.REAL)]
    return args.problems or (default[:2] + default[2:][-1:] if args.fast else default)


def epochs(args):
    """Time epochs of dense and sparse data."""
    dense = [f"{shape}, {dtype}" for shape in SHAPES for dtype in ("float64", "float32")]
    for name in names_of(args, [*dense, *SPARSE]):
        X, y = problems.draw(name, most_rows=args.most_rows)
        eta0, is_sparse, w = 0.1 / X.shape[1], sparse.issparse(X), np.ones(X.shape[1], X.dtype)
        if is_sparse:
            eta0, y = 0.01, (y - np.mean(y)) / np.std(y)
        ours = partial(MiniBatchSGDRegressor, solver="numba", eta0=eta0, tol=None, random_state=0)
        theirs = partial(SGDRegressor, learning_rate="constant", eta0=eta0 / 10, tol=None, penalty=None, random_state=0)
        makers = {f"batch {size}": partial(ours, batch_size=size) for size in (32, 10, 256)} | {"SGDRegressor": theirs}
        clocks = {
            who: epoch_clock(lambda n, make=make, X=X, y=y: make(max_iter=n).fit(X, y)) for who, make in makers.items()
        }
        found = in_turn(clocks | {"read": clock(lambda X=X, w=w: X @ w)}, args.repeats)
        for who in makers:
            row = {"problem": name.split(",")[0], "dtype": str(X.dtype), "name": who}
            row |= {"ns_per_row": 1e9 * found[who].median / len(y)}
            row |= {"times_faster_than_SGDRegressor": found["SGDRegressor"].over(found[who])}
            yield row | {"reads": found[who].over(found["read"])}


def fits(makers, X, y, repeats, slow):
    """Fit contenders in turn, after a fit of some rows, which imports and compiles."""
    for make in makers.values():
        with suppress(Exception):  # what fails here fails again
            make().fit(X[:100], y[:100])
    return in_turn({name: fit_clock(make, X, y) for name, make in makers.items()}, repeats, slow)


def defaults(names, X):
    return {name: partial(one.make, 0) for name, one in usable(names, X).items()}


def compare(args, names, contenders):
    """Compare default fits of contenders; what fails or warns has a note."""
    for name in names_of(args, names):
        X, y = problems.draw(name, most_rows=args.most_rows)
        best, found = best_r2(X, y), fits(defaults(args.contenders or contenders, X), X, y, args.repeats, SLOW)
        for who, one in found.items():
            row = {"problem": name, "name": who, "n_rows": X.shape[0], "n_features": X.shape[1], "dtype": str(X.dtype)}
            row |= {"seconds": one.median, "times_ours": one.over(next(iter(found.values())))}
            gap = best - r2_of(one.result.model.predict(X), y) if one.result else float("nan")
            warned = {it.category.__name__ for it in one.result.warnings} if one.result else ()
            epochs = one.result.n_iter if one.result else ""
            yield row | {"r2_gap": gap, "epochs": epochs, "note": one.error or " ".join(sorted(warned))}


def small(args):
    """Time fits of 100 x 5 and predictions of one row, in a random order of calls."""
    X, y = problems.normal(100, 5)
    clocks = {}
    for what, names in SMALL.items():
        for name in names:
            model = CONTENDERS[name].make(0).fit(X, y)
            action = partial(model.predict, X[:1]) if what.startswith("predict") else partial(model.fit, X, y)
            clocks[what, name] = clock(action)
    found = in_turn(clocks, 10 if args.fast else 200 * args.repeats)
    for what, name in clocks:
        one, theirs = found[what, name], found[what, SMALL[what][1]]
        yield {"what": what, "name": name, "seconds": one.median, "over_theirs": one.over(theirs)}


def first_fit(cache, python=sys.executable, variables=os.environ):
    """Return what a new process takes to import scikit-learn, to import the package, and for the first fit."""
    variables = variables | {"NUMBA_CACHE_DIR": cache}
    done = subprocess.run([python, "-c", FIRST], env=variables, capture_output=True, text=True, check=True)
    return [float(value) for value in done.stdout.split()]


def first(args):
    """Time imports and first fits in new processes."""
    empty, later = [], []
    for _ in range(1 if args.fast else args.repeats):
        with tempfile.TemporaryDirectory() as cache:
            empty.append(first_fit(cache))
            later += [first_fit(cache) for _ in range(1 if args.fast else 3)]
    imports = median(own / sklearn for sklearn, own, _ in later)
    yield {"what": "import sgdlinreg / import sklearn.linear_model", "value": imports}
    yield {"what": "seconds of the first fit, empty cache", "value": median(row[2] for row in empty)}
    yield {"what": "seconds of the first fit in a new process", "value": median(row[2] for row in later)}


def cost(args):
    """Time default fits of more and more rows."""
    names = COST
    with tempfile.TemporaryDirectory() as folder:
        for exponent in (3, 4) if args.fast else range(4, 9 if args.largest else 8):
            n_rows = 10**exponent
            in_file = exponent == 8
            X, y = problems.in_file(n_rows, 10, folder) if in_file else problems.normal(n_rows, 10, "float32")
            found = fits(defaults(names, X), X, y, args.repeats, slow=5.0)
            for name, one in found.items():
                r2 = r2_of(one.result.model.predict(X[:1_000_000]), y[:1_000_000])
                row = {"n_rows": n_rows, "n_features": 10, "dtype": "float32", "name": name, "seconds": one.median}
                yield row | {"ns_per_row": 1e9 * one.median / n_rows, "epochs": one.result.n_iter, "r2": r2}
            names = [name for name, one in found.items() if 10 * one.median < CAP]
            del X, y, found  # before the file


def suboptimality(args):
    """Give R2 below least squares and seconds for more and more epochs."""
    for name in names_of(args, ("100000 x 20", "california_housing", "diamonds", "insteval")):
        X, y = problems.draw(name, most_rows=args.most_rows)
        best = best_r2(X, y)
        makers = {"sgdlinreg-numba, default": partial(CONTENDERS["sgdlinreg-numba"].make, 0)} | defaults(EXACT, X)
        stepping = usable(STEPPING, X)
        for n_epochs in ("", *EPOCHS[: 4 if args.fast else None]):
            if n_epochs:
                makers = {who: partial(with_epochs, who, n_epochs, X) for who in stepping}
            found = fits(makers, X, y, args.repeats, 0.5)
            for who, one in found.items():
                row = {"problem": name, "name": who, "epochs": n_epochs, "seconds": one.median}
                yield row | {"r2_gap": best - r2_of(one.result.model.predict(X), y)}
            stepping = [who for who in stepping if who not in found or found[who].median <= LIMIT]


def with_epochs(name, n_epochs, X):
    """Make a contender of the registry that takes so many epochs, on standardised columns if it is scikit-learn's."""
    model = CONTENDERS[name].make_with_epochs(0, n_epochs)
    is_plain = name in ("SGDRegressor", "MLPRegressor") and not sparse.issparse(X)
    return make_pipeline(StandardScaler(), model) if is_plain else model


PARTS = {
    "epochs": epochs,
    "whole": lambda args: compare(args, WHOLE, WHOLE_CONTENDERS),
    "all": lambda args: compare(args, ALL, CONTENDERS),
    "small": small,
    "first": first,
    "cost": cost,
    "suboptimality": suboptimality,
}


def main():
    parser = make_parser(__doc__, PARTS, repeats=5, threads=1)
    parser.add_argument("--contenders", default="", help="of whole and all, with semicolons between")
    parser.add_argument("--largest", action="store_true", help="1e8 rows, too: 4 GB on disk, 13 GB of memory")
    args = parser.parse_args()
    args.contenders = choose(parser, args.contenders, CONTENDERS)
    run_parts(parser, args, PARTS)


if __name__ == "__main__":
    main()
