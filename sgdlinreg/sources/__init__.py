"""Sources of blocks for `MiniBatchSGDRegressor.fit_source`: data that need not fit into memory."""

from sgdlinreg.sources.arrays import from_arrays
from sgdlinreg.sources.files import from_files
from sgdlinreg.sources.loader import from_loader
from sgdlinreg.sources.parquet import write_parquet
from sgdlinreg.sources.sql import from_sql

__all__ = ["from_arrays", "from_files", "from_loader", "from_sql", "write_parquet"]
