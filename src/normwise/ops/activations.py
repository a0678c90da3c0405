"""The activations that can follow the transform: names, parameters, functions, derivatives and layers, in one table.

A specification is a name with optional parameters, ``"relu"``, ``"leaky_relu:0.1"``, ``"elu:1.0"``, ``"gelu_tanh"``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from normwise.errors import InvalidArgumentError, choice


@dataclass(frozen=True)
class _Kind:
    """One row: f(x, *parameters), f'(x, *parameters), sup |f'| and torch's layer with its parameters' names."""

    forward: Callable[..., Tensor]
    derivative: Callable[..., Tensor]
    max_slope: Callable[..., float]
    layer: type[nn.Module]
    defaults: Mapping[str, float] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Activation:
    """An elementwise function f with its parameters, for example ``Activation("leaky_relu", (0.1,))``.

    ``activation`` makes one from a specification and checks it; ``str`` gives the specification back.
    """

    name: str
    parameters: tuple[float, ...] = ()

    def forward(self, tensor: Tensor) -> Tensor:
        """Compute f of each element, in a new tensor; differentiable."""
        return _KINDS[self.name].forward(tensor, *self.parameters)

    def derivative(self, tensor: Tensor) -> Tensor:
        """Compute f' at each element. At a kink it is the value that torch's backward uses there."""
        return _KINDS[self.name].derivative(tensor, *self.parameters)

    @property
    def max_slope(self) -> float:
        """The least upper bound of |f'|: how much the activation can amplify a gradient."""
        return _KINDS[self.name].max_slope(*self.parameters)

    def module(self) -> nn.Module:
        """A new layer of torch that computes f."""
        kind = _KINDS[self.name]
        return kind.layer(**kind.options, **dict(zip(kind.defaults, self.parameters, strict=True)))

    def __str__(self) -> str:
        return ":".join([self.name, *map(str, self.parameters)])


def activation(spec: str) -> Activation:
    """The activation that ``spec`` names; parameters that it leaves out take torch's defaults.

    Raises:
        InvalidArgumentError: there is no such name, or a parameter is not a finite number, or there are too many.
    """
    if not isinstance(spec, str):
        raise InvalidArgumentError(f"an activation is written as a string such as 'relu', got {spec!r}")
    name, *given = spec.split(":")
    if name not in _KINDS:
        raise InvalidArgumentError(choice(name, _KINDS, "activation"))
    defaults = _KINDS[name].defaults
    if len(given) > len(defaults):
        takes = f"takes one parameter, {', '.join(defaults)}" if defaults else "takes no parameter"
        raise InvalidArgumentError(
            f"activation {spec!r} has too many parameters: {name} {takes}; write {_example(name)!r}"
        )
    numbers = [_number(spec, text, _example(name)) for text in given]
    return Activation(name, (*numbers, *list(defaults.values())[len(numbers) :]))


def parameters(name: str) -> Mapping[str, float]:
    """The parameters of an activation, as torch calls them, with torch's defaults."""
    return _KINDS[name].defaults


def activation_of(module: nn.Module) -> Activation | None:
    """The activation that a layer of torch computes, or None where it is not one of the table.

    Only torch's own classes count: a subclass may compute something else. ``inplace`` is ignored.
    """
    for name, kind in _KINDS.items():
        if type(module) is kind.layer and all(getattr(module, key) == value for key, value in kind.options.items()):
            return Activation(name, tuple(float(getattr(module, key)) for key in kind.defaults))
    return None


def _example(name: str) -> str:
    return str(Activation(name, tuple(_KINDS[name].defaults.values())))


def _number(spec: str, text: str, example: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise InvalidArgumentError(
            f"activation {spec!r}: its parameter must be a finite number, got {text!r}; for example {example!r}"
        )
    return number


def _indicator(condition: Tensor, like: Tensor) -> Tensor:
    return condition.to(like.dtype)


def _leaky_relu_slope(x: Tensor, negative_slope: float) -> Tensor:
    return torch.where(x > 0, torch.ones_like(x), negative_slope)


def _elu_slope(x: Tensor, alpha: float) -> Tensor:
    return torch.where(x > 0, torch.ones_like(x), alpha * x.clamp(max=0).exp())


def _silu_slope(x: Tensor) -> Tensor:
    s = x.sigmoid()
    return s * (1 + x * (1 - s))


def _gelu_slope(x: Tensor) -> Tensor:
    density = (-0.5 * x.square()).exp() / math.sqrt(2 * math.pi)
    return 0.5 * torch.erfc(-x / math.sqrt(2)) + x * density


def _gelu_tanh_slope(x: Tensor) -> Tensor:
    k, c = math.sqrt(2 / math.pi), 0.044715
    t = (k * (x + c * x.pow(3))).tanh()
    return 0.5 * (1 + t) + 0.5 * x * (1 - t.square()) * k * (1 + 3 * c * x.square())


def _hardswish_slope(x: Tensor) -> Tensor:
    middle = torch.where(x < 3, x / 3 + 0.5, torch.ones_like(x))
    return torch.where(x <= -3, torch.zeros_like(x), middle)


def _mish_slope(x: Tensor) -> Tensor:
    t = F.softplus(x).tanh()
    return t + x * (1 - t.square()) * x.sigmoid()


_KINDS: dict[str, _Kind] = {
    "identity": _Kind(lambda x: x, torch.ones_like, lambda: 1.0, nn.Identity),
    "relu": _Kind(F.relu, lambda x: _indicator(x > 0, x), lambda: 1.0, nn.ReLU),
    "leaky_relu": _Kind(
        F.leaky_relu, _leaky_relu_slope, lambda slope: max(1.0, abs(slope)), nn.LeakyReLU, {"negative_slope": 0.01}
    ),
    "relu6": _Kind(F.relu6, lambda x: _indicator((x > 0) & (x < 6), x), lambda: 1.0, nn.ReLU6),
    "elu": _Kind(F.elu, _elu_slope, lambda alpha: max(1.0, abs(alpha)), nn.ELU, {"alpha": 1.0}),
    "silu": _Kind(F.silu, _silu_slope, lambda: 1.0998393202, nn.SiLU),
    "gelu": _Kind(
        F.gelu,
        _gelu_slope,
        lambda: 0.5 * (1 + math.erf(1)) + math.exp(-1) / math.sqrt(math.pi),
        nn.GELU,
        options={"approximate": "none"},
    ),
    "gelu_tanh": _Kind(
        lambda x: F.gelu(x, approximate="tanh"),
        _gelu_tanh_slope,
        lambda: 1.1289930687,
        nn.GELU,
        options={"approximate": "tanh"},
    ),
    "sigmoid": _Kind(torch.sigmoid, lambda x: x.sigmoid() * (1 - x.sigmoid()), lambda: 0.25, nn.Sigmoid),
    "tanh": _Kind(torch.tanh, lambda x: 1 - x.tanh().square(), lambda: 1.0, nn.Tanh),
    "hardswish": _Kind(F.hardswish, _hardswish_slope, lambda: 1.5, nn.Hardswish),
    "mish": _Kind(F.mish, _mish_slope, lambda: 1.0884981613, nn.Mish),
}

NAMES = tuple(_KINDS)

IDENTITY = Activation("identity")
