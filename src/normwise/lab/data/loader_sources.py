"""From what a user's data function returns to parts that stream."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    IterableDataset,
    RandomSampler,
    SequentialSampler,
    Subset,
    SubsetRandomSampler,
    default_convert,
)

from normwise.errors import DataError
from normwise.lab.data import arrays, checks, loader_arrays, returned, seeding, split
from normwise.lab.data.loader_parts import ORDER, Indexed, Inputs, Streamed, StreamPart, drawn
from normwise.lab.data.targets import FEW_CLASSES


def stream_parts(returned_parts: Mapping[str, Any], name: str) -> dict[str, StreamPart]:
    """Train, validation and test of what a data function returned.

    Raises:
        DataError: validation is to be taken off a part that cannot be divided.
    """
    parts = {part: _part(value, f"{part} of {name}") for part, value in returned_parts.items()}
    if "validation" not in parts:
        train, validation = divided(parts["train"], split.VALIDATION)
        parts = {"train": train, "validation": validation, "test": parts["test"]}
    return parts


def _part(value: Any, name: str) -> StreamPart:
    if returned.is_loader(value):
        return of_loader(name, value)
    if returned.is_dataset(value):
        return of_dataset(name, value)
    inputs = returned.several(value)
    return of_pair(name, (value[0],) if inputs is None else inputs, value[1])


def of_pair(name: str, inputs: tuple[Any, ...] | dict[str, Any], y: Any) -> Indexed:
    """A part of several arrays in memory.

    Raises:
        DataError: the arrays have different lengths, or a name is taken.
    """
    named = inputs if isinstance(inputs, dict) else dict(enumerate(inputs))
    if "target" in named:
        raise DataError(f"X of {name} has the key 'target', which is that of y; give the input another name")
    tensors = {key: _tensor(value, f"X[{key!r}] of {name}") for key, value in named.items()}
    target = _tensor(y, f"y of {name}")
    for key, value in tensors.items():
        if value.ndim == 0 or target.ndim == 0 or len(value) != len(target):
            shape = tuple(value.shape)
            raise DataError(
                f"X[{key!r}] and y of {name} do not belong together: shapes {shape} and {tuple(target.shape)}"
            )
    made = Inputs(tensors if isinstance(inputs, dict) else tuple(tensors.values()), target)  # type: ignore[arg-type]
    return Indexed(name, made, range(len(made)))


def of_dataset(name: str, dataset: Any) -> Indexed:
    """A part that is a map-style data set."""
    return Indexed(name, loader_arrays.tensors(dataset), range(len(dataset)))


def of_loader(name: str, loader: Any) -> StreamPart:
    """A part that is a data loader."""
    overridden = type(loader).__iter__ is not DataLoader.__iter__
    if isinstance(loader.dataset, IterableDataset) or overridden:
        return Streamed(name, loader)
    grouped, sampler = loader.batch_sampler is not None, loader.sampler
    collate = loader.collate_fn
    part = Indexed(
        name,
        loader.dataset,
        (),
        collate=default_convert if collate is None else collate,
        batch_size=loader.batch_size if grouped else 1,
        drop_last=loader.drop_last,
        workers=loader.num_workers,
        grouped=grouped,
        worker_init=loader.worker_init_fn,
    )
    if type(loader.batch_sampler) not in (BatchSampler, type(None)) or not _is_plain(sampler):
        own = loader.batch_sampler if grouped else sampler
        number = seeding.number(ORDER, 0, 0)
        with seeding.seeded(number):
            order = drawn(own, number, 0, grouped=grouped)
        size = part.batch_size or max(map(len, order), default=1)
        return replace(part, sampler=own, keys=_in_order(order), batch_size=size)
    if type(sampler) is SubsetRandomSampler:
        return replace(part, keys=sorted(sampler.indices))
    return replace(part, keys=range(len(loader.dataset)), shuffled=type(sampler) is RandomSampler)


def divided(part: StreamPart, share: float) -> tuple[Indexed, Indexed]:
    """A training part without a random share of its items, and that share as the validation part.

    Each class gives its share, as ``split.split`` says, where labels are in memory.

    Raises:
        DataError: the part cannot be divided.
    """
    if not isinstance(part, Indexed) or part.sampler is not None:
        why = "is only read from first to last" if isinstance(part, Streamed) else "has a sampler of its own"
        raise DataError(f"{part.name} {why}, so no validation part can be taken off; return (train, validation, test)")
    if len(part.keys) < 2:
        raise DataError(f"{part.name} has {len(part.keys)} examples, too few to take a validation part off; give more")
    labels = _labels(part, share)
    off = (
        split.taken(len(part.keys), share, "validation")
        if labels is None
        else split.by_class(labels, share, "validation")
    )
    left, taken = ([key for key, other in zip(part.keys, where, strict=True) if other] for where in (~off, off))
    return replace(part, keys=left), replace(part, keys=taken, name=part.name.replace("train", "validation", 1))


def _labels(part: Indexed, share: float) -> np.ndarray | None:
    """The targets of a part in memory, one an example, where they can be classes: whole numbers, each several times."""
    held = loader_arrays.arrays_of(part)
    if held is None:
        return None
    y = held.y
    few = y.size == len(y) and len(np.unique(y)) <= max(min(FEW_CLASSES, len(y) / 2), len(y) * share)
    return y if few and (y == np.floor(y)).all() else None


def classes_of(part: StreamPart) -> tuple[str, ...]:
    """The names of the classes that a data set says it has, in its attribute ``classes``; empty where it does not."""
    dataset = part.dataset if isinstance(part, Indexed) else part.loader.dataset
    while isinstance(dataset, Subset):
        dataset = dataset.dataset
    classes = getattr(dataset, "classes", None)
    return tuple(map(str, classes)) if isinstance(classes, (list, tuple)) else ()


def _is_plain(sampler: Any) -> bool:
    if type(sampler) is RandomSampler:
        return not sampler.replacement and sampler.num_samples == len(sampler.data_source)
    return type(sampler) in (SequentialSampler, SubsetRandomSampler)


def _in_order(groups: list[list[Any]]) -> list[Any]:
    keys = {key for group in groups for key in group}
    try:
        return sorted(keys)
    except TypeError:
        return sorted(keys, key=repr)


def _tensor(values: Any, where: str) -> Tensor:
    made = checks.plain(arrays.array(values, where))
    if made.dtype.kind not in "biuf" or made.size == 0:
        raise DataError(f"{where} must be numbers, at least one; got {made.dtype} of shape {made.shape}")
    checks.check_finite(made, where)
    tensor: Tensor = torch.from_numpy(made)
    return tensor.float() if tensor.dtype == torch.float64 else tensor
