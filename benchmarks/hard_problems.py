"""Default fits of hard problems, and whether they know how far they are: ``python benchmarks/hard_problems.py --help``.

For each problem of `hard_data`, solver and form of the data: the largest R2 below least squares (by SVD of scaled,
centred columns) over some seeds, which draw the data and are the random states, ``n_iter_``, seconds, what
``optimality_gap_`` said where R2 was lowest, and its ratios to what was missing, where that was more than 1e-10. Forms
are a dense array, a CSR array and seven blocks of a source.

With ``--random N``: N random problems instead, with weights, targets and penalties, and ``optimality_gap_`` against
``2 * (F - F*)`` over the variance of y (the mean square without an intercept): the share of fits where it is right to
a factor of 3, the fits that are more than tol away without a warning, and the ten worst, by their seeds.
"""

import argparse
import math
import time
import warnings
from pathlib import Path
from statistics import median

import environment

RESULTS = Path(__file__).parent / "results"
FORMS = ("dense", "csr", "source")
SOLVERS = ("numba", "torch")
VISIBLE = 1e-10
"""Gaps below it are not compared: rounding has a part in them."""
FACTOR = 3.0
BLOCKS = 7
CUTOFF = 1e-13
"""Singular values that count as 0, relative to the largest."""


def fit(X, y, weight, form, parameters):
    """Fit one form of the data.

    Returns
    -------
    tuple of (estimator or None, seconds, bool, str)
        The bool says whether it warned that it did not converge, the text which error it raised.
    """
    import numpy as np
    from scipy import sparse
    from sklearn.exceptions import ConvergenceWarning

    from sgdlinreg import MiniBatchSGDRegressor

    model, error = MiniBatchSGDRegressor(**parameters), ""
    given = sparse.csr_array(X) if form == "csr" else X
    parts = [part for part in np.array_split(np.arange(len(y)), BLOCKS) if len(part)]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        start = time.perf_counter()
        try:
            if form == "source":
                model.fit_source([(X[rows], y[rows], *([] if weight is None else [weight[rows]])) for rows in parts])
            else:
                model.fit(given, y, sample_weight=weight)
        except ValueError as raised:
            model, error = None, f"{type(raised).__name__}: {raised}"
        seconds = time.perf_counter() - start
    warned = any(issubclass(one.category, ConvergenceWarning) for one in caught)
    return model, seconds, warned, error


def said(model):
    """Give what the fit says that it misses; nan where it says nothing."""
    return float(getattr(model, "optimality_gap_", math.nan))


def ratio(gap, missing):
    """Divide what was said by what was missing; nan where that is too little to tell."""
    return gap / missing if missing > VISIBLE else math.nan


def best_and_missing(X, y):
    """R2 of least squares, and a function that gives how far predictions are below it."""
    import numpy as np
    from no_tuning import best_r2, r2_of

    if not y.std() > 1e-12 * np.abs(y).max():  # R2 is not defined: relative to the mean square
        return math.nan, lambda predictions: float(np.square(predictions - y).mean() / np.square(y).mean())
    best = best_r2(X, y)
    return best, lambda predictions: best - r2_of(predictions, y)


def fits_of(name, args):
    """Fit a problem for each seed; a list of (missing, said, n_iter, seconds, warned, error) by form and solver."""
    import hard_data

    found = {(solver, form): [] for solver in args.solvers for form in args.forms}
    for seed in range(args.seeds):
        X, y = hard_data.draw(name, seed, most_rows=1000 if args.fast else None)
        missing = best_and_missing(X, y)[1]
        for (solver, form), fits in found.items():
            parameters = {"solver": solver, "random_state": seed, "tol": args.tol}
            model, seconds, warned, error = fit(X, y, None, form, parameters)
            gap = missing(model.predict(X)) if model else math.nan
            fits.append((gap, said(model), model.n_iter_ if model else 0, seconds, warned, error))
    return X.shape, found


