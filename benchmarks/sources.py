"""What data larger than memory cost: ``python benchmarks/sources.py --help``.

The files are written into a folder of their own, which is deleted in the end: 4 GB of .npy and 2 GB of Parquet.

Parts, all in one CSV file; passes are epochs of steps with solver="numba", the slope between fits of more and fewer:

- npy: a pass over a memory-mapped file of 5M x 100 float64, in units of one ``X @ w`` over the same map.
- parquet: a pass over 8 files of 20M x 10, in units of pyarrow's own scan of these columns and a pass in memory.
- loader: a pass over a DataLoader with batches of 8 rows, in units of the loader's own iteration.
- accuracy: R2 below least squares of default fits by steps over 8 files of Parquet, 20 blocks, also sorted by y.
- memory: the peak of anonymous memory (RssAnon) of a process, above that after the imports and a small fit, and the
  seconds of the fit. Pages of a mapped file are not counted: the system drops them when it needs room.
- growth: the same for files of 50 MB to 2 GB, 8 GB in all, which docs/images/sources.png shows.
- others: rows a second and R2 below least squares beside dask-ml and Vowpal Wabbit, on the same files of Parquet. They
  may be in an environment of their own: ``--others its/bin/python``. One that is not there is left out.
"""

import json
import shutil
import subprocess
import sys
import tempfile
from functools import partial
from itertools import product
from pathlib import Path

import numpy as np
import problems
from measuring import best_r2, clock, epoch_clock, fix_threads, in_turn, make_parser, r2_of, run_parts
from peak import CONTENDERS

from sgdlinreg import MiniBatchSGDRegressor
from sgdlinreg.sources import from_arrays, from_files, from_loader

SOLVERS = ("normal_equation", "numba")
SETS = ("birthdays", "fertility", "mortgages")
NPY, PARQUET, LOADER, OTHERS = (5_000_000, 100), (20_000_000, 10), (200_000, 10), (5_000_000, 10)
PEAK = ("n_iter", "above_a_small_fit_MB", "above_import_MB")
MEGABYTES, COLUMNS = (50, 200, 500, 1000, 2000), 20  # of files that grow
CHUNK = 100_000  # rows that are drawn at once


def sizes(shape, args):
    """Return rows and columns; few rows with --fast."""
    return (20_000 if args.fast else shape[0]), shape[1]


def drawn(n_rows, n_features, dtype=np.float64, seed=0):
    """Give chunks of X and y."""
    coef, rng = np.random.default_rng(0).standard_normal(n_features), np.random.default_rng([1, seed])
    for start in range(0, n_rows, CHUNK):
        X = rng.standard_normal((min(CHUNK, n_rows - start), n_features)).astype(dtype)
        yield start, X, (X @ coef + rng.standard_normal(len(X))).astype(dtype)


def write_npy(folder, n_rows, n_features):
    """Write X.npy and y.npy, once."""
    if not (folder / "X.npy").exists():
        shapes = {"X": (n_rows, n_features), "y": (n_rows,)}
        maps = [np.lib.format.open_memmap(folder / f"{name}.npy", "w+", float, shape) for name, shape in shapes.items()]
        for start, *chunk in drawn(n_rows, n_features):
            for array, part in zip(maps, chunk, strict=True):
                array[start : start + len(part)] = part
    return folder / "X.npy", folder / "y.npy"


def write_parquet(folder, n_rows, n_features):
    """Write 8 files, once."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not (folder / "0.parquet").exists():
        names = [*(f"x{number}" for number in range(n_features)), "y"]
        for number in range(8):
            tables = [
                pa.table(dict(zip(names, [*X.T, y], strict=True)))
                for _, X, y in drawn(n_rows // 8, n_features, seed=number)
            ]
            pq.write_table(pa.concat_tables(tables), folder / f"{number}.parquet")
    return sorted(folder.glob("*.parquet"))


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
    paths = write_npy(args.folder, *sizes(NPY, args))
    X = np.load(paths[0], mmap_mode="r")
    w = np.ones(X.shape[1])
    clocks = {"pass": epoch_clock(partial(steps, lambda: from_arrays(*paths))), "X @ w": clock(lambda: X @ w)}
    yield compared(f"{X.shape[0]} x {X.shape[1]} .npy", in_turn(clocks, args.repeats), "pass", ["X @ w"])


def parquet(args):
    """Time a pass over files of Parquet."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    pa.set_cpu_count(args.threads)
    paths = write_parquet(args.folder, *sizes(PARQUET, args))

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


