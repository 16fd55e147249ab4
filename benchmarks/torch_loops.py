"""Seconds of an epoch on the CPU beside the loops that people write: ``python benchmarks/torch_loops.py``.

Batches of 32, one thread. Ours is an epoch of the torch kernel, the order drawn anew, as in the loops. The least of
some turns is taken, contenders in turn.
"""

import time

import environment

SHAPES = [(60_000, 10), (40_000, 64), (20_000, 200), (10_000, 500), (6_000, 700), (5_000, 1000), (3_000, 4000)]
FEWER = 20
"""With --fast there are so many times fewer rows."""
BATCH, ETA0 = 32, 1e-3


def textbook(torch, X, y):
    """DataLoader, linear layer, backward, optimiser; on a sixth of the rows."""
    data = torch.utils.data.TensorDataset(X[: len(X) // 6], y[: len(X) // 6, None])
    layer = torch.nn.Linear(X.shape[1], 1, dtype=X.dtype)
    optimiser = torch.optim.SGD(layer.parameters(), lr=ETA0)
    for rows, target in torch.utils.data.DataLoader(data, batch_size=BATCH, shuffle=True):
        optimiser.zero_grad()
        (0.5 * torch.nn.functional.mse_loss(layer(rows), target)).backward()
        optimiser.step()


def index_slices(torch, X, y):
    """Gradient by hand on rows taken by slices of a permutation."""
    w, b, order = X.new_zeros(X.shape[1]), X.new_zeros(()), torch.randperm(len(X))
    for start in range(0, len(X), BATCH):
        rows = order[start : start + BATCH]
        taken = X[rows]
        residual = taken @ w + b - y[rows]
        w -= ETA0 * (taken.T @ residual / len(rows))
        b -= ETA0 * residual.mean()


def epoch_of_ours(X, y):
    """Give a function that runs one epoch."""
    import numpy as np

    from sgdlinreg._core.blocks import Block
    from sgdlinreg._core.contract import Iterate
    from sgdlinreg._core.coordinates import Coordinates
    from sgdlinreg._core.objective import Objective, SquaredError
    from sgdlinreg._solvers.sgd_torch.kernel import TorchKernel

    (n_rows, n_features), rng, kernel = X.shape, np.random.default_rng(0), TorchKernel()
    block = kernel.to_device(Block(X, y[:, None].astype(np.float64), None))
    step_sizes = np.full((-(-n_rows // BATCH), 1), ETA0)
    about = BATCH, Objective(SquaredError()), Coordinates(np.zeros(n_features), np.ones(n_features)), (0.0, False)
    iterate = Iterate(*np.zeros((3, 1, n_features + 1)))
    return lambda: kernel.run_batches(block, rng.permutation(n_rows), step_sizes, *about, iterate)


def main():
    """Time, print, write."""
    args = environment.make_parser("torch_loops", __doc__, repeats=5).parse_args()
    environment.fix_threads(1)
    import numpy as np
    import torch
    from run import write

    about = environment.describe(1)
    print(", ".join(f"{name} {value}" for name, value in about.items()))
    found = []
    print(f"{'dtype':8} {'features':>8} {'ours, us a batch':>16} {'textbook / ours':>15} {'index slices / ours':>19}")
    for dtype in (np.float32, np.float64):
        for n_rows, n_features in SHAPES:
            n_rows //= FEWER if args.fast else 1
            rng = np.random.default_rng(0)
            X = rng.standard_normal((n_rows, n_features)).astype(dtype)
            y = (X.sum(axis=1) + rng.standard_normal(n_rows)).astype(dtype)
            tensors = torch.tensor(X), torch.tensor(y)
            contenders = {
                "ours": (epoch_of_ours(X, y), 1),
                "textbook": (lambda tensors=tensors: textbook(torch, *tensors), 6),
                "slices": (lambda tensors=tensors: index_slices(torch, *tensors), 1),
            }
            least = dict.fromkeys(contenders, np.inf)
            for _ in range(args.repeats):
                for name, (action, factor) in contenders.items():
                    start = time.perf_counter()
                    action()
                    least[name] = min(least[name], factor * (time.perf_counter() - start))
            ours = least["ours"]
            print(
                f"{np.dtype(dtype).name:8} {n_features:8} {ours / n_rows * BATCH * 1e6:16.1f} "
                f"{least['textbook'] / ours:15.1f} {least['slices'] / ours:19.2f}",
                flush=True,
            )
            shape = {"dtype": np.dtype(dtype).name, "n_rows": n_rows, "n_features": n_features}
            found += [shape | {"name": name, "seconds": seconds} | about for name, seconds in least.items()]
    write(args.output, found)


if __name__ == "__main__":
    main()
