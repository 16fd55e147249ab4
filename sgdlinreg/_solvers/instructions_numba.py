"""Instructions on rows for numba: multiply some with weights, add some up, take a step.

Compiled loops over short rows spend more time on the checks around them than on products; here a row's last columns
are a masked vector, so that no number of columns is slow. Short rows are read in shorter vectors, of which fewer cross
a line of the cache.
"""

from typing import Any

from numba import types
from numba.extending import intrinsic

from sgdlinreg._solvers.lanes_numba import LANES, PAIR, ROWS
from sgdlinreg._solvers.vectors_numba import FLAG, INDEX, SHORT_BYTES, VECTOR_BYTES, WIDEST_BYTES, Vectors


def _fetching(vectors, later, n_columns):
    """Make what fetches the lines of some rows: the first one at once, and one more for each 64 bytes of columns."""
    builder = vectors.builder
    for address in later:
        vectors.fetch(address)

    def fetch_before(after):
        for address in later:
            vectors.fetch(address, builder.sub(after, INDEX(1)))

    def fetch(column, mask):
        after = n_columns if mask else builder.add(column, INDEX(vectors.lanes))
        if mask or vectors.lanes * vectors.bits == 8 * WIDEST_BYTES:
            fetch_before(after)
        else:
            second = builder.icmp_signed("!=", builder.and_(column, INDEX(vectors.lanes)), INDEX(0))
            with builder.if_then(builder.or_(second, builder.icmp_signed("==", after, n_columns))):
                fetch_before(after)

    return fetch


