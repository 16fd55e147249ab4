"""Blocks from any iterable that gives them again and again."""

import itertools
import warnings
from collections.abc import Iterable, Iterator
from typing import Any

from sgdlinreg._edge.lazy import refuse_lazy
from sgdlinreg.sources.joined import joined
from sgdlinreg.sources.source import Source

TINY_ROWS = 32
"""Rows of a batch, by default: blocks that cannot be joined should have more."""
MANY_BLOCKS = 100
"""Blocks of a pass from which on the user is told that they are tiny."""


class IterableSource(Source):
    """Blocks from an iterable of ``(X, y)`` or ``(X, y, sample_weight)``.

    Small blocks of NumPy arrays of numbers, torch tensors on the CPU and CSR are joined to blocks of about 16 MiB.
    Others, data frames and lists for instance, stay as they are.

    Parameters
    ----------
    iterable : iterable of tuples
        A list, an object with ``__iter__``, or an iterator, which can be passed over once.
    joins : bool, default=True
        Whether small blocks are joined.

    Raises
    ------
    ValueError
        If it is not iterable, is empty, or gives anything but such tuples.

    Warns
    -----
    UserWarning
        Once, if there are hundreds of blocks of less than 32 rows that could not be joined.

    Examples
    --------
    >>> source = IterableSource([([[1.0]], [2.0]), ([[3.0]], [4.0], [0.5])])
    >>> source.first()
    ([[1.0]], [2.0], None)
    >>> len(list(source))
    2
    """

    def __init__(self, iterable: Iterable[tuple[Any, ...]], joins: bool = True) -> None:
        try:
            iterator = iter(iterable)
        except TypeError as error:
            raise ValueError(
                "source should be an iterable of (X, y) or (X, y, sample_weight), or come from sgdlinreg.sources; got "
                f"{type(iterable).__name__}."
            ) from error
        self.once = iterator is iterable
        self._iterable: Any = iterable
        self._joins = joins
        self._has_warned = False

    def first(self) -> tuple[Any, ...]:
        """Return the first block; a later pass gives it again."""
        self.where = "Block 0 of the source"
        iterator = iter(self._iterable)
        for item in iterator:
            if self.once:
                self._iterable = itertools.chain([item], iterator)
            return self._checked(0, item)
        raise ValueError("The source gave no blocks. It should give at least one (X, y) in every pass over it.")

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        n_rows = n_alone = 0
        blocks = itertools.starmap(self._checked, enumerate(self._iterable))
        alone = ((block, number, number) for number, block in enumerate(blocks))
        for block, first, last in joined(blocks) if self._joins else alone:
            self.where = f"Block {first} of the source" if first == last else f"Blocks {first} to {last} of the source"
            if first == last:
                n_rows, n_alone = n_rows + _length(block[0]), n_alone + 1
            yield block
        if n_alone > MANY_BLOCKS and n_rows < TINY_ROWS * n_alone and not self._has_warned:
            self._has_warned = True
            warnings.warn(
                f"The source gives {n_alone} blocks of {n_rows / n_alone:.3g} rows on average, each of which costs "
                "more than its rows. Give blocks of thousands of rows, or NumPy arrays, which are joined.",
                stacklevel=2,
            )

    @staticmethod
    def _checked(number: int, item: Any) -> tuple[Any, ...]:
        if not isinstance(item, tuple | list) or len(item) not in (2, 3):
            length = f" of length {len(item)}" if isinstance(item, tuple | list) else ""
            raise ValueError(
                f"Block {number} of the source should be (X, y) or (X, y, sample_weight), got "
                f"{type(item).__name__}{length}. Data that are in memory as a whole go to fit."
            )
        return (*item, None) if len(item) == 2 else tuple(item)


def _length(X: Any) -> int:
    return int(X.shape[0] if hasattr(X, "shape") else len(X))


def as_source(source: Any, joins: bool = True) -> Source:
    """Return a source of `sgdlinreg.sources` as it is, and any other iterable as an `IterableSource`.

    ``joins`` says whether small blocks of that are joined.

    Raises
    ------
    TypeError
        If it is a path, a dataset or a lazy frame, which `from_files` or an iterable of parts makes a source.
    ValueError
        If it is not iterable.
    """
    if isinstance(source, Source):
        return source
    refuse_lazy(source, "source")
    return IterableSource(source, joins)
