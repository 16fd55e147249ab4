"""Sources of blocks for `MiniBatchSGDRegressor.fit_source`."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from typing import Any

from sgdlinreg._core.typing import BlockLike


class IterableSource:
    """Blocks from an iterable of ``(X, y)`` or ``(X, y, sample_weight)``.

    Parameters
    ----------
    iterable : iterable of tuples
        A list, an object with ``__iter__``, or an iterator, which can be passed over once.

    Attributes
    ----------
    once : bool
        Whether there is one pass only.

    Raises
    ------
    ValueError
        If it is not iterable, is empty, or gives anything but such tuples.

    Examples
    --------
    >>> source = IterableSource([([[1.0]], [2.0]), ([[3.0]], [4.0], [0.5])])
    >>> source.first()
    ([[1.0]], [2.0], None)
    >>> len(list(source))
    2
    """

    def __init__(self, iterable: Iterable[BlockLike]) -> None:
        try:
            iterator = iter(iterable)
        except TypeError as error:
            raise ValueError(
                f"source should be an iterable of (X, y) or (X, y, sample_weight), got {type(iterable).__name__}."
            ) from error
        self.once = iterator is iterable
        self._iterable = iterable

    def first(self) -> tuple[Any, Any, Any]:
        """Return the first block; a later pass gives it again.

        Returns
        -------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows.
        y : array-like of shape (n_samples,) or (n_samples, n_targets)
            Their targets.
        sample_weight : array-like of shape (n_samples,), float or None
            Their weights.

        Raises
        ------
        ValueError
            If there is no block, or it is not such a tuple.
        """
        iterator = iter(self._iterable)
        for item in iterator:
            if self.once:
                self._iterable = itertools.chain([item], iterator)
            return self._checked(0, item)
        raise ValueError("The source gave no blocks. It should give at least one (X, y) in every pass over it.")

    def __iter__(self) -> Iterator[tuple[Any, Any, Any]]:
        for number, item in enumerate(self._iterable):
            yield self._checked(number, item)

    @staticmethod
    def _checked(number: int, item: Any) -> tuple[Any, Any, Any]:
        if not isinstance(item, tuple | list) or len(item) not in (2, 3):
            length = f" of length {len(item)}" if isinstance(item, tuple | list) else ""
            raise ValueError(
                f"Block {number} of the source should be (X, y) or (X, y, sample_weight), got "
                f"{type(item).__name__}{length}."
            )
        return (*item, None) if len(item) == 2 else tuple(item)
