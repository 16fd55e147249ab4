"""Rows of folds: some of the rows in memory, or some of the blocks of a source, as blocks."""

from collections.abc import Callable, Iterable, Iterator
from functools import reduce

import numpy as np

from sgdlinreg._core.blocks import Block, part_of
from sgdlinreg._solvers.closed_form.block_moments import moments_of
from sgdlinreg._solvers.closed_form.moments import Moments

GATHERED_BYTES = 1 << 24
"""Size of the panels that rows in any order are copied in."""
MOST_RUNS = 8
"""Rows that are so many runs of neighbours are not copied at all."""


class RowsInMemory:
    """The rows of a block, by their numbers.

    Parameters
    ----------
    block : Block

    Attributes
    ----------
    n_numbers, n_features : int
    """

    def __init__(self, block: Block):
        self.block, self.n_numbers, self.n_features = block, block.n_rows, block.n_features

    def blocks(self, numbers: np.ndarray) -> Iterator[Block]:
        """Return some rows in their order, as views where they are a few runs of neighbours, else in copied panels."""
        starts = np.append(0, np.flatnonzero(np.diff(numbers) != 1) + 1)
        if len(starts) <= MOST_RUNS:
            for run in np.split(numbers, starts[1:]):
                yield part_of(self.block, slice(run[0], run[-1] + 1))
            return
        step = max(256, int(GATHERED_BYTES / max(8.0, self.block.row_bytes)))
        for start in range(0, len(numbers), step):
            yield part_of(self.block, numbers[start : start + step])

    def moments(self, sets: Iterable[np.ndarray]) -> list[Moments]:
        """Return the moments of some sets of rows."""
        return [reduce(Moments.merge, map(_moments, self.blocks(numbers))) for numbers in sets]

    def may_sum(self, numbers: np.ndarray) -> bool:
        """Return whether rows are no fewer than columns: of fewer, moments are larger than the rows."""
        return len(numbers) >= self.n_features


class RowsOfSource:
    """The blocks of a source, by their numbers; it is read once here, and each block's moments are kept.

    Parameters
    ----------
    read : callable() -> iterable of Block
        Reads the source once.

    Attributes
    ----------
    n_numbers, n_features : int
    """

    def __init__(self, read: Callable[[], Iterable[Block]]):
        self.read = read
        self.parts = list(map(_moments, read()))
        self.n_numbers, self.n_features = len(self.parts), self.parts[0].n_features

    def blocks(self, numbers: np.ndarray) -> Iterator[Block]:
        """Read some blocks, in the order of the source."""
        times = np.bincount(numbers, minlength=self.n_numbers)
        for number, block in enumerate(self.read()):
            for _ in range(times[number]):
                yield block

    def moments(self, sets: Iterable[np.ndarray]) -> list[Moments]:
        """Return the moments of some sets of blocks."""
        return [reduce(Moments.merge, (self.parts[number] for number in numbers)) for numbers in sets]

    def may_sum(self, numbers: np.ndarray) -> bool:
        """Return True: there are moments already."""
        return True


def _moments(block: Block) -> Moments:
    return moments_of(block, precise=True)
