"""Experiments: data, networks, training and comparison."""

from __future__ import annotations

from normwise.lab.compare import Comparison, compare

__all__ = ["Comparison", "compare"]
