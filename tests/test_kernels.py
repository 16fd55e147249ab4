"""The two operations of every kernel against those of `kernel_numpy`, with no solver in between."""

import importlib
import os
import subprocess
import sys
from typing import Any, NamedTuple

import numpy as np
import pytest

from sgdlinreg._core.blocks import CSR, Block
from sgdlinreg._core.contract import Iterate
from sgdlinreg._core.coordinates import Coordinates
from sgdlinreg._core.objective import LOSSES, Objective, make_loss
from sgdlinreg._solvers import kernel_class
from sgdlinreg._solvers.sgd import kernel_numpy as sgd_reference

from .helpers import RTOL, SGD_SOLVERS, as_csr

LAYOUTS = ["C", "F", "strided", "int32", "int64"]
PENALTIES = {
    "none": {},
    "l2": {"alpha": 0.1},
    "l1": {"alpha": 0.1, "l1_ratio": 1.0},
    "elasticnet": {"alpha": 0.2, "l1_ratio": 0.3},
    "positive": {"positive": True},
}
PROGRAM = """
import numpy as np
from sgdlinreg._core.blocks import CSR, Block
from sgdlinreg._core.coordinates import Coordinates
from sgdlinreg._core.objective import Objective, make_loss
from sgdlinreg._solvers.sgd_numba import kernel as sgd_numba
from sgdlinreg._solvers.sgd import kernel_numpy as sgd_reference
from sgdlinreg._core.contract import Iterate

rng = np.random.default_rng(0)
X, y = rng.standard_normal((50, 7)), rng.standard_normal((50, 2))
csr = CSR(X.ravel(), np.tile(np.arange(7), 50), np.arange(51) * 7, 7)
objective = Objective(make_loss("huber", 0.5), 0.1, True, 0.5)
coordinates = Coordinates(np.full(7, 0.2), np.full(7, 2.0))
for sgd_numba.LARGE_BATCH_BYTES in (1 << 24, 0):
    for block in (Block(X, y, None), Block(csr, y, rng.uniform(0.5, 1.5, 50))):
        found = []
        for kernel in (sgd_numba.NumbaKernel(n_jobs=2), sgd_reference.ReferenceKernel()):
            iterate = Iterate(*np.zeros((3, 2, 8)))
            steps = np.full((5, 2), 0.1)
            losses = kernel.run_batches(
                block, np.arange(49)[::-1], steps, 10, objective, coordinates, (0.5, True), iterate
            )
            sums = kernel.gradient_sums(block, objective.loss, iterate.coef, coordinates.centre)
            found.append(np.concatenate([losses, np.ravel(iterate), *map(np.ravel, sums)]))
        np.testing.assert_allclose(*found, rtol=1e-9, atol=1e-12)
"""


