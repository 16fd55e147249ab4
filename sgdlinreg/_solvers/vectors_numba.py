"""Vector instructions for numba: four rows at a time multiplied with weights or added up, and fetched ahead.

Compiled loops over short rows spend more time on the checks around them than on products; here a row's last columns
are a masked vector, so that no number of columns is slow.
"""

from typing import Any

from llvmlite import binding, ir
from numba import config, types
from numba.extending import intrinsic

WIDE = bool(binding.get_host_cpu_features().get("avx512f", False))
VECTOR_BYTES = 64 if WIDE else 32
INDEX, FLAG = ir.IntType(64), ir.IntType(32)


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

    def fma(self, one, other, total):
        """Multiply and add."""
        function = self.function(f"llvm.fma.{self.name}", self.type, [self.type] * 3)
        return self.builder.call(function, [one, other, total])

    def sum(self, value):
        """Sum of the lanes."""
        function = self.function(f"llvm.vector.reduce.fadd.{self.name}", self.scalar, [self.scalar, self.type])
        return self.builder.call(function, [ir.Constant(self.scalar, 0.0), value], fastmath=("reassoc",))

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


def _multiply_four(context: Any, a, b, c, d, n_columns, weights, target):
    """Products of the rows at four addresses with one row of ``weights``, an array of their dtype, padded."""
    dtype = weights.dtype

    def generate(context, builder, signature, arguments):
        vectors = _Vectors(builder, dtype)
        *addresses, n_columns, weights, target = arguments
        weights = vectors.row_of(context, signature.args[5], weights, target)

        def body(column, mask, sums):
            weight = vectors.load(vectors.at(weights, column), None)
            rows = [vectors.load(vectors.at(address, column), mask) for address in addresses]
            return [vectors.fma(row, weight, total) for row, total in zip(rows, sums, strict=True)]

        sums = vectors.for_columns(n_columns, [vectors.zero] * 4, body)
        return context.make_tuple(builder, signature.return_type, [vectors.sum(total) for total in sums])

    return types.UniTuple(dtype, 4)(*[types.intp] * 5, weights, types.intp), generate


def _add_four(context: Any, a, b, c, d, n_columns, p, q, r, s, totals, target):
    """Add the rows at four addresses, times four factors, to one row of ``totals``, an array of their dtype, padded."""
    dtype = totals.dtype

    def generate(context, builder, signature, arguments):
        vectors = _Vectors(builder, dtype)
        addresses, n_columns, factors = arguments[:4], arguments[4], [vectors.spread(one) for one in arguments[5:9]]
        total = vectors.row_of(context, signature.args[9], *arguments[9:])

        def body(column, mask, carried):
            where = vectors.at(total, column)
            value = vectors.zero
            for address, factor in zip(addresses, factors, strict=True):
                value = vectors.fma(vectors.load(vectors.at(address, column), mask), factor, value)
            # the sum goes in last: waiting for what was stored before is what takes time
            builder.store(builder.fadd(vectors.load(where, None), value), where, align=vectors.bits // 8)
            return carried

        vectors.for_columns(n_columns, [], body)
        return context.get_dummy_value()

    return types.void(*[types.intp] * 5, *[dtype] * 4, totals, types.intp), generate


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


multiply_four: Any = intrinsic(_multiply_four)
add_four: Any = intrinsic(_add_four)
fetch: Any = (lambda address: None) if config.DISABLE_JIT else intrinsic(_fetch)  # type: ignore[attr-defined]
