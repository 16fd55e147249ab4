"""Products of the columns of small data in double-double: the moments, and the residuals of any solution, follow."""

from typing import NamedTuple

import numpy as np

from sgdlinreg._arrays import NUMPY, is_on_device
from sgdlinreg._blocks import Block
from sgdlinreg._double_double import DoubleDouble, leading_slices, power_of_two_above, slice_bits, two_product, two_sum
from sgdlinreg._solvers.factors import Cholesky
from sgdlinreg._solvers.moments import Moments
from sgdlinreg._solvers.residuals import Residuals, product_of_slices
from sgdlinreg._solvers.solution import Solution
from sgdlinreg._threads import one_thread_for

MOST_PRODUCTS = 1 << 22
"""So many products of columns and rows take a few milliseconds; of more, passes over the rows are faster."""
MOST_LOST = 1e-6
"""Largest error of the factor, times what offsets and outliers take of the digits, with which products of small data
are used."""
LEAST_VARIANCE = 1e-12
"""Smallest variance of y, in units of its largest value squared, with which products of small data are used."""
SMALLEST_UNIT, LARGEST_UNIT = 2.0**-1000, 2.0**1000
"""Units of columns stay in this range, so that their inverses do, too; products of larger values are not exact."""


class ExactProducts(NamedTuple):
    """Weighted products of the columns of [X, y, 1].

    Attributes
    ----------
    n_features, n_rows : int
    products : DoubleDouble of shape (n_features + n_targets + 1, n_features + n_targets + 1)
        Of columns in units of ``size``.
    size : ndarray of shape (n_features + n_targets + 1,)
        Powers of two above the largest value of each column; 1 for that of ones.

    Notes
    -----
    Slices have 23 to 17 bits, by the number of rows. What is rounded is 1e-28 of the total weight, in the units of the
    columns, for up to 10,000 rows, and 1e-27 for 130,000. Costs 9 multiply-adds for each row and pair of columns, and
    no further pass over the rows.
    """

    n_features: int
    n_rows: int
    products: DoubleDouble
    size: np.ndarray

    @classmethod
    def affordable(cls, block: Block) -> bool:
        """Whether a block is dense, in the memory of the CPU and small enough."""
        n_columns = block.n_features + block.n_targets + 1
        dense = not block.is_sparse and not is_on_device(block.X)
        return dense and block.n_rows * n_columns**2 <= MOST_PRODUCTS

    @classmethod
    def none(cls) -> "ExactProducts":
        """No rows yet."""
        nothing = np.zeros((0, 0))
        return cls(0, 0, DoubleDouble(nothing, nothing), np.zeros(0))

    def add(self, block: Block) -> "ExactProducts":
        """Multiply the columns of the only block."""
        assert not self.n_rows, "products are of one block"
        d = block.n_features
        n = d + block.n_targets + 1
        bits = slice_bits(2 * block.n_rows)
        cut = np.empty((3, n, block.n_rows))  # the slices of the columns, which are rows here
        rest = cut[2]
        rest[:d] = block.X.T
        rest[d:-1] = block.y.T
        rest[-1] = 1.0
        size = np.minimum(np.maximum(power_of_two_above(np.abs(rest).max(axis=1)), SMALLEST_UNIT), LARGEST_UNIT)
        size[-1] = 1.0
        rest *= (1.0 / size)[:, None]
        if block.sample_weight is None:
            leading_slices(rest, 1.0, bits, cut[:2])
            weighted, unit = cut, 1.0
        else:
            unit = power_of_two_above(block.sample_weight.max())
            weighted = np.empty_like(cut)
            weighted[2], low = two_product(rest, block.sample_weight / unit)
            leading_slices(rest, 1.0, bits, cut[:2])
            leading_slices(weighted[2], 1.0, bits, weighted[:2])
            weighted[2] += low
        with one_thread_for(cut.size * 3 * n):
            products = cut.reshape(3 * n, -1) @ weighted.reshape(3 * n, -1).T
        part = products.reshape(3, n, 3, n).transpose(0, 2, 1, 3)
        high, error = two_sum(part[0, 0], part[0, 1] + part[1, 0])  # all of these are exact, also the sum
        high, low = two_sum(high, error + (part[0, 2] + part[2, 0] + part[1:, 1:].sum(axis=(0, 1))))
        return ExactProducts(d, block.n_rows, DoubleDouble(high * unit, low * unit), size)

    def moments(self) -> Moments:
        """Give the moments about the means."""
        high, low = self.products
        total, sums, rest_of_sums = high[-1, -1], high[-1], low[-1]
        mean = sums / total
        whole, error = two_product(mean[:, None], sums)  # in the last column, times the total weight
        rest = ((sums - whole[:, -1]) - error[:, -1] + (rest_of_sums - mean * rest_of_sums[-1])) / total
        about = (high - whole) + (low - error - mean[:, None] * rest_of_sums - rest[:, None] * sums)
        products, unit = about[:-1, :-1], self.size[:-1]
        squares = np.einsum("ii->i", products)  # a view
        np.maximum(squares, 0.0, out=squares)
        return Moments(
            self.n_features, True, self.n_rows, float(total), mean[:-1] * unit, unit, products, rest[:-1] * unit
        )

    def tell(self, solution: Solution) -> bool:
        """Whether these tell a solution of their moments and its residuals as well as the rows do.

        They are exact to 1e-27 of the total weight and the largest values, not of what is left of those about the mean.
        """
        scaled, factor, moments = solution.scaled, solution.factor, solution.scaled.moments
        spread = self.size[scaled.active] / scaled.scale[scaled.active]
        lost = factor.error * moments.total_weight * np.square(spread).max(initial=0.0)
        varies = moments.products.diagonal()[moments.n_features :].min() >= LEAST_VARIANCE * moments.total_weight
        sure = isinstance(factor, Cholesky) and lost <= MOST_LOST and bool(varies) and not solution.lost
        return sure and self.size.max() < LARGEST_UNIT

    def residuals(self, coef: DoubleDouble, n_targets: int) -> Residuals:
        """Give the sums over all rows at a solution, which may have more columns than y: those have y = 0."""
        d, n = self.n_features, len(self.size)
        of_coef = np.arange(d + 1)
        of_coef[-1] = -1
        right = np.zeros((2, n, coef.high.shape[1]))
        right[:, of_coef] = coef
        right *= -self.size[:, None]
        np.einsum("ii->i", right[0, d:-1, :n_targets])[:] = self.size[d:-1]
        bits = slice_bits(2 * n)
        cut = np.empty((3, n, n))
        cut[2] = self.products.high
        leading_slices(cut[2], power_of_two_above(np.abs(cut[2]).max()), bits, cut[:2])
        cut[2] += self.products.low
        sums = product_of_slices(NUMPY, cut, DoubleDouble(*right), bits)
        squares = (right[0, :, :n_targets] * sums.high[:, :n_targets]).sum(axis=0)
        gradient = DoubleDouble(sums.high[of_coef], sums.low[of_coef])
        return Residuals(coef, self.size[:d], gradient, np.maximum(squares, 0.0))
