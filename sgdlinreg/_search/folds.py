"""Folds of a cross-validation, and the moments of their rows in one pass over the data."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from sgdlinreg._solvers.closed_form.moments import Moments


class Split(NamedTuple):
    """Numbers of the rows, or of the blocks of a source, that are trained on and tested on."""

    train: np.ndarray
    test: np.ndarray


class Fold(NamedTuple):
    """A split with the moments of its rows; None where they are fewer than columns."""

    split: Split
    train: Moments | None
    test: Moments | None


def folds_of(rows: Any, splits: list[Split]) -> Iterator[Fold]:
    """Sum up the moments of folds.

    Rows of folds that share none are read once: each fold is trained on the moments of the others, which are merged.
    Subtracting those of the fold from those of all rows would cost digits.

    Parameters
    ----------
    rows : RowsInMemory or RowsOfSource
    splits : list of Split

    Notes
    -----
    Memory is O(n_folds * n_features**2).
    """
    if not any(rows.may_sum(split.train) for split in splits):
        yield from (Fold(split, None, None) for split in splits)
        return
    for group in _groups(splits, rows.n_numbers):
        if not is_complement(group[0], rows.n_numbers):
            yield Fold(group[0], *rows.moments(group[0]))
            continue
        tested = np.zeros(rows.n_numbers, bool)
        tested[np.concatenate([split.test for split in group])] = True
        rest = np.flatnonzero(~tested)  # always trained on
        tests = [split.test for split in group]
        parts = rows.moments([*tests, rest] if len(rest) else tests)
        for split, train, test in zip(group, _without_each(parts), parts, strict=False):
            yield Fold(split, train, test)


def _groups(splits: list[Split], n_rows: int) -> Iterator[list[Split]]:
    """Group splits that follow each other and test no row twice; each trains on the rows that it does not test."""
    group: list[Split] = []
    tested = np.zeros(n_rows, bool)
    for split in splits:
        if group and (tested[split.test].any() or not is_complement(split, n_rows)):
            yield group
            group = []
            tested[:] = False
        group.append(split)
        tested[split.test if is_complement(split, n_rows) else slice(None)] = True
    if group:
        yield group


def is_complement(split: Split, n_rows: int) -> bool:
    """Return whether a split trains on all rows that it does not test."""
    times = np.bincount(split.test, minlength=n_rows) + np.bincount(split.train, minlength=n_rows)
    return bool((times == 1).all())


def _without_each(parts: list[Moments]) -> Iterator[Moments]:
    """Merge all parts but one, for each of them: by what is before and what is after."""
    after: list[Any] = [None]
    for part in parts[:0:-1]:
        after.append(_join(part, after[-1]))
    before = None
    for part in parts:
        yield _join(before, after.pop())
        before = _join(before, part)


def _join(first: Any, second: Any) -> Any:
    if first is None or second is None:
        return second if first is None else first
    return first.merge(second)
