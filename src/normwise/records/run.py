"""Reading one run's directory.

runs/<study>/<arm slug>-<seed>-<hash>/
    settings.json           the resolved settings
    metrics.jsonl           one line per evaluation; deterministic: no clock in it
    timing.jsonl            clocks
    checkpoint.safetensors  see ``checkpoint.py``
    done.json               only when the run has ended
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class RunRecord:
    """One run: an arm with a seed.

    Attributes:
        directory: where the files are.
        settings: ``settings.json``: ``arm`` (name), ``seed``, ``lr`` and every other resolved setting.
        metrics: the lines of ``metrics.jsonl``.
        timing: the lines of ``timing.jsonl``.
        done: ``done.json``, or None while the run has not ended.
    """

    directory: Path
    settings: dict[str, Any]
    metrics: list[dict[str, Any]] = field(default_factory=list)
    timing: list[dict[str, Any]] = field(default_factory=list)
    done: dict[str, Any] | None = None
