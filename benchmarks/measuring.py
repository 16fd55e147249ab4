"""What all scripts share: the loop that measures, R2, options, and tables that are printed and kept as CSV files.

`in_turn` is the loop. Contenders are called in turn, so that a slow moment of the machine hits all of them alike, and
medians and paired ratios are compared. Compare inside a run, not between runs.
"""

import argparse
import csv
import gc
import math
import os
import platform
import random
import re
import subprocess
import sys
import time
import warnings
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import distributions
from pathlib import Path
from statistics import median
from textwrap import shorten
from typing import Any

import numpy as np
import problems
from scipy import sparse
from scipy.sparse.linalg import lsmr

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")
PACKAGES = ("numpy", "scikit-learn", "numba", "torch", "scikit-learn-intelex", "sgdlinreg")
FAST_ROWS = 1000  # of every problem with --fast
LARGE = 5e7  # values from which least squares goes by moments: such data are well conditioned here
CUTOFF = 1e-13  # singular values that count as 0, relative to the largest
WIDE = ("problem", "name", "what", "objective")  # columns of long texts


@dataclass
class Timing:
    """The seconds of a contender's turns, what its last call gave, and the error that ended its turns."""

    seconds: list[float] = field(default_factory=list)
    result: Any = None
    error: str = ""
    last_turn: float = math.inf

    @property
    def median(self):
        """Median of the seconds; nan without one."""
        return median(self.seconds or [math.nan])

    def over(self, other):
        """Median of the ratios to the seconds of another contender in the same turns; nan without one."""
        return median([a / b for a, b in zip(self.seconds, other.seconds, strict=False)] or [math.nan])


@dataclass
class Fit:
    """A fitted model and the warnings of the fit."""

    model: Any
    warnings: list

    @property
    def n_iter(self):
        """The largest n_iter_, of the last step of a pipeline; "" where there is none."""
        n_iter = getattr(self.model[-1] if hasattr(self.model, "steps") else self.model, "n_iter_", None)
        return "" if n_iter is None else int(np.max(n_iter))


def in_turn(clocks, repeats, slow=math.inf, pause=0.0):
    """Call contenders in turn; return a Timing of each by name.

    Parameters
    ----------
    clocks : dict of str to callable() -> (seconds, result)
        Each is called once to warm up, then `repeats` times: in a random order, then in the reverse of it, and so on.
    repeats : int
    slow, pause : float
        Seconds: a contender whose warm-up takes longer is not called again, its warm-up counts; and those before each
        call, in which threads of the last one that still wait for work fall asleep.
    """
    found, order, rng = {name: Timing() for name in clocks}, list(clocks), random.Random(0)
    for turn in range(repeats + 1):
        if turn == 1:
            gc.collect()
            gc.freeze()  # else a collection in a timed call walks all modules: 0.2 s with torch and numba loaded
        order = order[::-1] if turn % 2 == 0 else rng.sample(order, len(order))
        for name in [name for name in order if turn <= found[name].last_turn]:
            one = found[name]
            time.sleep(pause)
            try:
                seconds, one.result = clocks[name]()
            except Exception as error:  # a failure is a result, not the end of the run
                one.error, one.last_turn = shorten(f"{type(error).__name__}: {error}", 90), -1
                continue
            if turn or seconds > slow:
                one.seconds.append(seconds)
                one.last_turn = repeats if turn else 0
    gc.unfreeze()
    return found


def clock(action):
    """Return a clock of an action, whose result is what the action returns."""

    def seconds_of_action():
        start = time.perf_counter()
        result = action()
        return time.perf_counter() - start, result

    return seconds_of_action


def fit_clock(make, *data, method="fit", **keywords):
    """Return a clock of fits of new estimators, whose result is a Fit."""

    def seconds_of_fit():
        model = make()
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            start = time.perf_counter()
            getattr(model, method)(*data, **keywords)
            seconds = time.perf_counter() - start
        return seconds, Fit(model, caught)

    return seconds_of_fit


def epoch_clock(fit, more_seconds=0.3):
    """Return a clock of an epoch: the slope between ``fit(1)`` and more epochs, so that set-up does not count."""

    def seconds_of(epochs):
        return clock(lambda: fit(epochs))()[0]

    seconds_of(1)  # compiles
    slope = (seconds_of(3) - seconds_of(1)) / 2
    more = int(np.clip(more_seconds / max(slope, 1e-6), 2, 500))
    return lambda: ((seconds_of(1 + more) - seconds_of(1)) / more, None)


def r2_of(predictions, y):
    """Return R2; not finite for a model that overflows."""
    with np.errstate(all="ignore"):
        error = np.asarray(predictions, dtype=np.float64) - y
        return float(1.0 - np.square(error).mean() / np.var(y, dtype=np.float64))


