"""Freezing batch normalization, as for fine-tuning on small batches, and undoing it."""

from __future__ import annotations

from typing import NamedTuple

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from normwise.errors import InvalidArgumentError, SurgeryError
from normwise.nn.frozen import FrozenBatchNorm, obstacle
from normwise.nn.kinds import is_batch_norm
from normwise.surgery import compiled, parameters, walk
from normwise.surgery.change import Change, Surgery
from normwise.surgery.sites import census
from normwise.surgery.skip import Skip, skipped


def freeze(
    model: nn.Module,
    *,
    statistics: bool = True,
    affine: bool = True,
    skip: Skip = (),
    inplace: bool = False,
) -> Surgery:
    """Keep the statistics of batch normalizations, their weight and bias, or both, from changing.

    Unlike ``requires_grad_(False)`` this stops the running statistics; unlike ``eval()`` it is not undone by
    ``train()``. With frozen ``statistics`` the layers compute what they compute in evaluation. ``unfreeze`` undoes it.

    Args:
        model: the network. It is not modified unless ``inplace``.
        statistics: put a ``FrozenBatchNorm`` in the place of each layer: it normalizes with the running statistics and
            never changes them, nor the count of batches.
        affine: weight and bias, and what else a subclass has for parameters of its own, require no gradients. They stay
            parameters, and in the state dict. What they required before is remembered on the layer, also in copies of
            it.
        skip: dotted names (what is inside is skipped too), or ``skip(name, module)``; a layer with several names is
            skipped where one of them is.
        inplace: change ``model`` itself. Where that is itself the layer, what replaces it is in the result.

    Returns:
        The network, in which modules that were shared are shared, and what was changed. State-dict keys, parameters,
        hooks and modes stay. Left alone and listed with the reason: a layer without running statistics (give
        ``statistics=False`` to freeze its weight and bias), a lazy layer that has seen no batch, a layer that is
        already frozen.

    Raises:
        InvalidArgumentError: (a ValueError) ``model`` is no network, or neither ``statistics`` nor ``affine``.
        SurgeryError: (a ValueError) there is nothing to freeze, ``skip`` names nothing, or the network is compiled or
            scripted: freeze it before that.
    """
    wanted = [part for part, given in (("statistics", statistics), ("affine", affine)) if given]
    if not wanted:
        raise InvalidArgumentError(
            "freeze was given statistics=False and affine=False, which leaves nothing to freeze; leave one of them True"
        )
    compiled.refuse(model, "freeze")
    network = model if inplace else walk.duplicate(model)
    out = skipped(network, skip)
    plans = [_plan(name, layer, wanted) for name, layer in _layers(network) if layer not in out]
    if not any(plan.parts for plan in plans):
        raise SurgeryError(_nothing_to_freeze(network, plans))
    changes = [_frozen(plan) for plan in plans]
    parameters.freeze([plan.layer for plan in plans if "affine" in plan.parts])
    chosen = {plan.layer for plan in plans if "statistics" in plan.parts}
    return Surgery(walk.replace(network, lambda layer: _stand_in(layer) if layer in chosen else None), changes)


def unfreeze(model: nn.Module, *, inplace: bool = False) -> Surgery:
    """Undo ``freeze``: the layers that it froze are back in all their places.

    They are in the mode that their stand-ins had and keep what was trained or loaded meanwhile. Their weight and bias
    require gradients where they did before.

    Args:
        model: the network. It is not modified unless ``inplace``.
        inplace: change ``model`` itself: parameters stay the same objects, so an optimizer keeps working. Where the
            network is itself a frozen layer, the layer is in the result.

    Returns:
        The network and what was changed.

    Raises:
        SurgeryError: (a ValueError) there is nothing to unfreeze, or the network is compiled or scripted: unfreeze it
            before that.
    """
    compiled.refuse(model, "unfreeze")
    network = model if inplace else walk.duplicate(model)
    layers = {layer: name for name, layer in _layers(network) if _done(layer)}
    if not layers:
        raise SurgeryError(
            f"nothing to unfreeze in {type(network).__name__}: looked for what normwise.freeze has frozen; "
            f"found none (normalizations in the network: {census(network)})"
        )
    changes = [_unfrozen(name, layer) for layer, name in layers.items()]
    parameters.unfreeze([layer for layer in layers if parameters.is_frozen(layer)])
    network = walk.replace(network, lambda layer: layer.unfreeze() if isinstance(layer, FrozenBatchNorm) else None)
    return Surgery(network, changes)


class _Plan(NamedTuple):
    """What to freeze of a layer: ``"statistics"``, ``"affine"``, both, or nothing because of a problem."""

    name: str
    layer: nn.Module
    parts: list[str]
    problem: str = ""


def _plan(name: str, layer: nn.Module, wanted: list[str]) -> _Plan:
    done = _done(layer)
    if "statistics" not in done and (problem := obstacle(layer, statistics="statistics" in wanted)):
        return _Plan(name, layer, [], problem)
    parts = [part for part in wanted if part not in done and (part == "statistics" or parameters.own(layer))]
    if parts:
        return _Plan(name, layer, parts)
    return _Plan(name, layer, [], "it is already frozen" if done & {*wanted} else "it has no weight and no bias")


def _layers(network: nn.Module) -> list[tuple[str, nn.Module]]:
    return walk.find(network, is_batch_norm)


def _done(layer: nn.Module) -> set[str]:
    """What is frozen of a layer."""
    frozen = {"statistics": isinstance(layer, FrozenBatchNorm), "affine": parameters.is_frozen(layer)}
    return {part for part, is_so in frozen.items() if is_so}


def _stand_in(layer: nn.Module) -> FrozenBatchNorm:
    assert isinstance(layer, _BatchNorm)
    return FrozenBatchNorm(layer)


def _frozen(plan: _Plan) -> Change:
    before = type(plan.layer).__name__
    if plan.problem:
        return Change(plan.name, before, before, f"left alone: {plan.problem}")
    after = FrozenBatchNorm.__name__ if "statistics" in plan.parts else before
    return Change(plan.name, before, after, f"{_listed(plan.layer, {*plan.parts})} frozen")


def _unfrozen(name: str, layer: nn.Module) -> Change:
    before = after = type(layer).__name__
    if isinstance(layer, FrozenBatchNorm):
        after = type(layer._layer).__name__
    return Change(name, before, after, f"{_listed(layer, _done(layer))} unfrozen")


def _listed(layer: nn.Module, parts: set[str]) -> str:
    """For example "statistics, weight and bias"."""
    words = ["statistics"] if "statistics" in parts else []
    if "affine" in parts:
        words += parameters.own(layer)
    *first, last = words
    return f"{', '.join(first)} and {last}" if first else last


def _nothing_to_freeze(network: nn.Module, plans: list[_Plan]) -> str:
    found = [f"{plan.name or 'the network itself'}: {plan.problem}" for plan in plans]
    return (
        f"nothing to freeze in {type(network).__name__}: looked for batch normalizations that are not skipped; "
        f"found {'; '.join(found) or 'none'} (normalizations in the network: {census(network)})"
    )
