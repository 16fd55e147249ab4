"""Rows that are copied to a device, and rows that are streamed to it because they do not fit."""

import threading
import warnings
from contextlib import nullcontext
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from sgdlinreg import MiniBatchSGDRegressor
from sgdlinreg._core import arrays as _arrays
from sgdlinreg._core.blocks import Block
from sgdlinreg._core.measurement import Measurement
from sgdlinreg._core.statistics import column_statistics
from sgdlinreg._solvers.sgd_torch import pinned_copy, streaming
from sgdlinreg._solvers.sgd_torch.kernel import TorchKernel

from ..helpers import make_problem, needs_torch
from ..kernel_cases import MOMENTA, assert_same_path, block_of, csr_of, objective_of, path_of, sparse_block

pytestmark = needs_torch


@pytest.fixture
def small_device(monkeypatch):
    """The CPU, as a device of its own with room for a part of the rows."""
    import torch

    monkeypatch.setattr(_arrays, "HOST_DEVICES", frozenset())
    monkeypatch.setattr(streaming, "room_on", lambda device: 8000.0)
    return torch.device("cpu")


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("layout", ["C", "F", "strided", "read-only"])
def test_rows_arrive_whatever_their_layout(dtype, layout, monkeypatch):
    import torch

    X = make_problem(0)[0].astype(dtype)
    expected = X.copy()
    X = {"F": np.asfortranarray(X), "strided": np.repeat(X, 2, axis=1)[:, ::2]}.get(layout, X)
    X.flags.writeable = layout != "read-only"
    monkeypatch.setattr(pinned_copy, "PIECE_BYTES", 13 * 7 * X.itemsize)  # 24 loads, the last one ragged
    monkeypatch.setattr(pinned_copy, "STRIP_BYTES", 100)
    monkeypatch.setattr(pinned_copy, "n_threads", lambda: 3)
    on_device = pinned_copy.send(X, torch.device("cpu"))
    assert on_device.is_contiguous()
    np.testing.assert_array_equal(on_device.numpy(), expected)


def test_a_buffer_is_filled_while_the_other_one_is_sent(monkeypatch):
    """On a stand-in for CUDA: a copy is under way until its event is waited for."""
    import torch

    X = make_problem(0)[0]
    monkeypatch.setattr(pinned_copy, "PIECE_BYTES", 50 * 7 * 8)
    log = []

    class Event:
        def __init__(self):
            self.number = sum(what == "sent" for what, _ in log)
            log.append(("sent", self.number))

        def synchronize(self):
            log.append(("waited for", self.number))

    init = pinned_copy.Staging.__init__

    def with_stream(self, *args):
        init(self, *args)
        self.stream = SimpleNamespace(record_event=Event, wait_stream=lambda other: None)
        self.wait = lambda *tensors: log.append(("waited for", "all"))

    monkeypatch.setattr(pinned_copy.Staging, "__init__", with_stream)
    monkeypatch.setattr(pinned_copy.Staging, "copy_stream", lambda self: nullcontext())
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: None)
    monkeypatch.setattr(torch.Tensor, "record_stream", lambda self, stream: None)
    found = pinned_copy.send(X, torch.device("cpu"))
    np.testing.assert_array_equal(found.numpy(), X)
    expected = [("sent", 0), ("sent", 1)]
    for number in range(2, 7):  # the piece that was in this buffer before; not the last one, which is in the other
        expected += [("waited for", number - 2), ("sent", number)]
    assert log == [*expected, ("waited for", "all")]


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rows_are_measured_on_the_device(weighted, dtype, monkeypatch):
    import torch

    X, y, weight = make_problem(0)
    X = (X + 1e3).astype(dtype)
    block = Block(X, y[:, None], weight if weighted else None)
    monkeypatch.setattr(_arrays, "HOST_DEVICES", frozenset())
    placed = streaming.place(block, torch.device("cpu"))
    assert isinstance(placed.X, torch.Tensor)
    assert placed.y is block.y
    found, expected = column_statistics(placed), column_statistics(block)
    np.testing.assert_allclose(found.mean, expected.mean, rtol=1e-14)
    np.testing.assert_allclose(found.squares, expected.squares, rtol=1e-12)
    assert found.total_weight == pytest.approx(expected.total_weight, rel=1e-14)


def test_what_has_no_room_and_csr_are_measured_where_they_are(small_device):
    block = block_of(n_rows=301)
    assert block.X.nbytes > 8000.0
    assert streaming.place(block, small_device) is block
    assert streaming.place(replace(block, X=block.X[:100], y=block.y[:100]), small_device).X is not block.X
    rows = sparse_block()
    assert streaming.place(rows, small_device) is rows


