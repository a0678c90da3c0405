"""Everything that is measured on one batch, in one forward and one backward pass."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor, nn

from normwise.nn.kinds import nonlinearities
from normwise.nn.trace import no_trace
from normwise.probes.activation import histogram
from normwise.probes.gradient import gradient_norms
from normwise.probes.preactivation import preactivation
from normwise.probes.saturation import saturated

Rows = list[dict[str, Any]]


def measure(model: nn.Module, X: Any, y: Any, loss: Callable[[Any, Any], Tensor]) -> dict[str, Rows]:
    """Measure a network on one batch and leave no trace.

    The batch is passed forward and backward once in training mode, with batch moments, as in Figure 1 of Ioffe &
    Szegedy 2015. A nonlinearity has one entry per call, in the order of the calls: a module that is called several
    times appears as ``relu``, ``relu#2``, ``relu#3``, because each call is another hidden layer. Nonlinearities that
    are called as functions are not seen. The network's parameters, gradients, buffers, ``training`` flags and hooks and
    the random generators are afterwards what they were, also when the network or the loss raises.

    Args:
        model: the network.
        X: a batch of inputs, on the network's device; a tuple or list is passed as arguments, a dict as keywords.
        y: its targets.
        loss: ``loss(model(X), y)`` is a scalar.

    Returns:
        ``preactivations``: per nonlinearity ``layer``, ``mean``, ``std``, ``p15``, ``p50``, ``p85`` and ``saturated``;
        ``activations``: per nonlinearity ``layer``, ``low``, ``high`` and ``counts``;
        ``gradients``: per linear map ``layer`` and ``norm``.
        Numbers of a network that has diverged may be NaN or infinite.
    """
    inputs: Rows = []
    outputs: Rows = []
    with no_trace(model), torch.enable_grad(), ExitStack() as hooks:
        for name, module in nonlinearities(model):
            for handle in _watch(name, module, inputs, outputs):
                hooks.callback(handle.remove)
        model.train()
        gradients = gradient_norms(model, loss(_called(model, X), y))
    return {"preactivations": inputs, "activations": outputs, "gradients": gradients}


def _called(model: nn.Module, X: Any) -> Any:
    if isinstance(X, Mapping):
        return model(**X)
    return model(*X) if isinstance(X, (tuple, list)) else model(X)


def _watch(name: str, module: nn.Module, inputs: Rows, outputs: Rows) -> tuple[Any, Any]:
    """Add a row to ``inputs`` before and one to ``outputs`` after each call, ahead of any in-place operation."""
    calls: Counter[str] = Counter()

    def layer(kind: str) -> dict[str, str]:
        calls[kind] += 1
        return {"layer": name if calls[kind] == 1 else f"{name}#{calls[kind]}"}

    @torch.no_grad()
    def before(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        u = args[0] if args else kwargs["input"]
        inputs.append(layer("input") | preactivation(u) | {"saturated": saturated(module, u)})

    @torch.no_grad()
    def after(module: nn.Module, args: tuple[Any, ...], output: Tensor) -> None:
        outputs.append(layer("output") | histogram(module, output))

    return module.register_forward_pre_hook(before, with_kwargs=True), module.register_forward_hook(after)
