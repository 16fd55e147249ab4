"""What scripts have in common: options, and what figures depend on besides the data (machine, versions, others)."""

import argparse
import os
import platform
import subprocess
import time
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")
PACKAGES = ("numpy", "scikit-learn", "numba", "torch", "sgdlinreg")
OTHERS = ("scikit-learn-intelex", "skorch", "keras", "river", "vowpalwabbit")


def make_parser(name, about, repeats):
    """Give a parser of the options that most scripts have: --fast, --repeats and --output.

    Parameters
    ----------
    name : str
        Of the script; results go to ``results/<name>.csv``.
    about : str
        Its docstring.
    repeats : int
        Interleaved fits unless told otherwise.
    """
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fast", action="store_true", help="small data: a check that everything runs")
    parser.add_argument("--repeats", type=int, default=repeats, help="interleaved fits (default: %(default)s)")
    parser.add_argument("--output", type=Path, default=RESULTS / f"{name}.csv")
    return parser


def fix_threads(threads):
    """Fix the number of threads; call before numpy is imported."""
    for name in THREAD_VARIABLES:
        os.environ[name] = str(threads)
    if find_spec("torch"):
        import torch

        torch.set_num_threads(threads)


def describe(threads):
    """Columns that every row of a run shares.

    Returns
    -------
    dict of str to str or int
    """
    return {
        "machine": f"{_cpu_model()}, {os.cpu_count()} cores",
        "threads": threads,
        "python": platform.python_version(),
        **{package: _version(package) for package in PACKAGES},
        "others": "; ".join(f"{package} {_version(package)}" for package in OTHERS if _version(package)),
        "commit": _commit(),
        "date": datetime.now(UTC).date().isoformat(),
    }


def seconds_of_others():
    """CPU seconds of all other processes since the machine started; nan where there is no /proc."""
    try:
        fields = Path("/proc/stat").read_text().split(maxsplit=9)[1:9]
    except OSError:
        return float("nan")
    user, nice, system, _, _, irq, softirq, steal = map(int, fields)
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK") - time.process_time()


def _cpu_model():
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    models = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(models, platform.processor() or platform.machine())


def _version(package):
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _commit():
    """Give the short hash, with "+" where files other than results differ from it."""
    hash_ = _git("rev-parse", "--short", "HEAD")
    changed = _git("status", "--porcelain", "--", ".", ":!benchmarks/results")
    return hash_ + "+" if hash_ and changed else hash_


def _git(*arguments):
    try:
        done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return ""
    return done.stdout.strip()
