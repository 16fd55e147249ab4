"""Time contenders on problems: ``python benchmarks/run.py --help``.

Every contender fits once to warm up, which does not count; then all of a problem take turns, so that a slow
minute of the machine hits them alike. Only ``fit`` is timed. Run it on a machine that does nothing else.
"""

import argparse
import csv
import gc
import os
import statistics
import time
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import shorten

import environment

RESULTS = Path(__file__).parent / "results"
USABLE_GAP = 0.01
"""Ratios are to the fastest contender whose R2 is within this of the best: a fast wrong model is no yardstick."""


@dataclass
class Measurement:
    """What one contender did on one problem; ``repeats`` is the number of timed fits still to come."""

    contender: str
    repeats: int = 0
    seconds: list[float] = field(default_factory=list)
    r2: float = float("nan")
    epochs: object = ""
    solver: str = ""
    notes: list[str] = field(default_factory=list)

    def failed(self, error):
        """Keep the message, plan no more fits."""
        self.repeats = 0
        self.notes.insert(0, shorten(f"{type(error).__name__}: {error}", 90))


def timed_fit(make, X, y):
    """Fit a new estimator.

    Returns
    -------
    model, seconds, list of warnings.WarningMessage
    """
    model = make()
    gc.collect()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        start = time.perf_counter()
        model.fit(X, y)
        seconds = time.perf_counter() - start
    return model, seconds, caught


def training_r2(model, X, y):
    """R2 on the training data, in float64; not finite for a model that diverged."""
    import numpy as np

    with np.errstate(all="ignore"):
        error = np.asarray(model.predict(X), dtype=np.float64) - y
        return float(1.0 - np.mean(np.square(error)) / np.var(y, dtype=np.float64))


def warm_up(name, contender, X, y, repeats, cap):
    """Fit once, look at the model and decide how often the contender is timed."""
    import numpy as np
    from scipy import sparse

    found = Measurement(name)
    if sparse.issparse(X) and not contender.accepts_sparse:
        found.notes.append("not run: X is sparse")
        return found
    try:
        model, seconds, caught = timed_fit(contender.make, X, y)
        found.r2 = training_r2(model, X, y)
    except Exception as error:  # a contender that fails is a result
        found.failed(error)
        return found
    last = model[-1] if hasattr(model, "steps") else model
    n_iter = getattr(last, "n_iter_", None)
    found.epochs = "" if n_iter is None else int(np.max(n_iter))
    found.solver = getattr(last, "solver_", "")
    found.repeats = repeats
    if seconds > cap:
        found.repeats = 1
        found.notes.append(f"timed once: over {cap:g} s")
    if not found.r2 >= 0.0:
        found.notes.append("diverged" if not found.r2 > -1e3 else "worse than the mean of y")
    messages = dict.fromkeys(f"{warning.category.__name__}: {warning.message}" for warning in caught)
    found.notes += [shorten(message, 90) for message in messages]
    return found


def measure(X, y, contenders, repeats, cap):
    """Measure all contenders on one problem, repeats interleaved.

    Returns
    -------
    list of Measurement
    """
    found = [warm_up(name, contender, X, y, repeats, cap) for name, contender in contenders.items()]
    for turn in range(repeats):
        for one in found:
            if turn < one.repeats:
                try:
                    one.seconds.append(timed_fit(contenders[one.contender].make, X, y)[1])
                except Exception as error:
                    one.failed(error)
    return found


def as_rows(problem, X, found):
    """Rows of the table of one problem, the fastest first and those without a time last."""
    best_r2 = max((one.r2 for one in found if one.r2 == one.r2), default=float("nan"))
    usable = [
        statistics.median(one.seconds) for one in found if one.seconds and best_r2 - one.r2 <= USABLE_GAP
    ]
    rows = []
    for one in found:
        median = statistics.median(one.seconds) if one.seconds else None
        rows.append(
            {
                "problem": problem,
                "contender": one.contender,
                "n_rows": X.shape[0],
                "n_features": X.shape[1],
                "dtype": str(X.dtype),
                "median_seconds": "" if median is None else f"{median:.6g}",
                "seconds": " ".join(f"{seconds:.6g}" for seconds in one.seconds),
                "ratio": f"{median / min(usable):.4g}" if median and usable else "",
                "r2": "" if one.r2 != one.r2 else f"{one.r2:.12g}",
                "r2_gap": "" if one.r2 != one.r2 else f"{best_r2 - one.r2:.3g}",
                "epochs": one.epochs,
                "solver": one.solver,
                "note": "; ".join(one.notes),
            }
        )
    return sorted(rows, key=lambda row: float(row["median_seconds"] or "inf"))


def print_table(rows):
    first = rows[0]
    print(f"\n{first['problem']}: {first['n_rows']} x {first['n_features']}, {first['dtype']}")
    print(f"{'contender':28} {'seconds':>9} {'ratio':>7} {'R2':>10} {'R2 gap':>9} {'epochs':>6}  note")
    for row in rows:
        r2 = f"{float(row['r2']):.6g}" if row["r2"] else "-"
        cells = [
            row["median_seconds"][:9] or "-",
            row["ratio"] or "-",
            r2,
            row["r2_gap"] or "-",
            row["epochs"],
        ]
        widths = zip(cells, (9, 7, 10, 9, 6), strict=True)
        print(
            f"{row['contender']:28} " + " ".join(f"{cell:>{width}}" for cell, width in widths),
            "",
            row["note"],
        )


def parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--fast", action="store_true", help="small data, under a minute")
    parser.add_argument("--problems", help="names, with commas between (default: all)")
    parser.add_argument("--contenders", help="names, with commas between (default: all)")
    parser.add_argument("--repeats", type=int, help="timed fits of each (default: 5; 3 with --fast)")
    parser.add_argument(
        "--threads", type=int, default=os.cpu_count(), help="threads of BLAS, OpenMP, numba, torch"
    )
    parser.add_argument("--output", type=Path, help="default: results/run.csv; results/fast.csv with --fast")
    args = parser.parse_args()
    args.repeats = args.repeats or (3 if args.fast else 5)
    args.output = args.output or RESULTS / ("fast.csv" if args.fast else "run.csv")
    args.cap = 10.0 if args.fast else 60.0  # seconds of a warm-up from which on a contender is timed once
    return parser, args


def chosen(parser, names, registry):
    """Part of a registry, in the order of the names."""
    if names is None:
        return registry
    unknown = [name for name in names.split(",") if name not in registry]
    if unknown:
        parser.error(f"no {', '.join(unknown)} here; there are {', '.join(registry)}")
    return {name: registry[name] for name in names.split(",")}


def write(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def main():
    parser, args = parse_arguments()
    environment.fix_threads(args.threads)
    import contenders as all_contenders
    import problems as all_problems

    problems = chosen(parser, args.problems, all_problems.available(args.fast))
    contenders = chosen(parser, args.contenders, all_contenders.available())
    shared = environment.describe(args.threads)
    print(", ".join(f"{name} {value}" for name, value in shared.items()))
    rows = []
    for name, make_problem in problems.items():
        X, y = make_problem(args.fast)
        table = as_rows(name, X, measure(X, y, contenders, args.repeats, args.cap))
        print_table(table)
        rows += [row | shared for row in table]
        write(args.output, rows)  # after every problem: a run that is interrupted keeps what it has


if __name__ == "__main__":
    main()
