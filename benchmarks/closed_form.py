"""What the closed form costs: ``python benchmarks/closed_form.py --help``.

Parts, all in one CSV file:

- fit: fits beside other libraries; "over_limit" is relative to what reading X or the BLAS takes at least.
- small: the same of small data.
- pass: a refinement and a QR decomposition as factors over a fit that needs neither, from fits that need one.
- crossover: from which number of features on mini-batch SGD is faster.
"""

from functools import cache, partial

import numpy as np
import problems
from contenders import CONTENDERS, usable
from measuring import clock, fit_clock, in_turn, make_parser, run_parts
from sklearn.linear_model import Ridge
from speed import fits

SHAPES = ("1000000 x 20", "1000000 x 100", "200000 x 500")
SMALL = ("100 x 5", "1000 x 10", "1000 x 30", "5000 x 20", "20000 x 5")
CROSSOVER = [f"{n} x {d}" for d in (100, 300, 1000, 2000, 4000) for n in (10_000, 100_000) if n * d <= 2e8]
OURS = "sgdlinreg, closed form"
SLOW = 20.0  # seconds: a contender that takes longer is timed once


def drawn(args, names, dtypes=("float64",)):
    """Give X, y and the columns that describe them, of the option or of these names."""
    for name in args.problems or [f"{name}, {dtype}" for name in names[: 2 if args.fast else None] for dtype in dtypes]:
        X, y = problems.draw(name, most_rows=args.most_rows)
        yield X, y, {"n_rows": X.shape[0], "n_features": X.shape[1], "dtype": str(X.dtype)}


@cache
def peak_flops(dtype):
    """Return the operations a second of the BLAS on a product of 3000 x 3000."""
    A = np.ones((3000, 3000), dtype)
    return 2 * 3000**3 / min(in_turn({"product": clock(lambda: A @ A)}, 3)["product"].seconds)


def fit(args, names=SHAPES, repeats=1, pause=0.1):
    """Compare fits with other libraries."""
    for X, y, about in drawn(args, names, ("float64", "float32")):
        makers = usable((OURS, "scikit-learn-intelex", "LinearRegression"), X)
        makers["Ridge(cholesky)"] = partial(Ridge, 1e-9, solver="cholesky")
        clocks = {name: fit_clock(make, X, y) for name, make in makers.items()}
        found = in_turn(clocks | {"read": clock(X.sum)}, repeats * args.repeats, SLOW, pause)
        limit = max(found["read"].median, X.shape[0] * X.shape[1] ** 2 / peak_flops(X.dtype))
        for name in makers:
            one = found[name]
            row = about | {"name": name, "seconds": one.median, "ours_over_it": found[OURS].over(one)}
            yield row | {"over_limit": one.median / limit}


def passes(args):
    """Compare fits that need the moments only, refinements (y without noise), and QR (columns 1e-7 apart)."""
    for X, y, about in drawn(args, SHAPES):
        near = X.copy()
        near[:, 1] = near[:, 0] + 1e-7 * near[:, 1]
        make = partial(CONTENDERS[OURS].make, 0)
        data = {"moments": (X, y), "refinement": (X, X.sum(axis=1)), "qr": (near, y)}
        found = in_turn({name: fit_clock(make, *both) for name, both in data.items()}, args.repeats)
        seconds = found["moments"].median
        refined = found["refinement"].result.model.n_refinements_
        refinement = (found["refinement"].median - seconds) / max(refined, 1)
        qr = found["qr"].median - seconds - found["qr"].result.model.n_refinements_ * refinement
        for name, value in (("moments", seconds), ("refinement", refinement), ("qr", qr)):
            yield about | {"name": name, "seconds": value, "over_moments": value / seconds}


def crossover(args):
    """Compare the closed form with mini-batch SGD."""
    for X, y, about in drawn(args, CROSSOVER):
        for name, one in fits(usable((OURS, "sgdlinreg-numba"), X), X, y, 3, SLOW).items():
            r2 = one.result.model.score(X, y)
            yield about | {"name": name, "seconds": one.median, "r2": r2, "epochs": one.result.n_iter}


PARTS = {"fit": fit, "small": lambda args: fit(args, SMALL, 10, 0.0), "pass": passes, "crossover": crossover}


def main():
    parser = make_parser(__doc__, PARTS, repeats=15, threads=2)
    run_parts(parser, parser.parse_args(), PARTS, file="closed_form.csv")


if __name__ == "__main__":
    main()
