"""What is not an array of floats is converted rightly or refused by name: container x type x method x X, y, weights."""

import datetime
import decimal
import fractions
import itertools
import tempfile
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from scipy.linalg import LinAlgWarning
from sklearn.exceptions import ConvergenceWarning

from sgdlinreg import MiniBatchSGDRegressor
from sgdlinreg._edge.conversion import to_floats

from ..helpers import needs_torch

SOLVERS = ["normal_equation", "numba"]
COEF = np.array([1.0, 3.0, 2.0])
BITS = np.array([[*row] for row in itertools.product([0.0, 1.0], repeat=3)] * 2)
Y = BITS @ COEF + 2.0
WEIGHT = np.arange(16) % 3 + 1.0


class Subclass(np.ndarray):
    """An array that is not exactly np.ndarray."""


def unaligned(array):
    buffer = np.zeros(array.nbytes + 1, np.uint8)
    out = buffer[1:].view(array.dtype).reshape(array.shape)
    out[...] = array
    return out


def strided(array):
    out = np.full((2 * len(array), *(3 * size for size in array.shape[1:])), 7).astype(array.dtype)
    view = out[(slice(None, None, 2), *(slice(None, None, 3) for _ in array.shape[1:]))]
    view[...] = array
    return view


def read_only(array):
    array = array.copy()
    array.flags.writeable = False
    return array


def in_memory_map(array):
    with tempfile.NamedTemporaryFile() as file:
        out = np.memmap(file, dtype=array.dtype, mode="w+", shape=array.shape)
    out[...] = array
    return out


def frame(array, **options):
    pandas = pytest.importorskip("pandas")
    if array.ndim == 1:
        return pandas.Series(array, **options)
    return pandas.DataFrame(array, columns=list("abcdefgh")[: array.shape[1]], **options)


