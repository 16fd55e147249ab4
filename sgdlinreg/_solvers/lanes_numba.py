"""A value of compiled code that is eight numbers, one for each of the rows that are worked on together.

It knows the arithmetic that losses are written in, so that their text serves it, too; a comparison gives ones and
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
WHOLE = ir.VectorType(ir.DoubleType(), ROWS)
COUNTS = ir.VectorType(ir.IntType(64), ROWS)


class LanesType(types.Type):
    """Type of eight float64."""

    def __init__(self):
        super().__init__("Lanes")


LANES = LanesType()


@register_model(LanesType)
class _LanesModel(models.PrimitiveModel):
    def __init__(self, dmm, fe_type):
        super().__init__(dmm, fe_type, WHOLE)


@lower_cast(types.Number, LanesType)
@lower_cast(types.Boolean, LanesType)
def _spread_number(context, builder, kind, to, value):
    return spread(builder, context.cast(builder, value, kind, types.float64), WHOLE)


def _compared(sign):
    def compare(builder, left, right):
        return builder.uitofp(builder.fcmp_ordered(sign, left, right), WHOLE)

    return compare


def _absolute(builder, value):
    name = f"llvm.fabs.v{ROWS}f64"
    known = builder.module.globals.get(name)
    return builder.call(known or ir.Function(builder.module, ir.FunctionType(WHOLE, [WHOLE]), name), [value])


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
            if LANES in args and all(isinstance(one, LanesType | types.Number | types.Boolean) for one in args):
                return signature(LANES, *[LANES] * n_arguments)
            return None

    @lower_builtin(operation, *[LanesType] * n_arguments)
    def _lower(context, builder, sig, arguments):
        return generate(builder, *arguments)


for _operation, _generate in OPERATIONS.items():
    _define(_operation, _generate)


def _lanes_of(context: Any, value):
    """Put a number into all lanes."""

    def generate(context, builder, sig, arguments):
        return spread(builder, arguments[0], WHOLE)

    return LANES(types.float64), generate


def _first_lanes(context: Any, lanes, count):
    """Give the first lanes, and zeros after them."""

    def generate(context, builder, sig, arguments):
        places = ir.Constant(COUNTS, list(range(ROWS)))
        kept = builder.icmp_signed("<", places, spread(builder, arguments[1], COUNTS))
        return builder.select(kept, arguments[0], ir.Constant(WHOLE, None))

    return LANES(lanes, types.intp), generate


def _sum_of_lanes(context: Any, lanes):
    """Add up the lanes, halves to halves."""

    def generate(context, builder, sig, arguments):
        value, width = arguments[0], ROWS
        while width > 1:
            width //= 2
            halves = (
                ir.Constant(ir.VectorType(ir.IntType(32), width), [k + begin for k in range(width)])
                for begin in (0, width)
            )
            value = builder.fadd(*(builder.shuffle_vector(value, value, half) for half in halves))
        return builder.extract_element(value, ir.Constant(ir.IntType(32), 0))

    return types.float64(lanes), generate


def _place(context, builder, kind, array, index):
    """Pointer to the lanes that start at an index of a contiguous array, and its scalar type."""
    data = context.make_array(kind)(context, builder, array).data
    return builder.gep(data, [index]), kind.dtype.bitwidth


def _load_lanes(context: Any, array, index):
    """Read eight numbers in a row of a contiguous array of float64."""

    def generate(context, builder, sig, arguments):
        place, _ = _place(context, builder, sig.args[0], *arguments)
        return builder.load(builder.bitcast(place, WHOLE.as_pointer()), align=8)

    return LANES(array, types.intp), generate


def _store_lanes(context: Any, array, index, lanes):
    """Write eight numbers, in the array's dtype."""

    def generate(context, builder, sig, arguments):
        place, bits = _place(context, builder, sig.args[0], *arguments[:2])
        value = arguments[2]
        if bits == 32:
            value = builder.fptrunc(value, ir.VectorType(ir.FloatType(), ROWS))
        builder.store(value, builder.bitcast(place, value.type.as_pointer()), align=bits // 8)
        return context.get_dummy_value()

    return types.void(array, types.intp, lanes), generate


lanes_of: Any = intrinsic(_lanes_of)
first_lanes: Any = intrinsic(_first_lanes)
sum_of_lanes: Any = intrinsic(_sum_of_lanes)
load_lanes: Any = intrinsic(_load_lanes)
store_lanes: Any = intrinsic(_store_lanes)