def summary(fits):
    """One row of the table from the fits of all seeds."""
    gaps, _, n_iter, seconds, warned, errors = zip(*fits, strict=True)
    worst = max(fits, key=lambda one: math.inf if math.isnan(one[0]) else one[0])
    ratios = [ratio(gap, missing) for missing, gap, *_ in fits if missing > VISIBLE]
    return {
        "r2_gap": math.nan if any(map(math.isnan, gaps)) else max(gaps),
        "n_iter": max(n_iter),
        "seconds": median(seconds),
        "said": worst[1],
        "lowest_ratio": min(ratios, default=math.nan),
        "highest_ratio": max(ratios, default=math.nan),
        "warnings": sum(warned),
        "error": next(filter(None, errors), ""),
    }


def run_problems(args, shared):
    import hard_data
    from run import write

    rows = []
    for name in args.problems or hard_data.PROBLEMS:
        shape, found = fits_of(name, args)
        print(f"\n{name}: {shape[0]} x {shape[1]}, {args.seeds} seeds")
        for (solver, form), fits in found.items():
            row = summary(fits)
            print(
                f"  {solver:6} {form:7} R2 gap {row['r2_gap']:9.2e}  said {row['said']:8.2e}  ratios "
                f"{row['lowest_ratio']:5.2g} to {row['highest_ratio']:5.2g}  n_iter {row['n_iter']:4}  "
                f"{row['seconds']:7.3f} s  warnings {row['warnings']}  {row['error'][:80]}".rstrip(),
                flush=True,
            )
            shown = {key: f"{value:.4g}" if isinstance(value, float) else value for key, value in row.items()}
            sizes = {"problem": name, "n_rows": shape[0], "n_features": shape[1], "seeds": args.seeds}
            rows.append(sizes | {"solver": solver, "form": form} | shown | shared)
        write(args.output, rows)


def optimum(X, y, weight, alpha, fit_intercept):
    """Coefficients, intercepts and what they predict at the optimum, by SVD of the scaled, weighted rows.

    Returns
    -------
    tuple of ndarrays of shape (n_targets, n_features), (n_targets,), (n_rows, n_targets)
    """
    import numpy as np

    n_rows, n_features = X.shape
    share = np.full(n_rows, 1.0 / n_rows) if weight is None else weight / weight.sum()
    x_mean, y_mean = (share @ X, share @ y) if fit_intercept else (np.zeros(n_features), np.zeros(y.shape[1]))
    scale = np.sqrt(share @ (X - x_mean) ** 2 + alpha)
    scale[scale == 0.0] = 1.0
    Z = (X - x_mean) / scale
    root = np.sqrt(share)[:, None]
    rows = np.vstack([root * Z, np.diag(np.sqrt(alpha) / scale)])
    target = np.vstack([root * (y - y_mean), np.zeros((n_features, y.shape[1]))])
    scaled = np.linalg.lstsq(rows, target, rcond=CUTOFF)[0]
    coef = (scaled / scale[:, None]).T
    return coef, y_mean - coef @ x_mean, Z @ scaled + y_mean


def truth(model, X, y, weight, alpha, fit_intercept, best):
    """Compute 2 * (F - F*) over the variance of y, the largest over the targets.

    F - F* is quadratic in the distance from the optimum, which keeps the digits that a difference of losses loses.
    """
    import numpy as np

    best_coef, _, best_predictions = best
    moved = np.reshape(model.predict(X), y.shape) - best_predictions
    penalty = alpha * np.square(np.reshape(model.coef_, best_coef.shape) - best_coef).sum(axis=1)
    mean = np.average(y, axis=0, weights=weight) if fit_intercept else 0.0
    variance = np.average(np.square(y - mean), axis=0, weights=weight)
    return float(((np.average(np.square(moved), axis=0, weights=weight) + penalty) / variance).max())


