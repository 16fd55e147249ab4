"""Rows that are copied to a device, and rows that are streamed to it because they do not fit."""

import threading
import warnings
from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from sgdlinreg import MiniBatchSGDRegressor, _arrays
from sgdlinreg._blocks import CSR, Block
from sgdlinreg._conditioning import no_conditioning
from sgdlinreg._ordering import epoch_order
from sgdlinreg._solvers import staging, transfer
from sgdlinreg._statistics import measure

from .helpers import as_csr, make_problem, needs_torch

pytestmark = needs_torch


@pytest.fixture
def small_device(monkeypatch):
    """The CPU, as a device of its own with room for a part of the rows."""
    import torch

    monkeypatch.setattr(_arrays, "HOST_DEVICES", frozenset())
    monkeypatch.setattr(transfer, "room_on", lambda device: 8000.0)
    return torch.device("cpu")


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("layout", ["C", "F", "strided", "read-only"])
def test_rows_arrive_whatever_their_layout(dtype, layout, monkeypatch):
    import torch

    X = make_problem(0)[0].astype(dtype)
    expected = X.copy()
    X = {"F": np.asfortranarray(X), "strided": np.repeat(X, 2, axis=1)[:, ::2]}.get(layout, X)
    X.flags.writeable = layout != "read-only"
    monkeypatch.setattr(staging, "PIECE_BYTES", 13 * 7 * X.itemsize)  # 24 loads, the last one ragged
    monkeypatch.setattr(staging, "STRIP_BYTES", 100)
    monkeypatch.setattr(staging, "n_threads", lambda: 3)
    there = staging.send(X, torch.device("cpu"))
    assert there.is_contiguous()
    np.testing.assert_array_equal(there.numpy(), expected)


def test_every_piece_is_given_once_in_order_while_the_next_one_is_sent(monkeypatch):
    import torch

    X = make_problem(0)[0]
    monkeypatch.setattr(staging, "PIECE_BYTES", 50 * 7 * 8)
    log, filled = [], threading.Semaphore(0)
    fill = staging.Staging.fill

    def spy(self, number, n_rows, write):
        fill(self, number, n_rows, write)
        filled.release()

    def arrived(rows, there):
        np.testing.assert_array_equal(there.numpy(), X[rows])
        if not log:
            assert filled.acquire(timeout=10.0)  # this piece
        if rows.stop < len(X):
            assert filled.acquire(timeout=10.0)  # the next one, before the caller is done with this one
        assert not filled.acquire(timeout=0.01)  # and no more: its buffer is still in use
        log.append(rows)

    monkeypatch.setattr(staging.Staging, "fill", spy)
    staging.send(X, torch.device("cpu"), arrived)
    assert [(rows.start, rows.stop) for rows in log] == [(50 * k, min(50 * k + 50, 301)) for k in range(7)]


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_columns_and_targets_are_measured_on_the_way(weighted, dtype, monkeypatch):
    import torch

    X, y, weight = make_problem(0)
    X = (X + 1e3).astype(dtype)
    block = Block(X, y[:, None], weight if weighted else None)
    monkeypatch.setattr(_arrays, "HOST_DEVICES", frozenset())
    monkeypatch.setattr(staging, "PIECE_BYTES", 13 * 7 * X.itemsize)
    there = transfer.place(block, torch.device("cpu"), partial(measure, with_columns=True))
    for found, expected in zip(there.measured, measure(block, with_columns=True), strict=True):
        np.testing.assert_allclose(found.mean, expected.mean, rtol=1e-14)
        np.testing.assert_allclose(found.squares, expected.squares, rtol=1e-12)
        assert found.total_weight == pytest.approx(expected.total_weight, rel=1e-14)
    targets_only = transfer.place(block, torch.device("cpu"), partial(measure, with_columns=False)).measured
    assert targets_only.columns is None
    np.testing.assert_array_equal(targets_only.targets.mean, there.measured.targets.mean)
    assert transfer.place(block, torch.device("cpu"), None).measured is None


def test_what_is_not_finite_or_too_large_is_told_once_in_an_error(monkeypatch):
    X, y, _ = make_problem(0)
    monkeypatch.setattr(_arrays, "HOST_DEVICES", frozenset())
    monkeypatch.setattr(staging, "PIECE_BYTES", 50 * 7 * 8)
    model = MiniBatchSGDRegressor(solver="torch", random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ValueError, match="column 0 of y overflow"):
            model.fit(X, y * 1e200)
        X[[3, 200], 2] = np.inf
        with pytest.raises(ValueError, match="Input X contains infinity"):
            model.fit(X, y)


