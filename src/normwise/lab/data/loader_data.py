"""Data that stream: a user's data sets and data loaders."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from normwise.errors import DataError
from normwise.lab import factory
from normwise.lab.batch import Batch, Batches
from normwise.lab.data import checks, collated, loader_parts, memory, suspicions, targets, user
from normwise.lab.data.collated import Collated
from normwise.lab.data.given import Given
from normwise.lab.data.loader_batches import LoaderBatches, empty, sample
from normwise.lab.data.loader_parts import Indexed, Inputs, StreamPart
from normwise.lab.data.parts import Part
from normwise.lab.task import Kind

SAMPLES = {"train": 256, "validation": 64, "test": 64}
"""How many examples of each part are read to see what the data are."""

REPEATED = 4
"""Examples that are read twice, to see whether they are the same."""

Source = str | Callable[[], Any]
Sample = list[Collated]


@dataclass(eq=False)
class LoaderData:
    """A data set that is read batch by batch.

    It pickles as the name of the function it comes from, and another process reads it anew when it opens it.

    Attributes:
        name: what the user asked for.
        source: the data function, or its name.
        source_hash: what identifies the file of that function.
        kind: of which kind the targets are.
        fingerprint: 16 hexadecimal digits over the source file, the lengths of the parts, how they are read, and a
            fixed sample of each; a change in an example outside the sample is not seen.
        n_outputs: how many outputs the targets ask for: the classes of a classification (those that the data set lists
            in ``classes``, those of all targets in memory, else those of the sample), 1 for binary, columns otherwise;
            None where the targets are no array.
        classes: for classification the names of the classes; otherwise empty.
        notes: what looks suspicious and is not wrong, one line each.
        own_batches: whether the training part is a loader, which decides the size of its batches.
        column: whether targets are a single column, (N, 1).
    """

    name: str
    source: Source
    source_hash: str
    kind: Kind
    fingerprint: str
    n_outputs: int | None
    classes: tuple[str, ...]
    notes: tuple[str, ...]
    own_batches: bool
    column: bool
    _parts: dict[str, StreamPart] | None = field(default=None, repr=False)
    _process: int = field(default_factory=os.getpid, repr=False)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_parts": None}

    @property
    def example_shape(self) -> tuple[int, ...] | None:
        """The shape of one example where the network takes one tensor; otherwise None."""
        first = self.first(1)
        one = len(first.args) == 1 and not first.kwargs and isinstance(first.args[0], Tensor)
        return tuple(first.args[0].shape[1:]) if one else None

    def batches_per_epoch(self, batch_size: int | None = None) -> int | None:
        """How many training batches an epoch has; None where only reading them tells."""
        train = self._read()["train"]
        return len(train.epoch(0, 0, batch_size)) if isinstance(train, Indexed) else None

    def first(self, n: int) -> Batch:
        """A batch of ``n`` training examples, the same every time; the first batch where items have no index."""
        train = self._read()["train"]
        if isinstance(train, Indexed) and train.grouped:
            train = replace(train, batch_size=n)
        return LoaderBatches({"train": train}, self.on_target, seed=0).sample("train", n)[0]

    def targets(self, part: str, size: int) -> np.ndarray | None:
        """The targets of a fixed sample of a part, as the task needs them.

        Returns:
            An array; of targets with other lengths in each batch, their values one after another; None where targets
            are no tensors.
        """
        batches = LoaderBatches(self._read(), self.on_target, seed=0)
        return _joined([batch.target for batch in batches.sample(part, size)])

    def open(self, seed: int, device: Any = "cpu", batch_size: int | None = None) -> Batches:
        """The batches of one run.

        Args:
            seed: of the order and of all that is drawn while items are read.
            device: where the batches go.
            batch_size: of a data set; a loader has its own.

        Raises:
            DataError: the source changed since the study began.
        """
        return LoaderBatches(self._read(), self.on_target, seed=seed, device=device, batch_size=batch_size)

    def on_target(self, target: Any) -> Any:
        """A batch's target in the type that the task needs."""
        if not isinstance(target, Tensor) or self.kind == "other":
            return target
        if self.kind != "classification":
            return target.float()
        return (target[:, 0] if self.column else target).long()

    def _read(self) -> dict[str, StreamPart]:
        """The parts, read anew in a process that has not read them: open files are not shared between processes."""
        if self._parts is None or self._process != os.getpid():
            make_data = factory.resolve(self.source, what="data function")
            if make_data.source_hash != self.source_hash:
                raise DataError(f"the source of {self.name} changed while the study ran; run the same command again")
            self._parts = stream_parts(user.read(factory.call(make_data), self.name), self.name)
            self._process = os.getpid()
        return self._parts


