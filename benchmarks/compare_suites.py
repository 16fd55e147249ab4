"""The problems of `compare_commits` and the fits of them that are timed."""

from collections.abc import Callable
from typing import NamedTuple

import real_data

EPOCH_SHAPES = [(1_000_000, 2), (1_000_000, 10), (1_000_000, 20), (200_000, 100), (50_000, 500), (20_000, 2000)]
CLOSED_FORM_SHAPES = [(4_000_000, 5), (2_000_000, 10), (1_000_000, 20), (1_000_000, 100), (200_000, 500)]
CORRELATED = ("2000 x 500, equicorrelated", "2000 x 500, autoregressive", "2000 x 500, factors")
FEW = {"longley", "diabetes"}
"""Real sets of a check."""


class Problem(NamedTuple):
    """What to draw, and which fits of it to time.

    Attributes
    ----------
    name : str
    data : dict
        For `compare_worker.draw_problem`.
    action : {"fits", "epochs"}
    requests : dict of str to dict
        What the worker is asked for, by a name for the way of fitting.
    has_r2 : bool
        Whether R2 below least squares says something.
    """

    name: str
    data: dict
    action: str
    requests: dict
    has_r2: bool = True


def normal(shape, dtype="float64"):
    return {"kind": "normal", "n_rows": shape[0], "n_features": shape[1], "dtype": dtype}


def shapes_of(shapes, fast):
    """Give names and shapes, with at most 2000 rows and 50 columns in a check."""
    for n_rows, n_features in shapes:
        shape = (min(n_rows, 2000), min(n_features, 50)) if fast else (n_rows, n_features)
        yield f"{shape[0]} x {shape[1]}", shape


def whole_fits(fast):
    requests = {"numba": {"parameters": {"solver": "numba", "random_state": 0}}}
    real = real_data.available()
    for name in FEW.intersection(real) if fast else real:
        yield Problem(name, {"kind": "real", "name": name}, "fits", requests)
    for name in CORRELATED:
        data = {"kind": "hard", "name": name, "seed": 0, "most_rows": 600 if fast else None}
        yield Problem(name, data, "fits", requests)
    for name, shape in shapes_of([(1_000_000, 10), (1_000_000, 100)], fast):
        yield Problem(name, normal(shape), "fits", requests)


def epochs(fast):
    for name, shape in shapes_of(EPOCH_SHAPES, fast):
        parameters = {"solver": "numba", "batch_size": 32, "eta0": 0.1 / shape[1], "tol": None, "random_state": 0}
        for dtype in ("float64", "float32"):
            requests = {"an epoch": {"parameters": parameters}}
            yield Problem(f"{name}, {dtype}", normal(shape, dtype), "epochs", requests, has_r2=False)


def small_fits(fast):
    repeats = 3 if fast else 200
    requests = {
        "numba": {"parameters": {"solver": "numba", "random_state": 0}, "repeats": repeats},
        "default": {"parameters": {}, "repeats": repeats},
    }
    yield Problem("100 x 5", normal((100, 5)), "fits", requests)
    if "diabetes" in real_data.available():
        yield Problem("442 x 10", {"kind": "real", "name": "diabetes"}, "fits", requests)


def closed_form(fast):
    for name, shape in shapes_of(CLOSED_FORM_SHAPES, fast):
        for dtype in ("float64", "float32"):
            yield Problem(f"{name}, {dtype}", normal(shape, dtype), "fits", {"default": {"parameters": {}}})


SUITES: dict[str, Callable] = {
    "whole_fits": whole_fits,
    "epochs": epochs,
    "small_fits": small_fits,
    "closed_form": closed_form,
}