def test_blocks_of_a_source_are_measured_once(monkeypatch):
    from sgdlinreg._solvers import sgd

    X, y, _ = make_problem(0)
    monkeypatch.setattr(_arrays, "HOST_DEVICES", frozenset())
    blocks = []

    def spy(block, with_columns):
        blocks.append(block)
        return measure(block, with_columns)

    monkeypatch.setattr(sgd, "measure", spy)
    model = MiniBatchSGDRegressor(solver="torch", random_state=0, tol=None, max_iter=5)
    model.fit_source([(X[:150], y[:150]), (X[150:], y[150:])])
    n_sent = sum(block.measured is None for block in blocks)
    assert n_sent == 2  # the others only ask for what is known


@pytest.mark.parametrize("around", ["inference_mode", "default device"])
def test_what_torch_is_set_to_does_not_matter(around, monkeypatch):
    import torch

    X, y, _ = make_problem(0)
    monkeypatch.setattr(_arrays, "HOST_DEVICES", frozenset())
    monkeypatch.setattr(transfer, "LARGE", 1)
    model = MiniBatchSGDRegressor(solver="torch", device="cpu", random_state=0)
    expected = model.fit(X, y).coef_
    with torch.inference_mode() if around == "inference_mode" else torch.device("meta"):
        np.testing.assert_array_equal(model.fit(X, y).coef_, expected)


