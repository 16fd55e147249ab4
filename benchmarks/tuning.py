"""What choosing a penalty costs: ``python benchmarks/tuning.py --help``.

Parts, all in one CSV file; "over_fit" is relative to one fit with a given penalty, "over_ours" to our search:

- ridge: 5 folds x 100 l2 penalties, beside GridSearchCV over Ridge and RidgeCV. These make a fit for each penalty, so
  that every 25th is fitted and the time multiplied.
- lasso, elasticnet: 5 folds x 100 penalties, 3 values of l1_ratio, beside LassoCV and ElasticNetCV.
- leave_one_out: 100 l2 penalties beside RidgeCV, with the memory that both take beside X.
- huber: 5 folds x 24 candidates by steps, beside GridSearchCV over the same fits and over SGDRegressor.
- real: 5 folds x 100 penalties, ridge and lasso, on real data: time, choice and score. The folds are shuffled, as some
  of the data are sorted.
- scores: how far the scores of all candidates are from those of scikit-learn's searches, on 20000 x 100.
- curves: the scores of these searches, which docs/images/tuning.png is drawn from.

What takes more than 20 seconds is timed once.
"""

import resource
import threading
import time
from functools import partial
from pathlib import Path

import numpy as np
import problems
from measuring import fit_clock, in_turn, make_parser, run_parts
from sklearn.linear_model import ElasticNetCV, LassoCV, Ridge, RidgeCV, SGDRegressor
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sgdlinreg import MiniBatchSGDRegressor, MiniBatchSGDRegressorCV

SHAPE = "200000 x 100"
REAL = ("birthdays", "diamonds", "california_housing")
RATIOS = [0.1, 0.5, 0.9]
EVERY = 25
SLOW = 20.0  # seconds: a contender that takes longer is timed once
OURS, FIT = "sgdlinreg", "one fit"
HUBER_ALPHAS, EPSILONS = [1e-6, 1e-4, 1e-2, 1e-1, 1.0, 10.0], [0.5, 1.0, 2.0, 4.0]


def compare(args, X, y, makers, factors=None, **about):
    """Give a row for each contender; where it fits a part of the penalties, its seconds are multiplied by a factor."""
    found = in_turn({name: fit_clock(make, X, y) for name, make in makers.items()}, args.repeats, SLOW)
    for name, factor in (factors or {}).items():
        found[name].seconds = [seconds * factor for seconds in found[name].seconds]
    for name, one in found.items():
        model = one.result and one.result.model
        yield {
            **about,
            "n_rows": X.shape[0],
            "n_features": X.shape[1],
            "name": name,
            "seconds": one.median,
            "over_fit": one.over(found[FIT]) if FIT in found else "",
            "over_ours": one.over(found[OURS]),
            "alpha": float(getattr(model, "alpha_", np.nan)),
            "score": float(getattr(model, "best_score_", np.nan)),
            "error": one.error,
        }


def ridge(args):
    """Compare searches over an l2 penalty."""
    X, y = problems.draw(SHAPE, most_rows=args.most_rows)
    alphas = np.geomspace(1e-6, 1e2, 100)
    in_units_of_ridge = alphas[::EVERY] * len(y) * 0.8  # folds of the same size
    grid = {"alpha": in_units_of_ridge}
    makers = {
        FIT: partial(MiniBatchSGDRegressor, alpha=1e-3),
        OURS: partial(MiniBatchSGDRegressorCV, alphas=alphas),
        "GridSearchCV(Ridge(cholesky))": lambda: GridSearchCV(Ridge(solver="cholesky"), grid, cv=5, n_jobs=2),
        "RidgeCV(cv=5)": partial(RidgeCV, in_units_of_ridge, cv=5),
    }
    yield from compare(args, X, y, makers, dict.fromkeys([*makers][2:], EVERY))


def lasso(args):
    """Compare searches over an l1 penalty."""
    X, y = problems.draw(SHAPE, most_rows=args.most_rows)
    makers = {
        FIT: partial(MiniBatchSGDRegressor, penalty="l1", alpha=1e-2),
        OURS: partial(MiniBatchSGDRegressorCV, penalty="l1"),
        "LassoCV": partial(LassoCV, cv=5, n_jobs=2),
    }
    yield from compare(args, X, y, makers)


