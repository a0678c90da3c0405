"""A case: a network with its data and settings, and what a right diagnosis says of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import numpy as np
from torch import nn

Parts = tuple[tuple[np.ndarray, np.ndarray], ...]
KINDS = ("failing", "healthy", "misuse")
HALVES = ("tuning", "judging")
FRESH = "fresh"
"""Cases written after the rules, by someone who had not read them."""


class Setup(NamedTuple):
    """What a training is given.

    Attributes:
        model: makes the network.
        data: makes train, validation and test, each an (X, y) pair.
        options: those of ``normwise doctor``, ``steps`` among them.
    """

    model: Callable[[], nn.Module]
    data: Callable[[], Parts]
    options: Mapping[str, Any]


class Ran(NamedTuple):
    """What came of a loop.

    Attributes:
        findings: those of ``nw.watch`` or ``nw.examine``.
        value: the accuracy or R² that the loop measured in the end.
        watched: what ``nw.watch`` measured, or ``nw.examine`` (an ``Examination``).
    """

    findings: Sequence[Any]
    value: float
    watched: Any = None


class Loop(Protocol):
    """Trains in a loop of its own, looked at by ``nw.watch``, or examines a trained network by ``nw.examine``."""

    def __call__(self, seed: int, steps: int | None) -> Ran:
        """Run it, with another number of steps than its own where one is given."""
        ...


@dataclass(frozen=True)
class Case:
    """One network.

    Attributes:
        name: unique.
        kind: ``failing``, ``healthy`` or ``misuse``.
        source: where it was published, or what it stands for.
        setup: what the lab trains; None of a loop.
        loop: runs a loop of its own; None of a setup.
        label: names of the rules that are a right root cause; empty of a healthy network.
        learns_at: the training accuracy or R² that the network without its fault reaches: a run below it failed.
        judged_at: ``best`` for the step with the best validation metric, ``end`` for the last evaluations;
            ``validation`` for these, but the validation metric in the place of the training metric.
        cure: remedies that are expected to help.
        repaired: the same without its fault; it reaches ``learns_at``.
        sound: the loop without its fault.
        half: ``tuning``, ``judging`` or ``fresh``.
    """

    name: str
    kind: str
    source: str
    setup: Setup | None = None
    loop: Loop | None = None
    label: frozenset[str] = frozenset()
    learns_at: float = 0.0
    judged_at: str = "best"
    cure: tuple[str, ...] = ()
    repaired: Setup | None = None
    sound: Loop | None = None
    half: str = field(default="", compare=False)

    @property
    def positive(self) -> bool:
        """Whether there is something to find."""
        return bool(self.label)
