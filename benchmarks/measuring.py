"""Measure contenders on one problem: two fits to warm up each, of some rows and of all, then timed fits in turn."""

import gc
import time
import warnings
from contextlib import suppress
from dataclasses import dataclass, field
from statistics import median
from textwrap import shorten

import numpy as np
from scipy import sparse

NOTE_LENGTH = 90
HEAD = 100


@dataclass
class Measurement:
    """What one contender did on one problem.

    Attributes
    ----------
    contender : str
    seconds : list of float
        Of each timed fit.
    r2 : float
        On the training data; nan without a model.
    epochs : int or ""
        The largest n_iter_, where there is one.
    solver : str
        solver_, where there is one.
    notes : list of str
    fits_planned : int
    """

    contender: str
    seconds: list[float] = field(default_factory=list)
    r2: float = float("nan")
    epochs: int | str = ""
    solver: str = ""
    notes: list[str] = field(default_factory=list)
    fits_planned: int = 0

    @property
    def median(self):
        """Median of the timed fits; nan without one."""
        return median(self.seconds) if self.seconds else float("nan")

    def failed(self, error):
        """Keep the message and plan no more fits."""
        self.fits_planned = 0
        self.notes.insert(0, shorten(f"{type(error).__name__}: {error}", NOTE_LENGTH))


def measure(X, y, contenders, repeats, cap):
    """Measure contenders on one problem.

    Parameters
    ----------
    X, y : problem
    contenders : dict of str to Contender
    repeats : int
        Timed fits of each, interleaved: a slow moment of the machine hits all of them alike.
    cap : float
        Seconds; of a contender that takes longer to warm up, this fit is the only one.

    Returns
    -------
    list of Measurement
    """
    found = [_warm_up(name, contender, X, y, repeats, cap) for name, contender in contenders.items()]
    gc.collect()
    gc.freeze()  # else a collection in a timed fit walks all modules: 0.2 s with torch and numba loaded
    for turn in range(repeats):
        for one in found:
            if turn < one.fits_planned:
                try:
                    one.seconds.append(_timed_fit(contenders[one.contender].make, X, y)[1])
                except Exception as error:
                    one.failed(error)
    return found


def _timed_fit(make, X, y):
    """Fit a new estimator; give it, the seconds that took and the warnings."""
    model = make()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        warnings.simplefilter("ignore", DeprecationWarning)  # the business of other libraries
        start = time.perf_counter()
        model.fit(X, y)
        seconds = time.perf_counter() - start
    return model, seconds, caught


def _warm_up(name, contender, X, y, repeats, cap):
    """Fit once, look at the model and plan the timed fits."""
    found = Measurement(name)
    if sparse.issparse(X) and not contender.accepts_sparse:
        found.notes.append("not run: X is sparse")
        return found
    if contender.max_rows and X.shape[0] > contender.max_rows:
        found.notes.append(f"not run: more than {contender.max_rows} rows")
        return found
    with suppress(Exception):  # imports and compiles; what fails here fails again below
        _timed_fit(contender.make, X[:HEAD], y[:HEAD])
    try:
        model, seconds, caught = _timed_fit(contender.make, X, y)
        found.r2 = _training_r2(model, X, y)
    except Exception as error:  # a failure is a result, not the end of the run
        found.failed(error)
        return found
    last = model[-1] if hasattr(model, "steps") else model
    n_iter = getattr(last, "n_iter_", None)
    found.epochs = "" if n_iter is None else int(np.max(n_iter))
    found.solver = getattr(last, "solver_", "")
    found.fits_planned = repeats
    if seconds > cap:
        found.seconds, found.fits_planned = [seconds], 0
        found.notes.append(f"fitted once: over {cap:g} s")
    if not found.r2 >= 0.0:
        found.notes.append("worse than the mean of y" if found.r2 > -1e3 else "diverged")
    messages = dict.fromkeys(f"{warning.category.__name__}: {warning.message}" for warning in caught)
    found.notes += [shorten(message, NOTE_LENGTH) for message in messages]
    return found


def _training_r2(model, X, y):
    """R2 on the training data, in float64; not finite for a model that overflows."""
    with np.errstate(all="ignore"):
        error = np.asarray(model.predict(X), dtype=np.float64) - y
        return float(1.0 - np.mean(np.square(error)) / np.var(y, dtype=np.float64))
