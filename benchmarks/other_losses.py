"""Huber and epsilon-insensitive losses on raw real data: ``python benchmarks/other_losses.py --help``.

epsilon is a tenth of y's standard deviation. The optimum is that of L-BFGS on standardised columns, on the same
objective; the kink of the epsilon-insensitive loss is rounded in ever smaller widths for it.
"""

import argparse

import environment

WIDTHS = (1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6)
"""Of the rounding, in standard deviations of y."""


def optimum(loss, epsilon, X, y):
    """Smallest mean loss of a linear model."""
    import numpy as np
    from scipy.optimize import minimize

    Z = np.column_stack([(X - X.mean(axis=0)) / X.std(axis=0), np.ones(len(X))])

    def rounded(residual, width):
        size = np.abs(residual)
        if loss == "huber":
            inside = np.minimum(size, epsilon)
            return inside * (size - 0.5 * inside), np.sign(residual) * inside
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


def mean_loss(loss, epsilon, residual):
    """Mean of a loss, from its definition."""
    import numpy as np

    size = np.abs(residual)
    if loss == "huber":
        return float(np.where(size <= epsilon, 0.5 * size**2, epsilon * (size - 0.5 * epsilon)).mean())
    return float(np.maximum(size - epsilon, 0.0).mean())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", default="diabetes,california_housing,diamonds", help="names, with commas between")
    parser.add_argument("--solvers", default="numba,torch", help="names, with commas between")
    parser.add_argument("--seeds", type=int, default=10, help="random states 0 .. seeds - 1 (default: 10)")
    args = parser.parse_args()
    environment.fix_threads(2)
    import real_data
    from run import choose

    from sgdlinreg import MiniBatchSGDRegressor

    print(", ".join(f"{name} {value}" for name, value in environment.describe(2).items()))
    for name, read in choose(parser, args.sets, real_data.available()).items():
        X, y = read()
        epsilon = 0.1 * y.std()
        for loss in ("huber", "epsilon_insensitive"):
            best = optimum(loss, epsilon, X, y)
            for solver in args.solvers.split(","):
                gaps, epochs = [], []
                for seed in range(args.seeds):
                    model = MiniBatchSGDRegressor(loss, epsilon=epsilon, solver=solver, random_state=seed).fit(X, y)
                    gaps.append(mean_loss(loss, epsilon, model.predict(X) - y) / best - 1.0)
                    epochs.append(model.n_iter_)
                line = f"{name:20} {loss:20} {solver:6} worst relative gap {max(gaps):.1e}"
                print(f"{line}, most epochs {max(epochs)}", flush=True)


if __name__ == "__main__":
    main()
