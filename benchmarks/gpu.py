"""Epochs, fits and the closed form on a GPU: ``python benchmarks/gpu.py``; ``--device cpu`` measures torch on the CPU.

First every path is compared with solver="numba", which takes the same steps; a path that differs is an error. Each time
stands beside its floor: bytes over the measured copy bandwidth, or the number of steps times the time of the smallest
step, that of one row of two features. Parts, all in one CSV file:

- epochs: epochs beside the loop of textbooks and solver="numba" on one core.
- fits: a fit from NumPy, many targets, and the closed form of float32 tensors, its moments in float64.
"""

import os
from functools import partial

import numpy as np
import torch
from measuring import clock, epoch_clock, fix_threads, in_turn, make_parser, run_parts
from problems import draw, normal
from scipy import sparse

from sgdlinreg import MiniBatchSGDRegressor

LARGE = "4000000 x 64, float32"
SMALL = ("60000 x 10", "40000 x 64", "20000 x 200", "10000 x 500", "6000 x 700", "5000 x 1000", "3000 x 4000")
ETA0 = 1e-4
LOOP_STEPS = 300  # of the textbook loop, which is extrapolated by the row
CASES = ((17, 16), (64, 32), (64, 3000), (1100, 8))  # features and batches of each way to take steps on a GPU
STEPS = {"eta0": ETA0, "tol": None, "random_state": 0}


def waiting(action):
    """Return a clock of an action that waits for the device before and after it."""
    wait = torch.cuda.synchronize if torch.cuda.is_available() else lambda: None
    timed = clock(lambda: (action(), wait()))
    return lambda: (wait(), timed())[1]


def seconds_of(action, repeats=3):
    """Return the median seconds of an action."""
    return in_turn({"action": waiting(action)}, repeats)["action"].median


def our_epoch(X, y, batch_size, solver="torch", **where):
    """Return a clock of an epoch, of rows that are where the solver works."""
    make = partial(MiniBatchSGDRegressor, solver=solver, batch_size=batch_size, **STEPS, **where)
    X = torch.tensor(X, device=where["device"]) if solver == "torch" else X
    return epoch_clock(lambda n: waiting(lambda: make(max_iter=n).fit(X, y))())


