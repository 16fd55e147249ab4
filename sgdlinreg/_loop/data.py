"""How the rows of a fit are read, pass by pass: all in one block, or block by block from a source."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from sgdlinreg._core.blocks import Block
from sgdlinreg._core.contract import Visit


class BlockInMemory:
    """All rows in one block, which is made ready once."""

    once, visit = False, Visit.ALL

    def __init__(self, block: Block):
        self.block = block
        self._ready: Any = None

    def blocks(self, solver: Any) -> Iterator[Block]:
        """Give the rows of a pass that measures or sums up."""
        yield self.block

    def ready(self, solver: Any, state: Any) -> Iterator[Any]:
        """Give the rows of a pass as the solver wants them after they were measured."""
        if self._ready is None:
            self._ready = solver.ready(state, self.block)
        yield self._ready


class BlocksOfSource:
    """Blocks that are read again in every pass; ``once`` says that they can be read only once."""

    def __init__(self, blocks: Callable[[], Iterable[Block]], once: bool = False):
        self._blocks, self.once = blocks, once
        self.n_rows: int | None = None

    @property
    def visit(self) -> Visit:
        """What blocks are at the next pass."""
        return Visit.FIRST if self.n_rows is None else Visit.AGAIN

    def blocks(self, solver):
        """Give the rows of a pass, which must be as many as in the one before."""
        n_rows = 0
        for block in self._blocks():
            n_rows += block.n_rows
            yield solver.place(block, self.visit)
        if self.n_rows not in (None, n_rows):
            raise ValueError(
                f"The source gave {self.n_rows} rows in the first pass over it and {n_rows} in a later one. It should "
                "give the same rows in every pass: a list, or an object whose __iter__ starts again."
            )
        self.n_rows = n_rows

    def ready(self, solver, state):
        """Give the rows of a pass as the solver wants them after they were measured."""
        return (solver.ready(state, block) for block in self.blocks(solver))
