"""Rows in partitions, which stay where they are: a pass sums up each of them there, and the sums join in a tree."""

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any

import numpy as np

from sgdlinreg._core.blocks import Block
from sgdlinreg._core.contract import Solver, Sums
from sgdlinreg._core.optional import import_optional
from sgdlinreg._edge.validation import check_finite, check_rows, named
from sgdlinreg.dask.collections import Rows
from sgdlinreg.dask.scheduler import compute, kept_at

dask = import_optional("dask", "dask", "sgdlinreg.dask")
sizeof = import_optional("dask.sizeof", "dask", "sgdlinreg.dask").sizeof

JOINED = 8
"""Sums that are joined at a time."""
NO_ROWS = "There are no rows of positive weight in X. Give some."


@dataclass(frozen=True)
class Checked:
    """How partitions become blocks: as the rows of a fit in memory, with errors that name the partition.

    Attributes
    ----------
    estimator : MiniBatchSGDRegressor
        With the columns that they should have.
    n_targets : int
    functions : tuple of callable
        What makes of a block what solvers want.
    """

    estimator: Any
    n_targets: int
    functions: tuple[Callable[[Any], Any], ...] = ()

    def block(self, number: int, X: Any, y: Any, sample_weight: Any) -> Block:
        """Check a partition; it may have no rows."""
        with named(f"partition {number}"):
            block = check_rows(self.estimator, X, y, sample_weight, reset=False, finite=False, min_rows=0)
            if block.n_targets != self.n_targets:
                raise ValueError(f"y has {block.n_targets} targets, should have {self.n_targets}.")
        return block

    def finite(self, number: int, block: Block) -> None:
        """Raise an error where X holds NaN or infinity."""
        with named(f"partition {number}"):
            check_finite(self.estimator, block)


class Partitions:
    """The rows of a fit, which its loop passes over: sums of them, no steps.

    Parameters
    ----------
    rows : Rows
    checked : Checked
    places : list of str
        The worker that holds each partition, where its task goes; "" for any.
    in_order : bool
        Whether sums join in the order of the partitions; if not, those of one place first, so that less is sent.
    show_progress : bool
        Whether each pass shows a bar of distributed.

    Attributes
    ----------
    n_rows : list of int
        Rows of positive weight of each partition, 0 before they were counted.
    """

    takes_steps = once = in_memory = False

    def __init__(
        self, rows: Rows, checked: Checked, places: list[str], in_order: bool = True, show_progress: bool = False
    ):
        self.rows, self.checked, self.places = rows, checked, places
        self.in_order, self.show_progress = in_order, show_progress
        self.n_features, self.n_targets = checked.estimator.n_features_in_, checked.n_targets
        self.n_rows = [0] * len(rows.parts)

    def map(self, function: Callable[[Any], Any]) -> "Partitions":
        """Return the rows as ``function`` makes them, which is called for each partition in every pass."""
        mapped = copy.copy(self)
        mapped.checked = replace(self.checked, functions=(*self.checked.functions, function))
        return mapped

    def one_pass(self, solver: Solver, state: Any) -> Any:
        """Return the state of a solver after a pass over the rows."""
        return solver.with_sums(state, self.fold(solver.sums(state)))

    def fold(self, sums: Any) -> Any:
        """Return sums with all rows added."""
        total = compute(self.folded(sums), self.show_progress)
        if total is None:
            raise ValueError(NO_ROWS)
        return total

    def folded(self, sums: Sums) -> Any:
        """Return what computes them, a Delayed: each partition's task depends on nothing but ``sums`` and its rows."""
        shares = sums.shares(self.n_rows)
        same = all(share is sums for share in shares)
        parts = self._of_each(_sums_of, [_sent(sums)] * len(shares) if same else [_sent(share) for share in shares])
        groups: dict[str, list[Any]] = {}
        for part, place in zip(parts, self.places, strict=True):
            groups.setdefault("" if self.in_order else place, []).append(part)
        return _joined([_joined(group, place) for place, group in groups.items()])

    def count(self) -> int:
        """Count the rows of each partition, and return the exponent that weights count in."""
        counts = self._computed(_count)
        self.n_rows = [n_rows for n_rows, _ in counts]
        if not any(self.n_rows):
            raise ValueError(NO_ROWS)
        return max(int(exponent) for n_rows, exponent in counts if n_rows)

    def check_finite(self) -> None:
        """Raise an error that names a partition with NaN or infinity in X, if there is one."""
        self._computed(_check_finite)

    def _computed(self, function: Callable[..., Any]) -> list[Any]:
        """Compute a function of each partition."""
        found = self._of_each(function, [None] * len(self.rows.parts))
        results: list[Any] = compute(dask.delayed(found), self.show_progress)
        return results

    def _of_each(self, function: Callable[..., Any], given: list[Any]) -> list[Any]:
        """Return a function of each partition, and of something that is given with it, as Delayed."""
        checked, made, tasks = _sent(self.checked), dask.delayed(function), []
        for number, (place, one, part) in enumerate(zip(self.places, given, self.rows.parts, strict=True)):
            with kept_at(place):
                tasks.append(made(checked, one, number, *part))
        return tasks


def _sent(value: Any) -> Any:
    """Return a value as a Delayed, which goes to each worker once and not with every task."""
    return dask.delayed(value, traverse=False)


def _joined(parts: list[Any], place: str = "") -> Any:
    """Join sums at a place, some at a time, in their order."""
    with kept_at(place):
        while len(parts) > 1:
            parts = [dask.delayed(_join)(*parts[start : start + JOINED]) for start in range(0, len(parts), JOINED)]
    return parts[0]


def _sums_of(checked: Checked, sums: Sums, number: int, *part: Any) -> Any:
    """Return the sums of a partition; None where it has no rows."""
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):  # what is not finite is told by the solver
        block = checked.block(number, *part)
        if not block.n_rows:
            return None
        try:
            return sums.add(reduce(lambda made, function: function(made), checked.functions, block))
        except ValueError as error:
            checked.finite(number, block)  # of NaN scikit-learn's error tells more
            with named(f"partition {number}"):
                raise error


def _join(*parts: Any) -> Any:
    """Join sums in their order; None where none has rows."""
    return reduce(lambda total, part: total.merge(part), [part for part in parts if part is not None] or [None])


def _count(checked: Checked, _: None, number: int, *part: Any) -> tuple[int, int]:
    block = checked.block(number, *part)
    return block.n_rows, block.weight_exponent


def _check_finite(checked: Checked, _: None, number: int, *part: Any) -> None:
    block = checked.block(number, *part)
    if block.n_rows:
        checked.finite(number, block)


def _size_of(value: Any) -> int:
    """Return the size of a part of sums; Dask would guess that of a tuple from some of its items."""
    return sum(map(_size_of, value)) if isinstance(value, tuple) else int(sizeof(value))


def _size_of_sums(sums: Sums) -> int:
    """Tell Dask how large sums are, which it would take for small objects."""
    return _size_of(tuple(vars(sums).values()))


sizeof.register(Sums, _size_of_sums)
