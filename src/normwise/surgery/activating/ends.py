"""What stands between a network's last linear maps and its output."""

from __future__ import annotations

from torch import fx

from normwise.surgery.inserting.reach import FOLLOWED
from normwise.surgery.inserting.roles import Role
from normwise.surgery.inserting.traced import Traced

_ENDS = {"softmax", "softmax2d", "log_softmax", "logsoftmax", "softmin", "log", "exp", "expm1", "sqrt"}
"""What makes outputs of what a linear map gives, besides the nonlinearities, by names in lower case."""


def is_output(traced: Traced, node: fx.Node) -> bool:
    """Whether a value only makes the network's output, through what may rearrange, scale or squash it."""
    made = {node}
    for user in traced.after(node):
        if not made & {*user.all_input_nodes}:
            continue
        role = traced.role(user)
        if _is_end(traced, user) or _keeps(traced, user):
            made.add(user)
        elif role not in (Role.OUTPUT, Role.NOTHING):
            return False
    return any(traced.role(user) is Role.OUTPUT for each in made for user in each.users)


def ends(traced: Traced) -> list[fx.Node]:
    """The calls that squash the network's outputs, in order; one behind which only pooling comes is one of them."""
    return [node for node in traced.nodes if _is_end(traced, node) and is_output(traced, node)]


def _is_end(traced: Traced, node: fx.Node) -> bool:
    if node.op not in ("call_module", "call_function", "call_method"):
        return False
    return traced.role(node) is Role.NONLINEAR or traced.name(node).lower() in _ENDS


def _keeps(traced: Traced, node: fx.Node) -> bool:
    """Whether a call only moves, scales or summarizes what it is given; not where it adds two values, as a shortcut."""
    role, computed = traced.role(node), [each for each in node.all_input_nodes if each.op != "get_attr"]
    return role in FOLLOWED and not (role is Role.KEEPS and len(computed) > 1)