def _multiplying(rows: int, n_bytes: int):
    """Make the instruction that multiplies so many rows, in vectors of so many bytes."""

    def multiply_vectors(context: Any, addresses, first, ahead, n_columns, weights, target):
        """Give products of the rows at some addresses with one row of ``weights``, an array of their dtype, padded.

        They start at ``first`` in the array of addresses. On the way the first half of as many rows is fetched whose
        addresses start at ``ahead``; the other half is fetched when the rows are added.
        """
        dtype = weights.dtype

        def generate(context, builder, signature, arguments):
            vectors = Vectors(builder, dtype, n_bytes)
            addresses, first, ahead, n_columns, weights, target = arguments
            later = vectors.elements(context, signature.args[0], addresses, ahead, rows // 2)
            addresses = vectors.elements(context, signature.args[0], addresses, first, rows)
            weights = vectors.row_of(context, signature.args[4], weights, target)
            fetch = _fetching(vectors, later, n_columns)

            def body(column, mask, sums):
                weight = vectors.load(vectors.at(weights, column))
                values = [vectors.load(vectors.at(address, column), mask) for address in addresses]
                fetch(column, mask)
                return [vectors.fma(value, weight, total) for value, total in zip(values, sums, strict=True)]

            sums = vectors.sums(vectors.for_columns(n_columns, [vectors.zero] * rows, body))
            return vectors.in_lanes(sums, ROWS)

        return LANES(addresses, *[types.intp] * 3, weights, types.intp), generate

    return intrinsic(multiply_vectors)


def _adding(rows: int, n_bytes: int):
    """Make the instruction that adds so many rows, in vectors of so many bytes."""

    def add_vectors(context: Any, addresses, first, ahead, n_columns, factors, place, totals, target):
        """Add the rows at some addresses, times as many factors, to one row of ``totals``, padded and of their dtype.

        They start at ``first`` in the array of addresses, and at ``place`` in that of factors. On the way the second
        half of as many rows is fetched whose addresses start at ``ahead``.
        """
        dtype = totals.dtype

        def generate(context, builder, signature, arguments):
            vectors = Vectors(builder, dtype, n_bytes)
            addresses, first, ahead, n_columns, factors, place, totals, target = arguments
            half = builder.add(ahead, INDEX(rows // 2))
            later = vectors.elements(context, signature.args[0], addresses, half, rows // 2)
            addresses = vectors.elements(context, signature.args[0], addresses, first, rows)
            factors = [
                vectors.spread(one) for one in vectors.elements(context, signature.args[4], factors, place, rows)
            ]
            total = vectors.row_of(context, signature.args[6], totals, target)
            fetch = _fetching(vectors, later, n_columns)

            def body(column, mask, carried):
                where = vectors.at(total, column)
                halves = [vectors.zero, vectors.zero]  # which need not wait for each other
                for k, (address, factor) in enumerate(zip(addresses, factors, strict=True)):
                    halves[k % 2] = vectors.fma(vectors.load(vectors.at(address, column), mask), factor, halves[k % 2])
                # the sum goes in last: waiting for what was stored before is what takes time
                vectors.store(builder.fadd(vectors.load(where), builder.fadd(*halves)), where)
                fetch(column, mask)
                return carried

            vectors.for_columns(n_columns, [], body)
            return context.get_dummy_value()

        return types.void(addresses, *[types.intp] * 3, factors, types.intp, totals, types.intp), generate

    return intrinsic(add_vectors)


def _stepping(n_bytes: int):
    """Make the instruction that takes a plain step, in vectors of so many bytes: those in which rows are added."""

    def step_of_vectors(context: Any, n_columns, step_size, slope, l2, around, sums, coef, coef_sum, folded, target):
        """Do what `rows_numba.step_plainly` does.

        All arrays are padded, and as many vectors are worked on as hold ``n_columns``. ``sums`` and ``folded`` are of
        X's dtype, the others float64. Columns are worked on in vectors of X's dtype, which are two of float64 if that
        is float32: what is read in whole vectors should be stored in such.
        """
        dtype = folded.dtype

        def generate(context, builder, signature, arguments):
            own, wide = Vectors(builder, dtype, n_bytes), Vectors(builder, types.float64, n_bytes)
            n_columns, target = arguments[0], arguments[9]
            step_size, slope, l2 = (wide.spread(value) for value in arguments[1:4])
            centre, inverse_scale, ratio = (
                wide.row_of(context, signature.args[4], arguments[4], INDEX(k)) for k in range(3)
            )
            rows = [wide.row_of(context, signature.args[k], arguments[k], target) for k in (6, 7)]
            sums, folded = (own.row_of(context, signature.args[k], arguments[k], target) for k in (5, 8))

            def step(total, column, carried):
                c, inverse, r = (wide.load(wide.at(start, column)) for start in (centre, inverse_scale, ratio))
                places = [wide.at(row, column) for row in rows]
                coef, coef_sum = (wide.load(place) for place in places)
                # what does not wait for the rows is computed on the side
                penalised = wide.fma(builder.fmul(l2, coef), inverse, total)
                back = builder.fmul(step_size, inverse)
                gradient = wide.fma(builder.fneg(c), slope, penalised)
                coef = wide.fma(builder.fneg(back), gradient, coef)
                wide.store(coef, places[0])
                wide.store(builder.fadd(coef_sum, coef), places[1])
                return builder.fmul(coef, inverse), [wide.fma(r, coef, carried[0])]

            def body(column, mask, carried):
                total = own.load(own.at(sums, column))
                own.store(own.zero, own.at(sums, column))
                weights = []
                for k, part in enumerate(wide.parts_of(total)):
                    weight, carried = step(part, builder.add(column, INDEX(k * wide.lanes)), carried)
                    weights.append(weight)
                own.store(own.joined(weights), own.at(folded, column))
                return carried

            offset = wide.sums(own.for_columns(n_columns, [wide.zero], body, is_padded=True))[0]
            return builder.extract_element(offset, FLAG(0))

        arrays = around, sums, coef, coef_sum, folded
        return types.float64(types.intp, *[types.float64] * 3, *arrays, types.intp), generate

    return intrinsic(step_of_vectors)


multiply_eight: Any = _multiplying(ROWS, SHORT_BYTES)
multiply_two: Any = _multiplying(PAIR, SHORT_BYTES)
add_eight: Any = _adding(ROWS, SHORT_BYTES)
add_two: Any = _adding(PAIR, SHORT_BYTES)
multiply_eight_long: Any = _multiplying(ROWS, VECTOR_BYTES)
multiply_two_long: Any = _multiplying(PAIR, VECTOR_BYTES)
add_eight_long: Any = _adding(ROWS, VECTOR_BYTES)
add_two_long: Any = _adding(PAIR, VECTOR_BYTES)
step_of_vectors: Any = _stepping(SHORT_BYTES)
step_of_long_vectors: Any = _stepping(VECTOR_BYTES)
