"""One run on disk.

runs/<study>/<arm slug>-<seed>-<hash>/
    settings.json           the resolved settings
    metrics.jsonl           one line per evaluation; deterministic: no clock in it
    timing.jsonl            clocks
    checkpoint.safetensors  weights, optimizer state and random generators; see ``normwise.lab.checkpoint``
    best.safetensors        the weights of the best step by the validation metric, once the run has ended
    predictions.safetensors what the network puts out for the test part with these weights, and its targets
    tensorboard/            what is measured as events, where that was asked for
    watched.json            what a recorder saw of the training, where that was asked for; see ``probes.recorder``
    done.json               only when the run has ended: finished, diverged or failed, with the reason and the best step
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from normwise.errors import first_line
from normwise.records.files import damaged, dumps, read_json, read_lines, size, write_json
from normwise.records.metric import Metric

METRICS, TIMING, DONE, SETTINGS = "metrics.jsonl", "timing.jsonl", "done.json", "settings.json"
BEST, PREDICTIONS = "best.safetensors", "predictions.safetensors"
WATCHED = "watched.json"


@dataclass(frozen=True)
class RunRecord:
    """What a run left on disk.

    Attributes:
        directory: where the files are.
        settings: ``settings.json``, with the ``arm``'s name in the study that asks, ``seed`` and ``lr``.
        metrics: the lines of ``metrics.jsonl``.
        timing: the lines of ``timing.jsonl``.
        done: ``done.json``, or None while the run has not ended.
    """

    directory: Path
    settings: dict[str, Any]
    metrics: list[dict[str, Any]] = field(default_factory=list)
    timing: list[dict[str, Any]] = field(default_factory=list)
    done: dict[str, Any] | None = None

    @property
    def metric(self) -> Metric:
        """What the run is judged by."""
        return Metric(**self.settings["metric"])

    @property
    def best(self) -> dict[str, Any] | None:
        """The best step by validation, and what the whole parts gave there; None where no evaluation was finite."""
        return (self.done or {}).get("best")

    @property
    def watched(self) -> dict[str, Any] | None:
        """What a recorder saw of the training, as ``normwise.probes.watched_json`` writes it; None without one."""
        return read_json(self.directory / WATCHED)

    @classmethod
    def read(cls, directory: Path, *, arm: str) -> RunRecord:
        """Read a run's directory, also one that another process is still writing.

        Raises:
            JobError: a file does not hold what was written to it; the error says which and what to do.
        """
        done = read_json(directory / DONE)  # first: what a run has written before it ended is there
        if done is not None and not {"status", "step", "reason"} <= done.keys():
            raise damaged(directory / DONE, "it does not say how the run ended")
        metrics = read_lines(directory / METRICS)
        _refuse_cut(directory / METRICS, metrics, done)
        settings = {"arm": arm, **(read_json(directory / SETTINGS) or {})}
        return cls(directory, settings, metrics, read_lines(directory / TIMING), done)


def _refuse_cut(path: Path, metrics: list[dict[str, Any]], done: Mapping[str, Any] | None) -> None:
    """Refuse metrics that end before the run did."""
    last = metrics[-1].get("step") if metrics else None
    if done is None or done.get("status") not in ("finished", "diverged"):
        return
    if (done["status"] == "finished" and last != done["step"]) or (last is None and done["step"]):
        ends = "holds no measurement" if last is None else f"ends at step {last}"
        raise damaged(path, f"it {ends}, and the run at step {done['step']}")


def read_predictions(directory: Path) -> dict[str, Any] | None:
    """``outputs`` and ``targets`` of the test part at the best step, as arrays; None where a run kept none.

    Raises:
        JobError: the file does not hold what was written to it.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    path = directory / PREDICTIONS
    if not path.is_file():
        return None
    try:
        found: dict[str, Any] = load_file(path)
    except (SafetensorError, ValueError) as error:
        raise damaged(path, first_line(error)) from error
    if not {"outputs", "targets"} <= found.keys():
        raise damaged(path, "it has no outputs and targets")
    return found


class RunWriter:
    """Appends the lines of a run's files.

    The files are cut to the given lengths first, so that what a killed process wrote after its last checkpoint is gone.

    Raises:
        JobError: a file is shorter.
    """

    def __init__(self, directory: Path, lengths: Mapping[str, int]) -> None:
        for name, length in lengths.items():
            if size(directory / name) < length:
                raise damaged(directory / name, "it ends before the last checkpoint")
        self._files = {name: (directory / name).open("ab") for name in (METRICS, TIMING)}
        for name, file in self._files.items():
            file.truncate(lengths.get(name, 0))

    def append(self, name: str, line: Mapping[str, Any]) -> None:
        """Add one line to the file ``name``."""
        self._files[name].write(dumps(line).encode() + b"\n")
        self._files[name].flush()

    def sync(self) -> dict[str, int]:
        """Force the lines to disk and return each file's length in bytes, for the checkpoint that follows."""
        for file in self._files.values():
            os.fsync(file.fileno())
        return {name: os.fstat(file.fileno()).st_size for name, file in self._files.items()}

    def close(self) -> None:
        """Close the files."""
        for file in self._files.values():
            file.close()


def write_failed(directory: Path, reason: str) -> None:
    """Record that a run failed, at the last step that it measured."""
    lines = read_lines(directory / METRICS)
    directory.mkdir(parents=True, exist_ok=True)
    write_done(directory, "failed", lines[-1]["step"] if lines else 0, reason)


def write_done(
    directory: Path, status: str, step: int, reason: str | None = None, best: Mapping[str, Any] | None = None
) -> None:
    """Record that a run ended: ``finished``, ``diverged`` or ``failed``, at which step and why, and its best step."""
    write_json(directory / DONE, {"status": status, "step": step, "reason": reason, "best": best})