def elasticnet(args):
    """Compare searches over an l1 and an l2 penalty."""
    X, y = problems.draw(SHAPE, most_rows=args.most_rows)
    makers = {
        FIT: partial(MiniBatchSGDRegressor, penalty="elasticnet", alpha=1e-2),
        OURS: partial(MiniBatchSGDRegressorCV, penalty="elasticnet", l1_ratio=RATIOS),
        "ElasticNetCV": partial(ElasticNetCV, l1_ratio=RATIOS, cv=5, n_jobs=2),
    }
    yield from compare(args, X, y, makers)


def leave_one_out(args):
    """Compare leave-one-out, and how much memory it takes beside X."""
    X, y = problems.draw(SHAPE, most_rows=args.most_rows)
    alphas = np.geomspace(1e-6, 1e2, 100)
    makers = {
        FIT: partial(MiniBatchSGDRegressor, alpha=1e-3),
        OURS: partial(MiniBatchSGDRegressorCV, alphas=alphas, cv=None),
        "RidgeCV": partial(RidgeCV, alphas * len(y)),
    }
    peaks = {name: peak_mebibytes(lambda make=make: make().fit(X, y)) for name, make in makers.items()}
    for row in compare(args, X, y, makers):
        yield row | {"peak_mib": peaks[row["name"]]}


def peak_mebibytes(action):
    """Return by how much the memory of the process grows at most while an action runs."""
    page, sizes, over = resource.getpagesize(), [], threading.Event()

    def watch():
        while not over.is_set():
            sizes.append(int(Path("/proc/self/statm").read_text().split()[1]) * page)
            time.sleep(0.002)

    watcher = threading.Thread(target=watch)
    watcher.start()
    time.sleep(0.05)
    action()
    over.set()
    watcher.join()
    return (max(sizes) - sizes[0]) / 2**20


def huber(args):
    """Compare searches by steps."""
    X, y = problems.draw(SHAPE, most_rows=args.most_rows)
    common = {"loss": "huber", "random_state": 0}
    grid = {"alpha": HUBER_ALPHAS, "epsilon": EPSILONS}
    sgd = {f"sgdregressor__{name}": values for name, values in grid.items()}
    makers = {
        OURS: partial(MiniBatchSGDRegressorCV, alphas=HUBER_ALPHAS, epsilon=EPSILONS, n_jobs=2, **common),
        "GridSearchCV(sgdlinreg)": lambda: GridSearchCV(MiniBatchSGDRegressor(**common), grid, n_jobs=2),
        "GridSearchCV(SGDRegressor)": lambda: GridSearchCV(
            make_pipeline(StandardScaler(), SGDRegressor(**common)), sgd, n_jobs=2
        ),
    }
    yield from compare(args, X, y, makers)


