"""The structure of what a user's data function returns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from normwise.errors import DataError
from normwise.lab.data.parts import PARTS

ALLOWED = (
    "(train, test) or (train, validation, test), each an (X, y) pair of arrays, a map-style Dataset or a DataLoader; "
    "items and batches are (inputs…, target), or dicts with the target under target, y or labels"
)

PAIR = 2


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
    parts = dict(zip(PARTS[len(returned)], returned, strict=True))
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


def _described(value: Any) -> str:
    if isinstance(value, tuple):
        return f"a tuple of {len(value)}; several inputs are a pair of a tuple (or dict) and y: ((a, b), y)"
    if hasattr(value, "__iter__") and not hasattr(value, "__len__"):
        return f"a {_type(value)}, which has no length; wrap it in a DataLoader, which decides the size of its batches"
    return f"a {_type(value)}"


def _type(value: Any) -> str:
    return type(value).__name__
