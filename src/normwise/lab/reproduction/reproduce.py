"""Reproducing one experiment: run its trials, judge its claims, write its page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from normwise.errors import RequestError, choice
from normwise.lab import machine, runner
from normwise.lab.reproduction.asked import Asked, Scale
from normwise.lab.reproduction.result import Reproduction, judgments
from normwise.lab.reproduction.study import Study
from normwise.lab.status import OnProgress
from normwise.records.files import write_json
from normwise.records.study import STUDY, disk_error, opened, slug


def reproduce(
    name: str,
    *,
    scale: str = "quick",
    data: str | None = None,
    seeds: int | None = None,
    out: str | Path | None = None,
    device: str = "cpu",
    workers: int | None = None,
    data_dir: str | None = None,
    on_progress: OnProgress = lambda status: None,
) -> Reproduction:
    """Run one experiment of the paper or of the notes, and say whether its claims hold here.

    Args:
        name: the study; ``normwise reproduce`` lists them.
        scale: ``quick`` or ``full``.
        data: another data set, where the claims make sense there.
        seeds: runs of each arm; by default the study's own number.
        out: its directory, by default ``runs/reproduce-<name>[-<data>]-<scale>``.
        device: ``cpu``, ``cuda``, …
        workers: processes at once; by default one per core.
        data_dir: the folder of the named data sets.
        on_progress: told how far the trials have come.

    Returns:
        The claims with their verdicts; the page and the figures are in its directory.

    Raises:
        RequestError: for a wrong request; nothing was started.
        DataError: data are missing.
        JobError: when records cannot be written.
    """
    from normwise.lab.reproduction.catalogue import study

    one = study(name)
    asked = Asked(_scale(scale), _data(one, data), seeds)
    runner.prepare()
    from normwise.lab.reproduction import page
    from normwise.lab.reproduction.trials import Machine, Trials

    directory = Path(out or default_directory(one, asked))
    trials = Trials(asked, one.plan(asked), directory, Machine(device, workers, data_dir))
    record = _record(one, asked, trials.directories, command(one, asked))
    with opened(directory, record, {key: record[key] for key in ("study", "name", "data", "scale")}):
        try:
            trials.run(on_progress)
            outcome = trials.outcome()
            found = Reproduction(one, outcome, judgments(one, outcome), directory, record["command"])
            page.write(found)
            write_json(directory / "result.json", found.as_dict())
            write_json(directory / STUDY, {**record, "verdict": found.verdict})
        except OSError as error:
            raise disk_error(f"{error.filename or directory}: {error.strerror or error}") from error
    return found


def default_directory(study: Study, asked: Asked) -> Path:
    """Where a study goes when nothing is said."""
    other = [slug(asked.data)] if asked.data != study.data else []
    return Path("runs") / "-".join(["reproduce", study.name, *other, str(asked.scale)])


def command(study: Study, asked: Asked) -> str:
    """The command line that asks the same."""
    words = ["normwise", "reproduce", study.name, "--scale", str(asked.scale)]
    words += ["--data", asked.data] if asked.data != study.data else []
    words += ["--seeds", str(asked.seeds)] if asked.seeds is not None else []
    return " ".join(words)


def _scale(text: str) -> Scale:
    if text not in list(Scale):
        raise RequestError(choice(text, ("quick", "full"), "scale"))
    return Scale(text)


def _data(study: Study, given: str | None) -> str:
    allowed = [name for name in (study.data, *study.alternatives) if name]
    if given is None:
        return study.data
    if not allowed:
        raise RequestError(f"{study.name} needs no data; leave --data out")
    if given not in allowed:
        raise RequestError(choice(given, allowed, f"data of {study.name}"))
    return given


def _record(study: Study, asked: Asked, directories: Sequence[str], written: str) -> dict[str, Any]:
    """What ``study.json`` holds."""
    found: Mapping[str, Any] = {
        "study": "reproduce",
        "name": study.name,
        "scale": str(asked.scale),
        "data": asked.data,
        "model": study.name,
        "arms": [],
        "runs": list(directories),
        "verdict": "",
        "command": written,
        "versions": machine.versions(),
        "machine": machine.describe(),
        "notes": [],
    }
    return dict(found)
