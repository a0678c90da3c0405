"""Experiments: data, networks, training and comparison."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from normwise.lab.compare import compare

if TYPE_CHECKING:
    from normwise.lab.comparison import Comparison

__all__ = ["Comparison", "compare"]


def __getattr__(name: str) -> Any:
    if name != "Comparison":
        raise AttributeError(f"module 'normwise.lab' has no attribute {name!r}; it has {', '.join(__all__)}")
    from normwise.lab.comparison import Comparison

    return Comparison
