"""What vector instructions for numba are built from: vectors of columns, the last of which is masked."""

from typing import Any

from llvmlite import binding, ir
from numba import config, types
from numba.extending import intrinsic

WIDE = bool(binding.get_host_cpu_features().get("avx512f", False))
WIDEST_BYTES = 64
SHORT_BYTES = 32
VECTOR_BYTES = WIDEST_BYTES if WIDE else SHORT_BYTES
INDEX, FLAG = ir.IntType(64), ir.IntType(32)


def padded(n_columns: int, itemsize: int) -> int:
    """Columns of whole vectors that hold some columns; of the widest ones, as kernels may come from numba's cache."""
    lanes = WIDEST_BYTES // itemsize
    return -(-n_columns // lanes) * lanes


def spread(builder: Any, value: Any, kind: Any) -> Any:
    """Put one value into all lanes of a vector of a kind."""
    undefined = ir.Constant(kind, ir.Undefined)
    one = builder.insert_element(undefined, value, ir.Constant(FLAG, 0))
    return builder.shuffle_vector(one, undefined, ir.Constant(ir.VectorType(FLAG, kind.count), [0] * kind.count))


class Vectors:
    """Vectors of one scalar type, and of so many bytes, in one function that is being built."""

    def __init__(self, builder, dtype, n_bytes=VECTOR_BYTES):
        self.builder = builder
        self.bits = dtype.bitwidth
        self.scalar: Any = ir.DoubleType() if self.bits == 64 else ir.FloatType()
        self.lanes = 8 * n_bytes // self.bits
        self.type = ir.VectorType(self.scalar, self.lanes)
        self.zero = ir.Constant(self.type, None)
        self.name = f"v{self.lanes}f{self.bits}"

    def function(self, name, result, arguments):
        """Declare an instruction of LLVM's."""
        module = self.builder.module
        return module.globals.get(name) or ir.Function(module, ir.FunctionType(result, arguments), name)

    def spread(self, value):
        """Put one value into all lanes."""
        return spread(self.builder, value, self.type)

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

    def at(self, address, column):
        """Pointer to the vector at a column of the row at an address."""
        size = ir.Constant(INDEX, self.bits // 8)
        place = self.builder.add(address, self.builder.mul(column, size))
        return self.builder.inttoptr(place, self.type.as_pointer())

    def mask(self, count):
        """Lanes below a count."""
        lanes = ir.VectorType(FLAG, self.lanes)
        count = spread(self.builder, self.builder.trunc(count, FLAG), lanes)
        return self.builder.icmp_signed("<", ir.Constant(lanes, list(range(self.lanes))), count)

    def load(self, pointer, mask=None):
        """Load a vector, or its lanes in a mask and zeros."""
        if mask is None:
            return self.builder.load(pointer, align=self.bits // 8)
        name = f"llvm.masked.load.{self.name}.p0"
        function = self.function(name, self.type, [pointer.type, FLAG, mask.type, self.type])
        return self.builder.call(function, [pointer, ir.Constant(FLAG, self.bits // 8), mask, self.zero])

    def store(self, value, pointer):
        """Store a vector."""
        self.builder.store(value, pointer, align=self.bits // 8)

    def parts_of(self, value):
        """Cut a vector into vectors of this type, which may be of a longer dtype."""
        if value.type == self.type:
            return [value]
        lanes = (range(k * self.lanes, (k + 1) * self.lanes) for k in range(value.type.count // self.lanes))
        return [self.builder.fpext(self._shuffled(value, value, part), self.type) for part in lanes]

    def joined(self, parts):
        """Give the vector of this type that has been cut into parts."""
        if len(parts) == 1:
            return parts[0]
        short = ir.VectorType(self.scalar, self.lanes // 2)
        one, other = (self.builder.fptrunc(part, short) for part in parts)
        return self.joined_lanes(one, other)

    def in_lanes(self, vectors, count):
        """Join vectors to one of so many float64, with zeros at the end."""
        double = ir.DoubleType()
        values = [
            self.builder.fpext(one, ir.VectorType(double, one.type.count)) if self.bits < 64 else one for one in vectors
        ]
        while len(values) > 1:
            values = [self.joined_lanes(*pair) for pair in zip(values[::2], values[1::2], strict=True)]
        while values[0].type.count < count:
            values = [self.joined_lanes(values[0], ir.Constant(values[0].type, None))]
        return values[0]

    def fetch(self, address, column=None, level=3):
        """Ask for the cache line of a column of the row at an address; level 3 is the first cache, 2 the second."""
        pointer = self.at(address, INDEX(0) if column is None else column)
        pointer = self.builder.bitcast(pointer, ir.IntType(8).as_pointer())  # the same for vectors of any length
        function = self.function("llvm.prefetch.p0", ir.VoidType(), [pointer.type, FLAG, FLAG, FLAG])
        self.builder.call(function, [pointer, FLAG(0), FLAG(level), FLAG(1)])

    def fma(self, one, other, total):
        """Multiply and add."""
        function = self.function(f"llvm.fma.{self.name}", self.type, [self.type] * 3)
        return self.builder.call(function, [one, other, total])

    def sums(self, values):
        """Sum of the lanes of each of some vectors, in one vector or more; there is a power of two of them.

        Neighbours are added up for pairs of vectors at a time, which takes a third of the instructions of one by one:
        single lanes at first, which need not be moved far, then lanes that hold the sums of as many vectors.
        """
        group, lanes = 1, self.lanes
        while lanes > 1:
            n_together = min(len(values), 2)
            values = [
                self._neighbours_added(values[k : k + n_together], group) for k in range(0, len(values), n_together)
            ]
            group, lanes = group * n_together, lanes // 2
        return values

    def joined_lanes(self, one, other):
        """Put two vectors behind each other."""
        return self._shuffled(one, other, range(2 * one.type.count))

    def turned(self, pairs):
        """Turn four vectors, the halves of which are rows of four, into columns: the rows of first halves come first.

        In each half neighbouring lanes change places at first, then neighbouring pairs of lanes.
        """
        count = pairs[0].type.count
        lower = [lane for lane in range(count) if lane % 2 == 0]
        even, odd = ([lane + by for start in lower for lane in (start, start + count)] for by in (0, 1))
        of_two = [self._shuffled(pairs[k], pairs[k + 1], lanes) for k in (0, 2) for lanes in (even, odd)]
        left = [lane for half in range(0, count, 4) for start in (half, half + count) for lane in (start, start + 1)]
        right = [lane + 2 for lane in left]
        return [self._shuffled(of_two[k], of_two[k + 2], lanes) for lanes in (left, right) for k in (0, 1)]

    def _neighbours_added(self, vectors, group):
        """Add every second group of lanes to the one before; those of two vectors take turns."""
        count = vectors[0].type.count
        even = [
            start + k * count + lane
            for start in range(0, count, 2 * group)
            for k in range(len(vectors))
            for lane in range(group)
        ]
        parts = (self._shuffled(vectors[0], vectors[-1], [lane + by for lane in even]) for by in (0, group))
        return self.builder.fadd(*parts)

    def _shuffled(self, one, other, lanes):
        """Give some lanes of two vectors, counted on from the first to the second."""
        lanes = ir.Constant(ir.VectorType(FLAG, len(lanes)), list(lanes))
        return self.builder.shuffle_vector(one, other, lanes)

    def for_columns(self, n_columns, start, body, is_padded=False):
        """Run ``body(column, mask, carried)`` over vectors of columns, the last one masked unless columns are padded.

        What it gives is carried on to the next vector, and given at last.
        """
        builder = self.builder
        lanes = ir.Constant(INDEX, self.lanes)
        if is_padded:
            n_columns = builder.add(n_columns, builder.sub(lanes, INDEX(1)))
        rest = builder.srem(n_columns, lanes)
        whole = builder.sub(n_columns, rest)
        before = builder.block
        head, inside, tail = map(builder.append_basic_block, ("head", "whole", "tail"))
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
        if is_padded:
            return carried
        masked, done = map(builder.append_basic_block, ("masked", "done"))
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


def _fetch(context: Any, address):
    """Ask for the cache line at an address, in the second cache."""

    def generate(context, builder, signature, arguments):
        Vectors(builder, types.float64).fetch(arguments[0], level=2)
        return context.get_dummy_value()

    return types.void(types.int64), generate


fetch: Any = (lambda address: None) if config.DISABLE_JIT else intrinsic(_fetch)  # type: ignore[attr-defined]
