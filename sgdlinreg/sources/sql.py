"""Rows of a query, by chunks of pandas.read_sql."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np

from sgdlinreg._core.arrays import all_finite
from sgdlinreg._core.optional import import_optional
from sgdlinreg._edge.conversion import to_floats
from sgdlinreg.sources.columns import Columns, choose_columns
from sgdlinreg.sources.source import FIRST_ROWS, Source, block_rows
from sgdlinreg.sources.transform import check_transform, names_in, names_out, transformed, width


def from_sql(
    connection: Any,
    query: Any,
    target: Any,
    features: Any = None,
    sample_weight: Any = None,
    rows_per_block: int | None = None,
    transform: Any = None,
    *,
    params: Any = None,
) -> "SQLSource":
    """Read the rows of a SQL query, which runs anew in every pass.

    Parameters
    ----------
    connection : sqlite3.Connection, or SQLAlchemy engine or connection
        Connection for `pandas.read_sql`. It is used in the thread that fits. With an engine, each pass opens a
        connection with ``stream_results``, because some drivers would fetch all rows at once otherwise.
    query : str or SQLAlchemy selectable
        Query that returns the same rows in every pass. It needs no ``ORDER BY``: rows are shuffled inside a block, and
        the fit ends at the optimum for any order.
    target : str, list of str or None
        Column of y; several make y two-dimensional; None is for predictions.
    features : list of str, default=None
        Columns of X; None: those that ``transform`` was fitted on, or all others.
    sample_weight : str, default=None
        Column of the weights.
    rows_per_block : int, default=None
        None: about 32 MiB of float64, at least 10000 rows.
    transform : transformer, default=None
        A fitted scikit-learn transformer, for instance a ColumnTransformer with a OneHotEncoder, which gets the
        features of each block as a data frame.
    params : list, tuple or dict, default=None
        Parameters of the query.

    Returns
    -------
    source : SQLSource
        For `fit_source`.

    Raises
    ------
    ImportError
        If pandas is not installed.
    ValueError
        If a column is unknown, or transform is not fitted. A pass raises it where there are NULL, infinity or text, and
        names the rows and the column.

    Notes
    -----
    The query runs once when the source is made, for the names of its columns.

    Examples
    --------
    >>> import sqlite3
    >>> from sgdlinreg import MiniBatchSGDRegressor
    >>> from sgdlinreg.sources import from_sql
    >>> connection = sqlite3.connect(":memory:")
    >>> _ = connection.execute("CREATE TABLE houses (area, rooms, price)")
    >>> rows = [(50.0, 2, 105.0), (80.0, 3, 165.0), (65.0, 2, 135.0), (120.0, 4, 245.0)]
    >>> _ = connection.executemany("INSERT INTO houses VALUES (?, ?, ?)", rows)
    >>> source = from_sql(connection, "SELECT area, price FROM houses WHERE rooms < ?", "price", params=[5])
    >>> MiniBatchSGDRegressor().fit_source(source).coef_.round(6)
    array([2.])
    >>> connection.close()
    """
    if transform is not None:
        check_transform(transform)
    frame = next(_chunks(connection, query, params, 1))
    names = [*map(str, frame.columns)]
    columns = choose_columns(names, target, features, sample_weight, "The query", names_in(transform))
    return SQLSource(partial(_chunks, connection, query, params), columns, rows_per_block, transform)


def _chunks(connection: Any, query: Any, params: Any, n_rows: int) -> Iterator[Any]:
    pandas = import_optional("pandas", "files", "from_sql")
    with _opened(connection) as opened:
        yield from pandas.read_sql(query, opened, params=params, chunksize=n_rows)


@contextmanager
def _opened(connection: Any) -> Iterator[Any]:
    """Give a connection of an engine, or the connection itself."""
    if not hasattr(connection, "connect"):
        yield connection
    else:
        with connection.connect().execution_options(stream_results=True) as opened:
            yield opened


class SQLSource(Source):
    """Blocks of a query, as `from_sql` makes it.

    Parameters
    ----------
    chunks : callable(n_rows) -> iterator of pandas.DataFrame
        Runs the query.
    columns : Columns
    rows_per_block : int or None
    transform : transformer or None
    """

    is_finite = True

    def __init__(
        self, chunks: Callable[[int], Iterator[Any]], columns: Columns, rows_per_block: int | None, transform: Any
    ) -> None:
        self._chunks, self._columns, self._transform = chunks, columns, transform
        self.feature_names = columns.features if transform is None else names_out(transform)
        self._n_rows = block_rows(rows_per_block, width(transform, columns.features))

    def first(self) -> tuple[Any, ...]:
        """Return the first rows."""
        self.where = "Block 0 of the source"
        for block in self._blocks(min(FIRST_ROWS, self._n_rows)):
            return block
        raise ValueError("The query gives no rows.")

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        return self._numbered(self._blocks(self._n_rows))

    def _blocks(self, n_rows: int) -> Iterator[tuple[Any, ...]]:
        start, columns = 0, self._columns
        for frame in self._chunks(n_rows):
            if not len(frame):
                continue
            frame.columns = [*map(str, frame.columns)]
            where = f"Rows {start} to {start + len(frame) - 1} of the query"
            y: Any = _numbers(frame, columns.targets, where) if columns.targets else None
            weight = None if columns.weight is None else _numbers(frame, [columns.weight], where)[:, 0]
            if self._transform is None:
                X = _numbers(frame, columns.features, where)
            else:
                X = transformed(self._transform, frame[[*columns.features]], where)
            start += len(frame)
            yield X, (y[:, 0] if columns.single else y), weight


def _numbers(frame: Any, names: Sequence[str], where: str) -> np.ndarray:
    """Return columns of a data frame as floats in C order."""
    out = np.empty((len(frame), len(names)))
    for place, name in enumerate(names):
        column = frame[name]
        missing = column.isna().to_numpy()
        if missing.any():
            raise ValueError(
                f"{where}, column {name!r}: NULL or NaN in row {int(missing.argmax())} of them. Leave such rows out "
                f"(WHERE {name} IS NOT NULL), replace it by COALESCE, or impute it in a transform."
            )
        try:
            out[:, place] = to_floats(column, name)
        except (TypeError, ValueError) as error:
            raise ValueError(f"{where}, column {name!r}: {error} Or pass a fitted transform.") from error
    with np.errstate(over="ignore", invalid="ignore"):
        finite = all_finite(out)
    if not finite:
        row, place = np.argwhere(~np.isfinite(out))[0]
        raise ValueError(f"{where}, column {names[place]!r}: infinity in row {row} of them. Leave such rows out.")
    return out
