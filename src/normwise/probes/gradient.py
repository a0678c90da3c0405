"""The size of the loss gradient at each linear map."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from normwise.nn.kinds import linear_maps


def gradient_norms(model: nn.Module, loss: Tensor) -> list[dict[str, Any]]:
    """‖∂loss/∂W‖₂ for the weight W of each linear map, in registration order. The parameters' ``.grad`` is left alone.

    Args:
        model: the network that the loss was computed with.
        loss: a scalar whose graph is still there; it is freed.

    Returns:
        For each linear map ``layer``, its dotted name, and ``norm``; the norm is None for a weight that is frozen, or
        that the loss does not depend on.
    """
    weights = {name: module.weight for name, module in linear_maps(model)}
    learning = [weight for weight in weights.values() if weight.requires_grad]
    gradients: dict[Tensor, Tensor | None] = {}
    if learning and loss.requires_grad:
        gradients = dict(zip(learning, torch.autograd.grad(loss, learning, allow_unused=True), strict=True))
    return [{"layer": name, "norm": _norm(gradients.get(weight))} for name, weight in weights.items()]


def _norm(gradient: Tensor | None) -> float | None:
    if gradient is None:
        return None
    return float(torch.linalg.vector_norm(gradient, dtype=torch.promote_types(gradient.dtype, torch.float32)))
