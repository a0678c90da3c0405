"""From a numba kernel to machine code, once per machine: compiled at first use, then read from disk.

numba turns the kernel into LLVM's language, LLVM turns that into an object file, and the object file is kept. A process
that finds all its kernels on disk never imports numba. A file's name is a hash of everything that decides its content:
the kernel's name, the package's kernel sources, the versions of numba and LLVM, and the processor.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib
import os
import re
import threading
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import llvmlite.binding as llvm

from normwise.errors import NormwiseError
from normwise.ops import disk

ENTRY = "normwise_kernel"

# What a kernel may call: compiler intrinsics, memory functions of C, and its mathematical functions.
_ALLOWED = re.compile(r"llvm\.|mem(cpy|set|move)$|(exp|expm1|erf|erfc|tanh|sqrt|log1p)$")
_DIGEST = 32
_AROUND = ("__init__", "pages", "threads", "update", "work")  # sources that call kernels and are no part of them

_lock = threading.RLock()
_engines: list[Any] = []  # machine code lives as long as its engine


def compiled(name: str, build: Callable[[], Any]) -> int:
    """The address of a kernel: a C function that takes a pointer to its job and returns nothing.

    Args:
        name: what distinguishes this kernel from every other of the package.
        build: makes the kernel, a ``numba.cfunc``; called where no object file is found.
    """
    with _lock:
        file = _file(name)
        return _load(_find(file) or _made_once(file, build))


def _made_once(file: str, build: Callable[[], Any]) -> bytes:
    """The object code, from the process that is compiling the same kernel if there is one."""
    with disk.locked(file):
        return _find(file) or _make(file, build)


def _make(file: str, build: Callable[[], Any]) -> bytes:
    """Compile, and keep the object code; LLVM's part of the kernel is gone when this returns, under the lock."""
    with _unoptimized():
        kernel = build()
    code = _object_code(kernel)
    disk.write(file, hashlib.sha256(code).digest() + code)
    return code


if hasattr(os, "register_at_fork"):
    # A fork waits for a compilation in another thread, whose half of LLVM would be locked in the child for ever.
    os.register_at_fork(before=_lock.acquire, after_in_parent=_lock.release, after_in_child=_lock.release)


@functools.cache
def _fingerprint() -> str:
    """What all kernels depend on: their sources, numba, LLVM and the processor."""
    digest = hashlib.sha256()
    operators = Path(__file__).parents[1]
    for path in sorted([*operators.glob("cpu/*.py"), *operators.glob("*/cpu/*.py")]):
        if path.stem not in _AROUND:
            digest.update(path.read_bytes())
    about = (version("numba"), version("llvmlite"), llvm.get_process_triple(), llvm.get_host_cpu_name(), _features())
    return digest.hexdigest() + repr(about)


@functools.cache
def _features() -> str:
    return str(llvm.get_host_cpu_features().flatten())


def _file(name: str) -> str:
    return f"{hashlib.sha256((_fingerprint() + name).encode()).hexdigest()[:32]}.o"


def _find(file: str) -> bytes | None:
    """The object code from the first folder that has a good file of this name."""
    return next((code for content in disk.contents(file) if (code := _whole(content)) is not None), None)


def _whole(content: bytes) -> bytes | None:
    """The object code in what a file holds, or None where that is damaged."""
    digest, code = content[:_DIGEST], content[_DIGEST:]
    return code if code and hashlib.sha256(code).digest() == digest else None


@contextlib.contextmanager
def _unoptimized() -> Iterator[None]:
    """Let numba translate and not optimise: it would do that for each function of a kernel and in each caller again."""
    config: Any = importlib.import_module("numba.core.config")
    before = config.OPT
    config.OPT = config._OptLevel(0)
    try:
        yield
    finally:
        config.OPT = before


def _object_code(kernel: Any) -> bytes:
    module = llvm.parse_assembly(kernel.inspect_llvm() + _entry(kernel.native_name.removeprefix("cfunc.")))
    _drop_all_but_entry(module)
    foreign = [f.name for f in module.functions if f.is_declaration and not _ALLOWED.match(f.name)]
    if foreign:
        raise NormwiseError(f"the kernel calls {', '.join(foreign)}, which a process without numba lacks")
    _optimize(module)
    return bytes(_machine().emit_object(module))


def _optimize(module: Any) -> None:
    options = llvm.PipelineTuningOptions(speed_level=3)
    options.loop_vectorization = options.slp_vectorization = True
    builder = llvm.create_pass_builder(_machine(), options)
    builder.getModulePassManager().run(module, builder)


def _entry(function: str) -> str:
    """A C function around one of numba's, which wants room for a result and an exception; kernels have neither."""
    return f"""
define void @{ENTRY}(ptr %job) {{
  %result = alloca ptr
  %exception = alloca ptr
  %status = call i32 @{function}(ptr %result, ptr %exception, ptr %job)
  ret void
}}
"""


def _drop_all_but_entry(module: Any) -> None:
    """Remove numba's wrappers, which need numba at run time."""
    for function in module.functions:
        if not function.is_declaration and function.name != ENTRY:
            function.linkage = "internal"
    passes = llvm.create_new_module_pass_manager()
    passes.add_global_dead_code_eliminate_pass()
    passes.run(module, llvm.create_pass_builder(_machine(), llvm.PipelineTuningOptions(speed_level=0)))


@functools.cache
def _machine() -> Any:
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    target = llvm.Target.from_triple(llvm.get_process_triple())
    return target.create_target_machine(
        cpu=llvm.get_host_cpu_name(), features=_features(), opt=3, reloc="pic", codemodel="jitdefault", jit=True
    )


def _load(code: bytes) -> int:
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), _machine())
    engine.add_object_file(llvm.ObjectFileRef.from_data(code))
    engine.finalize_object()
    _engines.append(engine)
    return int(engine.get_function_address(ENTRY))
