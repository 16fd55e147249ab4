"""Sums of the loss and its gradient on tensors, against the reference."""

from dataclasses import replace

import numpy as np
import pytest

from sgdlinreg._core.objective import LOSSES, make_loss
from sgdlinreg._solvers.sgd import kernel_numpy as sgd_reference
from sgdlinreg._solvers.sgd_torch import full_gradients, streaming
from sgdlinreg._solvers.sgd_torch.kernel import TorchKernel

from ..helpers import needs_torch
from ..kernel_cases import block_of, sparse_block

pytestmark = needs_torch

ROWS = {
    "float64": lambda **options: block_of(np.float64, **options),
    "float32": lambda **options: block_of(np.float32, **options),
    "CSR int32": lambda **options: sparse_block(np.float64, index_dtype=np.int32, **options),
    "CSR int64": lambda **options: sparse_block(np.float32, index_dtype=np.int64, **options),
}


def assert_same_sums(kernel, block, loss="huber", with_y=True, expected_of=None, centre=0.0):
    rng = np.random.default_rng(1)
    coef = rng.standard_normal((block.n_targets, block.n_features + 1))
    centre = centre + rng.standard_normal(block.n_features)
    arguments = make_loss(loss, 0.3), coef
    found = kernel.gradient_sums(kernel.to_device(block), *arguments, centre, with_y)
    if expected_of is None:
        expected = sgd_reference.gradient_sums(block, *arguments, centre, with_y)
    else:
        expected = sgd_reference.gradient_sums(expected_of(block, centre), *arguments, np.zeros_like(centre), with_y)
    for array, its in zip(found, expected, strict=True):
        assert isinstance(array, np.ndarray)
        assert array.dtype == np.float64
        assert np.abs(its).min() > 0.0
        np.testing.assert_allclose(array, its, rtol=1e-10, atol=1e-12 * np.abs(its).max())


@pytest.mark.parametrize("with_y", [True, False])
@pytest.mark.parametrize("weighted", [True, False])
@pytest.mark.parametrize("n_targets", [1, 3])
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("rows", ROWS)
def test_sums_are_those_of_the_reference(rows, loss, n_targets, weighted, with_y, monkeypatch):
    monkeypatch.setitem(full_gradients.PANEL_BYTES, "cpu", 1000)  # several panels, the last one ragged
    assert_same_sums(TorchKernel(), ROWS[rows](n_targets=n_targets, weighted=weighted), loss, with_y)


@pytest.mark.parametrize("n_features", [1, 70])
@pytest.mark.parametrize("n_rows", [1, 500])
@pytest.mark.parametrize("rows", ["float32", "CSR int32"])
def test_shapes(rows, n_rows, n_features):
    assert_same_sums(TorchKernel(), ROWS[rows](n_features=n_features, n_rows=n_rows))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_large_offsets_cost_no_digits(dtype):
    block = block_of(dtype, n_targets=2, n_rows=301)
    block = replace(block, X=np.round(16 * block.X).astype(dtype) / 16 + dtype(1e5))

    def centred(block, centre):
        return replace(block, X=block.X.astype(np.float64) - centre)

    assert_same_sums(TorchKernel(), block, expected_of=centred, centre=1e5)


@pytest.mark.parametrize("rows", ROWS)
def test_streamed_rows_sum_up_to_those_of_one_block(rows, monkeypatch):
    loaded, load = [], streaming._load
    monkeypatch.setattr(streaming, "room_on", lambda device: 1000.0)
    monkeypatch.setattr(streaming, "_load", lambda *args: loaded.append(args[1]) or load(*args))
    block = ROWS[rows](n_targets=2, weighted=True)
    kernel = TorchKernel()
    assert isinstance(kernel.to_device(block), streaming.HostBlock)
    assert_same_sums(kernel, block)
    assert len(loaded) > 3
    np.testing.assert_array_equal(np.sort(np.concatenate(loaded)), np.arange(block.n_rows))


def test_sums_take_one_thread_and_are_the_same_for_any_number():
    import torch

    block, before, sums = block_of(n_rows=20_000), torch.get_num_threads(), []
    try:
        for n_threads in (1, 2):
            torch.set_num_threads(n_threads)
            kernel = TorchKernel()
            coef = np.ones((1, 8))
            sums.append(kernel.gradient_sums(kernel.to_device(block), make_loss("huber", 0.3), coef, np.zeros(7)))
            assert torch.get_num_threads() == n_threads
    finally:
        torch.set_num_threads(before)
    for one, two in zip(*sums, strict=True):
        np.testing.assert_array_equal(one, two)


@pytest.mark.gpu
@pytest.mark.parametrize("n_targets", [1, 3])
@pytest.mark.parametrize("rows", ROWS)
def test_sums_on_a_gpu(rows, n_targets):
    assert_same_sums(TorchKernel("cuda"), ROWS[rows](n_features=40, n_targets=n_targets, weighted=True, n_rows=20_000))
