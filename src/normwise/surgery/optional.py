"""The ways in which a network may run, whatever is given for the arguments that an example leaves out."""

from __future__ import annotations

import inspect
from enum import Enum, Flag
from itertools import product
from math import prod
from typing import Any, NamedTuple

from torch import fx, nn

from normwise.surgery import example as example_
from normwise.surgery.graph import Flow, trace

MOST = 16
"""Ways that are looked at, each of which is traced."""

SYMBOLIC = object()
"""Any value but the default."""

_REFUSED = "has been specialized to have value"
"""What a graph says that was made for one value of an argument, when it is given another."""


class Ways(NamedTuple):
    """How a network runs.

    Attributes:
        flows: each way, that of the example first; empty where that cannot be traced.
        changed: for each way the arguments that are not at their defaults, in words.
        problem: why there may be other ways; empty where there are not.
    """

    flows: list[Flow]
    changed: list[str]
    problem: str = ""

    @property
    def graphs(self) -> list[fx.Graph]:
        """The calls of each way."""
        return [flow.graph for flow in self.flows if flow.graph is not None]


def ways(network: nn.Module, example: Any, *, training: bool | None = None, asked: bool = True) -> Ways:
    """Follow a network's forward as the example calls it, and with other values of what the example leaves out.

    An argument that is True or False by default is followed with both, an enumeration with each member, all others with
    the default and with a symbolic value. Where that fails, as in a branch on the value, it is not known what may run.

    Args:
        network: the network.
        example: an input as it is called; ``()`` gives nothing.
        training: the mode of all modules; None for that which each is in.
        asked: forward may ask for the class of a tensor that the example gives, and the like; what runs then has to be
            seen on the example.
    """
    optional, ends = example_.left_out(network, example)
    fixed = example_.fixed(network, example)
    unasked = set() if asked else {*inspect.signature(network.forward).parameters}
    first = trace(network, fixed, training=training, unasked=unasked - fixed.keys())
    if first.graph is None:
        return Ways([], [], first.problem)
    choices = {name: _choices(default) for name, default in optional.items()}
    found = Ways([first], [""])
    if prod(map(len, choices.values())) > MOST:
        return found._replace(problem=_unknown(choices, example))
    for values in list(product(*choices.values()))[0 if ends else 1 :]:
        given = dict(zip(choices, values, strict=True))
        names = [name for name, value in given.items() if value is not choices[name][0]] or sorted(ends)
        symbolic = {name for name, value in given.items() if value is SYMBOLIC}
        known = {name: value for name, value in (fixed | given).items() if value is not SYMBOLIC}
        flow = trace(network, known, training=training, unasked=(symbolic | ends | unasked) - known.keys())
        if flow.graph is not None:
            found.flows.append(flow)
            found.changed.append(_listed(names))
        elif _REFUSED not in flow.problem:
            return found._replace(problem=_unknown(names, example))
    return found


def _choices(default: Any) -> tuple[Any, ...]:
    if isinstance(default, bool):
        return (default, not default)
    if isinstance(default, Enum) and not isinstance(default, Flag):
        return (default, *(each for each in type(default) if each is not default))
    return (default, SYMBOLIC)


def _unknown(names: Any, example: Any) -> str:
    what = f"what runs may depend on {_listed(names)}"
    nothing = isinstance(example, tuple) and not example
    return (
        f"{what}; give it in an example" if nothing else f"{what}, which the example leaves out; give it in the example"
    )


def _listed(names: Any) -> str:
    return ", ".join(f"{name}=" for name in names)
