"""Arrays in memory-mapped files: blocks are views."""

import os
from collections.abc import Iterator
from typing import Any

import numpy as np

from sgdlinreg._core.arrays import all_finite
from sgdlinreg.sources.source import Source, block_rows


def from_arrays(X: Any, y: Any, sample_weight: Any = None, rows_per_block: int | None = None) -> "ArraySource":
    """Read arrays block by block, memory maps above all.

    Parameters
    ----------
    X : ndarray, path of a .npy file, or list of them, each of shape (n_samples, n_features)
        Paths are opened as memory maps. float32 and float64 are not converted; other types are converted block by
        block. The arrays of a list are read one after the other.
    y : ndarray, path or list of them, each of shape (n_samples,) or (n_samples, n_targets); or None
        As many as X. None is for predictions.
    sample_weight : ndarray, path or list of them, each of shape (n_samples,), default=None
    rows_per_block : int, default=None
        None: about 32 MiB, at least 10000 rows.

    Returns
    -------
    source : ArraySource
        Source for `fit_source`. Blocks are in the order of the file in every pass. They are views of it, so that a pass
        needs hardly any memory of its own.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If a file is no .npy file, or the shapes do not belong together. A pass raises it where X holds NaN or infinity,
        and names the array, the row and the column.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> import numpy as np
    >>> from sgdlinreg import MiniBatchSGDRegressor
    >>> from sgdlinreg.sources import from_arrays
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> X = np.random.default_rng(0).standard_normal((1000, 3))
    >>> np.save(folder / "X.npy", X)
    >>> np.save(folder / "y.npy", X @ [1.0, 2.0, 3.0])
    >>> source = from_arrays(folder / "X.npy", folder / "y.npy", rows_per_block=300)
    >>> MiniBatchSGDRegressor().fit_source(source).coef_.round(6)
    array([1., 2., 3.])
    """
    Xs = _opened(X, "X")
    ys, weights = (
        None if given is None else _opened(given, name) for given, name in ((y, "y"), (sample_weight, "sample_weight"))
    )
    for name, arrays in zip(("y", "sample_weight"), (ys, weights), strict=True):
        if arrays is not None and [len(array) for _, array in arrays] != [len(array) for _, array in Xs]:
            raise ValueError(
                f"X has {[len(array) for _, array in Xs]} rows, {name} {[len(array) for _, array in arrays]}. "
                "Give as many arrays of as many rows."
            )
    widths = {array.shape[1:] for _, array in Xs}
    if len(widths) != 1 or len(*widths) != 1:
        shapes = ", ".join(f"{name} {array.shape}" for name, array in Xs)
        raise ValueError(f"X should be of two dimensions and have the same columns everywhere, got {shapes}.")
    if not any(len(array) for _, array in Xs):
        raise ValueError("X has no rows.")
    return ArraySource(Xs, ys, weights, rows_per_block)


class ArraySource(Source):
    """Blocks of arrays, as `from_arrays` makes it.

    Parameters
    ----------
    Xs, ys, weights : list of (name, array)
        ``ys`` and ``weights`` may be None.
    rows_per_block : int or None
    """

    is_finite = True

    def __init__(self, Xs: list[Any], ys: Any, weights: Any, rows_per_block: int | None) -> None:
        self._arrays = [[None] * len(Xs) if arrays is None else arrays for arrays in (Xs, ys, weights)]
        first = Xs[0][1]
        self._n_rows = block_rows(rows_per_block, first.shape[1], first.dtype.itemsize)
        self._is_checked = False

    def first(self) -> tuple[Any, ...]:
        """Return the first block."""
        self.where = "Block 0 of the source"
        return next(self._blocks())

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        yield from self._numbered(self._blocks())
        self._is_checked = True  # so that later passes read X once

    def _blocks(self) -> Iterator[tuple[Any, ...]]:
        for parts in zip(*self._arrays, strict=True):
            name, X = parts[0]
            for start in range(0, len(X), self._n_rows):
                rows = slice(start, start + self._n_rows)
                if not self._is_checked:
                    _check_finite(X[rows], name, start)
                yield tuple(None if part is None else part[1][rows] for part in parts)


def _opened(given: Any, name: str) -> list[tuple[str, np.ndarray]]:
    """Return arrays and what errors call them; paths are opened as memory maps."""
    several = given if isinstance(given, list | tuple) else [given]
    if not several:
        raise ValueError(f"{name} is an empty list. Give at least one array or path.")
    found = []
    for number, one in enumerate(several):
        label = name if several is not given else f"{name}[{number}]"
        if isinstance(one, str | os.PathLike):
            label = f"{name} in {os.fspath(one)}"
            try:
                one = np.load(one, mmap_mode="r", allow_pickle=False)
            except (ValueError, EOFError) as error:
                raise ValueError(f"{label} is not a whole .npy file of numbers: {error}") from error
        if not isinstance(one, np.ndarray) or one.ndim == 0 or one.dtype.kind not in "biuf":
            kind = f"{one.dtype} of shape {one.shape}" if isinstance(one, np.ndarray) else type(one).__name__
            raise ValueError(
                f"{label} should be a NumPy array of numbers, a memory map or the path of a .npy file, got {kind}."
            )
        found.append((label, one))
    return found


def _check_finite(X: np.ndarray, name: str, start: int) -> None:
    with np.errstate(over="ignore", invalid="ignore"):
        if all_finite(X):
            return
    row, column = np.argwhere(~np.isfinite(X))[0]
    raise ValueError(
        f"{name}, row {start + row}, column {column}: {X[row, column]}. Leave such rows out, or impute them first."
    )
