import sqlite3

import numpy as np
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from sgdlinreg import MiniBatchSGDRegressor
from sgdlinreg.sources import from_sql

from ..helpers import make_problem

pd = pytest.importorskip("pandas")
NAMES = [f"x{number}" for number in range(7)]


@pytest.fixture
def connection(tmp_path):
    opened = sqlite3.connect(tmp_path / "rows.db")
    yield opened
    opened.close()


def put(connection, X, y, weight, name="rows"):
    frame = pd.DataFrame(X, columns=NAMES)
    targets = {"y": y} if y.ndim == 1 else {f"y{number}": column for number, column in enumerate(y.T)}
    frame.assign(**targets, weight=weight).to_sql(name, connection, index=False, if_exists="replace")


@pytest.mark.parametrize(
    "parameters", [{}, {"penalty": "l1", "alpha": 0.1}, {"positive": True}, {"alpha": 0.1}], ids=str
)
def test_the_closed_form_is_that_in_memory(connection, parameters):
    X, y, weight = make_problem(0, n_targets=2)
    put(connection, X, y, weight)
    source = from_sql(connection, "SELECT * FROM rows", ["y0", "y1"], sample_weight="weight", rows_per_block=64)
    model = MiniBatchSGDRegressor(**parameters).fit_source(source)
    whole = MiniBatchSGDRegressor(**parameters).fit(X, y, weight)
    np.testing.assert_allclose(model.coef_, whole.coef_, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(model.intercept_, whole.intercept_, rtol=1e-10)
    assert list(model.feature_names_in_) == NAMES
    assert [len(block[0]) for block in source] == [64] * 4 + [45]


@pytest.mark.parametrize("is_sorted", [False, True])
def test_steps_reach_least_squares(connection, is_sorted):
    X, y, weight = make_problem(1, n_rows=20_000)
    put(connection, X, y, weight)
    query = "SELECT * FROM rows" + " ORDER BY y" * is_sorted
    source = from_sql(connection, query, "y", NAMES, "weight", rows_per_block=3000)
    model = MiniBatchSGDRegressor(solver="numba", random_state=0).fit_source(source)
    best = MiniBatchSGDRegressor().fit(X, y, weight).score(X, y, weight)
    assert best - model.score(pd.DataFrame(X, columns=NAMES), y, weight) < 1e-5


def test_engines_and_parameters(tmp_path, connection):
    sqlalchemy = pytest.importorskip("sqlalchemy")
    X, y, weight = make_problem(2)
    put(connection, X, y, weight)
    connection.commit()
    kept = X[:, 1] > 0.5
    expected = MiniBatchSGDRegressor().fit(X[kept], y[kept]).coef_
    engine = sqlalchemy.create_engine(f"sqlite:///{tmp_path / 'rows.db'}")
    text = sqlalchemy.text("SELECT * FROM rows WHERE x1 > :least")
    with engine.connect() as opened:
        for place, query, params in (
            (connection, "SELECT * FROM rows WHERE x1 > ?", [0.5]),
            (engine, text, {"least": 0.5}),
            (opened, text, {"least": 0.5}),
        ):
            source = from_sql(place, query, "y", NAMES, params=params, rows_per_block=64)
            np.testing.assert_allclose(MiniBatchSGDRegressor().fit_source(source).coef_, expected, rtol=1e-10)
    engine.dispose()


def test_a_transform_is_that_of_a_pipeline(connection):
    rng = np.random.default_rng(3)
    frame = pd.DataFrame({"city": rng.choice(["Rome", "Oslo", "Lima"], 400), "size": rng.uniform(1, 9, 400)})
    price = frame["size"] * 3 + (frame["city"] == "Rome") * 2 + rng.standard_normal(400)
    frame.assign(price=price).to_sql("houses", connection)
    transform = ColumnTransformer(
        [("one", OneHotEncoder(drop="first"), ["city"]), ("scale", StandardScaler(), ["size"])]
    )
    with pytest.raises(NotFittedError, match="is not fitted"):
        from_sql(connection, "SELECT * FROM houses", "price", transform=transform)
    whole = make_pipeline(transform, MiniBatchSGDRegressor()).fit(frame, price)
    source = from_sql(connection, "SELECT * FROM houses", "price", transform=transform, rows_per_block=90)
    model = MiniBatchSGDRegressor().fit_source(source)
    np.testing.assert_allclose(model.coef_, whole[-1].coef_, rtol=1e-10)
    assert list(model.feature_names_in_) == list(transform.get_feature_names_out())


def test_what_a_query_cannot_give(connection):
    X, y, weight = make_problem(4)
    put(connection, X, y, weight)
    model = MiniBatchSGDRegressor().fit(X, y)
    before = dict(vars(model))
    for query, target, message in (
        ("SELECT * FROM rows", "z", "The query: there is no column 'z'. The columns are 'x0'"),
        ("SELECT x0, x0, y FROM rows", "y", "The query: column 'x0' is there twice"),
    ):
        with pytest.raises(ValueError, match=message):
            from_sql(connection, query, target)
    for query, message in (
        (
            "SELECT x0, NULLIF(rowid, 257) AS x1, y FROM rows",
            "Rows 200 to 299 of the query, column 'x1': NULL.* row 56 of",
        ),
        ("SELECT 'Rome' AS city, y FROM rows", "column 'city': city holds text.*fitted transform"),
        ("SELECT 9e999 AS x0, y FROM rows", "column 'x0': infinity in row 0"),
        ("SELECT * FROM rows WHERE x0 > 1e9", "The query gives no rows"),
    ):
        source = from_sql(connection, query, "y", rows_per_block=100)
        with pytest.raises(ValueError, match=message):
            model.fit_source(source)
        assert vars(model) == before
    model.fit_source(from_sql(connection, "SELECT * FROM rows", "y", NAMES, rows_per_block=100))
    np.testing.assert_allclose(model.coef_, MiniBatchSGDRegressor().fit(X, y).coef_, rtol=1e-10)
    with pytest.raises(pd.errors.DatabaseError, match="no such table"):
        from_sql(connection, "SELECT * FROM absent", "y")


def test_no_target_is_for_predictions(connection):
    X, y, weight = make_problem(5)
    put(connection, X, y, weight)
    [(found, none, weights)] = from_sql(connection, "SELECT * FROM rows", None, NAMES)
    np.testing.assert_array_equal(found, X)
    assert none is weights is None


def test_rows_that_change_between_passes(connection):
    X, y, weight = make_problem(6)
    put(connection, X, y, weight)

    class Deleting:
        def __iter__(self):
            yield from from_sql(connection, "SELECT * FROM rows", "y", NAMES)
            connection.execute("DELETE FROM rows WHERE rowid > 200")

    with pytest.raises(ValueError, match="The source gave 301 rows in the first pass over it and 200 in a later one"):
        MiniBatchSGDRegressor(solver="numba").fit_source(Deleting())
