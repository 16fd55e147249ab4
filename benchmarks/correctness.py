"""Whether fits with default parameters are right, and know it: ``python benchmarks/correctness.py --help``.

Parts:

- real: raw real data, beside other estimators. Largest R2 below least squares over some seeds, passes, seconds, what
  `optimality_gap_` said where R2 was lowest, and its ratios to what was missing, where that was more than 1e-10.
- hard: the same of data on which steps alone go wrong, as a dense array, a CSR array and seven blocks of a source.
- random: N random problems with weights, targets and penalties. How often `optimality_gap_` is right, how many fits are
  more than tol away without a warning, and the ten worst.
- losses: other losses than the squared error, and l2; epsilon is a tenth of y's standard deviation.
- invariance: what must not matter: batch size, dtype, units, offsets, the order of the rows.
"""

import math
from functools import partial
from itertools import product
from statistics import median

import numpy as np
import problems
from contenders import CONTENDERS, usable
from measuring import best_r2, choose, fit_clock, least_squares, make_parser, once, r2_of, run_parts
from scipy import sparse
from scipy.optimize import minimize
from sklearn.exceptions import ConvergenceWarning

from sgdlinreg import MiniBatchSGDRegressor

FORMS = ("dense", "csr", "source")
BLOCKS = 7
OTHERS = (
    "sgdlinreg, closed form",
    "LinearRegression",
    "SGDRegressor",
    "StandardScaler+SGDRegressor",
    "MLPRegressor",
)
EXACT = ("sgdlinreg, closed form", "LinearRegression")
"""Seeds do not matter to these."""
SLOW = 60.0
"""Seconds: of a contender that takes longer, one seed is fitted."""
VISIBLE = 1e-10
"""Gaps below it are not compared: rounding has a part in them."""
FACTOR = 3.0
FAST_SETS = ("longley", "diabetes")
LOSSES = ("huber", "epsilon_insensitive", "squared_epsilon_insensitive")
WIDTHS = (1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6)
"""Of the rounded kink, in standard deviations of y."""
ALPHAS = (1e-3, 1.0)
BATCHES = (1, 8, 32, 256, 4096, "full")
EPOCHS = 8
"""Of fits by steps alone that compare two orders of the rows."""


def names_of(args, default):
    """Return the problems to fit: those of the option, or the default ones that can be read here."""
    default = [name for name in FAST_SETS if name in default] or default if args.fast else default
    return args.problems or list(filter(problems.is_available, default))


# Real and hard data


def form_clock(make, X, y, weight, form):
    """Return a clock of fits of one form of the data."""
    keywords = {} if weight is None else {"sample_weight": weight}
    if form == "source":
        parts = [rows for rows in np.array_split(np.arange(len(y)), BLOCKS) if len(rows)]
        weights = [() if weight is None else (weight[rows],) for rows in parts]
        blocks = [(X[rows], y[rows], *more) for rows, more in zip(parts, weights, strict=True)]
        return fit_clock(make, blocks, method="fit_source")
    return fit_clock(make, sparse.csr_array(X) if form == "csr" else X, y, **keywords)


def said_and_warned(timing):
    """Return what a fit says that it misses, nan where it says nothing, and whether it warned."""
    if timing.error:
        return math.nan, False
    warned = any(issubclass(one.category, ConvergenceWarning) for one in timing.result.warnings)
    return float(getattr(timing.result.model, "optimality_gap_", math.nan)), warned


def ratio(said, missing):
    """Divide what was said by what was missing; nan where that is too little to tell."""
    return said / missing if missing > VISIBLE else math.nan


def missing_of(model, X, y, best):
    """Return how far R2 is below the best; relative to the mean square where y is constant."""
    predictions = model.predict(X)
    if math.isnan(best):
        return float(np.square(predictions - y).mean() / np.square(y).mean())
    return best - r2_of(predictions, y)


