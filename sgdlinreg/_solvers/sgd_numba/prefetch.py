"""Ask for memory before it is needed: the one instruction that numba has no word for."""

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic, overload


def prefetch(array, offset):
    """Bring the cache line ``offset`` bytes after the start of an array into the cache; without numba do nothing."""


def _prefetch(context, array, offset):
    def generate(target, builder, signature, arguments):
        start = target.make_array(signature.args[0])(target, builder, arguments[0]).data
        address = builder.gep(builder.bitcast(start, ir.IntType(8).as_pointer()), [arguments[1]])
        flag = ir.IntType(32)
        function_type = ir.FunctionType(ir.VoidType(), [address.type, flag, flag, flag])
        function = builder.module.declare_intrinsic("llvm.prefetch", [address.type], function_type)
        builder.call(function, [address, flag(0), flag(2), flag(1)])  # data to read, soon: into the second-level cache

    return types.void(array, types.intp), generate


_instruction: Any = intrinsic(_prefetch)


@overload(prefetch, jit_options={"forceinline": True})
def _compiled_prefetch(array, offset):
    return lambda array, offset: _instruction(array, offset)
