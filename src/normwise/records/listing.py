"""The studies below a folder, as far as their files tell."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, NamedTuple

from filelock import FileLock, Timeout

from normwise.errors import JobError, RequestError
from normwise.records.files import read_json
from normwise.records.metric import ACCURACY, Metric
from normwise.records.run import DONE
from normwise.records.study import LOCK, REPORT, STUDY

Status = Literal["running", "interrupted", "finished", "damaged"]


class Listed(NamedTuple):
    """One study.

    Attributes:
        study: its folder.
        status: ``running`` while a process holds it, ``finished`` when it has a verdict, ``interrupted`` without, and
            ``damaged`` where a file of it cannot be read.
        data: the data set's name.
        model: the network's name; of a reproduction, that of its study.
        arms: the arms as they were written.
        ended: how many runs of the study have ended, in whatever way; not those of what was asked before.
        planned: how many runs there are to be; None where the study does not say.
        best: the best validation metric of these runs, and the metric; None while no run has ended with one, and of a
            reproduction, whose claims are what counts.
        verdict: the sentence at the end; of a damaged study, what is wrong.
        changed: when it was last written to, in seconds since 1970.
        report: its report, where there is one.
    """

    study: Path
    status: Status
    data: str = ""
    model: str = ""
    arms: tuple[str, ...] = ()
    ended: int = 0
    planned: int | None = None
    best: tuple[float, Metric] | None = None
    verdict: str = ""
    changed: float = 0.0
    report: Path | None = None

    def as_dict(self) -> dict[str, Any]:
        """The study as plain data for JSON."""
        value, metric = self.best or (None, None)
        return self._asdict() | {
            "study": str(self.study),
            "arms": list(self.arms),
            "best": value,
            "metric": metric and metric.name,
            "changed": datetime.fromtimestamp(self.changed, UTC).isoformat(timespec="seconds"),
            "report": self.report and str(self.report),
        }


def studies(folder: Path) -> list[Listed]:
    """Every study in ``folder`` or below it, the one that changed last first.

    Raises:
        RequestError: there is no such folder.
    """
    if not folder.is_dir():
        raise RequestError(f"there is no folder {folder}; give one that holds studies, normwise compare makes runs")
    return sorted(map(_listed, _folders(folder)), key=lambda found: found.changed, reverse=True)


def _folders(folder: Path) -> Iterator[Path]:
    for path, below, files in os.walk(folder):
        if STUDY in files:
            below.clear()  # what is below a study are its runs
            yield Path(path)


def _listed(folder: Path) -> Listed:
    changed = (folder / STUDY).stat().st_mtime
    try:
        study = read_json(folder / STUDY) or {}
        paths = (
            [folder / name / DONE for name in study["runs"]] if "runs" in study else sorted(folder.glob(f"*/{DONE}"))
        )
        ends = [done for done in map(read_json, paths) if done]
        return _read(folder, study, ends, changed)
    except JobError as error:
        return Listed(folder, "damaged", verdict=str(error), changed=changed)
    except (KeyError, TypeError, AttributeError, OSError) as error:
        return Listed(
            folder, "damaged", verdict=f"{folder / STUDY} or a {DONE} is unreadable: {error!r}", changed=changed
        )


def _read(folder: Path, study: Mapping[str, Any], ends: list[dict[str, Any]], changed: float) -> Listed:
    verdict = study.get("verdict", "")
    report = folder / REPORT
    return Listed(
        folder,
        "running" if _is_held(folder / LOCK) else "finished" if verdict else "interrupted",
        data=study["data"],
        model=study["model"],
        arms=tuple(study["arms"]),
        ended=len(ends),
        planned=len(study["runs"]) if "runs" in study else None,
        best=None
        if study.get("study") == "reproduce"
        else _best(ends, Metric.of(study["metric"]) if study.get("metric") else ACCURACY),
        verdict=verdict,
        changed=max([changed, *(path.stat().st_mtime for path in folder.glob(f"*/{DONE}"))]),
        report=report if report.exists() else None,
    )


def _best(ends: list[dict[str, Any]], metric: Metric) -> tuple[float, Metric] | None:
    found = [done["best"]["validation"].get(metric.name) for done in ends if done.get("best")]
    values = [value for value in found if value is not None]
    return (metric.best(values), metric) if values else None


def _is_held(lock: Path) -> bool:
    """Whether a process holds the study; nothing is written where there is no lock."""
    if not lock.exists():
        return False
    try:
        FileLock(lock).acquire(timeout=0).lock.release()
    except Timeout:
        return True
    except OSError:  # a folder of someone else's, which cannot be written
        return False
    return False
