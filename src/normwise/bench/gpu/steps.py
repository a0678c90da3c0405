"""Training steps of whole networks on a device: time and peak memory of each arm.

The arms are torch's layer and ReLU in place, ours fused, ours recomputing, and the first two compiled. On a GPU they
run under autocast to bfloat16, in channels_last. Compiling takes minutes, and who waits for it may be stopped: there is
a result after every arm.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import Tensor, nn

from normwise.bench import entries, memory, networks
from normwise.bench.contenders import COMPILED, OURS, TORCH
from normwise.bench.entries import RECOMPUTING, Arm, Network
from normwise.bench.gpu.device import Device
from normwise.bench.gpu.measure import Settings, timed
from normwise.bench.measure import reason
from normwise.bench.timing import Spread, Work, speed

OURS_COMPILED = "ours compiled"
AGREE = 0.02
"""How far the losses of the first step may be apart, relatively: bfloat16 through fifty layers."""
STEPS = 10.0
"""How many times as long as a case a training step is measured."""
WARM = 3

RESNET50 = Network(
    "ResNet-50, 128x3x224x224, bfloat16 autocast, channels_last", networks.ResNet50, (128, 3, 224, 224), 1000
)
TINY = Network("ResNet-50 of width 2, 2x3x32x32", lambda norm: networks.ResNet50(norm, 10, 2), (2, 3, 32, 32), 10)


class Step(NamedTuple):
    """A training step.

    Attributes:
        name: of the network.
        seconds: of each arm.
        speed: how many times as fast as each other arm ours was.
        peaks: bytes that each arm has alive at most: batch, network, optimizer and step.
        notes: per arm, why it has no time.
        waiting: the arms whose turn has not come.
    """

    name: str
    seconds: Mapping[str, Spread]
    speed: Mapping[str, Spread]
    peaks: Mapping[str, int]
    notes: Mapping[str, str]
    waiting: tuple[str, ...] = ()


def step(network: Network, device: Device, settings: Settings, *, compiled: bool = False) -> Iterator[Step]:
    """Measure the arms: eager ones, or torch's eager and compiled and ours eager and compiled.

    There is a step after each arm, in which all so far are timed anew, in the same rounds: the last has everything.
    cuDNN tries its algorithms, as where networks of one input size are trained.
    """
    with torch.backends.cudnn.flags(enabled=True, benchmark=True, allow_tf32=torch.backends.cudnn.allow_tf32):
        yield from _steps(network, device, settings, compiled)


def _steps(network: Network, device: Device, settings: Settings, compiled: bool) -> Iterator[Step]:
    torch.compiler.reset()
    x, target = _batch(network, device)
    works: dict[str, Work] = {}
    losses: dict[str, float] = {}
    peaks: dict[str, int] = {}
    notes: dict[str, str] = {}
    waiting: tuple[str, ...] = (TORCH, OURS, COMPILED, OURS_COMPILED) if compiled else (TORCH, OURS, RECOMPUTING)
    while waiting:
        name, waiting = waiting[0], waiting[1:]
        try:
            works[name], losses[name], peaks[name] = _ready(network, name, device, x, target)
        except Exception as error:  # whatever a compiler, a kernel or the allocator of this machine raises
            notes[name] = f"cannot run: {reason(error)}"
        if name in works and TORCH in losses and not _agree(losses[name], losses[TORCH]):
            notes[name] = f"wrong: the loss of the first step is {losses[name]:.4g}, torch's {losses[TORCH]:.4g}"
            del works[name]
        samples = timed(works, device, settings._replace(seconds=settings.seconds * STEPS), notes)
        works = {name: works[name] for name in samples}
        yield Step(network.name, *_times(samples), dict(peaks), dict(notes), waiting)


def _ready(network: Network, name: str, device: Device, x: Tensor, target: Tensor) -> tuple[Work, float, int]:
    """An arm's step, called a few times; the loss before the first, and the bytes alive at most."""
    arm = _arm(network, name, device)
    loss = entries.loss(arm, x, target).item()
    once = entries.training(arm, x, target)
    for _ in range(WARM):
        once()
    parameters = memory.resident(nn.ParameterList(arm.network.parameters()))
    there = memory.resident(arm.network, x, target) + 2 * parameters  # gradients and the optimizer's state
    return once, loss, device.peak(once) + there


def _times(samples: Mapping[str, list[float]]) -> tuple[dict[str, Spread], dict[str, Spread]]:
    """The seconds of each arm, and how many times as fast as each other one ours was."""
    peers = [arm for arm in samples if arm != OURS and OURS in samples]
    return {arm: Spread.of(taken) for arm, taken in samples.items()}, {arm: speed(samples, OURS, arm) for arm in peers}


def _batch(network: Network, device: Device) -> tuple[Tensor, Tensor]:
    x, target = (tensor.to(device.name) for tensor in network.batch())
    return x.contiguous(memory_format=torch.channels_last), target


def _arm(network: Network, name: str, device: Device) -> Arm:
    arm = entries.arm(network, {OURS_COMPILED: OURS, COMPILED: TORCH}.get(name, name))
    placed = arm.network.to(device.name).to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    @contextmanager
    def context() -> Iterator[None]:
        with torch.autocast(device.name, torch.bfloat16, enabled=device.name == "cuda"), arm.context():
            yield

    if name in (OURS_COMPILED, COMPILED):
        placed.compile(dynamic=False)
    return Arm(placed, context)


def _agree(loss: float, other: float) -> bool:
    return abs(loss - other) <= AGREE * abs(other)
