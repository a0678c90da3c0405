"""The calls of a network as it runs on an example, where ``torch.fx`` cannot follow its forward."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import is_dataclass
from typing import Any

from torch import Tensor, fx, nn
from torch.overrides import TorchFunctionMode
from torch.utils import _pytree as pytree

from normwise.surgery import walk
from normwise.surgery.example import run
from normwise.surgery.graph import Flow, is_leaf


def observe(network: nn.Module, example: Any, whole: Callable[[nn.Module], bool]) -> Flow:
    """Run a copy of a network on an example in evaluation mode, and note its calls in a graph as ``trace`` makes it.

    What the example does not run is not in the graph, and neither are sizes and other numbers that forward reads. Where
    a call returns several tensors, each is the value of its node.

    Args:
        network: the network.
        example: an input, as it is called.
        whole: which modules are not looked into, besides those that ``trace`` does not look into.

    Raises:
        SurgeryError: the network does not run on the example.
    """
    twin = walk.duplicate(network).eval()
    observer = _Observer(twin)
    for name, module in twin.named_modules():
        watch = _Watch(observer, name, leaf=bool(name) and is_leaf(module, whole))
        module.register_forward_pre_hook(watch.enter, with_kwargs=True, prepend=True)
        module.register_forward_hook(watch.leave, with_kwargs=True, always_call=True)
    run(twin, example, within=observer)
    return Flow(observer.graph, "", observer.constants)


class _Observer(TorchFunctionMode):
    """Notes each call of a function of torch, and knows which node made each tensor.

    Attributes:
        graph: the calls.
        constants: tensors that are neither arguments, parameters, buffers nor computed by a call that was noted.
        within: the modules that are running, outermost first, with their names.
        whole: how many of these are not looked into.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.graph = fx.Graph()
        self.constants: dict[str, Tensor] = {}
        self.within: list[tuple[str, type[nn.Module]]] = []
        self.whole = 0
        self._owned = {id(value): name for name, value in (*network.named_parameters(), *network.named_buffers())}
        self._nodes: dict[int, fx.Node] = {}
        self._alive: list[Any] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        y = func(*args, **(kwargs or {}))
        if self.whole == 0:
            name = getattr(func, "__name__", "")
            if name == "__get__":
                self.note("call_function", getattr, (args[0], getattr(func.__self__, "__name__", "")), {}, y)
            else:
                self.note("call_function", func, args, kwargs or {}, args[0] if name == "__setitem__" else y)
        return y

    def note(self, op: str, target: Any, args: Any, kwargs: Any, y: Any) -> None:
        """Note a call that returned ``y``, where there is a tensor in it."""
        if any(True for _ in _tensors(y)):
            node = self.graph.create_node(op, target, self._noted(args), self._noted(kwargs))
            node.meta["nn_module_stack"] = {str(depth): each for depth, each in enumerate(self.within)}
            self._made(node, y)

    def begin(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Note what the network is given."""
        for index, value in enumerate(_tensors((args, kwargs))):
            self._made(self.graph.placeholder(f"given_{index}"), value)

    def end(self, y: Any) -> None:
        """Note what the network returns."""
        self.graph.output(tuple(self._noted(value) for value in _tensors(y)))

    def _made(self, node: fx.Node, y: Any) -> None:
        for value in _tensors(y):
            self._nodes[id(value)] = node
            self._alive.append(value)

    def _noted(self, value: Any) -> Any:
        """A value as the graph has it: tensors are nodes, and what holds tensors has nodes in it."""
        if isinstance(value, Tensor):
            return self._nodes.get(id(value)) or self._read(value)
        if isinstance(value, (tuple, list)):
            return tuple(map(self._noted, value))
        if isinstance(value, dict):
            return {str(key): self._noted(each) for key, each in value.items()}
        if isinstance(value, (bool, int, float, str, slice, type(None), type(...))):
            return value
        return tuple(map(self._noted, _tensors(value))) or None

    def _read(self, value: Tensor) -> fx.Node:
        """A tensor that no call made: the network's, or a constant."""
        name = self._owned.get(id(value))
        if name is None:
            name = f"_constant_{len(self.constants)}"
            self.constants[name] = value
        node = self.graph.create_node("get_attr", name)
        self._made(node, value)
        return node


class _Watch:
    """The hooks of one module."""

    def __init__(self, observer: _Observer, name: str, *, leaf: bool) -> None:
        self._observer, self._name, self._leaf = observer, name, leaf

    def enter(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """The module is called."""
        observer = self._observer
        if not self._name and not observer.within:
            observer.begin(args, kwargs)
        observer.within.append((self._name, type(module)))
        observer.whole += self._leaf

    def leave(self, _: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], y: Any) -> None:
        """The module returns, or raises what forward may catch; then ``y`` is None."""
        observer = self._observer
        observer.whole -= self._leaf
        if self._leaf and observer.whole == 0:
            observer.note("call_module", self._name, args, kwargs, y)
        observer.within.pop()
        if not observer.within:
            observer.end(y)


def _tensors(value: Any) -> Iterator[Tensor]:
    """The tensors in a value, also in what ``pytree`` takes for one: packed sequences, own mappings, data classes."""
    for each in pytree.tree_leaves(value):
        if isinstance(each, Tensor):
            yield each
        elif isinstance(each, tuple):
            yield from _tensors(tuple(each))
        elif isinstance(each, Mapping):
            yield from _tensors(list(each.values()))
        elif is_dataclass(each) and not isinstance(each, type):
            yield from _tensors(list(vars(each).values()))
