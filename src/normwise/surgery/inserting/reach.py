"""Which nonlinearities the output of a linear map reaches."""

from __future__ import annotations

from typing import NamedTuple

from torch import fx

from normwise.surgery.inserting.roles import Role
from normwise.surgery.inserting.traced import Traced

PLAIN, REARRANGED, PERMUTED = range(3)
"""What happened to the channels on the way: nothing, they may be others, or their axis may be another."""

FOLLOWED = {Role.KEEPS: PLAIN, Role.REARRANGES: REARRANGED, Role.PERMUTES: PERMUTED}
"""What keeps the values, and what happens to the channels there."""

SATURATING = {"sigmoid", "tanh", "hardsigmoid", "hardtanh", "clamp", "clip", "logsigmoid"}
"""Nonlinearities that bound their values, by the names of functions and of classes in lower case."""


class Reach(NamedTuple):
    """What the output of a call meets first on each way, through what keeps the channels.

    Attributes:
        nonlinear: the nonlinearities, with what happened on the way.
        met: every other role that was met, each with the nodes.
    """

    nonlinear: dict[fx.Node, int]
    met: dict[Role, list[fx.Node]]


def reach(traced: Traced, start: fx.Node, through: frozenset[Role] = frozenset()) -> Reach:
    """Follow a value to what it meets first, in the order of the graph, which is the order of the calls.

    Args:
        traced: the network.
        start: the call whose output is followed.
        through: roles that are followed too, as if they kept the channels.
    """
    happened = {start: PLAIN}
    found = Reach({}, {})
    for node in traced.after(start):
        before = [happened[each] for each in node.all_input_nodes if each in happened]
        if not before:
            continue
        role = traced.role(node)
        if role is Role.NONLINEAR:
            found.nonlinear[node] = max(before)
        if role in FOLLOWED or role in through:
            happened[node] = max(*before, FOLLOWED.get(role, PLAIN))
        elif role is not Role.NONLINEAR:
            found.met.setdefault(role, []).append(node)
    return found


def is_normalized_after(traced: Traced, node: fx.Node) -> bool:
    """Whether all that takes the output of a call, through dropout, is a normalization."""
    users = [user for user in node.users if traced.role(user) is not Role.NOTHING]
    return bool(users) and all(
        traced.role(user) is Role.NORMALIZES or (traced.is_dropout(user) and is_normalized_after(traced, user))
        for user in users
    )


def is_normalized_before(traced: Traced, node: fx.Node) -> bool:
    """Whether what a call takes, through dropout, comes from a normalization."""
    inputs = node.all_input_nodes[:1]
    return any(
        traced.role(each) is Role.NORMALIZES or (traced.is_dropout(each) and is_normalized_before(traced, each))
        for each in inputs
    )


def is_output(traced: Traced, node: fx.Node) -> bool:
    """Whether a nonlinearity that bounds its values, such as a sigmoid, only makes the network's output."""
    return traced.name(node).lower() in SATURATING and reach(traced, node) == Reach({}, _only_output(traced))


def _only_output(traced: Traced) -> dict[Role, list[fx.Node]]:
    return {Role.OUTPUT: [node for node in traced.nodes if node.op == "output"]}
