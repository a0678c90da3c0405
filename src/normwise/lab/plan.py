"""From what was asked to the runs that answer it; every wrong request is refused here, before anything is started."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import prod
from pathlib import Path
from typing import Any, NamedTuple

from normwise.errors import RequestError, choice
from normwise.lab import arms as arms_
from normwise.lab import machine, options, values
from normwise.lab.arms import Arm, Point
from normwise.lab.data import Data, Given, load
from normwise.lab.data.loader_data import LoaderData
from normwise.lab.factory import FORMS
from normwise.lab.functions import Functions, short
from normwise.lab.inference import find_task
from normwise.lab.job import Job
from normwise.lab.options import Options, Source
from normwise.lab.samples import BATCH, samples
from normwise.lab.settings import DEFAULT_RATES, DEFAULTS, REGRESSION_RATES, Settings
from normwise.lab.task import Chance, Task
from normwise.records import RunRecord
from normwise.records.study import QUESTION, run_directory, slug

DEFAULT_STEPS = {"mnist": 20_000, "fashion-mnist": 20_000, "cifar10": 20_000}
OTHER_STEPS = 10_000  # on the digits both default arms have flattened by then, or nearly
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
    """A comparison that can be started.

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
    """Resolve a request.

    Raises:
        RequestError: for whatever is wrong with it, saying what was given, what is allowed and what to do.
    """
    asked = options.given(asked)
    for arm in arms:
        if not isinstance(arm, str):
            raise RequestError(f"an arm is a {type(arm).__name__}; write it as text: '[name:] key=value, …'")
    counts = {key: options.count(key, asked) for key in ("steps", "epochs", "seeds", "eval_every", "patience")}
    if counts["steps"] and counts["epochs"]:
        raise RequestError("both steps and epochs were given; give one of them")
    device = _device(asked.get("device", "cpu"))
    shared = options.shared(asked)
    own = Functions.of(asked)
    given = load(data, data_dir=asked.get("data_dir"), target=asked.get("target"))
    task, loaded = find_task(given, asked, own.factories)
    resolved = _arms(arms, shared, own, given, task, loaded)
    measured = _samples(counts, loaded)
    task = task._replace(chance=_chance(task, loaded, own, measured["validation"]))
    common = Settings(
        data=loaded.name,
        fingerprint=loaded.fingerprint,
        target=asked.get("target"),
        model=own.model,
        task=task.kind,
        loss=task.loss,
        metric=task.metric,
        outputs=task.outputs,
        samples=measured,
        own=own.identities,
        eval_every=counts["eval_every"],
        patience=counts["patience"],
        device=device,
        versions=machine.versions("normwise", "torch", "numpy"),
    )
    out = Path(asked.get("out") or Path("runs") / _directory(loaded.name, own, asked))
    runs = [
        _run(out, arm, point, replace(common, seed=seed, steps=_steps(arm, point, counts, loaded)), asked, own)
        for arm in resolved
        for point in arm.points
        for seed in range(counts["seeds"] or DEFAULT_SEEDS)
    ]
    named = isinstance(data, str) and all(isinstance(source, str) for source in own.sources.values())
    workers = _workers(asked.get("workers"), device, len(runs), named=named)
    name = data if named and isinstance(data, str) else None
    study = _study(arms, name, common, runs, loaded, asked, own)
    baseline = _baseline(asked.get("baseline"), resolved)
    return Plan(out, resolved, runs, loaded, workers, study, task, baseline, arms_.swept(shared))


def _arms(
    texts: Sequence[str],
    shared: Mapping[str, Sequence[Any]],
    own: Functions,
    given: Given,
    task: Task,
    data: Data | LoaderData,
) -> list[Arm]:
    """The arms, with what holds for these data and this task where nobody says anything."""
    resolved = arms_.resolve(
        texts,
        shared,
        own_model="model" in own.factories,
        streams=given.streams,
        own_batches=given.own_batches,
        defaults=_defaults(task, data, named=given.named),
        rates=REGRESSION_RATES if task.kind == "regression" else DEFAULT_RATES,
    )
    for arm in resolved:
        if arm.keys.targets == "standard" and task.kind != "regression":
            raise RequestError(
                f"arm {arm.name!r}: targets=standard scales the targets of a regression; the task is {task.kind}; "
                "leave it out"
            )
    return resolved


def _chance(task: Task, data: Data | LoaderData, own: Functions, examples: int) -> Chance | None:
    """What guessing scores on the validation examples on which curves are measured."""
    from normwise.lab import batches
    from normwise.lab.chance import chance

    targets = batches.sampled_targets(data, "validation", examples)
    if targets is None:
        return None
    metric = own.factories["metric"].callable if "metric" in own.factories else None
    return chance(task.kind, task.metric, targets, task.outputs, metric, task.loss)


