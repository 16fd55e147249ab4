"""Whether fits with default parameters are right, and know it: ``python benchmarks/correctness.py --help``.

Parts:

- real: raw real data, beside other estimators. Largest R2 below least squares over some seeds, passes, seconds, what
  `optimality_gap_` said where R2 was lowest, and its ratios to what was missing, where that was more than 1e-10.
- hard: the same of data on which steps alone go wrong, as a dense array, a CSR array and seven blocks of a source.
- random: N random problems with weights, targets and penalties. How often `optimality_gap_` is right, how many fits are
  more than tol away without a warning, and the ten worst.
- losses: other losses than the squared error, and l2; epsilon is a tenth of y's standard deviation.
- quantile: the quantiles 0.1, 0.5 and 0.9. Largest relative distance of the loss from that of the linear programme,
  which HiGHS solves, what `optimality_gap_` said there in the same unit and how far beyond it the distance is, and how
  far the fraction of rows at or below the predictions is from the quantile; for up to 5000 rows also the distance and
  seconds of QuantileRegressor. At last N random small problems, in units of the loss of the constant model.
- dependent: the closed form on N random problems with columns that depend on each other, exactly or up to rounding. How
  often training R2 by predict is below that of LinearRegression, and of scipy's lstsq on scaled columns, by more than
  1e-6, in float32 1e-5, and by how much at most.
- constrained: an l1 penalty, elastic net and coefficients >= 0 for every loss on N random problems. The largest
  distance from the optimum, in units of the loss of the constant model, fits that are more than 1e-4 away without a
  warning, warnings, and coefficients above 1e-6 of the largest in one of both supports. Then 300 x 5000 beside Lasso.
- invariance: what must not matter: batch size, dtype, units, offsets, the order of the rows.
"""

import math
from functools import partial
from itertools import product
from statistics import median
from typing import NamedTuple

import constrained as bounded
import numpy as np
import problems
from contenders import CONTENDERS, usable
from measuring import CUTOFF, Timing, best_r2, choose, fit_clock, in_turn, make_parser, r2_of, run_parts
from scipy import sparse
from scipy.linalg import lstsq
from scipy.optimize import linprog, minimize
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import Lasso, LinearRegression, QuantileRegressor
from sklearn.metrics import mean_pinball_loss

from sgdlinreg import MiniBatchSGDRegressor

FORMS = ("dense", "csr", "source")
OTHERS = ("sgdlinreg, closed form", "LinearRegression", "SGDRegressor", "StandardScaler+SGDRegressor", "MLPRegressor")
EXACT = ("sgdlinreg, closed form", "LinearRegression")  # seeds do not matter to these
SLOW = 60.0  # seconds: of a contender that takes longer, one seed is fitted
VISIBLE = 1e-10  # gaps below it are not compared: rounding has a part in them
WIDTHS = (1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6)  # of the rounded kink, in standard deviations of y
BATCHES = (1, 8, 32, 256, 4096, "full")
QUANTILES = (0.1, 0.5, 0.9)
HARD_QUANTILES = (0.001, 0.1, 0.5, 0.99)  # of small problems
ROWS = (4_000, 10_000, None)  # of the part quantile; None: all
PROGRAMME_ROWS = 5_000  # up to so many rows QuantileRegressor is fitted, too
CLOSE = 1e-4  # distance from the optimum, in units of the loss of the constant model
EPOCHS = 8  # of fits by steps alone that compare two orders of the rows


def form_clock(make, X, y, weight, form):
    """Return a clock of fits of one form of the data."""
    columns, keywords = ([X, y], {}) if weight is None else ([X, y, weight], {"sample_weight": weight})
    if form == "source":
        blocks = np.array_split(np.arange(len(y)), min(7, len(y)))
        return fit_clock(make, [[column[rows] for column in columns] for rows in blocks], method="fit_source")
    return fit_clock(make, sparse.csr_array(X) if form == "csr" else X, y, **keywords)