def best_r2(X, y):
    """Return R2 of least squares: by SVD, of sparse data by LSMR, of large data by Cholesky of centred moments."""
    y = np.asarray(y, dtype=np.float64)
    if sparse.issparse(X):
        rows = sparse.hstack([X, np.ones((X.shape[0], 1))], format="csr", dtype=np.float64)
        return r2_of(rows @ lsmr(rows, y, atol=1e-13, btol=1e-13, maxiter=5000)[0], y)
    centred = y - y.mean()
    if X.size < LARGE:
        Z = X.astype(np.float64)
        Z -= Z.mean(axis=0)
        norms = np.linalg.norm(Z, axis=0)
        left, singular, _ = np.linalg.svd(Z / np.where(norms > 0.0, norms, np.inf), full_matrices=False)
        left = left[:, singular > CUTOFF * max(1.0, X.shape[1] / 50) * singular[0]]
        return r2_of(left @ (left.T @ centred), centred)  # a projection keeps digits that coefficients lose
    x_mean, moment, product = X.mean(axis=0, dtype=np.float64), 0.0, 0.0
    for start in range(0, len(y), 10_000):
        rows = X[start : start + 10_000] - x_mean
        moment, product = moment + rows.T @ rows, product + rows.T @ centred[start : start + 10_000]
    return float(product @ np.linalg.solve(moment, product) / (centred @ centred))


def make_parser(about, parts, repeats, threads):
    """Return a parser of the options that all scripts have, with these defaults; no --repeats for None."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", default=",".join(parts), help="with commas between (default: %(default)s)")
    parser.add_argument("--problems", help="names, with semicolons between (default: those of the part)")
    parser.add_argument("--fast", action="store_true", help="small data: a check that everything runs")
    if repeats:
        parser.add_argument("--repeats", type=int, default=repeats, help="turns of each (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=threads, help="of all libraries (default: %(default)s)")
    parser.add_argument("--output", type=Path, help="folder of CSV files (default: results; none with --fast)")
    return parser


def run_parts(parser, args, parts, file=None):
    """Run the chosen parts of a script, which give rows; each has a file with its name, unless one is given for all."""
    names = choose(parser, args.parts, parts, ",")
    if args.problems:
        args.problems = [name.strip() for name in args.problems.split(";")]
        choose(parser, ";".join(name for name in args.problems if not problems.is_available(name)), problems.PROBLEMS)
    fix_threads(args.threads)
    args.most_rows = FAST_ROWS if args.fast else None
    folder, about = args.output or (None if args.fast else RESULTS), describe(args.threads)
    print(", ".join(f"{name} {value}" for name, value in about.items()))
    warnings.simplefilter("ignore")
    table = Table(folder and file and folder / file, about)
    for name in names:
        print(f"\n{name}")
        if not file:
            table = Table(folder and folder / f"{name}.csv", about)
        for row in parts[name](args):
            table.add({"part": name} | row if file else row)


def choose(parser, names, known, separator=";"):
    """Return the names of an option as a list; those that are not known are an error."""
    chosen = [name.strip() for name in names.split(separator) if name.strip()]
    if unknown := [name for name in chosen if name not in known]:
        parser.error(f"no {separator.join(unknown)} here; there are {(separator + ' ').join(known)}")
    return chosen


def fix_threads(threads):
    """Start the script anew with this number of threads, which libraries read when they are imported."""
    wanted = dict.fromkeys(THREAD_VARIABLES, str(threads))
    if any(os.environ.get(name) != value for name, value in wanted.items()):
        os.execve(sys.executable, sys.orig_argv, os.environ | wanted)


class Table:
    """Rows that are printed as they come, and written to a CSV file, if any, with what all rows of a run share."""

    def __init__(self, path, about):
        self.path, self.about, self.rows = path, about, []

    def add(self, row):
        """Print a row and write the file, so that a run that is interrupted keeps what it has."""
        widths = [max(len(name), 28 if name in WIDE else 9) for name in row]
        is_new = not self.rows or list(self.rows[-1]) != list(row)
        for line in ([row] if is_new else []) + [map(_shown, row.values())]:
            print("  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip(), flush=True)
        self.rows.append(row)
        if self.path:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("w", newline="") as file:
                names = dict.fromkeys(name for one in self.rows for name in one)
                writer = csv.DictWriter(file, [*names, *self.about], lineterminator="\n")
                writer.writeheader()
                for one in self.rows:
                    writer.writerow({name: _shown(value, 9) for name, value in (one | self.about).items()})


def _shown(value, digits=4):
    return f"{value:.{digits}g}" if isinstance(value, float) else str(value)


def describe(threads):
    """Return the columns that every row of a run shares: machine, threads, versions, commit and date."""
    path, installed = Path("/proc/cpuinfo"), {one.name: one.version for one in distributions()}
    models = re.findall(r"model name\s*: (.*)", path.read_text() if path.exists() else "")
    git = partial(subprocess.run, cwd=ROOT, capture_output=True, text=True)
    changed = git(["git", "status", "--porcelain", "--", ".", ":!benchmarks/results"]).stdout
    return {
        "machine": f"{[*models, platform.machine()][0]}, {os.cpu_count()} cores",
        "threads": threads,
        "python": platform.python_version(),
        **{package: installed.get(package, "") for package in PACKAGES},
        "commit": git(["git", "rev-parse", "--short", "HEAD"]).stdout.strip() + "+" * bool(changed),
        "date": datetime.now(UTC).date().isoformat(),
    }
