"""Record batches of Arrow become blocks of floats."""

from collections.abc import Generator, Iterator
from typing import Any, NamedTuple

import numpy as np

from sgdlinreg._core.arrays import all_finite
from sgdlinreg.sources.columns import Columns
from sgdlinreg.sources.transform import transformed

ROWS = 4096
"""Rows of which one column after the other is copied: a part of X that stays in the second-level cache."""
ADVICE = "Leave it out of features, or pass a fitted scikit-learn transformer that encodes it as transform"


class Place(NamedTuple):
    """Where a batch comes from: the file and row group, and the number of its first row there if it is known."""

    where: str
    first_row: int | None

    def of(self, name: str, row: int) -> str:
        """Return what errors call a value of the batch."""
        at = "" if self.first_row is None else f", row {self.first_row + row}"
        return f"{self.where}, column {name!r}{at}"


def check_types(schema: Any, names: Any, where: str, single: bool = False) -> None:
    """Check that columns hold numbers or booleans.

    Parameters
    ----------
    schema : pyarrow.Schema
    names : iterable of str
    where : str
    single : bool
        Whether they should be of at most four bytes, because X is float32.

    Raises
    ------
    ValueError
        If one is missing, or holds text, dates or anything else.
    """
    import pyarrow as pa

    for name in names:
        if (number := schema.get_field_index(name)) < 0:
            raise ValueError(f"{where}: there is no column {name!r}. The columns are {', '.join(schema.names)}.")
        kind = schema.field(number).type
        if not is_number(kind):
            raise ValueError(
                f"{where}, column {name!r}: holds {kind}, should be numbers or booleans. {ADVICE}, for instance a "
                "ColumnTransformer with a OneHotEncoder for text and a FunctionTransformer for dates."
            )
        if single and not (pa.types.is_floating(kind) and kind.bit_width <= 32):
            raise ValueError(
                f"{where}, column {name!r}: holds {kind}, but X is float32, as the columns of the first file are. "
                "Write the files with the same types."
            )


def is_number(kind: Any) -> bool:
    """Return whether a type of Arrow is one of numbers or booleans, or null, of which the values tell."""
    import pyarrow as pa

    types = pa.types
    kind = kind.value_type if types.is_dictionary(kind) else kind
    tests = types.is_integer, types.is_floating, types.is_boolean, types.is_decimal, types.is_null
    return any(test(kind) for test in tests)


def fill(out: np.ndarray, batch: Any, names: tuple[str, ...], place: Place) -> None:
    """Copy columns of a record batch into rows of floats.

    Parameters
    ----------
    out : ndarray of shape (n, len(names))
    batch : pyarrow.RecordBatch of n rows
    names : tuple of str
    place : Place

    Raises
    ------
    ValueError
        If there is a null, NaN or infinity.
    """
    columns = [_values(batch.column(batch.schema.get_field_index(name)), name, place) for name in names]
    for start in range(0, len(out), ROWS):
        part = out[start : start + ROWS]
        for number, column in enumerate(columns):
            part[:, number] = column[start : start + ROWS]
    with np.errstate(over="ignore", invalid="ignore"):
        finite = all_finite(out)
    if not finite:
        row, number = np.argwhere(~np.isfinite(out))[0]
        raise ValueError(
            f"{place.of(names[number], int(row))}: {columns[number][row]}. Leave such rows out with filter, or impute "
            "them in a transform."
        )


def _values(column: Any, name: str, place: Place) -> np.ndarray:
    """Return a column as an array of NumPy."""
    import pyarrow as pa

    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if column.null_count:
        row = int(np.argmax(column.is_null().to_numpy(zero_copy_only=False)))
        raise ValueError(
            f"{place.of(name, row)}: null. Leave such rows out with filter=pyarrow.dataset.field({name!r}).is_valid(), "
            "or impute them in a transform."
        )
    if pa.types.is_decimal(column.type):
        column = column.cast(pa.float64())
    values: np.ndarray = column.to_numpy(zero_copy_only=False)
    return values


