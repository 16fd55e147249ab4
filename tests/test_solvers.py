"""Which solver a name makes, and the rule behind "auto"."""

import numpy as np
import pytest

from sgdlinreg import MiniBatchSGDRegressor
from sgdlinreg._core.blocks import Block
from sgdlinreg._core.contract import Options
from sgdlinreg._core.objective import Objective, SquaredError
from sgdlinreg._edge.parameters import choose_solver, objective_of
from sgdlinreg._solvers import make_solver

from .helpers import SOLVERS


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({}, "normal_equation"),
        ({"batch_size": 10}, "numba"),
        ({"warm_start": True}, "numba"),
        ({"loss": "huber"}, "numba"),
        ({"loss": "quantile", "quantile": 0.9}, "numba"),
        ({"penalty": "l1", "alpha": 0.1}, "normal_equation"),
        ({"penalty": "l2", "alpha": 0.1}, "normal_equation"),
        ({"device": "cpu"}, "normal_equation"),
        ({"device": "cuda"}, "torch"),
        ({"solver": "numba"}, "numba"),
        ({"solver": "normal_equation", "batch_size": 10}, "normal_equation"),
    ],
    ids=str,
)
def test_rule_of_auto(parameters, expected):
    model = MiniBatchSGDRegressor(**parameters)
    block, objective = Block(np.zeros((3, 2000)), np.zeros((3, 1))), objective_of(model)
    assert choose_solver(model, block, objective, has_start=False).name == expected
    if expected == "normal_equation" and model.solver == "auto":
        assert choose_solver(model, block, objective, has_start=True).name == "numba"
        for n_rows, all_rows, then in ((2000, True, expected), (2001, True, "numba"), (3, False, "numba")):
            wider = Block(np.broadcast_to(0.0, (n_rows, 2001)), np.zeros((n_rows, 1)))
            assert choose_solver(model, wider, objective, False, all_rows).name == then


@pytest.mark.parametrize("name", SOLVERS)
def test_make_solver_refuses_what_a_solver_cannot_do(name):
    with pytest.raises(ValueError, match=r"cannot minimise loss='poisson'; use solver='numba'"):
        make_solver(name, "poisson", Objective(SquaredError()), Options(), lambda: 0)


def test_make_solver_refuses_unknown_names():
    with pytest.raises(ValueError, match="No solver 'adam'; there are normal_equation, numba, torch"):
        make_solver("adam", "squared_error", Objective(SquaredError()), Options(), lambda: 0)
