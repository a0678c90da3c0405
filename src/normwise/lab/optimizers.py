"""The optimisers and learning rate schedules that an arm can name."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import nn


def optimizer(settings: Mapping[str, Any], parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
    """The optimiser that the settings name, as torch implements it: ``momentum`` is SGD with a momentum of 0.9."""
    options = {"lr": settings["lr"], "weight_decay": settings["weight_decay"]}
    match settings["optimizer"]:
        case "momentum":
            return torch.optim.SGD(parameters, momentum=0.9, **options)
        case "adagrad":
            return torch.optim.Adagrad(parameters, **options)
        case "adam":
            return torch.optim.Adam(parameters, **options)
    return torch.optim.SGD(parameters, **options)


def rate(settings: Mapping[str, Any]) -> Callable[[int], float]:
    """The learning rate as a function of the number of updates already made, t.

    ``constant``: lr; ``step:k:f``: lr · f^⌊t/k⌋; ``exponential:f``: lr · f^t. A function of t alone, so that a run
    which goes on from a checkpoint has nothing to restore.
    """
    lr = settings["lr"]
    name, *parameters = settings["schedule"].split(":")
    if name == "step":
        every, factor = int(parameters[0]), float(parameters[1])
        return lambda step: lr * factor ** (step // every)
    if name == "exponential":
        factor = float(parameters[0])
        return lambda step: lr * factor**step
    return lambda step: lr