LAYOUTS = {
    "array": np.array,
    "Fortran order": np.asfortranarray,
    "negative strides": lambda array: array[::-1].copy()[::-1],
    "odd strides": strided,
    "unaligned": unaligned,
    "read-only": read_only,
    "memmap": in_memory_map,
    "subclass": lambda array: array.view(Subclass),
    "masked array without masked values": np.ma.masked_array,
    "list": lambda array: array.tolist(),
    "tuple": lambda array: tuple(map(tuple, array.tolist())) if array.ndim > 1 else tuple(array.tolist()),
    "list of arrays": list,
    "DataFrame or Series": frame,
}
"""Containers of any type of NumPy."""
DTYPES = ["?", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f2", "f4", "f8", "g", ">f4", ">f8", ">i4", ">u2", "O"]


def of_pandas(dtype):
    def make(array):
        out = frame(array.astype(bool if "bool" in str(dtype) else float))
        if "decimal" in dtype:
            pandas, pyarrow = pytest.importorskip("pandas"), pytest.importorskip("pyarrow")
            return out.astype(pandas.ArrowDtype(pyarrow.decimal128(8, 2)))
        if "pyarrow" in dtype:
            pytest.importorskip("pyarrow")
        return out.astype(dtype)

    return make


def of_sparse_pandas(dtype, fill):
    def make(array):
        pandas = pytest.importorskip("pandas")
        return frame(array.astype(dtype)).astype(pandas.SparseDtype(dtype, fill))

    return make


def of_polars(dtype):
    def make(array):
        polars = pytest.importorskip("polars")
        kind = polars.Decimal(10, 2) if dtype == "Decimal" else getattr(polars, dtype)
        if array.ndim == 1:
            return polars.Series("a", array).cast(kind)
        return polars.DataFrame(array, schema=list("abcdefgh")[: array.shape[1]]).cast(kind)

    return make


def of_pyarrow(dtype, kind):
    def make(array):
        pyarrow = pytest.importorskip("pyarrow")
        columns = [pyarrow.array(column).cast(getattr(pyarrow, dtype)()) for column in np.atleast_2d(array.T)]
        if array.ndim == 1:
            return columns[0] if kind == "RecordBatch" else pyarrow.chunked_array([columns[0][:5], columns[0][5:]])
        return getattr(pyarrow, kind).from_arrays(columns, names=list("abc"))

    return make


def of_dictionary(array):
    pyarrow = pytest.importorskip("pyarrow")
    columns = [pyarrow.array(column).dictionary_encode() for column in np.atleast_2d(array.T)]
    return columns[0] if array.ndim == 1 else pyarrow.table(columns, names=list("abc"))


def of_torch(dtype):
    def make(array):
        torch = pytest.importorskip("torch")
        return torch.tensor(array).to(getattr(torch, dtype))

    return make


def of_strict(array):
    return pytest.importorskip("array_api_strict").asarray(array)


def objects(convert):
    def make(array):
        out = np.empty(array.shape, object)
        for place, value in np.ndenumerate(array):
            out[place] = convert(value)
        return out

    return make


def several_types(array):
    out = frame(array)
    if array.ndim == 1:
        return out
    return out.astype({"a": "Int16", "b": np.float32, "c": np.uint8})


OTHERS = {
    "Decimal": objects(lambda value: decimal.Decimal(int(value))),
    "Fraction": objects(lambda value: fractions.Fraction(int(value))),
    "np.float32 objects": objects(np.float32),
    "frame of Decimal": lambda array: frame(objects(lambda value: decimal.Decimal(int(value)))(array)),
    "frame of several types": several_types,
    "bools and ints in lists": lambda array: (
        [[bool(v) if v in (0, 1) else int(v) for v in row] for row in array]
        if array.ndim == 2
        else [bool(v) if v in (0, 1) else int(v) for v in array]
    ),
    "array API strict": of_strict,
    "Arrow dictionary": of_dictionary,
}
OTHERS |= {
    f"pandas {dtype}": of_pandas(dtype)
    for dtype in [
        *("Int8", "UInt16", "Int64", "Float32", "Float64", "boolean", "category"),
        *("int8[pyarrow]", "float[pyarrow]", "double[pyarrow]", "bool[pyarrow]", "decimal[pyarrow]"),
    ]
}
OTHERS |= {
    f"pandas Sparse[{np.dtype(dtype)}, {fill}]": of_sparse_pandas(dtype, fill)
    for dtype, fill in [(bool, False), ("i1", 0), ("u1", 1), ("i8", 0), ("f4", 0.0), ("f8", 0.0), ("f8", np.nan)]
}
OTHERS |= {
    f"polars {dtype}": of_polars(dtype)
    for dtype in ["Int8", "UInt8", "Int64", "UInt64", "Float32", "Float64", "Boolean", "Decimal"]
}
OTHERS |= {
    f"pyarrow {kind} {dtype}": of_pyarrow(dtype, kind)
    for kind in ["Table", "RecordBatch"]
    for dtype in ["int8", "uint64", "float32", "float64", "bool_"]
}
OTHERS |= {
    f"torch {dtype}": pytest.param(of_torch(dtype), marks=needs_torch)
    for dtype in ["bool", "uint8", "int8", "int64", "float16", "bfloat16", "float32", "float64"]
}
FLOAT32 = ["Float32", "float[pyarrow]", "Sparse[float32", "polars Float32", "float32", "torch float16", "bfloat16"]

SPARSE = {
    f"{fmt}_{kind} of {dtype}": (fmt, kind, dtype)
    for fmt in ["csr", "csc", "coo", "bsr", "dia", "lil", "dok"]
    for kind in ["array", "matrix"]
    for dtype in ["?", "i1", "u8", "f4", "f8", "g"]
}


def dense_cases():
    for layout, dtype in itertools.product(LAYOUTS, DTYPES):
        float32 = dtype in ("f4", ">f4") and layout not in ("list", "tuple")
        if layout == "unaligned" and dtype == "O":
            continue
        compiled = dtype in ("i1", "f8", "O") or (dtype == ">f4" and layout in ("array", "DataFrame or Series"))
        solvers = SOLVERS if compiled else SOLVERS[:1]
        for solver in solvers:
            make = LAYOUTS[layout]
            yield pytest.param(
                lambda array, make=make, dtype=dtype: make(array.astype(dtype)),
                dtype == "?",
                float32,
                solver,
                id=f"{layout} of {dtype}-{solver}",
            )
    for (name, make), solver in itertools.product(OTHERS.items(), SOLVERS):
        marks = getattr(make, "marks", ())
        make = make.values[0] if marks else make
        binary = "bool" in name.lower() and "in lists" not in name
        float32 = any(part in name for part in FLOAT32) and "objects" not in name
        yield pytest.param(make, binary, float32, solver, id=f"{name}-{solver}", marks=marks)


def model_of(solver):
    return MiniBatchSGDRegressor(solver=solver, random_state=0)


def fitted(method, solver, X, y, weight=None):
    """Fit by one of the three methods, in two blocks where the container can be cut."""
    model = model_of(solver)
    if method == "fit_source":
        return model.fit_source([(X, y, weight)])
    return getattr(model, method)(X, y, weight)


def assert_same(found, expected, X, plain, rtol=1e-12):
    np.testing.assert_allclose(found.coef_, expected.coef_, rtol=rtol, atol=rtol)
    assert found.coef_.dtype == expected.coef_.dtype
    np.testing.assert_allclose(found.intercept_, expected.intercept_, rtol=rtol)
    np.testing.assert_allclose(np.asarray(found.predict(X)), expected.predict(plain), rtol=rtol, atol=rtol)


@pytest.mark.parametrize(("make", "binary", "float32", "solver"), [*dense_cases()])
def test_dense(make, binary, float32, solver):
    plain = BITS if binary else BITS * np.array([1.0, 2.0, 3.0])
    X = make(plain)
    of_X = plain.astype(np.float32) if float32 else plain
    kept_sparse = hasattr(X, "sparse") and "Sparse" in str(X.dtypes.iloc[0]) and (X.dtypes.iloc[0].fill_value == 0)
    of_X = sparse.csr_array(of_X) if kept_sparse else of_X
    for method in ("fit", "partial_fit", "fit_source"):
        expected = fitted(method, solver, of_X, Y)
        assert_same(fitted(method, solver, X, Y), expected, X, of_X, rtol=1e-6 if float32 else 1e-12)
        if solver == "normal_equation":
            np.testing.assert_allclose(expected.predict(plain), Y, rtol=1e-6 if float32 else 1e-12)
    assert model_of(solver).fit(X, Y).score(X, Y) > 0.99999


@pytest.mark.parametrize(("make", "binary", "float32", "solver"), [*dense_cases()])
def test_targets_and_weights(make, binary, float32, solver):
    y, weight = (BITS[:, 0], WEIGHT * 0 + 1) if binary else (Y, WEIGHT)
    for method in ("fit", "partial_fit", "fit_source"):
        expected = fitted(method, solver, BITS, y, weight)
        assert_same(fitted(method, solver, BITS, make(y), make(weight)), expected, BITS, BITS)
    assert expected.score(BITS, make(y), make(weight)) > 0.99999


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize(("fmt", "kind", "dtype"), SPARSE.values(), ids=SPARSE)
def test_sparse(fmt, kind, dtype, solver):
    plain = BITS if dtype == "?" else BITS * np.array([1.0, 2.0, 3.0])
    X = getattr(sparse, f"{fmt}_{kind}")(plain.astype(dtype))
    of_X = sparse.csr_array(plain.astype("f4" if dtype == "f4" else "f8"))
    for method in ("fit", "partial_fit", "fit_source"):
        assert_same(fitted(method, solver, X, Y), fitted(method, solver, of_X, Y), X, of_X)
    if solver == "numba":
        assert model_of(solver).fit(plain, Y, X_val=X, y_val=Y).validation_scores_[-1] <= 1.0


def csr_of(data, columns, ends, dtype="f8", shape=(4, 3)):
    """A CSR array that SciPy has not checked."""
    X = sparse.csr_array(shape)
    X.data, X.indices, X.indptr = np.array(data, dtype), np.array(columns), np.array(ends)
    return X


ODD_SPARSE = {
    "unsorted": lambda: csr_of([2, 1, 3, 4, 5], [2, 0, 1, 2, 0], [0, 2, 3, 4, 5]),
    "duplicates of int8": lambda: csr_of([100, 100, 3, 4, 5], [2, 2, 1, 2, 0], [0, 2, 3, 4, 5], "i1"),
    "duplicates of int8 in COO": lambda: sparse.coo_array(
        (np.array([100, 100, 3, 4], "i1"), ([0, 0, 1, 3], [1, 1, 2, 0])), shape=(4, 3)
    ),
    "explicit zeros": lambda: csr_of([0, 1, 3, 0, 5], [2, 0, 1, 2, 0], [0, 2, 3, 4, 5]),
    "int16 indices": lambda: csr_of([2, 1, 3], np.array([2, 0, 1], "i2"), np.array([0, 2, 3, 3, 3], "i2")),
    "uint64 indices": lambda: csr_of([2, 1, 3], np.array([2, 0, 1], "u8"), np.array([0, 2, 3, 3, 3], "u8")),
    "big-endian indices": lambda: csr_of([2, 1, 3], np.array([2, 0, 1], ">i4"), np.array([0, 2, 3, 3, 3], ">i8")),
    "int64 indices": lambda: csr_of([2, 1, 3], np.array([2, 0, 1], "i8"), np.array([0, 2, 3, 3, 3], "i8")),
    "more values than rows use": lambda: csr_of([2, 1, 3, np.nan], [2, 0, 1, 99], [0, 2, 3, 3, 3]),
    "big-endian values": lambda: csr_of([2, 1, 3], [2, 0, 1], [0, 2, 3, 3, 3], ">f8"),
    "objects": lambda: csr_of([decimal.Decimal(2), 1, 3.0], [2, 0, 1], [0, 2, 3, 3, 3], object),
}


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("name", ODD_SPARSE)
def test_odd_sparse(name, solver):
    X = ODD_SPARSE[name]()
    dense = np.zeros(X.shape)
    if X.format == "coo":
        entries = [*zip(X.row, X.col, X.data.tolist(), strict=True)]
    else:
        rows = np.repeat(np.arange(4), np.diff(X.indptr.astype(int)))
        entries = [*zip(rows, X.indices.tolist(), X.data.tolist(), strict=False)]
    for row, column, value in entries:
        dense[row, column] += float(value)
    before = {key: np.copy(value) for key, value in vars(X).items() if isinstance(value, np.ndarray)}
    y = [1.0, 2.0, 4.0, 3.0]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        warnings.simplefilter("ignore", LinAlgWarning)
        expected = model_of(solver).fit(sparse.csr_array(dense), y)
        found = model_of(solver).fit(X, y)
    np.testing.assert_allclose(found.predict(X), expected.predict(dense), rtol=1e-9)
    for key, value in before.items():
        np.testing.assert_array_equal(getattr(X, key), value)
        assert getattr(X, key).dtype == value.dtype


def test_flags_that_a_matrix_keeps_may_be_old():
    X = sparse.csr_array(BITS)
    assert X.has_canonical_format
    X.indices[:] = 0
    assert not to_floats(X, "X", accept_sparse=True).has_canonical_format


def lil_of_wrong_lengths():
    X = sparse.lil_array((4, 3))
    X.rows[0], X.data[0] = [0, 1], [1.0]
    return X


def coo_out_of_range():
    X = sparse.coo_array(([1.0], ([0], [0])), shape=(4, 3))
    X.coords = (np.array([0]), np.array([10**6]))
    return X


def dia_of_wrong_lengths():
    X = sparse.dia_array(([[1.0, 1.0, 1.0]], [0]), shape=(4, 3))
    X.offsets = np.array([0, 1, -1])
    return X


def dia_of_float_offsets():
    X = sparse.dia_array(([[1.0, 1.0, 1.0]], [0]), shape=(4, 3))
    X.offsets = np.array([0.5])
    return X


def csc_out_of_range():
    X = sparse.csc_array((4, 3))
    X.data, X.indices, X.indptr = np.array([1.0]), np.array([10**6]), np.array([0, 1, 1, 1])
    return X


BROKEN = {
    "column out of range": lambda: csr_of([1, 2], [0, 10**6], [0, 1, 2, 2, 2]),
    "negative column": lambda: csr_of([1, 2], [0, -1], [0, 1, 2, 2, 2]),
    "indptr not monotone": lambda: csr_of([1, 2], [0, 1], [0, 2, 1, 2, 2]),
    "indptr not monotone and no values": lambda: csr_of([], [], [0, 10**6, 1, 2, 0]),
    "indptr negative": lambda: csr_of([1, 2], [0, 1], [0, 2, 1, 2, -2]),
    "indptr too long": lambda: csr_of([1, 2], [0, 1], [0, 1, 2]),
    "indptr beyond the values": lambda: csr_of([1, 2], [0, 1], [0, 1, 2, 2, 9]),
    "lengths": lambda: csr_of([1, 2, 3], [0, 1], [0, 1, 2, 2, 2]),
    "float indices": lambda: csr_of([1, 2], [0.0, 1.0], [0, 1, 2, 2, 2]),
    "LIL": lil_of_wrong_lengths,
    "COO": coo_out_of_range,
    "DIA": dia_of_wrong_lengths,
    "DIA with float offsets": dia_of_float_offsets,
    "CSC": csc_out_of_range,
}


def text(kind):
    def make(array):
        return array.astype(kind)

    return make


def with_value(value):
    """Put an object at a place of an object array."""

    def make(array):
        array = array.astype(object)
        array[(2, 1) if array.ndim == 2 else 2] = value
        return array

    return make


def in_frame(make):
    return lambda array: frame(make(array))


def marked(array):
    out = np.ma.masked_array(array)
    out[(2, 1) if array.ndim == 2 else 2] = np.ma.masked
    return out


def dates(unit="us"):
    return lambda array: (array * 1000).astype("i8").astype(f"M8[{unit}]")


def pandas_missing(name):
    return lambda array: with_value(getattr(pytest.importorskip("pandas"), name))(array)


def polars_of(dtype, value):
    def make(array):
        polars = pytest.importorskip("polars")
        column = polars.Series("a", [value] * len(array), dtype=getattr(polars, dtype))
        return column if array.ndim == 1 else polars.DataFrame([column, column.alias("b"), column.alias("c")])

    return make


def arrow_of(dtype, value, *arguments):
    def make(array):
        pyarrow = pytest.importorskip("pyarrow")
        column = pyarrow.array([value] * len(array), type=getattr(pyarrow, dtype)(*arguments))
        return column if array.ndim == 1 else pyarrow.table([column] * 3, names=list("abc"))

    return make


def pandas_of(dtype, value):
    def make(array):
        pandas = pytest.importorskip("pandas")
        if "pyarrow" in dtype:
            pytest.importorskip("pyarrow")
        column = pandas.Series([value] * len(array)).astype(dtype)
        return column if array.ndim == 1 else pandas.DataFrame({"a": array[:, 0], "b": column, "c": array[:, 2]})

    return make


class Failing:
    """A number that fails."""

    def __float__(self):
        raise RuntimeError


def records(array):
    return np.array([(1.0, 2)] * len(array), dtype=[("a", "f8"), ("b", "i4")])


DAY = datetime.date(2020, 1, 1)
MOMENT = datetime.datetime(2020, 1, 1)
TIME = "dates or times"
SPAN = r"time spans .*total_seconds"
TEXT = "holds text .*OneHotEncoder.*pd.to_datetime"
MISSING = r"Input \w+ contains NaN"
REFUSED = {
    "text": (text("U8"), TEXT),
    "bytes": (text("S8"), TEXT),
    "a text": (with_value("1.5"), TEXT),
    "a text in a frame": (in_frame(with_value("1.5")), TEXT),
    "text in a frame": (lambda array: frame(array).astype(str), TEXT),
    "text categories": (lambda array: frame(array).astype(str).astype("category"), TEXT),
    "text in lists": (lambda array: array.astype(str).tolist(), TEXT),
    "numbers and text in lists": (lambda array: with_value("a")(array).tolist(), TEXT),
    "polars text": (polars_of("String", "1"), TEXT),
    "polars categories": (polars_of("Categorical", "1"), TEXT),
    "Arrow text": (arrow_of("string", "1"), TEXT),
    "pandas string": (pandas_of("string", "1"), TEXT),
    "datetime64[us]": (dates("us"), TIME),
    "datetime64[ns]": (dates("ns"), TIME),
    "timedelta64": (lambda array: array.astype("i8").astype("m8[s]"), SPAN),
    "datetime64 in a frame": (in_frame(dates("us")), TIME),
    "timedelta64 in a frame": (lambda array: frame(array.astype("i8").astype("m8[s]")), SPAN),
    "one column of dates": (pandas_of("datetime64[us]", MOMENT), TIME),
    "one column of dates with a zone": (pandas_of("datetime64[us, UTC]", MOMENT.replace(tzinfo=datetime.UTC)), TIME),
    "one column of time spans": (pandas_of("timedelta64[s]", datetime.timedelta(1)), SPAN),
    "a column of periods": (pandas_of("period[D]", MOMENT), TIME),
    "a column of date objects": (pandas_of("object", DAY), TIME),
    "date": (with_value(DAY), TIME),
    "time": (with_value(datetime.time(1)), TIME),
    "datetime": (with_value(MOMENT), TIME),
    "timedelta": (with_value(datetime.timedelta(1)), SPAN),
    "np.datetime64 object": (with_value(np.datetime64(1, "s")), TIME),
    "np.timedelta64 object": (with_value(np.timedelta64(1, "s")), SPAN),
    "polars Date": (polars_of("Date", DAY), TIME),
    "polars Datetime": (polars_of("Datetime", MOMENT), TIME),
    "polars Time": (polars_of("Time", datetime.time(1)), TIME),
    "polars Duration": (polars_of("Duration", datetime.timedelta(1)), SPAN),
    "Arrow date": (arrow_of("date32", DAY), TIME),
    "Arrow timestamp": (arrow_of("timestamp", MOMENT, "us"), TIME),
    "Arrow time": (arrow_of("time32", datetime.time(1), "s"), TIME),
    "Arrow duration": (arrow_of("duration", datetime.timedelta(1), "s"), SPAN),
    "Arrow timestamp in pandas": (pandas_of("timestamp[us][pyarrow]", MOMENT), TIME),
    "Arrow date in pandas": (pandas_of("date32[day][pyarrow]", DAY), TIME),
    "complex": (lambda array: array + 1j, "Complex data not supported"),
    "a complex": (with_value(1j), "Complex data not supported"),
    "masked records": (lambda array: np.ma.masked_array(records(array), mask=True), "structured_to_unstructured"),
    "an object whose float fails": (with_value(Failing()), "holds what is no number"),
    "structured": (records, "structured_to_unstructured"),
    "dict": (with_value({"a": 1}), "must be a string or a real number"),
    "list": (with_value([1, 2]), "must be a string or a real number"),
    "rows of two lengths": (lambda array: [[1.0], [1.0, 2.0]] * 8, "cannot be read as an array"),
    "None": (with_value(None), MISSING),
    "None in a frame": (in_frame(with_value(None)), MISSING),
    "nan": (with_value(float("nan")), MISSING),
    "Decimal nan": (with_value(decimal.Decimal("NaN")), MISSING),
    "Decimal signalling nan": (with_value(decimal.Decimal("sNaN")), "no number"),
    "pd.NA": (pandas_missing("NA"), MISSING),
    "pd.NaT": (pandas_missing("NaT"), MISSING),
    "masked": (marked, MISSING),
    "masked integers": (lambda array: marked(array.astype("i4")), MISSING),
    "masked in lists": (lambda array: list(marked(array)), MISSING),
    "Int64 with pd.NA": (pandas_of("Int64", None), MISSING),
    "Float32 with pd.NA": (pandas_of("Float32", None), MISSING),
    "boolean with pd.NA": (pandas_of("boolean", None), MISSING),
    "Arrow integers with null in pandas": (pandas_of("int64[pyarrow]", None), MISSING),
    "polars null": (polars_of("Int64", None), MISSING),
    "polars Boolean null": (polars_of("Boolean", None), MISSING),
    "Arrow null": (arrow_of("int64", None), MISSING),
    "Arrow bool null": (arrow_of("bool_", None), MISSING),
    "Arrow type null": (arrow_of("null", None), MISSING),
    "infinity": (with_value(float("inf")), r"Input \w+ contains infinity"),
    "10**400": (with_value(10**400), r"Input \w+ contains infinity"),
    "longdouble": (lambda array: (array + 1).astype("g") * np.longdouble(10) ** 400, r"Input \w+ contains infinity"),
    "a set": (lambda array: set(array.ravel().tolist()), "must be a string or a real number"),
}


def arguments_with(role, value):
    arguments = {"X": BITS, "y": Y, "sample_weight": WEIGHT}
    return arguments | {role: value}


def assert_refused(model, call, message):
    """Whether a call fails with the message and leaves the estimator as it was."""
    before = dict(vars(model))
    with pytest.raises((ValueError, TypeError), match=message) as caught:
        call()
    assert vars(model).keys() == before.keys()
    assert all(vars(model)[key] is value for key, value in before.items())
    return caught


@pytest.mark.filterwarnings("ignore:X has feature names")
@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("role", ["X", "y", "sample_weight"])
@pytest.mark.parametrize("name", REFUSED)
def test_refused(name, role, solver):
    make, message = REFUSED[name]
    if name == "longdouble" and np.finfo("g").max <= np.finfo("f8").max:
        pytest.skip("longdouble is float64 here")
    value = make({"X": BITS, "y": Y, "sample_weight": WEIGHT}[role])
    given_ = arguments_with(role, value)
    model = model_of(solver).fit(BITS, Y)
    assert_refused(model, lambda: model.fit(**given_), message)
    assert_refused(model, lambda: model.partial_fit(**given_), message)
    source = [(BITS, Y, WEIGHT), (BITS, Y, WEIGHT), (*given_.values(),)]
    caught = assert_refused(model, lambda: model.fit_source(source), message)
    assert str(caught.value).startswith("Block 2 of the source: ")
    caught = assert_refused(model, lambda: model.fit_source(source[2:]), message)
    assert str(caught.value).startswith("Block 0 of the source: ")
    if role == "X":
        assert_refused(model, lambda: model.predict(value), message)
    assert_refused(model, lambda: model.score(**given_), message)
    if solver == "numba":
        validation = {f"{key}_val": array for key, array in given_.items()}
        assert_refused(model, lambda: model.fit(BITS, Y, **validation), message)


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("name", BROKEN)
def test_sparse_that_is_no_matrix(name, solver):
    X, y = BROKEN[name](), [1.0, 2.0, 4.0, 3.0]
    model = model_of(solver).fit(BITS, Y)
    message = "X is not a valid sparse matrix"
    assert_refused(model, lambda: model.fit(X, y), message)
    assert_refused(model, lambda: model.partial_fit(X, y), message)
    assert_refused(model, lambda: model.predict(X), message)
    assert_refused(model, lambda: model.fit_source([(X, y)]), f"Block 0 of the source: {message}")


@pytest.mark.parametrize("fmt", ["csr", "csc", "coo", "bsr", "dia", "lil", "dok"])
@pytest.mark.parametrize("kind", ["array", "matrix"])
def test_sparse_complex_targets_and_weights(fmt, kind):
    make = getattr(sparse, f"{fmt}_{kind}")
    model = model_of("normal_equation").fit(BITS, Y)
    assert_refused(model, lambda: model.fit(make(BITS * 1j), Y), "Complex data not supported")
    assert_refused(model, lambda: model.fit(BITS, make(Y[:, None])), r"y is sparse.*y\.toarray\(\)\.ravel\(\)")
    assert_refused(model, lambda: model.fit(BITS, Y, make(Y[:, None])), r"sample_weight is sparse")
    bad = BITS.copy()
    bad[3, 1] = np.inf
    assert_refused(model, lambda: model.fit(make(bad), Y), "Input X contains infinity")


def test_a_mask_in_a_sparse_matrix():
    X = sparse.csr_array(BITS)
    X.data = np.ma.masked_array(X.data, mask=X.data > 0)
    with pytest.raises(ValueError, match="Input X contains NaN"):
        model_of("normal_equation").fit(X, Y)


def test_sparse_of_one_dimension():
    model = model_of("normal_equation").fit(BITS, Y)
    assert_refused(model, lambda: model.fit(sparse.coo_array(BITS[0]), Y), "Expected 2D input")
    assert_refused(model, lambda: model.predict(sparse.coo_array(BITS[0])), "Expected 2D input")


def test_messages_name_the_column():
    pandas = pytest.importorskip("pandas")
    X = pandas.DataFrame({"age": range(16), "city": ["Rome"] * 16, "day": pandas.Timestamp(DAY)})
    X["rooms"] = pandas.array([None, *range(15)], dtype="Int64")
    model = model_of("normal_equation")
    for columns, message in [
        (["age", "city"], r"Column 'city' of X holds text \('Rome'\)"),
        (["age", "day"], "Column 'day' of X holds dates or times"),
        (["age", "rooms"], "Input X contains NaN: column 'rooms' of X has missing values"),
    ]:
        with pytest.raises(ValueError, match=message):
            model.fit(X[columns], Y)
    with pytest.raises(ValueError, match="Column 1 of X holds text"):
        model.fit(with_value("a")(BITS), Y)
    with pytest.raises(ValueError, match="Input X contains NaN: column 1 of X has missing values"):
        model.fit(marked(BITS), Y)
    with pytest.raises(ValueError, match=r"X_val holds text"):
        MiniBatchSGDRegressor(solver="numba").fit(BITS, Y, X_val=BITS.astype(str), y_val=Y)


@pytest.mark.parametrize("solver", ["normal_equation", "numba"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_messages_name_the_column_that_is_not_finite(solver, value):
    pandas = pytest.importorskip("pandas")
    message = "Input X contains infinity: column {} of X"
    if np.isnan(value):
        message = "Input X contains NaN: column {} of X has missing values .*SimpleImputer"
    bad = BITS + 1.0
    bad[3, 1] = value
    frame = pandas.DataFrame(bad, columns=[f"c{i}" for i in range(bad.shape[1])])
    model = model_of(solver).fit(BITS, Y)
    for X in (bad, sparse.csr_array(bad), bad.astype(np.float32)):
        assert_refused(model, lambda X=X: model.fit(X, Y), message.format(1))
        assert_refused(model, lambda X=X: model.predict(X), message.format(1))
    for weight in (None, np.ones(len(Y))):
        assert_refused(model, lambda weight=weight: model.fit(frame, Y, weight), message.format("'c1'"))


@pytest.mark.parametrize("solver", ["normal_equation", "numba", pytest.param("torch", marks=needs_torch)])
def test_sparse_dummies(solver):
    pandas = pytest.importorskip("pandas")
    levels = pandas.Series(["a", "b", "c", "a", "b", "c", "a", "b"])
    X = pandas.get_dummies(levels, sparse=True, drop_first=True)
    y = X.to_numpy(float) @ [1.0, 3.0] + 0.5
    assert sparse.issparse(to_floats(X, "X", accept_sparse=True))
    model = MiniBatchSGDRegressor(solver=solver, tol=1e-9, random_state=0) if solver != "normal_equation" else None
    model = (model or model_of(solver)).fit(X, y)
    np.testing.assert_allclose(model.coef_, [1.0, 3.0], rtol=1e-4)
    assert model.coef_.dtype == np.float64
    np.testing.assert_allclose(model.predict(X), y, rtol=1e-3)


def test_float_arrays_are_not_copied():
    pandas = pytest.importorskip("pandas")
    for dtype in (np.float32, np.float64):
        X = BITS.astype(dtype)
        table = pandas.DataFrame(X)
        assert to_floats(X, "X") is X
        assert np.shares_memory(to_floats(table, "X"), table.to_numpy())
        matrix = sparse.csr_array(X)
        found = to_floats(matrix, "X", accept_sparse=True)
        assert np.shares_memory(found.data, matrix.data)
        assert np.shares_memory(found.indices, matrix.indices)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("layout", [np.array, sparse.csr_array])
def test_predictions_that_overflow(layout, dtype):
    largest = float(np.finfo(dtype).max)
    X = np.array([[0.0], [1.0], [2.0]], dtype)
    model = model_of("normal_equation").fit(layout(X), [0.0, 4.0, 8.0])
    with pytest.raises(ValueError, match=f"A prediction is too large for {np.dtype(dtype)}"):
        model.predict(layout(np.array([[largest]], dtype)))
    assert model.predict(layout(np.array([[largest / 8]], dtype)))[0] == pytest.approx(largest / 2, rel=1e-3)


def test_an_intercept_that_float32_cannot_hold():
    model = model_of("normal_equation").fit(np.ones((3, 1), np.float32), [1e40] * 3)
    with pytest.raises(ValueError, match=r"too large for float32\. Pass X as float64"):
        model.predict(np.ones((3, 1), np.float32))
    np.testing.assert_allclose(model.predict(np.ones((3, 1))), 1e40)


@needs_torch
def test_tensors_that_numpy_cannot_read():
    import torch

    model = model_of("normal_equation").fit(BITS, Y)
    assert_refused(model, lambda: model.fit(BITS, torch.tensor(Y).to_sparse()), "cannot read a tensor of layout")
    assert_refused(model, lambda: model.fit(BITS, torch.empty(16, device="meta")), "device meta")
    negative = torch.view_as_complex(torch.tensor(np.c_[Y, -Y])).conj().imag
    assert negative.is_neg()
    np.testing.assert_allclose(model_of("normal_equation").fit(BITS, negative).coef_, COEF, rtol=1e-12)


ALLOWED = (ValueError, TypeError, ImportError)
REFUSED_VALUES = [
    None,
    float("nan"),
    float("inf"),
    "a",
    b"1",
    1j,
    {},
    (),
    object,
    MOMENT,
    DAY,
    np.datetime64("NaT", "s"),
]
REFUSED_VALUES += [10**400, decimal.Decimal("1e999"), fractions.Fraction(10**400), np.array([1.0])]
ACCEPTED_VALUES = [-1e308, 1e-308, fractions.Fraction(1, 3), np.float16(2.0), np.uint64(2**63), True, np.True_]


def sparse_of(fmt):
    return lambda array: getattr(sparse, f"{fmt}_array")(array)


DRAWN = {key: make for key, make in LAYOUTS.items() if key != "memmap"}
DRAWN |= {key: getattr(make, "values", [make])[0] for key, make in OTHERS.items() if "polars" not in key}
DRAWN |= {f"sparse {fmt}": sparse_of(fmt) for fmt in ("csr", "csc", "coo", "bsr", "dia", "lil", "dok")}
DRAWN |= {"matrix": np.asmatrix, "records": lambda array: array.view([("a", array.dtype)]), "dates": dates()}


@st.composite
def inputs(draw):
    """X, y and weights, one of them in an odd container, with an odd type or an odd value."""
    n_rows, n_columns = draw(st.integers(0, 6)), draw(st.integers(0, 3))
    values = st.integers(0, 4).map(float)
    X = np.array([[draw(values) for _ in range(n_columns)] for _ in range(n_rows)]).reshape(n_rows, n_columns)
    y = np.array([draw(values) for _ in range(n_rows)])
    role = draw(st.sampled_from(["X", "y", "sample_weight"]))
    parts = {"X": X, "y": y, "sample_weight": np.ones(n_rows)}
    array = parts[role]
    value = draw(st.sampled_from([0.0] * 10 + REFUSED_VALUES + ACCEPTED_VALUES)) if array.size else 0.0
    dtype = draw(st.sampled_from([*DTYPES, "U4", "c8", "M8[s]"]))
    containers = sorted(DRAWN)
    if any(value is odd for odd in REFUSED_VALUES + ACCEPTED_VALUES):
        containers = sorted(LAYOUTS.keys() - {"memmap", "unaligned"})  # what keeps any object
        array = array.astype(object)
        array[(0,) * array.ndim] = value
        dtype = "O"
    elif dtype in ("U4", "c8", "M8[s]"):
        containers = sorted(LAYOUTS.keys() & DRAWN.keys())
        array = array.astype("i8") if dtype == "M8[s]" else array
    plain = {**parts, role: array.astype(dtype)}
    container = draw(st.sampled_from(containers))
    return role, container, plain, value


def build(container, array):
    """Put an array into a container; None where its library refuses to."""
    make = DRAWN[container]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return make(array)
    except (IndexError, KeyError, NotImplementedError, OverflowError, TypeError, ValueError):
        return None


@pytest.mark.parametrize("method", ["fit", "partial_fit", "fit_source"])
@pytest.mark.parametrize("solver", SOLVERS)
@settings(max_examples=500, derandomize=True, deadline=None, database=None)
@given(drawn=inputs())
def test_anything_is_converted_or_refused(solver, method, drawn):
    role, container, plain, value = drawn
    given_ = build(container, plain[role])
    if given_ is None:
        return
    arguments = {**plain, role: given_}
    model = model_of(solver).fit(BITS[:, : max(1, plain["X"].shape[1])], Y)
    before = dict(vars(model))
    with warnings.catch_warnings():
        for kind in (ConvergenceWarning, LinAlgWarning):
            warnings.simplefilter("ignore", kind)
        warnings.filterwarnings("ignore", "X has feature names")
        try:
            if method == "fit_source":
                model.fit_source([(*arguments.values(),)])
            else:
                getattr(model, method)(**arguments)
        except ALLOWED:
            assert vars(model).keys() == before.keys()
            assert all(vars(model)[key] is kept for key, kept in before.items())
            return
        assert not any(value is refused for refused in REFUSED_VALUES)
        try:
            predictions = np.asarray(model.predict(arguments["X"]))
        except ValueError as error:
            assert "too large" in str(error)  # noqa: PT017
            return
        assert plain[role].dtype.kind not in "UcM"
        if value == 0.0 and "bool" not in container.lower() and method != "partial_fit":
            numbers = {key: part.astype(float) for key, part in plain.items()}
            expected = fitted(method, solver, *numbers.values()).predict(numbers["X"])
            np.testing.assert_allclose(predictions, expected, rtol=1e-3, atol=1e-3)
    assert np.isfinite(predictions).all()
    assert predictions.dtype in (np.float32, np.float64)
    assert model.coef_.dtype in (np.float32, np.float64)
