"""What must not matter to default mini-batch SGD on raw real data: ``python benchmarks/invariance.py --help``.

For each set: R2 below ordinary least squares with batch sizes from 1 to the full data, and in float32; the
largest change of a prediction, in standard deviations of y, when columns change their unit (1e-6, 1, 1e6 in turn) or
are offset by 1e4 (dense sets only). At last, once over the rows in file order, in 20 calls of partial_fit.
"""

import argparse
import warnings

import environment

BATCHES = (1, 8, 32, 256, 4096, "full")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", help="names, with commas between (default: all that are installed)")
    parser.add_argument("--solver", default="numba")
    parser.add_argument("--seeds", type=int, default=1, help="random states 0 .. seeds - 1 (default: 1)")
    args = parser.parse_args()
    environment.fix_threads(2)
    import numpy as np
    import real_data
    from no_tuning import best_r2, r2_of
    from run import choose
    from scipy import sparse

    from sgdlinreg import MiniBatchSGDRegressor

    print(", ".join(f"{name} {value}" for name, value in environment.describe(2).items()))
    warnings.simplefilter("ignore")

    def fitted(X, y, **parameters):
        return MiniBatchSGDRegressor(solver=args.solver, **parameters).fit(X, y)

    for name, read in choose(parser, args.sets, real_data.available()).items():
        X, y = read()
        X = X.astype(np.float64)
        best, n_rows, is_sparse = best_r2(X, y), X.shape[0], sparse.issparse(X)
        print(f"\n{name}: {X.shape[0]} x {X.shape[1]}")
        for batch_size in BATCHES:
            if isinstance(batch_size, int) and batch_size > 2 * n_rows:
                continue
            models = [fitted(X, y, batch_size=batch_size, random_state=seed) for seed in range(args.seeds)]
            gap = max(best - r2_of(model.predict(X), y) for model in models)
            print(
                f"  batch_size {batch_size!s:6} R2 gap {gap:9.2e}  epochs {max(m.n_iter_ for m in models)}", flush=True
            )
        X4 = X.astype(np.float32)
        if np.isfinite(X4.data if is_sparse else X4).all():
            gap = best_r2(X4.astype(float), y) - r2_of(fitted(X4, y, random_state=0).predict(X4), y)
            print(f"  float32           R2 gap {gap:9.2e}")
        base = fitted(X, y, random_state=0).predict(X)
        units = np.resize([1e-6, 1.0, 1e6], X.shape[1])
        others = {"units": X @ sparse.diags_array(units) if is_sparse else X * units}
        others |= {} if is_sparse else {"offset": X + 1e4}
        for what, other in others.items():
            change = np.abs(fitted(other, y, random_state=0).predict(other) - base).max() / y.std()
            print(f"  {what:17} change {change:9.2e}", flush=True)
        gaps = []
        for seed in range(args.seeds):
            model = MiniBatchSGDRegressor(solver=args.solver, random_state=seed)
            for rows in np.array_split(np.arange(n_rows), min(20, n_rows // 2)):
                model.partial_fit(X[rows], y[rows])
            gaps.append(best - r2_of(model.predict(X), y))
        print(f"  20 chunks, once   R2 gap {max(gaps):9.2e}", flush=True)


if __name__ == "__main__":
    main()
