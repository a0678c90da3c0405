"""The ways in which a network may run, whatever is given for the arguments that an example leaves out."""

from __future__ import annotations

from enum import Enum, Flag
from itertools import product
from math import prod
from typing import Any, NamedTuple

from torch import fx, nn

from normwise.surgery import example as example_
from normwise.surgery.graph import trace

MOST = 16
"""Ways that are looked at, each of which is traced."""

SYMBOLIC = object()
"""Any value but the default."""

_REFUSED = "has been specialized to have value"
"""What a graph says that was made for one value of an argument, when it is given another."""


class Ways(NamedTuple):
    """How a network runs.

    Attributes:
        graphs: each way, that of the example first; empty where that cannot be traced.
        changed: for each way the arguments that are not at their defaults, in words.
        problem: why there may be other ways; empty where there are not.
    """

    graphs: list[fx.Graph]
    changed: list[str]
    problem: str = ""


def ways(network: nn.Module, example: Any) -> Ways:
    """Follow a network's forward as the example calls it, and with other values of what the example leaves out.

    An argument that is True or False by default is followed with both, an enumeration with each member, all others with
    the default and with a symbolic value. Where that fails, as in a branch on the value, it is not known what may run.
    """
    optional, ends = example_.left_out(network, example)
    fixed = example_.fixed(network, example)
    first = trace(network, fixed)
    if first.graph is None:
        return Ways([], [], first.problem)
    choices = {name: _choices(default) for name, default in optional.items()}
    found = Ways([first.graph], [""])
    if prod(map(len, choices.values())) > MOST:
        return found._replace(problem=_unknown(choices))
    for values in list(product(*choices.values()))[0 if ends else 1 :]:
        given = dict(zip(choices, values, strict=True))
        names = [name for name, value in given.items() if value is not choices[name][0]] or sorted(ends)
        known = fixed | {name: value for name, value in given.items() if value is not SYMBOLIC}
        symbolic = {name for name, value in given.items() if value is SYMBOLIC}
        flow = trace(network, {name: known[name] for name in known.keys() - symbolic}, unasked=symbolic | ends)
        if flow.graph is not None:
            found.graphs.append(flow.graph)
            found.changed.append(_listed(names))
        elif _REFUSED not in flow.problem:
            return found._replace(problem=_unknown(names))
    return found


def _choices(default: Any) -> tuple[Any, ...]:
    if isinstance(default, bool):
        return (default, not default)
    if isinstance(default, Enum) and not isinstance(default, Flag):
        return (default, *(each for each in type(default) if each is not default))
    return (default, SYMBOLIC)


def _unknown(names: Any) -> str:
    listed = _listed(names)
    return f"what runs may depend on {listed}, which the example leaves out; give it in the example"


def _listed(names: Any) -> str:
    return ", ".join(f"{name}=" for name in names)
