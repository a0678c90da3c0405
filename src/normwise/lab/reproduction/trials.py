"""From the trials of a study to runs and measurements, made side by side, and what came of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from normwise.errors import RequestError
from normwise.lab import machine, runner, study
from normwise.lab.data import Data, load
from normwise.lab.data.loader_data import LoaderData
from normwise.lab.job import Work
from normwise.lab.plan import PlannedRun, planned
from normwise.lab.question import question
from normwise.lab.reproduction import measuring
from normwise.lab.reproduction.asked import Asked
from normwise.lab.reproduction.measuring import STEPS, MeasuringJob
from normwise.lab.reproduction.outcome import Outcome
from normwise.lab.reproduction.study import Measurement, Training, Trial
from normwise.lab.runner import Task
from normwise.lab.status import OnProgress, Status
from normwise.records import RunRecord
from normwise.records.files import read_json
from normwise.records.run import DONE


class Machine(NamedTuple):
    """Where trials are run.

    Attributes:
        device: ``cpu``, ``cuda``, …
        workers: processes at once; None for one per core on a CPU and one elsewhere, 0 for none but this one.
        data_dir: the folder of the named data sets; None where ``NORMWISE_DATA`` names it.
    """

    device: str = "cpu"
    workers: int | None = None
    data_dir: str | None = None


class Portion(NamedTuple):
    """The part of a study's work that needs the same data."""

    data: Data | LoaderData | None
    runs: Sequence[PlannedRun] = ()
    measuring: Sequence[MeasuringJob] = ()

    @property
    def jobs(self) -> dict[Path, tuple[Work, int]]:
        """The jobs by directory, each once, and their numbers of steps."""
        runs: dict[Path, tuple[Work, int]] = {
            run.job.directory: (run.job, run.job.settings.steps) for run in reversed(self.runs)
        }
        return dict(reversed(runs.items())) | {job.directory: (job, STEPS) for job in self.measuring}


class Trials:
    """The trials of one study in its directory.

    Args:
        asked: what was asked of the study.
        trials: what it planned.
        out: its directory.
        where: the machine.

    Raises:
        RequestError: a trial cannot be planned.
        DataError: data are missing.
    """

    def __init__(self, asked: Asked, trials: Sequence[Trial], out: Path, where: Machine) -> None:
        self._asked, self._out, self._where = asked, out, where
        self._loaded: dict[str, Data] = {}
        self.portions = [self._portion(trial) for trial in trials if isinstance(trial, Training)]
        measurements = [trial for trial in trials if isinstance(trial, Measurement)]
        for name in dict.fromkeys(each.data for each in measurements):
            data = self._load(name) if name else None
            jobs = [measuring.job(each, out, data, where.device) for each in measurements if each.data == name]
            self.portions.append(Portion(data, measuring=jobs))
        self._order = list(dict.fromkeys(each.name for each in measurements))

    def _portion(self, training: Training) -> Portion:
        options = {
            "out": self._out, "device": self._where.device, "data_dir": self._where.data_dir,
            "seeds": training.seeds, **training.options,
        }  # fmt: skip
        plan = planned(question(training.data, options, "reproduce", training.whole), list(training.arms.items()))
        return Portion(plan.data, plan.runs)

    def _load(self, name: str) -> Data:
        if name not in self._loaded:
            from normwise.lab.inference import find_task

            _, data = find_task(load(name, data_dir=self._where.data_dir), {}, {})
            if not isinstance(data, Data):
                raise RequestError(f"{name} is read batch by batch; a measurement needs data in memory")
            self._loaded[name] = data
        return self._loaded[name]

    @property
    def places(self) -> list[Path]:
        """The directories of all runs and measurements, each once."""
        return list(dict.fromkeys(directory for portion in self.portions for directory in portion.jobs))

    @property
    def directories(self) -> list[str]:
        """The same by name."""
        return [directory.name for directory in self.places]

    def run(self, on_progress: OnProgress) -> bool:
        """Run every trial that has not ended; whether there was one.

        Raises:
            JobError: when records cannot be written.
        """
        jobs = {place: each for portion in self.portions for place, each in portion.jobs.items()}
        data = {place: portion.data for portion in self.portions for place in portion.jobs}
        made = dict.fromkeys(jobs, 0)
        over = {place: measuring.ended(place) for place in jobs}
        some = not all(over.values())
        made |= {place: steps for place, (_, steps) in jobs.items() if over[place]}

        def tell(place: Path, step: int | None) -> None:
            over[place] = step is None
            made[place] = jobs[place][1] if step is None else step
            total = sum(steps for _, steps in jobs.values())
            on_progress(Status(sum(over.values()), len(jobs), sum(made.values()), total))

        left = [place for place in jobs if not over[place]]
        tasks = [Task(jobs[place][0], data[place]) for place in left]
        workers = self._workers(len(left))
        runner.run_tasks(tasks, workers=workers, on_progress=lambda index, step: tell(left[index], step))
        return some

    def _workers(self, jobs: int) -> int:
        if self._where.workers is not None:
            return self._where.workers
        return min(jobs, machine.cores()) if self._where.device == "cpu" else 1

    def outcome(self) -> Outcome:
        """What the trials left on disk."""
        runs: dict[str, list[RunRecord]] = {}
        measured: dict[str, list[Mapping[str, Any]]] = {name: [] for name in self._order}
        failed: dict[str, str] = {}
        for portion in self.portions:
            for run in portion.runs:
                record = run.record()
                runs.setdefault(run.arm, [])
                if study.ended(record):
                    runs[run.arm].append(record)
                else:
                    failed[run.arm] = _reason(run.job.directory)
            for job in portion.measuring:
                name, found = job.measurement.name, measuring.read(job.directory)
                if found is not None and measuring.ended(job.directory):
                    measured[name].append(found)
                else:
                    failed[name] = _reason(job.directory)
        return Outcome(
            self._asked,
            {arm: tuple(records) for arm, records in runs.items()},
            {name: tuple(found) for name, found in measured.items()},
            failed,
        )


def _reason(directory: Path) -> str:
    return str((read_json(directory / DONE) or {}).get("reason") or "it has not ended")
