"""The rows of a fit, which the loop passes over: all in one block, or block by block from a source."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from sgdlinreg._core.blocks import Block
from sgdlinreg._core.contract import Solver


class Blocks:
    """Rows that come block by block, over which steps can be taken."""

    takes_steps = True
    blocks: Iterable[Any]

    def one_pass(self, solver: Solver, state: Any) -> Any:
        """Return the state of a solver after a pass over the rows."""
        for block in self.blocks:
            state = solver.add(state, block)
        return state

    def fold(self, sums: Any) -> Any:
        """Return sums with all rows added."""
        for block in self.blocks:
            sums = sums.add(block)
        return sums


class InMemory(Blocks):
    """All rows in one block.

    Parameters
    ----------
    block : Block
    once : bool
        Whether there is one pass only, as in partial_fit.
    """

    def __init__(self, block: Any, once: bool = False):
        self.block, self.once, self.in_memory = block, once, not once
        self.blocks = (block,)
        self.n_features, self.n_targets = block.n_features, block.n_targets

    def map(self, function: Callable[[Any], Any]) -> "InMemory":
        """Return the rows as ``function`` makes them, which is called once."""
        return InMemory(function(self.block), self.once)


class Streamed(Blocks):
    """Blocks that are read again in every pass.

    Parameters
    ----------
    blocks : iterable of Block
        The same rows in every pass.
    first : Block
        Any of them.
    once : bool
        Whether there is one pass only.
    """

    def __init__(self, blocks: Iterable[Any], first: Block, once: bool = False):
        self.blocks, self.first, self.once, self.in_memory = blocks, first, once, False
        self.n_features, self.n_targets = first.n_features, first.n_targets

    def map(self, function: Callable[[Any], Any]) -> "Streamed":
        """Return the rows as ``function`` makes them, which is called for each block in every pass."""
        return Streamed(_Mapped(function, self.blocks), self.first, self.once)


class _Mapped:
    """Blocks as a function makes them, anew in every pass."""

    def __init__(self, function: Callable[[Any], Any], blocks: Iterable[Any]):
        self.function, self.blocks = function, blocks

    def __iter__(self) -> Iterator[Any]:
        return map(self.function, self.blocks)


class SameRows:
    """Blocks of a source, which must give as many rows in every pass.

    Parameters
    ----------
    read : callable() -> iterable of Block
        Reads the source once.

    Attributes
    ----------
    n_rows : int or None
        Rows of a pass; None before the first one has ended.

    Raises
    ------
    ValueError
        In a pass that gives another number of rows than the first one.
    """

    def __init__(self, read: Callable[[], Iterable[Block]]):
        self.read = read
        self.n_rows: int | None = None

    def __iter__(self) -> Iterator[Block]:
        n_rows = 0
        for block in self.read():
            n_rows += block.n_rows
            yield block
        if self.n_rows not in (None, n_rows):
            raise ValueError(
                f"The source gave {self.n_rows} rows in the first pass over it and {n_rows} in a later one. It should "
                "give the same rows in every pass: a list, or an object whose __iter__ starts again."
            )
        self.n_rows = n_rows
