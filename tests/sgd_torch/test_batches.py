"""Steps in torch operations, and what a CUDA graph captures: operations of the same shapes, whatever the rows hold."""

import gc
import weakref
from contextlib import contextmanager
from types import SimpleNamespace

import numpy as np
import pytest

from sgdlinreg._core.blocks import CSR, Block
from sgdlinreg._core.coordinates import Coordinates
from sgdlinreg._core.objective import LOSSES, Objective, make_loss
from sgdlinreg._solvers.sgd.kernel_numpy import ReferenceKernel
from sgdlinreg._solvers.sgd_torch import batches as batches_torch
from sgdlinreg._solvers.sgd_torch import kernel as sgd_torch
from sgdlinreg._solvers.sgd_torch.plan import Kind, Replayed
from sgdlinreg._solvers.sgd_torch.streaming import DeviceBlock

from ..helpers import needs_torch
from ..kernel_cases import (
    MOMENTA,
    OBJECTIVES,
    assert_candidates_are_alone,
    assert_same_path,
    block_of,
    candidates_of,
    csr_of,
    objective_of,
    path_of,
    sparse_block,
)

pytestmark = needs_torch


def ragged_block(rng, n_rows=203, n_features=40, n_targets=1):
    """CSR rows of 0 to 40 values, the fullest ones together at the end."""
    lengths = np.concatenate([rng.integers(0, 4, n_rows - 10), np.full(10, n_features)])
    X = np.zeros((n_rows, n_features))
    for row, length in zip(X, lengths, strict=True):
        row[rng.choice(n_features, length, replace=False)] = rng.uniform(1.0, 2.0, length)
    return Block(csr_of(X), rng.standard_normal((n_rows, n_targets)), None)