def run_random(args):
    import hard_data
    import numpy as np

    fits = []
    for seed in range(args.first_seed, args.first_seed + args.random):
        X, y, weight, chosen = hard_data.draw_random(seed)
        targets = np.reshape(y, (len(y), -1))
        best = optimum(X, targets, weight, **chosen)
        for solver in args.solvers:
            for form in args.forms:
                parameters = chosen | {"solver": solver, "random_state": seed}
                parameters |= {"max_iter": args.max_iter, "tol": args.tol}
                model, _, warned, error = fit(X, y, weight, form, parameters)
                missing = truth(model, X, targets, weight, **chosen, best=best) if model else math.inf
                what = f"seed {seed:5} {solver:6} {form:7} {X.shape[0]:6} x {X.shape[1]:2} {targets.shape[1]} targets"
                what += f" alpha {chosen['alpha']:.1e}{' weights' * (weight is not None)}"
                what += f"{' no intercept' * (not chosen['fit_intercept'])}{' warned' * warned} {error[:60]}"
                fits.append((missing, said(model), warned or bool(error), what.rstrip()))
    report(fits, args.tol)


def report(fits, tol):
    """Print how often ``optimality_gap_`` is right, and the worst fits."""

    def distance(one):
        """How many times too small or too large what was said is; fits that said nothing are the worst."""
        said_over_true = ratio(one[1], one[0])
        return abs(math.log(said_over_true)) if said_over_true > 0.0 else math.inf

    seen = [one for one in fits if one[0] > VISIBLE]
    right = sum(distance(one) <= math.log(FACTOR) for one in seen)
    silent = [one for one in fits if one[0] > tol and not one[2]]
    share = f"{100.0 * right / len(seen):.1f} %" if seen else "-"
    print(f"\n{len(fits)} fits, {len(seen)} of which miss more than {VISIBLE:g}")
    print(f"optimality_gap_ within a factor of {FACTOR:g} of it: {right} of {len(seen)} fits, {share}")
    print(f"more than tol away, without a warning: {len(silent)}; warnings and errors: {sum(one[2] for one in fits)}")
    worst = sorted(seen, key=lambda one: (one not in silent, -distance(one), -one[0]))[:10]
    for missing, gap, _, what in worst:
        print(f"  missing {missing:8.2e} said {gap:8.2e} ratio {ratio(gap, missing):8.2e}  {what}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--problems", help="names, with semicolons between (default: all)")
    parser.add_argument("--solvers", default=",".join(SOLVERS), help="with commas between (default: %(default)s)")
    parser.add_argument("--forms", default=",".join(FORMS), help="with commas between (default: %(default)s)")
    parser.add_argument("--seeds", type=int, default=10, help="seeds 0 .. seeds - 1 (default: %(default)s)")
    parser.add_argument("--fast", action="store_true", help="at most 1000 rows: a check that everything runs")
    parser.add_argument("--random", type=int, metavar="N", help="N random problems instead")
    parser.add_argument("--first-seed", type=int, default=0, help="of the random problems (default: %(default)s)")
    parser.add_argument("--tol", type=float, default=1e-3, help="of all fits (default: %(default)s)")
    parser.add_argument("--max-iter", type=int, default=1000, help="of their fits (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--output", type=Path, default=RESULTS / "hard_problems.csv")
    args = parser.parse_args()
    environment.fix_threads(args.threads)
    import hard_data

    for name, known, separator in (
        ("problems", hard_data.PROBLEMS, ";"),
        ("solvers", SOLVERS, ","),
        ("forms", FORMS, ","),
    ):
        given = [part.strip() for part in getattr(args, name).split(separator)] if getattr(args, name) else []
        if unknown := [part for part in given if part not in known]:
            parser.error(f"no {name} {'; '.join(unknown)}; there are {'; '.join(known)}")
        setattr(args, name, given)
    shared = environment.describe(args.threads)
    print(", ".join(f"{name} {value}" for name, value in shared.items()))
    if args.random:
        run_random(args)
    else:
        run_problems(args, shared)


if __name__ == "__main__":
    main()
