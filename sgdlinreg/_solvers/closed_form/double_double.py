"""Sums and products without rounding error, in plain float64 operations on NumPy arrays or torch tensors.

A double-double number is the unevaluated sum ``high + low`` of two float64, about 32 digits. Matrix products become
exact where both factors are cut into slices of few bits: every partial sum then fits into the 53 bits of a float64, in
any order (Ozaki, Ogita, Oishi, Rump, "Error-free transformations of matrix multiplication by using fast routines of
matrix multiplication and its applications", Numerical Algorithms 59, 2012). The sums and products are those of Dekker,
"A floating-point technique for extending the available precision", Numerische Mathematik 18 (1971).
"""

from typing import Any, NamedTuple

import numpy as np

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

    def add(self, other: Any) -> "DoubleDouble":
        """Add an array of float64."""
        high, error = two_sum(self.high, other)
        return DoubleDouble(*two_sum(high, self.low + error))

    def add_all(self, other: "DoubleDouble") -> "DoubleDouble":
        """Add another double-double array."""
        high, error = two_sum(self.high, other.high)
        return DoubleDouble(*two_sum(high, self.low + other.low + error))

    def times(self, factor: Any) -> "DoubleDouble":
        """Multiply by an array of float64."""
        product, error = two_product(self.high, factor)
        return DoubleDouble(*two_sum(product, error + self.low * factor))


def power_of_two_above(size: Any) -> Any:
    """Return the smallest power of two above each number, 1 for 0."""
    return np.ldexp(1.0, np.frexp(size)[1])


def slice_bits(length: int) -> int:
    """Return how many bits two factors may have, so that sums of ``length`` of their products are exact."""
    return (53 - (length - 1).bit_length()) // 2


def leading_slices(values: Any, size: Any, bits: int, out: Any) -> None:
    """Cut float64 numbers into two slices of few bits and a rest; their sum is exact.

    Parameters
    ----------
    values : ndarray
        Overwritten by the rest.
    size : float or ndarray that broadcasts
        Powers of two, no smaller than ``abs(values)``.
    bits : int
        Of each slice.
    out : tuple of two ndarray
        Where to put the slices: multiples of ``size * 2**-bits``, then of ``size * 2**(-2 * bits)``.
    """
    to_grid = size * (1.5 * 2.0 ** (52 - bits))
    for part in out:
        part[:] = values
        part += to_grid
        part -= to_grid
        values -= part
        to_grid = to_grid * 2.0**-bits
