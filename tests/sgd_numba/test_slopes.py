"""Gradients of many models in one pass are those of each, in every kernel."""

from dataclasses import replace

import numpy as np
import pytest

from sgdlinreg._core.blocks import part_of, pick_rows
from sgdlinreg._core.objective import Huber, Quantile, Rounded, SquaredError, gradient_sums
from sgdlinreg._solvers import kernel_class
from sgdlinreg._solvers.sgd_numba import kernel as kernel_module

from ..kernel_cases import block_of, sparse_block

KERNELS = ["numba", "torch", "reference"]

LOSSES_OF_MODELS = [
    SquaredError(),
    Huber(np.array([0.1, 0.5, 1.0, 2.0, 5.0])),
    Quantile(np.array([0.1, 0.3, 0.5, 0.7, 0.9])),
    Rounded(*np.random.default_rng(3).uniform(0.2, 1.0, (4, 5))),
]


def kernel_of(name):
    if name == "torch":
        pytest.importorskip("torch")
    return kernel_class(name)("cpu", None)


def assert_close(found, expected):
    for mine, its in zip(found, expected, strict=True):
        np.testing.assert_allclose(mine, its, rtol=1e-12, atol=1e-12 * np.abs(its).max())


@pytest.mark.parametrize("with_y", [True, False])
@pytest.mark.parametrize("loss", LOSSES_OF_MODELS, ids=lambda loss: type(loss).__name__)
@pytest.mark.parametrize("rows", ["dense", "float32", "picked", "csr"])
@pytest.mark.parametrize("name", KERNELS)
def test_sums_of_many_models_are_those_of_each(name, rows, loss, with_y, monkeypatch):
    kernel = kernel_of(name)
    monkeypatch.setattr(kernel_module, "PARTS", 3)
    block = sparse_block(weighted=True) if rows == "csr" else block_of(weighted=True)
    block = block if rows != "float32" else replace(block, X=block.X.astype(np.float32))
    coef = np.random.default_rng(2).standard_normal((5, block.n_features + 1))
    centre = np.full(block.n_features, 0.5)
    numbers = np.arange(block.n_rows)[::-2]
    some = part_of(block, numbers)
    ready = kernel.to_device(pick_rows(block, numbers) if rows == "picked" and name != "torch" else some)
    losses, gradient = kernel.gradient_sums(ready, loss, coef, centre, with_y)
    for number in range(5):
        one = type(loss)(*(float(values[number]) for values in loss))
        expected = gradient_sums(some, one, coef[number : number + 1], centre, with_y)
        assert_close((losses[[number]], gradient[[number]]), expected)


def test_models_of_two_targets_take_turns():
    block, coef = block_of(n_targets=2), np.random.default_rng(2).standard_normal((6, 8))
    for kernel in map(kernel_of, KERNELS):
        found = kernel.gradient_sums(kernel.to_device(block), Huber(0.5), coef, np.zeros(7))
        for number in range(0, 6, 2):
            expected = gradient_sums(block, Huber(0.5), coef[number : number + 2], np.zeros(7))
            assert_close([part[number : number + 2] for part in found], expected)


def test_the_sum_in_parts_does_not_depend_on_the_threads(monkeypatch):
    block, coef = block_of(n_targets=5), np.random.default_rng(2).standard_normal((5, 8))
    sums = [kernel_module.NumbaKernel(n_jobs=n).gradient_sums(block, Huber(0.5), coef, np.zeros(7)) for n in (1, 3)]
    np.testing.assert_array_equal(sums[0][0], sums[1][0])
    np.testing.assert_array_equal(sums[0][1], sums[1][1])