def compare(name, others, forms, args):
    """Fit a problem for each seed, which draws the data and is the random state; a row for each contender and form."""
    fits = {}
    for seed in range(args.seeds):
        X, y = problems.draw(name, seed, args.most_rows)
        best = best_r2(X, y) if y.std() > 1e-12 * np.abs(y).max() else math.nan
        makers = {
            solver: partial(MiniBatchSGDRegressor, **parameters_of(args, solver, seed)) for solver in args.solvers
        }
        makers |= {who: partial(one.make, seed) for who, one in usable(others, X).items()}
        done = {key for key, past in fits.items() if key[0] in EXACT or past[-1][0].median > SLOW}
        todo = [key for key in product(makers, forms) if key not in done]
        for key, timing in once({(who, form): form_clock(makers[who], X, y, None, form) for who, form in todo}).items():
            missing = math.nan if timing.error else missing_of(timing.result.model, X, y, best)
            fits.setdefault(key, []).append((timing, missing, *said_and_warned(timing)))
    about = {"problem": name, "n_rows": X.shape[0], "n_features": X.shape[1], "r2_of_ols": best}
    for (who, form), found in fits.items():
        yield about | {"seeds": len(found), "solver": who, "form": form} | summary(found)


def parameters_of(args, solver, seed):
    return {"solver": solver, "random_state": seed, "tol": args.tol, "max_iter": args.max_iter}


def summary(found):
    """Return the columns that sum up the fits of all seeds."""
    timings, gaps, said, warned = zip(*found, strict=True)
    worst = max(range(len(gaps)), key=lambda one: math.inf if math.isnan(gaps[one]) else gaps[one])
    ratios = [ratio(one, gap) for one, gap in zip(said, gaps, strict=True) if gap > VISIBLE]
    return {
        "r2_gap": gaps[worst],
        "n_iter": max((one.result.n_iter or 0 for one in timings if not one.error), default=0),
        "seconds": median(one.median for one in timings),
        "said": said[worst],
        "lowest_ratio": min(ratios, default=math.nan),
        "highest_ratio": max(ratios, default=math.nan),
        "warnings": sum(warned),
        "error": next((one.error for one in timings if one.error), ""),
    }


def real(args):
    """Compare R2 of default fits and of other estimators on raw real data."""
    for name in names_of(args, problems.REAL):
        yield from compare(name, args.others, ("dense",), args)


def hard(args):
    """Compare R2 of default fits with least squares on hard data, in all forms."""
    for name in names_of(args, problems.HARD):
        yield from compare(name, (), args.forms, args)


# Random problems


def truth(model, problem, targets, best):
    """Return 2 * (F - F*) over the variance of y (the mean square without an intercept), the largest of the targets.

    F - F* is quadratic in the distance from the optimum, which keeps the digits that a difference of losses loses.
    """
    best_coef, best_predictions = best
    moved = np.reshape(model.predict(problem.X), targets.shape) - best_predictions
    penalty = problem.alpha * np.square(np.reshape(model.coef_, best_coef.shape) - best_coef).sum(axis=1)
    mean_of = partial(np.average, axis=0, weights=problem.sample_weight)
    variance = mean_of(np.square(targets - (mean_of(targets) if problem.fit_intercept else 0.0)))
    return float(((mean_of(np.square(moved)) + penalty) / variance).max())


def random(args):
    """Fit random problems, print how often `optimality_gap_` is right, and give the worst fits."""
    found = []
    for seed in range(args.first_seed, args.first_seed + args.random):
        problem = problems.draw_random(seed)
        X, y, weight, alpha, fit_intercept = problem
        targets = np.reshape(y, (len(y), -1))
        best = least_squares(X, targets, weight, alpha, fit_intercept)
        for solver in args.solvers:
            parameters = parameters_of(args, solver, seed) | {"alpha": alpha, "fit_intercept": fit_intercept}
            make = partial(MiniBatchSGDRegressor, **parameters)
            for form, timing in once({form: form_clock(make, X, y, weight, form) for form in args.forms}).items():
                missing = math.inf if timing.error else truth(timing.result.model, problem, targets, best)
                said, warned = said_and_warned(timing)
                row = {"missing": missing, "said": said, "ratio": ratio(said, missing), "seed": seed, "solver": solver}
                row |= {"form": form, "n_rows": len(y), "n_features": X.shape[1], "n_targets": targets.shape[1]}
                row |= {"alpha": alpha, "weights": weight is not None, "fit_intercept": fit_intercept}
                found.append(row | {"warned": warned, "error": timing.error})
    return worst_of(found, args.tol)


