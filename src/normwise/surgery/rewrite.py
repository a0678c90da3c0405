"""A network whose forward is a traced graph."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any, Self

from torch import fx, nn


class Rewritten(fx.GraphModule):
    """A ``GraphModule`` with all that the network has: children that the graph does not call, containers, attributes.

    torch's own keeps what the graph calls, and empty modules around it. Modules, parameters, buffers and hooks are the
    network's own, not copies; methods other than ``forward`` are gone.

    Args:
        root: the network, which from now on belongs to this module.
        graph: what forward does.
        constants: tensors that the graph takes from attributes of these names.
    """

    def __init__(self, root: nn.Module, graph: fx.Graph, constants: Mapping[str, Any]) -> None:
        for name, value in constants.items():
            setattr(root, name, value)
        super().__init__(root, graph, type(root).__name__)
        self._adopt(vars(root))

    def _adopt(self, theirs: Mapping[str, Any]) -> None:
        """Take the attributes of a network, but not how it runs."""
        own = vars(fx.GraphModule(nn.Module(), fx.Graph())).keys() - vars(nn.Module()).keys()
        self.__dict__.update({name: value for name, value in theirs.items() if name not in own})

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        twin: Self = fx.GraphModule.__new__(type(self))
        type(twin).__name__ = type(self).__name__
        memo[id(self)] = twin
        twin.__dict__.update(copy.deepcopy(self.__dict__, memo))
        twin.graph = twin.__dict__.pop("_graph")
        return twin

    def __reduce__(self) -> tuple[Any, ...]:
        make, arguments = super().__reduce__()
        return _restored, (make, arguments)


def _restored(make: Callable[..., fx.GraphModule], arguments: tuple[Any, ...]) -> Rewritten:
    bare = make(*arguments)
    root = nn.Module()
    root.__dict__.update(arguments[0])
    restored = Rewritten(root, bare.graph, {})
    type(restored).__name__ = str(arguments[0].get("_graphmodule_cls_name", "GraphModule"))
    return restored