class Numbers:
    """Rows of a block whose features are columns of numbers, filled batch by batch.

    Parameters
    ----------
    columns : Columns
    dtype : numpy.dtype
        Of X.
    n_rows : int
        Of the block.
    """

    def __init__(self, columns: Columns, dtype: Any, n_rows: int):
        self.columns, self.n_rows = columns, 0
        self.X = np.empty((n_rows, len(columns.features)), dtype)
        self.y = np.empty((n_rows, len(columns.targets)))
        self.weight = np.empty((n_rows, int(columns.weight is not None)))

    def add(self, batch: Any, place: Place) -> None:
        """Add the rows of a record batch."""
        rows, columns = slice(self.n_rows, self.n_rows + len(batch)), self.columns
        fill(self.X[rows], batch, columns.features, place)
        self.fill_others(batch, place)

    def fill_others(self, batch: Any, place: Place) -> None:
        """Add y and the weights of a record batch."""
        rows, columns = slice(self.n_rows, self.n_rows + len(batch)), self.columns
        if columns.targets:
            fill(self.y[rows], batch, columns.targets, place)
        if columns.weight is not None:
            fill(self.weight[rows], batch, (columns.weight,), place)
        self.n_rows = rows.stop

    def block(self) -> tuple[Any, ...]:
        """Return X, y and the weights."""
        rows, columns = slice(self.n_rows), self.columns
        y = (self.y[rows, 0] if columns.single else self.y[rows]) if columns.targets else None
        return self.X[rows], y, None if columns.weight is None else self.weight[rows, 0]


class Frames(Numbers):
    """Rows of a block whose features a transformer makes, from a data frame of all of its rows.

    Parameters
    ----------
    transform : transformer
    columns : Columns
    n_rows : int
    """

    def __init__(self, transform: Any, columns: Columns, n_rows: int):
        super().__init__(columns, np.float64, n_rows)
        self.transform = transform
        self.batches: list[Any] = []
        self.places: dict[str, None] = {}  # in order, each once

    def add(self, batch: Any, place: Place) -> None:
        """Add the rows of a record batch."""
        self.batches.append(batch)
        self.places[place.where] = None
        self.fill_others(batch, place)

    def block(self) -> tuple[Any, ...]:
        """Return X, y and the weights."""
        import pyarrow as pa

        tables = [pa.Table.from_batches([batch]) for batch in self.batches]
        table = pa.concat_tables(tables, promote_options="permissive").unify_dictionaries()
        frame = table.select([*self.columns.features]).to_pandas()
        _, y, weight = super().block()
        return transformed(self.transform, frame, " and ".join(self.places)), y, weight


def blocks_of(batches: Iterator[tuple[Place, Any]], n_rows: int, new: Any) -> Generator[tuple[Any, ...], None, None]:
    """Cut and join record batches to blocks.

    Parameters
    ----------
    batches : iterator of (Place, pyarrow.RecordBatch)
    n_rows : int
        Rows of all blocks but the last.
    new : callable() -> Numbers
        Makes an empty block.

    Yields
    ------
    block : tuple of (X, y, sample_weight)
        Blocks without weight are left out.
    """
    rows = new()
    for place, batch in batches:
        start = 0
        while start < len(batch):
            part = batch.slice(start, n_rows - rows.n_rows)
            here = place if place.first_row is None else place._replace(first_row=place.first_row + start)
            rows.add(part, here)
            start += len(part)
            if rows.n_rows == n_rows:
                yield from _with_weight(rows.block())
                rows = new()
    if rows.n_rows:
        yield from _with_weight(rows.block())


def _with_weight(block: tuple[Any, ...]) -> Iterator[tuple[Any, ...]]:
    if block[2] is None or block[2].any():
        yield block
