"""Time two commits against each other: ``python benchmarks/compare_commits.py OLD NEW``.

Each commit is checked out into a temporary folder and imported by a process of its own, with an empty cache of compiled
code. The processes are called in turn, so that what else the machine does hits both; printed are the median of the
paired ratios new / old, both medians, R2 below least squares and ``n_iter_``. First fits compile and are not counted.
Both commits are driven by the scripts of this working tree, with two threads. BLAS runs at its own speed: environment
variables that hold it to old kernels are removed.

Suites: whole_fits (solver="numba", all else default), epochs (float eta0, no stopping), small_fits, closed_form (the
default constructor) and cold_start (new processes).
"""

import argparse
import gc
import json
import math
import os
import signal
import subprocess
import sys
import tempfile
import traceback
import warnings
from contextlib import ExitStack, contextmanager
from functools import partial
from importlib.metadata import version
from pathlib import Path
from statistics import median

import measuring
import problems
from measuring import in_turn
from speed import DENSE, FIRST_FITS, first_clock

THREADS = 2
SLOW_BLAS = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")
CLOSED_FORM = ("4000000 x 5", "2000000 x 10", "1000000 x 20", "1000000 x 100", "200000 x 500")
CLOSED_FORM = [f"{shape}, {dtype}" for shape in CLOSED_FORM for dtype in ("float64", "float32")]
CORRELATED = ("2000 x 500, equicorrelated", "2000 x 500, autoregressive", "2000 x 500, factors")
NUMBA = {"solver": "numba", "random_state": 0}
REPEATED = {"numba": {"parameters": NUMBA, "repeats": 200}, "default": {"parameters": {}, "repeats": 200}}
STEPS = NUMBA | {"batch_size": 32, "tol": None}
SUITES = {  # names of problems, what a worker does, and its arguments by a name for the way of fitting
    "whole_fits": (
        [*problems.REAL, *CORRELATED, "1000000 x 10", "1000000 x 100"],
        "fit",
        {"numba": {"parameters": NUMBA}},
    ),
    "epochs": (DENSE, "epoch", {"an epoch": {"parameters": STEPS}}),
    "small_fits": (("100 x 5", "diabetes"), "fit", REPEATED),
    "closed_form": (CLOSED_FORM, "fit", {"default": {"parameters": {}}}),
    "cold_start": ((), "", {}),
}


class Worker:
    """What the process of a commit does: it holds one problem at a time."""

    def problem(self, name, most_rows, with_best):
        """Draw a problem, and give its shape and R2 of least squares; the one before is forgotten first."""
        self.X = self.y = self.clock = None
        gc.collect()
        self.X, self.y = problems.draw(name, most_rows=most_rows)
        shape = {"n_rows": self.X.shape[0], "n_features": self.X.shape[1], "dtype": str(self.X.dtype)}
        return shape | {"best": measuring.best_r2(self.X, self.y) if with_best else math.nan}

    def fit(self, parameters, repeats=1):
        """Fit and time: the median of the seconds, R2 and n_iter_."""
        from sgdlinreg import MiniBatchSGDRegressor

        gc.collect()
        clock = measuring.fit_clock(partial(MiniBatchSGDRegressor, **parameters), self.X, self.y)
        fits = [clock() for _ in range(repeats)]
        r2 = measuring.r2_of(fits[-1][1].model.predict(self.X), self.y)
        return {"seconds": median(seconds for seconds, _ in fits), "r2": r2, "n_iter": fits[-1][1].n_iter}

    def epoch(self, parameters):
        """Time an epoch; how many are made to measure one is decided at the first call."""
        from sgdlinreg import MiniBatchSGDRegressor

        make = partial(MiniBatchSGDRegressor, eta0=0.1 / self.X.shape[1], **parameters)
        self.clock = self.clock or measuring.epoch_clock(lambda n: make(max_iter=n).fit(self.X, self.y))
        return {"seconds": self.clock()[0], "r2": math.nan, "n_iter": ""}


def work():
    """Answer requests, a JSON object a line: ``{action: arguments}``; a reply holds "error" where it failed."""
    replies = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what anything else prints is no reply
    warnings.simplefilter("ignore")
    import sgdlinreg

    versions = [f"{name} {version(name)}" for name in ("numpy", "scikit-learn", "numba")]
    about = {"path": sgdlinreg.__file__, "versions": versions}
    print(json.dumps(about), file=replies)
    worker = Worker()
    for line in sys.stdin:
        [(action, arguments)] = json.loads(line).items()
        try:
            reply = getattr(worker, action)(**arguments)
        except Exception as error:  # a commit may be unable to do it: the other problems go on
            traceback.print_exc()
            reply = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(reply), file=replies)


