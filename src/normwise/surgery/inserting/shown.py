"""What an example shows of a network that cannot be traced."""

from __future__ import annotations

from collections import Counter
from functools import partial
from typing import Any, NamedTuple

from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils import _pytree as pytree

from normwise.nn.kinds import nonlinearities
from normwise.surgery import walk
from normwise.surgery.example import run
from normwise.surgery.inserting.roles import Role, module_role


class Shown(NamedTuple):
    """What runs on an example, in evaluation mode, by the first dotted name of each nonlinearity.

    Attributes:
        times: how often it is called.
        goes_on: those whose output reaches an operation with parameters, so that they are hidden.
        normalized: those that are given what a normalization returns, or whose output a normalization is given.
    """

    times: Counter[str]
    goes_on: set[str]
    normalized: set[str]


def show(network: nn.Module, example: Any) -> Shown:
    """Run a copy of a network on an example.

    Raises:
        SurgeryError: the network does not run on it.
    """
    twin = walk.duplicate(network).eval()
    flow = _Flow(twin)
    for name, module in nonlinearities(twin):
        module.register_forward_pre_hook(partial(flow.enter, name))
        module.register_forward_hook(partial(flow.leave, name))
    for module in twin.modules():
        if module_role(module) is Role.NORMALIZES:
            module.register_forward_pre_hook(flow.normalize)
            module.register_forward_hook(flow.normalized)
    run(twin, example, within=flow)
    return flow.shown


class _Flow(TorchFunctionMode):
    """Knows from which nonlinearities each value was computed, and which one, or a normalization, returned it."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.shown = Shown(Counter(), set(), set())
        self._sources: dict[int, set[str]] = {}
        self._returned: dict[int, str] = {}
        self._weights = {id(parameter) for parameter in network.parameters()}
        self._constants = {id(buffer) for buffer in network.buffers()}
        self._alive: list[Any] = []

    def enter(self, name: str, _: nn.Module, args: tuple[Any, ...]) -> None:
        """A nonlinearity is called."""
        self.shown.times[name] += 1
        if self._returned.get(_first(args)) == _NORMALIZATION:
            self.shown.normalized.add(name)

    def leave(self, name: str, _: nn.Module, __: Any, y: Any) -> None:
        """A nonlinearity returns."""
        self._computed(y, {name})
        self._return(y, name)

    def normalize(self, _: nn.Module, args: tuple[Any, ...]) -> None:
        """A normalization is called."""
        self.shown.normalized.add(self._returned.get(_first(args), _NORMALIZATION))

    def normalized(self, _: nn.Module, __: Any, y: Any) -> None:
        """A normalization returns."""
        self._computed(y, set())
        self._return(y, _NORMALIZATION)

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        y = func(*args, **(kwargs or {}))
        given = {id(value) for value in pytree.tree_leaves((args, kwargs)) if isinstance(value, Tensor)}
        sources = {name for value in given for name in self._sources.get(value, ())}
        returned = self._returned.get(_first(args)) if "dropout" in getattr(func, "__name__", "") else None
        weighs = bool(given & self._weights)
        fixed = bool(given) and all(value in self._weights or value in self._constants for value in given)
        if weighs:
            self.shown.goes_on.update(sources)
        for value in pytree.tree_leaves(y):
            if isinstance(value, Tensor):
                self._computed(value, sources)
                self._return(value, returned)
                if fixed:
                    (self._weights if weighs else self._constants).add(id(value))
        return y

    def _computed(self, y: Any, sources: set[str]) -> None:
        self._sources[id(y)] = self._sources.get(id(y), set()) | sources
        self._alive.append(y)

    def _return(self, y: Any, returned: str | None) -> None:
        """Note what returned a value, or, after an operation in place, that it is no more what was returned."""
        self._returned.pop(id(y), None)
        if returned is not None:
            self._returned[id(y)] = returned


def _first(args: tuple[Any, ...]) -> int:
    return id(args[0]) if args else 0


_NORMALIZATION = ""
"""What returned a value, where it is a normalization; the network itself, which has this name, is none."""
