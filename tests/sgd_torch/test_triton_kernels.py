"""Triton kernels against the NumPy reference: in the interpreter (TRITON_INTERPRET=1), or on a GPU where there is one.

The interpreter has to be chosen before Triton is imported, so these tests have a session of their own:
``TRITON_INTERPRET=1 python -m pytest tests/sgd_torch/test_triton_kernels.py``; without it compilation is checked.
"""

import importlib.util
import os
import re
import subprocess
from pathlib import Path

import numpy as np
import pytest

from sgdlinreg._core.coordinates import raw_coordinates
from sgdlinreg._core.objective import LOSSES

from ..kernel_cases import (
    MOMENTA,
    OBJECTIVES,
    PENALTIES,
    assert_candidates_are_alone,
    assert_same_path,
    block_of,
    candidates_of,
    objective_of,
    path_of,
    paths_of_candidates,
)

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
if importlib.util.find_spec("triton") is None or importlib.util.find_spec("torch") is None:
    pytest.skip("triton and torch are not both installed", allow_module_level=True)

import torch  # noqa: E402

from sgdlinreg._solvers.sgd_torch import kernel as torch_kernel  # noqa: E402
from sgdlinreg._solvers.sgd_torch import triton_kernels, triton_plan  # noqa: E402
from sgdlinreg._solvers.sgd_torch.kernel import TorchKernel  # noqa: E402
from sgdlinreg._solvers.sgd_torch.plan import Kind  # noqa: E402

from ..triton_cases import SharedKernel, TritonKernel  # noqa: E402

KERNELS = [TritonKernel, SharedKernel]
DEVICE = "cpu" if INTERPRETED else "cuda"
pytestmark = pytest.mark.filterwarnings("ignore:TRITON_DEFAULT_FP_FUSION")
runs = pytest.mark.skipif(not (INTERPRETED or torch.cuda.is_available()), reason="neither TRITON_INTERPRET=1 nor a GPU")
compiles = pytest.mark.skipif(INTERPRETED, reason="nothing compiles with TRITON_INTERPRET=1")


@runs
@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("n_features", [1, 3, 17, 33])
@pytest.mark.parametrize("n_targets", [1, 3])
def test_shapes(kernel, dtype, n_features, n_targets):
    block = block_of(dtype, n_features, n_targets, weighted=n_targets > 1)
    assert_same_path(kernel(DEVICE), block, objective_of(penalty="l2"))  # 61 rows, batches of 16: the last is ragged


@runs
@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize(("loss", "penalty", "momentum"), OBJECTIVES)
def test_objectives(kernel, loss, penalty, momentum):
    block, objective = block_of(weighted=True), objective_of(loss, penalty)
    assert_same_path(kernel(DEVICE), block, objective, momentum=MOMENTA[momentum], n_epochs=2)


@runs
@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("loss", ["huber", "epsilon_insensitive", "squared_epsilon_insensitive", "quantile"])
def test_losses_in_both_dtypes(kernel, dtype, loss):
    assert_same_path(kernel(DEVICE), block_of(dtype), objective_of(loss))


@runs
@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize(("fit_intercept", "index_dtype"), [(True, np.int32), (False, np.int64)])
@pytest.mark.parametrize("batch_size", [1, 7, 61])
def test_batch_sizes(kernel, fit_intercept, batch_size, index_dtype):
    objective = objective_of(penalty="l2", fit_intercept=fit_intercept)
    assert_same_path(kernel(DEVICE), block_of(), objective, batch_size=batch_size, index_dtype=index_dtype, n_epochs=3)


@runs
@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize(("loss", "penalty"), list(zip(LOSSES, PENALTIES, strict=True)))
def test_candidates_as_models_of_one_call_are_those_alone(kernel, dtype, loss, penalty):
    block = block_of(dtype, n_targets=1 + (penalty == "l2"), weighted=penalty == "none")
    momentum = MOMENTA["nesterov" if loss == "huber" else "plain"]
    assert_candidates_are_alone(kernel(DEVICE), block, candidates_of(loss, penalty), momentum=momentum)


@runs
def test_candidates_follow_torch_operations():
    block, candidates = block_of(n_targets=2), candidates_of("quantile", "elasticnet", fit_intercept=False)
    expected = paths_of_candidates(TorchKernel("cpu"), block, candidates)[0]
    for kernel in KERNELS:
        for one, that in zip(paths_of_candidates(kernel(DEVICE), block, candidates)[0], expected, strict=True):
            np.testing.assert_allclose(one, that, rtol=1e-10, atol=1e-10 * np.abs(that).max())