class Outcome(NamedTuple):
    """What a fit says that it misses, nan where it says nothing, what it does miss, and whether it warned."""

    timing: Timing
    said: float
    missing: float
    warned: bool

    @property
    def ratio(self):
        """What was said over what was missing; nan where that is too little to tell."""
        return self.said / self.missing if self.missing > VISIBLE else math.nan


def outcomes(clocks, missing_of):
    """Fit each contender once and look at the model; by name."""
    found = {}
    for key, one in in_turn(clocks, 0, slow=0.0).items():  # the warm-up is the fit
        if one.error:
            found[key] = Outcome(one, math.nan, math.nan, False)
            continue
        model, warned = one.result.model, [issubclass(it.category, ConvergenceWarning) for it in one.result.warnings]
        found[key] = Outcome(one, float(getattr(model, "optimality_gap_", math.nan)), missing_of(model), any(warned))
    return found


def compare(args, names, others, forms):
    """Compare R2 of default fits, and perhaps of other estimators, with least squares."""
    for name in problems.chosen(args, names):
        fits = {}
        for seed in range(args.seeds):  # it draws the data and is the random state
            X, y = problems.draw(name, seed, args.most_rows)
            best = best_r2(X, y) if y.std() > 1e-12 * np.abs(y).max() else math.nan
            makers = {solver: ours(args, solver, seed) for solver in args.solvers}
            makers |= usable(others, X, seed)
            done = {key for key, past in fits.items() if key[0] in EXACT or past[-1].timing.median > SLOW}
            todo = [key for key in product(makers, forms) if key not in done]
            clocks = {(who, form): form_clock(makers[who], X, y, None, form) for who, form in todo}
            for key, one in outcomes(clocks, partial(missing_r2, X, y, best)).items():
                fits.setdefault(key, []).append(one)
        about = {"problem": name, "n_rows": X.shape[0], "n_features": X.shape[1], "r2_of_ols": best}
        for (who, form), found in fits.items():
            yield about | {"seeds": len(found), "solver": who, "form": form} | summary(found)


def missing_r2(X, y, best, model):
    """Return how far R2 is below the best one; for constant y the mean square relative to that of y."""
    predictions = model.predict(X)
    return float(np.square(predictions / y[0] - 1.0).mean()) if math.isnan(best) else best - r2_of(predictions, y)


def ours(args, solver, seed, **parameters):
    about = {"solver": solver, "random_state": seed, "tol": args.tol, "max_iter": args.max_iter}
    return partial(MiniBatchSGDRegressor, **about, **parameters)


def summary(found):
    """Return the columns that sum up the fits of all seeds."""
    worst = max(found, key=lambda one: math.inf if math.isnan(one.missing) else one.missing)
    ratios = [one.ratio for one in found if one.missing > VISIBLE]
    n_iter = max(one.timing.result.n_iter or 0 if one.timing.result else 0 for one in found)
    row = {"r2_gap": worst.missing, "n_iter": n_iter, "seconds": median(one.timing.median for one in found)}
    row |= {"said": worst.said, "lowest_ratio": min(ratios, default=math.nan)}
    row |= {"highest_ratio": max(ratios, default=math.nan), "warnings": sum(one.warned for one in found)}
    return row | {"error": next((one.timing.error for one in found if one.timing.error), "")}


def least_squares(X, y, weight=None, alpha=0.0, fit_intercept=True):
    """Return the coefficients of the optimum for each target, and predictions, by SVD of the scaled, weighted rows."""
    n_rows, n_features = X.shape
    share = np.full(n_rows, 1.0 / n_rows) if weight is None else weight / weight.sum()
    x_mean, y_mean = (share @ X, share @ y) if fit_intercept else (np.zeros(n_features), np.zeros(y.shape[1]))
    scale = np.sqrt(share @ (X - x_mean) ** 2 + alpha)
    scale[scale == 0.0] = 1.0
    Z, root = (X - x_mean) / scale, np.sqrt(share)[:, None]
    rows = np.vstack([root * Z, np.diag(np.sqrt(alpha) / scale)])
    target = np.vstack([root * (y - y_mean), np.zeros((n_features, y.shape[1]))])
    scaled = np.linalg.lstsq(rows, target, rcond=CUTOFF)[0]
    return (scaled / scale[:, None]).T, Z @ scaled + y_mean


