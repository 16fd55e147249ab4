"""What the kernel does with rows of X, four at a time: the same names for dense and CSR, compiled for the type of X.

Four dense rows share each load of a weight and each store of a sum, which halves the time of rows in the cache.

Parameters of all functions: ``X`` is an ndarray (n_rows, n_features) or a `CSR`, float32 or float64; ``a``, ``b``,
``c``, ``d`` and ``row`` are numbers of rows; ``weights`` and ``sums`` are (n_features,), float32 or float64; a
``factor`` is the float64 number that its row is multiplied by.
"""

import numpy as np
from numba import types
from numba.extending import overload, register_jitable

from sgdlinreg._core.numba_loops import INLINED
from sgdlinreg._solvers.sgd_numba.prefetch import prefetch

CACHE_LINE = 64


def multiply(X, a, b, c, d, weights):
    """Return the products of four rows of X and the weights, in the dtype of the weights."""
    return (_multiply_dense if isinstance(X, np.ndarray) else _multiply_csr)(X, a, b, c, d, weights)


def add(X, a, b, c, d, factor_a, factor_b, factor_c, factor_d, sums):
    """Add multiples of four rows of X to sums, in the dtype of the sums."""
    (_add_dense if isinstance(X, np.ndarray) else _add_csr)(X, a, b, c, d, factor_a, factor_b, factor_c, factor_d, sums)


def prefetch_row(X, row):
    """Bring a row into the cache; compiled code only."""


def _multiply_dense(X, a, b, c, d, weights):
    a, b, c, d = np.uint64(a), np.uint64(b), np.uint64(c), np.uint64(d)  # signed indices are checked for their sign
    product_a = product_b = product_c = product_d = weights.dtype.type(0)
    for j in range(weights.shape[0]):
        weight = weights[j]
        product_a += X[a, j] * weight
        product_b += X[b, j] * weight
        product_c += X[c, j] * weight
        product_d += X[d, j] * weight
    return product_a, product_b, product_c, product_d


def _add_dense(X, a, b, c, d, factor_a, factor_b, factor_c, factor_d, sums):
    a, b, c, d = np.uint64(a), np.uint64(b), np.uint64(c), np.uint64(d)
    number = sums.dtype.type
    factor_a, factor_b, factor_c, factor_d = number(factor_a), number(factor_b), number(factor_c), number(factor_d)
    for j in range(sums.shape[0]):
        sums[j] += X[a, j] * factor_a + X[b, j] * factor_b + X[c, j] * factor_c + X[d, j] * factor_d


def _multiply_csr(X, a, b, c, d, weights):
    return (
        _multiply_csr_row(X, a, weights),
        _multiply_csr_row(X, b, weights),
        _multiply_csr_row(X, c, weights),
        _multiply_csr_row(X, d, weights),
    )


def _add_csr(X, a, b, c, d, factor_a, factor_b, factor_c, factor_d, sums):
    for row, factor in ((a, factor_a), (b, factor_b), (c, factor_c), (d, factor_d)):
        factor = sums.dtype.type(factor)
        for place in range(X.indptr[row], X.indptr[row + 1]):
            sums[X.indices[place]] += X.data[place] * factor


@register_jitable(**INLINED)
def _multiply_csr_row(X, row, weights):
    product = weights.dtype.type(0)
    for place in range(X.indptr[row], X.indptr[row + 1]):
        product += X.data[place] * weights[X.indices[place]]
    return product


def _prefetch_dense_row(X, row):
    length = X.shape[1] * X.itemsize
    for offset in range(row * length, (row + 1) * length, CACHE_LINE):
        prefetch(X, offset)
    prefetch(X, (row + 1) * length - 1)


def _prefetch_csr_row(X, row):
    for place in range(X.indptr[row], X.indptr[row + 1], CACHE_LINE // X.data.itemsize):
        prefetch(X.data, place * X.data.itemsize)
        prefetch(X.indices, place * X.indices.itemsize)


@overload(multiply, jit_options=INLINED)
def _multiply(X, a, b, c, d, weights):
    return _multiply_dense if isinstance(X, types.Array) else _multiply_csr


@overload(add, jit_options=INLINED)
def _add(X, a, b, c, d, factor_a, factor_b, factor_c, factor_d, sums):
    return _add_dense if isinstance(X, types.Array) else _add_csr


@overload(prefetch_row, jit_options=INLINED)
def _prefetch_row(X, row):
    if isinstance(X, types.Array):
        return _prefetch_dense_row if X.layout == "C" else lambda X, row: None
    return _prefetch_csr_row