def in_a_process(contender, folder, python=sys.executable):
    """Return what peak.py prints; None, with a line that says so, where the contender is not installed."""
    command = [python, Path(__file__).with_name("peak.py"), contender, folder]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if "ModuleNotFoundError" in done.stderr:
        print(f"{contender} is left out: {done.stderr.splitlines()[-1]}")
        return None
    if done.returncode:
        raise RuntimeError(done.stderr)
    return json.loads(done.stdout)


def memory(args):
    """Measure the peak of memory in processes of their own."""
    for kind, write, shape in (("npy", write_npy, NPY), ("parquet", write_parquet, PARQUET)):
        n_rows, n_features = sizes(shape, args)
        write(args.folder, n_rows, n_features)
        for solver in SOLVERS:
            found = in_a_process(f"sgdlinreg, {kind}, {solver}", args.folder)
            row = {"name": f"{n_rows} x {n_features} {kind}", "solver": solver, "seconds": found["seconds"]}
            yield row | {name: found[name] for name in PEAK}


def growth(args):
    """Measure seconds, those of the fastest run, and the peak of memory for files of more and more rows."""
    rows, clocks = {}, {}
    all_megabytes = MEGABYTES[:1] if args.fast else MEGABYTES
    for megabytes, (kind, write) in product(all_megabytes, (("npy", write_npy), ("parquet", write_parquet))):
        folder = args.folder / f"{kind}-{megabytes}"
        folder.mkdir()
        n_rows, n_features = sizes((megabytes * 1_000_000 // (8 * (COLUMNS + 1)), COLUMNS), args)
        write(folder, n_rows, n_features)
        size = sum(path.stat().st_size for path in folder.iterdir()) / 1e6
        for solver in SOLVERS:
            rows[folder, solver] = {"name": kind, "solver": solver, "n_rows": n_rows, "file_MB": size}
            clocks[folder, solver] = seconds_in_a_process(f"sgdlinreg, {kind}, {solver}", folder)
    for case, timing in in_turn(clocks, args.repeats).items():
        yield rows[case] | {"seconds": min(timing.seconds)} | {name: timing.result[name] for name in PEAK}
    for folder, _ in rows:
        shutil.rmtree(folder, ignore_errors=True)


def seconds_in_a_process(contender, folder):
    """Return a clock of a fit in a process of its own."""

    def seconds_of_fit():
        found = in_a_process(contender, folder)
        return found["seconds"], found

    return seconds_of_fit


def others(args):
    """Compare rows a second and R2 with other libraries that read more than memory holds."""
    n_rows, n_features = sizes(OTHERS, args)
    with tempfile.TemporaryDirectory(dir=args.folder) as name:
        folder = Path(name)
        write_parquet(folder, n_rows, n_features)
        model = MiniBatchSGDRegressor(solver="normal_equation").fit_source(from_files(folder, "y"))
        best = model.score_source(from_files(folder, "y"))
        for contender in CONTENDERS:
            if contender.startswith("sgdlinreg, npy"):
                continue
            python = sys.executable if contender.startswith("sgdlinreg") else args.others
            runs = [in_a_process(contender, folder, python) for _ in range(args.repeats)]
            if None in runs:
                continue
            model.coef_, model.intercept_ = np.array(runs[-1]["coef"]), runs[-1]["intercept"]
            medians = {key: float(np.median([run.get(key, 0.0) for run in runs])) for key in ("seconds", "text_s")}
            missing = best - model.score_source(from_files(folder, "y"))
            peak = max(run["above_import_MB"] for run in runs)
            yield (
                {"name": contender, "n_rows": n_rows, "rows_per_s": n_rows / medians["seconds"]}
                | medians
                | {
                    "missing_r2": missing,
                    "above_import_MB": peak,
                }
            )


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
            found = {"n_iter": model.n_iter_, "optimality_gap": model.optimality_gap_, "missing_r2": missing}
            yield {"name": name, "order": order, "n_rows": len(y)} | found


if __name__ == "__main__":
    PARTS = {part.__name__: part for part in (npy, memory, growth, parquet, others, loader, accuracy)}
    parser = make_parser(__doc__, PARTS, repeats=5, threads=1)
    parser.add_argument("--folder", type=Path, help="where a folder for the data is made (default: that of the system)")
    parser.add_argument(
        "--others", default=sys.executable, help="a Python with the part's libraries (default: this one)"
    )
    args = parser.parse_args()
    fix_threads(args.threads)  # which starts anew: before there is a folder
    args.folder = Path(tempfile.mkdtemp(prefix="sgdlinreg-sources-", dir=args.folder))
    try:
        run_parts(parser, args, PARTS, "sources.csv")
    finally:
        shutil.rmtree(args.folder)