def _study(
    arms: Sequence[str],
    data: str | None,
    common: Settings,
    runs: Sequence[PlannedRun],
    loaded: Data | LoaderData,
    asked: Options,
    own: Functions,
) -> dict[str, Any]:
    """What ``study.json`` holds; a function that was handed over has no name to give on a command line."""
    question = {key: value for key, value in asked.items() if key not in ("out", "workers")}
    return {
        "study": "compare",
        "data": common.data,
        "target": common.target,
        "model": common.model,
        "task": common.task,
        "loss": common.loss,
        "metric": common.metric._asdict(),
        "arms": list(arms),
        "runs": [run.job.directory.name for run in runs],
        "examples": len(loaded.train) if isinstance(loaded, Data) else None,
        "verdict": "",
        "options": options.written(question, own.names),
        "command": "" if data is None else options.command(arms, data, asked),
        "versions": machine.versions(),
        "machine": machine.describe(),
        "notes": [],
    }


def _directory(data: str, own: Functions, asked: Options) -> str:
    """A study's name: its data and network, and what else was asked that makes another question."""
    question = (
        own.names.get(what, options.text(asked[what])) for what in ("target", "task", "loss", "metric") if what in asked
    )
    return "-".join(["compare", *(slug(short(name)) for name in (data, own.model, *question))])


def _run(out: Path, arm: Arm, point: Point, common: Settings, asked: Options, own: Functions) -> PlannedRun:
    settings = replace(common, **{name: getattr(arm.at(point), name) for name in DEFAULTS})
    directory = run_directory(out, arm.name, settings.as_dict())
    return PlannedRun(
        arm.name, point, Job(directory, settings, own.sources, tensorboard=bool(asked.get("tensorboard")))
    )


def _defaults(task: Task, data: Data | LoaderData, *, named: bool) -> dict[str, Any]:
    """What holds for these data where nobody says anything."""
    found: dict[str, Any] = {} if named else {"inputs": "raw"}
    if task.kind == "regression":
        found["targets"] = "standard" if named else "raw"
    if examples := _examples(data):
        found["batch_size"] = min(DEFAULTS["batch_size"], examples)
    return found


def _examples(data: Data | LoaderData) -> int | None:
    """How many training examples can be put into batches of any size; None where a loader has its own."""
    if isinstance(data, Data):
        return len(data.train)
    return None if data.own_batches else data.batches_per_epoch(1)


def _baseline(asked: str | None, arms: Sequence[Arm]) -> str:
    """The arm that was named; else the one called ``plain``, else the first."""
    names = [arm.name for arm in arms]
    if asked is None:
        return "plain" if "plain" in names else names[0]
    if asked not in names:
        raise RequestError(choice(asked, names, "baseline"))
    return asked


def _steps(arm: Arm, point: Point, counts: Mapping[str, int | None], data: Data | LoaderData) -> int:
    """The steps of one run, which an arm's batch size decides where epochs were asked for."""
    batch_size, epochs, examples = arm.at(point).batch_size or 0, counts["epochs"], _examples(data)
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
    return counts["steps"] or DEFAULT_STEPS.get(data.name, OTHER_STEPS)


def _samples(counts: Mapping[str, int | None], data: Data | LoaderData) -> dict[str, int]:
    """The examples that curves are measured on: the same for all arms, whatever their batch size."""
    steps = counts["steps"] or DEFAULT_STEPS.get(data.name, OTHER_STEPS)
    if counts["epochs"]:
        per_epoch = len(data.train) // BATCH if isinstance(data, Data) else data.batches_per_epoch() or 1
        steps = max(1, counts["epochs"] * per_epoch)
    return samples(steps, counts["eval_every"], prod(data.example_shape or ()))


def _device(device: str) -> str:
    """The device, if this machine has it."""
    if device == "cpu":
        return device
    import torch

    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        found = ["cpu", *(f"cuda:{index}" for index in range(torch.cuda.device_count()))]
        why = str(error).splitlines()[0][:100]
        raise RequestError(f"device {device!r} cannot be used ({why}); this machine has {', '.join(found)}") from None
    return device


def _workers(asked: int | str | None, device: str, runs: int, *, named: bool) -> int:
    """On a CPU one process per core; runs on another device share it, one after another.

    A function that was handed over, and not named, may exist in this process alone: so its runs train here.
    """
    given = None if asked is None else values.count("workers", least=0)(str(asked))
    if not named and given:
        raise RequestError(f"workers is {given}, but functions run in this process; name them, {FORMS}, or give 0")
    if not named or given is not None:
        return given or 0
    return min(runs, machine.cores()) if device == "cpu" else 1
