"""What is known of a network and its optimizer without running them."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn.parameter import is_lazy

from normwise.errors import InvalidArgumentError
from normwise.probes.functions import kind_of
from normwise.probes.watched import Optimizer


def network_of(model: object) -> nn.Module:
    """The network itself, without ``DistributedDataParallel`` around it.

    Raises:
        InvalidArgumentError: it is none, has no parameters, or some without a shape, or is compiled, scripted or split
            over devices.
    """
    if not isinstance(model, nn.Module):
        given = f"the class {model.__name__}; make one" if isinstance(model, type) else type(model).__name__
        raise InvalidArgumentError(f"model must be an nn.Module, got {given}")
    if isinstance(model, nn.DataParallel):
        raise InvalidArgumentError(
            "a network in DataParallel cannot be watched, because its copies run; use DistributedDataParallel, or "
            "train model.module on one device"
        )
    network: nn.Module = model.module if isinstance(model, nn.parallel.DistributedDataParallel) else model
    for name, module in network.named_modules():
        if isinstance(module, torch.jit.ScriptModule):
            raise _made(name, "scripted", "torch.jit.script")
        if "_orig_mod" in module._modules or module._compiled_call_impl is not None:
            raise _made(name, "compiled", "torch.compile")
    if next(network.parameters(), None) is None:
        raise InvalidArgumentError(f"{type(network).__name__} has no parameters: there is no training to watch")
    for name, parameter in network.named_parameters():
        if is_lazy(parameter):
            raise InvalidArgumentError(
                f"{name} has no shape before the network has seen a batch: call the network on one, under "
                "torch.no_grad(), before the optimizer is made and the network is watched"
            )
    return network


def _made(name: str, how: str, function: str) -> InvalidArgumentError:
    return InvalidArgumentError(
        f"{name or 'the network'} is {how}, and what happens within cannot be seen; train and watch the network "
        f"without {function} for some hundred steps"
    )


def optimizer_of(optimizer: object) -> torch.optim.Optimizer | None:
    """The optimizer, which may be None.

    Raises:
        InvalidArgumentError: it is none of torch's.
    """
    if optimizer is None or isinstance(optimizer, torch.optim.Optimizer):
        return optimizer
    raise InvalidArgumentError(
        f"optimizer must be a torch.optim.Optimizer, got {type(optimizer).__name__}; leave it out, and gradients are "
        "read when step is called"
    )


def rate(optimizer: torch.optim.Optimizer) -> float:
    """The largest learning rate of its groups."""
    return max(float(group.get("lr", 0.0)) for group in optimizer.param_groups)


def described(optimizer: torch.optim.Optimizer, network: nn.Module) -> Optimizer:
    """What updates the parameters."""
    groups = optimizer.param_groups
    held = {parameter for group in groups for parameter in group["params"]}
    decayed = {parameter for group in groups if group.get("weight_decay") for parameter in group["params"]}
    missing = (name for name, each in network.named_parameters() if each.requires_grad and each not in held)
    normalizations = (
        name
        for name, module in network.named_modules()
        if kind_of(module) in ("batch_norm", "normalization")
        and any(each in decayed for each in module.parameters(recurse=False))
    )
    decay = max(float(group.get("weight_decay") or 0.0) for group in groups)
    name, momentum = type(optimizer).__name__, _momentum(groups[0])
    return Optimizer(name, rate(optimizer), momentum, decay, tuple(normalizations), tuple(missing))


def _momentum(group: dict[str, Any]) -> float | None:
    found = group.get("momentum") or next(iter(group.get("betas") or ()), None)
    return float(found) if found else None
