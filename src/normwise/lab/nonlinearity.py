"""The nonlinearities of the built-in networks: those that batch normalization can be fused with, and SELU."""

from __future__ import annotations

from torch import nn

from normwise.ops.activations import activation

ALONE = {"selu": nn.SELU}
"""Layers that no kernel fuses: they are layers of their own in every network."""


def nonlinearity(spec: str) -> nn.Module:
    """A new layer that computes the activation of ``spec``, for example ``relu``, ``selu`` or ``leaky_relu:0.1``.

    Raises:
        InvalidArgumentError: there is no such name, or its parameter is not a finite number.
    """
    return ALONE[spec]() if spec in ALONE else activation(spec).module()
