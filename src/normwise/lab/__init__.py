"""Experiments: data, networks, training and comparison."""

from __future__ import annotations

from normwise.lab.compare import compare
from normwise.lab.comparison import Comparison

__all__ = ["Comparison", "compare"]
