"""What the trials of a study were set to, from their records: what all share, and where they differ."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from normwise.lab.reproduction.outcome import Outcome
from normwise.records.files import read_json
from normwise.records.run import SETTINGS
from normwise.report import Section, Table

HIDDEN = ("arm", "seed", "fingerprint", "versions", "metric", "own", "samples", "outputs", "task", "target", "targets")
MOST = 24
"""Rows of a table of settings."""
LETTERS = 70
"""Of the parameters of one measurement."""


def shared(outcome: Outcome) -> list[Section]:
    """The settings that every training has in common, and the seeds."""
    arms = _arms(outcome)
    if not arms:
        return []
    facts = [(_words(key), _written(value)) for key, value in _common(arms.values()).items() if value is not None]
    seeds = sorted({run.settings["seed"] for runs in outcome.runs.values() for run in runs})
    return [Section("Settings of every training", [*facts, ("seeds", ", ".join(map(str, seeds)))])]


def tables(outcome: Outcome, trials: Sequence[Path]) -> list[Table]:
    """Where trainings differ, and the measurements with their parameters."""
    return [*_differences(_arms(outcome)), *_measurements(trials)]


def _arms(outcome: Outcome) -> dict[str, dict[str, Any]]:
    found = {arm: runs[0].settings for arm, runs in outcome.runs.items() if runs}
    return {
        arm: {key: value for key, value in settings.items() if key not in HIDDEN} for arm, settings in found.items()
    }


def _common(arms: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    first, *others = arms
    return {key: value for key, value in first.items() if all(other.get(key) == value for other in others)}


def _differences(arms: Mapping[str, Mapping[str, Any]]) -> list[Table]:
    if len(arms) < 2:
        return []
    common = _common(arms.values())
    keys = [key for key in next(iter(arms.values())) if key not in common]
    if not keys:
        return []
    rows = [[arm, *(_written(settings.get(key)) for key in keys)] for arm, settings in arms.items()]
    columns = ["arm", *map(_words, keys)]
    return [_cut("The settings in which trainings differ.", columns, rows)]


def _measurements(trials: Sequence[Path]) -> list[Table]:
    found: dict[tuple[str, str, str], list[int]] = {}
    for directory in trials:
        settings = read_json(directory / SETTINGS) or {}
        if "measurement" in settings:
            said = ", ".join(f"{_words(key)} {_written(value)}" for key, value in settings["parameters"].items())
            key = settings["measurement"], textwrap.shorten(said, LETTERS, placeholder=" …"), settings["data"]
            found.setdefault(key, []).append(settings["seed"])
    if not found:
        return []
    rows = [
        [name, said or "\N{EN DASH}", data or "\N{EN DASH}", ", ".join(map(str, dict.fromkeys(seeds)))]
        for (name, said, data), seeds in found.items()
    ]
    columns = ["measurement", "parameters", "data", "seeds"]
    told = [place for place in range(len(columns)) if any(row[place] != "\N{EN DASH}" for row in rows)]
    rows = [[row[place] for place in told] for row in rows]
    return [_cut("What was measured.", [columns[place] for place in told], rows)]


def _cut(caption: str, columns: list[str], rows: list[list[str]]) -> Table:
    more = len(rows) - MOST
    said = f"{caption} The first {MOST} of {len(rows)}." if more > 0 else caption
    return Table(said, columns, rows[:MOST], len(columns))


def _words(key: str) -> str:
    return {"lr": "learning rate", "init": "initialization"}.get(key, key.replace("_", " "))


def _written(value: object) -> str:
    if value is None:
        return "\N{EN DASH}"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, (Mapping, list, tuple)):  # of a mapping, the names
        return textwrap.shorten(", ".join(map(_written, value)), 40, placeholder=" …")
    return str(value)
