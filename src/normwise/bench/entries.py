"""The end-to-end entries: a training step of whole networks, and the memory of theirs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

import normwise
from normwise.bench import memory, networks
from normwise.bench.contenders import OURS, TORCH
from normwise.bench.networks import Norm
from normwise.bench.timing import Spread, interleave, speed

RECOMPUTING = "ours recomputing"
AGREE = 1e-3
"""How far the losses of the first step may be apart, relatively: float32 sums in another order through a network."""


class Network(NamedTuple):
    """A network to train: how to make it, the shape of its input, and how many classes it has (0: regression)."""

    name: str
    make: Callable[[Norm], nn.Module]
    shape: tuple[int, ...]
    classes: int = 10

    @property
    def dims(self) -> int:
        """The number of spatial axes."""
        return len(self.shape) - 2

    def batch(self) -> tuple[Tensor, Tensor]:
        """Random inputs and targets; the targets of a regression have the shape of the input."""
        generator = torch.Generator().manual_seed(0)
        x = torch.randn(self.shape, generator=generator)
        if not self.classes:
            return x, torch.randn(self.shape, generator=generator)
        return x, torch.randint(self.classes, self.shape[:1], generator=generator)


RESNET = Network("ResNet-18, 128x3x32x32", networks.ResNet18, (128, 3, 32, 32))
MLP = Network("MLP 3x100, batch 60", networks.mlp, (60, 784))
STACK = Network("24 × conv-BN-ReLU, 32x32x32x32", networks.stack, (32, 32, 32, 32), 0)
CHAIN = Network("conv-BN-SiLU-conv, 32x32x32x32", networks.chain, (32, 32, 32, 32), 0)

STEPS = (RESNET, MLP)
PEAKS = (STACK, RESNET)
QUICK_STEPS, QUICK_PEAKS = (MLP,), (STACK,)


class Arm(NamedTuple):
    """A network with one normalization, and the context that its forward runs in."""

    network: nn.Module
    context: Callable[[], AbstractContextManager[Any]]


class Step(NamedTuple):
    """A training step: seconds of each arm, how many times as fast as each other arm ours was, and what is amiss."""

    name: str
    seconds: Mapping[str, Spread]
    speed: Mapping[str, Spread]
    notes: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "name": self.name,
            "seconds": {arm: spread._asdict() for arm, spread in self.seconds.items()},
            "speed": {arm: spread._asdict() for arm, spread in self.speed.items()},
            "notes": list(self.notes),
        }


class Memory(NamedTuple):
    """An amount of memory of each arm, in ``unit``."""

    name: str
    unit: str
    amounts: Mapping[str, float]

    @property
    def shares(self) -> dict[str, float]:
        """Of torch's, for each arm but torch."""
        return {arm: amount / self.amounts[TORCH] for arm, amount in self.amounts.items() if arm != TORCH}

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {"name": self.name, "unit": self.unit, "amounts": dict(self.amounts), "of_torch": self.shares}


def arms(network: Network) -> dict[str, Arm]:
    """The network with our normalization, the same recomputing, and with torch's; equal weights."""
    return {name: arm(network, name) for name in (OURS, RECOMPUTING, TORCH)}


def arm(network: Network, name: str) -> Arm:
    """One of ``arms``."""
    norm = networks.torch_norm(network.dims) if name == TORCH else networks.our_norm(network.dims)
    return Arm(_made(network, norm), normwise.recompute_activations if name == RECOMPUTING else nullcontext)


def _made(network: Network, norm: Norm) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return network.make(norm)


def step(network: Network, seconds: float) -> Step:
    """Time a training step (forward, backward, SGD with momentum) of all arms in turn, if their first losses agree."""
    x, target = network.batch()
    found = arms(network)
    losses = {name: loss(arm, x, target).item() for name, arm in found.items()}
    apart = max(abs(loss - losses[TORCH]) for loss in losses.values()) / abs(losses[TORCH])
    if not apart <= AGREE:
        return Step(network.name, {}, {}, (f"wrong: the losses of the first step are {apart:.2g} apart",))
    samples = interleave({name: training(arm, x, target) for name, arm in found.items()}, seconds)
    return Step(
        network.name,
        {name: Spread.of(taken) for name, taken in samples.items()},
        {name: speed(samples, OURS, name) for name in samples if name != OURS},
    )


def loss(arm: Arm, x: Tensor, target: Tensor) -> Tensor:
    """What the network is trained to make small."""
    with arm.context():
        return networks.loss(arm.network, x, target)


def training(arm: Arm, x: Tensor, target: Tensor) -> Callable[[], None]:
    """A training step: forward, backward, SGD with momentum."""
    optimizer = torch.optim.SGD(arm.network.parameters(), lr=0.01, momentum=0.9)

    def once() -> None:
        error = loss(arm, x, target)
        optimizer.zero_grad()
        error.backward()  # type: ignore[no-untyped-call]
        optimizer.step()

    return once


def peak(network: Network) -> Memory:
    """The most that is alive in a forward and backward, with parameters, buffers, input and target, in MiB."""
    x, target = network.batch()

    def most(arm: Arm) -> float:
        def once() -> None:
            loss(arm, x, target).backward()  # type: ignore[no-untyped-call]
            arm.network.zero_grad()

        once()
        return (memory.resident(arm.network, x, target) + memory.live(once).peak) / 2**20

    return Memory(f"peak of a step, {network.name}", "MiB", {name: most(arm) for name, arm in arms(network).items()})


def kept(network: Network = CHAIN) -> Memory:
    """How many tensors of the input's size a chain keeps for its backward, its input counted and its output not."""
    x, _ = network.batch()
    size = x.numel() * x.element_size()

    def count(arm: Arm) -> float:
        def forward() -> Tensor:
            with arm.context():
                return torch.as_tensor(arm.network(x))

        forward()
        return memory.live(forward).kept / size

    return Memory(
        f"kept for the backward, {network.name}", "tensors", {name: count(arm) for name, arm in arms(network).items()}
    )
