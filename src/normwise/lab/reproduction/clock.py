"""How long the trials of a study took."""

from __future__ import annotations

from pathlib import Path

from normwise.errors import JobError
from normwise.records.files import read_json, read_lines
from normwise.records.run import TIMING
from normwise.records.study import STUDY


def spent(directory: Path) -> float:
    """The seconds that a run or a measurement took, on one core; 0 where nothing is known."""
    try:
        lines = read_lines(directory / TIMING)
    except JobError:
        lines = []
    seconds = lines[-1].get("seconds") if lines else None
    return float(seconds) if isinstance(seconds, (int, float)) else 0.0


def clocked(directory: Path) -> float:
    """The seconds on the clock that a study's trials have taken so far."""
    try:
        return float((read_json(directory / STUDY) or {})["seconds"]["clock"])
    except (JobError, OSError, KeyError, TypeError, ValueError):
        return 0.0
