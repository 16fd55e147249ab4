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
DENSE = [f"{shape}, {dtype}" for shape in SHAPES for dtype in ("float64", "float32")]
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
FIRST_FITS = {"import sgdlinreg": 0, "import / import sklearn": 1, "first fit": 2, "first fit of a later process": 3}
FIRST = """
import time
clocks = [time.perf_counter()]
import sklearn.linear_model
clocks.append(time.perf_counter())
import sgdlinreg
clocks.append(time.perf_counter())
import numba, numpy as np
X = np.random.default_rng(0).standard_normal((1000, 10))
start = time.perf_counter()
sgdlinreg.MiniBatchSGDRegressor(solver="numba", random_state=0).fit(X, X[:, 0] + X[::-1, 1])
print(clocks[2] - clocks[1], (clocks[2] - clocks[1]) / (clocks[1] - clocks[0]), time.perf_counter() - start)
"""
COST = ("sgdlinreg", "sgdlinreg-numba", "StandardScaler+SGDRegressor", "LinearRegression", "scikit-learn-intelex")
CAP = 100.0  # seconds, from which a contender is left out of larger data
STEPPING = [name for name, one in CONTENDERS.items() if one.make_with_epochs]
EXACT = ("sgdlinreg, closed form", "LinearRegression", "scikit-learn-intelex")
EPOCHS = (1, 2, 3, 5, 8, 13, 21, 34, 55, 89)
LIMIT = 2.0  # seconds, from which a contender is given no more epochs


def epochs(args):
    """Time epochs of dense and sparse data."""
    for name in problems.chosen(args, [*DENSE, *SPARSE], most=3):
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


def compare(args, names, contenders):
    """Compare default fits of contenders; what fails or warns has a note."""
    for name in problems.chosen(args, names, most=3):
        X, y = problems.draw(name, most_rows=args.most_rows)
        best, found = best_r2(X, y), fits(usable(args.contenders or contenders, X), X, y, args.repeats, SLOW)
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


def first_clock(figure, python=sys.executable, variables=os.environ):
    """Return a clock of a figure of `FIRST_FITS`, in new processes; the cache is empty but for a later process."""

    def started():
        with tempfile.TemporaryDirectory() as cache:
            run = partial(subprocess.run, [python, "-c", FIRST], capture_output=True, text=True, check=True)
            for _ in range(2 if figure == 3 else 1):
                figures = run(env=variables | {"NUMBA_CACHE_DIR": cache}).stdout.split()
        return float(figures[min(figure, 2)]), None

    return started


def first(args):
    """Time imports and first fits in new processes."""
    turns = (0, 0.0) if args.fast else (args.repeats,)  # the warm-up alone
    for what, one in in_turn({what: first_clock(number) for what, number in FIRST_FITS.items()}, *turns).items():
        yield {"what": what, "value": one.median}


def cost(args):
    """Time default fits of more and more rows."""
    names = COST
    with tempfile.TemporaryDirectory() as folder:
        for exponent in (3, 4) if args.fast else range(4, 9 if args.largest else 8):
            n_rows = 10**exponent
            large = problems.in_file(n_rows, 10, f"{folder}/X.npy") if exponent == 8 else None
            X, y = large or problems.normal(n_rows, 10, "float32")
            found = fits(usable(names, X), X, y, args.repeats, slow=5.0)
            for name, one in found.items():
                r2 = r2_of(one.result.model.predict(X[:1_000_000]), y[:1_000_000])
                row = {"n_rows": n_rows, "n_features": 10, "dtype": "float32", "name": name, "seconds": one.median}
                yield row | {"ns_per_row": 1e9 * one.median / n_rows, "epochs": one.result.n_iter, "r2": r2}
            names = [name for name, one in found.items() if 10 * one.median < CAP]
            del X, y, large, found  # before the file


def suboptimality(args):
    """Give R2 below least squares and seconds for more and more epochs."""
    for name in problems.chosen(args, ("100000 x 20", "california_housing", "diamonds", "insteval"), most=3):
        X, y = problems.draw(name, most_rows=args.most_rows)
        best = best_r2(X, y)
        makers = {"sgdlinreg-numba, default": partial(CONTENDERS["sgdlinreg-numba"].make, 0)} | usable(EXACT, X)
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
    model = CONTENDERS[name].make_with_epochs(0, n_epochs)
    is_plain = name in ("SGDRegressor", "MLPRegressor") and not sparse.issparse(X)
    return make_pipeline(StandardScaler(), model) if is_plain else model


PARTS = {
    **{part.__name__: part for part in (epochs, small, first, cost, suboptimality)},
    "whole": lambda args: compare(args, WHOLE, WHOLE_CONTENDERS),
    "all": lambda args: compare(args, ALL, CONTENDERS),
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
