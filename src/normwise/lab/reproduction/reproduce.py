"""Reproducing one experiment: run its trials, judge its claims, write its page."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from normwise.errors import DataError, NormwiseError, RequestError, choice
from normwise.lab import machine, runner
from normwise.lab.question import usable_device
from normwise.lab.reproduction.asked import Asked, Scale
from normwise.lab.reproduction.clock import clocked, spent
from normwise.lab.reproduction.result import Reproduction, Seconds, counted, judgments
from normwise.lab.reproduction.study import Study
from normwise.lab.status import OnProgress
from normwise.records.files import write_json
from normwise.records.study import STUDY, disk_error, opened, slug

if TYPE_CHECKING:
    from normwise.lab.reproduction.trials import Trials

DATA = "NORMWISE_DATA"
"""The variable that names the folder of the named data sets."""

MOST_SEEDS = 1000
"""More would be days, and the plan of a study alone too large."""


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
    asked = Asked(checked_scale(scale), _data(one, data), checked_seeds(seeds))
    checked_workers(workers)
    usable_device(device)
    with _named(data_dir):
        runner.prepare()
        from normwise.lab.reproduction.trials import Machine, Trials

        directory = Path(out or default_directory(one, asked))
        try:
            trials = Trials(asked, one.plan(asked), directory, Machine(device, workers, data_dir))
        except NormwiseError as error:
            missing = error if isinstance(error, DataError) else error.__cause__  # of a study's own data function
            if isinstance(missing, DataError):
                raise _missing(one, asked, missing) from error
            raise
        return _run(one, trials, directory, _record(one, asked, trials.directories, device), on_progress)


def _run(one: Study, trials: Trials, directory: Path, record: dict[str, Any], on_progress: OnProgress) -> Reproduction:
    """Run what has not ended, judge, and write all that a study leaves."""
    from normwise.lab.reproduction import page

    before = clocked(directory)
    before_now = {"seconds": {"clock": before}} if before else {}  # kept if this is interrupted
    with opened(directory, {**record, **before_now}, {key: record[key] for key in ("study", "name", "data", "scale")}):
        try:
            began = time.perf_counter()
            made = trials.run(on_progress)
            clock = before + (time.perf_counter() - began if made else 0.0)
            outcome, seconds = trials.outcome(), Seconds(clock, sum(map(spent, trials.places)))
            done = Reproduction(
                one, outcome, judgments(one, outcome), directory, record["command"], seconds, trials.places
            )
            page.write(done)
            write_json(directory / "result.json", done.as_dict())
            said = {"verdict": counted(done.verdicts), "verdicts": [str(each) for each in done.verdicts]}
            said |= {"date": f"{datetime.now(UTC):%Y-%m-%d}"}
            write_json(directory / STUDY, {**record, **said, "seconds": seconds._asdict()})
        except OSError as error:
            raise disk_error(f"{error.filename or directory}: {error.strerror or error}") from error
    return done


@contextmanager
def _named(data_dir: str | None) -> Iterator[None]:
    """``NORMWISE_DATA`` is ``data_dir``, where there is one: data functions of studies take no arguments."""
    before = os.environ.get(DATA)
    if data_dir is not None:
        os.environ[DATA] = str(data_dir)
    try:
        yield
    finally:
        if before is not None:
            os.environ[DATA] = before
        elif data_dir is not None:
            os.environ.pop(DATA, None)


def default_directory(study: Study, asked: Asked) -> Path:
    """Where a study goes when nothing is said."""
    other = [slug(asked.data)] if asked.data != study.data else []
    return Path("runs") / "-".join(["reproduce", study.name, *other, str(asked.scale)])


def command(study: Study, asked: Asked, device: str) -> str:
    """The command line that asks the same."""
    words = ["normwise", "reproduce", study.name, "--scale", str(asked.scale)]
    words += ["--data", asked.data] if asked.data != study.data else []
    words += ["--seeds", str(asked.seeds)] if asked.seeds is not None else []
    words += ["--device", device] if device != "cpu" else []
    return " ".join(words)


def checked_scale(text: str) -> Scale:
    """The scale of a name, or an error that says what is allowed."""
    if text not in list(Scale):
        raise RequestError(choice(text, ("quick", "full"), "scale"))
    return Scale(text)


def checked_seeds(given: int | None) -> int | None:
    """A number of seeds, or an error that says what is allowed."""
    if given is None or (_is_whole(given) and 1 <= given <= MOST_SEEDS):
        return given
    raise RequestError(f"seeds is {str(given)!r}; allowed: a whole number from 1 to {MOST_SEEDS:,}")


def checked_workers(given: int | None) -> int | None:
    """A number of processes, or an error that says what is allowed."""
    if given is None or (_is_whole(given) and given >= 0):
        return given
    raise RequestError(f"workers is {str(given)!r}; allowed: a whole number, 0 or more")


def _is_whole(given: Any) -> bool:
    return isinstance(given, int) and not isinstance(given, bool)


def _missing(study: Study, asked: Asked, error: DataError) -> DataError:
    """The error for data that a study needs and that are not at hand, with other data that it can take."""
    others = " or ".join(name for name in (study.data, *study.alternatives) if name != asked.data)
    offer = f"; or give other data on which its claims make sense: --data {others}" if others else ""
    return DataError(f"{study.name} needs {asked.data or study.data or 'data'}: {error}{offer}")


def _data(study: Study, given: str | None) -> str:
    allowed = [name for name in (study.data, *study.alternatives) if name]
    if given is None:
        return study.data
    if not allowed:
        raise RequestError(f"{study.name} needs no data; leave --data out")
    if given not in allowed:
        raise RequestError(choice(given, allowed, f"data of {study.name}"))
    return given


def _record(study: Study, asked: Asked, directories: Sequence[str], device: str) -> dict[str, Any]:
    """What ``study.json`` holds."""
    return {
        "study": "reproduce",
        "name": study.name,
        "scale": str(asked.scale),
        "data": asked.data,
        "model": study.name,
        "arms": [],
        "runs": list(directories),
        "verdict": "",
        "verdicts": [],
        "device": device,
        "command": command(study, asked, device),
        "versions": machine.versions(),
        "machine": machine.describe(),
        "notes": [],
    }
