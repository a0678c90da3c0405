"""The doctor: why a network does not train, which remedies help, and by how much."""

from __future__ import annotations

from normwise.doctor.diagnose import diagnose

__all__ = ["diagnose"]