def given(source: Source, make_data: factory.Factory, returned: Mapping[str, Any]) -> Given:
    """Looks at a sample of each part of data that stream.

    Args:
        source: the data function, or its name.
        make_data: the same, resolved.
        returned: the parts by name, as ``user.read`` gives them.

    Raises:
        DataError: a part yields nothing, its batches are not built alike or have no target, an item cannot be read, or
            numbers are not finite.
    """
    parts = stream_parts(returned, make_data.name)
    if isinstance(parts["train"], Indexed) and not parts["train"].epoch(0, 0, 1):
        raise DataError(empty(parts["train"]))
    samples = {name: _sample(part, SAMPLES[name]) for name, part in parts.items()}
    own_batches = user.is_loader(returned["train"])

    def build(kind: Kind) -> LoaderData:
        return _build(source, make_data, kind, parts, samples, own_batches=own_batches)

    raw = _joined([taken.target for taken in samples["train"]])
    names = loader_parts.classes_of(parts["train"])
    return Given(make_data.name, raw, names, False, build, streams=True, own_batches=own_batches)


def stream_parts(returned: Mapping[str, Any], name: str) -> dict[str, StreamPart]:
    """Train, validation and test of what a data function returned.

    Raises:
        DataError: validation is to be taken off a part that cannot be divided.
    """
    parts = {part: _part(value, f"{part} of {name}") for part, value in returned.items()}
    if "validation" not in parts:
        train, validation = loader_parts.divided(parts["train"], memory.VALIDATION)
        parts = {"train": train, "validation": validation, "test": parts["test"]}
    return parts


def _part(value: Any, name: str) -> StreamPart:
    if user.is_loader(value):
        return loader_parts.of_loader(name, value)
    if user.is_dataset(value):
        return loader_parts.of_dataset(name, value)
    inputs = user.several(value)
    return loader_parts.of_pair(name, (value[0],) if inputs is None else inputs, value[1])


def _sample(part: StreamPart, size: int) -> Sample:
    found = [taken for taken, _ in sample(part, size)]
    for taken in found:
        if isinstance(taken.target, (tuple, list)) and isinstance(taken.target[0], str):
            raise DataError(
                f"the targets of {part.name} are strings, for example {str(taken.target[0])!r}; number the classes "
                f"in the data set"
            )
        value = collated.not_finite(taken)
        if value is not None:
            raise DataError(f"{part.name} holds {value}; networks need finite numbers: remove or replace such values")
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
    raw = _joined([taken.target for taken in samples["train"]])
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
    values = _joined([taken.target for taken in found])
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
    named = loader_parts.classes_of(parts["train"])
    return named if len(named) > largest else tuple(map(str, range(largest + 1)))


def _outputs(y: np.ndarray | None, kind: Kind) -> int | None:
    if y is None:
        return None
    return 1 if kind == "binary" else int(np.prod(y.shape[1:]))


def _described(parts: Mapping[str, StreamPart], samples: Mapping[str, Sample]) -> list[Any]:
    """What a fingerprint is made of, beside the source."""
    return [
        [*_reading(part), collated.digest([list(taken) for taken in samples[name]])] for name, part in parts.items()
    ]


def _reading(part: StreamPart) -> list[Any]:
    if isinstance(part, Indexed):
        own = type(part.sampler).__name__
        return [len(part.keys), str(part.batch_size), part.shuffled, part.drop_last, own]
    return [str(part.loader.batch_size), str(part.loader.drop_last), part.loader.num_workers]


def _notes(parts: Mapping[str, StreamPart], first: Collated) -> tuple[str, ...]:
    inputs = [value for value in (*first.args, *first.kwargs.values()) if isinstance(value, Tensor)]
    notes = [note for value in inputs for note in [suspicions.channels_last(value.shape)] if note]
    train, test = parts["train"], parts["test"]
    if isinstance(train, Indexed) and isinstance(test, Indexed) and train.dataset is test.dataset:
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


def _joined(found: list[Any]) -> np.ndarray | None:
    if not all(isinstance(target, Tensor | np.ndarray) for target in found):
        return None
    arrays = [torch.as_tensor(target).cpu() for target in found]
    if any(each.shape[1:] != arrays[0].shape[1:] for each in arrays) or not arrays[0].ndim:
        arrays = [each.reshape(-1) for each in arrays]
    joined = torch.cat(arrays)
    return np.asarray((joined.float() if joined.dtype == torch.bfloat16 else joined).numpy())
