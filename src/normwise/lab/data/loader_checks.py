"""What the targets of data that stream show: of parts in memory all of them, of others those of a sample."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from normwise.lab.data import checks
from normwise.lab.data.parts import Part
from normwise.lab.data.targets import IGNORED
from normwise.lab.task import Kind

EXPECTED = 8
"""A class is missed in a sample where so many examples of it, or more, were to be expected: chance leaves out none of
them in one sample of 3000."""

LISTED = 5


class Seen(NamedTuple):
    """What is known of the targets of a part.

    Attributes:
        part: ``train``, ``validation`` or ``test``.
        y: the targets, converted, of all its examples or of a sample.
        whole: whether they are all.
        drawn: whether the part was taken off at random, so that what it lacks is no mistake in the data.
    """

    part: str
    y: np.ndarray
    whole: bool
    drawn: bool = False


def learnable(seen: Sequence[Seen], kind: Kind, name: str, classes: Sequence[str]) -> tuple[str, ...]:
    """Checks that the targets can tell a network that has learned from one that has not.

    Args:
        seen: of each part, train first.
        kind: the kind of task.
        name: of the data, for errors.
        classes: the names of the classes, where they have names.

    Returns:
        What a sample suggests and does not prove, one line each.

    Raises:
        DataError: targets that are all the same, or a class that a part lacks.
    """
    notes = []
    for each in seen:
        if each.whole:
            checks.check_varied(Part(each.y, each.y), kind, f"{each.part} of {name}")
        elif checks.is_constant(each.y, kind):
            notes.append(f"the {len(each.y)} targets of {each.part} that were looked at are all the same")
    if kind not in ("classification", "binary") or any(each.y.size != len(each.y) for each in seen):
        return tuple(notes)
    train, *others = seen
    labels = [(each.part, Part(each.y, each.y)) for each in others if each.whole and not each.drawn]
    checks.check_classes([("train", Part(train.y, train.y)), *labels], name, classes)
    for other in others:
        notes += _lacking(train, other, classes)
        notes += _untrained(train, other, classes)
    return tuple(notes)


def _lacking(train: Seen, other: Seen, classes: Sequence[str]) -> Iterator[str]:
    """The classes of train that a sample of another part should have and does not."""
    if other.whole and other.drawn:
        listed = np.setdiff1d(train.y, [*np.unique(other.y), IGNORED]).tolist()
    else:
        listed = [] if other.whole else _missed(train.y, other.y)
    if listed:
        yield (
            f"{_named(listed, classes)} is in train and not among the {len(other.y)} examples of {other.part} that "
            f"were looked at"
        )


def _untrained(train: Seen, other: Seen, classes: Sequence[str]) -> Iterator[str]:
    if train.whole:
        listed = list(np.setdiff1d(other.y, [*np.unique(train.y), IGNORED]))
        if listed:
            yield f"{_named(listed, classes)} is in {other.part} and not in the training data: it cannot be learned"
        return
    listed = _missed(other.y, train.y)
    if listed:
        yield (
            f"{_named(listed, classes)} is in {other.part} and not among the {len(train.y)} training examples that "
            f"were looked at"
        )


def _missed(y: np.ndarray, sample: np.ndarray) -> list[float]:
    """The labels of y that so large a sample of the same population should have and does not."""
    labels, counts = np.unique(y[y != IGNORED], return_counts=True)
    expected = counts / max(1, len(y)) * len(sample)
    return list(labels[(expected >= EXPECTED) & ~np.isin(labels, sample)])


def _named(labels: Sequence[float], classes: Sequence[str]) -> str:
    names = [classes[int(each)] if classes else f"{each:g}" for each in labels[:LISTED]]
    return f"class {', '.join(names)}" + (", …" if len(labels) > LISTED else "")