def scores(args):
    """Compare scores of all candidates, relative to their size, and the choice."""
    X, y = problems.draw("20000 x 100", most_rows=args.most_rows)
    alphas, n_rows, squares = np.geomspace(1e-6, 1e2, 100), len(y), {"scoring": "neg_mean_squared_error"}
    weight = np.random.default_rng(0).uniform(0.1, 10.0, n_rows)

    def row(name, ours, theirs, same):
        error = float(np.max(np.abs(ours - theirs) / np.abs(theirs)))
        return {
            "name": name,
            "n_rows": n_rows,
            "n_features": X.shape[1],
            "score_error": error,
            "same_choice": int(same),
        }

    ours = MiniBatchSGDRegressorCV(alphas=alphas).fit(X, y)
    theirs = GridSearchCV(Ridge(solver="cholesky"), {"alpha": alphas * n_rows * 0.8}, n_jobs=2).fit(X, y)
    found = theirs.cv_results_["mean_test_score"]
    yield row("GridSearchCV(Ridge)", ours.cv_results_["mean_test_score"], found, ours.best_index_ == theirs.best_index_)
    for name, weights in (("RidgeCV", None), ("RidgeCV, weighted", weight)):
        ours = MiniBatchSGDRegressorCV(alphas=alphas, cv=None).fit(X, y, weights)
        total = n_rows if weights is None else weights.sum()
        theirs = RidgeCV(alphas * total, store_cv_results=True).fit(X, y, weights)
        found = -np.average(theirs.cv_results_, axis=0, weights=None)
        if weights is not None:  # RidgeCV stores errors that are weighted already
            found = found * n_rows / total
        same = np.isclose(ours.alpha_ * total, theirs.alpha_)
        yield row(name, ours.cv_results_["mean_test_score"], found, same)
    for name, theirs, lists in (
        ("LassoCV", LassoCV(tol=1e-12, max_iter=100_000, n_jobs=2), {"penalty": "l1"}),
        (
            "ElasticNetCV",
            ElasticNetCV(l1_ratio=RATIOS, tol=1e-12, max_iter=100_000, n_jobs=2),
            {"penalty": "elasticnet", "l1_ratio": RATIOS},
        ),
    ):
        ours = MiniBatchSGDRegressorCV(**lists, **squares).fit(X, y)
        theirs.fit(X, y)
        same = np.isclose(ours.alpha_, theirs.alpha_)
        yield row(name, ours.cv_results_["mean_test_score"], -theirs.mse_path_.mean(axis=-1).ravel(), same)
    common = {"loss": "huber", "tol": 1e-6, "random_state": 0}
    grid = {"alpha": HUBER_ALPHAS, "epsilon": EPSILONS}
    ours = MiniBatchSGDRegressorCV(alphas=HUBER_ALPHAS, epsilon=EPSILONS, **common).fit(X, y)
    theirs = GridSearchCV(MiniBatchSGDRegressor(**common), grid, n_jobs=2).fit(X, y)
    found = theirs.cv_results_["mean_test_score"]
    yield row("GridSearchCV(huber)", ours.cv_results_["mean_test_score"], found, ours.best_index_ == theirs.best_index_)


def real_data(args):
    """Return the names of the data, and how they are searched."""
    names = args.problems or [name for name in REAL if problems.is_available(name)]
    common = {"cv": KFold(5, shuffle=True, random_state=0), "scoring": "r2"}
    return names, common


def alphas_for(X):
    """Return l2 penalties for columns of any unit."""
    return np.geomspace(1e-8, 1e2, 100) * X.var(axis=0).sum()


def real(args):
    """Compare choices and times on real data."""
    names, common = real_data(args)
    for name in names:
        X, y = problems.draw(name, most_rows=args.most_rows)
        alphas = alphas_for(X)
        makers = {
            FIT: MiniBatchSGDRegressor,
            OURS: partial(MiniBatchSGDRegressorCV, alphas=alphas, **common),
            "RidgeCV": partial(RidgeCV, alphas[::EVERY] * len(y) * 0.8, **common),
        }
        yield from compare(args, X, y, makers, {"RidgeCV": EVERY}, problem=name, penalty="l2")
        makers = {
            FIT: MiniBatchSGDRegressor,
            OURS: partial(MiniBatchSGDRegressorCV, penalty="l1", **common),
            "LassoCV": partial(LassoCV, cv=common["cv"], n_jobs=2),
        }
        yield from compare(args, X, y, makers, problem=name, penalty="l1")


def curves(args):
    """Give the mean score of every penalty, its standard error, and which one is chosen."""
    names, common = real_data(args)
    for name in names:
        X, y = problems.draw(name, most_rows=args.most_rows)
        for penalty, alphas in (("l2", alphas_for(X)), ("l1", 100)):
            model = MiniBatchSGDRegressorCV(penalty=penalty, alphas=alphas, **common).fit(X, y)
            found = model.cv_results_
            for alpha, mean, std in zip(
                found["param_alpha"], found["mean_test_score"], found["std_test_score"], strict=True
            ):
                yield {
                    "problem": name,
                    "penalty": penalty,
                    "name": OURS,
                    "alpha": float(alpha),
                    "score": mean,
                    "standard_error": std / 2.0,
                    "chosen": int(alpha == model.alpha_),
                }


PARTS = {
    "ridge": ridge,
    "lasso": lasso,
    "elasticnet": elasticnet,
    "leave_one_out": leave_one_out,
    "huber": huber,
    "real": real,
    "scores": scores,
    "curves": curves,
}

if __name__ == "__main__":
    parser = make_parser(__doc__, PARTS, repeats=5, threads=2)
    run_parts(parser, parser.parse_args(), PARTS, "tuning.csv")
