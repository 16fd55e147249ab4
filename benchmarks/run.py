"""Time contenders on problems: ``python benchmarks/run.py --help``.

Prints a table for each problem and writes a CSV file. Only ``fit`` is timed. Use a machine that does nothing
else: where other processes take a core, BLAS on all cores can be 50 times slower.
"""

import argparse
import csv
import math
import os
import time
from pathlib import Path

import environment

RESULTS = Path(__file__).parent / "results"
USABLE_GAP = 0.01
"""Ratios are to the fastest contender whose R2 is within this of the best, not to a fast wrong model."""
CAP = {False: 20.0, True: 0.3}
"""Seconds by --fast: a contender that takes longer is fitted once."""


def as_rows(problem, X, found, other_load):
    """Rows of the CSV file for one problem, the fastest contender first, those without a time last."""
    best = max((one.r2 for one in found if not math.isnan(one.r2)), default=math.nan)
    usable = [one.median for one in found if one.seconds and best - one.r2 <= USABLE_GAP]
    fastest = min(usable, default=math.nan)
    found = sorted(found, key=lambda one: one.median if one.seconds else math.inf)
    return [
        {
            "problem": problem,
            "contender": one.contender,
            "n_rows": X.shape[0],
            "n_features": X.shape[1],
            "dtype": str(X.dtype),
            "median_seconds": _number(one.median, ".6g"),
            "seconds": " ".join(_number(seconds, ".6g") for seconds in one.seconds),
            "ratio": _number(one.median / fastest, ".4g"),
            "r2": _number(one.r2, ".12g"),
            "r2_gap": _number(best - one.r2, ".3g"),
            "epochs": one.epochs,
            "solver": one.solver,
            "note": "; ".join(one.notes),
            "other_load": _number(other_load, ".2f"),
        }
        for one in found
    ]


def _number(value, spec):
    return "" if math.isnan(value) else format(value, spec)


def print_table(rows):
    first = rows[0]
    print(f"\n{first['problem']}: {first['n_rows']} x {first['n_features']}, {first['dtype']}", end="")
    print(f"; other processes kept {first['other_load'] or 'unknown'} cores busy")
    print(f"{'contender':28} {'seconds':>9} {'ratio':>9} {'R2':>12} {'R2 gap':>9} {'epochs':>6}  note")
    for row in rows:
        seconds = f"{float(row['median_seconds']):.4g}" if row["median_seconds"] else "-"
        r2 = f"{float(row['r2']):.6g}" if row["r2"] else "-"
        line = f"{row['contender']:28} {seconds:>9} {row['ratio'] or '-':>9} {r2:>12} {row['r2_gap'] or '-':>9}"
        print(f"{line} {row['epochs']:>6}  {row['note']}".rstrip())


def write(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def make_parser():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fast", action="store_true", help="small data, under a minute")
    parser.add_argument("--problems", help="names, with commas between (default: all)")
    parser.add_argument("--contenders", help="names, with commas between (default: all)")
    parser.add_argument("--repeats", type=int, help="timed fits of each (default: 5, 1 with --fast)")
    parser.add_argument(
        "--threads",
        type=int,
        default=os.cpu_count(),
        help="of BLAS, OpenMP, numba and torch (default: cores)",
    )
    parser.add_argument("--output", type=Path, help="default: results/run.csv, results/fast.csv with --fast")
    return parser


def choose(parser, names, registry):
    """Give the named part of a registry, in the order of the names; all of it for None."""
    if names is None:
        return registry
    unknown = [name for name in names.split(",") if name not in registry]
    if unknown:
        parser.error(f"no {', '.join(unknown)} here; there are {', '.join(registry)}")
    return {name: registry[name] for name in names.split(",")}


def main():
    parser = make_parser()
    args = parser.parse_args()
    environment.fix_threads(args.threads)
    # these import numpy, which reads the number of threads only once
    import contenders as all_contenders
    import problems as all_problems
    from measuring import measure

    problems = choose(parser, args.problems, all_problems.available(args.fast))
    contenders = choose(parser, args.contenders, all_contenders.available())
    repeats = args.repeats or (1 if args.fast else 5)
    output = args.output or RESULTS / ("fast.csv" if args.fast else "run.csv")
    shared = environment.describe(args.threads)
    print(", ".join(f"{name} {value}" for name, value in shared.items()))
    rows = []
    for name, make_problem in problems.items():
        X, y = make_problem(args.fast)
        start, others = time.perf_counter(), environment.seconds_of_others()
        found = measure(X, y, contenders, repeats, CAP[args.fast])
        other_load = (environment.seconds_of_others() - others) / (time.perf_counter() - start)
        table = as_rows(name, X, found, max(0.0, other_load))
        print_table(table)
        rows += [row | shared for row in table]
        write(output, rows)  # after every problem: a run that is interrupted keeps what it has


if __name__ == "__main__":
    main()
