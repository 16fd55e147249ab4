"""Epochs, fits and the closed form on a GPU: ``python benchmarks/gpu.py``, or ``--device cpu --fast`` to try it.

First every path is compared with the NumPy reference; a path that differs is an error and nothing is timed. Each time
stands beside its floor: bytes over the measured copy bandwidth, or the number of steps times the time of the smallest
step, that of one row of two features in a table that caches hold. The seconds of an epoch are the slope between two
numbers of epochs, so that set-up does not count.
"""

import argparse
import csv
import os
import sys
import time
from pathlib import Path
from statistics import median

import environment

RESULTS = Path(__file__).parent / "results" / "gpu.csv"
BATCHES = (32, 1024, 65536)
ETA0 = 1e-4
EAGER_STEPS = 300
"""Steps of the eager loops, which are extrapolated by the row."""


class Device:
    """A device and clocks that wait for it."""

    def __init__(self, name):
        import torch

        self.torch, self.name = torch, name
        self.is_cuda = torch.device(name).type == "cuda"

    def wait(self):
        """Wait until the device is done."""
        if self.is_cuda:
            self.torch.cuda.synchronize(self.name)

    def seconds(self, action, repeats=3):
        """Median seconds of an action, after one to warm up."""
        action()
        found = []
        for _ in range(repeats):
            self.wait()
            start = time.perf_counter()
            action()
            self.wait()
            found.append(time.perf_counter() - start)
        return median(found)


def measure_machine(device, fast):
    """Measure bytes a second of copies on the device and to it, seconds of the smallest step, the float64 rate."""
    torch = device.torch
    size, side = (1 << 20, 256) if fast else (1 << 28, 4096)
    here = torch.zeros(size, device=device.name)
    there, host = torch.empty_like(here), torch.zeros(size)
    host = host.pin_memory() if device.is_cuda else host
    square = torch.zeros((side, side), dtype=torch.float64, device=device.name)
    return {
        "copy": 2 * 4 * size / device.seconds(lambda: there.copy_(here)),
        "upload": 4 * size / device.seconds(lambda: here.copy_(host)),
        "step": seconds_of_epoch(device, *draw(2000, 2), batch_size=1) / 2000,
        "float64": 2 * side**3 / device.seconds(lambda: square @ square),
    }


def draw(n_rows, n_features, n_targets=1):
    """Draw standard normal X, float32, and targets with noise."""
    import numpy as np

    rng = np.random.default_rng(0)
    X = rng.standard_normal((n_rows, n_features), dtype=np.float32)
    y = X @ rng.standard_normal((n_features, n_targets), dtype=np.float32)
    y += rng.standard_normal(y.shape, dtype=np.float32)
    return X, y[:, 0] if n_targets == 1 else y


