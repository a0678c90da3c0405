"""Putting layers into a network, and where that moves what was there."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence

from torch import nn

from normwise.nn.kinds import is_nonlinearity
from normwise.surgery import walk
from normwise.surgery.inserting.normalized import Normalized
from normwise.surgery.inserting.places import Place
from normwise.surgery.inserting.traced import join


class Moves:
    """The old and new dotted names of a network into which layers were put."""

    def __init__(self, network: nn.Module) -> None:
        self._old: dict[str, nn.Module] = dict(network.named_modules(remove_duplicate=False))
        self.moved: dict[nn.Module, dict[str, str]] = {}
        self.wrapped: dict[nn.Module, str] = {}

    def module(self, old: str) -> nn.Module:
        """The module that had a name."""
        return self._old[old]

    def new(self, old: str) -> str:
        """The new name of what had an old one."""
        if not old:
            return ""
        outer, _, key = old.rpartition(".")
        name = join(self.new(outer), self.moved.get(self._old[outer], {}).get(key, key))
        inner = self.wrapped.get(self._old[old])
        return name if inner is None else join(name, inner)

    def renamed(self) -> Iterator[tuple[str, str, str]]:
        """The old and new name of each child of a changed ``Sequential`` and of each wrapped module, and why."""
        for old, module in self._old.items():
            if module in self.wrapped:
                yield old, self.new(old), "together with its normalization"
            elif old and self._old[old.rpartition(".")[0]] in self.moved and self.new(old) != old:
                yield old, self.new(old), "renumbered"


def put(network: nn.Module, layers: Sequence[tuple[Place, nn.Module]]) -> Moves:
    """Put each layer in its place, in place."""
    moves, slots = Moves(network), walk.slots(network)
    inserted: dict[nn.Module, dict[tuple[str, str], nn.Module]] = {}
    for place, layer in layers:
        if place.slot is not None:
            inserted.setdefault(moves.module(place.slot[0]), {})[place.side, place.slot[1]] = layer
            continue
        module = moves.module(place.name)
        pair, key = _pair(module, layer, place.side)
        moves.wrapped[module] = key
        for parent, name in slots[module]:
            parent._modules[name] = pair
    for sequential, added in inserted.items():
        assert isinstance(sequential, nn.Sequential)
        moves.moved[sequential], _ = walk.insert(sequential, added)
    return moves


def _pair(module: nn.Module, layer: nn.Module, side: str) -> tuple[Normalized, str]:
    """A module and its normalization, and the module's name in the two."""
    key = "act" if is_nonlinearity(module) else "conv" if isinstance(module, nn.modules.conv._ConvNd) else "linear"
    children = [(key, module), ("norm", layer)]
    pair = Normalized(OrderedDict(children if side == "after" else children[::-1]), key)
    pair.training = module.training
    return pair, key
