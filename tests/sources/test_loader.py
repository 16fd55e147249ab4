import numpy as np
import pytest

from sgdlinreg import MiniBatchSGDRegressor
from sgdlinreg.sources import from_loader

from ..helpers import make_problem, needs_torch, weighted_least_squares

pytestmark = needs_torch


def loader_of(*arrays, **options):
    import torch

    tensors = [torch.tensor(array) for array in arrays]
    return torch.utils.data.DataLoader(torch.utils.data.TensorDataset(*tensors), **options)


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_closed_form_is_that_in_memory(dtype, shuffle):
    X, y, weight = make_problem(0)
    X = X.astype(dtype)
    for loader in (loader_of(X, y, weight, batch_size=8, shuffle=shuffle),) * 2:
        for source in (loader, from_loader(loader)):
            model = MiniBatchSGDRegressor().fit_source(source)
            assert model.coef_.dtype == dtype
            tolerance = 1e-10 if dtype == np.float64 else 2e-4
            np.testing.assert_allclose(model.coef_, weighted_least_squares(X, y, weight)[0], rtol=tolerance)


def test_small_batches_become_one_block():
    X, y, _ = make_problem(1, n_rows=1000)
    for targets in (y, y.astype(np.float32), np.round(y).astype(np.int64), np.column_stack([y, y])):
        [(found, joined, weight)] = from_loader(loader_of(X, targets, batch_size=8))
        np.testing.assert_array_equal(found, X)
        np.testing.assert_array_equal(joined, targets)
        assert weight is None


def test_steps_are_those_of_fit():
    X, y, _ = make_problem(2, n_rows=1003)
    common = {"solver": "numba", "batch_size": 32, "max_iter": 3, "tol": None, "random_state": 0}
    model = MiniBatchSGDRegressor(**common).fit_source(from_loader(loader_of(X, y, batch_size=8)))
    whole = MiniBatchSGDRegressor(**common).fit(X, y)
    assert model.t_ == whole.t_
    best = MiniBatchSGDRegressor().fit(X, y).score(X, y)
    assert abs(model.score(X, y) - whole.score(X, y)) < 1e-3
    model = MiniBatchSGDRegressor(solver="numba", random_state=0).fit_source(from_loader(loader_of(X, y, batch_size=8)))
    assert best - model.score(X, y) < 1e-5


def test_a_loader_that_leaves_out_other_rows_in_each_pass():
    X, y, _ = make_problem(3)
    with pytest.raises(ValueError, match=r"drop_last=True and shuffles.*Set drop_last=False"):
        from_loader(loader_of(X, y, batch_size=8, shuffle=True, drop_last=True))
    in_order = from_loader(loader_of(X, y, batch_size=8, drop_last=True))
    assert MiniBatchSGDRegressor().fit_source(in_order).n_samples_seen_ == 296


def test_a_batch_that_is_not_finite_is_named():
    X, y, _ = make_problem(4)
    X[100, 2] = np.nan
    with pytest.raises(ValueError, match="Block 12 of the source: Input X contains NaN"):
        MiniBatchSGDRegressor().fit_source(from_loader(loader_of(X, y, batch_size=8)))


def test_no_loader():
    with pytest.raises(ValueError, match="source should be an iterable"):
        from_loader(3)