@pytest.mark.parametrize("momentum", MOMENTA)
@pytest.mark.parametrize("penalty", ["none", "l2", "elasticnet", "positive"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("at_once", "n_targets"), [(256, 1), (256, 3), (1, 1), (1, 3)])
def test_dense_rows_follow_the_reference(at_once, n_targets, dtype, penalty, momentum, monkeypatch):
    monkeypatch.setattr(batches_torch, "MAX_GATHERED_BATCHES", at_once)
    block = block_of(dtype, n_targets=n_targets, weighted=n_targets == 1)
    objective = objective_of("huber", penalty, fit_intercept=n_targets == 1)
    assert_same_path(sgd_torch.TorchKernel(), block, objective, momentum=MOMENTA[momentum])


@pytest.mark.parametrize("index_dtype", [np.int32, np.int64])
@pytest.mark.parametrize("momentum", MOMENTA)
@pytest.mark.parametrize("n_targets", [1, 3])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_sparse_rows_follow_the_reference(dtype, n_targets, momentum, index_dtype):
    block = sparse_block(dtype, n_targets=n_targets, weighted=n_targets > 1, index_dtype=index_dtype)
    options = {"momentum": MOMENTA[momentum], "index_dtype": index_dtype}
    assert_same_path(sgd_torch.TorchKernel(), block, objective_of(penalty="elasticnet"), **options)


@pytest.mark.parametrize("n_targets", [1, 3])
@pytest.mark.parametrize("batch_size", [1, 7, 203])
def test_ragged_rows_follow_the_reference(batch_size, n_targets):
    block = ragged_block(np.random.default_rng(1), n_targets=n_targets)
    assert_same_path(sgd_torch.TorchKernel(), block, objective_of(), batch_size=batch_size, n_epochs=6)


@pytest.mark.parametrize(("loss", "penalty", "momentum"), OBJECTIVES)
def test_candidates_as_models_of_one_call_are_those_alone(loss, penalty, momentum):
    block = block_of(n_targets=1 + (momentum == "plain"), weighted=penalty == "l2")
    assert_candidates_are_alone(
        sgd_torch.TorchKernel(), block, candidates_of(loss, penalty), momentum=MOMENTA[momentum]
    )


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("make", [block_of, sparse_block])
@pytest.mark.parametrize(("batch_size", "n_targets"), [(1, 1), (7, 2), (61, 3)])
def test_candidates_of_all_kinds_of_rows(make, dtype, batch_size, n_targets, fit_intercept):
    block = make(dtype, n_targets=n_targets, weighted=n_targets > 1)
    candidates = candidates_of("huber", "elasticnet" if fit_intercept else "l2", fit_intercept)
    assert_candidates_are_alone(sgd_torch.TorchKernel(), block, candidates, batch_size=batch_size)


@pytest.mark.parametrize("make", [block_of, sparse_block])
def test_candidates_follow_the_reference(make):
    block, candidates = make(n_targets=2), candidates_of("quantile", "elasticnet")
    for kernel in (sgd_torch.TorchKernel(), ReferenceKernel()):
        assert_candidates_are_alone(kernel, block, candidates, momentum=(0.8, True))


def test_rows_without_any_value():
    empty = CSR(np.zeros(0), np.zeros(0, np.int32), np.zeros(11, np.int32), 3)
    block = Block(empty, np.arange(10.0)[:, None], None)
    assert_same_path(sgd_torch.TorchKernel(), block, objective_of(), batch_size=4)


def test_a_plan_is_that_of_its_block_and_kind_of_objective(monkeypatch):
    blocks = [block_of(), block_of()]
    equal = [Objective(make_loss(loss, 0.3)) for loss in ("huber", "squared_epsilon_insensitive")]
    assert equal[0] == equal[1]  # as tuples are
    kernel, plans = sgd_torch.TorchKernel(), []
    ready = [kernel.to_device(block) for block in blocks]
    monkeypatch.setattr(kernel, "to_device", lambda block: ready[block is blocks[1]])
    for block, objective in ((blocks[0], equal[0]), (blocks[1], equal[0]), (blocks[1], equal[1])):
        assert_same_path(kernel, block, objective)
        assert not any(plan is kernel.plan for plan in plans)
        plans.append(kernel.plan)
    assert_same_path(kernel, blocks[1], Objective(make_loss("squared_epsilon_insensitive", 0.1)))
    assert kernel.plan is plans[-1]


@pytest.mark.parametrize("n_targets", [1, 2])
@pytest.mark.parametrize("n_features", [7, 3000])
@pytest.mark.parametrize("loss", LOSSES)
def test_steps_over_dense_rows_never_look_at_values(n_features, n_targets, loss, monkeypatch):
    """On torch's meta device tensors have shapes but no values: to ask for one is an error."""
    import torch

    monkeypatch.setattr(batches_torch, "MAX_GATHERED_BATCHES", 2)

    def put(array):
        return torch.as_tensor(array).to("meta")

    X = put(np.zeros((100, n_features), np.float32))
    block = DeviceBlock(X, put(np.zeros((100, n_targets))), put(np.ones(100)))
    for l1_ratio, momentum in ((0.0, (0.0, False)), (1.0, (0.5, True)), (0.0, (0.5, False))):
        for fit_intercept in (True, False):
            objective = Objective(make_loss(loss, 0.1), 0.1, fit_intercept, l1_ratio, False)
            for scale in (np.ones(n_features), np.ones((2 * n_targets, n_features))):
                kind, n_models = Kind.of(objective, Coordinates(np.zeros(n_features), scale)), scale.ndim * n_targets
                plan = batches_torch.TorchPlan(torch, block, 16, kind, n_models, captures=True)
                plan._take_steps(plan.rows, plan.step_sizes, momentum)
                assert plan.iterate.device.type == "meta"


@pytest.mark.parametrize("make", [block_of, sparse_block])
def test_only_steps_over_dense_rows_are_captured(make, monkeypatch):
    captures, replayed = [], Replayed.__init__
    monkeypatch.setattr(Replayed, "__init__", lambda self, *args: captures.append(args[-1]) or replayed(self, *args))
    path_of(sgd_torch.TorchKernel(), make(), objective_of())
    assert captures == [make is block_of]  # one plan for all epochs


def test_what_a_kernel_keeps_on_the_device_goes_with_it():
    kernel = sgd_torch.TorchKernel()
    gc.collect()
    gc.disable()  # what holds itself would wait for it
    try:
        path_of(kernel, block_of(), objective_of(), batch_size=4)
        plan = weakref.ref(kernel.plan)
        assert plan() is not None
        del kernel
        assert plan() is None
    finally:
        gc.enable()


@pytest.mark.parametrize("n_rows", [3, 40, 4 * 256, 4 * 257 + 3, 4 * 1000 + 1])
def test_nearly_all_batches_of_an_epoch_are_replayed(n_rows, monkeypatch):
    replayed = []
    monkeypatch.setattr(Replayed, "__call__", lambda self, action, options: replayed.append(1) or action())
    kernel, block = sgd_torch.TorchKernel(), block_of(n_rows=n_rows)
    path_of(kernel, block, objective_of(), batch_size=4, n_epochs=2)
    at_once, n_whole, n_short = len(kernel.plan.rows), n_rows // 4, (n_rows - n_rows // 4) // 4
    assert at_once <= 256
    assert n_whole - n_whole // at_once * at_once < n_whole // at_once + (n_whole == 0)
    assert len(replayed) == n_whole // at_once + n_short // at_once


def test_small_steps_take_one_thread_and_leave_the_number_as_it_was(monkeypatch):
    import torch

    seen = []

    class Spy(sgd_torch.TorchPlan):
        def run(self, *args):
            seen.append(torch.get_num_threads())
            with sgd_torch.one_thread:  # of another fit
                seen.append(torch.get_num_threads())
            super().run(*args)
            seen.append(torch.get_num_threads())

    monkeypatch.setattr(sgd_torch, "TorchPlan", Spy)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        path_of(sgd_torch.TorchKernel(), block_of(), objective_of(), n_epochs=1)
        assert seen == [1, 1, 1]
        assert torch.get_num_threads() == 2
        monkeypatch.setattr(sgd_torch, "MAX_PRODUCTS_OF_ONE_THREAD", 16 * 7 - 1)
        path_of(sgd_torch.TorchKernel(), block_of(), objective_of(), n_epochs=1)
        assert seen[3:] == [2, 1, 2]
    finally:
        torch.set_num_threads(before)


class Recorder:
    """The part of torch.cuda that replaying needs, on a machine without it: notes what is done."""

    def __init__(self):
        self.done, self.streams = [], 0
        self.CUDAGraph = lambda: SimpleNamespace(replay=lambda: self.done.append("replay"))

    def Stream(self, device, priority):
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
        replayed = Replayed(torch, device, captures=True)
        for momentum in (0.0, 0.5):  # which is a constant of what was captured
            for _ in range(4):
                replayed(lambda: torch.cuda.done.append("action"), momentum)
    once = ["aside", "action", "capture on {}, thread_local", "action", "replay", "replay", "replay"]
    assert torch.cuda.done == [note.format(index) for index in (0, 0, 1, 1) for note in once]
    assert torch.cuda.streams == 2
    torch.cuda.done.clear()
    never = Replayed(torch, device, captures=False)
    for _ in range(3):
        never(lambda: torch.cuda.done.append("as it is"), 0.0)
    assert torch.cuda.done == 3 * ["as it is"]
