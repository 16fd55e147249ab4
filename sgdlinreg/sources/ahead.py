"""Read-ahead: a thread makes the next blocks while the caller computes with one."""

from collections import deque
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

AHEAD = 2
"""Blocks that are ready or in the making, beside the one that the caller has."""


def read_ahead(blocks: Generator[Any, None, None], n_ahead: int = AHEAD) -> Iterator[Any]:
    """Yield what a generator gives, which runs in a thread.

    The thread has ended when the last block was given, when the generator raised, whose error is raised here with its
    traceback, and when the caller closes this iterator; a block that is being read then is read to its end.

    Parameters
    ----------
    blocks : generator
    n_ahead : int
    """
    end, pool = object(), ThreadPoolExecutor(1, "sgdlinreg-read-ahead")
    try:
        waiting = deque(pool.submit(next, blocks, end) for _ in range(n_ahead))
        while (block := waiting.popleft().result()) is not end:
            waiting.append(pool.submit(next, blocks, end))
            yield block
            del block  # else it would live until the next one is there
    finally:
        pool.shutdown(cancel_futures=True)
        blocks.close()
