"""The calls of one forward, and which feeds which."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from torch import Tensor, nn
from torch.nn.utils.parametrize import is_parametrized

from normwise.ops.tracing import is_transformed
from normwise.probes.functions import OTHERS, RESHAPES
from normwise.probes.tensors import own_parameter
from normwise.probes.watched import Call


class Calls:
    """Collects the calls of one forward in order. Tensors are known by identity, and kept until ``forget``."""

    def __init__(self) -> None:
        self.found: list[Call] = []
        self._places: dict[int, tuple[Tensor, int]] = {}

    def module(self, layer: str, kind: str, module: nn.Module, given: Any, output: Any) -> None:
        """A call of a module that has ended."""
        self.add(self.before(layer, kind, type(module).__name__, given)._replace(facts=_facts(kind, module)), output)

    def function(
        self,
        func: Callable[..., Any],
        around: str,
        named: Callable[[str], str],
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        output: Any,
    ) -> None:
        """A call of a function within a module of kind ``around``."""
        kind = OTHERS.get(func)
        if kind is not None and kind != around:
            facts = {"p": args[1] if len(args) > 1 else kwargs.get("p", 0.5)} if kind == "dropout" else {}
            name = func.__name__.rstrip("_")
            self.add(self.before(named(name), kind, name, (args, kwargs))._replace(facts=facts), output)
        elif func in RESHAPES and args and isinstance(output, Tensor):
            place = self._places.get(id(args[0]))
            if place is not None:
                self._places[id(output)] = (output, place[1])

    def before(self, layer: str, kind: str, what: str, given: Any) -> Call:
        """A call whose output is not known yet."""
        inputs = list(tensors(given))
        feeds = (self._places.get(id(tensor)) for tensor in inputs)
        places = tuple(dict.fromkeys(found[1] for found in feeds if found is not None))
        return Call(layer, kind, what, places, _shape(inputs), (), {})

    def add(self, call: Call, output: Any) -> None:
        """Add a call with its output."""
        outputs = list(tensors(output))
        for tensor in outputs:
            self._places[id(tensor)] = (tensor, len(self.found))
        self.found.append(call._replace(output=_shape(outputs)))

    def forget(self) -> None:
        """Let go of the tensors."""
        self._places.clear()


def tensors(given: Any) -> Iterator[Tensor]:
    """The tensors in arguments or outputs: in tuples, lists and dictionaries, and what is made of them."""
    if isinstance(given, Tensor):
        yield given
    elif isinstance(given, Mapping):
        for each in given.values():
            yield from tensors(each)
    elif isinstance(given, (tuple, list)):
        for each in given:
            yield from tensors(each)


def _shape(found: list[Tensor]) -> tuple[int, ...]:
    """Of the first tensor; none where its rows differ in length."""
    return tuple(found[0].shape) if found and not found[0].is_nested else ()


def _facts(kind: str, module: Any) -> dict[str, Any]:
    facts: dict[str, Any] = {}
    own = list(module.parameters())
    if own:
        facts["frozen"] = not any(parameter.requires_grad for parameter in own)
    if kind in ("linear", "conv"):
        facts["bias"] = module._parameters.get("bias") is not None or is_parametrized(module, "bias")
    elif kind == "batch_norm":
        batches = None if is_transformed() else getattr(module, "num_batches_tracked", None)
        gamma = own_parameter(module, "weight")
        facts |= {
            "momentum": module.momentum,
            "training": module.training,
            "tracks": getattr(module, "running_mean", None) is not None,
            "affine": gamma is not None,
            "zero_gamma": 0.0 if gamma is None else float((gamma == 0).float().mean()),
            "eps": module.eps,
            "batches": None if batches is None else int(batches),
        }
    elif kind == "dropout":
        facts["p"] = module.p
    return facts
