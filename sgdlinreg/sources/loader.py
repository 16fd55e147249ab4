"""Batches of a torch DataLoader."""

from typing import Any

from sgdlinreg.sources.iterable import IterableSource


def from_loader(loader: Any) -> IterableSource:
    """Read the batches of a torch DataLoader, or of anything like it.

    Parameters
    ----------
    loader : iterable of tuples
        Gives ``(X, y)`` or ``(X, y, sample_weight)`` anew in every pass, as tensors or arrays. The rows must be the
        same in every pass; their order may differ.

    Returns
    -------
    source : IterableSource
        Source for `fit_source`. Small batches are joined to blocks of about 16 MiB. The batches of the fit have the
        batch_size of the estimator.

    Raises
    ------
    ValueError
        If it is not iterable, or leaves out other rows in each pass (drop_last=True of a loader that shuffles).

    Notes
    -----
    Each row is copied once. Most of the time of a pass is that of the loader, which indexes and collates rows. For rows
    that are in memory, `fit` is many times faster. Do not use a sampler that draws with replacement: it gives other
    rows in each pass, for which there is no optimum.

    Examples
    --------
    >>> import numpy as np
    >>> from sgdlinreg import MiniBatchSGDRegressor
    >>> from sgdlinreg.sources import from_loader
    >>> X = np.arange(12.0).reshape(6, 2) ** 2
    >>> batches = [(X[:3], X[:3, 0] + 1), (X[3:], X[3:, 0] + 1)]
    >>> MiniBatchSGDRegressor().fit_source(from_loader(batches)).coef_.round(6) + 0.0
    array([1., 0.])
    """
    in_order = type(getattr(loader, "sampler", None)).__name__ == "SequentialSampler"
    if getattr(loader, "drop_last", False) and not in_order:
        raise ValueError(
            "The loader has drop_last=True and shuffles: it leaves out other rows in each pass. Set drop_last=False; "
            "batches of the loader are joined, so that the last one may be short."
        )
    return IterableSource(loader)
