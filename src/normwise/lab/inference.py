"""Finding out what is learned: from what was asked, what the network puts out, and what the targets are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from normwise.errors import RequestError, choice
from normwise.lab.data import Data
from normwise.lab.data.given import Given
from normwise.lab.data.loader_data import LoaderData
from normwise.lab.data.targets import FEW_CLASSES, is_zero_one
from normwise.lab.factory import Factory
from normwise.lab.options import Options
from normwise.lab.settings import Settings
from normwise.lab.task import Kind, Task, fits, kind_named
from normwise.records.metric import Metric

if TYPE_CHECKING:
    from normwise.lab.batch import Batch

EXAMPLES = 8
"""Training examples on which a user's own network is asked what it puts out."""


def find_task(given: Given, asked: Options, own: Mapping[str, Factory]) -> tuple[Task, Data | LoaderData]:
    """The task, but for what guessing scores, and the data prepared for it.

    In this order: the task that was asked for; the one that the loss is for; the one that a user's own network puts
    out logits for, where targets are 0 or 1; the one that the targets suggest.

    Args:
        given: the data as they were read.
        asked: the options, of which ``task``, ``loss`` and ``metric`` count.
        own: the user's functions by ``model``, ``loss`` and ``metric``.

    Raises:
        RequestError: the targets fit no task or not the one asked for; loss or metric do not exist or do not fit.
    """
    kind, why, data = _kind(given, asked, own)
    data = data or given.finish(kind)
    loss = _loss(kind, asked, own)
    metric = _metric(kind, asked, own)
    return Task(kind, loss, metric, data.n_outputs, classes=data.classes, why=why), data


def _kind(given: Given, asked: Options, own: Mapping[str, Factory]) -> tuple[Kind, str, Data | LoaderData | None]:
    """The kind of task, how it was found where nobody gave it, and the data where they were prepared for that."""
    if asked.get("task") is not None:
        return kind_named(str(asked["task"])), "", None
    if isinstance(asked.get("loss"), str) and (kind := kind_of_loss(asked["loss"], given.targets)) is not None:
        _refuse_other(kind, str(asked["loss"]), given)
        return kind, f"the loss is {asked['loss']}", None
    kind, why = given.kind()
    if "model" not in own or kind == "other":
        return kind, why, None
    data = given.finish(kind)
    outputs, example = _outputs(own["model"], data)
    if outputs is None:
        return kind, why, data
    told = kind_of_outputs(outputs, given.targets, example.size)
    if told is not None:
        return *told, data if told[0] == kind else None
    if "loss" in own and not _fit(outputs, example, kind, data):
        return "other", f"what {own['model'].name} puts out fits no other task", None
    return kind, why, data


def kind_of_loss(name: str, y: np.ndarray | None) -> Kind | None:
    """The kind of task that a named loss is for; None for a loss of the user's own."""
    from normwise.lab.objective import LOSSES

    kinds = LOSSES[name][0] if name in LOSSES else ()
    if len(kinds) > 1:  # one logit, or one per label
        return "multilabel" if y is not None and y.ndim == 2 and y.shape[1] > 1 else "binary"
    return kinds[0] if kinds else None


def _refuse_other(kind: Kind, loss: str, given: Given) -> None:
    """Refuse a loss for numbers where the targets are classes and nobody said otherwise, and the other way round."""
    suggested, why = given.kind()
    if kind == "regression" and suggested in ("classification", "multilabel"):
        use = "cross_entropy, or bce for one logit" if suggested == "classification" else "bce"
        raise RequestError(
            f"loss {loss!r} is for numbers, and the targets of {given.name} are classes: {why}; use {use}, or say "
            "--task regression where they are numbers"
        )
    if kind == "classification" and suggested == "regression" and _many(given.targets):
        raise RequestError(
            f"loss {loss!r} is for classes, integers from 0, and the targets of {given.name} are numbers: {why}; use "
            "mse, mae or huber, or say --task classification where they are classes"
        )


def _many(y: np.ndarray | None) -> bool:
    """Whether there are too many different targets for classes."""
    return y is not None and len(np.unique(y)) > max(FEW_CLASSES, len(y) / 20)


def _fit(outputs: Any, example: Batch, kind: Kind, data: Data | LoaderData) -> bool:
    shapes = [tuple(getattr(each, "shape", ())) for each in (outputs, example.target)]
    return all(shapes) and fits(shapes[0], shapes[1], kind, data.n_outputs)


def _outputs(model: Factory, data: Data | LoaderData) -> tuple[Any, Batch]:
    """What the user's network puts out for some examples, None where it fails, which is for later to say; and these."""
    import torch

    from normwise.lab import batches, networks

    example = batches.first(data, Settings(inputs="raw"), EXAMPLES)
    network = networks.make(model, seed=0).eval()
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        try:
            return example.through(network), example
        except Exception:
            return None, example


def kind_of_outputs(outputs: Any, y: np.ndarray | None, examples: int) -> tuple[Kind, str] | None:
    """The kind of task that a user's network is made for, where its outputs tell.

    Args:
        outputs: what it puts out for the first examples.
        y: the training targets.
        examples: how many examples ``outputs`` is for.
    """
    shape = tuple(getattr(outputs, "shape", ()))
    if y is None or not shape or not is_zero_one(y):
        return None
    each, target = _numbers(shape, examples), int(np.prod(y.shape[1:]))
    if y.ndim == 2 and y.shape[1] > 1 and each == target:
        return "multilabel", f"the network puts out {each} logits for {target} targets of 0 or 1"
    if each == target:
        return "binary", "the network puts out one logit for targets of 0 or 1"
    return None


def _numbers(shape: tuple[int, ...], examples: int) -> int:
    return int(np.prod(shape)) // max(1, examples)


def _loss(kind: Kind, asked: Options, own: Mapping[str, Factory]) -> str:
    from normwise.lab import objective

    if "loss" in own:
        return own["loss"].name
    name = asked.get("loss")
    if name is None:
        return objective.default_loss(kind)
    if name not in objective.LOSSES:
        raise RequestError(f"{choice(str(name), objective.LOSSES, 'loss')}, or your own as FILE.py:function")
    if kind not in objective.LOSSES[name][0]:
        fitting = [each for each, (kinds, _) in objective.LOSSES.items() if kind in kinds]
        raise RequestError(
            f"loss {name!r} is not for a task of kind {kind}; allowed: {', '.join(fitting) or 'your own'}; or give "
            "another --task"
        )
    return str(name)


def _metric(kind: Kind, asked: Options, own: Mapping[str, Factory]) -> Metric:
    from normwise.lab import metrics

    if "metric" in own:
        function = own["metric"].callable
        better = bool(getattr(function, "higher_is_better", True))
        label = getattr(function, "__name__", own["metric"].name).replace("_", " ")
        return Metric(own["metric"].name, label, higher_is_better=better)
    name = asked.get("metric")
    return metrics.default(kind) if name is None else metrics.named(str(name), kind)