def truth(X, y, weight, alpha, fit_intercept):
    """Return a function of a model that gives 2 * (F - F*) over the variance of y, the largest of the targets.

    F - F* is quadratic in the distance from the optimum, which keeps the digits that a difference of losses loses.
    """
    coef, predictions = least_squares(X, y, weight, alpha, fit_intercept)
    mean_of = partial(np.average, axis=0, weights=weight)
    variance = mean_of(np.square(y - (mean_of(y) if fit_intercept else 0.0)))

    def missing_of(model):
        moved = np.reshape(model.predict(X), y.shape) - predictions
        penalty = alpha * np.square(np.reshape(model.coef_, coef.shape) - coef).sum(axis=1)
        return float(((mean_of(np.square(moved)) + penalty) / variance).max())

    return missing_of


def random(args):
    """Fit random problems, print how often `optimality_gap_` is right, and give the worst fits."""
    found = []
    for seed in range(args.first_seed, args.first_seed + args.random):
        X, y, weight, alpha, fit_intercept = problems.draw_random(seed)
        missing_of = truth(X, np.reshape(y, (len(y), -1)), weight, alpha, fit_intercept)
        about = {"seed": seed, "n_rows": len(y), "n_features": X.shape[1], "n_targets": y.size // len(y)}
        about |= {"alpha": alpha, "weights": weight is not None, "fit_intercept": fit_intercept}
        for solver in args.solvers:
            make = ours(args, solver, seed, alpha=alpha, fit_intercept=fit_intercept)
            clocks = {form: form_clock(make, X, y, weight, form) for form in args.forms}
            for form, one in outcomes(clocks, missing_of).items():
                found.append((one, about | {"solver": solver, "form": form, "error": one.timing.error}))
    for one, row in worst_of(found, args.tol):
        yield {"missing": one.missing, "said": one.said, "ratio": one.ratio, "warned": one.warned} | row


def worst_of(found, tol):
    """Print how often `optimality_gap_` is right to a factor of 3; return the worst fits, errors first."""

    def distance(one):  # fits that said nothing are the worst
        return abs(math.log(one.ratio)) if one.ratio > 0.0 else math.inf

    def is_silent(one):
        return one.missing > tol and not one.warned

    seen = [(one, row) for one, row in found if one.timing.error or one.missing > VISIBLE]
    right = sum(distance(one) <= math.log(3.0) for one, _ in seen)
    print(f"{len(found)} fits, {len(seen)} of which miss more than {VISIBLE:g}")
    print(f"optimality_gap_ within a factor of 3 of it: {right}, {100.0 * right / max(len(seen), 1):.1f} %")
    loud = sum(bool(one.warned or one.timing.error) for one, _ in found)
    print(f"more than tol away, without a warning: {sum(is_silent(one) for one, _ in found)}; warnings, errors: {loud}")
    return sorted(seen, key=lambda it: (not it[0].timing.error, not is_silent(it[0]), -distance(it[0])))[:10]


def rounded(loss, epsilon, residual, width=1e-12):
    """Return losses and their slopes, from the definition; the kink of a loss is rounded over a width."""
    size, sign = np.abs(residual), np.sign(residual)
    if loss == "huber":
        inside = np.minimum(size, epsilon)
        return inside * (size - 0.5 * inside), sign * inside
    if loss == "squared_epsilon_insensitive":
        outside = np.maximum(size - epsilon, 0.0)
        return outside**2, 2.0 * sign * outside
    excess = (size - epsilon) / width
    return np.logaddexp(0.0, excess) * width, sign / (1.0 + np.exp(-np.clip(excess, -500, 500)))


def smallest_loss(loss, epsilon, X, y):
    """Return the smallest mean loss, by L-BFGS on standardised columns, a kink rounded in ever smaller widths."""
    Z = np.column_stack([(X - X.mean(axis=0)) / X.std(axis=0), np.ones(len(X))])

    def function(v, width):
        values, slopes = rounded(loss, epsilon, Z @ v - y, width)
        return values.mean() / y.std(), Z.T @ slopes / len(y) / y.std()

    v = np.linalg.lstsq(Z, y, rcond=None)[0]
    options = {"maxiter": 20_000, "maxfun": 50_000, "ftol": 1e-16, "gtol": 1e-12, "maxcor": 30}
    for width in WIDTHS:
        v = minimize(function, v, (width * y.std(),), "L-BFGS-B", jac=True, options=options).x
    return rounded(loss, epsilon, Z @ v - y)[0].mean()


def objectives(X, y):
    """Give the parameters, the smallest value and a function of predictions and coefficients for each objective."""
    epsilon = 0.1 * y.std()
    for loss in ("huber", "epsilon_insensitive", "squared_epsilon_insensitive"):

        def mean_loss(predictions, coef, loss=loss):
            return rounded(loss, epsilon, predictions - y)[0].mean()

        yield {"loss": loss, "epsilon": epsilon}, smallest_loss(loss, epsilon, X, y), mean_loss
    for alpha in (1e-3, 1.0):

        def ridge(predictions, coef, alpha=alpha):
            return 0.5 * np.square(predictions - y).mean() + 0.5 * alpha * np.square(coef).sum()

        coef, predictions = least_squares(X, y[:, None], alpha=alpha)
        yield {"alpha": alpha}, ridge(predictions[:, 0], coef), ridge


def losses(args):
    """Compare other objectives with their optimum."""
    for name in problems.chosen(args, ("diabetes", "california_housing", "diamonds")):
        X, y = problems.draw(name, most_rows=args.most_rows)
        for parameters, best, value in objectives(X, y):
            for solver in args.solvers:
                fits = [ours(args, solver, seed, **parameters)().fit(X, y) for seed in range(args.seeds)]
                row = {"problem": name, "objective": parameters.get("loss", f"l2, alpha {parameters.get('alpha')}")}
                row |= {"solver": solver, "n_iter": max(one.n_iter_ for one in fits)}
                yield row | {"relative_gap": max(value(one.predict(X), one.coef_) for one in fits) / best - 1.0}


def quantile(args):
    """Compare quantiles with the optimum of the linear programme."""
    for name in problems.chosen(args, ("growing noise", "diabetes", "california_housing")):
        X, y = problems.draw(name, most_rows=args.most_rows)
        for n_rows in sorted({min(n or len(y), len(y)) for n in ROWS}):
            for share in QUANTILES:
                about = {"problem": name, "n_rows": n_rows, "quantile": share}
                yield from (about | row for row in quantile_rows(args, X[:n_rows], y[:n_rows], share))
    for solver in args.solvers:
        yield small_quantiles(args, solver)


def small_quantiles(args, solver):
    """Compare quantiles of random small problems: many ties, levels, heavy tails."""
    found = []
    for seed in range(args.first_seed, args.first_seed + args.random):
        rng = np.random.default_rng(seed)
        n_rows, n_features = int(20 * 150 ** rng.uniform()), int(rng.integers(1, 31))
        X = rng.standard_t(rng.choice([1.5, 30.0]), (n_rows, n_features))
        if rng.uniform() < 0.3:
            X = np.eye(n_features + 1)[rng.integers(0, n_features + 1, n_rows)]
        y = X @ rng.standard_normal(X.shape[1]) + rng.standard_t(2, n_rows)
        y, share = np.round(y) if rng.uniform() < 0.3 else y, float(rng.choice(HARD_QUANTILES))
        unit = mean_pinball_loss(y, np.full(n_rows, np.quantile(y, share, method="inverted_cdf")), alpha=share)
        make = ours(args, solver, seed, loss="quantile", quantile=share)
        _, fit = form_clock(make, X, y, None, args.forms[seed % len(args.forms)])()
        missing = mean_pinball_loss(y, fit.model.predict(X), alpha=share) - smallest_pinball_loss(X, y, share)
        warned = any(issubclass(it.category, ConvergenceWarning) for it in fit.warnings)
        found.append((missing / unit, fit.model.optimality_gap_, warned, fit.model.n_iter_))
    missing, said, warned, n_iter = map(np.array, zip(*found, strict=True))
    row = {"problem": f"{len(found)} small ones", "solver": solver, "missing": missing.max(), "n_iter": n_iter.max()}
    row |= {"beyond_said": (missing - said).max(), "warnings": warned.sum()}
    return row | {"silent": int((~warned & (missing > args.tol)).sum())}


def quantile_rows(args, X, y, share):
    """Give a row for each contender."""
    best = smallest_pinball_loss(X, y, share)
    unit = mean_pinball_loss(y, np.full(len(y), np.quantile(y, share)), alpha=share)
    about = {"loss": "quantile", "quantile": share}
    makers = {
        (solver, seed): ours(args, solver, seed, **about) for solver in args.solvers for seed in range(args.seeds)
    }
    if len(y) <= PROGRAMME_ROWS:
        makers["QuantileRegressor", 0] = partial(QuantileRegressor, quantile=share, alpha=0.0, solver="highs")
    fits = in_turn({who: fit_clock(make, X, y) for who, make in makers.items()}, 1)
    for who in dict.fromkeys(who for who, _ in fits):
        found = [one for (whose, _), one in fits.items() if whose == who]
        predictions = [one.result.model.predict(X) for one in found]
        gaps = [mean_pinball_loss(y, one, alpha=share) / best - 1.0 for one in predictions]
        said = getattr(found[int(np.argmax(gaps))].result.model, "optimality_gap_", math.nan) * unit / best
        row = {"solver": who, "relative_gap": max(gaps), "said": said, "beyond_said": max(gaps) - said}
        row["coverage_error"] = max(abs(np.mean(y <= one) - share) for one in predictions)
        row["n_iter"] = max(one.result.n_iter or 0 for one in found)
        yield row | {"seconds": median(one.median for one in found)}


def smallest_pinball_loss(X, y, share):
    """Return the smallest mean pinball loss: the optimum of the dual linear programme, by HiGHS."""
    scale = X.std(axis=0)
    Z = np.column_stack([(X - X.mean(axis=0)) / np.where(scale > 0.0, scale, 1.0), np.ones(len(y))])
    return -linprog(-y / len(y), A_eq=Z.T, b_eq=np.zeros(Z.shape[1]), bounds=(share - 1.0, share), method="highs").fun


def constrained(args):
    """Compare every loss with l1, elastic net and coefficients >= 0 with the optimum, and a wide problem with Lasso."""
    found = {}
    for seed in range(args.first_seed, args.first_seed + args.random):
        problem = bounded.draw(seed)
        coef, intercept = bounded.optimum(problem)
        best, form = problem.value(coef, intercept), args.forms[seed // 12 % len(args.forms)]
        scale = np.sqrt(problem.share @ (problem.X - problem.share @ problem.X) ** 2)
        for solver in args.solvers:
            make = ours(args, solver, seed, **problem.parameters)
            _, fit = form_clock(make, problem.X, problem.y, problem.share, form)()
            missing = (problem.value(fit.model.coef_, fit.model.intercept_) - best) / problem.unit
            supports = [np.abs(it) * scale > 1e-6 * (np.abs(it) * scale).max() for it in (fit.model.coef_, coef)]
            warned = any(issubclass(it.category, ConvergenceWarning) for it in fit.warnings)
            row = missing, warned, (supports[0] != supports[1]).sum(), supports[1].sum(), fit.model.n_iter_
            found.setdefault((problem.loss, problem.penalty, solver), []).append(row)
    for (loss, penalty, solver), rows in sorted(found.items()):
        missing, warned, differ, size, n_iter = map(np.array, zip(*rows, strict=True))
        row = {"objective": f"{loss}, {penalty}", "solver": solver, "problems": len(rows), "missing": missing.max()}
        row |= {"lowest": missing.min(), "silent": int((~warned & (missing > CLOSE)).sum()), "warnings": warned.sum()}
        yield row | {"support": size.sum(), "differ": differ.sum(), "n_iter": n_iter.max()}
    yield from wide(args)


def wide(args, n_rows=300, n_features=5000, alpha=0.1):
    """Compare many more columns than rows with Lasso, in turns."""
    for seed in range(args.first_seed, args.first_seed + min(args.seeds, 3)):
        rng = np.random.default_rng(seed)
        X, coef = rng.standard_normal((n_rows, n_features)), np.zeros(n_features)
        coef[:10] = 3.0 * rng.standard_normal(10)
        y = X @ coef + rng.standard_normal(n_rows)
        makers = {solver: ours(args, solver, seed, penalty="l1", alpha=alpha) for solver in args.solvers}
        makers["Lasso"] = partial(Lasso, alpha)
        turns = in_turn({name: fit_clock(make, X, y) for name, make in makers.items()}, 5)
        best = Lasso(alpha, tol=1e-10, max_iter=100_000).fit(X, y)

        def value(model, X=X, y=y):
            return 0.5 * np.square(model.predict(X) - y).mean() + alpha * np.abs(model.coef_).sum()

        for name, one in turns.items():
            model = one.result.model
            row = {"solver": name, "missing": (value(model) - value(best)) / (0.5 * y.var()), "n_iter": model.n_iter_}
            row |= {"nonzero": np.count_nonzero(model.coef_), "of": np.count_nonzero(best.coef_)}
            yield row | {"seconds": one.median, "over_lasso": one.over(turns["Lasso"])}


def invariance(args):
    """Fit what must not matter: R2 that is missing, or the change of predictions in standard deviations of y."""
    for name in problems.chosen(args, [*problems.REAL, "curve"]):
        X, y = problems.draw(name, most_rows=args.most_rows)
        for solver in args.solvers:
            make = partial(MiniBatchSGDRegressor, solver=solver, random_state=0)
            for what, value, n_iter in variations(make, X, y):
                yield {"problem": name, "solver": solver, "what": what, "value": value, "n_iter": n_iter}


def variations(make, X, y):
    """Vary batches, dtype, calls, units, offsets and the order of rows; dense data alone are offset and sorted."""
    best, is_sparse = best_r2(X, y), sparse.issparse(X)
    for batch_size in BATCHES:
        if batch_size == "full" or batch_size <= 2 * len(y):
            model = make(batch_size=batch_size).fit(X, y)
            yield f"gap, batch_size {batch_size}", best - r2_of(model.predict(X), y), model.n_iter_
    X4 = X.astype(np.float32)
    if np.isfinite(X4.data if is_sparse else X4).all():
        model = make().fit(X4, y)
        yield "gap, float32", best_r2(X4, y) - r2_of(model.predict(X4), y), model.n_iter_
    model = make()
    for rows in np.array_split(np.arange(len(y)), min(20, len(y) // 2)):
        model.partial_fit(X[rows], y[rows])
    yield "gap, partial_fit of 20 chunks", best - r2_of(model.predict(X), y), model.n_iter_
    base, units = make().fit(X, y).predict(X), np.resize([1e-6, 1.0, 1e6], X.shape[1])
    others = {"units": X @ sparse.diags_array(units)} if is_sparse else {"units": X * units, "offsets": X + 1e4}
    for what, other in others.items():
        model = make().fit(other, y)
        yield f"change, {what}", np.abs(model.predict(other) - base).max() / y.std(), model.n_iter_
    for what, keys in [] if is_sparse else [("y", y), ("a feature", X[:, 0])]:
        order, steps = np.argsort(keys, kind="stable"), partial(make, max_iter=EPOCHS, tol=None)
        models = [steps(shuffle=shuffle).fit(X[order], y[order]) for shuffle in (True, "blocks")]
        permuted, blocks = (r2_of(model.predict(X), y) for model in models)
        yield f"blocks below a permutation, sorted by {what}", permuted - blocks, EPOCHS


def dependent(args):
    """Compare R2 of predictions by the closed form with that of other solutions, in the dtype of X."""
    for kind, dtype in product(problems.DEPENDENT, (np.float64, np.float32)):
        below = {"LinearRegression": [], "scaled lstsq": []}
        for seed in range(args.first_seed, args.first_seed + max(1, args.random // 10)):
            X, y = problems.draw_dependent(kind, seed)
            with np.errstate(over="ignore"):
                X = X.astype(dtype)
            if not np.isfinite(X).all():
                continue
            try:
                ours = r2_of(MiniBatchSGDRegressor(solver="normal_equation").fit(X, y).predict(X), y)
            except ValueError:  # coefficients leave the range of float32, which is said
                continue
            below["LinearRegression"].append(r2_of(LinearRegression().fit(X, y).predict(X), y) - ours)
            below["scaled lstsq"].append(r2_of(predictions_of_lstsq(X, y), y) - ours)
        for other, gaps in below.items():
            least = 1e-6 if dtype is np.float64 else 1e-5
            row = {"kind": kind, "dtype": np.dtype(dtype).name, "other": other, "problems": len(gaps)}
            yield row | {"below": sum(gap > least for gap in gaps), "largest": max(gaps, default=math.nan)}


def predictions_of_lstsq(X, y):
    """Return predictions of least squares on scaled columns, by its coefficients in the units and the dtype of X."""
    wide = X.astype(np.float64)
    mean = wide.mean(axis=0)
    mean += (wide - mean).mean(axis=0)
    scale = np.sqrt(np.square(wide - mean).mean(axis=0))
    scale[scale <= 16.0 * np.finfo(float).eps * np.abs(mean)] = np.inf
    coef = lstsq((wide - mean) / scale, y - y.mean())[0] / scale
    intercept = y.mean() - mean @ coef
    return (wide @ coef.astype(X.dtype).astype(np.float64) + intercept).astype(X.dtype)


PARTS = {
    "real": lambda args: compare(args, problems.REAL, args.others, ("dense",)),
    "hard": lambda args: compare(args, problems.HARD, (), args.forms),
    **{part.__name__: part for part in (random, losses, quantile, dependent, constrained, invariance)},
}


def main():
    parser = make_parser(__doc__, PARTS, repeats=None, threads=2)
    parser.add_argument("--solvers", default="numba,torch", help="with commas between (default: %(default)s)")
    parser.add_argument("--others", default=";".join(OTHERS), help="of part real (default: %(default)s)")
    parser.add_argument("--forms", default=",".join(FORMS), help="with commas between (default: %(default)s)")
    for name, default, about in (
        ("--seeds", 10, "0 .. seeds - 1"),
        ("--tol", 1e-3, "of our fits"),
        ("--max-iter", 1000, "of our fits"),
        ("--random", 100, "number of random problems"),
        ("--first-seed", 0, "of the random problems"),
    ):
        parser.add_argument(name, type=type(default), default=default, help=f"{about} (default: %(default)s)")
    args = parser.parse_args()
    args.solvers = choose(parser, args.solvers, ("numba", "torch", "normal_equation"), ",")
    args.others = choose(parser, args.others, CONTENDERS)
    args.forms = choose(parser, args.forms, FORMS, ",")
    run_parts(parser, args, PARTS)


if __name__ == "__main__":
    main()
