"""Splits of the rows, as users and scikit-learn give them."""

from typing import Any

import numpy as np
from sklearn.model_selection import check_cv

from sgdlinreg._search.folds import Split


def splits_of(cv: Any, X: Any, y: Any, kept: np.ndarray, params: dict[str, Any]) -> list[Split]:
    """Split rows.

    Parameters
    ----------
    cv : int, cross-validation generator or iterable
    X, y : array-like
        What is split.
    kept : ndarray of shape (n_samples,) of bool
        Rows of positive weight: only these have numbers in the splits.
    params : dict
        Further arguments of the splitter.

    Raises
    ------
    ValueError
        If there are no splits, a split trains or tests on no row, or the splitter refuses.
    """
    number, position = np.arange(len(kept)), np.cumsum(kept) - 1
    splits: list[Split] = []
    for train, test in check_cv(cv, y).split(X, y, **params):
        parts = []
        for name, rows in (("train", train), ("test", test)):
            rows = np.asarray(rows)
            rows = number[rows if rows.size else rows.astype(int)]  # masks and negative numbers, too
            rows = position[rows[kept[rows]]]
            if not len(rows):
                raise ValueError(
                    f"Split {len(splits)} of cv has no {name}ing rows of positive weight. Use fewer splits, or give "
                    "rows a weight."
                )
            parts.append(rows)
        splits.append(Split(*parts))
    if not splits:
        raise ValueError("cv gave no splits. Give a number of folds, a splitter or (train, test) pairs.")
    return splits