@runs
@pytest.mark.parametrize("kernel", KERNELS)
def test_batches_of_many_tiles(kernel, monkeypatch):
    monkeypatch.setattr(triton_plan, "TILE_BYTES", 1 << 10)
    assert triton_plan.tile_of(48, 7, 8)["TILES"] == 6
    assert_same_path(kernel(DEVICE), block_of(n_targets=2, weighted=True), objective_of("huber"), batch_size=48)


@runs
def test_the_kernels_that_cover_a_problem_are_used(monkeypatch):
    made = []
    plan = triton_plan.TritonPlan
    monkeypatch.setattr(triton_plan, "TritonPlan", lambda *args, **options: made.append(args) or plan(*args, **options))
    monkeypatch.setattr(TorchKernel, "_has_triton", lambda self: True)
    assert_same_path(TorchKernel(DEVICE), block_of(weighted=True), objective_of())
    assert len(made) == 1  # one for all epochs
    monkeypatch.setattr(triton_plan, "covers", lambda block: False)
    assert_same_path(TorchKernel(DEVICE), block_of(weighted=True), objective_of())
    assert len(made) == 1


@runs
@pytest.mark.parametrize("kernel", KERNELS)
def test_repeated_epochs_are_bit_identical(kernel):
    block = block_of(np.float32, 17, 2, weighted=True)
    first, again = (path_of(kernel(DEVICE), block, objective_of("huber")) for _ in range(2))
    for steps, those in zip(first, again, strict=True):
        assert steps.tobytes() == those.tobytes()


@compiles
@pytest.mark.gpu
@pytest.mark.parametrize("batch_size", [32, 8192])
@pytest.mark.parametrize("n_features", [64, 1100])
def test_epochs_on_a_gpu(batch_size, n_features):
    block = block_of(n_features=n_features, n_rows=20_000)
    assert_same_path(TorchKernel("cuda"), block, objective_of(), batch_size=batch_size, n_epochs=3)


class DriverOfSm90:
    """What a launch asks Triton's driver for, on a machine that has none."""

    def get_current_target(self):
        from triton.backends.compiler import GPUTarget

        return GPUTarget("cuda", 90, 32)

    def get_current_device(self):
        return 0

    def get_current_stream(self, device=None):
        return 0


class Launched:
    """A kernel whose launches are all that they are on a GPU, up to the compiled code, which does not run."""

    def __init__(self, kernel, codes):
        self.kernel, self.codes = kernel, codes

    def __getitem__(self, grid):
        def launch(*args, **constants):
            self.codes.append(self.kernel.warmup(*args, grid=grid, **constants))

        return launch


@pytest.fixture
def codes(monkeypatch):
    """What the launches of a test were compiled to, for arrays in the memory of the CPU."""
    from triton.runtime import driver

    found = []
    monkeypatch.setattr(driver, "_active", DriverOfSm90())
    for name in ("walk", "sum_up", "take_step"):
        monkeypatch.setattr(triton_plan, name, Launched(getattr(triton_plan, name), found))
    return found


@compiles
def test_without_what_triton_needs_steps_are_torch_operations(monkeypatch):
    from triton.runtime import driver

    class Broken:
        def get_current_target(self):
            raise RuntimeError("Failed to find C compiler.\nPlease specify one.")

    torch_kernel._why_triton_fails.cache_clear()
    monkeypatch.setattr(driver, "_active", Broken())
    kernel = TorchKernel("cpu")
    kernel.device = torch.device("cuda")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (9, 0))
    with pytest.warns(RuntimeWarning, match=r"\(Failed to find C compiler\.\), so steps on the GPU are PyTorch"):
        assert not kernel._has_triton()
    torch_kernel._why_triton_fails.cache_clear()
    monkeypatch.setattr(driver, "_active", DriverOfSm90())
    assert kernel._has_triton()
    torch_kernel._why_triton_fails.cache_clear()