def test_what_is_not_finite_or_too_large_is_told_once_in_an_error(monkeypatch):
    X, y, _ = make_problem(0)
    monkeypatch.setattr(_arrays, "HOST_DEVICES", frozenset())
    monkeypatch.setattr(pinned_copy, "PIECE_BYTES", 50 * 7 * 8)
    model = MiniBatchSGDRegressor(solver="torch", random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ValueError, match="column 0 of y overflow"):
            model.fit(X, y * 1e200)
        X[[3, 200], 2] = np.inf
        with pytest.raises(ValueError, match="Input X contains infinity"):
            model.fit(X, y)


def test_blocks_of_a_source_are_measured_once(monkeypatch):
    X, y, _ = make_problem(0)
    monkeypatch.setattr(_arrays, "HOST_DEVICES", frozenset())
    blocks, add = [], Measurement.add
    monkeypatch.setattr(Measurement, "add", lambda self, block, *args: blocks.append(block) or add(self, block, *args))
    model = MiniBatchSGDRegressor(solver="torch", random_state=0, tol=None, max_iter=5)
    model.fit_source([(X[:150], y[:150]), (X[150:], y[150:])])
    assert [block.n_rows for block in blocks] == [150, 151]


@pytest.mark.parametrize("around", ["inference_mode", "default device"])
@pytest.mark.parametrize("n_targets", [1, 2])
def test_what_torch_is_set_to_does_not_matter(around, n_targets, monkeypatch):
    import torch

    block, objective = block_of(n_targets=n_targets, weighted=True), objective_of()
    monkeypatch.setattr(_arrays, "HOST_DEVICES", frozenset())
    monkeypatch.setattr(streaming, "LARGE", 1)
    kernel = TorchKernel("cpu")
    coef = np.ones((n_targets, 8))
    expected = path_of(kernel, block, objective)
    sums = kernel.gradient_sums(kernel.to_device(block), objective.loss, coef, coef[0, 1:])
    with torch.inference_mode() if around == "inference_mode" else torch.device("meta"):
        found = path_of(TorchKernel("cpu"), block, objective)
        again = kernel.gradient_sums(kernel.to_device(block), objective.loss, coef, coef[0, 1:])
    for array, its in zip([*found, *again], [*expected, *sums], strict=True):
        np.testing.assert_array_equal(array, its)


def test_streamed_rows_in_column_order_are_not_copied_as_a_whole(small_device, monkeypatch):
    block, objective, taken, take = block_of(n_rows=1003), objective_of(), [], np.take

    def spy(a, *rest, **options):
        taken.append(a.flags.c_contiguous)
        return take(a, *rest, **options)

    monkeypatch.setattr(np, "take", spy)
    expected = path_of(TorchKernel("cpu"), block, objective)
    assert taken
    found = path_of(TorchKernel("cpu"), replace(block, X=np.asfortranarray(block.X)), objective)
    for array, its in zip(found, expected, strict=True):
        np.testing.assert_allclose(array, its, rtol=1e-10, atol=1e-12 * np.abs(its).max())
    assert all(taken)


@pytest.mark.parametrize("eta0", ["auto", 1e-3])
def test_values_that_are_not_finite_are_found_on_the_device(eta0, monkeypatch):
    X, y, _ = make_problem(0)
    X[17, 3] = np.nan
    monkeypatch.setattr(_arrays, "HOST_DEVICES", frozenset())
    model = MiniBatchSGDRegressor(solver="torch", eta0=eta0, random_state=0)
    with pytest.raises(ValueError, match="Input X contains NaN"):
        model.fit(X, y)
    assert not hasattr(model, "coef_")


@pytest.mark.parametrize("index_dtype", [np.int32, np.int64])
@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("n_rows", [301, 96])
@pytest.mark.parametrize("batch_size", [16, 1])
def test_parts_are_the_batches_in_order(small_device, sparse, n_rows, batch_size, index_dtype):
    X, y, weight = make_problem(1)
    ready = streaming.to_device(Block(csr_of(X) if sparse else X, y[:, None], weight), small_device)
    assert isinstance(ready, streaming.HostBlock)
    order = np.random.default_rng(0).permutation(301)[:n_rows].astype(index_dtype)
    seen, end = [], 0
    for positions, part in streaming.parts_of(ready, order, batch_size, small_device):
        assert positions.start == end
        assert positions.start % batch_size == 0
        assert part.n_rows == positions.stop - positions.start < n_rows
        end = positions.stop
        values = part.X
        if sparse:
            values = np.array(np.split(values.data.numpy(), values.indptr.numpy()[1:-1]))
        seen.append([np.asarray(array).copy() for array in (values, part.y, part.sample_weight)])  # buffers are reused
    assert end == n_rows
    for found, whole in zip(zip(*seen, strict=True), (X, y[:, None], weight), strict=True):
        np.testing.assert_array_equal(np.concatenate(found), whole[order])


