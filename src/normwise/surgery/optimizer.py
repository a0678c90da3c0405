"""Letting an optimizer follow a network whose parameters were replaced, removed or added."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import nn

from normwise.errors import InvalidArgumentError, SurgeryError

Added = Iterable[tuple[nn.Parameter, list[nn.Parameter]]]
"""For a parameter that was there, new ones whose group is its own."""


def check(optimizer: torch.optim.Optimizer, network: nn.Module, *, no_decay: bool = False) -> None:
    """Refuse an optimizer that cannot follow a network.

    Raises:
        InvalidArgumentError: it is no ``torch.optim.Optimizer``, or ``no_decay`` where it has no weight decay.
        SurgeryError: it trains nothing of the network, or keeps one state for all parameters together.
    """
    if not isinstance(optimizer, torch.optim.Optimizer):
        raise InvalidArgumentError(f"optimizer must be a torch.optim.Optimizer, got {type(optimizer).__name__}")
    kind = type(optimizer).__name__
    if isinstance(optimizer, torch.optim.LBFGS):
        raise SurgeryError(
            f"{kind} cannot follow a surgery: it keeps one history for all parameters; make a new one afterwards"
        )
    trained = {parameter for group in optimizer.param_groups for parameter in group["params"]}
    if trained.isdisjoint(network.parameters()):
        raise SurgeryError(
            f"the {kind} has no parameter of the network, so there is nothing to follow; give the optimizer that "
            "trains this network, or none"
        )
    if no_decay and not all("weight_decay" in group for group in optimizer.param_groups):
        raise InvalidArgumentError(f"{kind} has no weight decay to leave out; leave no_decay out")


def follow(
    optimizer: torch.optim.Optimizer,
    network: nn.Module,
    *,
    replaced: Mapping[nn.Parameter, nn.Parameter],
    added: Added = (),
    no_decay: bool = False,
) -> None:
    """Let an optimizer train a changed network, in place.

    The state of every parameter that stays, such as momentum, is kept to the bit, and so are options and order of the
    groups. A learning rate scheduler counts groups: with ``no_decay``, make it afterwards.

    Args:
        optimizer: one that ``check`` accepts.
        network: the changed network. A parameter in ``replaced`` that has become none of its parameters leaves.
        replaced: for each parameter of the network as it was, what it became; itself where it stayed.
        added: new parameters, each with one of the changed network whose group it joins; where the optimizer does not
            train that one, it does not train the new one.
        no_decay: put new parameters in a group without weight decay, with the other options of the group that they
            would have joined.
    """
    kept = set(network.parameters())
    for group in optimizer.param_groups:
        group["params"][:] = [replaced.get(each, each) for each in group["params"]]
    for old, new in replaced.items():
        if new is not old and old in optimizer.state:
            optimizer.state[new] = optimizer.state.pop(old)
    gone = {new for new in replaced.values() if new not in kept}
    for parameter in gone:
        optimizer.state.pop(parameter, None)
    beside: dict[nn.Parameter, list[nn.Parameter]] = {}
    for anchor, parameters in added:
        beside.setdefault(anchor, []).extend(parameters)
    for group in list(optimizer.param_groups):
        _join(optimizer, group, gone, [new for each in group["params"] for new in beside.get(each, ())], no_decay)
    _name(optimizer, network)


def _join(
    optimizer: torch.optim.Optimizer,
    group: dict[str, Any],
    gone: set[nn.Parameter],
    new: list[nn.Parameter],
    no_decay: bool,
) -> None:
    """Let parameters leave a group and others join it, or one beside it."""
    group["params"][:] = [each for each in group["params"] if each not in gone]
    if not no_decay or not group["weight_decay"]:
        group["params"] += new
    elif new:
        optimizer.param_groups.append(group | {"params": new, "weight_decay": 0.0})


def _name(optimizer: torch.optim.Optimizer, network: nn.Module) -> None:
    """Keep the names that an optimizer may have been given with its parameters those of the network."""
    if any("param_names" in group for group in optimizer.param_groups):
        names = {parameter: name for name, parameter in network.named_parameters()}
        for group in optimizer.param_groups:
            group["param_names"] = [names.get(each, "") for each in group["params"]]
