"""Sums of hinges, beside linear programmes and quadratic ones."""

import numpy as np
import pytest
from scipy.optimize import linprog, minimize

from sgdlinreg._solvers.finish.interior_point import Hinges
from sgdlinreg._solvers.finish.interior_point import minimise as minimise_hinges


def draw(seed, n_rows=60, n_variables=4, curvature=0.0):
    rng = np.random.default_rng(seed)
    rows, residual = rng.standard_normal((n_rows, n_variables)), rng.standard_normal(n_rows)
    low, high = -rng.uniform(0.0, 1.0, n_rows) * rng.integers(0, 2, n_rows), rng.uniform(0.1, 1.0, n_rows)
    slope = rng.uniform(low, high)  # feasible: there is a smallest value
    return Hinges(rows, residual, low, high, -slope @ rows, curvature * np.eye(n_variables), 1.0)


@pytest.mark.parametrize("seed", range(20))
def test_smallest_value_is_that_of_a_linear_programme(seed):
    hinges = draw(seed)
    v, bound = minimise_hinges(hinges)
    bounds = np.column_stack([hinges.low, hinges.high])
    best = -linprog(-hinges.residual, A_eq=hinges.rows.T, b_eq=-hinges.gradient, bounds=bounds, method="highs").fun
    assert hinges.value(v) == pytest.approx(best, abs=1e-7)
    assert best - 1e-7 < bound <= best + 1e-8


@pytest.mark.parametrize("seed", range(5))
def test_quadratic_part(seed):
    hinges = draw(seed, curvature=3.0)
    v, bound = minimise_hinges(hinges)
    n, k = hinges.rows.shape

    def function(x):  # hinges as variables that are above both lines
        return x[k:].sum() + hinges.gradient @ x[:k] + 1.5 * x[:k] @ x[:k]

    def above(side):
        lines = np.hstack([-side[:, None] * hinges.rows, np.eye(n)])
        return {"type": "ineq", "fun": lambda x: lines @ x - side * hinges.residual, "jac": lambda x: lines}

    start = np.concatenate([np.zeros(k), np.maximum(hinges.low * hinges.residual, hinges.high * hinges.residual)])
    options = {"ftol": 1e-12, "maxiter": 500}
    constraints = [above(hinges.low), above(hinges.high)]
    best = minimize(function, start, method="SLSQP", constraints=constraints, options=options).fun
    assert hinges.value(v) == pytest.approx(best, abs=1e-7)
    assert best - 1e-7 < bound <= best + 1e-7


def test_dependent_variables_and_equal_rows():
    hinges = draw(30)
    rows = np.column_stack([hinges.rows, hinges.rows[:, 0]])
    twice = Hinges(rows, *hinges[1:4], np.append(hinges.gradient, hinges.gradient[0]), 1e-9 * np.eye(5), 1.0)
    value, bound = minimise_hinges(hinges)
    v, other = minimise_hinges(twice)
    assert twice.value(v) == pytest.approx(hinges.value(value), abs=1e-6)
    assert other == pytest.approx(bound, abs=1e-6)