def loop(X, y, batch_size, device):
    """Return a clock of an epoch of the textbook loop: linear layer, autograd and optimiser."""
    data, target = torch.tensor(X, device=device), torch.tensor(y, device=device)[:, None]
    layer = torch.nn.Linear(X.shape[1], 1, device=device, dtype=data.dtype)
    optimiser = torch.optim.SGD(layer.parameters(), lr=ETA0)
    steps = max(2, min(LOOP_STEPS, len(X) // batch_size))

    def run():
        for rows in torch.randperm(len(X), device=device)[: steps * batch_size].split(batch_size):
            optimiser.zero_grad()
            (0.5 * torch.nn.functional.mse_loss(layer(data[rows]), target[rows])).backward()
            optimiser.step()

    timed, share = waiting(run), min(steps * batch_size, len(X)) / len(X)
    return lambda: (timed()[0] / share, None)


def check(device):
    """Compare fits of every path with those of solver="numba", which are held to the NumPy reference by the tests."""
    for n_features, batch_size in CASES:
        X, y = normal(5003, n_features, n_targets=2)
        make = partial(MiniBatchSGDRegressor, epsilon=1.0, momentum=0.5, batch_size=batch_size, max_iter=3, tol=None)
        for rows in (X, X.astype("float32"), sparse.csr_array(X)):
            for loss in ("squared_error", "huber"):
                expected = make(loss=loss, solver="numba", random_state=0).fit(rows, y).coef_
                found = make(loss=loss, solver="torch", device=device, random_state=0).fit(rows, y).coef_
                if not np.allclose(found, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max()):
                    raise SystemExit(f"{n_features} features, batch {batch_size}, {rows.dtype}, {loss}: other steps")


def machine_of(device, fast):
    """Measure bytes a second of copies on the device and to it, seconds of the smallest step, the float64 rate."""
    size, side = (1 << 20, 256) if fast else (1 << 28, 4096)
    here, host = torch.zeros(size, device=device), torch.zeros(size)
    there, host = torch.empty_like(here), host.pin_memory() if torch.device(device).type == "cuda" else host
    square = torch.zeros((side, side), dtype=torch.float64, device=device)
    return {
        "device": torch.cuda.get_device_name(device) if host.is_pinned() else "CPU",
        "copy": 2 * 4 * size / seconds_of(lambda: there.copy_(here)),
        "upload": 4 * size / seconds_of(lambda: here.copy_(host)),
        "step": in_turn({"step": our_epoch(*normal(2000, 2, "float32"), 1, device=device)}, 3)["step"].median / 2000,
        "float64": 2 * side**3 / seconds_of(lambda: square @ square),
    }


def epochs(args):
    """Time epochs of large data at several batch sizes (on a GPU only), and of small data by batches of 32 rows."""
    large = [(LARGE, size) for size in (32, 1024, 65536)] if args.device != "cpu" else []
    small = [(f"{shape}, {dtype}", 32) for dtype in ("float32", "float64") for shape in SMALL]
    cases = [(name, 32) for name in args.problems or []] or [*large, *small]
    for name, size in cases[:: 6 if args.fast else 1]:
        X, y = draw(name, most_rows=args.most_rows)
        clocks = {"ours": our_epoch(X, y, size, device=args.device), "numba": our_epoch(X, y, size, "numba")}
        clocks["textbook loop"] = loop(X, y, size, args.device)
        floor = max(X.nbytes / args.machine["copy"], -(-len(X) // size) * args.machine["step"])
        for what, one in in_turn(clocks, args.repeats).items():
            yield row_of(args, f"{name}, batch {size}, {what}", one.median, floor)


def fits(args):
    """Time a fit from NumPy, many targets, and the closed form."""
    n_targets = 8 if args.fast else 128
    X, y = draw(LARGE, most_rows=args.most_rows)
    fit = MiniBatchSGDRegressor(solver="torch", device=args.device, batch_size=1024, max_iter=1, **STEPS).fit
    clocks = {"fit": waiting(lambda: fit(X, y)), "epoch": our_epoch(X, y, 1024, device=args.device)}
    found = in_turn(clocks, args.repeats)
    floor = X.nbytes / args.machine["upload"] + found["epoch"].median
    yield row_of(args, "fit from NumPy, 1 epoch, batch 1024", found["fit"].median, floor)
    X, y = normal(len(X) // 20, X.shape[1], "float32", n_targets)
    clocks = {n: our_epoch(X, y[:, :n], 32, device=args.device) for n in (1, n_targets)}
    found = in_turn(clocks, args.repeats)
    yield row_of(args, f"{n_targets} targets, batch 32, {len(X)} rows", found[n_targets].median, found[1].median)
    n_rows, n_features = args.most_rows or 4_000_000, 256
    X = torch.randn((n_rows, n_features), device=args.device)
    y = X[:, 0] + torch.randn(n_rows, device=args.device)
    seconds = seconds_of(lambda: MiniBatchSGDRegressor().fit(X, y), args.repeats)
    floor = max(2.0 * n_rows * n_features**2 / args.machine["float64"], 4.0 * X.numel() / args.machine["copy"])
    yield row_of(args, f"closed form, {n_rows} x {n_features}", seconds, floor)


def row_of(args, what, seconds, floor):
    return {"what": what, "seconds": seconds, "floor": floor, "over_floor": seconds / floor} | args.machine


PARTS = {"epochs": epochs, "fits": fits}


def main():
    parser = make_parser(__doc__, PARTS, repeats=3, threads=os.cpu_count())
    parser.add_argument("--device", default="cuda")
    args = parser.parse_args()
    if "cuda" in args.device and not torch.cuda.is_available():
        raise SystemExit("no CUDA device")
    fix_threads(args.threads)
    check(args.device)
    args.machine = machine_of(args.device, args.fast)
    run_parts(parser, args, PARTS, file="gpu.csv")


if __name__ == "__main__":
    main()
