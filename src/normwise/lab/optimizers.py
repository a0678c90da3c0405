"""The optimizers, learning rate schedules and gradient clipping that an arm can name."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import nn

from normwise.lab.settings import Settings


def optimizer(settings: Settings, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
    """The optimizer that the settings name, as torch implements it.

    ``momentum`` and ``nesterov`` are SGD with the momentum μ of torch: v ← μ·v + g, w ← w − lr·v; for ``nesterov``
    w ← w − lr·(g + μ·v). ``adamw`` decays the weights apart from the gradient; all others add λ·w to it.
    """
    options: dict[str, Any] = {"lr": settings.lr, "weight_decay": settings.weight_decay}
    momentum: dict[str, Any] = {"momentum": settings.momentum}
    match settings.optimizer:
        case "momentum" | "nesterov" as name:
            return torch.optim.SGD(parameters, nesterov=name == "nesterov", **options, **momentum)
        case "rmsprop":
            return torch.optim.RMSprop(parameters, **options, **momentum)
        case "adagrad":
            return torch.optim.Adagrad(parameters, **options)
        case "adam":
            return torch.optim.Adam(parameters, **options)
        case "adamw":
            return torch.optim.AdamW(parameters, **options)
    return torch.optim.SGD(parameters, **options)


def rate(settings: Settings) -> Callable[[int], float]:
    """The learning rate as a function of the number of updates already made, t.

    ``constant``: lr; ``step:k:f``: lr · f^⌊t/k⌋; ``exponential:f``: lr · f^t; with a warmup of w steps, each times
    min(1, (t + 1)/w). A function of t alone, so that a run which goes on from a checkpoint has nothing to restore.
    """
    scheduled, warmup = _scheduled(settings), settings.warmup
    if not warmup:
        return scheduled
    return lambda step: scheduled(step) * min(1.0, (step + 1) / warmup)


def _scheduled(settings: Settings) -> Callable[[int], float]:
    lr = settings.lr
    assert lr is not None  # a run's settings are resolved
    name, *parameters = settings.schedule.split(":")
    if name == "step":
        every, factor = int(parameters[0]), float(parameters[1])
        return lambda step: lr * factor ** (step // every)
    if name == "exponential":
        factor = float(parameters[0])
        return lambda step: lr * factor**step
    return lambda step: lr


def clip(parameters: Iterable[nn.Parameter], settings: Settings) -> None:
    """Scale the gradients, before an update, so that their norm over all parameters is at most ``settings.clip``.

    g ← g · min(1, clip/(‖g‖ + 10⁻⁶)), as ``torch.nn.utils.clip_grad_norm_`` has it; nothing where ``clip`` is None. A
    gradient that is not finite stays so.
    """
    if settings.clip is not None:
        nn.utils.clip_grad_norm_(parameters, settings.clip)
