"""Looking at a sample of data that stream, before anything is started."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from torch import Tensor

from normwise.errors import DataError
from normwise.lab import factory
from normwise.lab.data import checks, collated, loader_sources, suspicions, targets
from normwise.lab.data.collated import Collated
from normwise.lab.data.given import Given
from normwise.lab.data.loader_batches import empty, sample
from normwise.lab.data.loader_data import LoaderData, Source, joined
from normwise.lab.data.loader_parts import Indexed, Inputs, StreamPart
from normwise.lab.data.parts import Part
from normwise.lab.data.returned import is_loader
from normwise.lab.task import Kind

SAMPLES = {"train": 256, "validation": 64, "test": 64}
"""How many examples of each part are read to see what the data are."""

REPEATED = 4
"""Examples that are read twice, to see whether they are the same."""

Sample = list[Collated]


def given(source: Source, make_data: factory.Factory, returned: Mapping[str, Any]) -> Given:
    """Looks at a sample of each part of data that stream.

    Args:
        source: the data function, or its name.
        make_data: the same, resolved.
        returned: the parts by name, as ``returned.read`` gives them.

    Raises:
        DataError: a part yields nothing, its batches are not built alike or have no target, an item cannot be read, or
            numbers are not finite.
    """
    parts = loader_sources.stream_parts(returned, make_data.name)
    if isinstance(parts["train"], Indexed) and not parts["train"].epoch(0, 0, 1):
        raise DataError(empty(parts["train"]))
    samples = {name: _sample(part, SAMPLES[name]) for name, part in parts.items()}
    own_batches = is_loader(returned["train"])

    def build(kind: Kind) -> LoaderData:
        return _build(source, make_data, kind, parts, samples, own_batches=own_batches)

    raw = joined([taken.target for taken in samples["train"]])
    names = loader_sources.classes_of(parts["train"])
    return Given(make_data.name, raw, names, False, build, streams=True, own_batches=own_batches)


def _sample(part: StreamPart, size: int) -> Sample:
    found = [taken for taken, _ in sample(part, size)]
    for taken in found:
        if isinstance(taken.target, (tuple, list)) and isinstance(taken.target[0], str):
            raise DataError(
                f"the targets of {part.name} are strings, for example {str(taken.target[0])!r}; number the classes "
                f"in the data set"
            )
        wrong = collated.not_finite(taken)
        if wrong is not None:
            raise DataError(f"{wrong} of {part.name}; networks need finite numbers: remove or replace such values")
    return found


def _build(
    source: Source,
    make_data: factory.Factory,
    kind: Kind,
    parts: dict[str, StreamPart],
    samples: dict[str, Sample],
    *,
    own_batches: bool,
) -> LoaderData:
    converted = {name: _converted(found, kind, parts[name].name) for name, found in samples.items()}
    _check_learnable(parts["train"], converted["train"], kind)
    raw = joined([taken.target for taken in samples["train"]])
    classes = _classes(parts, converted) if kind == "classification" else ()
    return LoaderData(
        name=make_data.name,
        source=source,
        source_hash=make_data.source_hash,
        kind=kind,
        fingerprint=collated.digest([make_data.source_hash, kind, *_described(parts, samples)]),
        n_outputs=len(classes) or _outputs(converted["train"], kind),
        classes=classes,
        notes=_notes(parts, samples["train"][0]),
        own_batches=own_batches,
        column=raw is not None and raw.ndim == 2 and raw.shape[1] == 1,
        _parts=parts,
    )


def _converted(found: Sample, kind: Kind, where: str) -> np.ndarray | None:
    """The targets of a sample, checked against the kind of task."""
    values = joined([taken.target for taken in found])
    if values is None and kind != "other":
        given = type(found[0].target).__name__
        raise DataError(f"the target of a batch of {where} is a {given}; a {kind} task needs a tensor")
    return None if values is None else targets.convert(values, kind, where)


def _check_learnable(train: StreamPart, y: np.ndarray | None, kind: Kind) -> None:
    """Refuses a training part all of whose targets were read and are the same."""
    if y is not None and isinstance(train, Indexed) and len(train.keys) <= SAMPLES["train"]:
        checks.learnable([("train", Part(y, y))], kind, train.name.removeprefix("train of "), ())


def _classes(parts: Mapping[str, StreamPart], converted: Mapping[str, np.ndarray | None]) -> tuple[str, ...]:
    largest = max(int(y.max()) for y in converted.values() if y is not None)
    for part in parts.values():
        if isinstance(part, Indexed) and isinstance(part.dataset, Inputs):
            largest = max(largest, int(part.dataset.y.max()))
    named = loader_sources.classes_of(parts["train"])
    return named if len(named) > largest else tuple(map(str, range(largest + 1)))


def _content(part: Indexed) -> Any:
    return part.dataset.y if isinstance(part.dataset, Inputs) else part.dataset


def _outputs(y: np.ndarray | None, kind: Kind) -> int | None:
    if y is None:
        return None
    return 1 if kind == "binary" else int(np.prod(y.shape[1:]))


def _described(parts: Mapping[str, StreamPart], samples: Mapping[str, Sample]) -> list[Any]:
    """What a fingerprint is made of, beside the source."""
    return [[*_reading(part), _digest(part, samples[name])] for name, part in parts.items()]


def _digest(part: StreamPart, found: Sample) -> str:
    """Of the content: all of it where it is in memory, else of the sample."""
    if isinstance(part, Indexed) and isinstance(part.dataset, Inputs):
        return collated.digest([list(part.keys), part.dataset.inputs, part.dataset.y])
    return collated.digest([list(taken) for taken in found])


def _reading(part: StreamPart) -> list[Any]:
    if isinstance(part, Indexed):
        own = type(part.sampler).__name__
        return [len(part.keys), str(part.batch_size), part.shuffled, part.drop_last, own]
    return [str(part.loader.batch_size), str(part.loader.drop_last), part.loader.num_workers]


def _notes(parts: Mapping[str, StreamPart], first: Collated) -> tuple[str, ...]:
    inputs = [value for value in (*first.args, *first.kwargs.values()) if isinstance(value, Tensor)]
    notes = [note for value in inputs for note in [suspicions.channels_last(value.shape)] if note]
    train, test = parts["train"], parts["test"]
    if isinstance(train, Indexed) and isinstance(test, Indexed) and _content(train) is _content(test):
        same = len(set(train.keys) & set(test.keys))
        if same:
            notes.append(f"{same} of {len(test.keys)} test examples are in the training data too")
    for part in parts.values():
        once, again = (collated.digest([list(taken) for taken, _ in sample(part, REPEATED)]) for _ in range(2))
        if once != again:
            notes.append(
                f"{part.name} is different each time it is read, so no result can be repeated: let it draw from the "
                f"global generators of torch, NumPy or random, which are seeded, not from one of its own"
            )
    return tuple(notes)
