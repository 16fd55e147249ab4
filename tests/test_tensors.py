"""Torch tensors: on a device they are used where they are. The CPU stands in for a device."""

import copy
import pickle

import numpy as np
import pytest
from sklearn.metrics import r2_score

from sgdlinreg import MiniBatchSGDRegressor
from sgdlinreg._core import arrays as _arrays
from sgdlinreg._core.blocks import Block
from sgdlinreg._edge import namespaces as _namespaces
from sgdlinreg._edge import prediction as _prediction
from sgdlinreg._solvers.sgd_torch import streaming

from .helpers import RTOL, SOLVERS, make_problem, needs_torch

pytestmark = needs_torch


@pytest.fixture
def tensor(monkeypatch):
    """Make a tensor on a device: NumPy cannot read it, and the bytes that come to the host are counted."""
    import torch

    class DeviceTensor(torch.Tensor):
        bytes_to_host = 0

        def cpu(self):
            DeviceTensor.bytes_to_host += self.nbytes
            return self.as_subclass(torch.Tensor)

        def numpy(self):
            raise TypeError("can't convert device type tensor to numpy")

        def __array__(self, *args, **kwargs):
            raise TypeError("can't convert device type tensor to numpy")

    def make(array):
        return torch.tensor(array).as_subclass(DeviceTensor)

    monkeypatch.setattr(_arrays, "HOST_DEVICES", frozenset())
    make.counter = DeviceTensor
    return make


def to_host(values):
    import torch

    assert isinstance(values, torch.Tensor)
    return values.cpu().numpy()


@pytest.mark.parametrize("case", ["plain", "weighted", "ridge", "collinear", "dependent", "wide", "no intercept"])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("n_rows", [200, 30_000])
def test_the_closed_form_is_that_of_arrays(tensor, case, dtype, n_rows):
    X, y, weight = make_problem(0, n_rows=5 if case == "wide" else n_rows, n_targets=2)
    weight = weight if case == "weighted" else None
    if case == "collinear":
        X[:, 1] = X[:, 0] + 1e-3 * X[:, 1]
    if case == "dependent":
        X[:, 1] = 2.0 * X[:, 0]
    X = X.astype(dtype)
    model = MiniBatchSGDRegressor(alpha=0.1 * (case == "ridge"), fit_intercept=case != "no intercept")
    arrays = model.fit(X, y, weight)
    expected, std, path = arrays.predict(X), None, (arrays.factorization_, arrays.n_refinements_, arrays.rank_)
    if hasattr(arrays, "residual_std_"):
        std = arrays.predict(X, return_std=True)[1]
    tensors = model.fit(tensor(X), tensor(y), None if weight is None else tensor(weight))
    assert isinstance(tensors.coef_, np.ndarray)
    assert tensors.coef_.dtype == dtype
    assert (tensors.factorization_, tensors.n_refinements_, tensors.rank_) == path
    rtol = 1e-10 if dtype == np.float64 else 1e-5
    found = tensors.predict(tensor(X))
    assert found.dtype == tensor(X).dtype
    np.testing.assert_allclose(to_host(found), expected, rtol=rtol, atol=rtol)
    if std is not None:
        np.testing.assert_allclose(to_host(tensors.predict(tensor(X), return_std=True)[1]), std, rtol=rtol)


@pytest.mark.parametrize("cov_type", ["HC3", "cluster"])
def test_summaries_and_intervals_of_tensors(tensor, cov_type):
    X, y, weight = make_problem(9)
    model = MiniBatchSGDRegressor().fit(tensor(X), tensor(y), tensor(weight))
    arrays = MiniBatchSGDRegressor().fit(X, y, weight)
    groups = np.arange(301) % 11 if cov_type == "cluster" else None
    summary = model.summary(tensor(X), tensor(y), sample_weight=tensor(weight), cov_type=cov_type, groups=groups)
    expected = arrays.summary(X, y, sample_weight=weight, cov_type=cov_type, groups=groups)
    np.testing.assert_allclose(summary.std_error, expected.std_error, rtol=1e-10)
    for found, bound in zip(model.predict_interval(tensor(X)), arrays.predict_interval(X), strict=True):
        np.testing.assert_allclose(to_host(found), bound, rtol=1e-10)


