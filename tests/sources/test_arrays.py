import numpy as np
import pytest

from sgdlinreg import MiniBatchSGDRegressor
from sgdlinreg.sources import from_arrays

from ..helpers import SGD_SOLVERS, make_problem, weighted_least_squares


def saved(folder, **arrays):
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array)
    return [folder / f"{name}.npy" for name in arrays]


@pytest.mark.parametrize("rows_per_block", [None, 64])
@pytest.mark.parametrize(
    "parameters", [{}, {"penalty": "l1", "alpha": 0.1}, {"positive": True}, {"alpha": 0.1}], ids=str
)
def test_the_closed_form_is_that_in_memory(tmp_path, parameters, rows_per_block):
    X, y, weight = make_problem(0, n_targets=2)
    paths = saved(tmp_path, X=X, y=y, weight=weight)
    whole = MiniBatchSGDRegressor(**parameters).fit(X, y, weight)
    half = [[array[:100], array[100:]] for array in (X, y, weight)]
    for arrays in (paths, [np.load(path, mmap_mode="r") for path in paths], (X, y, weight), half):
        model = MiniBatchSGDRegressor(**parameters).fit_source(from_arrays(*arrays, rows_per_block))
        np.testing.assert_allclose(model.coef_, whole.coef_, rtol=1e-10, atol=1e-12)
        np.testing.assert_allclose(model.intercept_, whole.intercept_, rtol=1e-10)
        assert model.n_samples_seen_ == 301
    if parameters == {}:
        np.testing.assert_allclose(whole.coef_, weighted_least_squares(X, y, weight)[0], rtol=1e-10)


@pytest.mark.parametrize("solver", SGD_SOLVERS)
@pytest.mark.parametrize("is_sorted", [False, True])
def test_steps_reach_least_squares(tmp_path, solver, is_sorted):
    X, y, weight = make_problem(1, n_rows=20_000)
    order = np.argsort(y) if is_sorted else np.arange(20_000)
    paths = saved(tmp_path, X=X[order], y=y[order], weight=weight[order])
    model = MiniBatchSGDRegressor(solver=solver, random_state=0)
    model.fit_source(from_arrays(*paths, rows_per_block=3000))
    best = MiniBatchSGDRegressor().fit(X, y, weight).score(X, y, weight)
    assert best - model.score(X, y, weight) < 1e-5


def test_blocks_are_views_of_the_file(tmp_path):
    X, y, _ = make_problem(2)
    source = from_arrays(*saved(tmp_path, X=X, y=y), rows_per_block=100)
    blocks = list(source)
    assert [len(block[0]) for block in blocks] == [100, 100, 100, 1]
    for block in blocks:
        assert isinstance(block[0], np.memmap)
        assert not block[0].flags.writeable
    np.testing.assert_array_equal(np.concatenate([block[0] for block in blocks]), X)
    array = from_arrays(X, None, rows_per_block=100)
    assert all(block[0].base is X and block[1] is None for block in array)


@pytest.mark.parametrize("dtype", [np.float32, np.int64, bool, np.float16, ">f8"])
def test_types(tmp_path, dtype):
    X = (np.arange(40).reshape(20, 2) % 7 > 2).astype(dtype)
    X[3, 1] = 1
    y = X @ np.array([2.0, 3.0])
    model = MiniBatchSGDRegressor().fit_source(from_arrays(*saved(tmp_path, X=X, y=y), rows_per_block=7))
    np.testing.assert_allclose(model.coef_, MiniBatchSGDRegressor().fit(X, y).coef_, rtol=1e-6)


@pytest.mark.parametrize("solver", ["normal_equation", "numba"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_the_place_of_a_value_that_is_not_finite(tmp_path, value, solver):
    X, y, _ = make_problem(3)
    model = MiniBatchSGDRegressor(solver=solver, random_state=0).fit(X, y)
    before = dict(vars(model))
    broken = X.copy()
    broken[257, 3] = value
    path, targets = saved(tmp_path, X=broken, y=y)
    source = from_arrays(path, targets, rows_per_block=50)
    for _ in range(2):
        with pytest.raises(ValueError, match=f"X in .*X.npy, row 257, column 3: {value}"):
            model.fit_source(source)
        assert vars(model) == before
    with pytest.raises(ValueError, match=rf"X\[1\], row 57, column 3: {value}"):
        model.fit_source(from_arrays([X[:200], broken[200:]], [y[:200], y[200:]]))
    with pytest.raises(ValueError, match="Block 2 of the source: Input y contains"):
        model.fit_source(from_arrays(X, broken[:, 3], rows_per_block=100))
    model.fit_source(from_arrays(X, y, rows_per_block=50))
    assert MiniBatchSGDRegressor().fit(X, y).score(X, y) - model.score(X, y) < 1e-5


def test_wrong_arrays(tmp_path):
    X, y, weight = make_problem(4)
    path, _ = saved(tmp_path, X=X, y=y)
    (tmp_path / "text.npy").write_text("no array")
    (tmp_path / "empty.npy").touch()
    (tmp_path / "short.npy").write_bytes(path.read_bytes()[:1000])
    for arguments, message in (
        ((X, y[:-1]), r"X has \[301\] rows, y \[300\]"),
        ((X, y, weight[:-1]), r"X has \[301\] rows, sample_weight \[300\]"),
        (([X, X], [y]), r"X has \[301, 301\] rows, y \[301\]"),
        (([X, X[:, :2]], [y, y]), r"the same columns everywhere, got X\[0\] \(301, 7\), X\[1\] \(301, 2\)"),
        ((X[:, 0], y), r"X should be of two dimensions"),
        ((X[:0], y[:0]), "X has no rows"),
        (([], []), "X is an empty list"),
        ((tmp_path / "text.npy", y), "text.npy is not a whole .npy file"),
        ((tmp_path / "empty.npy", y), "empty.npy is not a whole .npy file"),
        ((tmp_path / "short.npy", y), "short.npy is not a whole .npy file"),
        ((X.astype(object), y), "X should be a NumPy array of numbers, .* got object of shape"),
        ((X.astype(str), y), "X should be a NumPy array of numbers"),
        (({"X": X}, y), "X should be a NumPy array .* got dict"),
        ((X, y, None, 0), "rows_per_block should be an integer of at least 1"),
    ):
        with pytest.raises(ValueError, match=message):
            from_arrays(*arguments)
    with pytest.raises(FileNotFoundError):
        from_arrays(tmp_path / "absent.npy", y)
