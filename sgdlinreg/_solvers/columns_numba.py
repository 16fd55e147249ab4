"""What the compiled kernel does with rows of few columns: eight of them are turned into columns, in registers.

A product is then one multiplication for each column, without sums over a vector, and rows are read once for products
and sums both.
"""

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic, register_jitable

from sgdlinreg._solvers.lanes_numba import LANES, ROWS, first_lanes, lanes_of, load_lanes, sum_of_lanes
from sgdlinreg._solvers.lookup_numba import fetch_blocks
from sgdlinreg._solvers.losses_numba import loss_slope, loss_value
from sgdlinreg._solvers.vectors_numba import INDEX, SHORT_BYTES, Vectors

COLUMNS = 4
"""Rows with more columns are not turned."""


def _load_columns(context: Any, addresses, first, n_columns, like):
    """Read the eight rows at some addresses, COLUMNS lanes, with zeros beyond the last column.

    ``like`` is an array of the rows' dtype.
    """
    dtype = like.dtype

    def generate(context, builder, signature, arguments):
        vectors = Vectors(builder, dtype, COLUMNS * dtype.bitwidth // 8)
        mask = vectors.mask(arguments[2])
        addresses = vectors.elements(context, signature.args[0], arguments[0], arguments[1], ROWS)
        rows = [vectors.load(vectors.at(address, INDEX(0)), mask) for address in addresses]
        pairs = [vectors.joined_lanes(one, other) for one, other in zip(rows[:COLUMNS], rows[COLUMNS:], strict=True)]
        columns = vectors.turned(pairs)
        if dtype.bitwidth < 64:
            columns = [builder.fpext(column, ir.VectorType(ir.DoubleType(), ROWS)) for column in columns]
        return context.make_tuple(builder, signature.return_type, columns)

    return types.UniTuple(LANES, COLUMNS)(addresses, types.intp, types.intp, like), generate


def _add_columns(context: Any, columns, totals, target):
    """Add the sum of the lanes of each column to one row of ``totals``, which is padded."""
    dtype = totals.dtype

    def generate(context, builder, signature, arguments):
        vectors = Vectors(builder, dtype, SHORT_BYTES)  # steps read such ones: of a part stored alone they would wait
        columns = [builder.extract_value(arguments[0], k) for k in range(COLUMNS)]
        sums = Vectors(builder, types.float64, 8 * ROWS).sums(columns)[0]
        if dtype.bitwidth < 64:
            sums = builder.fptrunc(sums, ir.VectorType(ir.FloatType(), COLUMNS))
            sums = vectors.joined_lanes(sums, ir.Constant(sums.type, None))
        place = vectors.at(vectors.row_of(context, signature.args[1], *arguments[1:]), INDEX(0))
        vectors.store(builder.fadd(vectors.load(place), sums), place)
        return context.get_dummy_value()

    return types.void(columns, totals, types.intp), generate


load_columns: Any = intrinsic(_load_columns)
add_columns: Any = intrinsic(_add_columns)


@register_jitable(forceinline=True)
def add_narrow(X, y, rows, group, order, reading, factor, loss, scratch):
    """Do what `rows_numba.add_rows` does with dense rows of at most COLUMNS columns."""
    first, last, _, position = group
    folded, sums = scratch.folded, scratch.sums
    for t in range(folded.shape[0]):
        slope, value = lanes_of(0.0), lanes_of(0.0)
        s0, s1, s2, s3 = lanes_of(0.0), lanes_of(0.0), lanes_of(0.0), lanes_of(0.0)
        w0, w1 = np.float64(folded[t, 0]), np.float64(folded[t, 1])
        w2, w3 = np.float64(folded[t, 2]), np.float64(folded[t, 3])
        begin = first
        while begin < last:
            end = min(begin + reading.together, last)
            if reading.by_block and position >= 0 and t == 0:
                fetch_blocks(X, y, order, position + begin - first, end - begin)
            for k in range(begin, end, ROWS):
                c0, c1, c2, c3 = load_columns(rows.addresses, k, X.shape[1], folded)
                products = (c0 * w0 + c1 * w1) + (c2 * w2 + c3 * w3)
                residual = products + sums[0, t] - load_lanes(rows.targets[t], k)
                residual = first_lanes(residual, last - k)  # the others are of a later batch; at 0 there is no loss
                weight = factor * load_lanes(rows.weights, k)
                own = weight * loss_slope(loss, residual)
                slope = slope + own
                value = value + weight * loss_value(loss, residual)
                s0, s1, s2, s3 = s0 + own * c0, s1 + own * c1, s2 + own * c2, s3 + own * c3
            begin = end
        sums[1, t] += sum_of_lanes(slope)
        sums[2, t] += sum_of_lanes(value)
        add_columns((s0, s1, s2, s3), scratch.partial, t)
