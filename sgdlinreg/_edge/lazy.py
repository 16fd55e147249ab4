"""Data that are not in memory: refused before anything is read or computed."""

import os
from typing import Any

DASK = frozenset({"dask", "dask_expr"})
PARTITIONED = DASK | {"pyspark"}
"""Libraries whose arrays and frames are partitions, still to be computed."""
QUERIES = frozenset({"duckdb", "ibis"})
"""Libraries whose relations are queries, still to be run."""


def refuse_lazy(values: Any, name: str) -> None:
    """Refuse what a conversion to an array would read or compute as a whole.

    Parameters
    ----------
    values : Any
        What the user passed.
    name : str
        What errors call it.

    Raises
    ------
    TypeError
        If it is a path, a dataset, a source, a query or a collection of partitions.
    """
    library, kind = type(values).__module__.partition(".")[0], type(values).__name__
    if isinstance(values, str | bytes | os.PathLike):
        what = f"the path {os.fspath(values)!r}"
        advice = (
            "Files are read by fit_source, from a source that sgdlinreg.sources.from_files or from_arrays makes. "
            "If it names a column of a data frame, pass the column itself"
        )
    elif library == "pyarrow" and hasattr(values, "scanner"):
        what = "a pyarrow Dataset, whose rows are in files"
        advice = "Pass it to sgdlinreg.sources.from_files, and the source to fit_source"
    elif type(values).__module__.startswith("sgdlinreg.sources"):
        what = f"a {kind}, whose rows are read block by block"
        advice = "Pass it to fit_source, predict_source or score_source"
    elif library in PARTITIONED | QUERIES or (library, kind) == ("polars", "LazyFrame"):
        what = f"a {library} {kind}, which is not in memory"
        advice = "Load it first, or give (X, y) of its parts to fit_source, one after the other"
        if library in DASK:
            advice += ", or fit it where it is by sgdlinreg.dask.DaskMiniBatchSGDRegressor"
    else:
        return
    raise TypeError(f"{name} is {what}. {advice}.")
