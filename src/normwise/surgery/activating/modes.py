"""Calls whose arguments say whether a network trains, as in ``F.dropout(x, training=self.training)``."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from typing import Any, NamedTuple

from torch import fx, nn

from normwise.surgery.graph import Flow


class Arguments(NamedTuple):
    """The arguments of a call, with a ``Flag`` in each place that says whether the network trains."""

    args: Any
    kwargs: Any


class Flag(NamedTuple):
    """A truth value that is ``training`` while the network trains, else the opposite."""

    training: bool


Flags = Mapping[fx.Node, Arguments]


def flags(training: Flow, evaluation: Flow) -> Flags | None:
    """The calls in training whose arguments say that, all other calls being those in evaluation; None where not."""
    assert training.graph is not None
    assert evaluation.graph is not None
    one, other = list(training.graph.nodes), list(evaluation.graph.nodes)
    if len(one) != len(other) or not training.has_constants_of(evaluation):
        return None
    same = dict(zip(other, one, strict=True))
    found: dict[fx.Node, Arguments] = {}
    for theirs, mine in same.items():
        if (mine.op, mine.target) != (theirs.op, theirs.target):
            return None
        try:
            merged = Arguments(_merged(mine.args, theirs.args, same), _merged(mine.kwargs, theirs.kwargs, same))
        except _DifferError:
            return None
        if merged != (mine.args, mine.kwargs):
            found[mine] = merged
    return found


def ask(graph: fx.Graph, node: fx.Node, arguments: Arguments, mode: str) -> None:
    """Let a call get its flags from the module ``mode``, which is a ``Mode``."""
    with graph.inserting_before(node):
        training = graph.call_module(mode)
    for each in (node, training):
        each.meta.setdefault("contexts", node.meta["contexts"])

    def put(value: Any) -> Any:
        if not isinstance(value, Flag) or value.training:
            return training if isinstance(value, Flag) else value
        with graph.inserting_before(node):
            return graph.call_function(operator.not_, (training,))

    node.args, node.kwargs = _mapped(arguments.args, put), _mapped(arguments.kwargs, put)


def free_name(owner: nn.Module) -> str:
    """A name for a ``Mode`` in a module."""
    name = "mode"
    while hasattr(owner, name):
        name += "_"
    return name


class _DifferError(Exception):
    """Two calls have other arguments."""


def _merged(mine: Any, theirs: Any, same: Mapping[fx.Node, fx.Node]) -> Any:
    """The arguments of one call in both modes; calls are compared by their places."""
    if isinstance(mine, fx.Node) and isinstance(theirs, fx.Node):
        if same[theirs] is mine:
            return mine
    elif isinstance(mine, dict) and isinstance(theirs, dict) and mine.keys() == theirs.keys():
        return {key: _merged(value, theirs[key], same) for key, value in mine.items()}
    elif isinstance(mine, (tuple, list)) and type(mine) is type(theirs) and len(mine) == len(theirs):
        return type(mine)(_merged(a, b, same) for a, b in zip(mine, theirs, strict=True))
    elif isinstance(mine, slice) and isinstance(theirs, slice):
        parts = ((getattr(each, name) for name in ("start", "stop", "step")) for each in (mine, theirs))
        return slice(*(_merged(a, b, same) for a, b in zip(*parts, strict=True)))
    elif isinstance(mine, bool) and isinstance(theirs, bool):
        return mine if mine is theirs else Flag(mine)
    elif type(mine) is type(theirs) and (mine is theirs or mine == theirs):
        return mine
    raise _DifferError


def _mapped(value: Any, put: Any) -> Any:
    if isinstance(value, dict):
        return {key: _mapped(each, put) for key, each in value.items()}
    if isinstance(value, (tuple, list)) and not isinstance(value, Flag):
        return type(value)(_mapped(each, put) for each in value)
    return put(value)
