"""The doctor's study: look, watch, judge, treat, judge again, and write down what came of it."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Sequence
from dataclasses import replace
from statistics import fmean
from typing import NamedTuple

from normwise.doctor import budget, checks, page, rules
from normwise.doctor.budget import Clock
from normwise.doctor.diagnosis import Diagnosis
from normwise.doctor.evidence import Evidence
from normwise.doctor.finding import Finding
from normwise.doctor.gains import Scale
from normwise.doctor.outcome import Status
from normwise.doctor.remedies import Given, Remedy, applicable, chosen, heads
from normwise.doctor.remedies.choose import ALWAYS
from normwise.doctor.rounds import Extent, affordable, turns
from normwise.doctor.trainings import given, settings_of, trainings
from normwise.doctor.treat import Treating, drawn
from normwise.doctor.treatment import TreatedRun, Treatment
from normwise.doctor.verdict import Said, recommendation, verdict
from normwise.lab import events
from normwise.lab.options import Options, Source
from normwise.lab.question import question
from normwise.lab.status import OnProgress
from normwise.records import RunRecord
from normwise.records.files import write_json
from normwise.records.study import REPORT, STUDY, disk_error, opened

OnNote = Callable[[str], None]
"""Told, while a diagnosis is under way, what will be done next and how long it takes."""

SLACK = 1.2
"""How much longer than a watched run a treated one is said to take: normalization adds to a step."""


class Asked(NamedTuple):
    """What is asked of the doctor besides the options that every study has.

    Attributes:
        treat: whether remedies are tried.
        ignore: ids or names of rules that do not judge.
        seconds: the time that all may take; None for no limit.
        command: what these are on a command line, as words.
    """

    treat: bool = True
    ignore: tuple[str, ...] = ()
    seconds: float | None = None
    command: tuple[str, ...] = ()


class Study:
    """One diagnosis, from the question to the report.

    Args:
        data: what is learned from.
        options: those of every study.
        asked: what is asked of the doctor besides.
        on_progress: told how far the runs have come.
        on_note: told what will be done next.

    Raises:
        RequestError: for a wrong request; nothing was started.
    """

    def __init__(self, data: Source, options: Options, asked: Asked, on_progress: OnProgress, on_note: OnNote) -> None:
        self._clock = Clock(asked.seconds)
        self._asked, self._on_note = asked, on_note
        if options.get("tensorboard"):
            events.require()
        self._question = checks.answerable(question(data, options, "doctor"))
        self._trainer = checks.trainer(self._question, on_progress)
        self._notes = checks.checked(self._trainer)

    def diagnosed(self) -> Diagnosis:
        """Train, judge, treat and write the report.

        Raises:
            RequestError: the directory cannot be used, or the network fails in its first step.
            JobError: every run failed, or records cannot be written.
        """
        one, first = self._question, self._trainer.first
        asked = {**first.study, "command": command(first.study["command"], self._asked.command), "notes": self._notes}
        with opened(one.out, asked, first.question):
            try:
                found = replace(self._found(), report=one.out / REPORT)
                page.write(found, one.out / REPORT, command=asked["command"])
                every = self._trainer.plan.study
                kept = {"verdict": found.verdict, "notes": list(found.notes)}
                write_json(one.out / STUDY, {**asked, "arms": every["arms"], "runs": every["runs"], **kept})
            except OSError as error:
                raise disk_error(f"{error.filename or one.out}: {error.strerror or error}") from error
        return found

    def _found(self) -> Diagnosis:
        trainer = self._trainer
        records = trainer.nothing()
        checks.refuse_failed(records)
        evidence = Evidence(trainings(records, self._question.task), settings_of(trainer.settings))
        findings = rules.judged(evidence, self._asked.ignore)
        runs = [trainer.treated(run) for run in trainer.first.runs]
        scale = trainer.scale(records)
        given_ = given(self._question, trainer.settings, [each.watched for each in evidence.trainings])
        treatments, why, without = self._treated(findings, evidence, given_, runs, scale, records)
        if treatments:
            chance = None if scale.chance is None else scale.chance.value
            evidence = replace(evidence, treatments=treatments, chance=chance)
            findings = rules.judged(evidence, self._asked.ignore)
        advised = recommendation(treatments, given_, scale)
        values = [run.value for run in runs if run.value is not None]
        said = Said(
            findings,
            [each.outcome for each in evidence.trainings],
            treatments,
            next((each for each in treatments if advised and each.name == advised.name), None),
            scale.metric,
            fmean(values) if values else None,
            why,
            without,
        )
        learned = 2 * sum(run.learned for run in runs) > len(runs)
        guessing = self._question.task.chance
        return Diagnosis(
            tuple(findings), evidence, tuple(treatments), advised, verdict(said), learned=learned, metric=scale.metric,
            chance=guessing.value if guessing else None, notes=(*self._notes, *checks.failures(records)),
        )  # fmt: skip

    def _treated(
        self,
        findings: Sequence[Finding],
        evidence: Evidence,
        given_: Given,
        runs: list[TreatedRun],
        scale: Scale,
        records: Sequence[RunRecord],
    ) -> tuple[list[Treatment], str, str]:
        """The treatments; why there are none, where there should be; why batch normalization is not among them."""
        well = all(each.outcome.status is Status.LEARNED for each in evidence.trainings)
        if well and not any(finding.severity.is_trouble for finding in findings):
            return [], "", ""
        if not self._asked.treat:
            return [], "--no-treat was given", ""
        refused = {
            remedy.name: why
            for remedy in applicable(given_)
            if (why := self._trainer.refused(remedy.name, remedy.settings(given_) or {}))
        }
        table = [remedy for remedy in applicable(given_) if remedy.name not in refused]
        tried = self._affordable(findings, given_, refused, records)
        if not tried:
            return [], "after the watched runs the budget leaves no time for a remedy", ""
        named = "|".join((self._question.common.fingerprint, self._question.common.model, repr(given_.keys)))
        lots = drawn(table, [run.seed for run in runs], named)
        trainer = self._trainer

        def enough(count: int) -> bool:
            return self._clock.left >= turns(count, trainer.workers) * trainer.seconds(records)

        others = [remedy for remedy in table if remedy not in tried]
        treating = Treating(runs, tried, lots, given_, trainer, scale, trainer.workers, enough, heads(findings), others)
        return treating.go(), "", _without(given_, refused)

    def _affordable(
        self, findings: Sequence[Finding], given_: Given, refused: dict[str, str], records: Sequence[RunRecord]
    ) -> list[Remedy]:
        """The remedies for which there is time, and a note of what they will take."""
        likely = chosen(findings, given_, refused=refused)
        wanted = Extent(len(likely), len(self._trainer.first.runs), self._trainer.workers)
        seconds = self._trainer.seconds(records)
        self._clock.limit(seconds, self._trainer.workers)
        extent = affordable(wanted, seconds, self._clock.left)
        if extent is None:
            return []
        self._trainer.total += extent.runs
        takes = budget.said(extent.seconds(SLACK * seconds))
        fewer = f" ({extent.remedies} of {wanted.remedies} that are likely)" if extent != wanted else ""
        count = f"{extent.remedies} remed{'y' if extent.remedies == 1 else 'ies'}"
        self._on_note(
            f"Treating: {count}{fewer}, about {extent.runs} runs, about {takes}; where none helps, all others"
        )
        return chosen(findings, given_, extent.remedies, refused=refused)


def command(written: str, own: Sequence[str]) -> str:
    """The command line with the doctor's own options; empty where there is none."""
    return " ".join([written, *map(shlex.quote, own)]) if written else ""


def _without(given_: Given, refused: dict[str, str]) -> str:
    """Why batch normalization could not be tried; empty where it was."""
    if ALWAYS in refused:
        return re.split(r"[:;] ", refused[ALWAYS])[0]
    if given_.normalized or given_.keys.norm == "batch":
        return "the network has normalization already"
    return "it needs at least 2 examples in a batch" if given_.keys.batch_size == 1 else ""
