"""What data larger than memory cost: ``python benchmarks/sources.py --help``.

The files are written into a folder of their own, which is deleted in the end: 4 GB of .npy and 2 GB of Parquet.

Parts, all in one CSV file; passes are epochs of steps with solver="numba", the slope between fits of more and fewer:

- npy: a pass over a memory-mapped file of 5M x 100 float64, in units of one ``X @ w`` over the same map.
- parquet: a pass over 8 files of 20M x 10, in units of pyarrow's own scan of these columns and a pass in memory.
- loader: a pass over a DataLoader with batches of 8 rows, in units of the loader's own iteration.
- accuracy: R2 below least squares of default fits by steps over 8 files of Parquet, 20 blocks, also sorted by y.
- memory: the peak of anonymous memory (RssAnon) of a process, above that after the imports and a small fit, and the
  seconds of the fit. Pages of a mapped file are not counted: the system drops them when it needs room.
"""

import json
import shutil
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path

import numpy as np
import problems
from measuring import best_r2, clock, epoch_clock, fix_threads, in_turn, make_parser, r2_of, run_parts

from sgdlinreg import MiniBatchSGDRegressor
from sgdlinreg.sources import from_arrays, from_files, from_loader

SETS = ("birthdays", "fertility", "mortgages")
NPY, PARQUET, LOADER = (5_000_000, 100), (20_000_000, 10), (200_000, 10)
CHUNK = 100_000  # rows that are drawn at once
PEAK = """
import json, sys, threading, time
import numpy as np, pyarrow.dataset, pyarrow.parquet
from sgdlinreg import MiniBatchSGDRegressor
from sgdlinreg.sources import from_arrays, from_files

def anonymous():
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("RssAnon")) / 1024

def watch():
    while not done.wait(0.002):
        peaks[0] = max(peaks[0], anonymous())

kind, solver, folder = sys.argv[1:]
imported, X = anonymous(), np.random.default_rng(0).standard_normal((1000, 5))
MiniBatchSGDRegressor(solver=solver, random_state=0).fit_source([(X, X[:, 0] + X[::-1, 1])])
start, peaks, done = anonymous(), [0.0], threading.Event()
threading.Thread(target=watch, daemon=True).start()
clock = time.perf_counter()
if kind == "npy":
    source = from_arrays(folder + "/X.npy", folder + "/y.npy")
else:
    source = from_files(folder + "/*.parquet", "y")
model = MiniBatchSGDRegressor(solver=solver, random_state=0).fit_source(source)
seconds = time.perf_counter() - clock
done.set()
print(json.dumps({"n_iter": model.n_iter_, "seconds": seconds, "above_a_small_fit_MB": max(peaks) - start,
                  "above_import_MB": max(peaks) - imported}))
"""


def sizes(shape, args):
    """Return rows and columns; few rows with --fast."""
    return (20_000 if args.fast else shape[0]), shape[1]


def drawn(n_rows, n_features, dtype=np.float64, seed=0):
    """Give chunks of X and y."""
    coef, rng = np.random.default_rng(0).standard_normal(n_features), np.random.default_rng([1, seed])
    for start in range(0, n_rows, CHUNK):
        X = rng.standard_normal((min(CHUNK, n_rows - start), n_features)).astype(dtype)
        yield start, X, (X @ coef + rng.standard_normal(len(X))).astype(dtype)


def write_npy(args):
    """Write X.npy and y.npy, once."""
    n_rows, n_features = sizes(NPY, args)
    if not (args.folder / "X.npy").exists():
        shapes = {"X": (n_rows, n_features), "y": (n_rows,)}
        maps = [
            np.lib.format.open_memmap(args.folder / f"{name}.npy", "w+", float, shape) for name, shape in shapes.items()
        ]
        for start, *chunk in drawn(n_rows, n_features):
            for array, part in zip(maps, chunk, strict=True):
                array[start : start + len(part)] = part
    return args.folder / "X.npy", args.folder / "y.npy"


