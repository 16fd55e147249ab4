"""Time two commits against each other: ``python benchmarks/compare_commits.py OLD NEW``.

Each commit is checked out into a temporary folder and imported by a process of its own, with an empty cache of compiled
code. The two processes stay alive and are called in turn (old, new, new, old, ...), so that what else the machine does
hits both; printed are the median of the paired ratios new / old, both medians, R2 below least squares and ``n_iter_``.
The first fit of each problem is not counted: it compiles. Two threads. BLAS runs at its own speed: environment
variables that hold it to old kernels are removed. Both commits are driven by the scripts of this working tree.

Suites: whole_fits (solver="numba", all else default), epochs (float eta0, no stopping; the difference of fits of a few
epochs and one), small_fits, closed_form (the default constructor) and cold_start (new processes).
"""

import argparse
import json
import math
import os
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from typing import NamedTuple

import environment

THREADS = 2
SLOW_BLAS = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")
NAMES = ("whole_fits", "epochs", "small_fits", "closed_form", "cold_start")
PAUSE = 0.05
"""Seconds between two fits, in which threads of the last one that still wait for work fall asleep."""
MORE_SECONDS = 0.3
"""The additional epochs of the longer fit take about as long."""


class Commit(NamedTuple):
    """One of the two: where it is checked out, its interpreter, and the variables of its processes."""

    name: str
    folder: Path
    python: str
    variables: dict


class FailedRequest(Exception):
    """What a worker raised."""


class Worker:
    """A process of `compare_worker` for a commit."""

    def __init__(self, commit):
        script = Path(__file__).with_name("compare_worker.py")
        command = [commit.python, str(script)]
        self._process = subprocess.Popen(
            command, env=commit.variables, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )
        self.about = self._reply()
        if not Path(self.about.pop("path")).is_relative_to(commit.folder):
            raise RuntimeError(f"{commit.python} imports another sgdlinreg than that of {commit.name}.")

    def ask(self, action, request=None):
        """Send a request and wait for the reply.

        Raises
        ------
        FailedRequest
            If the commit cannot do it; it can be asked for something else then.
        """
        self._process.stdin.write(json.dumps({action: request}) + "\n")
        reply = self._reply()
        if "error" in reply:
            raise FailedRequest(reply["error"])
        return reply

    def close(self):
        """End the process."""
        self._process.stdin.close()
        self._process.wait()

    def _reply(self):
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"A worker ended with status {self._process.wait()}; its messages are above.")
        return json.loads(line)


def in_turn(pairs):
    """Give the order of each pair: old, new; new, old; and so on."""
    for turn in range(pairs):
        yield ("old", "new") if turn % 2 == 0 else ("new", "old")


def warmed_up(workers, problem, request):
    """Compile, and give the request to time: of epochs, with as many as take long enough."""
    if problem.action == "fits":
        for worker in workers.values():
            worker.ask("fits", request)
        return request
    for _ in range(2):  # the first fits compile
        replies = [worker.ask("epochs", request | {"more": 2}) for worker in workers.values()]
    slowest = max(reply["seconds"] for reply in replies)
    return request | {"more": max(2, min(500, int(MORE_SECONDS / max(slowest, 1e-6))))}


def rows_of(workers, problem, pairs):
    """Time each way of fitting a problem; one row for each."""
    shape = [worker.ask("problem", problem.data) for worker in workers.values()][-1]
    best = workers["new"].ask("best")["r2"] if problem.has_r2 else math.nan
    for way, request in problem.requests.items():
        row, replies = {"problem": problem.name, "way": way} | shape, {"old": [], "new": []}
        try:
            request = warmed_up(workers, problem, request)
            for names in in_turn(pairs):
                for name in names:
                    time.sleep(PAUSE)
                    replies[name].append(workers[name].ask(problem.action, request))
        except FailedRequest as error:
            yield row | summary({"old": [], "new": []}) | {"error": str(error)}
            continue
        row |= summary({name: [reply["seconds"] for reply in replies[name]] for name in replies})
        for name in replies:
            row[f"{name}_r2_gap"] = f"{best - replies[name][-1]['r2']:.2e}"
            row[f"{name}_n_iter"] = replies[name][-1]["n_iter"]
        yield row


def summary(seconds):
    """Columns of a row: the median and the range of the paired ratios, and the medians of both; nan without a pair."""
    old, new = seconds["old"], seconds["new"]
    ratios = [b / a for a, b in zip(old, new, strict=True)] or [math.nan]
    values = {"ratio": median(ratios), "lowest": min(ratios), "highest": max(ratios)}
    values |= {"old_seconds": median(old or [math.nan]), "new_seconds": median(new or [math.nan])}
    rest = dict.fromkeys(("old_r2_gap", "new_r2_gap", "old_n_iter", "new_n_iter", "error"), "")
    return {key: f"{value:.4g}" for key, value in values.items()} | rest


