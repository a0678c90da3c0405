"""Trying every arm's network, the loss and the metric on a few examples before anything is started."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from normwise.errors import NormwiseError, RequestError, first_line
from normwise.lab import batches, networks
from normwise.lab.batch import Batch
from normwise.lab.data import Data
from normwise.lab.data.loader_data import LoaderData
from normwise.lab.factory import Factory, resolve
from normwise.lab.objective import Objective, check_loss, check_metric, described
from normwise.lab.settings import Settings
from normwise.lab.task import Task, fits
from normwise.records.metric import LOSS
from normwise.surgery.change import Change
from normwise.surgery.sites import is_normalization

EXAMPLES = 8


def check(
    arm: str, settings: Settings, own: Mapping[str, str | Callable[..., Any]], data: Data | LoaderData, task: Task
) -> list[str]:
    """Build one arm's network and send a few training examples through it, the loss and the metric.

    Returns:
        What a reader of the comparison has to know: the places of a user's network that were not normalized, with the
        reason, and outputs that look like probabilities.

    Raises:
        RequestError: for a network that cannot be built, does not take the examples, or whose outputs do not fit the
            task; for a loss or a metric that raises or returns something else than it should.
    """
    functions = {what: resolve(source, what=what) for what, source in own.items()}
    model = functions.get("model")
    example = batches.first(data, settings, EXAMPLES)
    name = "the network" if model is None else model.name
    with torch.random.fork_rng(devices=[]):
        try:
            outputs = _outputs(settings, example, model, data.name)
            _check_outputs(outputs, example, task, data, name)
            _check_trainable(outputs, model, settings, name)
            notes = _check_objective(settings, functions, data, outputs, example.target, name)
        except NormwiseError as error:
            raise RequestError(f"arm {arm!r}: {error}") from error
    remarks = [] if model is None else _remarks(model, settings, example)
    return [f"arm {arm}: {note}" for note in [*remarks, *notes]]


def _remarks(own: Factory, settings: Settings, example: Batch) -> list[str]:
    left = [change for surgery in networks.changed(own, settings, example)[1] for change in surgery.left_alone]
    notes = list(dict.fromkeys(f"{_place(change, own)} {change.why}" for change in left))
    if settings.norm != "none":
        return notes + _padding(settings, example)
    named = networks.make(own, settings.seed).named_modules()
    found = [name for name, module in named if is_normalization(module)]
    return notes + ([f"{own.name} has normalization of its own: {', '.join(found)}"] if found else [])


def _place(change: Change, own: Factory) -> str:
    """What was left alone: a module by its name, a function by the module whose forward calls it."""
    name = change.name or own.name
    return f"{change.before} in {name}" if change.before.endswith("()") and change.before[0].islower() else name


def _padding(settings: Settings, example: Batch) -> list[str]:
    """A remark on a mask: inserted layers are not given it."""
    given = {**{f"input {index}": each for index, each in enumerate(example.args)}, **example.kwargs}
    tensors = {name: each for name, each in given.items() if isinstance(each, Tensor)}
    masks = [name for name, each in tensors.items() if each.dtype == torch.bool and each.ndim > 1]
    if settings.norm != "batch" or not masks:
        return []
    hidden = f"positions that {' and '.join(masks)} hides count in the statistics"
    return [f"{hidden}; nw.BatchNorm1d takes mask= to leave them out"]


def _outputs(settings: Settings, example: Batch, own: Factory | None, data: str) -> Any:
    network = networks.build(settings, example, own).network
    name = "the network" if own is None else f"the network of {own.name}"
    given = [value for value in pytree.tree_leaves((example.args, example.kwargs)) if isinstance(value, Tensor)]
    versions = [value._version for value in given]
    try:
        outputs = example.through(network)
    except Exception as error:
        raise RequestError(
            f"{name} does not take {data}, examples of {_inputs(example)}: {first_line(error)}{_integers(example)}"
        ) from error
    if [value._version for value in given] != versions:
        raise RequestError(
            f"{name} changes its inputs in place, and the next measurement would begin with what it left; begin its "
            "forward with x = x.clone()"
        )
    return outputs


def _integers(example: Batch) -> str:
    """What to do about inputs that are integers, which no layer but an embedding takes."""
    whole = [value for value in (*example.args, *example.kwargs.values()) if isinstance(value, Tensor)]
    if all(value.is_floating_point() or value.dtype == torch.bool for value in whole):
        return ""
    return "; the inputs are integers, as for an embedding: where they are numbers, return X.float()"


def _inputs(example: Batch) -> str:
    """What the network is given for one example, in words."""
    shown = [f"{_shape(value)}" for value in example.args]
    shown += [f"{name}={_shape(value)}" for name, value in example.kwargs.items()]
    return f"shape {shown[0]}" if len(shown) == 1 and not example.kwargs else f"inputs {', '.join(shown)}"


def _shape(value: Any) -> str:
    return str(tuple(value.shape[1:])) if isinstance(value, Tensor) and value.ndim else type(value).__name__


def _check_outputs(outputs: Any, example: Batch, task: Task, data: Data | LoaderData, name: str) -> None:
    """Whether outputs fit the targets, as the task compares them."""
    if task.kind != "other":
        expected = _expected(example.target, task, data)
        if not isinstance(outputs, Tensor):
            raise RequestError(f"{name} returned {described(outputs)} for {example.size} examples; {expected}")
        if not fits(tuple(outputs.shape), tuple(example.target.shape), task.kind, task.outputs):
            raise RequestError(
                f"{name} returned shape {tuple(outputs.shape)} for {example.size} examples; {expected}{_other(task)}"
            )


def _check_trainable(outputs: Any, model: Factory | None, settings: Settings, name: str) -> None:
    """Whether the outputs depend on a parameter that can be trained."""
    if not isinstance(outputs, Tensor) or outputs.requires_grad:
        return
    given = [] if model is None else list(networks.make(model, settings.seed).parameters())
    if given and not any(parameter.requires_grad for parameter in given):
        raise RequestError(
            f"all parameters of {name} are frozen (requires_grad is False), so there is nothing to train; set "
            "requires_grad_(True) for those that should learn"
        )
    raise RequestError(f"{name} has no parameter that its outputs depend on; there is nothing to train")


def _expected(target: Tensor, task: Task, data: Data | LoaderData) -> str:
    shape = tuple(target.shape)
    match task.kind:
        case "classification":
            wanted = (shape[0], task.outputs, *shape[1:])
            labels = f"{data.name} has classes 0 to {(task.outputs or 1) - 1}"
            return f"for classification it must return logits of shape {wanted} or more classes: {labels}"
        case "binary":
            return f"for a binary task it must return one logit per target, shape {shape}"
        case "multilabel":
            return f"for a multilabel task it must return one logit per label, shape {shape}"
    return f"for a regression it must return one number per target, shape {shape}"


def _other(task: Task) -> str:
    return "" if task.why == "" else f" (the task is {task.kind} because {task.why}; --task gives another)"


def _check_objective(
    settings: Settings,
    functions: Mapping[str, Factory],
    data: Data | LoaderData,
    outputs: Any,
    target: Any,
    name: str,
) -> list[str]:
    """Try loss and metric on outputs that are finite; one that is not diverges at step 0, which is no wrong request."""
    own = {what: each.callable for what, each in functions.items() if what != "model"}
    objective = Objective(settings, own, batches.target_scaling(data, settings.targets))
    if isinstance(outputs, Tensor) and not outputs.isfinite().all():
        return []
    check_loss(objective, outputs, target, settings.loss)
    if objective.metric != LOSS:
        check_metric(objective, objective.in_own_unit(pytree.tree_map_only(Tensor, Tensor.detach, outputs)), target)
    return _probabilities(outputs, settings, name)


_SQUASHES = {"SoftmaxBackward0": "softmax", "SigmoidBackward0": "sigmoid"}
_RESHAPES = ("View", "Squeeze", "Unsqueeze", "Select", "Unsafe", "Transpose", "Permute", "Reshape")


def _probabilities(outputs: Any, settings: Settings, name: str) -> list[str]:
    """A remark on outputs that are probabilities, of which the named losses take the logits."""
    if settings.task not in ("classification", "binary", "multilabel") or "loss" in settings.own:
        return []
    node = outputs.grad_fn
    while node is not None and node.name().startswith(_RESHAPES) and node.next_functions:
        node = node.next_functions[0][0]
    layer = None if node is None else _SQUASHES.get(node.name())
    if layer is None:
        return []
    how = " or give output=linear" if "model" in settings.own else ""
    return [f"{name} returns probabilities, and {settings.loss} takes logits: leave its last {layer} out{how}"]
