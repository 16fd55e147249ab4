"""Files of a dataset in pieces that are read one after the other: row groups of Parquet, whole files otherwise."""

import glob
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sgdlinreg.sources.arrow import Place

FORMATS = {".parquet": "parquet", ".pq": "parquet", ".csv": "csv", ".csv.gz": "csv"}
FORMATS |= dict.fromkeys((".feather", ".arrow", ".ipc"), "ipc")
"""Formats by the ending of a file's name."""
BATCH_ROWS = 1 << 16
"""Rows of a record batch: fewer cost more, and more leave the cache."""
BUFFER_BYTES = 1 << 20
"""What is read of a column of Parquet at once: else a whole row group, which may be gigabytes, would be."""


@contextmanager
def reading(path: str) -> Iterator[None]:
    """Name a file in errors of Arrow.

    Raises
    ------
    ValueError
    """
    import pyarrow as pa

    try:
        yield
    except (pa.ArrowException, OSError, EOFError) as error:
        raise ValueError(
            f"{path} cannot be read: {error} Is the file whole, and does its ending tell its format?"
        ) from error


def open_dataset(files: Any) -> Any:
    """Return a dataset of Arrow for a path, a glob, a folder or a list of paths, or the dataset that is given.

    Raises
    ------
    FileNotFoundError
        If there is no such path, or no file of a known format.
    ValueError
        If there are several formats, or the first file cannot be read.
    """
    import pyarrow.dataset as ds

    if isinstance(files, ds.Dataset):
        return files
    paths, base = _paths_of(files)
    formats = {_format_of(path) for path in paths}
    if len(formats) > 1 or None in formats:
        odd = next((path for path in paths if _format_of(path) is None), paths[-1])
        raise ValueError(
            f"The files should be of one format, with one of the endings {', '.join(FORMATS)}; {odd} is not like the "
            f"others. Give a narrower pattern, as 'folder/*.parquet', or a pyarrow.dataset.Dataset."
        )
    known: dict[str, Any] = {"partitioning": "hive", "partition_base_dir": base}
    with reading(paths[0]):
        name = formats.pop()
        if name == "csv":
            name = _csv_of_floats(ds.dataset(paths, format="csv", **known).schema)
        return ds.dataset(paths, format=name, **known)


def _csv_of_floats(schema: Any) -> Any:
    """Return the format of CSV files whose numbers are all read as float64, whatever the first ones look like."""
    import pyarrow as pa
    from pyarrow.csv import ConvertOptions
    from pyarrow.dataset import CsvFileFormat

    numbers = pa.types.is_integer, pa.types.is_floating, pa.types.is_null
    types = {field.name: pa.float64() for field in schema if any(test(field.type) for test in numbers)}
    return CsvFileFormat(convert_options=ConvertOptions(column_types=types))


def _paths_of(files: Any) -> tuple[list[str], str]:
    """Return paths of files, and the folder below which names like ``year=2024`` are columns."""
    if isinstance(files, list | tuple):
        found = [path for one in files for path in _paths_of(one)[0]]
        if not found:
            raise FileNotFoundError("The list of files is empty. Give at least one path.")
        return found, os.path.commonpath([os.path.dirname(path) for path in found])
    if not isinstance(files, str | os.PathLike):
        raise ValueError(
            "files should be a path, a glob pattern, a folder, a list of paths or a pyarrow.dataset.Dataset, got "
            f"{type(files).__name__}."
        )
    path = Path(os.path.abspath(files))
    if path.is_dir():
        parts = ((one, one.relative_to(path).parts) for one in sorted(path.rglob("*")) if one.is_file())
        found = [str(one) for one, names in parts if _format_of(one) and not any(name[0] in "._" for name in names)]
        if not found:
            raise FileNotFoundError(f"The folder {path} has no files that end with {', '.join(FORMATS)}.")
        return found, str(path)
    if path.exists():
        return [str(path)], str(path.parent)
    found = sorted(one for one in glob.glob(str(path), recursive=True) if os.path.isfile(one))
    if not found:
        known = f"no file matches {path}" if glob.has_magic(str(path)) else f"there is no file or folder {path}"
        raise FileNotFoundError(f"{known[0].upper()}{known[1:]}. Files elsewhere go in as a pyarrow.dataset.Dataset.")
    fixed = next(parent for parent in path.parents if not glob.has_magic(str(parent)))
    return found, str(fixed)


