"""What a user's data function returns: parts in memory, data sets or data loaders."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from normwise.lab import factory
from normwise.lab.data import arrays, memory, returned
from normwise.lab.data.given import Given


def read_user(source: str | Callable[[], Any]) -> Given:
    """Calls a data function and reads what it returns.

    It returns (train, test) or (train, validation, test). A part is one of these:

    * an (X, y) pair of arrays, tensors or lists, X (N, …) of any shape. It is read into memory and kept as it is.
      Several inputs are a tuple of arrays, X = (a, b), or a dict, whose keys are the arguments of ``forward``; these
      stream.
    * a map-style ``torch.utils.data.Dataset``, or whatever has ``len`` and an index, read batch by batch, with random
      transforms drawn anew every epoch;
    * a ``torch.utils.data.DataLoader``, which keeps its batch size, collate function, sampler and workers. Over an
      iterable data set, only train may be endless.

    Items and batches are (inputs…, target), or dicts: keywords of ``forward``, and the target under ``target``, ``y``
    or ``labels``. With two parts, validation is a part of train: of its items, where it is a data set or a loader.

    Arrays in memory, those of a ``TensorDataset`` too, are checked as a whole. Of other data sets and loaders a sample
    is looked at (``loader_given.SAMPLES``), and what is wrong with the rest is not seen.

    Raises:
        DataError: another structure, or data that do not fit together.
        RequestError: the function is missing, is not callable or raises.
    """
    make_data = factory.resolve(source, what="data function")
    parts = returned.read(factory.call(make_data), make_data.name)
    if any(returned.streams(part) for part in parts.values()):
        from normwise.lab.data import loader_given

        return loader_given.read_streams(source, make_data, parts)
    return memory.read_arrays(
        make_data.name, [_arrays(part, f"{name} of {make_data.name}") for name, part in parts.items()]
    )


def _arrays(pair: Any, where: str) -> memory.Arrays:
    X, y = pair
    return arrays.array(X, f"X of {where}"), arrays.array(y, f"y of {where}")