def worst_of(found, tol):
    """Print how often `optimality_gap_` is right to a factor of 3; return the worst fits."""

    def distance(row):
        return abs(math.log(row["ratio"])) if row["ratio"] > 0.0 else math.inf  # fits that said nothing are the worst

    def is_silent(row):
        return row["missing"] > tol and not (row["warned"] or row["error"])

    seen = [row for row in found if row["missing"] > VISIBLE]
    right = sum(distance(row) <= math.log(FACTOR) for row in seen)
    print(f"{len(found)} fits, {len(seen)} of which miss more than {VISIBLE:g}")
    print(f"optimality_gap_ within a factor of {FACTOR:g} of it: {right}, {100.0 * right / max(len(seen), 1):.1f} %")
    warned = sum(bool(row["warned"] or row["error"]) for row in found)
    print(f"more than tol away, without a warning: {sum(map(is_silent, found))}; warnings and errors: {warned}")
    return sorted(seen, key=lambda row: (not is_silent(row), -distance(row), -row["missing"]))[:10]


# Other losses


def mean_loss(loss, epsilon, residual):
    """Return the mean of a loss, from its definition."""
    size = np.abs(residual)
    if loss == "huber":
        return float(np.where(size <= epsilon, 0.5 * size**2, epsilon * (size - 0.5 * epsilon)).mean())
    return float((np.maximum(size - epsilon, 0.0) ** (2 if loss.startswith("squared") else 1)).mean())


def smallest_loss(loss, epsilon, X, y):
    """Return the smallest mean loss, by L-BFGS on standardised columns, a kink rounded in ever smaller widths."""
    Z = np.column_stack([(X - X.mean(axis=0)) / X.std(axis=0), np.ones(len(X))])

    def rounded(residual, width):
        size = np.abs(residual)
        if loss == "huber":
            inside = np.minimum(size, epsilon)
            return inside * (size - 0.5 * inside), np.sign(residual) * inside
        if loss == "squared_epsilon_insensitive":
            outside = np.maximum(size - epsilon, 0.0)
            return outside**2, 2.0 * np.sign(residual) * outside
        excess = (size - epsilon) / width
        return np.logaddexp(0.0, excess) * width, np.sign(residual) / (1.0 + np.exp(-np.clip(excess, -500, 500)))

    def function(v, width):
        values, slopes = rounded(Z @ v - y, width)
        return values.mean() / y.std(), Z.T @ slopes / len(y) / y.std()

    v = np.linalg.lstsq(Z, y, rcond=None)[0]
    options = {"maxiter": 20_000, "maxfun": 50_000, "ftol": 1e-16, "gtol": 1e-12, "maxcor": 30}
    for width in WIDTHS:
        v = minimize(function, v, (width * y.std(),), "L-BFGS-B", jac=True, options=options).x
    return mean_loss(loss, epsilon, Z @ v - y)


def objectives(X, y):
    """Give the name, the optimum, the value of a model and the parameters of each objective."""
    epsilon = 0.1 * y.std()
    for loss in LOSSES:
        value = partial(lambda loss, model: mean_loss(loss, epsilon, model.predict(X) - y), loss)
        yield loss, smallest_loss(loss, epsilon, X, y), value, {"loss": loss, "epsilon": epsilon}
    for alpha in ALPHAS:

        def ridge(predictions, coef, alpha=alpha):
            return 0.5 * float(np.square(predictions - y).mean()) + 0.5 * alpha * float(np.square(coef).sum())

        coef, predictions = least_squares(X, y[:, None], alpha=alpha)
        value = partial(lambda ridge, model: ridge(model.predict(X), model.coef_), ridge)
        yield f"squared error, l2, alpha {alpha:g}", ridge(predictions[:, 0], coef), value, {"alpha": alpha}


def losses(args):
    """Compare other objectives with their optimum."""
    for name in names_of(args, ("diabetes", "california_housing", "diamonds")):
        X, y = problems.draw(name, most_rows=args.most_rows)
        for what, best, value, parameters in objectives(X, y):
            for solver in args.solvers:
                common = {"solver": solver, "tol": args.tol, "max_iter": args.max_iter} | parameters
                fits = [MiniBatchSGDRegressor(random_state=seed, **common).fit(X, y) for seed in range(args.seeds)]
                gap = max(map(value, fits)) / best - 1.0
                n_iter = max(model.n_iter_ for model in fits)
                yield {"problem": name, "objective": what, "solver": solver, "relative_gap": gap, "n_iter": n_iter}