def _format_of(path: Any) -> str | None:
    return next((name for ending, name in FORMATS.items() if str(path).lower().endswith(ending)), None)


@dataclass(frozen=True)
class Piece:
    """A part of a dataset that is read at once.

    Attributes
    ----------
    path : str
        What errors call the file.
    fragment : pyarrow.dataset.Fragment
    row_group : int or None
        Of a file of Parquet.
    keys : dict
        Columns that the names of folders give, as scalars of Arrow.
    """

    path: str
    fragment: Any
    row_group: int | None
    keys: dict[str, Any]

    @property
    def where(self) -> str:
        """What errors call it."""
        return self.path if self.row_group is None else f"{self.path}, row group {self.row_group}"

    def schema(self) -> Any:
        """Return the columns that there are, those of the folders' names last."""
        schema = self.fragment.physical_schema
        for name, value in self.keys.items():
            if name not in schema.names:
                schema = schema.append(_field(name, value))
        return schema

    def read(self, names: tuple[str, ...], filter: Any = None) -> Iterator[tuple[Place, Any]]:
        """Yield record batches, which have these columns and maybe others.

        Parameters
        ----------
        names : tuple of str
        filter : pyarrow.compute.Expression or None
        """
        import pyarrow as pa

        names = names if filter is None else (*names, *(name for name in self.schema().names if name in str(filter)))
        first_row = 0
        inside = [name for name in dict.fromkeys(names) if name not in self.keys]
        for batch in self._batches(inside):
            place = Place(self.where, first_row if filter is None else None)
            first_row += len(batch)
            columns = dict(zip(batch.schema.names, batch.columns, strict=True))
            columns |= {name: pa.repeat(value, len(batch)) for name, value in self.keys.items() if name in names}
            batch = pa.RecordBatch.from_arrays([*columns.values()], [*columns])
            if filter is None:
                yield place, batch
            else:
                yield from ((place, kept) for kept in pa.Table.from_batches([batch]).filter(filter).to_batches())

    def _batches(self, names: list[str]) -> Iterator[Any]:
        import pyarrow.parquet as pq

        if self.row_group is None:
            yield from self.fragment.to_batches(
                columns=names, batch_size=BATCH_ROWS, batch_readahead=2, fragment_readahead=1
            )
            return
        with self.fragment.open() as file:
            reader = pq.ParquetFile(file, buffer_size=BUFFER_BYTES, pre_buffer=False)
            yield from reader.iter_batches(BATCH_ROWS, row_groups=[self.row_group], columns=names)


def pieces_of(dataset: Any, filter: Any = None) -> list[Piece]:
    """Return the pieces of a dataset that hold rows, without those that a filter cannot leave a row of.

    Raises
    ------
    ValueError
        If the footer of a file of Parquet cannot be read.
    """
    import pyarrow.dataset as ds

    found = []
    for number, fragment in enumerate(dataset.get_fragments(filter)):
        path = getattr(fragment, "path", f"Fragment {number}")
        keys = _keys_of(fragment, dataset.schema)
        if not isinstance(fragment, ds.ParquetFileFragment):
            found.append(Piece(path, fragment, None, keys))
            continue
        with reading(path):
            groups = [
                group for part in fragment.split_by_row_group(filter, dataset.schema) for group in part.row_groups
            ]
        found += [Piece(path, fragment, group.id, keys) for group in groups if group.num_rows]
    return found


def _keys_of(fragment: Any, schema: Any) -> dict[str, Any]:
    """Return the columns that the names of folders give."""
    import pyarrow as pa
    import pyarrow.dataset as ds

    keys = {}
    for name, value in ds.get_partition_keys(fragment.partition_expression).items():
        kind = schema.field(name).type
        kind = kind.value_type if pa.types.is_dictionary(kind) else kind
        with suppress(pa.ArrowInvalid, pa.ArrowTypeError):
            keys[name] = pa.scalar(value, kind)
    return keys


def _field(name: str, value: Any) -> Any:
    import pyarrow as pa

    return pa.field(name, value.type)
