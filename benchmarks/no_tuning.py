"""Default parameters on raw real data: ``python benchmarks/no_tuning.py --help``.

For each set: R2 below ordinary least squares (by SVD of scaled, centred columns; for sparse data by LSMR), epochs and
seconds of mini-batch SGD with default parameters, worst of some random states, next to SGDRegressor raw and scaled,
MLPRegressor without hidden layers, LinearRegression and the closed form.
"""

import argparse
import time
import warnings
from pathlib import Path

import environment

RESULTS = Path(__file__).parent / "results"
SLOW = 60.0
"""Seconds: of a contender that takes longer, one random state is fitted."""


def r2_of(predictions, y):
    import numpy as np

    with np.errstate(all="ignore"):
        return float(1.0 - np.square(predictions - y).mean() / np.var(y))


def best_r2(X, y):
    """R2 of ordinary least squares."""
    import numpy as np
    from scipy import sparse
    from scipy.sparse.linalg import lsmr

    if sparse.issparse(X):
        found = lsmr(
            sparse.hstack([X, np.ones((X.shape[0], 1))], format="csr"), y, atol=1e-13, btol=1e-13, maxiter=5000
        )
        return r2_of(X @ found[0][:-1] + found[0][-1], y)
    Z = X - X.mean(axis=0)
    norms = np.linalg.norm(Z, axis=0)
    left, singular, _ = np.linalg.svd(Z / np.where(norms > 0.0, norms, np.inf), full_matrices=False)
    left = left[:, singular > 1e-13 * max(1.0, X.shape[1] / 50) * singular[0]]
    centred = y - y.mean()
    return r2_of(left @ (left.T @ centred) + y.mean(), y)


def contenders(is_sparse=False):
    from sklearn.linear_model import LinearRegression, SGDRegressor
    from sklearn.neural_network import MLPRegressor
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    from sgdlinreg import MiniBatchSGDRegressor

    return {
        "numba": lambda seed: MiniBatchSGDRegressor(solver="numba", random_state=seed),
        "torch": lambda seed: MiniBatchSGDRegressor(solver="torch", random_state=seed),
        "closed form": lambda seed: MiniBatchSGDRegressor(solver="normal_equation"),
        "LinearRegression": lambda seed: LinearRegression(),
        "SGDRegressor": lambda seed: SGDRegressor(random_state=seed),
        "scaled SGDRegressor": lambda seed: make_pipeline(
            StandardScaler(with_mean=not is_sparse), SGDRegressor(random_state=seed)
        ),
        "MLPRegressor(())": lambda seed: MLPRegressor(hidden_layer_sizes=(), random_state=seed),
    }


def fit_all(X, y, make, n_seeds):
    """Worst R2, most epochs, median seconds and whether all fits say that they converged."""
    from statistics import median

    from sklearn.exceptions import ConvergenceWarning

    scores, epochs, seconds, converged = [], [], [], True
    for seed in range(n_seeds):
        model = make(seed)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            start = time.perf_counter()
            try:
                model.fit(X, y)
                scores.append(r2_of(model.predict(X), y))
            except ValueError:  # an error is an answer, too
                scores.append(float("nan"))
            seconds.append(time.perf_counter() - start)
        converged &= not any(issubclass(one.category, ConvergenceWarning) for one in caught)
        last = model[-1] if hasattr(model, "steps") else model
        epochs.append(getattr(last, "n_iter_", None) or 0)
        if seconds[-1] > SLOW:
            break
    return min(scores), max(epochs), median(seconds), converged


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", help="names, with commas between (default: all that are installed)")
    parser.add_argument("--contenders", help="names, with commas between (default: all)")
    parser.add_argument("--seeds", type=int, default=10, help="random states 0 .. seeds - 1 (default: 10)")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--output", type=Path, default=RESULTS / "no_tuning.csv")
    args = parser.parse_args()
    environment.fix_threads(args.threads)
    import real_data
    from run import choose, write
    from scipy import sparse

    shared = environment.describe(args.threads)
    print(", ".join(f"{name} {value}" for name, value in shared.items()))
    makers = choose(parser, args.contenders, contenders())
    rows = []
    for name, read in choose(parser, args.sets, real_data.available()).items():
        X, y = read()
        best = best_r2(X, y)
        print(f"\n{name}: {X.shape[0]} x {X.shape[1]}, R2 of OLS {best:.6f}")
        for contender in makers:
            make = contenders(sparse.issparse(X))[contender]
            random = contender not in ("closed form", "LinearRegression")
            score, epochs, seconds, converged = fit_all(X, y, make, args.seeds if random else 1)
            print(
                f"  {contender:20} R2 gap {best - score:10.2e}  epochs {epochs:5}  {seconds:8.3f} s  {converged}",
                flush=True,
            )
            rows.append(
                {
                    "set": name,
                    "n_rows": X.shape[0],
                    "n_features": X.shape[1],
                    "contender": contender,
                    "r2_of_ols": f"{best:.9f}",
                    "r2_gap": f"{best - score:.3e}",
                    "epochs": epochs,
                    "seconds": f"{seconds:.4g}",
                    "converged": converged,
                    **shared,
                }
            )
        write(args.output, rows)


if __name__ == "__main__":
    main()
