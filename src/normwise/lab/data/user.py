"""What a user's data function returns: parts in memory, data sets or data loaders."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from normwise.errors import DataError
from normwise.lab import factory
from normwise.lab.data import arrays, memory
from normwise.lab.data.given import Given

ALLOWED = (
    "(train, test) or (train, validation, test), each an (X, y) pair of arrays, a map-style Dataset or a DataLoader; "
    "items and batches are (inputs…, target), or dicts with the target under target, y or labels"
)

PAIR = 2


def given(source: str | Callable[[], Any]) -> Given:
    """Calls a data function and reads what it returns.

    It returns (train, test) or (train, validation, test). A part is one of these:

    * an (X, y) pair of arrays, tensors or lists, X (N, …) of any shape. It is read into memory and kept as it is.
      Several inputs are a tuple of arrays, X = (a, b), or a dict, whose keys are the arguments of ``forward``; these
      stream.
    * a map-style ``torch.utils.data.Dataset``, or whatever has ``len`` and an index, read batch by batch, with random
      transforms drawn anew every epoch;
    * a ``torch.utils.data.DataLoader``, which keeps its batch size, collate function, sampler and workers.

    Raises:
        DataError: another structure, or data that do not fit together.
        RequestError: the function is missing, is not callable or raises.
    """
    make_data = factory.resolve(source, what="data function")
    parts = read(factory.call(make_data), make_data.name)
    if any(streams(part) for part in parts.values()):
        from normwise.lab.data import loader_data

        return loader_data.given(source, make_data, parts)
    return memory.given(make_data.name, [_arrays(part, f"{name} of {make_data.name}") for name, part in parts.items()])


def read(returned: Any, name: str) -> dict[str, Any]:
    """The parts that a data function returned, by name.

    Args:
        returned: what it returned.
        name: the function, for the error.

    Raises:
        DataError: another structure; it says what was returned and what is allowed.
    """
    if not isinstance(returned, (tuple, list)) or len(returned) not in (2, 3):
        count = f" of {len(returned)}" if isinstance(returned, (tuple, list)) else ""
        raise DataError(f"{name} must return {ALLOWED}; got {_type(returned)}{count}")
    parts = dict(zip(memory.PARTS[len(returned)], returned, strict=True))
    for part, value in parts.items():
        if not (_is_pair(value) or is_dataset(value) or is_loader(value)):
            raise DataError(f"{name} must return {ALLOWED}; its {part} is {_described(value)}")
    return parts


def streams(part: Any) -> bool:
    """Whether a part is read batch by batch."""
    return not _is_pair(part) or several(part) is not None


def several(pair: Any) -> tuple[Any, ...] | dict[str, Any] | None:
    """The inputs of an (X, y) pair whose X is several arrays; None where it is one."""
    X, y = pair
    if isinstance(X, Mapping):
        return dict(X)
    if not (isinstance(X, tuple) and X and all(hasattr(each, "shape") and len(each.shape) for each in X)):
        return None
    count = len(y) if hasattr(y, "__len__") else 0
    return X if len(X) != count and all(len(each) == count for each in X) else None


def is_dataset(value: Any) -> bool:
    """Whether this is map-style: it has a length and an index, and is no array, text, pair or dict."""
    plain = isinstance(value, (str, bytes, tuple, Mapping, np.ndarray)) or hasattr(value, "detach")
    return not plain and not is_loader(value) and hasattr(value, "__len__") and hasattr(value, "__getitem__")


def is_loader(value: Any) -> bool:
    """Whether this is a ``torch.utils.data.DataLoader``."""
    return any(f"{kind.__module__}.{kind.__qualname__}" == LOADER for kind in type(value).__mro__)


LOADER = "torch.utils.data.dataloader.DataLoader"


def _is_pair(value: Any) -> bool:
    return isinstance(value, (tuple, list)) and len(value) == PAIR


def _arrays(pair: Any, where: str) -> memory.Arrays:
    X, y = pair
    return arrays.array(X, f"X of {where}"), arrays.array(y, f"y of {where}")


def _described(value: Any) -> str:
    if isinstance(value, tuple):
        return f"a tuple of {len(value)}; several inputs are a pair of a tuple (or dict) and y: ((a, b), y)"
    if hasattr(value, "__iter__") and not hasattr(value, "__len__"):
        return f"a {_type(value)}, which has no length; wrap it in a DataLoader, which decides the size of its batches"
    return f"a {_type(value)}"


def _type(value: Any) -> str:
    return type(value).__name__
