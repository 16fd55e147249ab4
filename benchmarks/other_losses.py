"""Losses but the plain squared error, on raw real data: ``python benchmarks/other_losses.py --help``.

epsilon is a tenth of y's standard deviation. The optimum is that of L-BFGS on standardised columns, on the same
objective; the kink of the epsilon-insensitive loss is rounded in ever smaller widths for it. The squared error with l2,
in the units of the data, is compared with a least-squares solution of augmented rows.
"""

import argparse

import environment

WIDTHS = (1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6)
"""Of the rounding, in standard deviations of y."""
ALPHAS = (1e-3, 1.0)


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


def mean_loss(loss, epsilon, residual):
    """Mean of a loss, from its definition."""
    import numpy as np

    size = np.abs(residual)
    if loss == "huber":
        return float(np.where(size <= epsilon, 0.5 * size**2, epsilon * (size - 0.5 * epsilon)).mean())
    return float((np.maximum(size - epsilon, 0.0) ** (2 if loss.startswith("squared") else 1)).mean())


def ridge_value(alpha, X, y, coef, intercept):
    """Squared error with l2, as in scikit-learn's SGDRegressor."""
    return 0.5 * float(((X @ coef + intercept - y) ** 2).mean()) + 0.5 * alpha * float(coef @ coef)


def smallest_ridge_value(alpha, X, y):
    """Smallest value of the squared error with l2, from least squares on rows that stand for the penalty."""
    import numpy as np

    mean, spread = X.mean(axis=0), X.std(axis=0)
    rows = np.vstack([(X - mean) / spread / len(y) ** 0.5, np.diag(alpha**0.5 / spread)])
    targets = np.append((y - y.mean()) / len(y) ** 0.5, np.zeros(X.shape[1]))
    coef = np.linalg.lstsq(rows, targets, rcond=None)[0] / spread
    return ridge_value(alpha, X, y, coef, y.mean() - coef @ mean)


def problems(X, y):
    """Name, optimum, objective of a model, and parameters of each problem on some data."""
    epsilon = 0.1 * y.std()
    for loss in ("huber", "epsilon_insensitive", "squared_epsilon_insensitive"):

        def value_of(model):
            return mean_loss(model.loss, model.epsilon, model.predict(X) - y)

        yield loss, optimum(loss, epsilon, X, y), value_of, {"loss": loss, "epsilon": epsilon}
    for alpha in ALPHAS:

        def value_of(model):
            return ridge_value(model.alpha, X, y, model.coef_, model.intercept_)

        yield f"squared error, l2, alpha {alpha:g}", smallest_ridge_value(alpha, X, y), value_of, {"alpha": alpha}


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
        for what, best, value_of, parameters in problems(X, y):
            for solver in args.solvers.split(","):
                models = [
                    MiniBatchSGDRegressor(solver=solver, random_state=seed, **parameters).fit(X, y)
                    for seed in range(args.seeds)
                ]
                gap = max(value_of(model) for model in models) / best - 1.0
                line = f"{name:20} {what:30} {solver:6} worst relative gap {gap:.1e}"
                print(f"{line}, most epochs {max(model.n_iter_ for model in models)}", flush=True)


if __name__ == "__main__":
    main()
