"""Files of Parquet, Arrow, Feather and CSV, and datasets of Arrow."""

from collections.abc import Generator, Iterator
from functools import partial
from numbers import Integral
from typing import Any

import numpy as np

from sgdlinreg._core.optional import import_optional
from sgdlinreg.sources.ahead import read_ahead
from sgdlinreg.sources.arrow import Frames, Numbers, blocks_of, check_types
from sgdlinreg.sources.columns import Columns, choose_columns
from sgdlinreg.sources.pieces import Piece, open_dataset, pieces_of, reading
from sgdlinreg.sources.source import FIRST_ROWS, Source, block_rows
from sgdlinreg.sources.transform import check_transform, names_in, names_out, width


def from_files(
    files: Any,
    target: Any,
    features: Any = None,
    sample_weight: Any = None,
    rows_per_block: int | None = None,
    filter: Any = None,
    transform: Any = None,
    *,
    shuffle: bool = True,
    random_state: int = 0,
) -> "FileSource":
    """Read files block by block: Parquet, Arrow (Feather) and CSV.

    Parameters
    ----------
    files : path, list of paths or pyarrow.dataset.Dataset
        A file, a folder, a glob pattern, or a list of them. Of a folder all files with a known ending are read:
        .parquet, .pq, .feather, .arrow, .ipc, .csv and .csv.gz. Folders with names such as ``year=2024`` become
        columns. For other formats, delimiters and places, such as S3, pass a dataset of Arrow.
    target : str, list of str or None
        Column of y; several make y two-dimensional; None is for predictions.
    features : list of str, default=None
        Columns of X; None: those that ``transform`` was fitted on, or all others.
    sample_weight : str, default=None
        Column of the weights.
    rows_per_block : int, default=None
        None: so that X takes about 32 MiB, at least 10000 rows. Up to four blocks are in memory at a time.
    filter : pyarrow.compute.Expression, default=None
        Selects rows, for instance ``pyarrow.dataset.field("year") > 2020``. Files and row groups whose statistics show
        that they have no such rows are not read.
    transform : transformer, default=None
        A fitted scikit-learn transformer, for instance a ColumnTransformer with a OneHotEncoder, which gets the
        features of each block as a data frame (pandas must be installed). It may return CSR.
    shuffle : bool, default=True
        Whether to read the row groups of Parquet files, and whole files of other formats, in a random order, which
        changes in each pass. The fit shuffles the rows of each block.
    random_state : int, default=0
        Seed of this order. Every fit begins with the same order.

    Returns
    -------
    source : FileSource
        Source for `fit_source`. X is float32 if all columns are, and otherwise float64. Integers, booleans, decimals
        and dictionaries of them are converted.

    Raises
    ------
    ImportError
        If pyarrow is not installed.
    FileNotFoundError
        If a path does not exist, a pattern matches nothing, or a folder has no files of a known ending.
    ValueError
        If a column is unknown, is named twice or holds text or dates (without transform), transform is not fitted, or
        the first file cannot be read. A pass raises it for null, NaN and infinity, a column that is missing in a file
        or has another type there, and a file that cannot be read; it names the file, the row group, the column and the
        row.

    Notes
    -----
    Files without rows are skipped. A thread reads two blocks ahead of the fit.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> import numpy as np, pyarrow as pa, pyarrow.parquet
    >>> from sgdlinreg import MiniBatchSGDRegressor
    >>> from sgdlinreg.sources import from_files
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> x = np.arange(10.0)
    >>> for number in range(3):
    ...     table = pa.table({"x": x + 10 * number, "y": 2 * x + 20 * number + 1})
    ...     pa.parquet.write_table(table, folder / f"part-{number}.parquet")
    >>> model = MiniBatchSGDRegressor().fit_source(from_files(folder, target="y"))
    >>> model.coef_.round(6), model.n_samples_seen_, model.feature_names_in_
    (array([2.]), 30, array(['x'], dtype=object))
    """
    import_optional("pyarrow", "files", "from_files")
    if transform is not None:
        check_transform(transform)
        import_optional("pandas", "files", "transform")
    if not isinstance(random_state, Integral) or random_state < 0:
        raise ValueError(f"random_state should be an integer of at least 0, got {random_state!r}.")
    dataset = open_dataset(files)
    names = dataset.schema.names
    columns = choose_columns(names, target, features, sample_weight, "The files", names_in(transform))
    check_types(dataset.schema, columns.all if transform is None else columns.others, "The files")
    seed = int(random_state) if shuffle else None
    return FileSource(dataset, columns, rows_per_block, filter, transform, seed)


class FileSource(Source):
    """Blocks of files, as `from_files` makes it.

    Parameters
    ----------
    dataset : pyarrow.dataset.Dataset
    columns : Columns
    rows_per_block : int or None
    filter : pyarrow.compute.Expression or None
    transform : transformer or None
    seed : int or None
        Of the order of the pieces; None for that of the files.
    """

    is_finite = True

    def __init__(
        self, dataset: Any, columns: Columns, rows_per_block: int | None, filter: Any, transform: Any, seed: Any
    ) -> None:
        self._dataset, self._columns, self._filter, self._transform = dataset, columns, filter, transform
        self._seed, self.n_passes = seed, 0
        self._pieces: list[Piece] | None = None
        self._checked: set[str] = set()
        self.feature_names = columns.features if transform is None else names_out(transform)
        kinds = {str(dataset.schema.field(name).type) for name in columns.features}
        self._dtype = np.dtype(np.float32 if transform is None and kinds == {"float"} else np.float64)
        self._n_rows = block_rows(rows_per_block, width(transform, columns.features), self._dtype.itemsize)

    def first(self) -> tuple[Any, ...]:
        """Return the first rows; the next pass is the first one."""
        self.n_passes, self.where = 0, "Block 0 of the source"
        for block in self._blocks(self._listed(), min(FIRST_ROWS, self._n_rows)):
            return block
        raise ValueError("The files have no rows." if self._filter is None else "filter leaves no rows of the files.")

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        pieces = self._listed()
        if self._seed is not None:
            order = np.random.default_rng([self._seed, self.n_passes]).permutation(len(pieces))
            pieces = [pieces[number] for number in order]
        self.n_passes += 1
        yield from self._numbered(read_ahead(self._blocks(pieces, self._n_rows)))

    def _listed(self) -> list[Piece]:
        if self._pieces is None:
            self._pieces = pieces_of(self._dataset, self._filter)
        return self._pieces

    def _blocks(self, pieces: list[Piece], n_rows: int) -> Generator[tuple[Any, ...], None, None]:
        if self._transform is None:
            new: Any = partial(Numbers, self._columns, self._dtype, n_rows)
        else:
            new = partial(Frames, self._transform, self._columns, n_rows)
        return blocks_of(self._batches(pieces), n_rows, new)

    def _batches(self, pieces: list[Piece]) -> Iterator[tuple[Any, ...]]:
        for piece in pieces:
            with reading(piece.where):
                self._check(piece)
                yield from piece.read(self._columns.all, self._filter)

    def _check(self, piece: Piece) -> None:
        """Check the columns of a file when it is read for the first time."""
        if piece.path in self._checked:
            return
        schema, features, transform = piece.schema(), self._columns.features, self._transform
        single = self._dtype == np.float32
        check_types(schema, features if transform is None else (), piece.path, single)
        check_types(schema, self._columns.others, piece.path)
        if missing := [name for name in features if name not in schema.names]:
            raise ValueError(f"{piece.path}: there is no column {missing[0]!r}. It has {', '.join(schema.names)}.")
        self._checked.add(piece.path)
