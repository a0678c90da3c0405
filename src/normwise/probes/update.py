"""How far one step moved each linear map."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from normwise.nn.kinds import linear_maps


def snapshot(model: nn.Module) -> dict[str, Tensor]:
    """A copy of the weight of each linear map, by its dotted name."""
    return {name: module.weight.detach().clone() for name, module in linear_maps(model)}


def update_norms(model: nn.Module, before: dict[str, Tensor]) -> list[dict[str, Any]]:
    """‖W − W_before‖₂ for the weight W of each linear map, in registration order.

    Args:
        model: the network.
        before: what ``snapshot`` returned for it, before the step.

    Returns:
        For each linear map ``layer``, its dotted name, and ``norm``.
    """
    return [{"layer": name, "norm": _distance(module.weight, before[name])} for name, module in linear_maps(model)]


def _distance(weight: Tensor, before: Tensor) -> float:
    dtype = torch.promote_types(weight.dtype, torch.float32)
    return float(torch.linalg.vector_norm(weight.detach() - before, dtype=dtype))
