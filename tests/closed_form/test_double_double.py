"""Arithmetic without rounding errors, against rational numbers."""

from fractions import Fraction

import numpy as np
import pytest

from sgdlinreg._solvers.closed_form.double_double import (
    DoubleDouble,
    cut,
    power_of_two_above,
    slice_bits,
    two_product,
    two_sum,
)


def numbers(seed, size=200):
    rng = np.random.default_rng(seed)
    return rng.standard_normal(size) * 10.0 ** rng.uniform(-8, 8, size)


def exact(values):
    return [Fraction(float(value)) for value in values]


@pytest.mark.parametrize("operation", [two_sum, two_product])
def test_nothing_is_lost(operation):
    a, b = numbers(0), numbers(1)
    high, low = operation(a, b)
    for x, y, p, q in zip(exact(a), exact(b), exact(high), exact(low), strict=True):
        assert (x + y if operation is two_sum else x * y) == p + q


def test_double_double_has_thirty_digits():
    a, b, c = numbers(2), numbers(3), numbers(4)
    result = DoubleDouble(a, np.zeros_like(a)).add(b).times(c).add(b, 1e-20 * b)
    columns = (exact(v) for v in (a, b, c, 1e-20 * b, result.high, result.low))
    for x, y, z, rest, p, q in zip(*columns, strict=True):
        expected = (x + y) * z + y + rest
        assert abs(p + q - expected) <= Fraction(1, 10**29) * (abs((x + y) * z) + abs(y))


def slices(values, bits):
    """Two slices and the rest."""
    parts = np.empty((3, len(values)))
    parts[2] = values
    return cut(parts, bits)


@pytest.mark.parametrize("length", [3, 301, 2048, 100_000])
def test_products_of_slices_are_exact(length):
    a, b = numbers(5, length), numbers(6, length)
    bits = slice_bits(length)
    (one, two, rest), (other, more, _) = slices(a, bits), slices(b, bits)
    np.testing.assert_array_equal(one + (two + rest), a)
    for left, right in ((one, other), (one, more), (two, other)):
        expected = sum(x * y for x, y in zip(exact(left), exact(right), strict=True))
        assert Fraction(float(left @ right)) == expected
    assert np.abs(rest).max() <= power_of_two_above(np.abs(a).max()) * 2.0 ** (-2 * bits)


def test_power_of_two_above():
    np.testing.assert_array_equal(power_of_two_above(np.array([0.0, 0.3, 1.0, 5.0])), [1.0, 0.5, 2.0, 8.0])
