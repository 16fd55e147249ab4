"""What every source is: blocks of rows that are read anew in every pass."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from numbers import Integral
from typing import Any

BLOCK_BYTES = 1 << 25
"""Size of X in a block: large beside what starting a block costs, and several of them are small beside the memory."""
LEAST_ROWS = 10_000
"""Rows of a block, however wide they are."""

FIRST_ROWS = 1000
"""Rows from which a fit learns what the blocks are like, where reading a whole block would cost."""


class Source(ABC):
    """Blocks of rows; a pass over it gives them one after the other.

    Attributes
    ----------
    feature_names : tuple of str or None
        Names of the columns of X, if the source knows them.
    once : bool
        Whether there is one pass only.
    is_finite : bool
        Whether the source itself raises an error where X holds NaN or infinity.
    where : str
        What errors call the block that was given last.
    """

    feature_names: tuple[str, ...] | None = None
    once = False
    is_finite = False
    where = "Block 0 of the source"

    @abstractmethod
    def first(self) -> tuple[Any, ...]:
        """Return some rows as ``(X, y, sample_weight)``; the passes begin anew, and will give them again."""

    @abstractmethod
    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        """Yield ``(X, y, sample_weight)``; y is None without a target, and the weights where there are none."""

    def _numbered(self, blocks: Iterable[tuple[Any, ...]]) -> Iterator[tuple[Any, ...]]:
        for number, block in enumerate(blocks):
            self.where = f"Block {number} of the source"
            yield block


def block_rows(rows_per_block: Any, n_columns: int, itemsize: int = 8) -> int:
    """Return the number of rows of a block: as asked, or so that X takes about 32 MiB.

    Raises
    ------
    ValueError
        If it is not an integer of at least 1.
    """
    if rows_per_block is None:
        return max(LEAST_ROWS, BLOCK_BYTES // (itemsize * max(1, n_columns)))
    if not isinstance(rows_per_block, Integral) or rows_per_block < 1:
        raise ValueError(f"rows_per_block should be an integer of at least 1 or None, got {rows_per_block!r}.")
    return int(rows_per_block)
