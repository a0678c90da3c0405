"""Figures as plain data and back, so that what a figure shows can be kept in a small file and drawn again."""

from __future__ import annotations

import math
from collections.abc import Sequence
from importlib import import_module
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

DRAWINGS = ("lines", "histograms", "dots", "heatmap")
"""The modules whose info can be kept."""

DIGITS = 4


def pack(info: Any) -> Any:
    """Mappings, lists, texts and numbers of four significant digits; what is not finite becomes a text."""
    if isinstance(info, tuple) and hasattr(info, "_asdict"):
        defaults = info._field_defaults  # type: ignore[attr-defined]
        return {
            key: pack(value) for key, value in info._asdict().items() if key not in defaults or value != defaults[key]
        }
    if isinstance(info, float):
        return float(f"{info:.{DIGITS}g}") if math.isfinite(info) else str(info)
    if isinstance(info, Sequence) and not isinstance(info, str):
        return [pack(value) for value in info]
    return info


def unpack(drawing: str, packed: Any) -> Any:
    """The info of a drawing, a name of ``DRAWINGS``, from what ``pack`` made of it."""
    return _read(module(drawing).Info, packed)


def module(drawing: str) -> Any:
    """The module that draws.

    Raises:
        ValueError: there is none of this name whose info can be kept.
    """
    if drawing not in DRAWINGS:
        raise ValueError(f"{drawing!r} is not kept as plain data; allowed: {', '.join(DRAWINGS)}")
    return import_module(f"normwise.figures.{drawing}")


def _read(kind: Any, packed: Any) -> Any:
    origin, inner = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        if packed is None and NoneType in inner:
            return None
        return _read(next(each for each in inner if each is not NoneType), packed)
    if isinstance(kind, type) and hasattr(kind, "_fields"):
        hints = get_type_hints(kind)
        return kind(**{key: _read(hints[key], value) for key, value in packed.items()})
    if (origin is tuple and len(inner) == 2 and inner[1] is Ellipsis) or origin is Sequence:
        return tuple(_read(inner[0], value) for value in packed)
    if origin is tuple:
        return tuple(_read(each, value) for each, value in zip(inner, packed, strict=True))
    return float(packed) if kind is float else packed
