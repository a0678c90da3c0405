"""From what was asked to the runs that answer it; every wrong request is refused here, before anything is started."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from normwise.errors import RequestError, choice
from normwise.lab import machine, values
from normwise.lab.arms import KEYS, Arm, resolve
from normwise.lab.data import NAMES, Data, load
from normwise.lab.factory import FORMS
from normwise.lab.factory import resolve as resolve_factory
from normwise.lab.job import Job
from normwise.lab.options import Options, Source, command, text
from normwise.records import RunRecord
from normwise.records.study import run_directory, slug

DEFAULT_STEPS = {"mnist": 20_000, "fashion-mnist": 20_000, "cifar10": 20_000}
OTHER_STEPS = 10_000  # on the digits both default arms have flattened by then, or nearly
DEFAULT_SEEDS = 3


class PlannedRun(NamedTuple):
    """One run: its arm's name, its learning rate and the job that trains it."""

    arm: str
    lr: float
    job: Job

    def record(self) -> RunRecord:
        """What the run has left on disk so far."""
        settings = {"arm": self.arm, **self.job.settings}
        return replace(RunRecord.read(self.job.directory, arm=self.arm), settings=settings)


class Plan(NamedTuple):
    """A comparison that can be started.

    Attributes:
        out: the study's directory.
        arms: the arms, resolved.
        runs: every arm with every learning rate and seed.
        data: the data, loaded.
        workers: how many processes at once; 0 for none but this one.
        study: what ``study.json`` will hold.
    """

    out: Path
    arms: list[Arm]
    runs: list[PlannedRun]
    data: Data
    workers: int
    study: dict[str, Any]

    @property
    def question(self) -> dict[str, Any]:
        """The part of ``study`` that tells one study from another; arms, seeds and steps can be added to a study."""
        return {key: self.study[key] for key in ("study", "data", "model")}


def plan(arms: Sequence[str], data: Source, options: Options) -> Plan:
    """Resolve a request.

    Raises:
        RequestError: for whatever is wrong with it, saying what was given, what is allowed and what to do.
    """
    for name in options:
        if name not in Options.__annotations__:
            raise RequestError(choice(name, Options.__annotations__, "option"))
    for arm in arms:
        if not isinstance(arm, str):
            raise RequestError(f"an arm is a {type(arm).__name__}; write it as text: '[name:] key=value, …'")
    asked: dict[str, Any] = {key: value for key, value in options.items() if value is not None}
    model, model_name, identity = _model(asked.get("model", "mlp"))
    shared = {key: KEYS[key].parse(text(asked[key])) for key in KEYS if key in asked}
    if data not in NAMES:
        shared.setdefault("inputs", "raw")
    resolved = resolve(arms, shared, own_model=model is not None)
    counts = {key: _count(key, asked) for key in ("steps", "epochs", "seeds", "eval_every")}
    if counts["steps"] and counts["epochs"]:
        raise RequestError("both steps and epochs were given; give one of them")
    device = _device(asked.get("device", "cpu"))
    loaded = load(data, data_dir=asked.get("data_dir"))
    common = {
        "data": loaded.name,
        "fingerprint": loaded.fingerprint,
        "model": model_name,
        "own_model": identity,
        "eval_every": counts["eval_every"],
        "device": device,
        "versions": machine.versions("normwise", "torch", "numpy"),
    }
    name = f"compare-{slug(_short(loaded.name))}-{slug(_short(model_name))}"
    out = Path(asked.get("out") or Path("runs") / name)
    runs = [
        PlannedRun(arm.name, lr, Job(run_directory(out, arm.name, settings), settings, model))
        for arm in resolved
        for lr in arm.rates
        for seed in range(counts["seeds"] or DEFAULT_SEEDS)
        for settings in [{**arm.settings, "lr": lr, "seed": seed, **common, "steps": _steps(arm, counts, loaded)}]
    ]
    named = all(isinstance(source, str) for source in (model or "", data))
    workers = _workers(asked.get("workers"), device, len(runs), named=named)
    return Plan(out, resolved, runs, loaded, workers, _study(arms, loaded.name, model_name, options, named=named))


def _model(source: Source) -> tuple[Source | None, str, dict[str, str] | None]:
    """The user's factory (None for a built-in network), the name to show, and what identifies the factory's network."""
    if isinstance(source, str) and source.partition(":")[0] in values.WIDTHS:
        kind, widths = values.model(source)
        return None, _long(kind, widths), None
    if isinstance(source, str) and ":" not in source:
        values.model(source)
    if hasattr(source, "named_parameters") and not isinstance(source, type):
        raise RequestError("model is a network; give a function that makes it, so that every run starts with its own")
    from normwise.lab.identity import digest  # loads torch, which a built-in network does not need yet

    factory = resolve_factory(source, what="model")
    return source, factory.name, {"source": factory.source_hash, "network": digest(factory)}


def _long(kind: str, widths: Sequence[int]) -> str:
    return f"{kind}:{','.join(map(str, widths))}"


def _short(name: str) -> str:
    """A name without the widths that a network has by default, or without the folders of a file."""
    builtin = (kind for kind, widths in values.WIDTHS.items() if name == _long(kind, widths))
    return next(builtin, Path(name).name)


def _count(key: str, asked: Mapping[str, Any]) -> int | None:
    return values.count(key)(str(asked[key])) if key in asked else None


def _steps(arm: Arm, counts: Mapping[str, int | None], data: Data) -> int:
    """The steps of one run, which an arm's batch size decides where epochs were asked for."""
    examples, batch_size = len(data.train.y), arm.settings["batch_size"]
    if batch_size > examples:
        has = f"{data.name} has {examples} training examples"
        raise RequestError(f"arm {arm.name!r}: batch_size is {batch_size}; {has}: give at most that")
    epochs, steps = counts["epochs"], counts["steps"]
    return steps or DEFAULT_STEPS.get(data.name, OTHER_STEPS) if epochs is None else epochs * (examples // batch_size)


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


def _study(arms: Sequence[str], data: str, model: str, options: Options, *, named: bool) -> dict[str, Any]:
    """What ``study.json`` holds; a function that was handed over has no name to give on a command line."""
    return {
        "study": "compare",
        "data": data,
        "model": model,
        "arms": list(arms),
        "options": {
            key: model if key == "model" else text(value)
            for key, value in options.items()
            if value is not None and key not in ("out", "workers")
        },
        "command": command(arms, data, model, options) if named else "",
        "versions": machine.versions(),
        "machine": machine.describe(),
    }
