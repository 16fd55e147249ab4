"""Fit what `compare_commits` asks for, in a process of one commit: a request a line on stdin, a reply a line on stdout.

Requests are JSON objects with one of the keys of `ACTIONS`; a reply holds "error" where it failed.
"""

import gc
import json
import os
import sys
import time
import traceback
import warnings
from importlib.metadata import version
from statistics import median

LARGE = 2e7
"""Values from which least squares of the reference goes by moments: such data are well conditioned here."""


def draw_problem(kind, **options):
    """Read or draw X and y.

    Parameters
    ----------
    kind : {"real", "hard", "normal"}
    options : dict
        The arguments of what reads or draws.
    """
    if kind == "real":
        import real_data

        return real_data.available()[options["name"]]()
    if kind == "hard":
        import hard_data

        return hard_data.draw(**options)
    import epochs

    return epochs.draw(**options)


def best_r2(X, y):
    """R2 of least squares; of large data by Cholesky of centred moments, which needs no copy of them."""
    import numpy as np
    from no_tuning import best_r2 as by_svd
    from scipy import sparse

    if sparse.issparse(X) or X.size < LARGE:
        return by_svd(X, y)
    x_mean, y_mean = X.mean(axis=0, dtype=np.float64), y.mean(dtype=np.float64)
    moment, product = np.zeros((X.shape[1], X.shape[1])), np.zeros(X.shape[1])
    for start in range(0, len(y), 10_000):
        rows = X[start : start + 10_000] - x_mean
        moment += rows.T @ rows
        product += rows.T @ (y[start : start + 10_000] - y_mean)
    return float(product @ np.linalg.solve(moment, product) / (np.var(y, dtype=np.float64) * len(y)))


class Worker:
    """One problem at a time and the fits of it."""

    def __init__(self):
        self.X, self.y = None, None

    def problem(self, options):
        """Load a problem; the one before is forgotten first."""
        self.X = self.y = None
        gc.collect()
        self.X, self.y = draw_problem(**options)
        return {"n_rows": self.X.shape[0], "n_features": self.X.shape[1], "dtype": str(self.X.dtype)}

    def best(self, _):
        """R2 of least squares on the problem."""
        return {"r2": best_r2(self.X, self.y)}

    def fit(self, parameters, repeats=1):
        """Fit and time; the median of the seconds, R2 on the training data and n_iter_."""
        from no_tuning import r2_of

        from sgdlinreg import MiniBatchSGDRegressor

        gc.collect()
        seconds = []
        for _ in range(repeats):
            model = MiniBatchSGDRegressor(**parameters)
            start = time.perf_counter()
            model.fit(self.X, self.y)
            seconds.append(time.perf_counter() - start)
        return {"seconds": median(seconds), "r2": r2_of(model.predict(self.X), self.y), "n_iter": int(model.n_iter_)}

    def fits(self, request):
        """Fit several times: ``{"parameters": ..., "repeats": ...}``."""
        return self.fit(**request)

    def epochs(self, request):
        """Seconds of one epoch, as the difference between fits of a few and of one."""
        more, parameters = request["more"], request["parameters"]
        longer = self.fit(parameters | {"max_iter": 1 + more})
        return longer | {"seconds": (longer["seconds"] - self.fit(parameters | {"max_iter": 1})["seconds"]) / more}


ACTIONS = ("problem", "best", "fits", "epochs")


def main():
    replies = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what anything else prints is no reply
    warnings.simplefilter("ignore")
    import sgdlinreg

    packages = ("numpy", "scikit-learn", "numba")
    about = {"path": sgdlinreg.__file__} | {package: version(package) for package in packages}
    print(json.dumps(about), file=replies)
    worker = Worker()
    for line in sys.stdin:
        [(action, request)] = json.loads(line).items()
        try:
            reply = getattr(worker, action)(request)
        except Exception as error:  # a commit may be unable to do it: the other problems go on
            traceback.print_exc()
            reply = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(reply), file=replies)


if __name__ == "__main__":
    main()
