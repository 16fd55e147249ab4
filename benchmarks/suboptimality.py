"""How far a model is from least squares after some seconds: ``python benchmarks/suboptimality.py --help``.

Each contender is fitted anew with 1, 2, 3, 5, 8, ... epochs and no other rule to stop; the gap is R2 of ordinary least
squares less its own, on the training data. A contender drops out after a fit of more than LIMIT seconds. Dense
features are standardised for all but sgdlinreg, within the timed fit. The exact solvers and our default fit, which
decides on its epochs, are one point each. One thread.
"""

import time
import warnings
from statistics import median

import environment

EPOCHS = (1, 2, 3, 5, 8, 13, 21, 34, 55, 89)
LIMIT = {False: 2.0, True: 0.1}
"""Seconds by --fast."""
ONCE = 0.5
"""Seconds: a fit that takes longer is made once."""


def iterative(is_sparse):
    """Makers of estimators that take a number of epochs, by name."""
    import adapters
    from contenders import available
    from sklearn.linear_model import SGDRegressor
    from sklearn.neural_network import MLPRegressor
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    from sgdlinreg import MiniBatchSGDRegressor

    def scaled(model):
        return model if is_sparse else make_pipeline(StandardScaler(), model)

    found = {
        "sgdlinreg-numba": lambda n: MiniBatchSGDRegressor(solver="numba", tol=None, max_iter=n, random_state=0),
        "SGDRegressor": lambda n: scaled(SGDRegressor(tol=None, max_iter=n, random_state=0)),
        "MLPRegressor": lambda n: scaled(
            MLPRegressor(hidden_layer_sizes=(), tol=0.0, n_iter_no_change=n, max_iter=n, random_state=0)
        ),
    }
    classes = {
        "Vowpal Wabbit": adapters.VowpalWabbit,
        "torch-loop": adapters.TextbookTorchLoop,
        "skorch": adapters.Skorch,
        "Keras": adapters.Keras,
        "river": adapters.River,
    }
    installed = available()
    return found | {
        name: make
        for name, make in classes.items()
        if name in installed and (installed[name].accepts_sparse or not is_sparse)
    }


def single():
    """Makers of estimators that take no number of epochs, by name."""
    from contenders import available

    from sgdlinreg import MiniBatchSGDRegressor

    others = ("LinearRegression", "scikit-learn-intelex")
    return {
        "sgdlinreg-numba, default": lambda: MiniBatchSGDRegressor(solver="numba", random_state=0),
        "sgdlinreg, closed form": lambda: MiniBatchSGDRegressor(solver="normal_equation"),
    } | {name: one.make for name, one in available().items() if name in others}


def problems(fast):
    import real_data
    from epochs import draw

    yield "synthetic", draw(2_000 if fast else 100_000, 20, "float64")
    for name, read in real_data.available().items():
        if name in ("california_housing", "diamonds", "insteval") and not fast:
            yield name, read()


def seconds_of_fits(makers, X, y, repeats):
    """Median seconds of each, fitted in turn, and R2."""
    from no_tuning import r2_of

    found, scores = {name: [] for name in makers}, {}
    for _ in range(repeats):
        for name, make in makers.items():
            if found[name] and found[name][0] > ONCE:
                continue
            start = time.perf_counter()
            model = make().fit(X, y)
            found[name].append(time.perf_counter() - start)
            scores[name] = r2_of(model.predict(X), y)
    return {name: (median(values), scores[name]) for name, values in found.items()}


def points(X, y, fast, repeats):
    """Name, epochs, seconds and R2 of each fit."""
    from scipy import sparse

    makers = iterative(sparse.issparse(X))
    for make in makers.values():  # imports and compiles
        make(1).fit(X[:100], y[:100])
    for make in single().values():
        make().fit(X[:100], y[:100])
    for name, (seconds, r2) in seconds_of_fits(single(), X, y, repeats).items():
        yield name, "", seconds, r2
    for epochs in EPOCHS:
        turn = {name: lambda make=make, epochs=epochs: make(epochs) for name, make in makers.items()}
        for name, (seconds, r2) in seconds_of_fits(turn, X, y, repeats).items():
            yield name, epochs, seconds, r2
            if seconds > LIMIT[fast]:
                del makers[name]


def main():
    parser = environment.make_parser("suboptimality", __doc__, repeats=3)
    args = parser.parse_args()
    environment.fix_threads(1)
    from no_tuning import best_r2
    from run import write

    about = environment.describe(1)
    print(", ".join(f"{name} {value}" for name, value in about.items()))
    warnings.simplefilter("ignore")
    rows = []
    for problem, (X, y) in problems(args.fast):
        best = best_r2(X, y)
        for name, epochs, seconds, r2 in points(X, y, args.fast, args.repeats):
            row = {"problem": problem, "name": name, "epochs": epochs, "seconds": seconds, "r2_gap": best - r2}
            rows.append(row | about)
            print(f"{problem:20} {name:28} {epochs:>3} epochs {seconds:8.4f} s  gap {best - r2:9.2e}", flush=True)
        write(args.output, rows)


if __name__ == "__main__":
    main()
