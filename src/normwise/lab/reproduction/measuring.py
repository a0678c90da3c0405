"""A measurement as a job of the runner: done once, kept on disk, found again."""

from __future__ import annotations

import hashlib
import inspect
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from normwise.errors import JobError
from normwise.lab import machine
from normwise.lab.data import Data
from normwise.lab.data.loader_data import LoaderData
from normwise.lab.reproduction.study import Measurement
from normwise.records.files import dumps, read_json, replace, write_json
from normwise.records.run import DONE, SETTINGS, TIMING, write_done
from normwise.records.study import run_directory

MEASURED = "measured.json"

STEPS = 100
"""As how many steps of a training a measurement counts in the progress of its study."""

BETWEEN = 0.25
"""Seconds between two messages of how far a measurement has come."""


@dataclass(frozen=True)
class MeasuringJob:
    """What a process needs to know to make a measurement.

    Attributes:
        directory: where its result goes.
        settings: what it is found by.
        measurement: the function and its parameters.
        device: where it computes.
    """

    directory: Path
    settings: Mapping[str, Any]
    measurement: Measurement
    device: str

    @property
    def function(self) -> str:
        """What makes it."""
        return f"{__name__}:measure"


def measure(job: MeasuringJob, data: Data | None, tell: Callable[[int], None]) -> None:
    """Make a measurement, and write down what came of it."""
    import torch

    from normwise.lab.reproduction.context import Context

    job.directory.mkdir(parents=True, exist_ok=True)
    for name in (DONE, MEASURED, TIMING):
        (job.directory / name).unlink(missing_ok=True)
    write_json(job.directory / SETTINGS, job.settings)
    torch.manual_seed(job.measurement.seed)
    last, began = time.monotonic(), time.perf_counter()

    def progress(share: float) -> None:
        nonlocal last
        if time.monotonic() - last > BETWEEN and 0 <= share <= 1:
            last = time.monotonic()
            tell(round(STEPS * share))

    context = Context(job.measurement.seed, torch.device(job.device), data, progress)
    found = job.measurement.measure(context, **job.measurement.parameters)
    replace(job.directory / TIMING, (dumps({"seconds": time.perf_counter() - began}) + "\n").encode())
    write_json(job.directory / MEASURED, _plain(found))
    write_done(job.directory, "finished", STEPS)


def _plain(found: Any) -> dict[str, Any]:
    """What a measurement returned as JSON has it, numbers and arrays of numpy and torch as Python's.

    Raises:
        JobError: it is something else.
    """
    if not isinstance(found, Mapping):
        raise JobError(
            f"the measurement returned a {type(found).__name__}; it must return a mapping of numbers, texts, lists and "
            "mappings"
        )

    def plain(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {key: plain(item) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return [plain(item) for item in value]
        return value.tolist() if hasattr(value, "tolist") else value

    return dict(plain(found))


def ended(directory: Path) -> bool:
    """Whether a measurement or a run has ended and left what it should."""
    done = read_json(directory / DONE)
    if done is None or done.get("status") == "failed":
        return False
    settings = read_json(directory / SETTINGS)
    return settings is None or "measurement" not in settings or (directory / MEASURED).exists()


def job(measurement: Measurement, out: Path, data: Data | LoaderData | None, device: str) -> MeasuringJob:
    """The job of a measurement in a study's directory."""
    function = measurement.measure
    source = inspect.getsourcefile(function)
    settings = {
        "measurement": measurement.name,
        "function": f"{function.__module__}:{function.__qualname__}",
        "source": hashlib.sha256(Path(source).read_bytes()).hexdigest()[:16] if source else "",
        "parameters": dict(measurement.parameters),
        "seed": measurement.seed,
        "data": data.name if data is not None else "",
        "fingerprint": data.fingerprint if data is not None else "",
        "device": device,
        "versions": machine.versions("normwise", "torch", "numpy"),
    }
    return MeasuringJob(run_directory(out, measurement.name, settings), settings, measurement, device)


def read(directory: Path) -> dict[str, Any] | None:
    """What a measurement returned; None while it has not ended or where it failed."""
    return read_json(directory / MEASURED)
