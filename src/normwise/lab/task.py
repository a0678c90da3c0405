"""What is learned: the loss, the metric, the size of the output layer, and what guessing scores."""

from __future__ import annotations

from typing import Literal, NamedTuple, get_args

import numpy as np

from normwise.errors import RequestError, choice
from normwise.records.metric import Metric

Kind = Literal["classification", "binary", "multilabel", "regression", "other"]


class Chance(NamedTuple):
    """What predictions that know nothing of the inputs score on the validation data.

    Attributes:
        value: the best of them.
        margin: two standard errors: a metric that is better than chance by less is not told from it.
    """

    value: float
    margin: float


class Task(NamedTuple):
    """What is learned.

    Attributes:
        kind: of which kind the targets are; ``other`` where only the user's own loss knows.
        loss: the loss function's name, or where the user's own is.
        metric: what runs are judged by.
        outputs: how many numbers the network puts out for an example (or a position of it); None where only the user's
            own network knows.
        chance: what guessing scores; None where there is no telling.
        classes: the names of the classes, in the order of their numbers; empty for all but ``classification``.
        why: how the kind was found, in words, where nobody gave it.
    """

    kind: Kind
    loss: str
    metric: Metric
    outputs: int | None
    chance: Chance | None = None
    classes: tuple[str, ...] = ()
    why: str = ""

    def beyond_chance(self, value: float) -> bool:
        """Whether a metric is better than guessing by more than noise; True where there is no telling."""
        if self.chance is None:
            return True
        return self.metric.score(value) > self.metric.score(self.chance.value) + self.chance.margin


KINDS: tuple[Kind, ...] = get_args(Kind)


def kind_named(name: str) -> Kind:
    """The kind of task of a name; RequestError where there is none."""
    if name not in KINDS:
        raise RequestError(choice(name, KINDS, "task"))
    return name


def fits(outputs: tuple[int, ...], targets: tuple[int, ...], kind: Kind, classes: int | None = None) -> bool:
    """Whether outputs of one shape can be compared with targets of another, as a kind of task does.

    Args:
        outputs: (N, classes, …) for classification; else the targets' shape, up to axes of size 1.
        targets: (N, …).
        kind: any but ``other``.
        classes: the least number of classes.
    """
    if kind == "classification":
        wide = len(outputs) > 1 and outputs[1] >= (classes or 1)
        return wide and outputs[:1] == targets[:1] and outputs[2:] == targets[1:]
    if outputs[:1] != targets[:1]:
        return False
    if kind == "regression" and len(outputs) == 2:
        return int(np.prod(outputs)) == int(np.prod(targets))
    return _without_ones(outputs) == _without_ones(targets)


def _without_ones(shape: tuple[int, ...]) -> list[int]:
    return [size for size in shape[1:] if size != 1]
