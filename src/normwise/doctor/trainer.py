"""The lab as the doctor uses it: the watched runs, rounds of treated ones beside them, and what came of each."""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from normwise.doctor.gains import NOTHING, Scale
from normwise.doctor.remedies.choose import MOST
from normwise.doctor.rounds import turns
from normwise.doctor.treat import Wanted
from normwise.doctor.treatment import TreatedRun
from normwise.errors import RequestError
from normwise.lab import study
from normwise.lab.learned import beyond_chance, learned, validation
from normwise.lab.plan import Plan, PlannedRun, planned, together, workers
from normwise.lab.question import Question
from normwise.lab.settings import Keys, Settings
from normwise.lab.status import OnProgress, Status
from normwise.lab.summary import best_value
from normwise.lab.task import Chance
from normwise.records import RunRecord
from normwise.records.run import WATCHED

RECORDED = 100
"""About as many steps of a long training are recorded."""
EVERY = 16
"""Each so many steps are recorded, or fewer."""

START = 1.0
"""Seconds that a run takes besides what its record has: its process and its network begin, its test data are scored."""


class Trainer:
    """Trains what the doctor asks for, in the directory of its study; called with what is wanted, it gives the runs.

    Attributes:
        question: what is asked.
        first: the plan of the watched runs.
        workers: runs at once; one per core, up to the runs of the first round of treatments.
        total: how many runs there will be, as far as that is known.
    """

    def __init__(self, question: Question, on_progress: OnProgress) -> None:
        self.question = question
        self.first = planned(question, [(NOTHING, {})])
        self._processes = workers(question, MOST)
        self.workers = max(1, self._processes)
        self.total = len(self.first.runs)
        self._plans = [self.first]
        self._on_progress = on_progress
        self._ended = 0
        self._seconds = 0.0

    @property
    def settings(self) -> Settings:
        """Those of the first watched run."""
        return self.first.runs[0].job.settings

    @property
    def keys(self) -> Keys:
        """What ``nothing`` is trained with."""
        return Keys(**self.settings.keys)

    @property
    def plan(self) -> Plan:
        """All rounds as one plan."""
        return together(self._plans)

    def nothing(self) -> list[RunRecord]:
        """Train and watch the network as it was given; runs that have ended and were watched are read."""
        runs = [run._replace(job=replace(run.job, watch=self._every)) for run in self.first.runs]
        for run in runs:
            if study.ended(run.record()) and not (run.job.directory / WATCHED).exists():
                shutil.rmtree(run.job.directory)  # a treatment that is now what is given: the same numbers come out
        self._train(runs)
        return [run.record() for run in runs]

    @property
    def _every(self) -> int:
        return max(EVERY, self.settings.steps // RECORDED)

    def __call__(self, wanted: Sequence[Wanted]) -> list[TreatedRun]:
        """The runs that are wanted, in their order; those that have ended are read, all others trained."""
        plans = [planned(self.question, [(each.name, each.settings)], seeds=[each.seed]) for each in wanted]
        self._plans += plans
        runs = [run for plan in plans for run in plan.runs]
        self._train(together(plans).runs)
        return [self.treated(run, each.remedy) for run, each in zip(runs, wanted, strict=True)]

    def _train(self, runs: Sequence[PlannedRun]) -> None:
        """Train some runs, and tell how far all have come, those of rounds to come included."""
        left = sum(not study.ended(run.record()) for run in runs)
        count, steps, began = len({run.job.directory for run in runs}), self.settings.steps, time.perf_counter()
        self.total = max(self.total, self._ended + count)
        rest = self.total - self._ended - count

        def tell(status: Status) -> None:
            made = self._ended * steps + status.steps_done
            every = (self._ended + rest) * steps + status.steps
            self._on_progress(Status(self._ended + status.runs_done, self.total, made, every))

        study.train(runs, self.question.data, self._processes, tell)
        if left and self._ended:  # the first round also starts the process that runs are forked from
            self._seconds = max(self._seconds, (time.perf_counter() - began) / turns(left, self.workers))
        self._ended += count

    def treated(self, run: PlannedRun, remedy: str = "") -> TreatedRun:
        """What came of a run."""
        record = run.record()
        done: Mapping[str, Any] = record.done or {"status": "failed"}
        value = None if done["status"] == "failed" else best_value(record)
        did = learned(record, beyond_chance(self.question.task, [record])) if record.metrics else False
        return TreatedRun(
            run.job.settings.seed, done["status"], value, did, remedy=remedy, directory=str(run.job.directory)
        )

    def refused(self, name: str, settings: Mapping[str, Any]) -> str:
        """Why a remedy does not apply to this network and these data; empty where it does."""
        try:
            study.check(planned(self.question, [(name, settings)], seeds=[0]))
        except RequestError as error:
            return str(error).removeprefix(f"arm {name!r}: ")
        return ""

    def seconds(self, records: Sequence[RunRecord]) -> float:
        """What a run takes, its start included: in the slowest round of treatments, or by the records before those."""
        clocks = [record.timing[-1]["seconds"] for record in records if record.timing]
        return max(self._seconds, START + (sum(clocks) / len(clocks) if clocks else 0.0))

    def scale(self, records: Sequence[RunRecord]) -> Scale:
        """By what runs are compared; without chance, guessing is the best that was measured before the first step."""
        task = self.question.task
        starts = [value for record in records for value in validation(record)[:1] if value is not None]
        chance = task.chance or (Chance(task.metric.best(starts), 0.0) if starts else None)
        return Scale(task.metric, chance and chance._replace(value=round(chance.value, 12) + 0.0))
