"""Columns by name: which are features, targets and weights."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Columns:
    """Names of the columns that are read.

    Attributes
    ----------
    features : tuple of str
    targets : tuple of str
        Empty without a target.
    single : bool
        Whether the target was given as one name, so that y has one dimension.
    weight : str or None
    """

    features: tuple[str, ...]
    targets: tuple[str, ...]
    single: bool
    weight: str | None

    @property
    def all(self) -> tuple[str, ...]:
        """All names, each once."""
        return self.features + self.others

    @property
    def others(self) -> tuple[str, ...]:
        """Names of all but the features."""
        return self.targets + (() if self.weight is None else (self.weight,))


def choose_columns(
    names: Sequence[str], target: Any, features: Any, sample_weight: Any, what: str, known: Sequence[str] | None = None
) -> Columns:
    """Choose columns by name.

    Parameters
    ----------
    names : sequence of str
        The columns that there are.
    target : str, list of str or None
    features : list of str or None
        None stands for all other columns, or those of them that a transformer knows.
    sample_weight : str or None
    what : str
        What errors call that which has the columns.
    known : sequence of str or None
        Columns that a transformer was fitted on, maybe with the target and others that are not there.

    Raises
    ------
    ValueError
        If a name is unknown or is given twice, or no feature is left.
    """
    single = isinstance(target, str)
    targets = (target,) if single else () if target is None else tuple(target)
    if target is not None and not targets:
        raise ValueError("target is an empty list. Give the name of a column, several names, or None for no target.")
    others = {*targets, sample_weight}
    if isinstance(features, str):
        raise ValueError(f"features should be a list of names, got the text {features!r}. Give [{features!r}].")
    rest = [name for name in names if name not in others]
    if known is not None:  # in its order; columns that it needs and does not get are its own error
        rest = [name for name in known if name in rest]
    columns = Columns(tuple(rest if features is None else features), targets, single, sample_weight)
    given, available = Counter(columns.all), Counter(names)
    if unknown := [name for name in given if name not in available]:
        raise ValueError(f"{what}: there is no column {unknown[0]!r}. The columns are {', '.join(map(repr, names))}.")
    if twice := [name for name in given if given[name] > 1 or available[name] > 1]:
        raise ValueError(
            f"{what}: column {twice[0]!r} is there twice. Features, target and sample_weight should be different "
            "columns, and each should have a name of its own."
        )
    if not columns.features:
        raise ValueError(f"{what}: there are no features beside target and sample_weight. Name some in features.")
    return columns
