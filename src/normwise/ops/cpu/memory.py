"""What kernels need and numba's Python lacks: pointers from addresses, bfloat16 loads and stores, scratch, atomics.

A pointer to uint16 stands for bfloat16: ``load`` widens to float32, ``store`` rounds to the nearest, ties to even.

Outputs are new memory, in which no input and no scratch can lie: ``store_output`` and ``load_output`` say so to LLVM,
which else would compare all addresses before each loop, and leave a loop with many of them to scalar instructions.
"""

from __future__ import annotations

import functools
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from normwise.ops.cpu.part import part

POINTERS: dict[str, Any] = {
    "float32": types.CPointer(types.float32),
    "float64": types.CPointer(types.float64),
    "bfloat16": types.CPointer(types.uint16),
    "uint8": types.CPointer(types.uint8),
    "int64": types.CPointer(types.int64),
}
_WORD = ir.IntType(64)
_BITS = ir.IntType(32)


@functools.cache
def pointer_to(dtype: str) -> Any:
    """The kernel function ``pointer(address)`` that makes an integer a pointer to elements of ``dtype``."""
    kind = POINTERS[dtype]

    @intrinsic
    def pointer(typing: Any, address: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return builder.inttoptr(args[0], context.get_value_type(kind))

        return kind(types.int64), generate

    return pointer


@functools.cache
def scratch(dtype: str, count: int) -> Any:
    """The kernel function ``allocate()`` that gives ``count`` elements of ``dtype`` on the stack."""
    kind = POINTERS[dtype]

    @intrinsic
    def allocate(typing: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            element = context.get_value_type(kind.dtype)
            with builder.goto_entry_block():
                array = builder.alloca(ir.ArrayType(element, count))
                array.align = 64
            return builder.bitcast(array, element.as_pointer())

        return kind(), generate

    return allocate


def _load(about_aliases: str) -> Any:
    @intrinsic
    def load(typing: Any, pointer: Any, index: Any) -> Any:
        half = pointer.dtype == types.uint16
        result = types.float32 if half else pointer.dtype

        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            value = builder.load(builder.gep(args[0], [args[1]]))
            value.align = context.get_abi_alignment(value.type)
            value.set_metadata(about_aliases, _outputs(builder.module))
            if not half:
                return value
            return builder.bitcast(builder.shl(builder.zext(value, _BITS), ir.Constant(_BITS, 16)), ir.FloatType())

        return result(pointer, types.int64), generate

    return load


def _store(about_aliases: str) -> Any:
    @intrinsic
    def store(typing: Any, pointer: Any, index: Any, value: Any) -> Any:
        half = pointer.dtype == types.uint16
        kind = types.float32 if half else pointer.dtype

        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            value = _round_to_bfloat16(builder, args[2]) if half else args[2]
            written = builder.store(value, builder.gep(args[0], [args[1]]))
            written.align = context.get_abi_alignment(value.type)
            written.set_metadata(about_aliases, _outputs(builder.module))
            return context.get_dummy_value()

        return types.void(pointer, types.int64, kind), generate

    return store


def _outputs(module: Any) -> Any:
    """The set of memory regions that are outputs: one, by name."""
    domain = module.add_metadata([ir.MetaDataString(module, "normwise")])
    return module.add_metadata([module.add_metadata([ir.MetaDataString(module, "outputs"), domain])])


load, load_output = _load("noalias"), _load("alias.scope")
"""``load(pointer, index)`` reads ``pointer[index]``; bfloat16 as float32."""

store, store_output = _store("noalias"), _store("alias.scope")
"""``store(pointer, index, value)`` writes it; as bfloat16 rounded to the nearest, ties to even, NaN kept."""


def _round_to_bfloat16(builder: Any, value: Any) -> Any:
    def constant(number: int) -> Any:
        return ir.Constant(_BITS, number)

    bits = builder.bitcast(value, _BITS)
    tie = builder.and_(builder.lshr(bits, constant(16)), constant(1))
    rounded = builder.add(bits, builder.add(tie, constant(0x7FFF)))
    is_nan = builder.fcmp_unordered("uno", value, value)
    kept = builder.select(is_nan, constant(0x7FC00000), rounded)
    return builder.trunc(builder.lshr(kept, constant(16)), ir.IntType(16))


def _prefetch(to_write: bool) -> Any:
    @intrinsic
    def ask(typing: Any, pointer: Any, index: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            place = builder.bitcast(builder.gep(args[0], [args[1]]), ir.IntType(8).as_pointer())
            kind = ir.FunctionType(ir.VoidType(), [place.type, _BITS, _BITS, _BITS])
            function = builder.module.declare_intrinsic("llvm.prefetch", [place.type], kind)
            builder.call(function, [place, _BITS(int(to_write)), _BITS(3), _BITS(1)])  # near, into the data cache
            return context.get_dummy_value()

        return types.void(pointer, types.int64), generate

    return ask


_to_read, _to_write = _prefetch(False), _prefetch(True)
_LINE = 64  # bytes
_FAR = 4096  # bytes that are asked for at most: the processor itself goes on from there


@functools.cache
def prefetcher(dtype: str, to_write: bool = False) -> Any:
    """The kernel function ``prefetch(pointer, index, count)``, which asks for elements before they are used.

    A processor foresees that the next bytes of a run will be read, and not where the next run begins. Nothing needs to
    lie at the addresses.
    """
    ask = _to_write if to_write else _to_read
    size = POINTERS[dtype].dtype.bitwidth // 8
    step, far = _LINE // size, _FAR // size

    @part(forceinline=True)
    def prefetch(pointer: Any, index: Any, count: Any) -> None:
        for i in range(0, min(count, far), step):
            ask(pointer, index + i)

    return prefetch


@intrinsic
def count_up(typing: Any, pointer: Any, index: Any) -> Any:
    """Add 1 to the int64 ``pointer[index]`` and return what it was, as one step that no other thread can divide.

    What a thread wrote before it counts is visible to whoever counts after it.
    """

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.atomic_rmw("add", builder.gep(args[0], [args[1]]), ir.Constant(_WORD, 1), "acq_rel")

    return types.int64(pointer, types.int64), generate


@intrinsic
def real(typing: Any, word: Any) -> Any:
    """Read the 64 bits of an int64 as a float64."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.bitcast(args[0], ir.DoubleType())

    return types.float64(types.int64), generate
