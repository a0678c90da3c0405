"""What is asked of a network on data, loaded and checked once; arms are planned in it, in one round or in several."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from math import prod
from pathlib import Path
from typing import Any, NamedTuple

from normwise.errors import RequestError, choice
from normwise.lab import machine, options
from normwise.lab.data import Data, load
from normwise.lab.data.loader_data import LoaderData
from normwise.lab.data.parts import PARTS
from normwise.lab.functions import Functions, short
from normwise.lab.inference import find_task
from normwise.lab.options import Options, Source
from normwise.lab.samples import BATCH, samples
from normwise.lab.settings import DEFAULTS, Settings
from normwise.lab.task import Chance, Task
from normwise.records.study import slug

DEFAULT_STEPS = {"mnist": 20_000, "fashion-mnist": 20_000, "cifar10": 20_000}
OTHER_STEPS = 10_000  # on the digits both default arms have flattened by then, or nearly


class Question(NamedTuple):
    """What is asked: everything but the arms and the seeds.

    Attributes:
        study: the kind of study, which is also the command that asks it: ``compare`` or ``doctor``.
        asked: the options that were given.
        source: the data's name on a command line; None where a function was handed over, so that there is none.
        data: the data.
        task: what is learned.
        own: the user's functions.
        common: the settings of every run but its keys, seed and steps.
        counts: the options that are whole numbers, by name; None where they are left out.
        shared: the values of keys that hold for all arms; see ``normwise.lab.options.shared``.
        defaults: those of keys that hold for these data and this task where nobody says anything.
        streams: whether the data are read batch by batch.
        own_batches: whether they come from a loader, which has its own batch size.
        out: the study's directory.
    """

    study: str
    asked: Options
    source: str | None
    data: Data | LoaderData
    task: Task
    own: Functions
    common: Settings
    counts: Mapping[str, int | None]
    shared: Mapping[str, tuple[Any, ...]]
    defaults: Mapping[str, Any]
    streams: bool
    own_batches: bool
    out: Path

    @property
    def examples(self) -> int | None:
        """How many training examples can be put into batches of any size; None where a loader has its own."""
        return _examples(self.data)

    @property
    def steps(self) -> int:
        """The steps of a run where no epochs were asked for."""
        return _steps(self.counts, self.data)


def question(data: Source, asked: Options, study: str = "compare", whole: Collection[str] = ()) -> Question:
    """Load and check all that is asked, but for the arms.

    Args:
        data: the name of a data set, a table, or a ``make_data`` function or its name.
        asked: the options, those of ``normwise.lab.options.GENERAL`` and the keys.
        study: the kind of study.
        whole: parts, of ``train``, ``validation`` and ``test``, whose curves are measured on all
            their examples instead of a sample.

    Raises:
        RequestError: for whatever is wrong with it, saying what was given, what is allowed and what to do.
    """
    asked = options.given(asked)
    counts = {key: options.count(key, asked) for key in ("steps", "epochs", "seeds", "eval_every", "patience")}
    if counts["steps"] and counts["epochs"]:
        raise RequestError("both steps and epochs were given; give one of them")
    device = usable_device(asked.get("device", "cpu"))
    shared = options.shared(asked)
    own = Functions.of(asked)
    given = load(data, data_dir=asked.get("data_dir"), target=asked.get("target"))
    task, loaded = find_task(given, asked, own.factories)
    measured = _samples(counts, loaded) | _whole(whole, loaded)
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
    named = isinstance(data, str) and all(isinstance(source, str) for source in own.sources.values())
    return Question(
        study,
        asked,
        data if named and isinstance(data, str) else None,
        loaded,
        task._replace(chance=_chance(task, loaded, own, measured["validation"])),
        own,
        common,
        counts,
        shared,
        _defaults(task, loaded, named=given.named),
        given.streams,
        given.own_batches,
        Path(asked.get("out") or Path("runs") / _directory(study, loaded.name, own, asked)),
    )


def _chance(task: Task, data: Data | LoaderData, own: Functions, examples: int) -> Chance | None:
    """What guessing scores on the validation examples on which curves are measured."""
    from normwise.lab import batches
    from normwise.lab.chance import chance

    targets = batches.sampled_targets(data, "validation", examples)
    if targets is None:
        return None
    metric = own.factories["metric"].callable if "metric" in own.factories else None
    return chance(task.kind, task.metric, targets, task.outputs, metric, task.loss)


def _directory(study: str, data: str, own: Functions, asked: Options) -> str:
    """A study's name: its data and network, and what else was asked that makes another question."""
    question = (
        own.names.get(what, options.text(asked[what])) for what in ("target", "task", "loss", "metric") if what in asked
    )
    return "-".join([study, *(slug(short(name)) for name in (data, own.model, *question))])


def _defaults(task: Task, data: Data | LoaderData, *, named: bool) -> dict[str, Any]:
    """What holds for these data where nobody says anything."""
    found: dict[str, Any] = {} if named else {"inputs": "raw"}
    if task.kind == "regression":
        found["targets"] = "standard" if named else "raw"
    if examples := _examples(data):
        found["batch_size"] = min(DEFAULTS["batch_size"], examples)
    return found


def _examples(data: Data | LoaderData) -> int | None:
    if isinstance(data, Data):
        return len(data.train)
    return None if data.own_batches else data.batches_per_epoch(1)


def _steps(counts: Mapping[str, int | None], data: Data | LoaderData) -> int:
    return counts["steps"] or DEFAULT_STEPS.get(data.name, OTHER_STEPS)


def _samples(counts: Mapping[str, int | None], data: Data | LoaderData) -> dict[str, int]:
    """The examples that curves are measured on: the same for all arms, whatever their batch size."""
    steps = _steps(counts, data)
    if counts["epochs"]:
        per_epoch = len(data.train) // BATCH if isinstance(data, Data) else data.batches_per_epoch() or 1
        steps = max(1, counts["epochs"] * per_epoch)
    return samples(steps, counts["eval_every"], prod(data.example_shape or ()))


def _whole(parts: Collection[str], data: Data | LoaderData) -> dict[str, int]:
    """How many examples the parts have."""
    return {part: _count(part, data) for part in parts}


def _count(part: str, data: Data | LoaderData) -> int:
    if part not in PARTS[3]:
        raise RequestError(choice(part, PARTS[3], "part"))
    found = len(getattr(data, part)) if isinstance(data, Data) else data.examples(part)
    if found is None:
        raise RequestError(f"only reading {part} of {data.name} tells how long it is; leave it out of whole")
    return found


def usable_device(device: str) -> str:
    """The device, if this machine has it."""
    if device == "cpu":
        return device
    import torch

    try:
        if torch.empty(0, device=device).is_meta:
            raise RuntimeError("it holds no numbers")
    except (RuntimeError, AssertionError) as error:
        found = ["cpu", *(f"cuda:{index}" for index in range(torch.cuda.device_count()))]
        why = str(error).splitlines()[0][:100]
        raise RequestError(f"device {device!r} cannot be used ({why}); this machine has {', '.join(found)}") from None
    return device
