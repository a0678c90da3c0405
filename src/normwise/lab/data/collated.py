"""What a loader's batches are: arguments of ``forward`` and a target."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from normwise.errors import DataError
from normwise.lab.batch import Batch

TARGETS = ("target", "y", "labels")
"""The keys under which a dict may have its target: the first of these that it has."""


class Collated(NamedTuple):
    """A batch, taken apart: positional arguments, keyword arguments, target."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    target: Any


def take_apart(batch: Any, where: str) -> Collated:
    """A batch as arguments and target.

    Args:
        batch: a tuple or list (inputs…, target), of which the one input may be a tuple of inputs or a dict of keywords
            of ``forward``; or a dict whose target is under one of ``TARGETS`` and whose other keys are such keywords.
        where: the part, for the error.

    Raises:
        DataError: something else, or no target.
    """
    if isinstance(batch, Mapping):
        key = next((key for key in TARGETS if key in batch), None)
        if key is None:
            keys = ", ".join(map(str, batch)) or "none"
            raise DataError(f"a batch of {where} has no target: its keys are {keys}; name it {' or '.join(TARGETS)}")
        inputs = {str(name): value for name, value in batch.items() if name != key}
        if not inputs:
            raise DataError(f"a batch of {where} has no input: its only key is {key!r}; give the inputs too")
        return Collated((), inputs, batch[key])
    if not isinstance(batch, (tuple, list)):
        raise DataError(f"a batch of {where} must be (inputs…, target) or a dict; got a {type(batch).__name__}")
    if len(batch) < 2:
        raise DataError(f"a batch of {where} must be (inputs…, target) or a dict; got a tuple of {len(batch)}")
    *given, target = batch
    one = given[0] if len(given) == 1 else None
    if isinstance(one, Mapping):
        return Collated((), {str(name): value for name, value in one.items()}, target)
    several = one if isinstance(one, (tuple, list)) and not hasattr(one, "_fields") else given
    return Collated(tuple(several), {}, target)


def as_batch(taken: Collated, size: int | None, on_target: Callable[[Any], Any], device: Any) -> Batch:
    """The batch on a device, its floats in float32.

    Args:
        taken: the batch, taken apart.
        size: how many examples it has; None where only its tensors tell.
        on_target: makes the target fit the task.
        device: the device.
    """
    args, kwargs, target = (move(part, device) for part in taken)
    return Batch(args, kwargs, on_target(target), count(taken) if size is None else size)


def move(value: Any, device: Any) -> Any:
    """Tensors and arrays, in whatever nest of tuples, lists and dicts, on a device; float64 becomes float32."""
    if isinstance(value, np.ndarray) and value.dtype.kind in "biuf":
        value = torch.from_numpy(value)
    if isinstance(value, Tensor):
        return value.to(device, torch.float32 if value.dtype == torch.float64 else value.dtype)
    if isinstance(value, dict):
        return {key: move(each, device) for key, each in value.items()}
    if isinstance(value, tuple) and hasattr(value, "to"):  # a PackedSequence
        return value.to(device)
    if isinstance(value, (tuple, list)):
        moved = [move(each, device) for each in value]
        return type(value)(*moved) if hasattr(value, "_fields") else type(value)(moved)
    return value.to(device) if hasattr(value, "to") else value


def count(taken: Collated) -> int:
    """How many examples a batch has: the length of its target's first axis, or of its first tensor's."""
    for value in _leaves((taken.target, taken.args, taken.kwargs)):
        if isinstance(value, (Tensor, np.ndarray)) and value.ndim:
            return len(value)
    return 1


def structure(value: Any) -> Any:
    """What must be the same in every batch: the nesting, the keys, and of tensors the type and the number of axes."""
    if isinstance(value, (Tensor, np.ndarray)):
        return f"{str(value.dtype).removeprefix('torch.')} with {value.ndim} axes"
    if isinstance(value, Mapping):
        return {str(key): structure(each) for key, each in value.items()}
    if isinstance(value, (tuple, list)) and not all(isinstance(each, (str, int, float)) for each in value):
        return [structure(each) for each in value]
    return type(value).__name__


def not_finite(taken: Collated) -> str | None:
    """Where a batch has a number that is not finite, in words; None where it has none.

    A mask of 0 and -inf, which is added to attention weights, is let be.
    """
    inputs = {**{f"input {index}": each for index, each in enumerate(taken.args)}, **taken.kwargs}
    for name, value in {**inputs, "the target": taken.target}.items():
        for leaf in _leaves(value):
            wrong = first_not_finite(leaf)
            if wrong is not None:
                return f"{name} is {leaf[wrong]:g} at {wrong} of a batch"
    return None


def first_not_finite(leaf: Any) -> tuple[int, ...] | None:
    """The first place of an array where it is not finite; None where it is, or is a mask of 0 and -inf, or no array."""
    if not isinstance(leaf, Tensor | np.ndarray) or (isinstance(leaf, np.ndarray) and leaf.dtype.kind != "f"):
        return None
    values = torch.as_tensor(leaf)
    finite = values.isfinite()
    if finite.all() or ((values == 0) | (values == -torch.inf)).all():
        return None
    return tuple(finite.logical_not().nonzero()[0].tolist())


def digest(values: Any) -> str:
    """The first 16 hexadecimal digits of a SHA-256 over the types, shapes and values in a nest."""
    found = hashlib.sha256(repr(structure(values)).encode())
    for leaf in _leaves(values):
        array = leaf.detach().cpu() if isinstance(leaf, Tensor) else leaf
        if isinstance(array, Tensor):
            array = array.float().numpy() if array.dtype == torch.bfloat16 else array.numpy()
        if isinstance(array, np.ndarray) and array.dtype != object:
            found.update(f"{array.dtype.str}{array.shape}".encode() + np.ascontiguousarray(array).tobytes())
        elif isinstance(array, (str, int, float, bool, bytes)):
            found.update(repr(array).encode())
    return found.hexdigest()[:16]


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, Mapping):
        for each in value.values():
            yield from _leaves(each)
    elif isinstance(value, (tuple, list)):
        for each in value:
            yield from _leaves(each)
    else:
        yield value