def cold_start(commits, pairs):
    """Rows of what new processes take: an import, the first fit with an empty cache, and with the one this fit left."""
    from cold_start import run

    figures = ("import sgdlinreg", "first fit ever", "first fit of a new process")
    seconds = {what: {"old": [], "new": []} for what in figures}
    for names in in_turn(pairs):
        for name in names:
            with tempfile.TemporaryDirectory() as cache:
                empty = run(cache, commits[name].python, commits[name].variables)
                filled = [run(cache, commits[name].python, commits[name].variables) for _ in range(3)]
            values = (median(row[1] for row in filled), empty[2], median(row[2] for row in filled))
            for what, value in zip(figures, values, strict=True):
                seconds[what][name].append(value)
    shape = {"n_rows": 1000, "n_features": 10, "dtype": "float64"}
    for what, both in seconds.items():
        yield {"problem": what, "way": "numba"} | shape | summary(both)


@contextmanager
def checked_out(name, revision, folder, python):
    """Check a commit out for as long as the block runs."""
    target = folder / name

    def git(*arguments):
        done = subprocess.run(["git", *arguments], cwd=environment.ROOT, check=True, capture_output=True, text=True)
        return done.stdout.strip()

    short = git("rev-parse", "--short", f"{revision}^{{commit}}")
    git("worktree", "add", "--detach", str(target), short)
    variables = {key: value for key, value in os.environ.items() if key not in SLOW_BLAS}
    variables |= {"PYTHONPATH": str(target), "NUMBA_CACHE_DIR": str(folder / f"{name}-cache")}
    try:
        yield Commit(short, target, python, variables)
    finally:
        git("worktree", "remove", "--force", str(target))


def show(row):
    print(
        f"{row['problem']:28} {row['way']:9} {row['ratio']:>7} ({row['lowest']} to {row['highest']})  "
        f"{row['old_seconds']:>9} s -> {row['new_seconds']:>9} s  R2 gap {row['old_r2_gap']} -> {row['new_r2_gap']}  "
        f"n_iter {row['old_n_iter']} -> {row['new_n_iter']}  {row['error']}".rstrip(),
        flush=True,
    )


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("old", help="a commit")
    parser.add_argument("new", help="a commit")
    parser.add_argument("--suite", default=",".join(NAMES), help="with commas between (default: %(default)s)")
    parser.add_argument(
        "--problems", default="", help="only those whose name has one of these, with semicolons between"
    )
    parser.add_argument("--pairs", type=int, default=5, help="paired measurements (default: %(default)s)")
    parser.add_argument("--old-python", default=sys.executable, help="interpreter of the old commit")
    parser.add_argument("--new-python", default=sys.executable, help="interpreter of the new commit")
    parser.add_argument("--fast", action="store_true", help="small data: a check that everything runs")
    parser.add_argument("--output", type=Path, help="CSV file (default: none)")
    args = parser.parse_args()
    args.suite = args.suite.split(",")
    if unknown := set(args.suite) - set(NAMES):
        parser.error(f"no suite {', '.join(sorted(unknown))}; there are {', '.join(NAMES)}")
    return args


def main():
    args = parse()
    environment.fix_threads(THREADS)
    from compare_suites import SUITES
    from run import write

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that no checkout stays behind
    found, about = [], environment.describe(THREADS)
    print(", ".join(f"{key} {value}" for key, value in about.items()))
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        commits = {
            name: stack.enter_context(checked_out(name, getattr(args, name), folder, getattr(args, f"{name}_python")))
            for name in ("old", "new")
        }
        workers = {}
        for name, commit in commits.items():
            workers[name] = Worker(commit)
            stack.callback(workers[name].close)
            print(
                f"{name}: {commit.name}, " + ", ".join(f"{key} {value}" for key, value in workers[name].about.items())
            )

        def keep(suite, rows):
            for row in rows:
                show(row)
                hashes = {name: commit.name for name, commit in commits.items()}
                found.append({"suite": suite} | row | {"pairs": args.pairs} | hashes | about)
                if args.output:
                    write(args.output, found)

        for suite in args.suite:
            print(f"\n{suite}: new / old")
            if suite == "cold_start":
                keep(suite, cold_start(commits, args.pairs))
                continue
            for problem in SUITES[suite](args.fast):
                if any(part.strip() in problem.name for part in args.problems.split(";")):
                    keep(suite, rows_of(workers, problem, args.pairs))


if __name__ == "__main__":
    main()
