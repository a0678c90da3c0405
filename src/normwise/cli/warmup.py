"""``normwise warmup``."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Annotated

import typer
from typer import Argument, Option

from normwise.cli import console
from normwise.errors import RequestError


def warmup(
    activations: Annotated[
        list[str] | None, Argument(metavar="[NAME]...", help="What follows the layers; by default the usual ones.")
    ] = None,
    dtype: Annotated[
        list[str] | None,
        Option(metavar="NAME", help="float32, float64 or bfloat16, on a GPU float16 too; repeat for more. [float32]"),
    ] = None,
    shape: Annotated[
        list[str] | None,
        Option(metavar="SHAPE", help="Compile the kernels for this GPU that such inputs need; repeat for more."),
    ] = None,
    tune: Annotated[
        bool, Option("--tune", help="Time the ways to compute these shapes, and keep the quickest.")
    ] = False,
) -> None:
    """Compile kernels now instead of at their first call, and keep them on disk.

    Those for the CPU lie in ~/.cache/normwise, or where NORMWISE_CACHE says: set it in an image that is built once and
    run often. Who runs it needs to own that directory, or root does; others must not be able to write to it.
    With --shape, the kernels for the GPU are compiled, which Triton keeps; NORMWISE_TRITON=1 lets layers take them.

    Example: normwise warmup relu silu
    """
    if shape:
        _on_the_gpu(shape, activations, dtype or ["float32"], tune)
    elif tune:
        raise RequestError("--tune needs shapes to time; give one or more, for example --shape 128x256x56x56")
    else:
        _on_the_cpu(activations, dtype or ["float32"])


def _on_the_cpu(activations: Sequence[str] | None, dtypes: Sequence[str]) -> None:
    import torch

    from normwise.ops import disk
    from normwise.ops.batch_norm.cpu import DTYPES
    from normwise.ops.batch_norm.warmup import COMMON, kernels, warmup

    _check(dtypes, DTYPES.values())
    asked = kernels(activations or COMMON, [getattr(torch, name) for name in dtypes])
    with console.bar() as update:
        for done, kernel in enumerate(warmup(asked)):
            update(str(kernel), done + 1, len(asked))
    where = disk.directory()
    kept = (
        f"kept in {where}" if where else "but no directory is writable for you alone: set NORMWISE_CACHE to one that is"
    )
    typer.echo(f"{len(asked)} kernels are compiled, {kept}")


def _on_the_gpu(shapes: Sequence[str], activations: Sequence[str] | None, dtypes: Sequence[str], tune: bool) -> None:
    import torch

    from normwise.bench.cases import read_shape
    from normwise.ops.batch_norm.choice import TRITON, wants_triton
    from normwise.ops.batch_norm.triton import DTYPES, obstacle
    from normwise.ops.batch_norm.warmup import COMMON, launch, layers

    _check(dtypes, [str(dtype).removeprefix("torch.") for dtype in DTYPES])
    asked = layers(map(read_shape, shapes), activations or COMMON, [getattr(torch, name) for name in dtypes])
    if not torch.cuda.is_available():
        raise RequestError(
            "--shape compiles kernels for a GPU, and torch sees none; leave it out for those for the CPU"
        )
    if reason := obstacle(torch.empty(0, device="cuda")):
        raise RequestError(f"--shape compiles kernels for a GPU, which cannot run: {reason}")
    if not wants_triton():
        raise RequestError(f"--shape compiles kernels that no layer takes unless {TRITON}=1 is set; set it")
    if tune:
        _tune(shapes, dtypes)
    with console.bar() as update:
        for done, layer in enumerate(launch(asked)):
            update(str(layer), done + 1, len(asked))
    typer.echo(f"the kernels of {len(asked)} layers are compiled, kept by Triton")


def _tune(shapes: Sequence[str], dtypes: Sequence[str]) -> None:
    from normwise.bench.cases import TRAIN, Case, layouts, read_shape
    from normwise.bench.gpu.device import device
    from normwise.bench.gpu.tune import asked, tune

    cases = [  # what follows the normalization is no part of a problem
        Case(shape, layout, "bn+relu", TRAIN, dtype)
        for shape in map(read_shape, shapes)
        for dtype in dtypes
        for layout in layouts(shape)
    ]
    gpu = device("cuda")
    problems = asked(cases, gpu)
    with console.bar() as update:
        for done, found in enumerate(tune(problems, gpu)):
            update(str(found.asked), done + 1, len(problems))
            typer.echo(str(found))


def _check(dtypes: Sequence[str], allowed: Collection[str]) -> None:
    for name in dtypes:
        if name not in allowed:
            raise RequestError(f"unknown dtype {name!r}; the kernels take {', '.join(allowed)}")
