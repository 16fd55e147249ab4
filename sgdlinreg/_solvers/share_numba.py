"""Which share of the work on batches one call of the compiled kernel does."""

from typing import NamedTuple

from numba.extending import overload


class Share(NamedTuple):
    """Which share of the work on a batch one call does.

    length is the number of rows of the batch that the positions are a part of, 0 where they are whole batches; stop its
    end. adds says whether rows are added to the sums, steps whether the sums become steps.
    """

    length: int = 0
    stop: int = 0
    adds: bool = True
    steps: bool = True


class Plain(NamedTuple):
    """All work on batches of at most GROUP rows, with plain steps, which are taken in ``scratch.plain``.

    A type of its own, so that nothing else is compiled with them: a short batch takes a tenth longer otherwise.
    """


def is_plain(share):  # pragma: no cover - the compiled form is below
    """Whether steps are plain: known when the kernel is compiled."""
    return isinstance(share, Plain)


def parts_of(share):  # pragma: no cover - the compiled form is below
    """Give the parts of a `Share`; those of the whole work where steps are plain."""
    return Share() if isinstance(share, Plain) else share


@overload(is_plain)
def _is_plain(share):
    return (lambda share: True) if share.instance_class is Plain else (lambda share: False)


@overload(parts_of)
def _parts_of(share):
    whole = Share()
    if share.instance_class is Plain:
        return lambda share: whole
    return lambda share: share
