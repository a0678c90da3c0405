"""Making a healthy case."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn

from benchmarks.doctor.case import Case, Parts, Setup

ADAM: dict[str, Any] = {"optimizer": "adam", "lr": 0.002, "batch_size": 32, "steps": 300}
SGD: dict[str, Any] = {"optimizer": "sgd", "lr": 0.1, "batch_size": 32, "steps": 400}
MOMENTUM: dict[str, Any] = {"optimizer": "momentum", "lr": 0.02, "batch_size": 32, "steps": 300}


def healthy(
    name: str, what: str, model: Callable[[], nn.Module], data: Callable[[], Parts], learns_at: float, **options: Any
) -> Case:
    """A case of the lab."""
    return Case(name, "healthy", what, Setup(model, data, options), learns_at=learns_at)
