"""Predictions as a Parquet file."""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sgdlinreg._core.optional import import_optional


def write_parquet(
    predictions: Iterable[np.ndarray], path: str | os.PathLike[str], columns: Sequence[str] | None = None
) -> int:
    """Write predictions to a Parquet file, block by block.

    Parameters
    ----------
    predictions : iterable of ndarray of shape (n_rows,) or (n_rows, n_targets)
        As `MiniBatchSGDRegressor.predict_source` gives them.
    path : str or path-like
        Path of the file. The file appears when it is complete, and replaces a file of the same name.
    columns : sequence of str, default=None
        Names of the targets; None is "prediction", or "prediction_0" and so on.

    Returns
    -------
    n_rows : int
        Rows written.

    Raises
    ------
    ImportError
        If pyarrow is not installed.
    ValueError
        If there are no predictions, or another number of names than targets.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> from sgdlinreg import MiniBatchSGDRegressor
    >>> from sgdlinreg.sources import write_parquet
    >>> blocks = [(np.array([[0.0], [1.0]]), np.array([1.0, 3.0])), (np.array([[2.0]]), np.array([5.0]))]
    >>> model = MiniBatchSGDRegressor().fit_source(blocks)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_parquet(model.predict_source(blocks), folder + "/predictions.parquet")
    3
    """
    arrow: Any = import_optional("pyarrow", "files", "write_parquet")
    parquet: Any = import_optional("pyarrow.parquet", "files", "write_parquet")
    path, n_rows, writer = Path(path), 0, None
    part = path.with_name(path.name + ".part")
    try:
        for block in predictions:
            table = np.atleast_2d(block.T)
            names = _names(len(table), columns)
            batch = arrow.table(list(table), names=names)
            writer = writer or parquet.ParquetWriter(part, batch.schema)
            writer.write_table(batch)
            n_rows += len(block)
        if writer is None:
            raise ValueError("There are no predictions to write: the source gave no blocks.")
        writer.close()
        part.replace(path)
    finally:
        if writer is not None:
            writer.close()
        part.unlink(missing_ok=True)
    return n_rows


def _names(n_targets: int, columns: Sequence[str] | None) -> list[str]:
    if columns is None:
        return ["prediction"] if n_targets == 1 else [f"prediction_{number}" for number in range(n_targets)]
    if isinstance(columns, str) or len(columns) != n_targets:
        raise ValueError(f"columns should be a sequence of {n_targets} names, one for each target, got {columns!r}.")
    return list(columns)
