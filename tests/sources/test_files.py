"""Fits from files are those in memory, and what is wrong with a file is said before or while it is read."""

import threading
from decimal import Decimal

import numpy as np
import pytest
from scipy import optimize, sparse
from sklearn.compose import ColumnTransformer
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import Lasso, LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from sgdlinreg import MiniBatchSGDRegressor
from sgdlinreg.sources import from_files

from ..helpers import SGD_SOLVERS, make_problem, weighted_least_squares

pa = pytest.importorskip("pyarrow")
pd = pytest.importorskip("pandas")
ds = pytest.importorskip("pyarrow.dataset")
pq = pytest.importorskip("pyarrow.parquet")
feather = pytest.importorskip("pyarrow.feather")
csv = pytest.importorskip("pyarrow.csv")

FORMATS = {
    "parquet": lambda table, path: pq.write_table(table, path, row_group_size=40),
    "feather": feather.write_feather,
    "csv": csv.write_csv,
}


def table_of(X, y, weight=None):
    columns = {f"x{number}": column for number, column in enumerate(X.T)}
    columns |= {"y": y} if y.ndim == 1 else {f"y{number}": column for number, column in enumerate(y.T)}
    return pa.table(columns | ({} if weight is None else {"weight": weight}))


def write(folder, table, ending="parquet", n_files=3):
    for number, rows in enumerate(np.array_split(np.arange(len(table)), n_files)):
        FORMATS[ending](table.slice(rows[0], len(rows)), folder / f"part-{number}.{ending}")


def rows_of(source):
    """Everything a pass gives, in one block."""
    Xs, ys, weights = zip(*source, strict=True)
    assert all(X.flags.c_contiguous for X in Xs)
    return np.concatenate(Xs), np.concatenate(ys), None if weights[0] is None else np.concatenate(weights)


@pytest.mark.parametrize("ending", FORMATS)
@pytest.mark.parametrize("rows_per_block", [None, 1, 50, 1000])
def test_a_pass_gives_all_rows(tmp_path, ending, rows_per_block):
    X, y, weight = make_problem(0)
    write(tmp_path, table_of(X, y, weight), ending)
    source = from_files(tmp_path, "y", sample_weight="weight", rows_per_block=rows_per_block, shuffle=False)
    assert source.feature_names == tuple(f"x{number}" for number in range(7))
    for _ in range(2):
        for found, expected in zip(rows_of(source), (X, y, weight), strict=True):
            np.testing.assert_array_equal(found, expected)
    sizes = [len(block[0]) for block in source]
    assert sizes == [rows_per_block or 301] * (301 // (rows_per_block or 301)) + [301 % (rows_per_block or 301)] * (
        301 % (rows_per_block or 301) > 0
    )