def check(device):
    """Compare steps and sums of every path with the NumPy reference."""
    import numpy as np
    from scipy import sparse

    from sgdlinreg._core.blocks import CSR, Block, take_rows
    from sgdlinreg._core.contract import Iterate
    from sgdlinreg._core.coordinates import Coordinates
    from sgdlinreg._core.objective import Huber, Objective, SquaredError
    from sgdlinreg._solvers.sgd.kernel_numpy import ReferenceKernel
    from sgdlinreg._solvers.sgd_torch import streaming as transfer
    from sgdlinreg._solvers.sgd_torch.kernel import TorchKernel

    def run(kernel, block, objective, batch_size):
        rng, width = np.random.default_rng(0), block.n_features + 1
        rows = take_rows(block.X, slice(None), dense=True)
        coordinates = Coordinates(rows.mean(axis=0), rows.std(axis=0))
        iterate, ready = Iterate(*np.zeros((3, block.n_targets, width))), kernel.to_device(block)
        losses = np.zeros(block.n_targets)
        for _ in range(5):
            order = rng.permutation(block.n_rows).astype(np.int32)
            step_sizes = np.full((-(-block.n_rows // batch_size), block.n_targets), 0.1 / width)
            about = batch_size, objective, coordinates, (0.5, True), iterate
            losses += kernel.run_batches(ready, order, step_sizes, *about)
        return [*iterate, losses, *kernel.gradient_sums(ready, objective.loss, iterate.coef_sum, coordinates.centre)]

    def compare(what, block, objective, batch_size, tolerance):
        expected = run(ReferenceKernel(), block, objective, batch_size)
        found = run(TorchKernel(device.name), block, objective, batch_size)
        for array, its in zip(found, expected, strict=True):
            if not np.allclose(array, its, rtol=tolerance, atol=tolerance * np.abs(its).max()):
                raise SystemExit(f"{what}: not the reference")

    squared, huber = Objective(SquaredError(), 0.1), Objective(Huber(0.3), 0.01, True, 0.5)
    cases = [  # features, batch, where steps are taken
        (17, 16, "one launch"),
        (64, 32, "one launch"),
        (64, 3000, "shared batches"),
        (1100, 8, "torch operations"),
    ]
    for n_features, batch_size, where in cases:
        X, y = draw(5003, n_features, n_targets=2)
        for dtype, tolerance in ((np.float64, 1e-10), (np.float32, 2e-4)):
            what = f"{where}, {n_features} features, batch {batch_size}, {dtype.__name__}"
            block = Block(X.astype(dtype), y.astype(np.float64), None)
            compare(what, block, squared, batch_size, tolerance)
            compare(f"{what}, Huber loss, elastic net", block, huber, batch_size, tolerance)
    X, y = draw(20_003, 50)
    rows = sparse.csr_array(np.where(np.abs(X) > 1.0, X, 0.0))
    block = Block(CSR(rows.data, rows.indices, rows.indptr, 50), y[:, None].astype(np.float64), None)
    compare("CSR", block, squared, 16, 2e-4)
    room = transfer.room_on
    transfer.room_on = lambda where: 0.95 * block.X.data.nbytes * 3
    try:
        compare("CSR, streamed", block, squared, 16, 2e-4)
        transfer.room_on = lambda where: 0.95 * X.nbytes
        dense = Block(X, y[:, None].astype(np.float64), None)
        compare("dense, streamed", dense, squared, 16, 2e-4)
    finally:
        transfer.room_on = room


def seconds_of_epoch(device, X, y, batch_size, solver="torch", epochs=4):
    """Seconds of one epoch inside a fit, of rows that are where the solver works."""
    from sgdlinreg import MiniBatchSGDRegressor

    where = {"device": device.name} if solver == "torch" else {}
    if solver == "torch" and device.is_cuda:
        X = device.torch.tensor(X, device=device.name)

    def fit(n_epochs):
        start = time.perf_counter()
        MiniBatchSGDRegressor(
            solver=solver, batch_size=batch_size, eta0=ETA0, max_iter=n_epochs, tol=None, random_state=0, **where
        ).fit(X, y)
        device.wait()
        return time.perf_counter() - start

    fit(1)
    return median((fit(1 + epochs) - fit(1)) / epochs for _ in range(3))


def seconds_of_eager_epoch(device, X, y, batch_size):
    """Seconds of an epoch of the textbook loop, linear layer, autograd and optimiser, extrapolated from some steps."""
    torch = device.torch
    steps = max(2, min(EAGER_STEPS, len(X) // batch_size))
    data, target = torch.tensor(X, device=device.name), torch.tensor(y, device=device.name)[:, None]
    layer = torch.nn.Linear(X.shape[1], 1, device=device.name)
    optimiser = torch.optim.SGD(layer.parameters(), lr=ETA0)
    order = torch.randperm(len(X), device=device.name)

    def run():
        for number in range(steps):
            rows = order[number * batch_size : (number + 1) * batch_size]
            optimiser.zero_grad()
            loss = 0.5 * torch.nn.functional.mse_loss(layer(data[rows]), target[rows])
            loss.backward()
            optimiser.step()

    return device.seconds(run) / min(steps * batch_size, len(X)) * len(X)


def time_epochs(device, machine, fast):
    """Rows of the table: epochs at several batch sizes, from NumPy, and of many targets."""
    n_rows, n_features = (20_000, 16) if fast else (4_000_000, 64)
    X, y = draw(n_rows, n_features)
    for batch_size in BATCHES if not fast else (32, 1024):
        steps = -(-n_rows // batch_size)
        floor = max(X.nbytes / machine["copy"], steps * machine["step"])
        yield f"epoch, batch {batch_size}", seconds_of_epoch(device, X, y, batch_size), floor
        yield f"textbook loop, batch {batch_size}", seconds_of_eager_epoch(device, X, y, batch_size), floor
    yield "numba on one core, batch 32", seconds_of_epoch(device, X, y, 32, "numba", 2), float("nan")
    floor = X.nbytes / machine["upload"] + seconds_of_epoch(device, X, y, 1024)
    yield "fit from NumPy, 1 epoch, batch 1024", seconds_of_fit(device, X, y), floor
    n_targets = 8 if fast else 128
    few = slice(0, n_rows // 20)
    X, y = X[few], draw(n_rows // 20, n_features, n_targets)[1]
    one = seconds_of_epoch(device, X, y[:, 0], 32)
    yield f"{n_targets} targets, batch 32, {len(X)} rows", seconds_of_epoch(device, X, y, 32), one


def seconds_of_fit(device, X, y):
    """Seconds of a whole fit of one epoch from NumPy."""
    from sgdlinreg import MiniBatchSGDRegressor

    keywords = {"batch_size": 1024, "eta0": ETA0, "max_iter": 1, "tol": None, "random_state": 0}
    return device.seconds(lambda: MiniBatchSGDRegressor(solver="torch", device=device.name, **keywords).fit(X, y))


def time_closed_form(device, machine, fast):
    """Row of the table: the closed form of float32 tensors on the device, its moments in float64."""
    from sgdlinreg import MiniBatchSGDRegressor

    n_rows, n_features = (20_000, 16) if fast else (4_000_000, 256)
    torch = device.torch
    generator = torch.Generator(device.name).manual_seed(0)
    X = torch.randn((n_rows, n_features), generator=generator, device=device.name)
    y = X[:, 0] + torch.randn(n_rows, generator=generator, device=device.name)
    seconds = device.seconds(lambda: MiniBatchSGDRegressor().fit(X, y))
    operations, n_bytes = 2.0 * n_rows * n_features**2, 4.0 * n_rows * n_features
    yield (
        f"closed form, {n_rows} x {n_features}",
        seconds,
        max(operations / machine["float64"], n_bytes / machine["copy"]),
    )


def main():
    """Check, time, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--fast", action="store_true", help="small data, to see that it runs")
    parser.add_argument("--output", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    threads = os.cpu_count() or 1  # they fill the buffers through which NumPy data go; numba takes one
    environment.fix_threads(threads)
    import torch

    if torch.device(arguments.device).type == "cuda" and not torch.cuda.is_available():
        print("no CUDA device")
        return 0
    device = Device(arguments.device)
    check(device)
    print("every path follows the reference")
    machine = measure_machine(device, arguments.fast)
    name = torch.cuda.get_device_name(device.name) if device.is_cuda else "CPU"
    found = [*time_epochs(device, machine, arguments.fast), *time_closed_form(device, machine, arguments.fast)]
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    measured = {key: f"{value:.4g}" for key, value in machine.items()}
    facts = {"device": name, **measured, **environment.describe(threads=threads)}
    with arguments.output.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["what", "seconds", "floor", *facts])
        writer.writerows([what, f"{seconds:.4g}", f"{floor:.4g}", *facts.values()] for what, seconds, floor in found)
    print(", ".join(f"{key} {value}" for key, value in facts.items()))
    print(f"{'':44}{'seconds':>10}{'floor':>10}{'ratio':>8}")
    for what, seconds, floor in found:
        print(f"{what:44}{seconds:10.4g}{floor:10.4g}{seconds / floor:8.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
