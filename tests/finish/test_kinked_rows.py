"""Rows near a kink: the same from every form of the data."""

from dataclasses import replace

import numpy as np
import pytest

from sgdlinreg._core.coordinates import scaled_coordinates
from sgdlinreg._core.measurement import Measurement
from sgdlinreg._core.objective import Objective, make_loss
from sgdlinreg._core.sampling import Reservoir, sample_size
from sgdlinreg._loop.data import InMemory, Streamed
from sgdlinreg._solvers import kernel_class
from sgdlinreg._solvers.finish.kinked_rows import collect_rows
from sgdlinreg._solvers.finish.preconditioner import IDENTITY

from ..helpers import SGD_SOLVERS, block_of, make_problem

COEF = np.linspace(-1.0, 1.0, 8)[None]


def collect(X, y, weight, objective, form="dense", solver="numba"):
    parts = np.array_split(np.arange(len(y)), 3) if form == "source" else [np.arange(len(y))]
    blocks = [replace(block_of(X[i], y[i], None, form == "csr"), sample_weight=weight[i]) for i in parts]
    measured = Measurement(Reservoir(10, 0))
    for block in blocks:
        measured, _ = measured.add(block, objective, True, np.random.default_rng(0))
    data = Streamed(blocks, blocks[0]) if form == "source" else InMemory(blocks[0])
    data = data.map(kernel_class(solver)("auto", None).to_device)
    coordinates = scaled_coordinates(measured.columns, objective)
    return collect_rows(data, objective, measured, coordinates, COEF), coordinates


@pytest.mark.parametrize("solver", SGD_SOLVERS)
@pytest.mark.parametrize("form", ["dense", "csr", "source"])
@pytest.mark.parametrize("loss", [make_loss("quantile", 0.0, 0.2), make_loss("epsilon_insensitive", 0.7)])
@pytest.mark.parametrize("alpha", [0.0, 0.3])
def test_few_rows_are_all_there(alpha, loss, form, solver):
    X, y, weight = make_problem(1)
    weight /= weight.mean()
    objective = Objective(loss, alpha)
    rows, coordinates = collect(X, y, weight, objective, form, solver)
    start = coordinates.to_scaled(COEF)
    value, slope = rows.sums(loss, start)
    plain = Objective(loss)
    assert value == pytest.approx(plain.value(COEF, block_of(X, y, weight))[0], rel=1e-12)
    expected = plain.gradient(COEF, block_of(X, y, weight))[0]
    expected[:-1] = (expected[:-1] - expected[-1] * coordinates.centre) / coordinates.scale
    np.testing.assert_allclose(slope, expected, atol=1e-12)
    penalty = np.append(alpha / coordinates.scale**2, 0.0)
    hinges = rows.hinges(loss, IDENTITY, start, start * penalty, penalty)
    step = np.linspace(0.2, -0.4, 8)
    moved = objective.value(coordinates.to_raw(start + step), block_of(X, y, weight))[0]
    assert hinges.value(step) + objective.penalty(COEF)[0] == pytest.approx(moved, rel=1e-12)


def test_rows_near_the_kink_are_among_many():
    X, y, weight = make_problem(2, n_rows=3 * sample_size(7))
    weight /= weight.mean()
    rows, coordinates = collect(X, y, weight, Objective(make_loss("quantile", 0.0, 0.2)))
    residual = np.sort(np.abs(X @ COEF[0, :-1] + COEF[0, -1] - y))
    found = np.sort(np.abs(rows.rows @ coordinates.to_scaled(COEF)[0] - rows.y))
    assert sample_size(7) < len(found) < 2 * sample_size(7)
    np.testing.assert_allclose(found[:500], residual[:500], atol=1e-12)
