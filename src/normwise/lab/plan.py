"""From what was asked to the runs that answer it; every wrong request is refused here, before anything is started."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from normwise.errors import RequestError, choice
from normwise.lab import arms as arms_
from normwise.lab import machine, options, values
from normwise.lab.arms import Arm, Asked, Point
from normwise.lab.data import Data
from normwise.lab.data.loader_data import LoaderData
from normwise.lab.factory import FORMS
from normwise.lab.job import Job
from normwise.lab.options import Options, Source
from normwise.lab.question import Question, question
from normwise.lab.settings import DEFAULT_RATES, DEFAULTS, REGRESSION_RATES
from normwise.lab.task import Task
from normwise.records import RunRecord
from normwise.records.study import QUESTION, run_directory

DEFAULT_SEEDS = 3


class PlannedRun(NamedTuple):
    """One run: its arm's name, its point in a sweep and the job that trains it."""

    arm: str
    point: Point
    job: Job

    def record(self) -> RunRecord:
        """What the run has left on disk so far."""
        settings = {"arm": self.arm, **self.job.settings.as_dict()}
        return replace(RunRecord.read(self.job.directory, arm=self.arm), settings=settings)


class Plan(NamedTuple):
    """A study, or a round of one, that can be started.

    Attributes:
        out: the study's directory.
        arms: the arms, resolved.
        runs: every arm with every point and seed.
        data: the data.
        workers: how many processes at once; 0 for none but this one.
        study: what ``study.json`` will hold.
        task: what is learned.
        baseline: the name of the arm that the others are compared with.
        swept: the key besides the learning rate that has several values, if there is one.
    """

    out: Path
    arms: list[Arm]
    runs: list[PlannedRun]
    data: Data | LoaderData
    workers: int
    study: dict[str, Any]
    task: Task
    baseline: str
    swept: str | None = None

    @property
    def question(self) -> dict[str, Any]:
        """The part of ``study`` that tells one study from another; arms, seeds and steps can be added to a study."""
        return {key: self.study[key] for key in QUESTION}


def plan(arms: Sequence[str], data: Source, asked: Options) -> Plan:
    """Resolve the request of a comparison.

    Raises:
        RequestError: for whatever is wrong with it, saying what was given, what is allowed and what to do.
    """
    options.given(asked)
    for arm in arms:
        if not isinstance(arm, str):
            raise RequestError(f"an arm is a {type(arm).__name__}; write it as text: '[name:] key=value, …'")
    return planned(question(data, asked), arms)


def planned(question: Question, arms: Sequence[Asked], seeds: Sequence[int] | None = None) -> Plan:
    """The runs of some arms in a question that was loaded before.

    Args:
        question: what is asked.
        arms: the arms, each as it is written or a name and the keys that it sets. Those given as values may have
            the same settings as others: their runs are the same, and trained once.
        seeds: those of the runs; by default 0 up to what was asked for, 3 where nothing was.

    Raises:
        RequestError: an arm is wrong, or does not go with the data or the task.
    """
    seeds = range(question.counts["seeds"] or DEFAULT_SEEDS) if seeds is None else seeds
    resolved = _arms(question, arms)
    runs = _united(_run(question, arm, point, seed) for arm in resolved for point in arm.points for seed in seeds)
    return Plan(
        question.out,
        resolved,
        runs,
        question.data,
        workers(question, len(runs)),
        _study(question, arms, runs),
        question.task,
        _baseline(question.asked.get("baseline"), resolved),
        arms_.swept(question.shared),
    )


def together(plans: Sequence[Plan]) -> Plan:
    """Several rounds of one question as one plan, with the first one's baseline and every run once."""
    first = plans[0]
    arms = {arm.name: arm for each in reversed(plans) for arm in reversed(each.arms)}
    every = _united(run for each in plans for run in each.runs)
    runs = list({(run.arm, run.job.directory): run for run in every}.values())
    names = list(dict.fromkeys(name for each in plans for name in each.study["arms"]))
    return first._replace(
        arms=list(reversed(arms.values())),
        runs=runs,
        workers=max(each.workers for each in plans),
        study={**first.study, "arms": names, "runs": _directories(runs)},
    )


