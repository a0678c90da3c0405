"""The floor: plain torch passes over the fewest bytes, outputs allocated anew as a layer allocates them.

Counted in full tensors:

    forward+backward   5 reads, 2 writes   x.sum(), y = 2·x, g.sum(), x + g
    forward            2 reads, 1 write    x.sum(), y = 2·x
    inference          1 read,  1 write    y = 2·x
    with a residual    1 read more, and with a backward 1 write more for its gradient: y = x + residual, 2·g for g.sum()

The forward reads x for its moments and again for its output. The backward needs the sums of g and of g·x and then g and
x again; a kernel that goes through memory for every one of these reads x once more than is counted here, and one that
keeps a channel in cache between its two passes reads x and g once in either direction: 3 reads and 2 writes. So this is
a bar, not a bound: a layer may be faster than it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from normwise.bench.cases import INFERENCE, TRAIN, Case
from normwise.bench.inputs import Inputs


def floor(case: Case, inputs: Inputs) -> Callable[[], object]:
    """The passes of a case as a function without arguments."""
    x, grad = inputs.x.detach(), inputs.grad
    residual = None if inputs.residual is None else inputs.residual.detach()

    def run() -> None:
        if case.mode != INFERENCE:
            x.sum()
        y = _output(x, residual)  # noqa: F841 - alive until the backward has its memory, as in a step
        if case.mode == TRAIN:
            sums = grad.sum() if residual is None else grad * 2  # noqa: F841
            torch.add(x, grad)

    return run


class Traffic(NamedTuple):
    """Tensors of the input's size that a case moves through memory, reads and writes alike.

    Attributes:
        least: where a channel is kept on the chip between its moments and its output.
        passes: where the moments, and in the backward the sums, take a pass of their own.
    """

    least: int
    passes: int


def traffic(case: Case) -> Traffic:
    """How often a kernel has to touch memory, at least.

        forward    x [x] → y;         with a residual  x [x] r → y
        backward   [x g] x g → ∂x;    with a residual  x g r → ∂r, x ∂r → ∂x, or at once  x g r → ∂r ∂x
        inference  x → y;             with a residual  x r → y

    What is in brackets is read again where a channel does not fit on the chip.
    """
    more = int(case.residual)
    if case.mode == INFERENCE:
        return Traffic(2 + more, 2 + more)
    if case.mode != TRAIN:
        return Traffic(2 + more, 3 + more)
    return Traffic(8, 11) if case.residual else Traffic(5, 8)


def _output(x: Tensor, residual: Tensor | None) -> Tensor:
    return x * 2 if residual is None else torch.add(x, residual)