@pytest.mark.parametrize("ending", FORMATS)
@pytest.mark.parametrize(
    "parameters",
    [{}, {"alpha": 0.1}, {"penalty": "l1", "alpha": 0.1}, {"positive": True}, {"fit_intercept": False}],
    ids=str,
)
@pytest.mark.parametrize("weighted", [False, True])
def test_the_closed_form_is_that_in_memory(tmp_path, ending, parameters, weighted):
    X, y, weight = make_problem(1, n_targets=2)
    X = X.astype(str).astype(np.float64)  # what a text file holds
    weight = weight if weighted else None
    write(tmp_path, table_of(X, y, weight), ending)
    source = from_files(tmp_path, ["y0", "y1"], sample_weight="weight" if weighted else None, rows_per_block=64)
    model = MiniBatchSGDRegressor(**parameters).fit_source(source)
    whole = MiniBatchSGDRegressor(**parameters).fit(X, y, weight)
    np.testing.assert_allclose(model.coef_, whole.coef_, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(model.intercept_, whole.intercept_, rtol=1e-10)
    assert list(model.feature_names_in_) == [f"x{number}" for number in range(7)]
    assert model.n_samples_seen_ == 301
    if parameters == {}:
        coef, intercept = weighted_least_squares(X, y, weight)
        np.testing.assert_allclose(model.coef_, coef, rtol=1e-10)
        np.testing.assert_allclose(model.intercept_, intercept, rtol=1e-10)
    if parameters.get("positive") and not weighted:
        expected = optimize.nnls(X - X.mean(axis=0), y[:, 0] - y[:, 0].mean())[0]
        np.testing.assert_allclose(model.coef_[0], expected, atol=1e-10)
    if parameters.get("penalty") and not weighted:
        expected = Lasso(alpha=0.1, tol=1e-14, max_iter=100_000).fit(X, y[:, 0]).coef_
        np.testing.assert_allclose(model.coef_[0], expected, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("solver", SGD_SOLVERS)
@pytest.mark.parametrize("is_sorted", [False, True])
def test_steps_reach_least_squares(tmp_path, solver, is_sorted):
    X, y, weight = make_problem(2, n_rows=20_000)
    if is_sorted:
        order = np.argsort(y)
        X, y, weight = X[order], y[order], weight[order]
    for number, rows in enumerate(np.array_split(np.arange(20_000), 8)):
        table = table_of(X[rows], y[rows], weight[rows])
        pq.write_table(table, tmp_path / f"{number}.parquet", row_group_size=500)
    source = from_files(tmp_path / "*.parquet", "y", sample_weight="weight", rows_per_block=4000)
    model = MiniBatchSGDRegressor(solver=solver, random_state=0).fit_source(source)
    best = LinearRegression().fit(X, y, weight).score(X, y, weight)
    assert best - model.score(pd.DataFrame(X, columns=source.feature_names), y, weight) < 1e-5
    again = MiniBatchSGDRegressor(solver=solver, random_state=0).fit_source(source)
    np.testing.assert_array_equal(again.coef_, model.coef_)  # every fit begins with the same order


def test_steps_from_files_of_one_block_are_those_of_fit(tmp_path):
    X, y, _ = make_problem(3)
    write(tmp_path, table_of(X, y))
    common = {"solver": "numba", "eta0": 0.01, "batch_size": 16, "max_iter": 4, "tol": None, "random_state": 0}
    model = MiniBatchSGDRegressor(**common).fit_source(from_files(tmp_path, "y", shuffle=False))
    np.testing.assert_allclose(model.coef_, MiniBatchSGDRegressor(**common).fit(X, y).coef_, rtol=1e-12)


def test_row_groups_come_in_another_order_in_each_pass(tmp_path):
    X, y = np.arange(300.0)[:, None], np.arange(300.0)
    write(tmp_path, table_of(X, y))
    source = from_files(tmp_path, "y", rows_per_block=50)
    source.first()
    passes = [rows_of(source)[0][:, 0] for _ in range(3)]
    assert len({tuple(numbers) for numbers in passes}) == 3
    for numbers in passes:
        np.testing.assert_array_equal(np.sort(numbers), np.arange(300.0))
        assert len({int(number) // 100 for number in numbers[:100]}) > 1  # groups of several files share blocks
    source.first()
    np.testing.assert_array_equal(rows_of(source)[0][:, 0], passes[0])
    np.testing.assert_array_equal(rows_of(from_files(tmp_path, "y"))[0][:, 0], passes[0])
    other = rows_of(from_files(tmp_path, "y", random_state=1))[0][:, 0]
    assert (other != passes[0]).any()


@pytest.mark.parametrize("ending", FORMATS)
def test_paths_globs_lists_and_datasets(tmp_path, ending):
    X, y, _ = make_problem(4)
    write(tmp_path, table_of(X, y), ending)
    paths = sorted(tmp_path.iterdir())
    (tmp_path / "_SUCCESS").touch()
    (tmp_path / ".hidden.parquet").touch()
    (tmp_path / "README.md").write_text("about the files")
    forms = [tmp_path, str(tmp_path), tmp_path / f"part-*.{ending}", paths, [*map(str, paths)], [tmp_path]]
    forms += [f"{tmp_path}/**/*.{ending}", ds.dataset(paths, format=ending)]
    for files in forms:
        found, targets, _ = rows_of(from_files(files, "y", shuffle=False))
        np.testing.assert_array_equal(found, X)
        np.testing.assert_array_equal(targets, y)
    found, targets, _ = rows_of(from_files(paths[1], "x3", ["x5", "y"], shuffle=False))
    np.testing.assert_array_equal(found, np.column_stack([X[101:201, 5], y[101:201]]))
    np.testing.assert_array_equal(targets, X[101:201, 3])


def test_folders_whose_names_are_columns(tmp_path):
    X, y, _ = make_problem(5)
    for year in (2023, 2024, 2025):
        (tmp_path / f"year={year}" / "city=Rome").mkdir(parents=True)
        pq.write_table(table_of(X + year, y), tmp_path / f"year={year}" / "city=Rome" / "a.parquet")
    features = ["year", "x2"]
    found = rows_of(from_files(tmp_path, "y", features, shuffle=False))[0]
    expected = np.repeat([2023.0, 2024.0, 2025.0], 301)
    np.testing.assert_array_equal(found, np.column_stack([expected, np.tile(X[:, 2], 3) + expected]))
    recent = from_files(tmp_path, "y", features, filter=(ds.field("year") > 2023) & (ds.field("x1") > 2025.0))
    found = rows_of(recent)[0]
    np.testing.assert_array_equal(np.unique(found[:, 0]), [2024.0, 2025.0])
    assert len(found) == (X[:, 1] + 2024 > 2025.0).sum() + (X[:, 1] + 2025 > 2025.0).sum()
    advice = "should be numbers.*OneHotEncoder for text and a FunctionTransformer for dates"
    with pytest.raises(ValueError, match=f"The files, column 'city': holds string, {advice}"):
        from_files(tmp_path, "y")


@pytest.mark.parametrize("ending", FORMATS)
def test_a_filter_reads_columns_of_its_own(tmp_path, ending):
    X, y, _ = make_problem(6)
    write(tmp_path, table_of(X, y), ending)
    source = from_files(tmp_path, "y", ["x0"], filter=ds.field("x4") > 0.5, shuffle=False)
    np.testing.assert_array_equal(rows_of(source)[0], X[X[:, 4] > 0.5, :1])
    with pytest.raises(ValueError, match="filter leaves no rows of the files"):
        MiniBatchSGDRegressor().fit_source(from_files(tmp_path, "y", filter=ds.field("x4") > 1e6))


def test_types_of_columns(tmp_path):
    columns = {
        "int8": pa.array([1, 2, 3], pa.int8()),
        "uint64": pa.array([1, 2, 3], pa.uint64()),
        "half": pa.array(np.array([1, 2, 3], np.float16)),
        "single": pa.array([1, 2, 3], pa.float32()),
        "bool": pa.array([True, False, True]),
        "decimal": pa.array([Decimal("1.25"), Decimal("2.50"), Decimal("3.75")]),
        "dictionary": pa.array([1.5, 2.5, 1.5]).dictionary_encode(),
    }
    feather.write_feather(pa.table(columns | {"y": [1, 2, 3]}), tmp_path / "a.feather")
    X, y, _ = rows_of(from_files(tmp_path, "y"))
    assert (X.dtype, y.dtype) == (np.float64, np.float64)
    expected = [[1] * 4 + [1, 1.25, 1.5], [2] * 4 + [0, 2.5, 2.5], [3] * 4 + [1, 3.75, 1.5]]
    np.testing.assert_array_equal(X, expected)
    pq.write_table(pa.table({"a": columns["single"], "b": columns["single"], "y": columns["int8"]}), tmp_path / "a.pq")
    X, y, _ = rows_of(from_files(tmp_path / "a.pq", "y"))
    assert (X.dtype, y.dtype) == (np.float32, np.float64)
    assert MiniBatchSGDRegressor(alpha=0.1).fit_source(from_files(tmp_path / "a.pq", "y")).coef_.dtype == np.float32
    assert [*rows_of(from_files(tmp_path / "a.pq", "y", ["a", "y"][:1]))[0].ravel()] == [1, 2, 3]


def test_numbers_of_csv_files_may_look_whole_at_first(tmp_path):
    numbers = [*range(200_000), 0.5]
    (tmp_path / "a.csv").write_text("x,flag,y\n" + "".join(f"{x},true,{x}\n" for x in numbers))
    X, y, _ = rows_of(from_files(tmp_path / "a.csv", "y"))
    np.testing.assert_array_equal(X, np.column_stack([numbers, np.ones(len(numbers))]))
    np.testing.assert_array_equal(y, numbers)


def test_no_target_is_for_predictions(tmp_path):
    X, y, _ = make_problem(7)
    write(tmp_path, table_of(X, y))
    source = from_files(tmp_path, None, [f"x{number}" for number in range(7)], shuffle=False)
    [(found, none, weight)] = source
    np.testing.assert_array_equal(found, X)
    assert none is weight is None
    with pytest.raises(ValueError, match="requires y to be passed"):
        MiniBatchSGDRegressor().fit_source(source)


def frame_of(n_rows=400):
    rng = np.random.default_rng(8)
    frame = pd.DataFrame(
        {
            "city": rng.choice(["Rome", "Oslo", "Lima"], n_rows),
            "day": rng.choice(["Mon", "Tue"], n_rows),
            "size": rng.uniform(1, 9, n_rows),
            "rooms": rng.integers(1, 9, n_rows),
        }
    )
    price = frame["size"] * 3 + (frame["city"] == "Rome") * 2 - (frame["day"] == "Mon") + rng.standard_normal(n_rows)
    return frame, price


@pytest.mark.parametrize("ending", FORMATS)
@pytest.mark.parametrize("sparse_output", [False, True])
@pytest.mark.parametrize("as_categories", [False, True])
def test_a_transform_is_that_of_a_pipeline(tmp_path, ending, sparse_output, as_categories):
    frame, price = frame_of()
    encoder = OneHotEncoder(drop="first", sparse_output=sparse_output, handle_unknown="ignore")
    columns = [("one", encoder, ["city", "day"]), ("scale", StandardScaler(), ["size", "rooms"])]
    transform = ColumnTransformer(columns, sparse_threshold=float(sparse_output)).fit(frame)
    whole = make_pipeline(transform, MiniBatchSGDRegressor()).fit(frame, price)
    transform.fit(frame.assign(price=price))  # the target is no feature, even where it was there
    written = frame.astype({"city": "category"}) if as_categories else frame
    write(tmp_path, pa.Table.from_pandas(written.assign(price=price, other="text")), ending)
    source = from_files(tmp_path, "price", transform=transform, rows_per_block=90)
    blocks = [block[0] for block in source]
    assert len(blocks) == 5
    assert all(sparse.issparse(X) == sparse_output for X in blocks)
    model = MiniBatchSGDRegressor().fit_source(source)
    np.testing.assert_allclose(model.coef_, whole[-1].coef_, rtol=1e-10)
    np.testing.assert_allclose(model.intercept_, whole[-1].intercept_, rtol=1e-10)
    assert list(model.feature_names_in_) == list(transform.get_feature_names_out())
    assert source.feature_names == tuple(transform.get_feature_names_out())


def test_transforms_that_cannot_be_applied(tmp_path):
    frame, price = frame_of()
    write(tmp_path, pa.Table.from_pandas(frame.assign(price=price)))
    transform = ColumnTransformer([("one", OneHotEncoder(), ["city"]), ("scale", StandardScaler(), ["size"])])
    with pytest.raises(NotFittedError, match="transform is a ColumnTransformer that is not fitted"):
        from_files(tmp_path, "price", transform=transform)
    with pytest.raises(ValueError, match="should be a fitted scikit-learn transformer, got str"):
        from_files(tmp_path, "price", transform="onehot")
    with pytest.raises(ValueError, match="should be a fitted scikit-learn transformer, got OneHotEncoder"):
        from_files(tmp_path, "price", transform=OneHotEncoder)
    town = OneHotEncoder().fit(frame[["city"]].rename(columns={"city": "town"}))
    with pytest.raises(ValueError, match="The files: there are no features"):
        from_files(tmp_path, "price", transform=town)
    source = from_files(tmp_path, "price", ["size"], transform=transform.fit(frame.assign(town="a")))
    with pytest.raises(ValueError, match=r"transform failed with ValueError: columns are missing: {'city'}"):
        MiniBatchSGDRegressor().fit_source(source)
    transform.fit(frame[frame["city"] != "Rome"])
    with pytest.raises(
        ValueError, match=r"part-0.parquet, row group 0.*transform failed with ValueError: Found unknown"
    ):
        MiniBatchSGDRegressor().fit_source(from_files(tmp_path, "price", transform=transform, shuffle=False))
    scaler = StandardScaler().fit(frame[["size", "rooms"]])
    pq.write_table(pa.Table.from_pandas(frame.assign(price=price, size=np.nan)), tmp_path / "part-1.parquet")
    source = from_files(tmp_path, "price", transform=scaler, shuffle=False, rows_per_block=100)
    with pytest.raises(
        ValueError, match=r"part-1.parquet, row group 0: transform gives NaN or infinity in column 'size'"
    ):
        MiniBatchSGDRegressor().fit_source(source)


def test_names_and_options_that_are_wrong(tmp_path):
    X, y, weight = make_problem(9)
    write(tmp_path, table_of(X, y, weight))
    for options, message in (
        ({"target": "z"}, "The files: there is no column 'z'. The columns are 'x0', 'x1'.*'weight'"),
        ({"target": "y", "features": ["x0", "z"]}, "no column 'z'"),
        ({"target": "y", "sample_weight": "z"}, "no column 'z'"),
        ({"target": "y", "features": ["x0", "y"]}, "column 'y' is there twice"),
        ({"target": "y", "features": ["x0", "x0"]}, "column 'x0' is there twice"),
        ({"target": "y", "features": ["x0"], "sample_weight": "x0"}, "column 'x0' is there twice"),
        ({"target": "y", "features": "x0"}, r"a list of names, got the text 'x0'. Give \['x0'\]"),
        ({"target": "y", "features": []}, "there are no features"),
        ({"target": []}, "target is an empty list"),
        ({"target": "y", "rows_per_block": 0}, "rows_per_block should be an integer of at least 1"),
        ({"target": "y", "rows_per_block": 2.5}, "rows_per_block should be an integer of at least 1"),
        ({"target": "y", "random_state": -1}, "random_state should be an integer of at least 0"),
    ):
        with pytest.raises(ValueError, match=message):
            from_files(tmp_path, **options)


def test_places_that_hold_no_files(tmp_path):
    (tmp_path / "empty").mkdir()
    for files, message in (
        (tmp_path / "absent.parquet", "There is no file or folder .*absent.parquet"),
        (tmp_path / "*.parquet", r"No file matches .*\*.parquet"),
        (tmp_path / "empty", "The folder .*empty has no files that end with .parquet"),
        ([], "The list of files is empty"),
        ([tmp_path / "absent.csv"], "There is no file or folder .*absent.csv"),
    ):
        with pytest.raises(FileNotFoundError, match=message):
            from_files(files, "y")
    (tmp_path / "a.parquet").touch()
    (tmp_path / "b.csv").touch()
    (tmp_path / "c.xlsx").touch()
    for files, message in (
        (tmp_path, "should be of one format.*b.csv is not like the others"),
        (tmp_path / "c.xlsx", "should be of one format, with one of the endings .*c.xlsx is not like"),
        (3, "files should be a path, .* got int"),
        (pd.DataFrame({"y": [1]}), "files should be a path, .* got DataFrame"),
        (tmp_path / "a.parquet", "a.parquet cannot be read"),
        (tmp_path / "b.csv", "b.csv cannot be read: .*Empty CSV"),
    ):
        with pytest.raises(ValueError, match=message):
            from_files(files, "y")


def column(table, name, values, kind=None):
    values = pa.array(values, kind)
    return table.set_column(table.schema.get_field_index(name), name, values)


def put(table, name, row, value):
    values = table[name].to_pylist()
    values[row] = value
    return column(table, name, values, pa.float64())


def cut_short(path, table):
    pq.write_table(table, path)
    path.write_bytes(path.read_bytes()[:-100])


def broken_page(path, table):
    pq.write_table(table, path, compression="zstd", use_dictionary=False)
    data = bytearray(path.read_bytes())
    data[40:2000] = b"\xff" * 1960
    path.write_bytes(data)


BROKEN = {
    "null": (
        lambda p, t: pq.write_table(put(t, "x2", 57, None), p, row_group_size=40),
        "row group 1, column 'x2', row 17: null",
    ),
    "null in y": (lambda p, t: pq.write_table(put(t, "y", 3, None), p), "row group 0, column 'y', row 3: null"),
    "NaN": (lambda p, t: pq.write_table(put(t, "x2", 57, np.nan), p), "row group 0, column 'x2', row 57: nan"),
    "infinity": (lambda p, t: pq.write_table(put(t, "x6", 5, -np.inf), p), "row group 0, column 'x6', row 5: -inf"),
    "NaN in weight": (lambda p, t: pq.write_table(put(t, "weight", 1, np.nan), p), "column 'weight', row 1: nan"),
    "missing column": (lambda p, t: pq.write_table(t.drop_columns(["x1"]), p), "there is no column 'x1'"),
    "missing target": (lambda p, t: pq.write_table(t.drop_columns(["y"]), p), "there is no column 'y'"),
    "text": (
        lambda p, t: pq.write_table(column(t, "x3", ["a"] * len(t)), p),
        "column 'x3': holds string, should be numbers",
    ),
    "dates": (
        lambda p, t: pq.write_table(column(t, "x3", [0] * len(t), pa.timestamp("s")), p),
        r"column 'x3': holds timestamp\[.*\], should be numbers",
    ),
    "cut short": (cut_short, "cannot be read: .*magic bytes"),
    "empty": (lambda p, t: p.write_bytes(b""), "cannot be read: .*size is 0 bytes"),
    "no parquet": (lambda p, t: p.write_text("no parquet at all"), "cannot be read: .*magic bytes"),
    "broken page": (broken_page, "row group 0 cannot be read"),
    "gone": (lambda p, t: p.unlink(), "cannot be read: .*"),
}


@pytest.mark.parametrize("solver", ["normal_equation", "numba"])
@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_file_is_named(tmp_path, name, solver):
    X, y, weight = make_problem(10, n_rows=800)
    table = table_of(X, y, weight)
    write(tmp_path, table, n_files=8)
    model = MiniBatchSGDRegressor(solver=solver, random_state=0).fit(X, y)
    before, path = dict(vars(model)), tmp_path / "part-6.parquet"
    source = from_files(tmp_path, "y", sample_weight="weight", rows_per_block=150)
    break_it, message = BROKEN[name]
    break_it(path, table.slice(600, 100))
    with pytest.raises(ValueError, match=f"part-6.parquet.*{message}"):
        model.fit_source(source)
    assert vars(model) == before
    write(tmp_path, table, n_files=8)
    model.fit_source(from_files(tmp_path, "y", sample_weight="weight", rows_per_block=150))
    whole = LinearRegression().fit(X, y, weight)
    frame = pd.DataFrame(X, columns=model.feature_names_in_)
    assert whole.score(X, y, weight) - model.score(frame, y, weight) < 1e-5
    assert not [thread for thread in threading.enumerate() if "read-ahead" in thread.name]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x,y\n1,2\na,4\n", "cannot be read: .*column #0.*'a'"),
        ("x,y\n1,2\n,4\n", "column 'x', row 1: null"),
        ("x,y\n1,2\n3\n", "cannot be read: .*Expected 2 columns, got 1"),
        ("y\n1\n", "there is no column 'x'"),
        ("", "cannot be read: .*Empty CSV"),
        ("x,y\n1,2\nnan,4\n", "column 'x', row 1: n"),
    ],
)
def test_a_broken_csv_file_is_named(tmp_path, text, message):
    for number in range(3):
        (tmp_path / f"{number}.csv").write_text("x,y\n1,2\n3,4\n5,7\n")
    (tmp_path / "1.csv").write_text(text)
    source = from_files(tmp_path, "y", shuffle=False)
    with pytest.raises(ValueError, match=f"1.csv.*{message}"):
        MiniBatchSGDRegressor().fit_source(source)


def test_files_without_rows_are_passed_over(tmp_path):
    X, y, _ = make_problem(11)
    table = table_of(X, y)
    for ending in FORMATS:
        (folder := tmp_path / ending).mkdir()
        write(folder, table, ending)
        FORMATS[ending](table.slice(0, 0), folder / f"part-1-empty.{ending}")
        found = rows_of(from_files(folder, "y", shuffle=False))[0]
        np.testing.assert_array_equal(found, X)
        with pytest.raises(ValueError, match="The files have no rows"):
            MiniBatchSGDRegressor().fit_source(from_files(folder / f"part-1-empty.{ending}", "y"))


def test_a_file_that_changes_between_passes(tmp_path):
    X, y, _ = make_problem(12)
    write(tmp_path, table_of(X, y), "csv")

    class Shrinking:
        feature_names = None

        def __iter__(self):
            yield from from_files(tmp_path, "y")
            write(tmp_path, table_of(X[:200], y[:200]), "csv")

    with pytest.raises(ValueError, match="The source gave 301 rows in the first pass over it and 200 in a later one"):
        MiniBatchSGDRegressor(solver="numba").fit_source(Shrinking())


def test_blocks_without_weight_are_left_out(tmp_path):
    X, y, weight = make_problem(13)
    weight[:120] = 0.0
    write(tmp_path, table_of(X, y, weight))
    source = from_files(tmp_path, "y", sample_weight="weight", rows_per_block=50)
    model = MiniBatchSGDRegressor().fit_source(source)
    np.testing.assert_allclose(model.coef_, weighted_least_squares(X, y, weight)[0], rtol=1e-10)


def test_a_pass_that_ends_early_leaves_no_thread(tmp_path):
    X, y, _ = make_problem(14)
    write(tmp_path, table_of(X, y))
    for _ in from_files(tmp_path, "y", rows_per_block=10):
        break
    assert not [thread for thread in threading.enumerate() if "read-ahead" in thread.name]


def test_pyarrow_is_optional(monkeypatch, tmp_path):
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(ImportError, match=r"from_files needs 'pyarrow'.*pip install 'sgdlinreg\[files\]'"):
        from_files(tmp_path, "y")
