"""What the compiled kernel does with rows of few columns: eight of them are turned into columns, in registers.

A product is then one multiplication for each column, without sums over a vector, and rows are read once for products
and sums both.
"""

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic, register_jitable

from sgdlinreg._solvers.lanes_numba import (
    COLUMNS,
    FOUR,
    LANES,
    PAIR,
    ROWS,
    WHOLE,
    lanes_of,
    load_four,
    store_lanes,
    sum_of_lanes,
)
from sgdlinreg._solvers.lookup_numba import fetch_blocks
from sgdlinreg._solvers.losses_numba import weigh
from sgdlinreg._solvers.vectors_numba import FLAG, INDEX, Vectors, spread

TUPLE: Any = types.UniTuple(LANES, COLUMNS)


def _turning(n_rows: int):
    """Make the instruction that reads so many rows, at most eight."""

    def columns_of_rows(context: Any, addresses, first, ahead, n_columns, like):
        """Give the columns of the rows at some addresses: zeros for rows and columns that are not there.

        As many rows, whose addresses start at ``ahead``, are fetched: they wait in the second cache, and a step would
        wait for them. ``like`` is an array of the rows' dtype.
        """
        dtype = like.dtype

        def generate(context, builder, signature, arguments):
            vectors = Vectors(builder, dtype, COLUMNS * dtype.bitwidth // 8)
            mask = vectors.mask(arguments[3])
            addresses, later = (
                vectors.elements(context, signature.args[0], arguments[0], place, n_rows) for place in arguments[1:3]
            )
            for address in later:
                vectors.fetch(address)
            rows = [vectors.load(vectors.at(address, INDEX(0)), mask) for address in addresses]
            rows += [vectors.zero] * (ROWS - n_rows)
            pairs = [
                vectors.joined_lanes(one, other) for one, other in zip(rows[:COLUMNS], rows[COLUMNS:], strict=True)
            ]
            columns = vectors.turned(pairs)
            if dtype.bitwidth < 64:
                columns = [builder.fpext(column, WHOLE) for column in columns]
            return context.make_tuple(builder, TUPLE, columns)

        return TUPLE(addresses, *[types.intp] * 3, like), generate

    return intrinsic(columns_of_rows)


def _no_columns(context: Any):
    """Give columns of zeros."""

    def generate(context, builder, signature, arguments):
        return context.make_tuple(builder, TUPLE, [ir.Constant(WHOLE, None)] * COLUMNS)

    return TUPLE(), generate


def _less_centre(context: Any, columns, centre):
    """Take the centre off columns."""

    def generate(context, builder, signature, arguments):
        columns, centre = arguments
        centres = (spread(builder, builder.extract_element(centre, FLAG(k)), WHOLE) for k in range(COLUMNS))
        moved = [builder.fsub(builder.extract_value(columns, k), one) for k, one in enumerate(centres)]
        return context.make_tuple(builder, TUPLE, moved)

    return TUPLE(columns, FOUR), generate


def _multiply_columns(context: Any, columns, weights):
    """Give the products of rows, turned into columns, with the weights of the columns."""

    def generate(context, builder, signature, arguments):
        wide = Vectors(builder, types.float64, 8 * ROWS)
        products = [wide.zero, wide.zero]  # which need not wait for each other
        for k in range(COLUMNS):
            weight = wide.spread(builder.extract_element(arguments[1], FLAG(k)))
            products[k % 2] = wide.fma(builder.extract_value(arguments[0], k), weight, products[k % 2])
        return builder.fadd(*products)

    return LANES(columns, FOUR), generate


def _no_centre(context: Any):
    """Give four zeros, which cost nothing."""

    def generate(context, builder, signature, arguments):
        return ir.Constant(FOUR.vector, None)

    return FOUR(), generate


def _add_to_columns(context: Any, totals, columns, factors):
    """Add columns, times a factor for each row, to columns."""

    def generate(context, builder, signature, arguments):
        wide = Vectors(builder, types.float64, 8 * ROWS)
        totals, columns = ([builder.extract_value(arguments[i], k) for k in range(COLUMNS)] for i in (0, 1))
        added = [wide.fma(arguments[2], one, total) for one, total in zip(columns, totals, strict=True)]
        return context.make_tuple(builder, TUPLE, added)

    return TUPLE(totals, columns, LANES), generate


def _sums_of_columns(context: Any, columns):
    """Give the sum over rows of each column."""

    def generate(context, builder, signature, arguments):
        columns = [builder.extract_value(arguments[0], k) for k in range(COLUMNS)]
        return Vectors(builder, types.float64, 8 * ROWS).sums(columns)[0]

    return FOUR(columns), generate


columns_of_eight: Any = _turning(ROWS)
columns_of_two: Any = _turning(PAIR)
less_centre: Any = intrinsic(_less_centre)
no_centre: Any = intrinsic(_no_centre)
no_columns: Any = intrinsic(_no_columns)
multiply_columns: Any = intrinsic(_multiply_columns)
add_to_columns: Any = intrinsic(_add_to_columns)
sums_of_columns: Any = intrinsic(_sums_of_columns)


@register_jitable(forceinline=True)
def weigh_columns(X, y, rows, group, order, reading, factor, loss, t, weights, intercept, centre):
    """Give the sums, one for each of eight rows, of slopes, of losses, and of rows times slopes, for one target.

    ``weights`` and ``intercept`` are those of target ``t``, on columns that ``centre`` has been taken off; the other
    arguments are those of `rows_numba.add_rows`.
    """
    first, last, known, position = group
    fetches = reading.by_block and position >= 0 and t == 0
    slope, value, totals = lanes_of(0.0), lanes_of(0.0), no_columns()
    k = first
    while k < last:
        end = min(k + reading.together, last)
        if fetches:
            fetch_blocks(X, y, order, position + k - first, end - k)
        while k < end:  # a range would count its steps first
            ahead = min(k + reading.ahead, known)
            if last - k > PAIR:
                columns = columns_of_eight(rows.addresses, k, ahead, X.shape[1], X)
            else:
                columns = columns_of_two(rows.addresses, k, ahead, X.shape[1], X)
            columns = less_centre(columns, centre)
            products = multiply_columns(columns, weights)
            slopes, losses = weigh(products, rows, k, last - k, t, intercept, factor, loss)
            slope, value = slope + slopes, value + losses
            totals = add_to_columns(totals, columns, slopes)
            k += ROWS
    return slope, value, totals


def add_narrow(X, y, rows, group, order, reading, factor, loss, scratch):
    """Do what `rows_numba.add_rows` does with dense rows of at most COLUMNS columns."""
    partial, sums = scratch.partial, scratch.sums
    for t in range(partial.shape[0]):
        slope, value, totals = weigh_columns(
            X, y, rows, group, order, reading, factor, loss, t, load_four(scratch.folded[t], 0), sums[0, t], no_centre()
        )
        sums[1, t] += sum_of_lanes(slope)
        sums[2, t] += sum_of_lanes(value)
        store_lanes(partial[t], 0, load_four(partial[t], 0) + sums_of_columns(totals))
