"""How values flow through a network, where ``torch.fx`` can tell."""

from __future__ import annotations

import contextlib
import operator
import warnings
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import torch
from torch import fx, nn
from torch.nn.modules.batchnorm import _NormBase

from normwise.nn.frozen import FrozenBatchNorm
from normwise.nn.kinds import is_linear_map, is_nonlinearity


class Flow(NamedTuple):
    """The calls of a network's forward, or why they are not known.

    Attributes:
        graph: one node per call, module or function, in order; None where there is a problem.
        problem: why the network cannot be traced, empty where it can.
        constants: tensors that forward makes, under the names that the graph has for them.
    """

    graph: fx.Graph | None
    problem: str = ""
    constants: Mapping[str, Any] = MappingProxyType({})

    def calls(self, module_name: str) -> list[fx.Node]:
        """The nodes that call a module."""
        nodes = () if self.graph is None else self.graph.nodes
        return [node for node in nodes if node.op == "call_module" and node.target == module_name]


class _Value(fx.Proxy):
    """A symbolic value; that ``x += y`` changes ``x`` is recorded, where torch's own records ``x + y``."""

    def __iadd__(self, other: Any) -> Any:
        return self.tracer.create_proxy("call_function", operator.iadd, (self, other), {})

    def __isub__(self, other: Any) -> Any:
        return self.tracer.create_proxy("call_function", operator.isub, (self, other), {})

    def __imul__(self, other: Any) -> Any:
        return self.tracer.create_proxy("call_function", operator.imul, (self, other), {})

    def __itruediv__(self, other: Any) -> Any:
        return self.tracer.create_proxy("call_function", operator.itruediv, (self, other), {})


class _Tracer(fx.Tracer):
    """Looks into every module but torch's own and those that are a linear map, a normalization or a nonlinearity."""

    def __init__(self, whole: Callable[[nn.Module], bool] | None = None) -> None:
        super().__init__()
        self._whole = whole

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        known = isinstance(m, (_NormBase, FrozenBatchNorm)) or is_linear_map(m) or is_nonlinearity(m)
        known = known or (self._whole is not None and self._whole(m))
        return known or super().is_leaf_module(m, module_qualified_name)

    def create_node(self, *args: Any, **kwargs: Any) -> fx.Node:
        """A node that knows the contexts in which it was called, which a graph does not keep."""
        node = super().create_node(*args, **kwargs)
        node.meta["contexts"] = _contexts()
        return node

    def proxy(self, node: fx.Node) -> fx.Proxy:
        return _Value(node, self)


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
    before = set(vars(model))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            graph = _Tracer(whole).trace(model, dict(fixed) if fixed else None)
    except Exception as error:  # whatever the network's own code raises when it meets a symbolic value
        return Flow(None, f"torch.fx cannot trace it: {_first_line(error)}")
    finally:
        constants = {name: vars(model).pop(name) for name in set(vars(model)) - before}
    return Flow(graph, constants=constants)


def trace_modes(model: nn.Module, fixed: Mapping[str, Any] | None = None) -> tuple[Flow, Flow]:
    """Follow a network's forward in training and in evaluation, without hooks; otherwise as ``trace``."""
    with _set(model, True):
        training = trace(model, fixed)
    with _set(model, False):
        return training, trace(model, fixed)


@contextlib.contextmanager
def _set(model: nn.Module, training: bool) -> Iterator[None]:
    """Modes of all modules for a while, in which hooks, which would be given symbolic values, do not run."""
    hooks = ("_forward_hooks", "_forward_pre_hooks")
    before = {module: {key: vars(module)[key] for key in ("training", *hooks)} for module in model.modules()}
    try:
        for module in before:
            vars(module).update({key: OrderedDict() for key in hooks}, training=training)
        yield
    finally:
        for module, values in before.items():
            vars(module).update(values)


def _contexts() -> tuple[bool, ...]:
    autocast = (torch.is_autocast_enabled(kind) for kind in ("cpu", "cuda"))
    return (torch.is_grad_enabled(), torch.is_inference_mode_enabled(), *autocast)


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
