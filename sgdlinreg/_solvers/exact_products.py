"""Products of the columns of small data in double-double: the moments, and the residuals of any solution, follow."""

from typing import NamedTuple

import numpy as np

from sgdlinreg._arrays import NUMPY, is_on_device
from sgdlinreg._blocks import Block
from sgdlinreg._double_double import DoubleDouble, leading_slices, power_of_two_above, slice_bits, two_product, two_sum
from sgdlinreg._solvers.moments import Moments
from sgdlinreg._solvers.residuals import Residuals, product_of_slices

MOST_PRODUCTS = 1 << 22
"""So many products of columns and rows take a few milliseconds; of more, passes over the rows are faster."""
SIZES = 2.0**-1000, 2.0**1000
"""Units of columns stay in this range, so that their inverses do, too."""


class ExactProducts(NamedTuple):
    """Weighted products of the columns of [X, 1, y].

    Attributes
    ----------
    n_features, n_rows : int
    products : DoubleDouble of shape (n_features + 1 + n_targets, n_features + 1 + n_targets)
        Of columns in units of ``size``.
    size : ndarray of shape (n_features + 1 + n_targets,)
        Powers of two above the largest value of each column; 1 for that of ones.

    Notes
    -----
    What is rounded is 1e-28 of the largest term, as in `Residuals`. Costs 9 multiply-adds for each row and pair of
    columns, and no further pass over the rows.
    """

    n_features: int
    n_rows: int
    products: DoubleDouble
    size: np.ndarray

    @classmethod
    def affordable(cls, block: Block) -> bool:
        """Whether a block is dense, in the memory of the CPU and small enough."""
        n_columns = block.n_features + 1 + block.n_targets
        dense = not block.is_sparse and not is_on_device(block.X)
        return dense and block.n_rows * n_columns**2 <= MOST_PRODUCTS

    @classmethod
    def none(cls) -> "ExactProducts":
        """No rows yet."""
        nothing = np.zeros((0, 0))
        return cls(0, 0, DoubleDouble(nothing, nothing), np.zeros(0))

    def add(self, block: Block) -> "ExactProducts":
        """Multiply the columns of the only block."""
        d = block.n_features
        n = d + 1 + block.n_targets
        bits = slice_bits(2 * block.n_rows)
        cut = np.empty((block.n_rows, 3 * n))  # the slices of all columns, one beside the other
        rest = cut[:, 2 * n :]
        rest[:, :d] = block.X
        rest[:, d] = 1.0
        rest[:, d + 1 :] = block.y
        size = np.clip(power_of_two_above(np.abs(rest).max(axis=0)), *SIZES)
        size[d] = 1.0
        rest *= 1.0 / size
        if block.sample_weight is None:
            leading_slices(rest, 1.0, bits, (cut[:, :n], cut[:, n : 2 * n]))
            weighted, unit = cut, 1.0
        else:
            unit = power_of_two_above(block.sample_weight.max())
            high, low = two_product(rest, (block.sample_weight / unit)[:, None])
            leading_slices(rest, 1.0, bits, (cut[:, :n], cut[:, n : 2 * n]))
            weighted = np.concatenate([high, high, high], axis=1)
            leading_slices(weighted[:, 2 * n :], 1.0, bits, (weighted[:, :n], weighted[:, n : 2 * n]))
            weighted[:, 2 * n :] += low
        part = (cut.T @ weighted).reshape(3, n, 3, n).transpose(0, 2, 1, 3)
        high, error = two_sum(part[0, 0], part[0, 1] + part[1, 0])  # all of these are exact, also the sum
        high, low = two_sum(high, error + (part[0, 2] + part[2, 0] + part[1:, 1:].sum(axis=(0, 1))))
        return ExactProducts(d, block.n_rows, DoubleDouble(high * unit, low * unit), size)

    def moments(self) -> Moments:
        """Give the moments about the means."""
        high, low = self.products
        d = self.n_features
        total, sums = high[d, d], high[d]
        mean = sums / total
        whole, error = two_product(mean, total)
        rest = ((sums - whole) - error + (low[d] - mean * low[d, d])) / total
        whole, error = two_product(mean[:, None], sums)
        about = (high - whole) + (low - error - mean[:, None] * low[d] - rest[:, None] * sums)
        about = 0.5 * (about + about.T)
        np.fill_diagonal(about, np.maximum(about.diagonal(), 0.0))
        of_data = np.arange(len(sums)) != d
        unit = self.size[of_data]
        products = about[of_data][:, of_data]
        own = mean[of_data] * unit, unit, products, rest[of_data] * unit
        return Moments(d, True, self.n_rows, float(total), *own)

    def residuals(self, coef: DoubleDouble, n_targets: int) -> Residuals:
        """Give the sums over all rows at a solution, which may have more columns than y: those have y = 0."""
        d, n_columns = self.n_features, coef.high.shape[1]
        n = d + 1 + n_targets
        right = np.zeros((2, n, n_columns))
        right[0, : d + 1], right[1, : d + 1] = coef
        right[:, : d + 1] *= -self.size[: d + 1, None]
        targets = np.arange(n_targets)
        right[0, d + 1 + targets, targets] = self.size[d + 1 :]
        bits = slice_bits(2 * n)
        cut = np.empty((3, n, n))
        cut[2] = self.products.high
        leading_slices(cut[2], power_of_two_above(np.abs(cut[2]).max()), bits, cut[:2])
        cut[2] += self.products.low
        sums = product_of_slices(NUMPY, cut, DoubleDouble(*right), bits)
        squares = (right[0, :, :n_targets] * sums.high[:, :n_targets]).sum(axis=0)
        gradient = DoubleDouble(sums.high[: d + 1], sums.low[: d + 1])
        return Residuals(coef, self.size[:d], gradient, np.maximum(squares, 0.0))
