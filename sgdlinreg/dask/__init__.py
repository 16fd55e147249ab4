"""Fits of rows on a cluster: collections of Dask, whose partitions stay where they are. Needs the extra `dask`."""

from sgdlinreg.dask._estimator import DaskMiniBatchSGDRegressor

__all__ = ["DaskMiniBatchSGDRegressor"]
