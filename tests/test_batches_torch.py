"""What a CUDA graph captures: the same operations, of the same shapes, whatever the rows hold."""

import gc
import weakref
from contextlib import contextmanager
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from scipy import sparse

from sgdlinreg import MiniBatchSGDRegressor
from sgdlinreg._blocks import CSR, Block
from sgdlinreg._conditioning import no_conditioning
from sgdlinreg._objective import LOSSES, Objective, make_loss
from sgdlinreg._past import Memory
from sgdlinreg._solvers import batches_torch, sgd_torch
from sgdlinreg._solvers.base import Options, Visit
from sgdlinreg._solvers.batches_torch import make_setting
from sgdlinreg._solvers.graphs_torch import Replayed
from sgdlinreg._solvers.rows_torch import most_values
from sgdlinreg._solvers.sgd import SGD
from sgdlinreg._solvers.sgd_reference import ReferenceKernel
from sgdlinreg._solvers.transfer import DeviceBlock

from .helpers import needs_torch

pytestmark = needs_torch


def ragged_block(rng, n_rows=203, n_features=40, n_targets=1):
    """CSR rows of 0 to 40 values, the fullest ones together at the end."""
    lengths = np.concatenate([rng.integers(0, 4, n_rows - 10), np.full(10, n_features)])
    X = np.zeros((n_rows, n_features))
    for row, length in zip(X, lengths, strict=True):
        row[rng.choice(n_features, length, replace=False)] = rng.uniform(1.0, 2.0, length)
    rows = sparse.csr_array(X)
    return Block(CSR(rows.data, rows.indices, rows.indptr, n_features), rng.standard_normal((n_rows, n_targets)), None)


def path_of(kernel, block, options, n_epochs=6):
    solver, rng = SGD(Objective(make_loss("squared_error", 0.1), 0.01), options, kernel), np.random.default_rng(0)
    state = solver.init(block.n_features, block.n_targets, None)
    state, ready = solver.prepare(state, block, rng, Visit.ALL)
    path = []
    for _ in range(n_epochs):
        state = solver.update(state, ready, rng)
        path.append(state.coef)
    return np.array(path)


@pytest.mark.parametrize("n_targets", [1, 3])
@pytest.mark.parametrize("batch_size", [1, 7, 203])
def test_ragged_rows_follow_the_reference_and_room_grows(batch_size, n_targets, monkeypatch):
    rooms = []

    class Spy(sgd_torch.Replayed):
        def __init__(self, *args):
            super().__init__(*args)
            rooms.append(kernel.plan.capacity)

    monkeypatch.setattr(sgd_torch, "Replayed", Spy)
    monkeypatch.setattr(sgd_torch, "SPARE_ROOM", 0.0)
    block = ragged_block(np.random.default_rng(1), n_targets=n_targets)
    options = Options(batch_size=batch_size, eta0=0.01, shuffle="full", tol=None)
    kernel = sgd_torch.TorchKernel()
    path = path_of(kernel, block, options)
    np.testing.assert_allclose(path, path_of(ReferenceKernel(), block, options), rtol=1e-10, atol=1e-12)
    assert rooms == sorted(set(rooms))  # made anew only for more room
    assert (len(rooms) > 1) == (batch_size == 7)  # other batches come together in other epochs
    assert rooms[-1] <= len(block.X.data)


def test_rows_without_any_value():
    empty = CSR(np.zeros(0), np.zeros(0, np.int32), np.zeros(11, np.int32), 3)
    block = Block(empty, np.arange(10.0)[:, None], None)
    options = Options(batch_size=4, eta0=0.1, shuffle=False, tol=None)
    expected = path_of(ReferenceKernel(), block, options)
    np.testing.assert_allclose(path_of(sgd_torch.TorchKernel(), block, options), expected, rtol=1e-12)


def test_the_largest_batch_is_counted_with_a_short_one_and_extreme_rows():
    import torch

    lengths = np.array([1, 0, 5, 2, 9])
    X = CSR(torch.ones(17), torch.zeros(17, dtype=torch.int64), torch.tensor(np.r_[0, lengths.cumsum()]), 4)
    order, none = torch.tensor([4, 0, 1, 2, 3]), torch.zeros(0, dtype=torch.int64)
    assert most_values(torch, X, order, 2, none) == 10
    assert most_values(torch, X, order[1:4], 2, none) == 5
    assert most_values(torch, X, order, 2, order[:1]) == 19