class Commit:
    """A commit that is checked out in a folder, and its process."""

    def __init__(self, name, python, variables, process):
        self.name, self.python, self.variables, self._process = name, python, variables, process
        self.about = self._reply()

    def ask(self, action, arguments):
        """Send a request and give its seconds and the reply; a RuntimeError if the commit cannot do it."""
        self._process.stdin.write(json.dumps({action: arguments}) + "\n")
        reply = self._reply()
        if "error" in reply:
            raise RuntimeError(reply["error"])
        return reply.get("seconds"), reply

    def _reply(self):
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f"A worker ended with status {self._process.wait()}; its messages are above.")
        return json.loads(line)


@contextmanager
def checked_out(name, revision, folder, python):
    """Check a commit out and start its process, for as long as the block runs."""
    target = folder / name

    def git(*arguments):
        command = ["git", *arguments]
        return subprocess.run(command, cwd=measuring.ROOT, check=True, capture_output=True, text=True).stdout.strip()

    short = git("rev-parse", "--short", f"{revision}^{{commit}}")
    git("worktree", "add", "--detach", str(target), short)
    variables = {key: value for key, value in os.environ.items() if key not in SLOW_BLAS}
    variables |= dict.fromkeys(measuring.THREAD_VARIABLES, str(THREADS))
    variables |= {"PYTHONPATH": str(target), "NUMBA_CACHE_DIR": str(folder / f"{name}-cache")}
    command = [python, "-c", "from compare_commits import work; work()"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "bufsize": 1}
    try:
        with subprocess.Popen(command, env=variables, cwd=Path(__file__).parent, **pipes) as process:
            commit = Commit(short, python, variables, process)
            if not Path(commit.about["path"]).is_relative_to(target):
                raise RuntimeError(f"{python} imports another sgdlinreg than that of {short}.")
            print(f"{name}: {short}, {', '.join(commit.about['versions'])}")
            yield commit
    finally:
        git("worktree", "remove", "--force", str(target))


def compare(commits, suite, args):
    """Give a row for each problem and way of fitting."""
    names, action, requests = suite
    names = [name for name in names if problems.is_available(name)]
    names = [name for name in names if any(part.strip() in name for part in args.problems.split(";"))]
    for name in names[:1] + names[1:][-1:] if args.fast else names:
        about = {"name": name, "most_rows": measuring.FAST_ROWS if args.fast else None, "with_best": action == "fit"}
        shape = [commit.ask("problem", about)[1] for commit in commits.values()][-1]
        best = shape.pop("best")
        for way, request in requests.items():
            clocks = {who: partial(commit.ask, action, request) for who, commit in commits.items()}
            found = in_turn(clocks, args.pairs, pause=0.05)
            row = {"problem": name, "way": way} | shape | summary(**found)
            for who, one in found.items():
                row[f"{who}_r2_gap"] = best - one.result["r2"] if one.result else math.nan
                row[f"{who}_n_iter"] = one.result["n_iter"] if one.result else ""
            yield row | {"error": found["old"].error or found["new"].error}


def summary(old, new):
    """Return the median and the range of the paired ratios, and the medians of both."""
    ratios = [b / a for a, b in zip(old.seconds, new.seconds, strict=False)] or [math.nan]
    row = {"ratio": median(ratios), "lowest": min(ratios), "highest": max(ratios)}
    return row | {"old_seconds": old.median, "new_seconds": new.median}


def cold_start(commits, args):
    """Give rows of what new processes take: an import, the first fit with an empty cache, and with a filled one."""
    for what, figure in FIRST_FITS.items():
        clocks = {who: first_clock(figure, one.python, one.variables) for who, one in commits.items()}
        yield {"problem": what, "way": "numba"} | summary(**in_turn(clocks, args.pairs))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("old", help="a commit")
    parser.add_argument("new", help="a commit")
    parser.add_argument("--suite", default=",".join(SUITES), help="with commas between (default: %(default)s)")
    parser.add_argument("--problems", default="", help="those whose name has one of these, with semicolons between")
    parser.add_argument("--pairs", type=int, default=5, help="paired measurements (default: %(default)s)")
    for who in ("old", "new"):
        parser.add_argument(f"--{who}-python", default=sys.executable, help=f"interpreter of the {who} commit")
    parser.add_argument("--fast", action="store_true", help="small data: a check that everything runs")
    parser.add_argument("--output", type=Path, help="CSV file (default: none)")
    args = parser.parse_args()
    if unknown := set(args.suite.split(",")) - set(SUITES):
        parser.error(f"no suite {', '.join(sorted(unknown))}; there are {', '.join(SUITES)}")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that no checkout stays behind
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        commits = {
            who: stack.enter_context(checked_out(who, getattr(args, who), folder, getattr(args, f"{who}_python")))
            for who in ("old", "new")
        }
        table = measuring.Table(
            args.output, {who: one.name for who, one in commits.items()} | measuring.describe(THREADS)
        )
        for name in args.suite.split(","):
            print(f"\n{name}: new / old")
            for row in cold_start(commits, args) if name == "cold_start" else compare(commits, SUITES[name], args):
                table.add({"suite": name} | row | {"pairs": args.pairs})


if __name__ == "__main__":
    main()