def write_parquet(args):
    """Write 8 files, once."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    n_rows, n_features = sizes(PARQUET, args)
    if not (args.folder / "0.parquet").exists():
        names = [*(f"x{number}" for number in range(n_features)), "y"]
        for number in range(8):
            tables = [
                pa.table(dict(zip(names, [*X.T, y], strict=True)))
                for _, X, y in drawn(n_rows // 8, n_features, seed=number)
            ]
            pq.write_table(pa.concat_tables(tables), args.folder / f"{number}.parquet")
    return sorted(args.folder.glob("*.parquet"))


def steps(make_source, n_epochs):
    """Fit by steps."""
    model = MiniBatchSGDRegressor(solver="numba", eta0=1e-4, tol=None, max_iter=n_epochs, random_state=0)
    return model.fit_source(make_source())


def compared(name, found, ours, others):
    """Give a row of a part: the pass in units of others together."""
    ratios = [
        mine / sum(parts)
        for mine, *parts in zip(found[ours].seconds, *(found[one].seconds for one in others), strict=True)
    ]
    medians = {f"{one}_s": found[one].median for one in (ours, *others)}
    return {"name": name, "over": " + ".join(others), "ratio": float(np.median(ratios)), **medians}


def npy(args):
    """Time a pass over a memory map."""
    paths = write_npy(args)
    X = np.load(paths[0], mmap_mode="r")
    w = np.ones(X.shape[1])
    clocks = {"pass": epoch_clock(partial(steps, lambda: from_arrays(*paths))), "X @ w": clock(lambda: X @ w)}
    yield compared(f"{X.shape[0]} x {X.shape[1]} .npy", in_turn(clocks, args.repeats), "pass", ["X @ w"])


def parquet(args):
    """Time a pass over files of Parquet."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    pa.set_cpu_count(args.threads)
    paths = write_parquet(args)

    def scan():
        return sum(len(batch) for path in paths for batch in pq.ParquetFile(path).iter_batches())

    blocks = [(X.copy(), y.copy()) for X, y, _ in from_files(paths, "y")]
    n_rows, n_features = sum(len(y) for _, y in blocks), blocks[0][0].shape[1]
    clocks = {
        "pass": epoch_clock(partial(steps, lambda: from_files(paths, "y"))),
        "scan": clock(scan),
        "in memory": epoch_clock(partial(steps, lambda: blocks)),
    }
    name = f"{n_rows} x {n_features} Parquet, 8 files"
    yield compared(name, in_turn(clocks, args.repeats), "pass", ["scan", "in memory"])


def loader(args):
    """Time a pass over batches of 8 rows."""
    import torch

    n_rows, n_features = sizes(LOADER, args)
    tensors = [
        torch.tensor(np.concatenate(parts))
        for parts in list(zip(*drawn(n_rows, n_features, np.float32), strict=True))[1:]
    ]
    batches = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(*tensors), batch_size=8, shuffle=True)

    def iterate():
        for _ in batches:
            pass

    def half_a_fit():  # of two passes: one measures, one takes steps
        seconds, model = clock(lambda: steps(lambda: from_loader(batches), 1))()
        return seconds / 2, model

    clocks = {"pass": half_a_fit, "iteration": clock(iterate)}
    name = f"{n_rows} x {n_features} DataLoader, batches of 8"
    yield compared(name, in_turn(clocks, args.repeats), "pass", ["iteration"])


def memory(args):
    """Measure the peak of memory in processes of their own."""
    for kind, write, shape in (("npy", write_npy, NPY), ("parquet", write_parquet, PARQUET)):
        write(args)
        for solver in ("normal_equation", "numba"):
            command = [sys.executable, "-c", PEAK, kind, solver, str(args.folder)]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            n_rows, n_features = sizes(shape, args)
            yield {"name": f"{n_rows} x {n_features} {kind}", "solver": solver} | json.loads(done.stdout)


def accuracy(args):
    """Compare R2 of steps over files of Parquet with least squares, in the order of the data and sorted by y."""
    import pandas as pd

    for name in problems.chosen(args, SETS, most=1):
        X, y = problems.draw(name, most_rows=args.most_rows)
        best = best_r2(X, y)
        for order in ("as it is", "sorted by y"):
            rows = np.argsort(y) if order == "sorted by y" else np.arange(len(y))
            frame = pd.DataFrame(X[rows], columns=[f"x{number}" for number in range(X.shape[1])]).assign(y=y[rows])
            folder = Path(tempfile.mkdtemp(dir=args.folder))
            for number, part in enumerate(np.array_split(np.arange(len(y)), 8)):
                frame.iloc[part].to_parquet(folder / f"{number}.parquet", index=False)
            source = from_files(folder, "y", rows_per_block=max(1000, len(y) // 20))
            model = MiniBatchSGDRegressor(solver="numba", random_state=0).fit_source(source)
            missing = best - r2_of(X @ model.coef_ + model.intercept_, y)
            yield {"name": name, "order": order, "n_rows": len(y), "n_iter": model.n_iter_, "missing_r2": missing}


if __name__ == "__main__":
    PARTS = {"npy": npy, "memory": memory, "parquet": parquet, "loader": loader, "accuracy": accuracy}
    parser = make_parser(__doc__, PARTS, repeats=5, threads=1)
    parser.add_argument("--folder", type=Path, help="where a folder for the data is made (default: that of the system)")
    args = parser.parse_args()
    fix_threads(args.threads)  # which starts anew: before there is a folder
    args.folder = Path(tempfile.mkdtemp(prefix="sgdlinreg-sources-", dir=args.folder))
    try:
        run_parts(parser, args, PARTS, "sources.csv")
    finally:
        shutil.rmtree(args.folder)
