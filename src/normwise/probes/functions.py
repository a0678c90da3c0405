"""Which functions of torch are activations, softmax, dropout or reshapes, and of what kind a module is."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.dropout import _DropoutNd
from torch.nn.modules.instancenorm import _InstanceNorm
from torch.nn.modules.loss import _Loss

from normwise.nn.kinds import is_batch_norm, is_nonlinearity

FLAT_SLOPE = 0.05
"""Of the steepest slope: where there is less, a bounded activation counts as flat."""


def _all(names: Iterable[str]) -> dict[Any, str]:
    """Functions and methods of these names, also those in place, with the name."""
    owners = (F, torch, Tensor, torch._C._nn)
    forms = ((name, f"{name}{mark}") for name in names for mark in ("", "_"))
    return {getattr(owner, form): name for name, form in forms for owner in owners if hasattr(owner, form)}


ACTIVATIONS = _all(
    (
        "celu",
        "elu",
        "gelu",
        "hardshrink",
        "hardsigmoid",
        "hardswish",
        "hardtanh",
        "leaky_relu",
        "logsigmoid",
        "mish",
        "prelu",
        "relu",
        "relu6",
        "rrelu",
        "selu",
        "sigmoid",
        "silu",
        "softplus",
        "softshrink",
        "softsign",
        "tanh",
        "tanhshrink",
        "threshold",
    )
) | {torch.special.expit: "sigmoid"}
"""Functions and methods that compute an elementwise nonlinearity, with its name."""

OTHERS = {
    **dict.fromkeys(_all(("softmax", "log_softmax", "softmin")), "softmax"),
    **dict.fromkeys(
        _all(("dropout", "dropout1d", "dropout2d", "dropout3d", "alpha_dropout", "feature_alpha_dropout")), "dropout"
    ),
}
"""Further functions that are calls of their own, with their kind."""

RESHAPES = frozenset(
    _all(
        (
            "contiguous", "double", "expand", "flatten", "float", "half", "bfloat16", "movedim", "permute", "reshape",
            "squeeze", "swapaxes", "to", "transpose", "unflatten", "unsqueeze", "view",
        )
    )
)  # fmt: skip
"""Functions and methods whose output holds the elements of the input and no others."""


def overwrites(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Whether a call may change its first argument, or what it is told to."""
    known = _OVERWRITES.get(func)
    if known is None:
        name = getattr(func, "__name__", "")
        known = _OVERWRITES[func] = name in _OPERATORS or (name.endswith("_") and not name.endswith("__"))
    if known or (kwargs and (kwargs.get("inplace") or "out" in kwargs)):
        return True
    if func in ACTIVATIONS:
        return any(each is True for each in args[1:])
    return func in OTHERS and len(args) > 3 and args[3] is True


_OVERWRITES: dict[Any, bool] = {}
_OPERATORS = {
    f"__i{name}__"
    for name in (
        "add",
        "and",
        "div",
        "floordiv",
        "lshift",
        "mod",
        "mul",
        "or",
        "pow",
        "rshift",
        "sub",
        "truediv",
        "xor",
    )
} | {"__setitem__"}


class Interval(NamedTuple):
    """The numbers x with |x − center| ≤ radius."""

    center: float
    radius: float


def steep(what: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Interval | None:
    """The inputs at which the slope of a bounded activation is 0.05·sup|f'| or more; None where f is not bounded."""
    return _hardtanh(args, kwargs) if what == "hardtanh" else _STEEP.get(what)


def alive(what: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Interval | None:
    """The outputs, without the ends, at which the slope is not 0; None where it is 0 nowhere."""
    return _hardtanh(args, kwargs) if what == "hardtanh" else _ALIVE.get(what)


def _hardtanh(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Interval:
    low, high = (
        args[place] if len(args) > place else kwargs.get(name, default)
        for place, name, default in ((1, "min_val", -1.0), (2, "max_val", 1.0))
    )
    return Interval((low + high) / 2, (high - low) / 2)


def _sigmoid_end() -> float:
    """Where σ(x)·(1 − σ(x)) = 0.05/4."""
    low = (1 - math.sqrt(1 - FLAT_SLOPE)) / 2
    return math.log((1 - low) / low)


_STEEP = {
    "sigmoid": Interval(0.0, _sigmoid_end()),
    "tanh": Interval(0.0, math.atanh(math.sqrt(1 - FLAT_SLOPE))),
    "softsign": Interval(0.0, 1 / math.sqrt(FLAT_SLOPE) - 1),
    "hardsigmoid": Interval(0.0, 3.0),
    "relu6": Interval(3.0, 3.0),
}

_ALIVE = {
    "relu6": Interval(3.0, 3.0),
    "hardsigmoid": Interval(0.5, 0.5),
}

FLAT = {"relu", "relu6", "hardtanh", "hardsigmoid", "hardswish", "hardshrink", "softshrink"}
"""Activations with a slope of 0 somewhere, by name."""


_KINDS: tuple[tuple[str, tuple[type[nn.Module], ...]], ...] = (
    ("linear", (nn.Linear, nn.Bilinear)),
    ("conv", (nn.modules.conv._ConvNd,)),
    (
        "normalization",
        (nn.LayerNorm, nn.GroupNorm, nn.RMSNorm, _InstanceNorm, nn.LocalResponseNorm, nn.CrossMapLRN2d),
    ),
    ("softmax", (nn.Softmax, nn.LogSoftmax, nn.Softmin, nn.Softmax2d)),
    ("dropout", (_DropoutNd,)),
    ("embedding", (nn.Embedding, nn.EmbeddingBag)),
    ("recurrent", (nn.RNNBase, nn.RNNCellBase)),
    ("attention", (nn.MultiheadAttention,)),
)

_POOLS = ("MaxPool", "AvgPool", "LPPool")

TRANSPARENT = (nn.Flatten, nn.Unflatten, nn.Identity)
"""Modules that reshape or do nothing: no calls of their own."""

_METRICS = "torchmetrics"


def kind_of(module: nn.Module) -> str:
    """The kind of a module, as ``Call`` lists them, or ``metric`` for a loss or a metric, which is no layer."""
    if isinstance(module, _Loss) or any(base.__module__.startswith(_METRICS) for base in type(module).__mro__):
        return "metric"
    if is_batch_norm(module):
        return "batch_norm"
    if is_nonlinearity(module):
        return "activation"
    found = next((kind for kind, classes in _KINDS if isinstance(module, classes)), "other")
    if found == "other" and any(name in base.__name__ for base in type(module).__mro__ for name in _POOLS):
        return "pool"
    return found