# What must not matter


def invariance(args):
    """Give R2 below least squares, or the largest change of a prediction in standard deviations of y."""
    for name in names_of(args, [*problems.REAL, "curve"]):
        X, y = problems.draw(name, most_rows=args.most_rows)
        for solver in args.solvers:
            make = partial(MiniBatchSGDRegressor, solver=solver, random_state=0)
            for what, value, n_iter in [*gaps(make, X, y), *changes(make, X, y), *orders(make, X, y)]:
                yield {"problem": name, "solver": solver, "what": what, "value": value, "n_iter": n_iter}


def gaps(make, X, y):
    """R2 below least squares: by batch size, in float32, and of 20 calls of partial_fit over the rows in file order."""
    best = best_r2(X, y)
    for batch_size in BATCHES:
        if batch_size == "full" or batch_size <= 2 * len(y):
            model = make(batch_size=batch_size).fit(X, y)
            yield f"gap, batch_size {batch_size}", best - r2_of(model.predict(X), y), model.n_iter_
    X4 = X.astype(np.float32)
    if np.isfinite(X4.data if sparse.issparse(X) else X4).all():
        model = make().fit(X4, y)
        yield "gap, float32", best_r2(X4, y) - r2_of(model.predict(X4), y), model.n_iter_
    model = make()
    for rows in np.array_split(np.arange(len(y)), min(20, len(y) // 2)):
        model.partial_fit(X[rows], y[rows])
    yield "gap, partial_fit of 20 chunks", best - r2_of(model.predict(X), y), model.n_iter_


def changes(make, X, y):
    """Change of predictions by units of 1e-6, 1 and 1e6 in turn, and by offsets of 1e4 (dense data only)."""
    base, units = make().fit(X, y).predict(X), np.resize([1e-6, 1.0, 1e6], X.shape[1])
    others = {"units": X @ sparse.diags_array(units) if sparse.issparse(X) else X * units}
    others |= {} if sparse.issparse(X) else {"offsets": X + 1e4}
    for what, other in others.items():
        model = make().fit(other, y)
        yield f"change, {what}", np.abs(model.predict(other) - base).max() / y.std(), model.n_iter_


def orders(make, X, y):
    """R2 of steps alone with shuffle="blocks" below that with a permutation, of sorted rows (dense data only)."""
    for what, keys in () if sparse.issparse(X) else (("y", y), ("a feature", X[:, 0])):
        order, steps = np.argsort(keys, kind="stable"), partial(make, max_iter=EPOCHS, tol=None)
        permuted, blocks = (
            r2_of(steps(shuffle=shuffle).fit(X[order], y[order]).predict(X), y) for shuffle in (True, "blocks")
        )
        yield f"blocks, sorted by {what}", permuted - blocks, EPOCHS


PARTS = {"real": real, "hard": hard, "random": random, "losses": losses, "invariance": invariance}


def main():
    parser = make_parser(__doc__, PARTS, repeats=None, threads=2)
    parser.add_argument("--solvers", default="numba,torch", help="with commas between (default: %(default)s)")
    parser.add_argument(
        "--others", default=";".join(OTHERS), help="of part real, with semicolons (default: %(default)s)"
    )
    parser.add_argument("--forms", default=",".join(FORMS), help="with commas between (default: %(default)s)")
    parser.add_argument("--seeds", type=int, default=10, help="0 .. seeds - 1 (default: %(default)s)")
    parser.add_argument("--tol", type=float, default=1e-3, help="of our fits (default: %(default)s)")
    parser.add_argument("--max-iter", type=int, default=1000, help="of our fits (default: %(default)s)")
    parser.add_argument("--random", type=int, default=100, metavar="N", help="random problems (default: %(default)s)")
    parser.add_argument("--first-seed", type=int, default=0, help="of the random problems (default: %(default)s)")
    args = parser.parse_args()
    args.solvers = choose(parser, args.solvers, ("numba", "torch", "normal_equation"), ",")
    args.others = choose(parser, args.others, CONTENDERS)
    args.forms = choose(parser, args.forms, FORMS, ",")
    run_parts(parser, args, PARTS)


if __name__ == "__main__":
    main()
