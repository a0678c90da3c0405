"""What is said of each batch normalization of a trained network."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from normwise.doctor.examination import ExaminedNorm
from normwise.doctor.examining.layer_inputs import LayerInputs
from normwise.moments import unbiased
from normwise.nn.kinds import thawed

TINY = 1e-6
"""A variance below this share of the largest counts as one of a channel that does not vary."""


def examined_norm(module: nn.Module, name: str, inputs: LayerInputs) -> ExaminedNorm:
    """One layer with its running statistics, beside the inputs that it was given."""
    layer: Any = thawed(module)
    mean, var = layer.running_mean, layer.running_var
    tracks = mean is not None and var is not None
    batches = None if layer.num_batches_tracked is None else int(layer.num_batches_tracked)
    momentum = None if layer.momentum is None else float(layer.momentum)
    untouched = tracks and bool((mean == 0).all() and (var == 1).all())
    gaps = _gaps(layer, inputs) if tracks else None
    gamma = layer.weight
    return ExaminedNorm(
        layer=name,
        tracks=tracks,
        batches=batches,
        momentum=momentum,
        weight=initial_weight(momentum, batches, untouched) if tracks else 0.0,
        untouched=untouched,
        finite=not tracks or bool(mean.isfinite().all() and var.isfinite().all() and (var >= 0).all()),
        values=inputs.values,
        gap=None if gaps is None else _finite(gaps[0].max()),
        mean_gap=None if gaps is None else _finite(gaps[0].mean()),
        ratio=None if gaps is None else _finite(gaps[1].max()),
        between=inputs.between(),
        noise=noise(momentum, batches, inputs.values) if tracks else None,
        zero_gamma=0.0 if gamma is None else float((gamma == 0).float().mean()),
        tiny=_tiny(inputs),
        training=module.training,
    )


def initial_weight(momentum: float | None, batches: int | None, untouched: bool) -> float:
    """The share of the initial values in running statistics after so many batches; 0 where nobody counted them."""
    if untouched:
        return 1.0
    if not batches or momentum is None:
        return 0.0
    return float(min(1.0, abs(1 - momentum) ** batches))


def noise(momentum: float | None, batches: int | None, values: int) -> float | None:
    """The deviation of a running mean from averaging few values, in deviations of the channel."""
    if not values:
        return None
    if momentum is None:
        return math.sqrt(1 / values / max(1, batches or 1))
    return math.sqrt(momentum / (2 - momentum) / values) if 0 < momentum < 2 else None


def _gaps(layer: Any, inputs: LayerInputs) -> tuple[Tensor, Tensor] | None:
    """By channel |μ − running_mean|/√(σ² + eps) and |log₂((running_var + eps)/(σ² + eps))|."""
    if inputs.tally is None:
        return None
    count, mean, biased = inputs.tally.values
    var = unbiased(biased, count) + layer.eps
    running_mean, running_var = (
        each.detach().to("cpu", torch.float64) for each in (layer.running_mean, layer.running_var)
    )
    return (mean - running_mean).abs() / var.sqrt(), ((running_var + layer.eps) / var).log2().abs()


def _finite(value: Tensor) -> float | None:
    return float(value) if value.isfinite() else None


def _tiny(inputs: LayerInputs) -> float:
    if inputs.tally is None:
        return 0.0
    var = inputs.tally.values.var
    return float((var < TINY * var.max()).double().mean())
