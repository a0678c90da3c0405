"""Making a failing case from what it has and what its repair changes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from benchmarks.doctor.case import Case, Parts, Setup

DIGITS, PHOTOGRAPHS = 0.8, 0.3
"""The training accuracy, after some hundred steps, below which a network failed on MNIST and on CIFAR-10."""


def failing(
    name: str,
    source: str,
    model: Callable[[], nn.Module],
    data: Callable[[], Parts],
    label: set[str],
    learns_at: float,
    *,
    cure: tuple[str, ...] = (),
    sound_model: Callable[[], nn.Module] | None = None,
    sound_data: Callable[[], Parts] | None = None,
    sound: Mapping[str, Any] | None = None,
    judged_at: str = "best",
    **options: Any,
) -> Case:
    """A case; ``sound`` are the options of the repaired network, ``sound_model`` and ``sound_data`` its parts."""
    changed = {key: value for key, value in {**options, **(sound or {})}.items() if value is not None}
    return Case(
        name,
        "failing",
        source,
        Setup(model, data, options),
        None,
        frozenset(label),
        learns_at,
        judged_at,
        cure,
        Setup(sound_model or model, sound_data or data, changed),
    )
