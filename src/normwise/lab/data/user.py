"""The parts that a user's data function returns."""

from __future__ import annotations

from typing import Any

from normwise.errors import DataError
from normwise.lab.data import arrays, checks
from normwise.lab.data.parts import Part

ALLOWED = "(train, test) or (train, validation, test), each an (X, y) pair or a map-style Dataset of (x, y) pairs"
NAMES = {2: ("train", "test"), 3: ("train", "validation", "test")}


def parts(returned: Any, name: str) -> tuple[Part, ...]:
    """Reads what a data function returned.

    Args:
        returned: (train, test) or (train, validation, test). A part is an (X, y) pair of arrays, tensors or lists, or a
            data set with ``len`` and an index whose items are (x, y) pairs, such as a map-style
            ``torch.utils.data.Dataset``: it is read once, from first to last, so random transforms are drawn once.
            X is (N, D), (N, H, W) or (N, C, H, W); y holds integers from 0, as whole floats too.
        name: the function, for the error.

    Returns:
        The same parts as arrays.

    Raises:
        DataError: another structure, or data that do not fit together.
    """
    if not isinstance(returned, (tuple, list)) or len(returned) not in NAMES:
        count = f" of {len(returned)}" if isinstance(returned, (tuple, list)) else ""
        raise DataError(f"{name} must return {ALLOWED}; got {type(returned).__name__}{count}")
    names = NAMES[len(returned)]
    read = tuple(_part(given, part, name) for part, given in zip(names, returned, strict=True))
    checks.fitting(tuple(zip(names, read, strict=True)), name)
    return read


def _part(given: Any, part: str, name: str) -> Part:
    where = f"{part} of {name}"
    X, y = given if _is_pair(given) else _columns(given, part, name)
    return checks.part(arrays.array(X, f"X of {where}"), arrays.array(y, f"y of {where}"), where)


def _is_pair(value: Any) -> bool:
    return isinstance(value, (tuple, list)) and len(value) == 2


def _columns(data: Any, part: str, name: str) -> tuple[list[Any], list[Any]]:
    """The examples and the labels of a map-style data set."""
    refused = f"{name} must return {ALLOWED}; its {part} is"
    if not (hasattr(data, "__len__") and hasattr(data, "__getitem__")):
        raise DataError(f"{refused} a {type(data).__name__}")
    examples, labels = [], []
    for index in range(len(data)):
        item = _item(data, index, refused)
        if not _is_pair(item):
            raise DataError(f"{refused} a {type(data).__name__} whose item {index} is a {type(item).__name__}")
        examples.append(item[0])
        labels.append(item[1])
    return examples, labels


def _item(data: Any, index: int, refused: str) -> Any:
    try:
        return data[index]
    except Exception as error:
        message = " ".join(f"{type(error).__name__}: {error}".split())
        raise DataError(f"{refused} a {type(data).__name__} whose item {index} cannot be read: {message}") from error