@compiles
@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("loss", LOSSES)
def test_launches_compile_for_what_they_are_given(codes, kernel, loss):
    block = block_of(np.float32, 7, 1 + (loss == "huber"), weighted=loss == "huber")
    path_of(kernel("cpu"), block, objective_of(loss, "elasticnet"), momentum=(0.5, loss == "huber"), n_epochs=1)
    assert len(codes) == (1 if kernel is TritonKernel else 2 * 8)  # eight steps are replayed at a time
    assert all("cubin" in code.asm for code in codes)
    assert len({id(code) for code in codes}) <= 2


@compiles
@pytest.mark.parametrize("kernel", KERNELS)
def test_candidates_are_programs_of_the_same_launches(codes, kernel):
    candidates = candidates_of("huber", "elasticnet")[:2]
    paths_of_candidates(kernel("cpu"), block_of(np.float32, 8), candidates, batch_size=8)
    # two epochs of both in one call, and of each alone; where batches are shared, up to eight are replayed
    assert len(codes) == 2 * (1 + 2) * (1 if kernel is TritonKernel else 2 * 8)
    assert all("cubin" in code.asm for code in codes)
    # no code of its own for any number of models
    assert len({id(code) for code in codes}) == (1 if kernel is TritonKernel else 2)


@compiles
@pytest.mark.parametrize("kernel", KERNELS)
def test_launches_compile_for_single_rows_columns_and_targets(codes, kernel):
    for n_rows, n_targets in ((1, 1), (2, 1), (33, 1), (33, 2)):
        block = block_of(np.float64, 1, n_targets, n_rows=n_rows)
        path_of(kernel("cpu"), block, objective_of(), batch_size=1, n_epochs=1)
    assert codes
    assert all("cubin" in code.asm for code in codes)
    if kernel is TritonKernel:  # no code of its own for every number of batches
        assert len({id(code) for code in codes}) == 2


def compiled_for_sm_90(kernel, dtype, index, constants):
    """Compile a kernel without a GPU, for aligned arrays, and give what the assembler says of its registers."""
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    types = {"X": f"*{dtype}", "order": f"*{index}", "progress": "*i64", "extent": "*i64"}
    numbers = {"n_features", "n_targets", "batch_size", "n_positions", "n_batches", "n_programs"}
    signature = {
        name: "constexpr" if name in constants else "i32" if name in numbers else types.get(name, "*fp64")
        for name in kernel.arg_names
    }
    aligned = {
        (place,): [["tt.divisibility", 16]]
        for place, (name, kind) in enumerate(signature.items())
        if kind.startswith("*") or (name == "n_features" and constants["COLUMNS"] == 64)
    }
    source = ASTSource(kernel, signature, constexprs=constants, attrs=aligned)
    return triton.compile(source, target=GPUTarget("cuda", 90, 32), options={"num_warps": triton_plan.WARPS}).asm[
        "cubin"
    ]


def spilled_bytes(cubin, folder):
    import triton

    tool = Path(triton.__file__).parent / "backends" / "nvidia" / "bin" / "cuobjdump"
    if not tool.exists():
        pytest.skip("this Triton has no cuobjdump")
    (folder / "kernel.cubin").write_bytes(cubin)
    told = subprocess.run([tool, "--dump-resource-usage", folder / "kernel.cubin"], capture_output=True, text=True)
    return [int(size) for size in re.findall(r"STACK:(\d+)", told.stdout)]


@compiles
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize(
    ("n_features", "dtype", "index"),
    [(1, "fp32", "i64"), (17, "fp64", "i32"), (64, "fp32", "i32"), (64, "fp64", "i64"), (1024, "fp32", "i64")],
)
def test_kernels_compile_for_sm_90_and_do_not_spill(loss, n_features, dtype, index, tmp_path):
    kind = Kind.of(objective_of(loss, "l2" if dtype == "fp64" else "elasticnet"), raw_coordinates(n_features))
    tile = triton_plan.tile_of(32, n_features, int(dtype[2:]) // 8)
    sums = triton_plan.constants_of_sums(kind, True, tile)
    steps = triton_plan.constants_of_steps(kind, nesterov=True)
    for kernel, constants in (
        (triton_kernels.walk, sums | steps),
        (triton_kernels.sum_up, sums),
        (triton_kernels.take_step, triton_plan.constants_of_parts(tile) | steps),
    ):
        sizes = spilled_bytes(compiled_for_sm_90(kernel, dtype, index, constants), tmp_path)
        assert sizes
        assert max(sizes) <= 64  # the frame of a division that is called