@pytest.mark.parametrize("make", [block_of, sparse_block])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("momentum", MOMENTA)
@pytest.mark.parametrize("index_dtype", [np.int32, np.int64])
def test_streamed_rows_take_the_path_of_one_block(small_device, make, dtype, momentum, index_dtype, monkeypatch):
    block, numbers, load = make(dtype, n_targets=2, weighted=True, n_rows=1003), [], streaming._load

    def spy(*args):
        numbers.append(args[-1])
        return load(*args)

    monkeypatch.setattr(streaming, "_load", spy)
    objective, options = objective_of("huber", "elasticnet"), {"momentum": MOMENTA[momentum], "n_epochs": 2}
    assert_same_path(TorchKernel("cpu"), block, objective, index_dtype=index_dtype, **options)
    assert max(numbers) > 5


def test_a_batch_that_does_not_fit_is_an_error_before_anything_is_sent(small_device, monkeypatch):
    kernel, block, sent = TorchKernel("cpu"), block_of(n_rows=301), []
    monkeypatch.setattr(streaming, "_load", lambda *args: sent.append(args))
    with pytest.raises(MemoryError, match=r"Batches of 301 rows take .* Set a smaller batch_size"):
        path_of(kernel, block, objective_of(), batch_size=301)
    assert not sent


def test_an_error_while_loading_ends_the_epoch(small_device, monkeypatch):
    load = streaming._load

    def fail(block, rows, device, staging, number):
        if number == 3:
            raise RuntimeError("number three")
        return load(block, rows, device, staging, number)

    monkeypatch.setattr(streaming, "_load", fail)
    threads = threading.active_count()
    with pytest.raises(RuntimeError, match="number three"):
        path_of(TorchKernel("cpu"), block_of(n_rows=301), objective_of())
    assert threading.active_count() == threads


@pytest.mark.gpu
@pytest.mark.parametrize("index_dtype", [np.int32, np.int64])
def test_a_small_gpu_takes_the_path_of_a_large_one(index_dtype, monkeypatch):
    monkeypatch.setattr(streaming, "room_on", lambda device: 1e5)
    kernel, block = TorchKernel("cuda"), block_of(n_rows=20_011, weighted=True)
    assert isinstance(kernel.to_device(block), streaming.HostBlock)
    assert_same_path(kernel, block, objective_of(), batch_size=256, n_epochs=3, index_dtype=index_dtype)


@pytest.mark.gpu
@pytest.mark.parametrize("kind", ["wide", "sparse", "large batches"])
def test_parts_of_many_batches_follow_while_the_next_ones_load(kind, monkeypatch):
    n_features, batch_size = {"wide": (1100, 16), "sparse": (50, 32), "large batches": (64, 512)}[kind]
    make = sparse_block if kind == "sparse" else block_of
    block, objective = make(n_features=n_features, n_rows=40_000), objective_of()
    assert_same_path(TorchKernel("cuda"), block, objective, batch_size=batch_size, n_epochs=2)
    first, again = (path_of(TorchKernel("cuda"), block, objective, batch_size=batch_size) for _ in range(2))
    for array, its in zip(first, again, strict=True):
        np.testing.assert_array_equal(array, its)
    size = 16 * len(block.X.data) if kind == "sparse" else block.X.nbytes
    monkeypatch.setattr(streaming, "room_on", lambda device: 0.95 * size)
    assert_same_path(TorchKernel("cuda"), block, objective, batch_size=batch_size, n_epochs=2)


@pytest.mark.gpu
def test_a_second_gpu():
    import torch

    if torch.cuda.device_count() < 2:
        pytest.skip("there is one GPU")
    block = sparse_block(n_rows=20_000)
    for device in ("cuda:0", "cuda:1", "cuda:0"):
        assert_same_path(TorchKernel(device), block, objective_of(), batch_size=8, n_epochs=3)


@pytest.mark.gpu
def test_tensors_of_cuda_in_and_out():
    import torch

    X, y, weight = make_problem(5)
    on_device = [torch.tensor(array, device="cuda") for array in (X, y, weight)]
    for solver in ("normal_equation", "torch"):
        options = {"tol": None, "max_iter": 5} if solver == "torch" else {}
        model = MiniBatchSGDRegressor(solver=solver, random_state=0, **options)
        expected = model.fit(X, y, weight).coef_
        np.testing.assert_allclose(model.fit(*on_device).coef_, expected, rtol=1e-10)
        predictions = model.predict(on_device[0])
        assert predictions.device == on_device[0].device
        np.testing.assert_allclose(predictions.cpu().numpy(), model.predict(X), rtol=1e-12)
        assert model.score(*on_device) == pytest.approx(model.score(X, y, weight))
