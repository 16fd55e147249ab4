"""Rows that stand for all rows: random ones, and those of largest norm, drawn block by block."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from sgdlinreg._core.blocks import Block, csr_or_dense, stack, take_rows

SAMPLE_ROWS, SAMPLE_ROWS_PER_FEATURE, LARGEST_ROWS = 4096, 8, 512
PART = 64
MOST_ROWS = 10**9
"""NumPy draws a hypergeometric number below; above, a binomial one is the same."""


def sample_size(n_features: int) -> int:
    """Random rows of a sample: enough for the second moment of its columns; smaller data are taken whole."""
    return max(SAMPLE_ROWS, SAMPLE_ROWS_PER_FEATURE * n_features)


class SampledRows(NamedTuple):
    """Some rows in float64: their numbers, X (dense or a SciPy CSR array), y, their weights and squared norms."""

    numbers: np.ndarray
    X: Any
    y: np.ndarray
    weight: np.ndarray
    norms: np.ndarray

    @classmethod
    def of(cls, block: Block, rows: np.ndarray, first: int, norms: np.ndarray) -> "SampledRows":
        """Copy rows of a block whose first row has the number ``first``."""
        weight = np.ones(len(rows)) if block.sample_weight is None else block.sample_weight[rows]
        return cls(first + rows, take_rows(block.X, rows), block.y[rows], weight, norms[rows])

    def take(self, rows: np.ndarray) -> "SampledRows":
        """Return some of the rows."""
        return SampledRows(*(part[rows] for part in self))

    def after(self, n_rows: int) -> "SampledRows":
        """Return the rows with numbers that follow so many others."""
        return self._replace(numbers=self.numbers + n_rows)

    def join(self, other: "SampledRows") -> "SampledRows":
        """Append other rows; dense if either is."""
        rest = (np.concatenate(pair) for pair in zip(self[2:], other[2:], strict=True))
        return SampledRows(np.concatenate([self.numbers, other.numbers]), stack(self.X, other.X), *rest)


class Sample(NamedTuple):
    """What stands for all rows.

    Attributes
    ----------
    block : Block
        Rows in float64, with their own weights.
    rows : ndarray or SciPy CSR array of shape (n_rows, n_features)
        X of the block.
    importance : ndarray of shape (n_rows,)
        Part of the total weight of all rows that each row stands for.
    complete : bool
        Whether these are all rows.
    eps : float
        Rounding of the values of X, in the dtype in which they were given.
    """

    block: Block
    rows: Any
    importance: np.ndarray
    complete: bool
    eps: float

    def as_block(self) -> Block:
        """Return the rows weighted by what they stand for."""
        return replace(self.block, sample_weight=self.importance * self.block.n_rows)


class Reservoir(NamedTuple):
    """A sample of all rows of a stream of blocks: a value, each block makes a new one.

    Attributes
    ----------
    n_random, n_largest : int
        How many random rows are kept, and how many of largest weighted norm.
    n_rows : int
        Rows seen.
    random, largest : SampledRows or None
    eps : float
        Rounding of the values of X.
    """

    n_random: int
    n_largest: int
    n_rows: int = 0
    random: SampledRows | None = None
    largest: SampledRows | None = None
    eps: float = 0.0

    def add(self, block: Block, norms: np.ndarray, rng: np.random.Generator) -> "Reservoir":
        """Take a block into account; ``norms`` (n_rows,) are weighted, and say which rows are large."""
        n_new, n_rows = block.n_rows, self.n_rows + block.n_rows
        n_kept = min(self.n_random, n_rows)
        if self.random is None and n_kept == n_new:
            random = SampledRows.of(block, np.arange(n_new), 0, norms)
        else:
            n_before = 0 if self.random is None else len(self.random.y)
            if n_rows < MOST_ROWS:
                n_drawn = rng.hypergeometric(n_new, self.n_rows, n_kept)
            else:
                n_drawn = int(np.clip(rng.binomial(n_kept, n_new / n_rows), n_kept - n_before, n_new))
            drawn = np.sort(rng.choice(n_new, n_drawn, replace=False))
            random = SampledRows.of(block, drawn, self.n_rows, norms)
            if self.random is not None:
                kept = np.sort(rng.choice(n_before, n_kept - n_drawn, replace=False))
                random = self.random.take(kept).join(random)
        largest = self.largest
        if self.n_largest and n_rows > self.n_random:
            largest = SampledRows.of(block, rows_of_largest(norms, min(self.n_largest, n_new)), self.n_rows, norms)
            before = self.largest or self.random
            if before is not None:
                largest = before.join(largest)
                largest = largest.take(rows_of_largest(largest.norms, min(self.n_largest, len(largest.y))))
        eps = max(self.eps, float(np.finfo(block.dtype).eps))
        return self._replace(n_rows=n_rows, random=random, largest=largest, eps=eps)

    def shares(self, n_rows: Sequence[int], rng: np.random.Generator) -> "list[Reservoir]":
        """Return a reservoir for each of some parts of the rows: together they draw what one of all rows would."""
        n_kept = min(self.n_random, sum(n_rows))
        if sum(n_rows) < MOST_ROWS:
            drawn = rng.multivariate_hypergeometric(n_rows, n_kept, method="marginals")
        else:
            drawn = np.minimum(rng.multinomial(n_kept, np.divide(n_rows, sum(n_rows))), n_rows)
        return [self._replace(n_random=int(n_random)) for n_random in drawn]

    def merge(self, other: "Reservoir") -> "Reservoir":
        """Join a reservoir of other rows, which has drawn its share."""
        n_random, n_rows = self.n_random + other.n_random, self.n_rows + other.n_rows
        ours: Any = self.random
        theirs: Any = other.random
        theirs, largest = theirs.after(self.n_rows), None
        if self.n_largest and n_rows > n_random:
            theirs_largest = other.largest.after(self.n_rows) if other.largest else theirs
            largest = (self.largest or ours).join(theirs_largest)
            largest = largest.take(rows_of_largest(largest.norms, min(self.n_largest, len(largest.y))))
        random, eps = ours.join(theirs), max(self.eps, other.eps)
        return self._replace(n_random=n_random, n_rows=n_rows, random=random, largest=largest, eps=eps)

    def sample(self, weight_factor: float = 1.0) -> Sample:
        """Return the rows, each with what it stands for, and its weight times a factor."""
        rows = self.random
        assert rows is not None, "a block was added"
        factor = np.full(len(rows.y), self.n_rows / len(rows.y))
        if self.largest is not None:
            others = ~np.isin(rows.numbers, self.largest.numbers)
            n_others = int(np.count_nonzero(others))
            n_largest = len(self.largest.y)
            rows = self.largest.join(rows.take(others))
            factor = np.repeat([1.0, (self.n_rows - n_largest) / max(1, n_others)], [n_largest, n_others])
        importance = factor * rows.weight
        block = Block(csr_or_dense(rows.X), rows.y, rows.weight * weight_factor)
        return Sample(block, rows.X, importance / importance.sum(), self.n_rows <= self.n_random, self.eps)


def rows_of_largest(norms: np.ndarray, n_largest: int) -> np.ndarray:
    """Rows of largest norm, in order. Norms that only rounding tells apart are equal: units do not decide."""
    norms = norms.astype(np.float32)
    candidates, n_parts = norms, len(norms) // PART
    if n_parts >= n_largest:  # the least of as many maxima of parts is a bound, so that few values are sorted
        maxima = norms[: n_parts * PART].reshape(PART, n_parts).max(axis=0)
        candidates = norms[norms >= np.partition(maxima, n_parts - n_largest)[n_parts - n_largest]]
    least = np.partition(candidates, len(candidates) - n_largest)[len(candidates) - n_largest]
    above = np.flatnonzero(norms > least)
    equal = np.flatnonzero(norms == least)[: n_largest - len(above)]
    return np.sort(np.concatenate([above, equal]))