def test_blocks_of_tensors(tensor):
    X, y, weight = make_problem(1)
    whole = MiniBatchSGDRegressor().fit(X, y, weight)
    cut = [(tensor(X[rows]), tensor(y[rows]), tensor(weight[rows])) for rows in np.array_split(np.arange(301), 7)]
    streamed = MiniBatchSGDRegressor()
    for block in cut:
        streamed.partial_fit(*block)
    for model in (streamed, MiniBatchSGDRegressor().fit_source(cut)):
        np.testing.assert_allclose(model.coef_, whole.coef_, rtol=1e-12)


def test_numba_takes_them_through_the_memory_of_the_cpu(tensor):
    X, y, _ = make_problem(2)
    model = MiniBatchSGDRegressor(solver="numba", random_state=0)
    expected = model.fit(X, y).coef_
    np.testing.assert_array_equal(model.fit(tensor(X), tensor(y)).coef_, expected)


OPTIONS = [
    {},
    {"eta0": 0.01, "batch_size": 16},
    {"alpha": 0.1, "fit_intercept": False},
    {"loss": "huber", "epsilon": 1.0},
    {"penalty": "l1", "alpha": 0.1},
    {"shuffle": False, "momentum": 0.5, "batch_size": 16},
    {"batch_size": "full"},
    {"early_stopping": True},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_sgd_in_place_takes_the_path_of_arrays(tensor, options, dtype):
    X, y, weight = make_problem(2, n_targets=2)
    X = X.astype(dtype)
    weight[::7] = 0.0
    model = MiniBatchSGDRegressor(solver="torch", random_state=0, tol=None, max_iter=5, **options)
    expected = copy.copy(model.fit(X, y, weight))
    model.fit(tensor(X), tensor(y), tensor(weight))
    rtol = RTOL[np.dtype(dtype)]
    np.testing.assert_allclose(model.coef_, expected.coef_, rtol=rtol, atol=rtol)
    np.testing.assert_allclose(model.intercept_, expected.intercept_, rtol=rtol, atol=rtol)
    np.testing.assert_allclose(model.loss_curve_, expected.loss_curve_, rtol=rtol)
    assert model.coef_.dtype == dtype
    if "early_stopping" in options:
        np.testing.assert_allclose(model.validation_scores_, expected.validation_scores_, rtol=rtol)


def test_streams_in_place(tensor):
    X, y, weight = make_problem(6)
    blocks = np.array_split(np.arange(301), 4)
    parts = [(X[rows], y[rows], weight[rows]) for rows in blocks]
    parts_there = [tuple(map(tensor, part)) for part in parts]
    model = MiniBatchSGDRegressor(solver="torch", random_state=0, tol=None, max_iter=3)
    np.testing.assert_allclose(model.fit_source(parts_there).coef_, model.fit_source(parts).coef_, rtol=1e-10)
    here, on_device = copy.copy(model), copy.copy(model)
    for part, part_there in zip(parts, parts_there, strict=True):
        here.partial_fit(*part)
        on_device.partial_fit(*part_there)
    np.testing.assert_allclose(on_device.coef_, here.coef_, rtol=1e-10)


def test_x_is_neither_copied_nor_brought_to_the_host_nor_written(tensor, monkeypatch):
    import torch

    rng = np.random.default_rng(0)
    X, y = tensor(rng.standard_normal((100_000, 40))), rng.standard_normal(100_000)
    used, to_device = [], streaming.to_device

    def spy(*args):
        used.append(to_device(*args))
        return used[-1]

    monkeypatch.setattr(streaming, "to_device", spy)
    before, version = X.clone(), X._version
    MiniBatchSGDRegressor().fit(X, y)
    assert 0 < tensor.counter.bytes_to_host < 0.25 * X.nbytes  # residuals, moments and samples
    tensor.counter.bytes_to_host = 0
    MiniBatchSGDRegressor(solver="torch", batch_size=4096, random_state=0, tol=None, max_iter=2).fit(X, y)
    assert [block.X.data_ptr() for block in used] == [X.data_ptr()]
    assert 0 < tensor.counter.bytes_to_host < 0.25 * X.nbytes  # row norms and samples
    assert X._version == version
    assert bool(torch.equal(before, X))


@pytest.mark.parametrize("solver", SOLVERS)
def test_strided_tensors(tensor, solver):
    X, y, _ = make_problem(7)
    wide = tensor(np.repeat(np.repeat(X, 2, axis=0), 3, axis=1))
    model = MiniBatchSGDRegressor(
        solver=solver, random_state=0, **({} if solver == "normal_equation" else {"tol": None, "max_iter": 5})
    )
    expected = model.fit(X, y).coef_
    for view in (wide[::2, ::3], tensor(np.ascontiguousarray(X.T)).T):
        assert not view.is_contiguous()
        np.testing.assert_allclose(model.fit(view, y).coef_, expected, rtol=1e-10)
        ready = streaming.to_device(Block(view, y[:, None], None), view.device)
        assert ready.X.is_contiguous()  # kernels count on it


def test_auto_chooses_torch_for_steps_on_a_device(tensor):
    X, y, _ = make_problem(8)
    assert MiniBatchSGDRegressor().fit(tensor(X), y).solver_ == "normal_equation"
    assert MiniBatchSGDRegressor(max_iter=100).fit(tensor(X), y).solver_ == "torch"
    assert MiniBatchSGDRegressor(max_iter=100).fit(X, y).solver_ == "numba"
    assert MiniBatchSGDRegressor(max_iter=100, device="cpu").fit(tensor(X), y).solver_ == "numba"


@pytest.mark.parametrize("solver", SOLVERS)
def test_tensors_in_tensors_out(tensor, solver):
    X, y, weight = make_problem(9, n_targets=2)
    model = MiniBatchSGDRegressor(solver=solver, random_state=0).fit(tensor(X), tensor(y), tensor(weight))
    assert isinstance(model.coef_, np.ndarray)
    assert isinstance(model.intercept_, np.ndarray)
    np.testing.assert_allclose(to_host(model.predict(tensor(X))), X @ model.coef_.T + model.intercept_, rtol=1e-12)
    score = model.score(tensor(X), tensor(y), tensor(weight))
    assert type(score) is float
    assert score == pytest.approx(r2_score(y, X @ model.coef_.T + model.intercept_, sample_weight=weight), abs=1e-12)
    for again in (pickle.loads(pickle.dumps(model)), copy.deepcopy(model)):
        np.testing.assert_array_equal(again.predict(X), model.predict(X))
        np.testing.assert_array_equal(to_host(again.predict(tensor(X))), to_host(model.predict(tensor(X))))
        again.partial_fit(X, y)


@pytest.mark.parametrize("solver", SOLVERS)
def test_a_device_without_float64_is_not_used(tensor, solver, monkeypatch):
    monkeypatch.setattr(_namespaces, "WITHOUT_FLOAT64", frozenset({"cpu"}))
    X, y, _ = make_problem(9)
    X = X.astype(np.float32)
    model = MiniBatchSGDRegressor(solver=solver, random_state=0)
    expected = model.fit(X, y).coef_
    there = tensor(X)
    np.testing.assert_array_equal(model.fit(there, tensor(y)).coef_, expected)
    predictions = model.predict(there)
    assert predictions.dtype == there.dtype
    np.testing.assert_array_equal(to_host(predictions), model.predict(X))


@pytest.mark.parametrize("solver", SOLVERS)
def test_tensors_on_the_cpu(solver):
    import torch

    X, y, weight = make_problem(10)
    model = MiniBatchSGDRegressor(solver=solver, random_state=0)
    expected = model.fit(X, y, weight).coef_
    rows = torch.tensor(X, requires_grad=True)
    assert np.shares_memory(_namespaces.local(rows), rows.detach().numpy())
    model.fit(rows, torch.tensor(y), torch.tensor(weight))
    np.testing.assert_array_equal(model.coef_, expected)
    np.testing.assert_array_equal(to_host(model.predict(rows)), model.predict(X))
    assert model.predict(rows).device == rows.device
    assert model.score(rows, torch.tensor(y)) == model.score(X, y)
    assert isinstance(model.predict(X), np.ndarray)


def test_the_kernel_takes_writable_memory_without_a_copy():
    import torch

    X, y, _ = make_problem(11)
    cpu = torch.device("cpu")
    ready = streaming.to_device(Block(X, y[:, None], None), cpu)
    assert ready.X.data_ptr() == X.ctypes.data
    assert ready.y.data_ptr() == y.ctypes.data
    X.flags.writeable = False
    assert streaming.to_device(Block(X, y[:, None], None), cpu).X.data_ptr() != X.ctypes.data


def test_bfloat16_and_sparse_layout():
    import torch

    X, y, _ = make_problem(12)
    half = torch.tensor(X).bfloat16()
    model = MiniBatchSGDRegressor().fit(half, torch.tensor(y).bfloat16())
    expected = MiniBatchSGDRegressor().fit(half.float().numpy(), torch.tensor(y).bfloat16().float().numpy())
    np.testing.assert_array_equal(model.coef_, expected.coef_)
    with pytest.raises(
        TypeError, match=r"X is a torch tensor of layout torch.sparse_coo\. Pass sparse data as a SciPy CSR"
    ):
        model.fit(torch.tensor(X).to_sparse(), y)


@pytest.mark.parametrize("solver", ["normal_equation", "torch"])
def test_out_of_memory_says_how_much_and_what_to_do(tensor, solver, monkeypatch):
    import torch

    X, y, _ = make_problem(13)
    model = MiniBatchSGDRegressor(solver=solver, random_state=0).fit(tensor(X), y)
    before = pickle.dumps(vars(model))

    def full(self, *args):
        raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 1.00 TiB.")

    monkeypatch.setattr(_arrays.TorchArrays, "put", full)
    message = (
        r"The device ran out of memory. X is 301 x 7 values of float64, 1.57e-05 GiB.*float32.*fit_source.*smaller"
    )
    for call in (model.fit, model.partial_fit):
        with pytest.raises(MemoryError, match=message):
            call(tensor(X), y)
        assert pickle.dumps(vars(model)) == before
    with pytest.raises(MemoryError, match=message):
        model.predict(tensor(X))
    with pytest.raises(MemoryError, match=message):
        model.fit_source([(tensor(X), y)])
    assert pickle.dumps(vars(model)) == before


def test_other_types(tensor):
    X, y, _ = make_problem(3)
    whole = np.round(4 * X)
    model = MiniBatchSGDRegressor().fit(tensor(whole.astype(np.int64)), y)
    np.testing.assert_array_equal(model.coef_, MiniBatchSGDRegressor().fit(whole, y).coef_)
    half = X.astype(np.float16)
    assert MiniBatchSGDRegressor().fit(tensor(half), y).coef_.dtype == np.float32


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda X: X[0], "Expected 2D array, got 1D tensor"),
        (lambda X: X[:0], "a minimum of 1 row and 1 column is required"),
        (lambda X: X * float("nan"), "Input X contains NaN or infinity"),
        (lambda X: X * 1j, "Complex data not supported"),
        (lambda X: X[:5], "inconsistent numbers of samples"),
    ],
)
def test_wrong_tensors(tensor, change, message):
    X, y, _ = make_problem(4)
    model = MiniBatchSGDRegressor().fit(tensor(X), y)
    before = model.predict(X)
    with pytest.raises(ValueError, match=message):
        model.fit(change(tensor(X)), y)
    with pytest.raises(ValueError, match="X has 6 features, but MiniBatchSGDRegressor is expecting 7"):
        model.predict(tensor(X[:, :6]))
    np.testing.assert_array_equal(model.predict(X), before)


def test_predictions_never_share_memory():
    import torch

    rows = torch.ones((2, 1))
    assert _prediction.predict_rows(rows, np.array([1.0]), 0.0).data_ptr() != rows.data_ptr()


@pytest.mark.parametrize("solver", ["auto", "normal_equation", "numba", "torch"])
def test_tensors_without_values_are_an_error(solver):
    import torch

    with pytest.raises(ValueError, match="device 'meta', where tensors have no values"):
        MiniBatchSGDRegressor(solver=solver).fit(torch.empty((10, 3), device="meta"), np.zeros(10))
