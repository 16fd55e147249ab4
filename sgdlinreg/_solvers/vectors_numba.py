"""Vector instructions for numba: eight rows at a time multiplied with weights or added up, and fetched ahead.

Compiled loops over short rows spend more time on the checks around them than on products; here a row's last columns
are a masked vector, so that no number of columns is slow.
"""

from typing import Any

from llvmlite import binding, ir
from numba import config, types
from numba.extending import intrinsic

WIDE = bool(binding.get_host_cpu_features().get("avx512f", False))
VECTOR_BYTES = 64 if WIDE else 32
ROWS = 8
"""Rows that are worked on together."""
INDEX, FLAG = ir.IntType(64), ir.IntType(32)


def FLAGS(count):
    return ir.VectorType(FLAG, count)


def padded(n_columns: int, itemsize: int) -> int:
    """Columns of whole vectors that hold some columns."""
    lanes = VECTOR_BYTES // itemsize
    return -(-n_columns // lanes) * lanes


class _Vectors:
    """Vectors of one scalar type in one function that is being built."""

    def __init__(self, builder, dtype):
        self.builder = builder
        self.bits = dtype.bitwidth
        self.scalar: Any = ir.DoubleType() if self.bits == 64 else ir.FloatType()
        self.lanes = 8 * VECTOR_BYTES // self.bits
        self.type = ir.VectorType(self.scalar, self.lanes)
        self.zero = ir.Constant(self.type, None)
        self.name = f"v{self.lanes}f{self.bits}"

    def function(self, name, result, arguments):
        """Declare an instruction of LLVM's."""
        module = self.builder.module
        return module.globals.get(name) or ir.Function(module, ir.FunctionType(result, arguments), name)

    def spread(self, value, kind=None):
        """Put one value into all lanes."""
        kind = kind or self.type
        undefined = ir.Constant(kind, ir.Undefined)
        one = self.builder.insert_element(undefined, value, ir.Constant(FLAG, 0))
        everywhere = ir.Constant(ir.VectorType(FLAG, self.lanes), [0] * self.lanes)
        return self.builder.shuffle_vector(one, undefined, everywhere)

    def row_of(self, context, kind, array, row):
        """Address of a row of a contiguous array."""
        array = context.make_array(kind)(context, self.builder, array)
        n_columns = self.builder.extract_value(array.shape, 1)
        size = self.builder.mul(n_columns, ir.Constant(INDEX, self.bits // 8))
        first = self.builder.ptrtoint(array.data, INDEX)
        return self.builder.add(first, self.builder.mul(row, size))

    def elements(self, context, kind, array, first, count):
        """Load elements of a contiguous array."""
        data = context.make_array(kind)(context, self.builder, array).data
        places = (self.builder.add(first, ir.Constant(INDEX, k)) for k in range(count))
        return [self.builder.load(self.builder.gep(data, [place])) for place in places]

    def put(self, context, kind, array, first, values):
        """Store vectors one after the other into a contiguous array of this type."""
        data = context.make_array(kind)(context, self.builder, array).data
        for value in values:
            where = self.builder.bitcast(self.builder.gep(data, [first]), value.type.as_pointer())
            self.builder.store(value, where, align=self.bits // 8)
            first = self.builder.add(first, ir.Constant(INDEX, value.type.count))

    def start_of(self, context, kind, array):
        """Address of an array."""
        return self.builder.ptrtoint(context.make_array(kind)(context, self.builder, array).data, INDEX)

    def at(self, address, column):
        """Pointer to the vector at a column of the row at an address."""
        size = ir.Constant(INDEX, self.bits // 8)
        place = self.builder.add(address, self.builder.mul(column, size))
        return self.builder.inttoptr(place, self.type.as_pointer())

    def mask(self, count):
        """Lanes below a count."""
        lanes = ir.VectorType(FLAG, self.lanes)
        count = self.spread(self.builder.trunc(count, FLAG), lanes)
        return self.builder.icmp_signed("<", ir.Constant(lanes, list(range(self.lanes))), count)

    def load(self, pointer, mask):
        """Load a vector, or its lanes in a mask and zeros."""
        if mask is None:
            return self.builder.load(pointer, align=self.bits // 8)
        name = f"llvm.masked.load.{self.name}.p0"
        function = self.function(name, self.type, [pointer.type, FLAG, mask.type, self.type])
        return self.builder.call(function, [pointer, ir.Constant(FLAG, self.bits // 8), mask, self.zero])

    def store(self, value, pointer, mask):
        """Store a vector, or its lanes in a mask."""
        if mask is None:
            self.builder.store(value, pointer, align=self.bits // 8)
            return
        name = f"llvm.masked.store.{self.name}.p0"
        function = self.function(name, ir.VoidType(), [self.type, pointer.type, FLAG, mask.type])
        self.builder.call(function, [value, pointer, ir.Constant(FLAG, self.bits // 8), mask])

    def parts_of(self, value):
        """Cut a vector into vectors of this type, which may be of a longer dtype."""
        count = value.type.count // self.lanes
        if count == 1:
            return [value]
        lanes = (range(k * self.lanes, (k + 1) * self.lanes) for k in range(count))
        parts = [self.builder.shuffle_vector(value, value, ir.Constant(FLAGS(self.lanes), list(k))) for k in lanes]
        return [self.builder.fpext(part, self.type) for part in parts]

    def joined(self, parts):
        """Give the vector of this type that has been cut into parts."""
        if len(parts) == 1:
            return parts[0]
        lanes = ir.Constant(FLAGS(self.lanes), list(range(self.lanes)))
        short = ir.VectorType(self.scalar, self.lanes // 2)
        return self.builder.shuffle_vector(*(self.builder.fptrunc(part, short) for part in parts), lanes)

    def fetch(self, address, column):
        """Ask for the cache line of a column of the row at an address."""
        pointer = self.at(address, column)
        function = self.function("llvm.prefetch.p0", ir.VoidType(), [pointer.type, FLAG, FLAG, FLAG])
        self.builder.call(function, [pointer, FLAG(0), FLAG(3), FLAG(1)])

    def fma(self, one, other, total):
        """Multiply and add."""
        function = self.function(f"llvm.fma.{self.name}", self.type, [self.type] * 3)
        return self.builder.call(function, [one, other, total])

    def sums(self, values):
        """Sum of the lanes of each of some vectors, in one vector or more; there is a power of two of them.

        Halves are added up for pairs of vectors at a time, which takes a third of the instructions of one by one.
        """
        width = self.lanes
        while width > 1:
            half = width // 2
            pairs = list(zip(values[::2], values[1::2], strict=True)) if len(values) > 1 else [(values[0], values[0])]
            n_lanes = values[0].type.count * (2 if len(values) > 1 else 1)
            lower = [lane for lane in range(n_lanes) if lane % width < half]
            values = [self._halves_added(one, other, lower, half) for one, other in pairs]
            width = half
        return values

    def _halves_added(self, one, other, lower, half):
        """Add the lanes at ``lower`` of two vectors and those ``half`` further."""
        kind = ir.VectorType(FLAG, len(lower))
        parts = (ir.Constant(kind, [lane + by for lane in lower]) for by in (0, half))
        return self.builder.fadd(*(self.builder.shuffle_vector(one, other, part) for part in parts))

    def for_columns(self, n_columns, start, body):
        """Run ``body(column, mask, carried)`` over vectors of columns, the last one masked.

        What it gives is carried on to the next vector, and given at last.
        """
        builder = self.builder
        lanes = ir.Constant(INDEX, self.lanes)
        rest = builder.srem(n_columns, lanes)
        whole = builder.sub(n_columns, rest)
        before = builder.block
        head, inside, tail, masked, done = map(builder.append_basic_block, ("head", "whole", "tail", "masked", "done"))
        builder.branch(head)
        builder.position_at_end(head)
        column = builder.phi(INDEX)
        carried = [builder.phi(value.type) for value in start]
        column.add_incoming(ir.Constant(INDEX, 0), before)
        builder.cbranch(builder.icmp_signed("<", column, whole), inside, tail)
        builder.position_at_end(inside)
        after = body(column, None, carried)
        column.add_incoming(builder.add(column, lanes), builder.block)
        for phi, first, then in zip(carried, start, after, strict=True):
            phi.add_incoming(first, before)
            phi.add_incoming(then, builder.block)
        builder.branch(head)
        builder.position_at_end(tail)
        builder.cbranch(builder.icmp_signed(">", rest, ir.Constant(INDEX, 0)), masked, done)
        builder.position_at_end(masked)
        last = body(whole, self.mask(rest), carried)  # nothing in the mask changes from row to row
        end = builder.block
        builder.branch(done)
        builder.position_at_end(done)
        given = [builder.phi(value.type) for value in start]
        for phi, value, then in zip(given, carried, last, strict=True):
            phi.add_incoming(value, tail)
            phi.add_incoming(then, end)
        return given


def _multiplying(rows: int):
    """Make the instruction that multiplies so many rows."""

    def multiply_vectors(context: Any, addresses, first, ahead, n_columns, weights, target, products, place):
        """Products of the rows at some addresses with one row of ``weights``, an array of their dtype, padded.

        They start at ``first`` in the array of addresses, and at ``place`` in that of products.
        """
        dtype = weights.dtype

        def generate(context, builder, signature, arguments):
            vectors = _Vectors(builder, dtype)
            addresses, first, ahead, n_columns, weights, target, products, place = arguments
            later = vectors.elements(context, signature.args[0], addresses, ahead, rows)
            addresses = vectors.elements(context, signature.args[0], addresses, first, rows)
            weights = vectors.row_of(context, signature.args[4], weights, target)

            def last_of(column, mask):
                return builder.sub(n_columns if mask else builder.add(column, INDEX(vectors.lanes)), INDEX(1))

            for address in later:
                vectors.fetch(address, INDEX(0))

            def body(column, mask, sums):
                weight = vectors.load(vectors.at(weights, column), None)
                values = [vectors.load(vectors.at(address, column), mask) for address in addresses]
                for address in later:
                    vectors.fetch(address, last_of(column, mask))
                return [vectors.fma(value, weight, total) for value, total in zip(values, sums, strict=True)]

            sums = vectors.sums(vectors.for_columns(n_columns, [vectors.zero] * rows, body))
            vectors.put(context, signature.args[6], products, place, sums)
            return context.get_dummy_value()

        return types.void(addresses, *[types.intp] * 3, weights, types.intp, products, types.intp), generate

    return intrinsic(multiply_vectors)


def _adding(rows: int):
    """Make the instruction that adds so many rows."""

    def add_vectors(context: Any, addresses, first, n_columns, factors, place, totals, target):
        """Add the rows at some addresses, times as many factors, to one row of ``totals``, padded and of their dtype.

        They start at ``first`` in the array of addresses, and at ``place`` in that of factors.
        """
        dtype = totals.dtype

        def generate(context, builder, signature, arguments):
            vectors = _Vectors(builder, dtype)
            addresses, first, n_columns, factors, place, totals, target = arguments
            addresses = vectors.elements(context, signature.args[0], addresses, first, rows)
            factors = [
                vectors.spread(one) for one in vectors.elements(context, signature.args[3], factors, place, rows)
            ]
            total = vectors.row_of(context, signature.args[5], totals, target)

            def body(column, mask, carried):
                where = vectors.at(total, column)
                halves = [vectors.zero, vectors.zero]  # which need not wait for each other
                for k, (address, factor) in enumerate(zip(addresses, factors, strict=True)):
                    halves[k % 2] = vectors.fma(vectors.load(vectors.at(address, column), mask), factor, halves[k % 2])
                # the sum goes in last: waiting for what was stored before is what takes time
                vectors.store(builder.fadd(vectors.load(where, None), builder.fadd(*halves)), where, None)
                return carried

            vectors.for_columns(n_columns, [], body)
            return context.get_dummy_value()

        return types.void(addresses, types.intp, types.intp, factors, types.intp, totals, types.intp), generate

    return intrinsic(add_vectors)


def _step_of_vectors(context: Any, step_size, slope, l2, centre, inverse_scale, sums, coef, coef_sum, folded, target):
    """Do what `rows_numba.step_plainly` does.

    ``sums`` and ``folded`` are padded and of X's dtype, the other arrays float64. Columns are worked on in vectors of
    X's dtype, which are two of float64 if that is float32: what is read in whole vectors should be stored in such.
    """
    dtype = folded.dtype

    def generate(context, builder, signature, arguments):
        own, wide = _Vectors(builder, dtype), _Vectors(builder, types.float64)
        step_size, slope, l2 = (wide.spread(value) for value in arguments[:3])
        centre, inverse_scale = (wide.start_of(context, signature.args[k], arguments[k]) for k in (3, 4))
        rows = [wide.row_of(context, signature.args[k], arguments[k], arguments[9]) for k in (6, 7)]
        sums, folded = (own.row_of(context, signature.args[k], arguments[k], arguments[9]) for k in (5, 8))
        array = context.make_array(signature.args[3])(context, builder, arguments[3])
        n_columns = builder.extract_value(array.shape, 0)

        def step(total, column, mask, carried):
            c, inverse = (wide.load(wide.at(start, column), mask) for start in (centre, inverse_scale))
            places = [wide.at(row, column) for row in rows]
            coef, coef_sum = (wide.load(place, mask) for place in places)
            gradient = builder.fsub(total, builder.fmul(c, slope))
            gradient = wide.fma(builder.fmul(l2, coef), inverse, gradient)
            coef = builder.fsub(coef, builder.fmul(step_size, builder.fmul(gradient, inverse)))
            wide.store(coef, places[0], mask)
            wide.store(builder.fadd(coef_sum, coef), places[1], mask)
            weight = builder.fmul(coef, inverse)
            return weight, [wide.fma(c, weight, carried[0])]

        def body(column, mask, carried):
            total = own.load(own.at(sums, column), None)
            own.store(own.zero, own.at(sums, column), None)
            weights = []
            for k, part in enumerate(wide.parts_of(total)):
                place = builder.add(column, INDEX(k * wide.lanes))
                rest = mask and wide.mask(builder.sub(n_columns, place))
                weight, carried = step(part, place, rest, carried)
                weights.append(weight)
            own.store(own.joined(weights), own.at(folded, column), None)
            return carried

        offset = wide.sums(own.for_columns(n_columns, [wide.zero], body))[0]
        return builder.extract_element(offset, FLAG(0))

    arrays = centre, inverse_scale, sums, coef, coef_sum, folded
    return types.float64(*[types.float64] * 3, *arrays, types.intp), generate


def _fetch(context: Any, address):
    """Ask for the cache line at an address."""

    def generate(context, builder, signature, arguments):
        pointer = ir.PointerType(ir.IntType(8))
        function = _Vectors(builder, types.float64).function(
            "llvm.prefetch.p0", ir.VoidType(), [pointer, FLAG, FLAG, FLAG]
        )
        builder.call(function, [builder.inttoptr(arguments[0], pointer), FLAG(0), FLAG(2), FLAG(1)])
        return context.get_dummy_value()

    return types.void(types.int64), generate


multiply_eight: Any = _multiplying(ROWS)
multiply_four: Any = _multiplying(ROWS // 2)
add_eight: Any = _adding(ROWS)
add_four: Any = _adding(ROWS // 2)
step_of_vectors: Any = intrinsic(_step_of_vectors)
fetch: Any = (lambda address: None) if config.DISABLE_JIT else intrinsic(_fetch)  # type: ignore[attr-defined]
