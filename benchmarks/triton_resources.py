"""What the GPU kernels take of a GPU, read from the compiled binaries: ``python -m benchmarks.triton_resources``.

No GPU is needed, and none is used: Triton compiles ahead of time. Every kernel that the library would launch for the
given shapes is compiled for every target, so that an error of type or size is seen, and a table shows registers per
thread, bytes of local memory per thread (spilled registers), and bytes of shared memory per program.
"""

from __future__ import annotations

import argparse
import importlib
import itertools
import multiprocessing
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import torch

Shape = tuple[int, ...]

TARGETS = {"sm_80": ("cuda", 80, 32), "sm_90": ("cuda", 90, 32), "gfx942": ("hip", "gfx942", 64)}
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
POINTERS = {
    torch.float32: "*fp32",
    torch.bfloat16: "*bf16",
    torch.float16: "*fp16",
    torch.uint8: "*u8",
    torch.int64: "*i64",
}

USUAL: tuple[Shape, ...] = ((32, 64, 112, 112), (32, 512, 28, 28), (32, 2048, 7, 7), (8, 64, 7, 7))
QUICK: tuple[Shape, ...] = ((32, 64, 56, 56), (8, 64, 7, 7))
"""In both layouts, the first split and the second resident."""
SPILL = 160  # bytes, in backward of the largest resident rows with an exponential; all others spill nothing
SETS = ("quick", "usual", "full")


class Request(NamedTuple):
    """A kernel with everything that it is compiled for; hashable, so that each is compiled once."""

    module: str
    kernel: str
    signature: tuple[tuple[str, str], ...]
    constants: tuple[tuple[str, Any], ...]
    warps: int

    def __str__(self) -> str:
        constants, types = dict(self.constants), dict(self.signature)
        dtype = types.get("x", "*fp32").removeprefix("*")
        tile = "x".join(str(constants[name]) for name in ("BN", "BC", "BS", "BP", "BK") if name in constants)
        form = {True: "rows", False: "planes", None: ""}[constants.get("ROWS")]
        extra = [name for name in ("residual", "mask") if types.get(name, "constexpr") != "constexpr"]
        words = (self.kernel, form, dtype, constants.get("ACTIVATION", ""), "+".join(extra), tile)
        return " ".join(word for word in words if word)


class Resources(NamedTuple):
    """Registers per thread, bytes of local memory per thread, and bytes of shared memory per program."""

    registers: int
    spilled: int
    shared: int


def requests(
    shapes: Iterable[Shape],
    dtypes: Iterable[str],
    activation: str = "relu",
    residual: bool = True,
    masked: bool = False,
) -> list[Request]:
    """What the library compiles for forward and backward of some shapes in both layouts, each once."""
    found: dict[Request, None] = {}
    for shape in shapes:
        for dtype in dtypes:
            for last in (False, True) if len(shape) == 4 else (False,):
                found |= dict.fromkeys(_launched(shape, DTYPES[dtype], last, activation, residual, masked))
    return list(found)


def _launched(
    shape: Shape, dtype: torch.dtype, last: bool, activation: str, residual: bool, masked: bool
) -> Iterator[Request]:
    """The launches of forward and backward, with tensors that have no values."""
    from normwise.ops.activations import activation as parse
    from normwise.ops.batch_norm import triton
    from normwise.ops.batch_norm.transform import Transform
    from normwise.ops.batch_norm.triton import launch

    x, r, g = (torch.empty(shape, dtype=dtype, device="meta") for _ in range(3))
    if last:
        x, r, g = (t.to(memory_format=torch.channels_last) for t in (x, r, g))
    vector = torch.empty(shape[1], device="meta")
    mask = torch.empty((shape[0], 1, *shape[2:]), dtype=torch.bool, device="meta") if masked else None
    transform = Transform(vector, vector, mask, 1e-5, parse(activation))
    calls: list[Request] = []
    before = launch.launch
    launch.launch = lambda kernel, programs, warps, given: calls.append(_request(kernel, warps, given))
    try:
        _, stats = triton.forward(x, r if residual else None, transform)
        triton.backward(g, x, r if residual else None, transform, stats)
        counts = torch.empty((1 + len(vector),), dtype=torch.int64, device="meta")
        triton.Updater(vector, vector, counts[0], counts[1:]).update(stats, None)
    finally:
        launch.launch = before
    yield from calls


def _request(kernel: Any, warps: int, given: dict[str, Any]) -> Request:
    constants = {name: value for name, value in given.items() if value is None or name.isupper()}
    signature = {name: "constexpr" if name in constants else _type(value) for name, value in given.items()}
    return Request(kernel.__module__, kernel.__name__, tuple(signature.items()), tuple(constants.items()), warps)


