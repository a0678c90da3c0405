"""How values flow through a network, where ``torch.fx`` can tell."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from torch import fx, nn
from torch.nn.modules.batchnorm import _NormBase

from normwise.nn.frozen import FrozenBatchNorm
from normwise.nn.kinds import is_linear_map, is_nonlinearity


class Flow(NamedTuple):
    """The calls of a network's forward, or why they are not known.

    Attributes:
        graph: one node per call, module or function, in order; None where there is a problem.
        problem: why the network cannot be traced, empty where it can.
    """

    graph: fx.Graph | None
    problem: str = ""

    def calls(self, module_name: str) -> list[fx.Node]:
        """The nodes that call a module."""
        nodes = () if self.graph is None else self.graph.nodes
        return [node for node in nodes if node.op == "call_module" and node.target == module_name]


class _Tracer(fx.Tracer):
    """Looks into every module but torch's own and those that are a linear map, a normalization or a nonlinearity."""

    def __init__(self, whole: Callable[[nn.Module], bool] | None = None) -> None:
        super().__init__()
        self._whole = whole

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        known = isinstance(m, (_NormBase, FrozenBatchNorm)) or is_linear_map(m) or is_nonlinearity(m)
        known = known or (self._whole is not None and self._whole(m))
        return known or super().is_leaf_module(m, module_qualified_name)


def trace(
    model: nn.Module, fixed: Mapping[str, Any] | None = None, *, whole: Callable[[nn.Module], bool] | None = None
) -> Flow:
    """Follow a network's forward with symbolic values, in the mode that it is in; the network is left as it is.

    A branch on a value, a loop over a size and arguments that are not tensors cannot be followed.

    Args:
        model: the network.
        fixed: arguments of its forward that have these values, not symbolic ones; for example None, which an optional
            argument mostly is, and which a symbolic value never is.
        whole: which other modules are not looked into.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return Flow(_Tracer(whole).trace(model, dict(fixed) if fixed else None))
    except Exception as error:  # whatever the network's own code raises when it meets a symbolic value
        return Flow(None, f"torch.fx cannot trace it: {_first_line(error)}")


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
