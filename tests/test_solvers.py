"""Which solver a name makes, and the rule behind "auto"."""

import pytest

from sgdlinreg._core.objective import Objective, SquaredError
from sgdlinreg._solvers import Options, choose_solver, make_solver

from .helpers import SOLVERS


@pytest.mark.parametrize(
    ("kwargs", "expected"),
    [
        ({}, "normal_equation"),
        ({"n_features": 1000}, "normal_equation"),
        ({"n_features": 1001}, "numba"),
        ({"steps_are_default": False}, "numba"),
        ({"has_start": True}, "numba"),
        ({"least_squares": False}, "numba"),
        ({"device": "cpu"}, "normal_equation"),
        ({"device": "cuda"}, "torch"),
        ({"solver": "numba"}, "numba"),
        ({"solver": "normal_equation", "steps_are_default": False}, "normal_equation"),
    ],
)
def test_rule_of_auto(kwargs, expected):
    asked = {
        "solver": "auto",
        "n_features": 5,
        "device": "auto",
        "least_squares": True,
        "steps_are_default": True,
        "has_start": False,
    }
    assert choose_solver(**(asked | kwargs))[0] == expected


@pytest.mark.parametrize("name", SOLVERS)
def test_make_solver_refuses_what_a_solver_cannot_do(name):
    with pytest.raises(ValueError, match=r"cannot minimise loss='poisson'; use solver='numba'"):
        make_solver(name, "poisson", Objective(SquaredError()), Options())


def test_make_solver_refuses_unknown_names():
    with pytest.raises(ValueError, match="No solver 'adam'; there are normal_equation, numba, torch"):
        make_solver("adam", "squared_error", Objective(SquaredError()), Options())
