"""Trying every arm's network on a few examples before anything is started."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from normwise.errors import NormwiseError, RequestError
from normwise.lab import networks
from normwise.lab.data import Data, Scaling
from normwise.lab.factory import Factory, resolve
from normwise.surgery.sites import is_normalization

EXAMPLES = 4


def check(arm: str, settings: Mapping[str, Any], model: str | Callable[[], Any] | None, data: Data) -> list[str]:
    """Build one arm's network and send a few training examples through it.

    Returns:
        What a reader of the comparison has to know: the places of a user's network that were not normalized, with the
        reason.

    Raises:
        RequestError: for a network that cannot be built, does not take the examples, or whose outputs do not fit the
            labels.
    """
    own = None if model is None else resolve(model, what="model")
    X = torch.from_numpy(Scaling.fit(settings["inputs"], data.train.X).apply(data.train.X[:EXAMPLES]))
    y = torch.from_numpy(data.train.y[:EXAMPLES])
    with torch.random.fork_rng(devices=[]):
        try:
            outputs = _outputs(settings, data, own, X)
        except NormwiseError as error:
            raise RequestError(f"arm {arm!r}: {error}") from error
    _check_outputs(outputs, y, data, "the network" if own is None else own.name)
    return [] if own is None else _remarks(arm, own, settings, data)


def _remarks(arm: str, own: Factory, settings: Mapping[str, Any], data: Data) -> list[str]:
    if settings["norm"] == "none":
        named = networks.make(own, settings["seed"]).named_modules()
        found = [name for name, module in named if is_normalization(module)]
        return [f"arm {arm}: {own.name} has normalization of its own: {', '.join(found)}"] if found else []
    left = networks.normalized(own, settings, data.example_shape).left_alone
    return [f"arm {arm}: {change.name or own.name} {change.why}" for change in left]


def _outputs(settings: Mapping[str, Any], data: Data, own: Factory | None, X: Tensor) -> Any:
    network = networks.build(settings, data.example_shape, data.classes, own)
    try:
        return network(X)
    except Exception as error:
        name = "the network" if own is None else f"the network of {own.name}"
        raise RequestError(
            f"{name} does not take {data.name}, examples of shape {data.example_shape}: {error}"
        ) from error


def _check_outputs(outputs: Any, y: Tensor, data: Data, name: str) -> None:
    labels = f"{data.name} has labels 0 to {data.classes - 1}"
    expected = f"it must return a tensor of shape ({len(y)}, {data.classes}) or wider: {labels}"
    if not isinstance(outputs, Tensor):
        raise RequestError(f"{name} returned a {type(outputs).__name__} for {len(y)} examples; {expected}")
    if outputs.ndim != 2 or len(outputs) != len(y) or outputs.shape[1] < data.classes:
        raise RequestError(f"{name} returned shape {tuple(outputs.shape)} for {len(y)} examples; {expected}")
    if not outputs.requires_grad:
        raise RequestError(f"{name} has no parameter that its outputs depend on; there is nothing to train")
