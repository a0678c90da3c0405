"""The nonlinearities that have names: those that batch normalization can be fused with, and SELU."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from normwise.errors import InvalidArgumentError, choice
from normwise.ops.activations import NAMES as FUSED
from normwise.ops.activations import activation, activation_of, parameters

ALONE = {"selu": nn.SELU}
"""Layers that no kernel fuses: they are layers of their own in every network."""

NAMES = (*FUSED, *ALONE)


def canonical(spec: str) -> str:
    """The specification with all parameters, ``leaky_relu`` as ``leaky_relu:0.01``.

    Raises:
        InvalidArgumentError: there is no such name, or its parameter is not a finite number.
    """
    name = str(spec).partition(":")[0]
    if name not in NAMES or (name in ALONE and spec != name):
        raise InvalidArgumentError(choice(spec if name in ALONE else name, NAMES, "activation"))
    return spec if name in ALONE else str(activation(spec))


def nonlinearity(spec: str) -> nn.Module:
    """A new layer that computes the activation of ``spec``, for example ``relu``, ``selu`` or ``leaky_relu:0.1``.

    Raises:
        InvalidArgumentError: as ``canonical``.
    """
    return ALONE[spec]() if spec in ALONE else activation(spec).module()


def function(spec: str) -> tuple[Callable[..., Any], dict[str, Any]]:
    """The function of torch that computes the activation of ``spec``, any but ``identity``, and its keywords.

    Raises:
        InvalidArgumentError: as ``canonical``.
    """
    name, *given = canonical(spec).split(":")
    if name == "gelu_tanh":
        return F.gelu, {"approximate": "tanh"}
    keywords = {} if name in ALONE else dict(zip(parameters(name), map(float, given), strict=True))
    return getattr(torch if hasattr(torch, name) and not keywords else F, name), keywords


def specification(module: nn.Module) -> str | None:
    """The specification of what a layer of torch computes, None where it has none; identities have none either."""
    for name, kind in ALONE.items():
        if type(module) is kind:
            return name
    found = activation_of(module)
    return None if found is None or found.name == "identity" else str(found)
