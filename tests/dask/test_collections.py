"""Collections that are brought together, or refused before anything is computed."""

import numpy as np
import pytest

da = pytest.importorskip("dask.array")
dd = pytest.importorskip("dask.dataframe")
pd = pytest.importorskip("pandas")
from sgdlinreg.dask import DaskMiniBatchSGDRegressor  # noqa: E402
from sgdlinreg.dask.collections import rows_of  # noqa: E402


def refuse(block):
    raise AssertionError("computed")


X = np.arange(40.0).reshape(20, 2)
FRAME = pd.DataFrame(X, columns=["a", "b"])
SOME = da.from_array(X, chunks=(8, 1))
UNKNOWN = SOME[da.from_array(np.ones(20, bool), chunks=8)]


def values_of(parts):
    return [np.asarray(part.compute()) for part in parts]


def test_chunks_become_those_of_X():
    rows = rows_of(SOME, da.from_array(X[:, 0], chunks=5), da.from_array(X[:, 1], chunks=20))
    assert len(rows.parts) == 3
    for number, part in enumerate(rows.parts):
        expected = X[8 * number : 8 * number + 8]
        for found, of_expected in zip(values_of(part), (expected, expected[:, 0], expected[:, 1]), strict=True):
            np.testing.assert_array_equal(found, of_expected)
    assert rows.X.shape == (0, 2)
    assert rows.y.shape == (0,)


def test_frames_and_arrays_of_as_many_partitions_belong_together():
    frame = dd.from_pandas(FRAME, npartitions=3)
    for y in (frame["a"], frame["a"].to_dask_array()):
        rows = rows_of(frame, y)
        assert [len(part[0].compute()) for part in rows.parts] == [len(part[1].compute()) for part in rows.parts]
        assert [part[2] for part in rows.parts] == [None] * 3
    assert list(rows.X.columns) == ["a", "b"]


@pytest.mark.parametrize(
    ("data", "error", "message"),
    [
        (
            (X, SOME[:, 0]),
            TypeError,
            "X is a numpy ndarray, should be a dask Array.*MiniBatchSGDRegressor",
        ),
        ((FRAME, SOME[:, 0]), TypeError, "X is a pandas DataFrame, should be"),
        ((SOME, X[:, 0]), TypeError, "y is a numpy ndarray, should be.*dask.array.from_array"),
        ((SOME, SOME[:, 0], X[:, 0]), TypeError, "sample_weight is a numpy ndarray"),
        ((SOME, SOME.to_delayed()[0, 0]), TypeError, "y is a dask Delayed"),
        ((SOME[:, 0], SOME[:, 0]), ValueError, "Expected 2D X, got a 1D dask Array"),
        ((SOME, SOME[:, :, None]), ValueError, "Expected 1D or 2D y, got a 3D dask Array"),
        ((SOME, SOME[:, 0], SOME), ValueError, "Expected 1D sample_weight, got a 2D"),
        ((SOME, SOME[:19, 0]), ValueError, "X has 20 rows, y 19"),
        ((UNKNOWN, da.from_array(X[:, 0], chunks=5)), ValueError, "X has 3 partitions, y 4.*compute_chunk_sizes"),
        (
            (dd.from_pandas(FRAME, npartitions=3), dd.from_pandas(FRAME["a"], npartitions=2)),
            ValueError,
            r"X has the divisions \(0, .*repartition\(divisions=X.divisions\)",
        ),
    ],
)
def test_what_does_not_belong_together_is_refused(data, error, message):
    with pytest.raises(error, match=message):
        rows_of(*data)


def test_types_that_cannot_be_numbers_are_refused_before_anything_is_computed():
    dates = FRAME.assign(b=pd.date_range("2020", periods=20))
    frame = dd.from_pandas(dates, npartitions=2)
    lazy = frame.map_partitions(refuse, meta=frame._meta)
    with pytest.raises(ValueError, match="Column 'b' of X holds dates"):
        DaskMiniBatchSGDRegressor().fit(lazy, lazy["a"])
    complex_rows = da.from_array(X + 1j, chunks=8).map_blocks(refuse, dtype=complex)
    with pytest.raises(ValueError, match="Complex data not supported"):
        DaskMiniBatchSGDRegressor().fit(complex_rows, SOME[:, 0])


def test_values_that_are_no_numbers_are_refused_with_their_partition():
    text = FRAME.assign(b=pd.Categorical(["x", "y"] * 10))
    frame = dd.from_pandas(text, npartitions=2)
    with pytest.raises(ValueError, match=r"partition \d: Column 'b' of X holds text"):
        DaskMiniBatchSGDRegressor().fit(frame, frame["a"])
    missing = FRAME.assign(b=FRAME["b"].astype("Int64").where(FRAME.index != 15))
    frame = dd.from_pandas(missing, npartitions=2)
    with pytest.raises(ValueError, match="partition 1: Input X contains NaN: column 'b' of X has missing values"):
        DaskMiniBatchSGDRegressor().fit(frame, frame["a"])


def test_partitions_of_other_sizes_or_columns_are_refused_with_their_number():
    one_less = da.map_blocks(lambda block: block[1:], UNKNOWN[:, 0], dtype=float)
    with pytest.raises(ValueError, match=r"partition \d: Found input variables with inconsistent numbers of samples"):
        DaskMiniBatchSGDRegressor().fit(UNKNOWN, one_less)
    wider = SOME.rechunk((8, 2)).map_blocks(lambda block: np.hstack([block, block]), dtype=float)
    with pytest.raises(ValueError, match=r"partition \d: X has 4 features, but .* is expecting 2"):
        DaskMiniBatchSGDRegressor().fit(wider, SOME[:, 0])
    two = da.map_blocks(lambda block: np.stack([block, block], axis=1), SOME[:, 0], dtype=float)
    with pytest.raises(ValueError, match=r"partition \d: y has 2 targets, should have 1"):
        DaskMiniBatchSGDRegressor().fit(SOME, two)
