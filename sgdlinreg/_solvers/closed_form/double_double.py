"""Double-double arithmetic and matrix products without rounding errors, in float64 operations of NumPy or torch.

A double-double number is the unevaluated sum ``high + low`` of two float64, about 32 digits. Its sums and products are
those of Dekker, "A floating-point technique for extending the available precision", Numerische Mathematik 18 (1971).
A product of matrices is exact where both factors are cut into slices of few bits: every partial sum then fits into the
53 bits of a float64, in any order (Ozaki, Ogita, Oishi, Rump, "Error-free transformations of matrix multiplication by
using fast routines of matrix multiplication and its applications", Numerical Algorithms 59, 2012).
"""

from typing import Any, NamedTuple

import numpy as np

EPS_SINGLE = float(np.finfo(np.float32).eps)
SPLITTER = 2.0**27 + 1.0


def two_sum(a: Any, b: Any) -> tuple[Any, Any]:
    """Return ``a + b`` rounded, and the error of the rounding."""
    total = a + b
    part = total - a
    return total, (a - (total - part)) + (b - part)


def two_product(a: Any, b: Any) -> tuple[Any, Any]:
    """Return ``a * b`` rounded, and the error of the rounding."""
    product = a * b
    a_high = SPLITTER * a - (SPLITTER * a - a)
    b_high = SPLITTER * b - (SPLITTER * b - b)
    a_low, b_low = a - a_high, b - b_high
    return product, ((a_high * b_high - product) + a_high * b_low + a_low * b_high) + a_low * b_low


class DoubleDouble(NamedTuple):
    """Array of numbers ``high + low``."""

    high: Any
    low: Any

    def rows(self, rows: slice) -> "DoubleDouble":
        """Return some rows."""
        return DoubleDouble(self.high[rows], self.low[rows])

    def add(self, high: Any, low: Any = 0.0) -> "DoubleDouble":
        """Add an array of float64, or the two of a double-double array."""
        total, error = two_sum(self.high, high)
        return DoubleDouble(*two_sum(total, self.low + low + error))

    def times(self, factor: Any) -> "DoubleDouble":
        """Multiply by an array of float64."""
        product, error = two_product(self.high, factor)
        return DoubleDouble(*two_sum(product, error + self.low * factor))


def power_of_two_above(size: Any) -> Any:
    """Return the smallest power of two above each number, 1 for 0."""
    return np.ldexp(1.0, np.frexp(size)[1])


def slice_bits(length: int) -> int:
    """Return how many bits a slice may have, so that sums of ``length`` products of two slices are exact."""
    return (53 - (length - 1).bit_length()) // 2


def cut(parts: Any, bits: int, size: Any = None) -> Any:
    """Cut float64 numbers into two slices of few bits and a rest, in place, and return these; their sum is exact.

    Parameters
    ----------
    parts : array of shape (3, ...)
        The numbers are ``parts[2]``, where the rest is left. The slices are multiples of ``size * 2**-bits`` and of
        ``size * 2**(-2 * bits)``.
    bits : int
    size : array that broadcasts, default=None
        Powers of two, no smaller than the absolute numbers; None for one that is the same for all.
    """
    rest = parts[2]
    if size is None:
        size = power_of_two_above(max(float(rest.max()), -float(rest.min())))
    to_grid = size * (1.5 * 2.0 ** (52 - bits))
    for part in parts[:2]:
        part[:] = rest
        part += to_grid
        part -= to_grid
        rest -= part
        to_grid = to_grid * 2.0**-bits
    return parts


def product(ops: Any, slices: Any, right: DoubleDouble, bits: int) -> DoubleDouble:
    """Multiply a matrix in slices by a double-double matrix: the three largest products, and their sum, are exact.

    Parameters
    ----------
    ops : NumPyArrays or TorchArrays
        Operations for both factors.
    slices : three matrices of shape (n, n_rows)
        As `cut` returns them, dense or SciPy CSR.
    right : DoubleDouble of shape (n_rows, n_columns)
    bits : int
        At most `slice_bits` of ``2 * n_rows``: two such products are added up.
    """
    X1, X2, X3 = slices
    n_rows, n = right.high.shape
    parts = ops.zeros((3, n, n_rows))  # of the right factor, its columns as rows
    parts[2] = right.high.T
    size = power_of_two_above(ops.take(ops.amax(abs(parts[2]), 1)))
    cut(parts, bits, ops.put(size[:, None]))
    parts[2] += right.low.T
    columns = parts.reshape(3 * n, n_rows).T
    of_1 = X1 @ columns
    parts[1] += parts[2]
    of_2 = X2 @ columns[:, : 2 * n]
    high, error = two_sum(of_1[:, :n], of_1[:, n : 2 * n] + of_2[:, :n])
    tail = of_1[:, 2 * n :] + of_2[:, n:] + X3 @ right.high
    return DoubleDouble(*two_sum(high, error + tail))
