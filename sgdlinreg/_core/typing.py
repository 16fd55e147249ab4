"""Types of what users pass, for type checkers and editors: what is not said there is checked when it is used."""

from collections.abc import Callable
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import sparray, spmatrix

MatrixLike: TypeAlias = ArrayLike | sparray | spmatrix
"""Rows: what NumPy reads as an array, DataFrames and tensors among them, or a SciPy matrix."""
Floats: TypeAlias = NDArray[np.floating[Any]]
"""An array of float32 or float64."""
BlockLike: TypeAlias = tuple[MatrixLike, ArrayLike] | tuple[MatrixLike, ArrayLike, ArrayLike | None]
"""A block of a source: X, y and, if there are any, weights."""

Loss: TypeAlias = Literal["squared_error", "huber", "epsilon_insensitive", "squared_epsilon_insensitive", "quantile"]
Solver: TypeAlias = Literal["auto", "normal_equation", "numba", "torch"]
Penalty: TypeAlias = Literal["l2", "l1", "elasticnet"]
CovarianceType: TypeAlias = Literal["nonrobust", "HC0", "HC1", "HC2", "HC3", "cluster"]
Schedule: TypeAlias = Literal["constant", "optimal", "invscaling", "adaptive"] | Callable[[NDArray[Any]], ArrayLike]
Seed: TypeAlias = int | np.random.RandomState | np.random.Generator
Request: TypeAlias = bool | str | None
"""Whether scikit-learn's metadata routing passes an argument on, or under which name."""
