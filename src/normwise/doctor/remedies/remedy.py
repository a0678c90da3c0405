"""A remedy: a change of a network or of how it is trained, which may cure a finding."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from normwise.lab.settings import Keys


@dataclass(frozen=True)
class Given:
    """What a remedy starts from.

    Attributes:
        keys: the settings of ``nothing``, the training as it was asked for.
        kind: of the task.
        own_model: whether the network is the user's.
        streams: whether the data are read batch by batch.
        own_batches: whether a loader decides the size of batches.
        activations: names of the network's activations, in the order of the forward, as in ``probes.watched.Units``.
        normalized: whether the network has normalization already.
        ends_in: what stands between the network's last linear map and the loss (``probes.watched.Loss.last``).
        steps: of a run.
        examples: in the training part; None where there is no telling.
    """

    keys: Keys
    kind: str
    own_model: bool
    streams: bool
    own_batches: bool
    activations: tuple[str, ...] = ()
    normalized: bool = False
    ends_in: tuple[str, ...] = ()
    steps: int = 500
    examples: int | None = None


@dataclass(frozen=True)
class Remedy:
    """A remedy.

    Attributes:
        name: lower case with hyphens, or ``lr*10``; it is stable.
        words: what is done, as a noun: ``batch normalization``, ``a learning rate 10 times larger``.
        change: what somebody types to do it in a loop of their own, lines that run, with ``net``, its ``optimizer``,
            a batch ``x, y``, and all training data ``X, Y``, and in a comment where they belong. ``{lr}`` and the like
            are filled in from the settings of the treated run.
        size: how large a change it is, for choosing the smallest of those that help alike: 1 for a number, 2 for
            scaling data or another optimizer, 3 for weights drawn otherwise, 4 for another activation, 5 for layers.
        settings: the keys that it changes, with their values; None where it does not apply.
    """

    name: str
    words: str
    change: str
    size: int
    settings: Callable[[Given], Mapping[str, Any] | None]
