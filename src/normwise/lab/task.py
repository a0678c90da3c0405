"""What is learned: the loss, the metric, the size of the output layer, and what guessing scores."""

from __future__ import annotations

from typing import Literal, NamedTuple

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
