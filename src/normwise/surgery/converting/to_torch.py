"""Our layers to torch's: an activation that a layer did becomes a module of its own."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping

from torch import nn

from normwise.ops.activations import activation
from normwise.surgery import walk
from normwise.surgery.change import Change, Surgery, in_order
from normwise.surgery.converting import twins
from normwise.surgery.converting.paths import Paths


def to_torch(
    network: nn.Module, names: Mapping[nn.Module, str], problems: Mapping[nn.Module, str], paths: Paths
) -> Surgery:
    """Convert the layers that have no problem, in place.

    Args:
        network: the network.
        names: the dotted names of the layers.
        problems: for each layer of ours why it cannot be converted, empty where it can.
        paths: the calls of the network.
    """
    good = [layer for layer, problem in problems.items() if not problem]
    specs = {layer: spec for layer in good if (spec := twins.activation_of(layer)) is not None}
    identities = _identities(specs, paths)
    apart = {layer: spec for layer, spec in specs.items() if layer not in identities}
    made = {each: _module(specs[layer], each) for layer, after in identities.items() for each in after}
    changes = [
        Change(name, "Identity", type(made[each]).__name__, "what the layer before it did")
        for name, each in walk.find(network, made.__contains__)
    ]
    for layer, problem in problems.items():
        before = twins.described(layer)
        if problem:
            changes.append(Change(names[layer], before, before, f"left alone: {problem}"))
            continue
        twins.become_torch(layer)
        if layer in apart:
            made[layer] = _sequential(layer, apart[layer])
            changes += _apart(names[layer], before, made[layer])
        else:
            changes.append(Change(names[layer], before, twins.described(layer), twins.SAME))
    changed = walk.replace(network, made.get)
    return Surgery(changed, in_order(changed, changes))


def _identities(specs: Mapping[nn.Module, str], paths: Paths) -> dict[nn.Module, set[nn.Module]]:
    """For each layer with an activation the identities that always follow it, where these serve no other activation."""
    found = paths.followed(specs, lambda layer, after: type(after) is nn.Identity)
    wanted: dict[nn.Module, set[str]] = {}
    for layer, after in found.items():
        for each in after:
            wanted.setdefault(each, set()).add(specs[layer])
    return paths.followed(found, lambda layer, after: type(after) is nn.Identity and len(wanted[after]) == 1)


def _module(spec: str, like: nn.Module) -> nn.Module:
    return activation(spec).module().train(like.training)


def _sequential(layer: nn.Module, spec: str) -> nn.Module:
    both = nn.Sequential(OrderedDict(norm=layer, activation=_module(spec, layer)))
    both.training = layer.training
    return both


def _apart(name: str, before: str, both: nn.Module) -> list[Change]:
    norm, act = (f"{name}.{key}" if name else key for key in ("norm", "activation"))
    after = both.get_submodule("activation")
    return [
        Change(norm, name, norm, "moved"),
        Change(name, before, "Sequential", f"{twins.SAME}; with its activation after it"),
        Change(act, "", type(after).__name__, "what the layer did"),
    ]
