"""From tensors to launched kernels: what lies where, and which kernel works on which part of it."""

from __future__ import annotations

import contextlib
import functools
import math
from typing import Any

import torch
from torch import Tensor

from normwise.ops.activations import IDENTITY
from normwise.ops.batch_norm.inputs import Inputs
from normwise.ops.batch_norm.layout import NOWHERE, Layout, Strides
from normwise.ops.batch_norm.triton import kernels, tuned
from normwise.ops.batch_norm.triton.choice import Choice, Problem, choose, merging, split

_HERE = contextlib.nullcontext()
_SMS = 132  # of the GPU that the interpreter stands for, an H100
OPTIONS = {"enable_fp_fusion": False}  # products are fused where the kernels say so, and the same in all of them
WIDE_FROM = 2**31  # elements from which on offsets take 64 bits
_MOST_UNIT = 16  # elements that are known to lie together: no more make a wider load


class Work(Inputs):
    """The tensors of one call, and the kernels that read them."""

    @functools.cached_property
    def problem(self) -> Problem:
        """The sizes that decide."""
        read = 1 if self.grad_y is None else 2
        sizes = self.reading.layout[1:]
        return Problem(*sizes, self.x.element_size(), read, multiprocessors(self.x.device))

    def choice(self) -> Choice:
        """The algorithm for all of forward or backward: what the table knows, or else the rule."""
        problem = self.problem
        return tuned.known(self.x.device, problem) or choose(problem)

    def whole(self, kernel: str, choice: Choice, **tensors: Tensor | None) -> None:
        """Run a kernel over all parts of all channels; ``tensors`` are what it is given besides the inputs."""
        transform, tile = self.transform, choice.tile
        activation = transform.activation or IDENTITY
        layout, groups = self.reading.layout, self.reading.layout.groups
        strided = (self.x, self.residual, self.grad_y, tensors.get("y", tensors.get("grad_x")))
        self._launch(
            kernel,
            groups * -(-layout.channels // tile.c) * choice.parts,
            tile.warps,
            numbers(layout, *(NOWHERE if t is None else self.strides(t) for t in strided)),
            {
                "x": self.x,
                "residual": self.residual,
                "grad_y": self.grad_y,
                "mask": None if transform.mask is None else transform.mask.view(torch.uint8),
                "weight": transform.weight,
                "bias": transform.bias,
                "eps": transform.eps,
                "parameter": activation.parameters[0] if activation.parameters else 0.0,
                "ACTIVATION": activation.name,
                "tiles": choice.tiles,
                "per": choice.per,
                "parts": choice.parts,
                "BN": tile.n,
                "BC": tile.c,
                "BS": tile.s,
                **tensors,
            },
        )

    def finish(self, kernel: str, choice: Choice, **tensors: Tensor | None) -> None:
        """Run a kernel that merges what the parts found out."""
        rows, columns, warps = merging(choice.parts)
        size = self.reading.layout.groups * self.reading.layout.channels
        numbers = {"size": size, "parts": choice.parts, "eps": self.transform.eps, "BP": rows, "BK": columns}
        self._launch(kernel, -(-size // columns), warps, numbers, tensors)

    def partial(self, choice: Choice, kinds: int) -> Tensor:
        """Room for what each part finds out about each channel."""
        shape = (kinds, choice.parts, self.reading.layout.groups * self.reading.layout.channels)
        return torch.empty(shape, dtype=torch.float32, device=self.x.device)

    def split(self) -> Choice:
        """The parts of the four-part form, and of what does not fit in registers."""
        problem = self.problem
        found = tuned.known(self.x.device, problem)
        return split(problem) if found is None or found.algorithm != "split" else found

    def _launch(self, name: str, programs: int, warps: int, numbers: dict[str, Any], rest: dict[str, Any]) -> None:
        kernel: Any = getattr(kernels, name)
        given = numbers | rest
        with on(self.x.device):
            launch(kernel, programs, warps, {key: given[key] for key in kernel.arg_names})


def launch(kernel: Any, programs: int, warps: int, arguments: dict[str, Any]) -> None:
    """Start a kernel, of which every argument is given by name."""
    kernel[(programs,)](**arguments, num_warps=warps, **OPTIONS)


@functools.cache
def multiprocessors(device: torch.device) -> int:
    """How many programs the device runs at the very same time."""
    if device.type != "cuda":
        return _SMS
    return int(torch.cuda.get_device_properties(device).multi_processor_count)


def on(device: torch.device) -> contextlib.AbstractContextManager[Any]:
    """Where kernels are launched on a device."""
    if device.type != "cuda" or device.index == torch.cuda.current_device():
        return _HERE
    return torch.cuda.device(device)


@functools.lru_cache(maxsize=4096)
def numbers(layout: Layout, x: Strides, residual: Strides, grad_y: Strides, written: Strides) -> dict[str, Any]:
    """Sizes and strides as kernels take them, and what they are compiled for.

    Planes of few positions, which the plan calls rows of several columns per channel, are planes to these kernels.
    """
    form, groups, channels, outer, inner = layout
    rows = form == "rows" and inner == 1
    tensors = {"x": x, "r": residual, "d": grad_y, "y": written}
    steps = {
        f"{name}_{axis}": step if size > 1 else 0  # along one element, any will do
        for name, strides in tensors.items()
        for axis, step, size in zip("gnc", strides, (groups, outer, 1 if rows else channels), strict=True)
    }
    last = max(
        (groups - 1) * s.group + (outer - 1) * s.outer + (channels - 1) * s.channel + inner for s in tensors.values()
    )
    return {
        "groups": groups,
        "channels": channels,
        "outer": outer,
        "inner": inner,
        **steps,
        "ROWS": rows,
        "UNIT": math.gcd(_MOST_UNIT, channels if rows else inner, *steps.values()),
        "WIDE": max(last, groups * outer * inner) >= WIDE_FROM,
    }