def _type(value: Any) -> str:
    if isinstance(value, torch.Tensor):
        return POINTERS[value.dtype]
    if isinstance(value, float):
        return "fp32"
    return "i64" if value >= 2**31 else "i32"


def resources(request: Request, target: str) -> Resources:
    """Compile, and read the binary."""
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    from normwise.ops.batch_norm.triton.kernels import VECTORS
    from normwise.ops.batch_norm.triton.launch import OPTIONS

    kernel = getattr(importlib.import_module(request.module), request.kernel)
    vectors = VECTORS.split()
    aligned = {
        (i,): [["tt.divisibility", 16]]
        for i, (name, kind) in enumerate(request.signature)
        if kind.startswith("*") and name not in vectors
    }
    source = ASTSource(kernel, dict(request.signature), dict(request.constants), aligned)
    compiled = triton.compile(
        source, target=GPUTarget(*TARGETS[target]), options={"num_warps": request.warps, **OPTIONS}
    )
    read = _of_nvidia if "cubin" in compiled.asm else _of_amd
    return read(compiled.asm, compiled.metadata.shared)


def _of_nvidia(code: dict[str, Any], shared: int) -> Resources:
    import triton

    tool = Path(triton.__file__).parent / "backends/nvidia/bin/cuobjdump"
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(code["cubin"])
        file.flush()
        command = [str(tool), "--dump-resource-usage", file.name]
        text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    registers, stack, local = (int(re.search(rf"{name}:(\d+)", text)[1]) for name in ("REG", "STACK", "LOCAL"))
    return Resources(registers, stack + local, shared)


def _of_amd(code: dict[str, Any], shared: int) -> Resources:
    text = code["amdgcn"]
    registers, local = (
        int(re.search(rf"\.{name}:\s+(\d+)", text)[1]) for name in ("vgpr_count", "private_segment_fixed_size")
    )
    return Resources(registers, local, shared)


def table(asked: Iterable[Request], targets: Iterable[str]) -> Iterator[tuple[Request, str, Resources]]:
    """The resources of each kernel on each target, compiled by a process per core."""
    pairs = list(itertools.product(asked, targets))
    with ProcessPoolExecutor(mp_context=multiprocessing.get_context("fork")) as pool:
        found = pool.map(resources, *zip(*pairs, strict=True), chunksize=3)
        yield from ((*pair, each) for pair, each in zip(pairs, found, strict=True))


def chosen(which: str) -> list[Request]:
    """What one of the ``SETS`` compiles."""
    from normwise.bench.cases import SHAPES
    from normwise.ops.activations import NAMES

    if which == "quick":
        masked = requests(((8, 64, 49),), ("bfloat16",), "gelu", residual=False, masked=True)
        return list(dict.fromkeys([*requests(QUICK, ("bfloat16",)), *masked]))
    shapes = USUAL if which == "usual" else [shape for family in SHAPES.values() for shape in family]
    found = requests(shapes, DTYPES if which == "full" else ("bfloat16", "float32"))
    found += requests(QUICK, ("bfloat16",), "gelu", residual=False, masked=True)
    for name in NAMES:
        found += requests(QUICK[1:], ("bfloat16",), name)
    return list(dict.fromkeys(found))


def main(arguments: list[str] | None = None) -> int:
    """Print the table; 1 where more is spilled than is allowed."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--set", choices=SETS, default="usual", help="how much is compiled (default usual)")
    parser.add_argument("--target", choices=TARGETS, action="append", help="one target only; may be repeated")
    parser.add_argument("--spill", type=int, default=SPILL, help=f"bytes a thread may spill (default {SPILL})")
    options = parser.parse_args(arguments)
    if os.environ.get("TRITON_INTERPRET") == "1":
        parser.error("TRITON_INTERPRET=1 is set, and an interpreted kernel cannot be compiled; unset it")
    print(f"{'kernel':<74} {'target':<7} {'warps':>5} {'registers':>9} {'spilled':>7} {'shared':>7}")
    worst = 0
    for request, target, found in table(chosen(options.set), options.target or TARGETS):
        worst = max(worst, found.spilled)
        numbers = f"{request.warps:>5} {found.registers:>9} {found.spilled:>7} {found.shared:>7}"
        print(f"{request!s:<74} {target:<7} {numbers}", flush=True)
    print(f"at most {worst} bytes per thread are spilled; allowed: {options.spill}")
    return int(worst > options.spill)


if __name__ == "__main__":
    sys.exit(main())
