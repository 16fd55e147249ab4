"""What comes before the first epoch of a new process: ``python benchmarks/cold_start.py --help``.

Each figure is the median over new processes: what ``import sgdlinreg`` takes after ``import sklearn.linear_model``, and
the seconds of the first fit with solver="numba", without the import of numba: with an empty cache of compiled code, and
with the one that this fit left.
"""

import os
import subprocess
import sys
import tempfile
from statistics import median

import environment

SCRIPT = """
import time
start = time.perf_counter()
import sklearn.linear_model
sklearn_done = time.perf_counter()
import sgdlinreg
own_done = time.perf_counter()
import numba
import numpy as np
rng = np.random.default_rng(0)
X = rng.standard_normal((1000, 10))
y = X @ rng.standard_normal(10) + rng.standard_normal(1000)
before = time.perf_counter()
sgdlinreg.MiniBatchSGDRegressor(solver="numba", random_state=0).fit(X, y)
print(sklearn_done - start, own_done - sklearn_done, time.perf_counter() - before)
"""


def run(cache, python=sys.executable, variables=os.environ):
    """Seconds of importing scikit-learn, of importing the package, and of the first fit."""
    done = subprocess.run(
        [python, "-c", SCRIPT],
        env=variables | {"NUMBA_CACHE_DIR": cache},
        capture_output=True,
        text=True,
        check=True,
    )
    return [float(value) for value in done.stdout.split()]


def main():
    parser = environment.make_parser("cold_start", __doc__, repeats=5)
    args = parser.parse_args()
    environment.fix_threads(1)
    from run import write

    about = environment.describe(1)
    print(", ".join(f"{name} {value}" for name, value in about.items()))
    empty, later = [], []
    for _ in range(1 if args.fast else args.repeats):
        with tempfile.TemporaryDirectory() as cache:
            empty.append(run(cache))
            later += [run(cache) for _ in range(3)]
    imports = median(row[1] / row[0] for row in later)
    figures = {
        "import sgdlinreg / import sklearn.linear_model": imports,
        "seconds of the first fit, empty cache": median(row[2] for row in empty),
        "seconds of the first fit in a new process": median(row[2] for row in later),
    }
    for what, value in figures.items():
        print(f"{what:48} {value:7.4f}")
    write(args.output, [{"what": what, "value": value} | about for what, value in figures.items()])


if __name__ == "__main__":
    main()