@pytest.mark.parametrize("n_targets", [1, 2])
@pytest.mark.parametrize("rows", ["scaled", "folded", "sparse"])
@pytest.mark.parametrize("loss", LOSSES)
def test_steps_never_look_at_values(rows, n_targets, loss, monkeypatch):
    """On torch's meta device tensors have shapes but no values: to ask for one is an error."""
    import torch

    monkeypatch.setattr(batches_torch, "MAX_GATHERED_BATCHES", 2)

    def put(array):
        return torch.as_tensor(array).to("meta")

    n_rows, n_features = 100, 7 if rows != "folded" else 3000
    X = put(np.zeros((n_rows, n_features), np.float32))
    if rows == "sparse":
        X = CSR(put(np.zeros(50, np.float32)), put(np.zeros(50, int)), put(np.zeros(n_rows + 1, int)), n_features)
    about = rows == "sparse", n_rows, n_features, np.dtype(np.float32)
    block = DeviceBlock(X, put(np.zeros((n_rows, n_targets))), put(np.ones(n_rows)), *about)
    scaled = replace(no_conditioning(n_features), centre=np.ones(n_features), extreme_rows=np.arange(3))
    whitened = replace(scaled, whitener=np.ones((n_features, 2)))
    remembered = Memory(np.ones((n_features + 1,) * 2), np.ones((n_targets, n_features + 1)))
    forgotten = Memory(np.zeros((0, 0)), np.zeros((0, 1)))
    cases = [
        (scaled, forgotten, 0.0, (0.0, False)),
        (scaled, forgotten, 1.0, (0.5, True)),
        (whitened, forgotten, 0.0, (0.5, False)),
        (whitened, remembered, 0.0, (0.0, False)),
    ]
    for conditioning, memory, l1_ratio, momentum in cases:
        objective = Objective(make_loss(loss, 0.1), 0.1, True, l1_ratio, False)
        problem = sgd_torch.Problem(block, 16, objective, conditioning, memory, n_targets)
        plan = sgd_torch.TorchPlan(torch, problem, make_setting(put, conditioning, memory, True))
        plan.capacity, plan.momentum = 20, momentum
        plan._take_steps(plan.rows, plan.step_sizes)


def test_what_a_fit_keeps_on_the_device_goes_with_it(monkeypatch):
    plans = []

    class Spy(sgd_torch.TorchPlan):
        def run(self, *args):
            plans.append(weakref.ref(self))
            super().run(*args)

    monkeypatch.setattr(sgd_torch, "TorchPlan", Spy)
    X = np.random.default_rng(0).standard_normal((500, 3))
    gc.collect()
    gc.disable()  # what holds itself would wait for it
    try:
        model = MiniBatchSGDRegressor(solver="torch", batch_size=4, max_iter=3, tol=None).fit(X, X[:, 0])
        assert plans
        assert not any(plan() for plan in plans)
    finally:
        gc.enable()
    assert model.t_ > 3


@pytest.mark.parametrize("n_rows", [3, 40, 4 * 256, 4 * 257 + 3, 4 * 1000 + 1])
def test_nearly_all_batches_of_an_epoch_are_replayed(n_rows, monkeypatch):
    replayed = []
    monkeypatch.setattr(Replayed, "__call__", lambda self, action: replayed.append(1) or action())
    X = np.random.default_rng(0).standard_normal((n_rows, 3))
    kernel, options = sgd_torch.TorchKernel(), Options(batch_size=4, eta0=0.01, shuffle=False, tol=None)
    path_of(kernel, Block(X, X[:, :1].copy(), None), options, n_epochs=1)
    at_once, n_whole = len(kernel.plan.rows), n_rows // 4
    assert at_once <= 256
    assert n_whole - len(replayed) * at_once < len(replayed) + (n_whole == 0)


class Recorder:
    """The part of torch.cuda that replaying needs, on a machine without it: notes what is done."""

    def __init__(self):
        self.done, self.streams = [], 0
        self.CUDAGraph = lambda: SimpleNamespace(replay=lambda: self.done.append("replay"))

    def Stream(self, device):
        self.streams += 1
        return SimpleNamespace(device=device, wait_stream=lambda other: None)

    def current_stream(self):
        return SimpleNamespace(wait_stream=lambda other: None)

    @contextmanager
    def device(self, device):
        yield

    @contextmanager
    def stream(self, stream):
        self.done.append("aside")
        yield

    @contextmanager
    def graph(self, graph, stream, capture_error_mode):
        self.done.append(f"capture on {stream.device.index}, {capture_error_mode}")
        yield


def test_an_action_runs_is_captured_and_replayed_on_its_own_device():
    torch = type("Torch", (), {"cuda": Recorder()})
    for index in (0, 1):
        device = type("Device", (), {"type": "cuda", "index": index})()
        replayed = Replayed(torch, device)
        for _ in range(4):
            replayed(lambda: torch.cuda.done.append("action"))
    once = ["aside", "action", "capture on {}, thread_local", "action", "replay", "replay", "replay"]
    assert torch.cuda.done == [note.format(index) for index in (0, 1) for note in once]
    assert torch.cuda.streams == 2
    once_only = Replayed(torch, device, pays=False)
    for _ in range(3):
        once_only(lambda: torch.cuda.done.append("as it is"))
    assert torch.cuda.done[14:] == 3 * ["as it is"]
