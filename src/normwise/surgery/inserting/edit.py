"""Putting layers into a network, and saying what changed."""

from __future__ import annotations

from torch import nn

from normwise.surgery.change import Change
from normwise.surgery.inserting.features import Plan
from normwise.surgery.inserting.normalized import EachPosition
from normwise.surgery.inserting.places import Place
from normwise.surgery.inserting.put import Moves, put

Placed = list[tuple[Plan, nn.Module]]


def apply(network: nn.Module, placed: Placed, left: list[Place]) -> list[Change]:
    """Insert the layers, in place, and remove the biases that they cancel.

    Returns:
        What changed, and what was left alone and why, in the network's order.
    """
    moves = put(network, [(plan.place, layer) for plan, layer in placed])
    now = _Now(network, moves)
    changes = [Change(new, old, new, why) for old, new, why in moves.renamed()]
    for plan, layer in placed:
        changes.append(now.inserted(plan.place, layer))
        if plan.place.linear is not None and _cancels(plan.place, layer):
            changes += now.without_bias(plan.place.linear)
    changes += [now.left_alone(place) for place in left]
    order = {name: index for index, (name, _) in enumerate(network.named_modules(remove_duplicate=False))}
    return sorted(changes, key=lambda change: order[change.name])


class _Now:
    """What is said of a network that was changed."""

    def __init__(self, network: nn.Module, moves: Moves) -> None:
        self._moves = moves
        self._names = {module: name for name, module in network.named_modules()}

    def inserted(self, place: Place, layer: nn.Module) -> Change:
        name = self._moves.new(place.name)
        part = {"before": "input", "after": "output"}[place.side]
        kind = type(self._moves.module(place.name)).__name__
        return Change(self._names[layer], "", _short(layer), f"normalizes the {part} of {name} ({kind})")

    def without_bias(self, name: str) -> list[Change]:
        """Remove the bias of a linear map, where there is one."""
        linear = self._moves.module(name)
        if linear._parameters.get("bias") is None or not _is_torch_s(linear):
            return []
        linear.register_parameter("bias", None)
        kind = type(linear).__name__
        why = "the mean that batch normalization subtracts cancels the bias"
        return [Change(self._names[linear], kind, f"{kind} without bias", why)]

    def left_alone(self, place: Place) -> Change:
        kind = place.kind or type(self._moves.module(place.name)).__name__
        return Change(self._moves.new(place.name), kind, kind, f"left alone: {place.problem}")


def _cancels(place: Place, layer: nn.Module) -> bool:
    """Whether a layer in a place cancels the bias of the linear map."""
    inner = layer.layer if isinstance(layer, EachPosition) else layer
    return place.direct and isinstance(inner, nn.modules.batchnorm._BatchNorm)


def _is_torch_s(linear: nn.Module) -> bool:
    """Whether a linear map's forward is torch's own, which adds the bias last and takes None for it."""
    forwards = [getattr(type(linear), name, None) for name in ("forward", "_conv_forward")]
    return all(each is None or each.__module__.startswith("torch.nn.modules.") for each in forwards)


def _short(layer: nn.Module) -> str:
    """The first line of a layer's ``repr`` without the options that have names."""
    if isinstance(layer, EachPosition):
        return f"{_short(layer.layer)} at each position"
    kind, _, options = str(layer).partition("\n")[0].removesuffix(")").partition("(")
    return f"{kind}({', '.join(option for option in options.split(', ') if '=' not in option)})"
