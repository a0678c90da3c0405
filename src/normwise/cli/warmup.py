"""``normwise warmup``."""

from __future__ import annotations

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
        list[str] | None, Option(metavar="NAME", help="float32, float64 or bfloat16; repeat for more. [float32]")
    ] = None,
) -> None:
    """Compile the CPU kernels now instead of at their first call, and keep them on disk.

    They lie in ~/.cache/normwise, or where NORMWISE_CACHE says: set it in an image that is built once and run often.
    Who runs it needs to own that directory, or root does; others must not be able to write to it.

    Example: normwise warmup relu silu
    """
    import torch

    from normwise.ops.batch_norm.cpu import DTYPES
    from normwise.ops.cpu.compiler import cache_directory
    from normwise.ops.warmup import COMMON, kernels, warmup

    for name in dtype or ():
        if name not in DTYPES.values():
            raise RequestError(f"unknown dtype {name!r}; the kernels take {', '.join(DTYPES.values())}")
    asked = kernels(activations or COMMON, [getattr(torch, name) for name in dtype or ["float32"]])
    with console.bar() as update:
        for done, kernel in enumerate(warmup(asked)):
            update(str(kernel), done + 1, len(asked))
    where = cache_directory()
    kept = (
        f"kept in {where}" if where else "but no directory is writable for you alone: set NORMWISE_CACHE to one that is"
    )
    typer.echo(f"{len(asked)} kernels are compiled, {kept}")