class Problem(NamedTuple):
    """Everything that `run_batches` takes, and can be started anew."""

    block: Block
    order: np.ndarray
    batch_size: int = 16
    objective: Objective = Objective(make_loss("squared_error", 0.0))
    momentum: tuple[float, bool] = (0.0, False)
    offset: float = 0.5
    step: float = 0.1

    def run(self, kernel: Any) -> tuple[np.ndarray, ...]:
        """Losses, coefficients, their sum and the velocity after all batches."""
        n_targets, n_features = self.block.n_targets, self.block.n_features
        rng = np.random.default_rng(1)
        coordinates = Coordinates(np.full(n_features, self.offset), rng.uniform(0.5, 2.0, n_features))
        iterate = Iterate(*0.1 * rng.standard_normal((3, n_targets, n_features + 1)))
        n_batches = -(-len(self.order) // self.batch_size)
        step_sizes = self.step / (1 + n_features) * rng.uniform(0.5, 1.0, (n_batches, n_targets))
        losses = kernel.run_batches(
            kernel.to_device(self.block),
            self.order,
            step_sizes,
            self.batch_size,
            self.objective,
            coordinates,
            self.momentum,
            iterate,
        )
        return losses, *iterate

    def sums(self, kernel: Any, with_y: bool = True) -> tuple[np.ndarray, ...]:
        """Loss and gradient over all rows."""
        n_targets, n_features = self.block.n_targets, self.block.n_features
        coef = np.random.default_rng(2).standard_normal((n_targets, n_features + 1))
        centre = np.full(n_features, self.offset)
        return kernel.gradient_sums(kernel.to_device(self.block), self.objective.loss, coef, centre, with_y=with_y)


def assert_follows(found, expected, rtol):
    """Each array is right to ``rtol`` of its largest value, in every target."""
    for mine, its in zip(found, expected, strict=True):
        largest = np.abs(its).max(axis=-1 if its.ndim > 1 else 0, keepdims=True)
        assert np.all(np.abs(mine - its) <= rtol * largest), np.max(np.abs(mine - its) / largest)


def read_only(array):
    view = array.view()
    view.flags.writeable = False
    return view


def assert_is_reference(problem, kernel):
    """Both operations give what the reference gives; sums do so in float64, whatever X is."""
    reference = sgd_reference.ReferenceKernel()
    assert_follows(problem.run(kernel), problem.run(reference), RTOL[problem.block.dtype])
    for with_y in (True, False):
        assert_follows(problem.sums(kernel, with_y), problem.sums(reference, with_y), RTOL[np.dtype(np.float64)])


def lay_out(X, layout):
    """X in some layout, with the same values."""
    if layout in ("int32", "int64"):
        csr = as_csr(X, np.dtype(layout))
        return CSR(csr.data, csr.indices, csr.indptr, X.shape[1])
    if layout == "strided":
        return np.repeat(np.repeat(X, 2, axis=0), 3, axis=1)[::2, ::3]
    return np.array(X, order=layout)


def make_block(n_rows=203, n_features=7, n_targets=1, dtype=np.float64, layout="C", weighted=False, offset=0.5):
    rng = np.random.default_rng(0)
    X = (rng.standard_normal((n_rows, n_features)) + offset).astype(dtype)
    if layout in ("int32", "int64"):
        X[rng.random(X.shape) < 0.5] = 0.0
        X[5] = 0.0
    y = rng.standard_normal((n_rows, n_targets)) + X[:, :1]
    weight = rng.uniform(0.2, 1.8, n_rows) if weighted else None
    return Block(lay_out(X, layout), y, weight)


def make_problem(n_used=None, order_dtype=np.int32, about=None, **shape):
    """A problem over a random order of its rows, or of some of them."""
    block = make_block(**shape)
    order = np.random.default_rng(3).permutation(block.n_rows)[:n_used].astype(order_dtype)
    return Problem(block, order, **(about or {}))


@pytest.fixture(params=SGD_SOLVERS)
def kernel(request):
    return kernel_class(request.param)("auto", None)


@pytest.fixture
def numba_kernel():
    pytest.importorskip("numba")
    return importlib.import_module("sgdlinreg._solvers.sgd_numba.kernel")


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("n_targets", [1, 3])
def test_layouts(kernel, layout, dtype, weighted, n_targets):
    problem = make_problem(layout=layout, dtype=dtype, weighted=weighted, n_targets=n_targets)
    assert_is_reference(problem, kernel)


@pytest.mark.parametrize("loss", sorted(LOSSES))
@pytest.mark.parametrize("penalty", PENALTIES)
@pytest.mark.parametrize("momentum", [(0.0, False), (0.9, False), (0.9, True)])
def test_objectives(kernel, loss, penalty, momentum):
    about = {"objective": Objective(make_loss(loss, 0.3), **PENALTIES[penalty]), "momentum": momentum}
    assert_is_reference(make_problem(n_targets=2, weighted=True, about=about), kernel)


def test_penalties_make_exact_zeros(kernel):
    for penalty in ("l1", "positive"):
        about = {"objective": Objective(make_loss("squared_error", 0.0), **PENALTIES[penalty])}
        problem = make_problem(about=about)
        coef, expected = problem.run(kernel)[1], problem.run(sgd_reference.ReferenceKernel())[1]
        assert np.any(expected == 0.0)
        np.testing.assert_array_equal(coef == 0.0, expected == 0.0)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("n_features", [*range(1, 18), 23, 24, 25, 31, 32, 33, 39, 40, 130])
def test_widths(kernel, dtype, n_features):
    assert_is_reference(make_problem(n_features=n_features, dtype=dtype), kernel)


@pytest.mark.parametrize("layout", ["C", "int32"])
@pytest.mark.parametrize("batch_size", [*range(1, 10), 13, 16, 31, 32, 33, 40, 202, 203, 1000])
def test_batch_sizes(kernel, layout, batch_size):
    assert_is_reference(make_problem(layout=layout, n_targets=2, about={"batch_size": batch_size}), kernel)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_long_batches(kernel, dtype):
    about = {"batch_size": 700, "step": 0.5}
    assert_is_reference(make_problem(n_rows=1500, n_targets=2, weighted=True, dtype=dtype, about=about), kernel)


@pytest.mark.parametrize("order_dtype", [np.int32, np.int64])
@pytest.mark.parametrize("n_used", [1, 3, 16, 50])
def test_some_of_the_rows(kernel, n_used, order_dtype):
    assert_is_reference(make_problem(n_used=n_used, order_dtype=order_dtype), kernel)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_offsets(kernel, dtype):
    assert_is_reference(make_problem(offset=1e3, dtype=dtype, n_targets=2, about={"offset": 1e3}), kernel)


@pytest.mark.parametrize("momentum", [(0.0, False), (0.9, True)])
def test_an_intercept_that_is_not_fitted_stays(kernel, momentum):
    about = {"objective": Objective(make_loss("squared_error", 0.0), 0.1, False), "offset": 0.0}
    problem = make_problem(about=about)
    assert_is_reference(problem, kernel)
    coef, coef_sum, _ = problem.run(kernel)[1:]
    assert coef[0, -1] != 0.0
    assert_is_reference(problem._replace(momentum=momentum), kernel)
    assert coef_sum.shape == coef.shape


def test_arguments_are_left_as_they_are(kernel):
    problem = make_problem(weighted=True)
    arrays = [problem.block.X, problem.block.y, problem.block.sample_weight, problem.order]
    before = [array.copy() for array in arrays]
    writable = problem.run(kernel)
    for array, copy in zip(arrays, before, strict=True):
        np.testing.assert_array_equal(array, copy)
    block = problem.block
    frozen = Block(read_only(block.X), read_only(block.y), read_only(block.sample_weight))
    again = problem._replace(block=frozen, order=read_only(problem.order)).run(kernel)
    for first, second in zip(writable, again, strict=True):
        np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("value", [np.inf, np.nan, 1e300])
def test_what_is_not_finite_stays_visible(kernel, value):
    problem = make_problem()
    problem.block.X[17, 2] = value
    coef = problem.run(kernel)[1]
    assert not np.isfinite(coef).all()


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("batch_size", [5, 64, 203])
def test_threads_change_nothing(monkeypatch, numba_kernel, layout, dtype, batch_size):
    monkeypatch.setattr(numba_kernel, "LARGE_BATCH_BYTES", 0)
    about = {"batch_size": batch_size, "momentum": (0.5, False)}
    problem = make_problem(layout=layout, dtype=dtype, weighted=True, n_targets=2, about=about)
    found = set()
    for n_jobs in (None, 1, 2, 3):
        kernel = numba_kernel.NumbaKernel(n_jobs=n_jobs)
        assert_is_reference(problem, kernel)
        found.add(b"".join(array.tobytes() for array in (*problem.run(kernel), *problem.sums(kernel))))
    assert len(found) == 1


@pytest.mark.parametrize("layout", LAYOUTS)
def test_sums_over_several_panels(monkeypatch, numba_kernel, layout):
    monkeypatch.setattr(numba_kernel, "PANEL", numba_kernel.PANEL[:37])
    problem = make_problem(layout=layout, weighted=True, n_targets=2)
    assert_is_reference(problem, numba_kernel.NumbaKernel())
    monkeypatch.setattr(numba_kernel, "LARGE_BATCH_BYTES", 0)
    assert_is_reference(problem, numba_kernel.NumbaKernel(n_jobs=2))


def test_no_row_is_asked_for_that_is_not_there(monkeypatch, numba_kernel):
    """What is read ahead of CSR starts with a look at ``indptr``, where there is nothing after the last row."""
    last = []
    monkeypatch.setattr(numba_kernel, "add_rows", lambda rows, order, *rest: last.append(rows.first_row + order.max()))
    for n_rows in (3, 300, len(numba_kernel.PANEL), len(numba_kernel.PANEL) + 5):
        block = Block(np.zeros((n_rows, 80)), np.zeros((n_rows, 1)), None)
        numba_kernel.NumbaKernel().gradient_sums(
            block, make_loss("squared_error", 0.1), np.zeros((1, 81)), np.zeros(80)
        )
        assert max(last) == n_rows - 1
        last.clear()


@pytest.mark.parametrize("layout", ["C", "int32"])
def test_one_compilation_serves_all(numba_kernel, layout):
    """A fit that differs in numbers, not in types, compiles nothing."""
    kernel = numba_kernel.NumbaKernel(n_jobs=2)
    huber = make_loss("huber", 0.3)
    compiled = [numba_kernel.run_batches, numba_kernel.add_rows, numba_kernel.take_step]

    def count():
        return [len(function.signatures) for function in compiled]

    def fit(about=None, **shape):
        problem = make_problem(layout=layout, about={"objective": Objective(huber), **(about or {})}, **shape)
        problem.run(kernel)
        problem.sums(kernel)
        return problem

    problem = fit()
    first = count()
    assert min(first) > 0
    fit(n_features=2)
    fit(n_features=150, weighted=True)
    fit(n_targets=3, order_dtype=np.int64)
    fit({"momentum": (1, 1), "batch_size": 500})
    for penalty in PENALTIES.values():
        fit({"objective": Objective(make_loss("huber", 1), fit_intercept=False, **penalty)})
    problem._replace(block=kernel.to_device(problem.block), order=read_only(problem.order)).run(kernel)
    problem.sums(kernel, with_y=False)
    numba_kernel.LARGE_BATCH_BYTES, before = 0, numba_kernel.LARGE_BATCH_BYTES
    try:
        fit()
    finally:
        numba_kernel.LARGE_BATCH_BYTES = before
    assert count() == first


def test_without_compilation():
    """NUMBA_DISABLE_JIT=1 is what people set to debug."""
    pytest.importorskip("numba")
    command = [sys.executable, "-W", "error", "-c", PROGRAM]
    subprocess.run(command, check=True, env=os.environ | {"NUMBA_DISABLE_JIT": "1"})


def test_without_a_place_for_compiled_code():
    """As in a container with a read-only root and no home."""
    pytest.importorskip("numba")
    nowhere = "from numba.core import caching\ncaching.FunctionCache._impl_class._locator_classes = []\n"
    told = "assert not sgd_numba.run_batches.stats.cache_path\n"
    subprocess.run([sys.executable, "-c", nowhere + PROGRAM + told], check=True)
