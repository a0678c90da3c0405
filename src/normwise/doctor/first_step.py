"""Where a network raises in its first forward."""

from __future__ import annotations

import contextlib

import torch
from torch import nn

from normwise.lab.batch import Batch


def raises_in(network: nn.Module, batch: Batch) -> str:
    """The innermost module whose forward raises on a batch, with its class; empty where none does, or only the root.

    The network keeps no hook.
    """
    names = {module: name for name, module in network.named_modules()}
    entered: list[nn.Module] = []

    def enter(module: nn.Module, given: object) -> None:
        entered.append(module)

    def leave(module: nn.Module, given: object, outputs: object) -> None:
        entered.pop()

    hooks = [module.register_forward_pre_hook(enter) for module in names]
    hooks += [module.register_forward_hook(leave) for module in names]
    try:
        with torch.random.fork_rng(devices=[]), torch.no_grad(), contextlib.suppress(Exception):
            batch.through(network)
    finally:
        for hook in hooks:
            hook.remove()
    name = names[entered[-1]] if entered else ""
    return f"{name} ({type(entered[-1]).__name__})" if name else ""
