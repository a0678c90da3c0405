"""What earlier reproductions left below a folder."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from normwise.errors import JobError
from normwise.lab.reproduction.asked import Scale
from normwise.lab.reproduction.result import counted
from normwise.lab.reproduction.study import Verdict
from normwise.records.files import read_json
from normwise.records.study import STUDY


class Past(NamedTuple):
    """A reproduction that has ended.

    Attributes:
        directory: where it is.
        name: of its study.
        scale: how much was run.
        data: the data set's name.
        verdicts: of its claims.
        changed: when it was written, in seconds since 1970.
    """

    directory: Path
    name: str
    scale: Scale
    data: str
    verdicts: tuple[Verdict, ...]
    changed: float

    @property
    def verdict(self) -> str:
        """How many claims held, and at which scale: ``2 of 3 hold (quick)``."""
        return f"{counted(self.verdicts)} ({self.scale})"


def newest(folder: Path) -> dict[str, Past]:
    """By study, the one in ``folder`` that ended last; those that only showed that a study runs do not count."""
    found = [past for path in folder.glob("reproduce-*") if (past := _read(path)) is not None]
    return {past.name: past for past in sorted(found, key=lambda past: past.changed) if past.scale is not Scale.SMOKE}


def _read(directory: Path) -> Past | None:
    """None for a folder that holds no reproduction that ended, or something else, or what cannot be read."""
    try:
        study = read_json(directory / STUDY) or {}
        verdicts = tuple(Verdict(each) for each in study["verdicts"])
        if study["study"] != "reproduce" or not verdicts:
            return None
        changed = (directory / STUDY).stat().st_mtime
        return Past(directory, str(study["name"]), Scale(study["scale"]), str(study["data"]), verdicts, changed)
    except (JobError, OSError, KeyError, TypeError, ValueError):
        return None
