"""Single instructions that numba's Python lacks: constants of a value's type, fused products, a float32's bits."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic


@intrinsic
def like(typing: Any, value: Any, number: Any) -> Any:
    """Give ``number`` the type of ``value``: numba's literals would make float32 arithmetic float64."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return context.cast(builder, args[1], types.float64, value)

    return value(value, types.float64), generate


@intrinsic
def fma(typing: Any, a: Any, b: Any, c: Any) -> Any:
    """a·b + c in the type of ``a``, rounded once on processors that can, and always the same way on one processor."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind = context.get_value_type(a)
        name = f"llvm.fmuladd.{'f32' if a == types.float32 else 'f64'}"
        function = builder.module.declare_intrinsic(name, fnty=ir.FunctionType(kind, [kind] * 3))
        return builder.call(function, args)

    return a(a, a, a), generate


@intrinsic
def float32_to_bits(typing: Any, value: Any) -> Any:
    """Read the bits of a float32 as an int32."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.bitcast(args[0], ir.IntType(32))

    return types.int32(types.float32), generate


@intrinsic
def bits_to_float32(typing: Any, bits: Any) -> Any:
    """Read the bits of an int32 as a float32."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.bitcast(args[0], ir.FloatType())

    return types.float32(types.int32), generate