def test_streamed_rows_in_column_order_are_not_copied_as_a_whole(small_device, monkeypatch):
    X, y, _ = make_problem(2, n_rows=1003)
    model = MiniBatchSGDRegressor(solver="torch", batch_size=16, random_state=0, tol=None, max_iter=2)
    expected = model.fit(X, y).coef_
    taken = []
    take = np.take
    monkeypatch.setattr(
        np, "take", lambda a, *rest, **more: taken.append(a.flags.c_contiguous) or take(a, *rest, **more)
    )
    np.testing.assert_allclose(model.fit(np.asfortranarray(X), y).coef_, expected, rtol=1e-12)
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


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("n_extreme", [0, 3])
@pytest.mark.parametrize("positions", [(0, 301), (96, 301), (0, 96)])
def test_parts_are_the_batches_in_order(small_device, sparse, n_extreme, positions):
    X, y, weight = make_problem(1)
    rows = as_csr(X)
    block = Block(CSR(rows.data, rows.indices, rows.indptr, 7) if sparse else X, y[:, None], weight)
    order = epoch_order(301, 56.0, "full", np.random.default_rng(0))
    extreme = np.arange(n_extreme)
    conditioning = replace(no_conditioning(7), extreme_rows=extreme)
    ready = transfer.to_device(block, small_device)
    assert isinstance(ready, transfer.HostBlock)
    seen, steps = [], []
    parts = transfer.parts_of(ready, order, positions, conditioning, 16, small_device)
    for part in parts:
        values = part.block.X
        if sparse:
            parts_of_row = np.split(values.data.numpy(), values.indptr.numpy()[1:-1])
            values = np.array(parts_of_row)
        taken = [np.asarray(array) for array in (values, part.block.y, part.block.sample_weight)]
        rows_in_order = part.order.rows(*part.positions)
        seen.append([array[rows_in_order] for array in taken])
        steps.extend(range(part.steps.start, part.steps.stop))
        np.testing.assert_array_equal(taken[0][part.conditioning.extreme_rows], X[extreme])
        assert part.block.n_rows == 301
        assert part.block.y.shape[0] < 301
    chosen = order.rows(*positions)
    for found, whole in zip(zip(*seen, strict=True), (X, y[:, None], weight), strict=True):
        np.testing.assert_array_equal(np.concatenate(found), whole[chosen])
    assert steps == list(range(-(-len(chosen) // 16)))


@pytest.mark.parametrize("kind", ["float64", "float32", "sparse"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"eta0": 0.01},
        {"loss": "huber", "epsilon": 1.0, "average": True},
        {"penalty": "elasticnet", "alpha": 0.1, "momentum": 0.5},
        {"shuffle": False, "drop_last": True},
    ],
    ids=str,
)
def test_streamed_rows_take_the_path_of_one_block(small_device, kind, options, monkeypatch):
    X, y, weight = make_problem(2, n_rows=1003, n_targets=2)
    X[5] *= 30.0  # joins every batch
    X = as_csr(X) if kind == "sparse" else X.astype(kind)
    model = MiniBatchSGDRegressor(solver="torch", batch_size=16, random_state=0, tol=None, max_iter=4, **options)
    numbers, load = [], transfer._load

    def spy(block, rows, device, staging, number):
        numbers.append(number)
        return load(block, rows, device, staging, number)

    monkeypatch.setattr(transfer, "_load", spy)
    streamed = model.fit(X, y, weight).coef_
    assert max(numbers) > 10
    numbers.clear()
    monkeypatch.setattr(transfer, "room_on", lambda device: np.inf)
    monkeypatch.setattr(_arrays, "HOST_DEVICES", frozenset({"cpu"}))
    np.testing.assert_allclose(model.fit(X, y, weight).coef_, streamed, rtol=1e-12)
    assert not numbers


def test_a_batch_that_does_not_fit_is_an_error_before_anything_is_sent(small_device):
    X, y, _ = make_problem(3)
    model = MiniBatchSGDRegressor(solver="torch", random_state=0, batch_size="full")
    with pytest.raises(MemoryError, match=r"Batches of 301 rows take .* Set a smaller batch_size"):
        model.fit(X, y)
    assert not hasattr(model, "coef_")


def test_an_error_while_loading_ends_the_fit_and_leaves_the_model(small_device, monkeypatch):
    import torch

    X, y, _ = make_problem(3)
    model = MiniBatchSGDRegressor(solver="torch", random_state=0, batch_size=16).fit(X, y)
    before = model.coef_.copy()
    load = transfer._load

    def fail(block, rows, device, staging, number):
        if number == 3:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory.")
        return load(block, rows, device, staging, number)

    monkeypatch.setattr(transfer, "_load", fail)
    with pytest.raises(MemoryError, match=r"The device ran out of memory\. X is 301 x 7"):
        model.fit(X, 2.0 * y)
    np.testing.assert_array_equal(model.coef_, before)


@pytest.mark.gpu
def test_a_small_gpu_takes_the_path_of_a_large_one(monkeypatch):
    X, y, weight = make_problem(4, n_rows=20_011)
    model = MiniBatchSGDRegressor(solver="torch", device="cuda", random_state=0, tol=None, max_iter=3, eta0=1e-3)
    expected = model.fit(X, y, weight).coef_
    monkeypatch.setattr(transfer, "room_on", lambda device: 1e5)
    np.testing.assert_allclose(model.fit(X, y, weight).coef_, expected, rtol=1e-10)


@pytest.mark.gpu
@pytest.mark.parametrize("kind", ["wide", "sparse", "large batches"])
def test_parts_of_many_batches_follow_while_the_next_ones_load(kind, monkeypatch):
    n_features, batch_size = {"wide": (1100, 16), "sparse": (50, 32), "large batches": (64, 512)}[kind]
    X = np.random.default_rng(6).standard_normal((40_000, n_features))
    y = X[:, 0] + 1.0
    X = as_csr(np.where(np.abs(X) > 1.0, X, 0.0)) if kind == "sparse" else X
    options = {"random_state": 0, "tol": None, "max_iter": 2, "eta0": 1e-4, "batch_size": batch_size}
    expected = MiniBatchSGDRegressor(solver="numba", **options).fit(X, y).coef_
    model = MiniBatchSGDRegressor(solver="torch", device="cuda", **options)
    np.testing.assert_allclose(model.fit(X, y).coef_, expected, rtol=1e-10, atol=1e-10 * np.abs(expected).max())
    again = model.fit(X, y).coef_
    np.testing.assert_array_equal(model.fit(X, y).coef_, again)
    size = 16 * X.nnz if kind == "sparse" else X.nbytes
    monkeypatch.setattr(transfer, "room_on", lambda device: 0.95 * size)
    np.testing.assert_allclose(model.fit(X, y).coef_, expected, rtol=1e-10, atol=1e-10 * np.abs(expected).max())


@pytest.mark.gpu
def test_a_second_gpu():
    import torch

    if torch.cuda.device_count() < 2:
        pytest.skip("there is one GPU")
    X, y, _ = make_problem(7, n_rows=20_000)
    options = {"random_state": 0, "tol": None, "max_iter": 3, "eta0": 1e-3, "batch_size": 8}
    expected = MiniBatchSGDRegressor(solver="numba", **options).fit(as_csr(X), y).coef_
    for device in ("cuda:0", "cuda:1", "cuda:0"):
        model = MiniBatchSGDRegressor(solver="torch", device=device, **options)
        np.testing.assert_allclose(model.fit(as_csr(X), y).coef_, expected, rtol=1e-10)


@pytest.mark.gpu
def test_tensors_of_cuda_in_and_out():
    import torch

    X, y, weight = make_problem(5)
    there = [torch.tensor(array, device="cuda") for array in (X, y, weight)]
    for solver in ("normal_equation", "torch"):
        options = {"tol": None, "max_iter": 5} if solver == "torch" else {}
        model = MiniBatchSGDRegressor(solver=solver, random_state=0, **options)
        expected = model.fit(X, y, weight).coef_
        np.testing.assert_allclose(model.fit(*there).coef_, expected, rtol=1e-10)
        predictions = model.predict(there[0])
        assert predictions.device == there[0].device
        np.testing.assert_allclose(predictions.cpu().numpy(), model.predict(X), rtol=1e-12)
        assert model.score(*there) == pytest.approx(model.score(X, y, weight))
