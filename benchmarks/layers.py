"""What the options of a layer cost: forward and backward with one thing and without it, in turn.

The peer is what an option is compared with, so that a ratio below 1 is what it costs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

import normwise as nw
from benchmarks.pair import Pair, seconds

ROUNDS = 20  # pairs for each that is asked for: a call takes milliseconds
TINY, LARGE, TOKENS = (60, 100), (32, 64, 56, 56), (32, 196, 384)

Forward = Callable[[Tensor], Tensor]


class Way(NamedTuple):
    """One way to normalize, and the tensors that receive gradients beside x."""

    forward: Forward
    parameters: Sequence[Tensor]


def of_layer(layer: nn.Module) -> Way:
    return Way(layer, list(layer.parameters()))


OURS = {2: nw.BatchNorm1d, 3: nw.BatchNorm1d, 4: nw.BatchNorm2d}
TORCHS = {2: nn.BatchNorm1d, 3: nn.BatchNorm1d, 4: nn.BatchNorm2d}


def ours(shape: Sequence[int]) -> Way:
    return of_layer(OURS[len(shape)](shape[1]))


def torchs(shape: Sequence[int]) -> Way:
    return of_layer(TORCHS[len(shape)](shape[1]))


def without_update(shape: Sequence[int]) -> Way:
    """The layer without its update of statistics, which the guard is a part of."""
    made = OURS[len(shape)](shape[1])
    made.track_running_stats = False  # as suspend_statistics does
    return of_layer(made)


def operator(shape: Sequence[int]) -> Way:
    """The operator alone: no layer, no statistics."""
    weight, bias = (nn.Parameter(value) for value in (torch.ones(shape[1]), torch.zeros(shape[1])))
    return Way(lambda x: nw.ops.batch_norm(x, weight, bias, eps=1e-5).y, [weight, bias])


def masked(shape: Sequence[int]) -> Way:
    """The layer with a mask that hides nothing."""
    made, mask = OURS[len(shape)](shape[1]), torch.ones(shape[0], *shape[2:]).bool()
    return Way(lambda x: made(x, mask=mask), list(made.parameters()))


def channels_last(shape: Sequence[int]) -> Way:
    return of_layer(OURS[len(shape)](shape[-1], channel_dim=-1))


def transposed(shape: Sequence[int]) -> Way:
    """Torch's layer between two transposes, for channels on the last axis."""
    made = TORCHS[len(shape)](shape[-1])
    return Way(lambda x: made(x.movedim(-1, 1)).movedim(1, -1), list(made.parameters()))


def pairs(
    shape: Sequence[int], peer: Callable[[Sequence[int]], Way], own: Callable[[Sequence[int]], Way]
) -> Callable[[int], Iterator[Pair]]:
    """``ROUNDS``·n pairs of the forwards and backwards of two ways."""

    def measure(n: int) -> Iterator[Pair]:
        torch.set_num_threads(1)
        x, upstream = torch.randn(*shape).requires_grad_(), torch.randn(*shape)
        steps = [step(way(shape), x, upstream) for way in (peer, own)]
        calls = max(1, 2_000_000 // x.numel())
        for each in steps:
            seconds(each, calls)
        for _ in range(ROUNDS * n):
            yield Pair(*(seconds(each, calls) for each in steps))

    return measure


def step(way: Way, x: Tensor, upstream: Tensor) -> Callable[[], object]:
    return lambda: torch.autograd.grad(way.forward(x), [x, *way.parameters], upstream)


CASES = {
    "statistics": ("the layer without statistics over the layer", LARGE, without_update, ours),
    "layer": ("the operator over the layer", LARGE, operator, ours),
    "mask": ("no mask over one that hides nothing", LARGE, ours, masked),
    "tiny": ("torch's layer over the layer", TINY, torchs, ours),
    "last-axis": ("torch's layer between transposes over channel_dim=-1", TOKENS, transposed, channels_last),
}
