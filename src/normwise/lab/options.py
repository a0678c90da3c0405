"""The options of a comparison, and the command line that asks the same.

Every key of an arm is an option that holds for all arms which do not set it; see ``normwise.lab.settings``. What an arm
cannot set stands here.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from normwise.errors import RequestError, choice
from normwise.lab import values
from normwise.lab.factory import RETURNS
from normwise.lab.settings import KEYS

Source = str | Callable[..., Any]
"""A user's function, by name or as it is, or the name of something built in."""

Options = Mapping[str, Any]
"""Options by name. A value is written as on the command line, or is a number, a path, a function (``model``, ``loss``,
``metric``), a sequence (a key's values in a sweep) or, for a flag, True or False; None stands for one that is left out.
"""

FUNCTIONS = ("model", "data", "loss", "metric")
"""What can be a user's own function."""


class Option(NamedTuple):
    """An option that is not a key of the arms.

    Attributes:
        metavar: how its value is written, in the help; empty for a flag, which has none.
        help: what it is, in one line.
    """

    metavar: str
    help: str


GENERAL: dict[str, Option] = {
    "target": Option("COLUMN", "The column of a table that is predicted; several with commas between them."),
    "model": Option(
        "MODEL",
        "mlp[:WIDTH,…] or mlp:WIDTHxDEPTH, cnn likewise, or your make_model as FILE.py:NAME or MODULE:NAME: "
        f"{RETURNS['model']}.",
    ),
    "task": Option(
        "TASK", "classification, binary, multilabel or regression. By default what loss, outputs and targets say."
    ),
    "loss": Option(
        "LOSS",
        f"cross_entropy, bce, mse, mae, huber, or your own as FILE.py:NAME: {RETURNS['loss']}. By default the task's.",
    ),
    "metric": Option(
        "METRIC",
        "accuracy, r2, mse, mae, loss, f1, auroc, … of torchmetrics, or your own as FILE.py:NAME: "
        f"{RETURNS['metric']}. By default the task's.",
    ),
    "baseline": Option("NAME", "The arm that others are compared with. By default plain, else the first."),
    "data_dir": Option("DIR", "Folder with mnist/, fashion-mnist/, cifar10/; else NORMWISE_DATA; else downloaded."),
    "steps": Option("N", "Updates per run. By default 10000; 20000 on MNIST, Fashion-MNIST and CIFAR-10."),
    "epochs": Option("N", "Passes over the training data per run, instead of --steps."),
    "patience": Option("N", "Stop a run after N measurements without a better validation metric. By default never."),
    "seeds": Option("N", "Runs per arm, with seeds 0 to N-1. By default 3."),
    "out": Option("DIR", "Directory of the study. By default runs/compare-DATA-MODEL[-TARGET][-TASK][-LOSS][-METRIC]."),
    "eval_every": Option("N", "Steps between measurements. By default about 45 in all, denser early."),
    "workers": Option("N", "Processes. By default one per core on a CPU, one on a GPU; 0 for none."),
    "device": Option("DEVICE", "cpu (default), cuda, cuda:1, …"),
    "tensorboard": Option("", "Write what is measured as TensorBoard events, too, beside the records."),
}
"""The options besides arms, data and keys, as ``normwise compare`` and ``compare()`` name them."""


def given(options: Options) -> dict[str, Any]:
    """The options that are not left out.

    Raises:
        RequestError: for a name that is no option, with the nearest that is one.
    """
    allowed = [*GENERAL, *KEYS]
    for name in options:
        if name not in allowed:
            raise RequestError(choice(name, allowed, "option"))
    return {name: value for name, value in options.items() if value is not None and value is not False}


def shared(options: Options) -> dict[str, tuple[Any, ...]]:
    """The values of the arms' keys that hold for every arm which does not set the key itself, one or several by key.

    Raises:
        RequestError: for a value that its key does not allow, or one that is given twice.
    """
    return {
        key: values.several(text(options[key]), known.parse, key)
        for key, known in KEYS.items()
        if options.get(key) is not None
    }


def count(name: str, options: Options, least: int = 1) -> int | None:
    """An option that is a whole number of ``least`` or more; None where it is left out.

    Raises:
        RequestError: it is something else.
    """
    value = options.get(name)
    return None if value is None else values.count(name, least)(str(value))


def text(value: Any) -> str:
    """An option's value as it would be written on the command line."""
    return ",".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)


def written(options: Options, names: Mapping[str, str]) -> dict[str, str | bool]:
    """The options as ``study.json`` holds them: as text, flags as True.

    Args:
        options: as they were given.
        names: by option, what stands for a function that was handed over: the names of model, loss and metric.
    """
    return {
        name: value if value is True else names.get(name, text(value)) if callable(value) else text(value)
        for name, value in given(options).items()
    }


def command(arms: Sequence[str], data: str, options: Options, study: str = "compare") -> str:
    """The command line, ``normwise <study> …``, that asks the same.

    It is empty where functions were handed over, which have no name to give.
    """
    if callable(data) or any(callable(options.get(name)) for name in FUNCTIONS):
        return ""
    words = ["normwise", study, "--data", data]
    for arm in arms:
        words += ["--arm", arm]
    for name, value in given(options).items():
        words += [flag(name)] if value is True else [flag(name), text(value)]
    return shlex.join(words)


def flag(name: str) -> str:
    """An option's name on the command line."""
    return f"--{name.replace('_', '-')}"