def _arms(question: Question, asked: Sequence[Asked]) -> list[Arm]:
    """The arms, with what holds for these data and this task where nobody says anything."""
    task = question.task
    resolved = arms_.resolve(
        asked,
        question.shared,
        own_model="model" in question.own.factories,
        streams=question.streams,
        own_batches=question.own_batches,
        defaults=question.defaults,
        rates=REGRESSION_RATES if task.kind == "regression" else DEFAULT_RATES,
    )
    for arm in resolved:
        if arm.keys.targets == "standard" and task.kind != "regression":
            raise RequestError(
                f"arm {arm.name!r}: targets=standard scales the targets of a regression; the task is {task.kind}; "
                "leave it out"
            )
    return resolved


def _study(question: Question, arms: Sequence[Asked], runs: Sequence[PlannedRun]) -> dict[str, Any]:
    """What ``study.json`` holds; a function that was handed over has no name to give on a command line."""
    asked, source, common = question.asked, question.source, question.common
    written = [arm for arm in arms if isinstance(arm, str)]
    own = {key: value for key, value in asked.items() if key not in ("out", "workers")}
    return {
        "study": question.study,
        "data": common.data,
        "target": common.target,
        "model": common.model,
        "task": common.task,
        "loss": common.loss,
        "metric": common.metric._asdict(),
        "arms": [arm if isinstance(arm, str) else arm[0] for arm in arms],
        "runs": _directories(runs),
        "examples": len(question.data.train) if isinstance(question.data, Data) else None,
        "verdict": "",
        "options": options.written(own, question.own.names),
        "command": "" if source is None else options.command(written, source, asked, question.study),
        "versions": machine.versions(),
        "machine": machine.describe(),
        "notes": [],
    }


def _united(runs: Iterable[PlannedRun]) -> list[PlannedRun]:
    """The runs, with one directory for all that have the same settings, whatever their arms are called."""
    found: dict[str, Path] = {}
    united = []
    for run in runs:
        digest = run.job.directory.name.rpartition("-")[2]
        directory = found.setdefault(digest, run.job.directory)
        united.append(run._replace(job=replace(run.job, directory=directory)))
    return united


def _directories(runs: Sequence[PlannedRun]) -> list[str]:
    return list(dict.fromkeys(run.job.directory.name for run in runs))


def _run(question: Question, arm: Arm, point: Point, seed: int) -> PlannedRun:
    keys = arm.at(point)
    settings = replace(
        question.common,
        seed=seed,
        steps=_steps(question, arm, point),
        **{name: getattr(keys, name) for name in DEFAULTS},
    )
    directory = run_directory(question.out, arm.name, settings.as_dict())
    job = Job(directory, settings, question.own.sources, tensorboard=bool(question.asked.get("tensorboard")))
    return PlannedRun(arm.name, point, job)


def _baseline(asked: str | None, arms: Sequence[Arm]) -> str:
    """The arm that was named; else the one called ``plain``, else the first."""
    names = [arm.name for arm in arms]
    if asked is None:
        return "plain" if "plain" in names else names[0]
    if asked not in names:
        raise RequestError(choice(asked, names, "baseline"))
    return asked


def _steps(question: Question, arm: Arm, point: Point) -> int:
    """The steps of one run, which an arm's batch size decides where epochs were asked for."""
    data, examples, epochs = question.data, question.examples, question.counts["epochs"]
    batch_size = arm.at(point).batch_size or 0
    if examples and batch_size > examples:
        has = f"{data.name} has {examples} training examples"
        raise RequestError(f"arm {arm.name!r}: batch_size is {batch_size}; {has}: give at most that")
    per_epoch = data.batches_per_epoch(batch_size)
    if epochs and per_epoch is None:
        raise RequestError(
            f"{data.name} has no length that is known beforehand, as iterable data; give steps instead of epochs"
        )
    if epochs and per_epoch:
        return epochs * per_epoch
    return question.steps


def workers(question: Question, runs: int) -> int:
    """How many processes at once for so many runs; 0 for none but this one.

    On a CPU one process per core; runs on another device share it, one after another.

    A function that was handed over, and not named, may exist in this process alone: so its runs train here.
    """
    asked, named = question.asked.get("workers"), question.source is not None
    given = None if asked is None else values.count("workers", least=0)(str(asked))
    if not named and given:
        raise RequestError(f"workers is {given}, but functions run in this process; name them, {FORMS}, or give 0")
    if not named or given is not None:
        return given or 0
    return min(runs, machine.cores()) if question.common.device == "cpu" else 1
