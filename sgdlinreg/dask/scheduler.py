"""The scheduler of Dask that is in use: what it computes, shows and knows of where partitions are."""

from concurrent.futures import CancelledError
from contextlib import nullcontext
from typing import Any

from sgdlinreg._core.optional import import_optional

dask = import_optional("dask", "dask", "sgdlinreg.dask")


LOST = (
    "The scheduler of Dask is lost: {} The estimator is as it was. Connect a new Client, make X and y anew, and call "
    "fit again."
)


def compute(value: Any, show_progress: bool = False) -> Any:
    """Compute a Delayed on the scheduler in use, a cluster or threads of this process.

    Raises
    ------
    ConnectionError
        If the scheduler of a cluster is lost.
    """
    client = client_in_use()
    try:
        if client is None or not show_progress:
            return dask.compute(value)[0]
        future = client.compute(value)
        import_optional("distributed", "dask", "verbose=2").progress(future, notebook=False)
        return future.result()
    except CancelledError as error:
        raise ConnectionError(LOST.format(error)) from error


def client_in_use() -> Any:
    """Return the client of a cluster that Dask computes by; None where there is none."""
    get = dask.base.get_scheduler()
    client = getattr(get, "__self__", None)
    return client if hasattr(client, "who_has") else None


def places_of(collection: Any, n_parts: int) -> list[str]:
    """Return the worker that holds each partition of a collection, "" where none does.

    Parameters
    ----------
    collection : dask Array or DataFrame
    n_parts : int
        Its partitions.

    Raises
    ------
    ConnectionError
        If the scheduler of a cluster is lost.
    """
    client, places = client_in_use(), [""] * n_parts
    futures = [] if client is None else client.futures_of(collection)
    if not futures:
        return places
    try:
        holders = client.who_has(futures)
    except OSError as error:
        raise ConnectionError(LOST.format(error)) from error
    for key, workers in holders.items():
        number = key[1] if isinstance(key, tuple) and len(key) > 1 else None  # keys are (name, number, ...)
        if isinstance(number, int) and number < n_parts and workers:
            places[number] = min(workers)
    return places


def kept_at(place: str) -> Any:
    """Return a context in which tasks are made that go to a worker, or to any other one if that is gone."""
    return dask.annotate(workers=[place], allow_other_workers=True) if place else nullcontext()
