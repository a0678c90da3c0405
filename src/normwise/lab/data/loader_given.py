"""Looking at data that stream, before anything is started: at all of what is in memory, else at a sample."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from normwise.errors import DataError
from normwise.lab import factory
from normwise.lab.data import checks, collated, loader_checks, loader_notes, loader_sources, targets
from normwise.lab.data.collated import Collated
from normwise.lab.data.given import Given
from normwise.lab.data.loader_arrays import PartArrays, arrays_of
from normwise.lab.data.loader_batches import empty, sample
from normwise.lab.data.loader_checks import Seen
from normwise.lab.data.loader_data import LoaderData, joined
from normwise.lab.data.loader_parts import Indexed, StreamPart
from normwise.lab.data.returned import is_loader
from normwise.lab.options import Source
from normwise.lab.task import Kind

SAMPLES = {"train": 256, "validation": 64, "test": 64}
"""How many examples of each part are read to see what the data are, where they are not in memory."""

MORE = 10_000
"""Examples that are read where all targets of a sample are the same, to see whether they differ at all."""

Sample = list[Collated]


@dataclass(frozen=True, eq=False)
class Streams:
    """What a user's data function returned, and what was seen of it.

    Attributes:
        source: the function, or its name.
        make_data: the same, resolved.
        parts: by name.
        samples: some batches of each part.
        arrays: of each part the arrays that it is read from; None where it is not in memory.
        divided: whether validation was taken off train.
        own_batches: whether train is a data loader.
    """

    source: Source
    make_data: factory.Factory
    parts: dict[str, StreamPart]
    samples: dict[str, Sample]
    arrays: dict[str, PartArrays | None]
    divided: bool
    own_batches: bool


def read_streams(source: Source, make_data: factory.Factory, returned: Mapping[str, Any]) -> Given:
    """Looks at each part of data that stream: at all of its arrays where they are in memory, else at a sample.

    What is wrong outside of a sample, a number that is not finite for one, is not seen.

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
    arrays = {name: arrays_of(part) for name, part in parts.items()}
    for each in arrays.values():
        if each is not None:
            each.check_finite()
    streams = Streams(
        source,
        make_data,
        parts,
        {name: _sample(part, SAMPLES[name]) for name, part in parts.items()},
        arrays,
        divided="validation" not in returned,
        own_batches=is_loader(returned["train"]),
    )
    return Given(
        make_data.name,
        _raw(streams, "train"),
        loader_sources.classes_of(parts["train"]),
        False,
        lambda kind: _build(streams, kind),
        streams=True,
        sampled=arrays["train"] is None,
        own_batches=streams.own_batches,
    )


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


def _raw(streams: Streams, name: str) -> np.ndarray | None:
    """The targets of a part as they were given: all where they are in memory, else those of the sample."""
    held = streams.arrays[name]
    return joined([taken.target for taken in streams.samples[name]]) if held is None else held.y


def _build(streams: Streams, kind: Kind) -> LoaderData:
    seen = [each for name in streams.parts for each in [_seen(streams, name, kind)] if each is not None]
    raw, train = _raw(streams, "train"), streams.parts["train"]
    classes = _classes(train, seen) if kind == "classification" else ()
    called = streams.make_data.name
    names = classes if classes == loader_sources.classes_of(train) else ()
    doubts = loader_checks.learnable(seen, kind, called, names) if len(seen) == len(streams.parts) else ()
    return LoaderData(
        name=called,
        source=streams.source,
        source_hash=streams.make_data.source_hash,
        kind=kind,
        fingerprint=collated.digest([streams.make_data.source_hash, kind, *_described(streams)]),
        n_outputs=len(classes) or _outputs(seen, kind),
        classes=classes,
        notes=(*doubts, *_notes(streams)),
        own_batches=streams.own_batches,
        column=raw is not None and raw.ndim == 2 and raw.shape[1] == 1,
        _parts=streams.parts,
    )


def _seen(streams: Streams, name: str, kind: Kind) -> Seen | None:
    """The targets of a part, checked against the kind of task; None where they are no array."""
    part, raw = streams.parts[name], _raw(streams, name)
    if raw is None:
        if kind == "other":
            return None
        target = type(streams.samples[name][0].target).__name__
        raise DataError(f"the target of a batch of {part.name} is a {target}; a {kind} task needs a tensor")
    y = targets.convert(raw, kind, part.name)
    if streams.arrays[name] is not None:
        return Seen(name, y, whole=True)
    if not isinstance(part, Indexed):
        return Seen(name, y, whole=False)
    size = SAMPLES[name]
    if len(part.keys) > size and checks.is_constant(y, kind):
        more = joined([taken.target for taken in _sample(part, MORE)])
        y, size = (y, size) if more is None else (targets.convert(more, kind, part.name), MORE)
    whole = part.grouped and part.sampler is None and len(part.keys) <= size
    return Seen(name, y, whole, drawn=streams.divided and name == "validation")


def _classes(train: StreamPart, seen: list[Seen]) -> tuple[str, ...]:
    largest = max(int(each.y.max()) for each in seen)
    named = loader_sources.classes_of(train)
    return named if len(named) > largest else tuple(map(str, range(largest + 1)))


def _outputs(seen: list[Seen], kind: Kind) -> int | None:
    if not seen or seen[0].part != "train":
        return None
    return 1 if kind == "binary" else int(np.prod(seen[0].y.shape[1:]))


def _described(streams: Streams) -> list[Any]:
    """What a fingerprint is made of, beside the source."""
    return [[*_reading(part), _digest(streams, name)] for name, part in streams.parts.items()]


def _digest(streams: Streams, name: str) -> str:
    """Of the content: all of it where it is in memory, else of the sample."""
    held = streams.arrays[name]
    return collated.digest([list(taken) for taken in streams.samples[name]]) if held is None else held.digest()


def _reading(part: StreamPart) -> list[Any]:
    if isinstance(part, Indexed):
        own = type(part.sampler).__name__
        return [len(part.keys), str(part.batch_size), part.shuffled, part.drop_last, own]
    return [str(part.loader.batch_size), str(part.loader.drop_last), part.loader.num_workers]


def _notes(streams: Streams) -> tuple[str, ...]:
    train, test = streams.parts["train"], streams.parts["test"]
    return (
        *loader_notes.channels_last(streams.samples["train"][0]),
        *loader_notes.repeated(train, test, streams.arrays["train"], streams.arrays["test"]),
        *loader_notes.unrepeatable(streams.parts),
        *(loader_notes.augmented(streams.parts["validation"]) if streams.divided else ()),
    )
