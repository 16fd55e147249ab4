"""Values of compiled code that are eight numbers, one for each row that is worked on, or four, one for each column.

They know the arithmetic that losses are written in, so that their text serves them, too; a comparison gives ones and
zeros.
"""

import operator
from typing import Any

from llvmlite import ir
from numba import types
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import intrinsic, lower_builtin, lower_cast, models, register_model

from sgdlinreg._solvers.vectors_numba import spread

ROWS = 8
"""Rows that are worked on together."""
PAIR = 2
"""Rows that are worked on together where no more are left of a batch."""
COLUMNS = 4
"""Columns that are worked on together where there are no more."""
WHOLE = ir.VectorType(ir.DoubleType(), ROWS)


class LanesType(types.Type):
    """Type of some float64."""

    def __init__(self, count):
        self.vector = ir.VectorType(ir.DoubleType(), count)
        super().__init__(f"Lanes({count})")


LANES, FOUR = LanesType(ROWS), LanesType(COLUMNS)


@register_model(LanesType)
class _LanesModel(models.PrimitiveModel):
    def __init__(self, dmm, fe_type):
        super().__init__(dmm, fe_type, fe_type.vector)


@lower_cast(types.Number, LanesType)
@lower_cast(types.Boolean, LanesType)
def _spread_number(context, builder, kind, to, value):
    return spread(builder, context.cast(builder, value, kind, types.float64), to.vector)


def _compared(sign):
    def compare(builder, left, right):
        return builder.uitofp(builder.fcmp_ordered(sign, left, right), left.type)

    return compare


def _absolute(builder, value):
    name = f"llvm.fabs.v{value.type.count}f64"
    known = builder.module.globals.get(name)
    kind = ir.FunctionType(value.type, [value.type])
    return builder.call(known or ir.Function(builder.module, kind, name), [value])


OPERATIONS = {
    operator.add: lambda builder, left, right: builder.fadd(left, right),
    operator.sub: lambda builder, left, right: builder.fsub(left, right),
    operator.mul: lambda builder, left, right: builder.fmul(left, right),
    operator.truediv: lambda builder, left, right: builder.fdiv(left, right),
    operator.lt: _compared("<"),
    operator.le: _compared("<="),
    operator.gt: _compared(">"),
    abs: _absolute,
}


def _define(operation, generate):
    n_arguments = 1 if operation is abs else 2

    @infer_global(operation)
    class _Template(AbstractTemplate):
        def generic(self, args, kws):
            lanes = {one for one in args if isinstance(one, LanesType)}
            if len(lanes) == 1 and all(isinstance(one, LanesType | types.Number | types.Boolean) for one in args):
                return signature(*lanes, *[*lanes] * n_arguments)
            return None

    @lower_builtin(operation, *[LanesType] * n_arguments)
    def _lower(context, builder, sig, arguments):
        return generate(builder, *arguments)


for _operation, _generate in OPERATIONS.items():
    _define(_operation, _generate)


def _lanes_of(context: Any, value):
    """Put a number into eight lanes."""

    def generate(context, builder, sig, arguments):
        return spread(builder, arguments[0], WHOLE)

    return LANES(types.float64), generate


def _first_lanes(context: Any, lanes, count):
    """Give the first of eight lanes, and zeros after them."""

    def generate(context, builder, sig, arguments):
        counts = ir.VectorType(ir.IntType(64), ROWS)
        places = ir.Constant(counts, list(range(ROWS)))
        kept = builder.icmp_signed("<", places, spread(builder, arguments[1], counts))
        return builder.select(kept, arguments[0], ir.Constant(WHOLE, None))

    return LANES(lanes, types.intp), generate


def _sum_of_lanes(context: Any, lanes):
    """Add up the lanes, halves to halves."""

    def generate(context, builder, sig, arguments):
        value, width = arguments[0], arguments[0].type.count
        while width > 1:
            width //= 2
            halves = (
                ir.Constant(ir.VectorType(ir.IntType(32), width), [k + begin for k in range(width)])
                for begin in (0, width)
            )
            value = builder.fadd(*(builder.shuffle_vector(value, value, half) for half in halves))
        return builder.extract_element(value, ir.Constant(ir.IntType(32), 0))

    return types.float64(lanes), generate


def _place(context, builder, kind, where, count):
    """Pointer to so many numbers of an array from an index on, their vector's type, and the bytes of one."""
    array, index = where
    data = context.make_array(kind)(context, builder, array).data
    vector = ir.VectorType(ir.FloatType() if kind.dtype.bitwidth == 32 else ir.DoubleType(), count)
    return builder.bitcast(builder.gep(data, [index]), vector.as_pointer()), vector, kind.dtype.bitwidth // 8


def _loading(lanes: LanesType):
    """Make the instruction that reads lanes."""

    def load_lanes(context: Any, array, index):
        """Read as many numbers in a row of a contiguous array."""

        def generate(context, builder, sig, arguments):
            place, vector, align = _place(context, builder, sig.args[0], arguments, lanes.vector.count)
            value = builder.load(place, align=align)
            return value if vector == lanes.vector else builder.fpext(value, lanes.vector)

        return lanes(array, types.intp), generate

    return intrinsic(load_lanes)


def _store_lanes(context: Any, array, index, lanes):
    """Write lanes to a contiguous array, in its dtype."""

    def generate(context, builder, sig, arguments):
        value = arguments[2]
        place, vector, align = _place(context, builder, sig.args[0], arguments[:2], value.type.count)
        builder.store(value if vector == value.type else builder.fptrunc(value, vector), place, align=align)
        return context.get_dummy_value()

    return types.void(array, types.intp, lanes), generate


lanes_of: Any = intrinsic(_lanes_of)
first_lanes: Any = intrinsic(_first_lanes)
sum_of_lanes: Any = intrinsic(_sum_of_lanes)
load_lanes: Any = _loading(LANES)
load_four: Any = _loading(FOUR)
store_lanes: Any = intrinsic(_store_lanes)
