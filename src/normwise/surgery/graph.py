"""How values flow through a network, where ``torch.fx`` can tell."""

from __future__ import annotations

import copy
import random
import warnings
from collections import OrderedDict
from collections.abc import Callable, Container, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import torch
from torch import fx, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.parameter import UninitializedBuffer

from normwise.errors import first_line
from normwise.nn.frozen import FrozenBatchNorm
from normwise.nn.kinds import is_linear_map, is_nonlinearity
from normwise.surgery.mode import Mode
from normwise.surgery.plain import replaced_forward
from normwise.surgery.values import Computed, Unasked, Value


class Flow(NamedTuple):
    """The calls of a network's forward, or why they are not known.

    Attributes:
        graph: one node per call, module or function, in order; None where there is a problem.
        problem: why the network cannot be traced, empty where it can.
        constants: tensors that forward makes, under the names that the graph has for them.
        impure: why the graph may compute something else than forward the next time, empty where it does not.
    """

    graph: fx.Graph | None
    problem: str = ""
    constants: Mapping[str, Any] = MappingProxyType({})
    impure: str = ""

    @property
    def has_contexts(self) -> bool:
        """Whether forward enters a context, such as autocast, that a graph would lose."""
        return self.graph is not None and len({node.meta["contexts"] for node in self.graph.nodes}) > 1

    def is_like(self, other: Flow) -> bool:
        """Whether another trace makes the same calls with the same values, those of tensors that forward makes too."""
        return str(self.graph) == str(other.graph) and self.has_constants_of(other)

    def has_constants_of(self, other: Flow) -> bool:
        """Whether the tensors that forward makes are those of another trace."""
        mine, theirs = self.constants, other.constants
        return mine.keys() == theirs.keys() and all(_equal(value, theirs[name]) for name, value in mine.items())

    def calls(self, module_name: str) -> list[fx.Node]:
        """The nodes that call a module."""
        nodes = () if self.graph is None else self.graph.nodes
        return [node for node in nodes if node.op == "call_module" and node.target == module_name]


class _Tracer(fx.Tracer):
    """Looks into every module but torch's own and those that are a linear map, a normalization or a nonlinearity."""

    proxy_buffer_attributes = True

    def __init__(self, whole: Callable[[nn.Module], bool] | None = None, unasked: Container[str] = ()) -> None:
        super().__init__()
        self._whole, self._unasked = whole, unasked
        self.asked = ""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return is_leaf(m, self._whole)

    def create_node(self, *args: Any, **kwargs: Any) -> fx.Node:
        """A node that knows the contexts in which it was called, which a graph does not keep."""
        node = super().create_node(*args, **kwargs)
        node.meta["contexts"] = _contexts()
        return node

    def iter(self, obj: fx.Proxy) -> Any:
        """Refuse a loop over a value, whose number of parts is not known; ``torch.fx`` itself unpacks one."""
        return obj.asked("parts") if issubclass(type(obj), Unasked) else super().iter(obj)

    def proxy(self, node: fx.Node) -> fx.Proxy:
        given = node.op == "placeholder" and str(node.target).lstrip("*") in self._unasked
        if given or any("unasked" in each.meta for each in node.all_input_nodes):
            node.meta["unasked"] = True
            return (Unasked if given else Computed)(node, self)
        return Value(node, self)


def is_leaf(module: nn.Module, whole: Callable[[nn.Module], bool] | None = None) -> bool:
    """Whether a graph has a call of the module, not of what is in it."""
    known = isinstance(module, (_NormBase, FrozenBatchNorm, Mode)) or is_linear_map(module) or is_nonlinearity(module)
    known = known or (whole is not None and whole(module))
    return known or fx.Tracer().is_leaf_module(module, "")


def trace(
    model: nn.Module,
    fixed: Mapping[str, Any] | None = None,
    *,
    whole: Callable[[nn.Module], bool] | None = None,
    training: bool | None = None,
    unasked: Container[str] = (),
) -> Flow:
    """Follow a network's forward with symbolic values; the network and the random generators are left as they are.

    It is a copy that runs, without hooks, which shares the network's parameters. A branch on a value, a loop over a
    size and arguments that are not tensors cannot be followed.

    Args:
        model: the network.
        fixed: arguments of its forward that have these values, not symbolic ones; for example None, which an optional
            argument mostly is, and which a symbolic value never is.
        whole: which other modules are not looked into.
        training: the mode of all modules; None for that which each is in.
        unasked: arguments of its forward of which nothing is known, and what is computed from them: a forward that asks
            for the class of one, its length, a number or a text, or looks it up in a table, cannot be followed.
    """
    if problem := replaced_forward(model):
        return Flow(None, problem)
    python = random.getstate()
    devices = {parameter.device for parameter in model.parameters() if parameter.is_cuda}
    try:
        with warnings.catch_warnings(), torch.random.fork_rng(devices, device_type="cuda"):
            warnings.simplefilter("ignore")
            twin = _twin(model, training)
            known, before = set(vars(twin)), _state(twin)
            tracer = _Tracer(whole, unasked)
            graph = tracer.trace(twin, dict(fixed) if fixed else None)
            if tracer.asked:  # which forward has caught
                raise fx.proxy.TraceError(tracer.asked)
            impure = _difference(before, _state(twin))
    except Exception as error:  # whatever the network's own code raises when it meets a symbolic value
        return Flow(None, f"torch.fx cannot trace it: {first_line(error)}")
    finally:
        random.setstate(python)
    return Flow(graph, "", {name: value for name, value in vars(twin).items() if name not in known}, impure)


def trace_modes(model: nn.Module, fixed: Mapping[str, Any] | None = None) -> tuple[Flow, Flow]:
    """Follow a network's forward in training and in evaluation."""
    return trace(model, fixed, training=True), trace(model, fixed, training=False)


def _twin(model: nn.Module, training: bool | None) -> nn.Module:
    """A copy with the same parameters, and tensors that are mere attributes, whose hooks do not run."""
    shared = [value for module in model.modules() for value in (*module._parameters.values(), *vars(module).values())]
    shared += [buffer for buffer in model.buffers() if isinstance(buffer, UninitializedBuffer)]
    twin = copy.deepcopy(model, {id(value): value for value in shared if isinstance(value, torch.Tensor)})
    for module in twin.modules():
        vars(module).update(_forward_hooks=OrderedDict(), _forward_pre_hooks=OrderedDict())
        if training is not None:
            module.training = training
    return twin


def _state(twin: nn.Module) -> tuple[Any, ...]:
    """What a forward may draw from and change: the generators, and how often each buffer was."""
    generators = (torch.get_rng_state().tolist(), random.getstate())
    return generators, [buffer._version for buffer in twin.buffers() if not isinstance(buffer, UninitializedBuffer)]


def _difference(before: tuple[Any, ...], after: tuple[Any, ...]) -> str:
    if before[0] != after[0]:
        return "its forward draws random numbers, which a traced graph would keep"
    return "its forward changes its buffers, which a traced graph would not" if before[1] != after[1] else ""


def _equal(one: Any, other: Any) -> bool:
    if not isinstance(one, torch.Tensor) or not isinstance(other, torch.Tensor):
        return one is other
    if (one.dtype, one.device, one.requires_grad) != (other.dtype, other.device, other.requires_grad):
        return False
    return one is other or torch.equal(one, other)


def _contexts() -> tuple[bool, ...]:
    autocast = (torch.is_autocast_enabled(kind) for kind in ("cpu", "cuda"))
    return (torch.is_grad_enabled(), torch.is_inference_mode_enabled(), *autocast)
