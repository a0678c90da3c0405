"""``Watched`` as plain data for JSON, and back."""

from __future__ import annotations

import math
import types
from collections.abc import Mapping
from functools import cache
from typing import Any, get_args, get_origin, get_type_hints

from normwise.probes import watched
from normwise.probes.watched import Watched

NOT_FINITE = "nan"
"""Stands for a number that is not finite where None has a meaning of its own; elsewhere null does."""


def as_dict(found: Watched) -> dict[str, Any]:
    """A recording as dictionaries, lists, numbers and texts.

    Numbers that are not finite become None; where None says that there is no number, ``NOT_FINITE``.
    """
    plain: dict[str, Any] = _plain(found, Watched)
    return plain


def from_dict(plain: Mapping[str, Any]) -> Watched:
    """A recording from what ``as_dict`` made of it. Numbers that were not finite are NaN.

    Raises:
        ValueError: something in it is missing or of another kind.
    """
    found: Watched = _made(plain, Watched)
    return found


def _plain(value: Any, kind: Any) -> Any:
    optional, kind = _without_none(kind)
    if isinstance(value, float) and not math.isfinite(value):
        return NOT_FINITE if optional else None
    if hasattr(value, "_fields"):
        hints = _hints(kind)
        return {name: _plain(getattr(value, name), hints[name]) for name in kind._fields}
    if isinstance(value, tuple):
        return [_plain(each, _item(kind)) for each in value]
    return value


def _made(value: Any, kind: Any) -> Any:
    optional, kind = _without_none(kind)
    if kind is float and (value == NOT_FINITE or (value is None and not optional)):
        return math.nan
    if value is None and optional:
        return None
    if hasattr(kind, "_fields"):
        return _fields(value, kind)
    if get_origin(kind) is tuple:
        return tuple(_made(each, _item(kind)) for each in _of_kind(value, list))
    if kind is float:
        return float(_of_kind(value, (int, float)))
    return value if kind is Any else _of_kind(value, get_origin(kind) or kind)


def _fields(value: Any, kind: Any) -> Any:
    missing = set(kind._fields) - _of_kind(value, dict).keys() - kind._field_defaults.keys()
    if missing:
        raise ValueError(f"{kind.__name__} has no {', '.join(sorted(missing))}")
    hints = _hints(kind)
    return kind(**{name: _made(value[name], hints[name]) for name in kind._fields if name in value})


def _of_kind(value: Any, kind: Any) -> Any:
    if not isinstance(value, kind):
        raise ValueError(f"{value!r:.40} does not belong there")
    return value


def _without_none(kind: Any) -> tuple[bool, Any]:
    """Whether None is allowed, and the kind without it."""
    if get_origin(kind) is not types.UnionType:
        return False, kind
    return True, next(each for each in get_args(kind) if each is not types.NoneType)


def _item(kind: Any) -> Any:
    return next(iter(get_args(kind)), Any)


@cache
def _hints(kind: Any) -> dict[str, Any]:
    return get_type_hints(kind, vars(watched))
