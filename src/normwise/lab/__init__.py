"""Experiments: data, networks, training and comparison."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from normwise.lab.compare import compare

if TYPE_CHECKING:
    from normwise.lab.comparison import Comparison
    from normwise.lab.reproduction.reproduce import reproduce
    from normwise.lab.saved import load

_HOME = {
    "Comparison": "normwise.lab.comparison",
    "load": "normwise.lab.saved",
    "reproduce": "normwise.lab.reproduction.reproduce",
}

__all__ = ["Comparison", "compare", "load", "reproduce"]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'normwise.lab' has no attribute {name!r}; it has {', '.join(__all__)}")
    return getattr(importlib.import_module(_HOME[name]), name)
