"""Where a normalization can be put in a traced network, and what is left alone and why."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from torch import fx, nn

from normwise.nn.kinds import is_nonlinearity
from normwise.surgery.inserting.ranks import ranks
from normwise.surgery.inserting.reach import PLAIN, Reach, is_normalized_after, is_normalized_before, is_output, reach
from normwise.surgery.inserting.roles import Role, is_block, is_recurrent, is_whole, normalization_inside
from normwise.surgery.inserting.traced import Slot, Traced, join


class Place(NamedTuple):
    """A place for a normalization, by dotted names, so that it is one in every copy of the network.

    Attributes:
        name: the module beside which it goes; where there is a problem, what is left alone.
        side: ``"before"`` or ``"after"`` that module.
        slot: the slot of that module in a ``Sequential``; None where the module is to be wrapped.
        linear: the linear map whose channels are normalized, or None where none is known.
        path: what happens to the channels between the linear map and the place.
        direct: whether nothing lies between the two, and the linear map's output goes nowhere else.
        rank: the number of axes of the linear map's output, where the calls tell.
        nonlinear: the nonlinearities that are modules and reached from here.
        problem: why nothing can be put there; empty where something can.
        kind: what is left alone, where that is no module of its own.
    """

    name: str
    side: str = "before"
    slot: Slot | None = None
    linear: str | None = None
    path: int = PLAIN
    direct: bool = False
    rank: int | None = None
    nonlinear: tuple[str, ...] = ()
    problem: str = ""
    kind: str = ""


class Survey(NamedTuple):
    """The places of a network, with and without a problem, and how many are normalized already."""

    places: list[Place]
    normalized: int


class _Call(NamedTuple):
    """A call of a linear map, what it reaches, and the nonlinearities among that which are not normalized yet."""

    node: fx.Node
    reach: Reach
    wanted: list[fx.Node]


def survey(traced: Traced, side: str, is_linear: Callable[[nn.Module], bool]) -> Survey:
    """Find the places of a traced network.

    Args:
        traced: the network.
        side: ``"before"`` or ``"after"`` the nonlinearities.
        is_linear: which modules are linear maps.
    """
    calls = list(_linear_calls(traced))
    through = frozenset({Role.NORMALIZES})
    reached = {node for call in calls for node in reach(traced, call.node, through).nonlinear}
    alone = [node for node in _alone(traced) if node not in reached]
    free = [node for node in alone if not _is_normalized(traced, node) and not is_output(traced, node)]
    normalized = sum(_is_done(call) for call in calls) + sum(_is_normalized(traced, node) for node in alone)
    found = list(_before(traced, calls) if side == "before" else _after(traced, calls))
    found += [_at_nonlinearity(traced, node, side, calls) for node in free]
    found += [*_left(traced, calls), *blocks(traced.network), *_uncalled(traced, is_linear)]
    return Survey(list(dict.fromkeys(found)), normalized)


def _linear_calls(traced: Traced) -> Iterator[_Call]:
    for node in traced.nodes:
        if traced.role(node) is Role.LINEAR:
            found, module = reach(traced, node), traced.module(node)
            done = module is not None and normalization_inside(module)
            wanted = [] if done else [each for each in found.nonlinear if not is_normalized_after(traced, each)]
            yield _Call(node, found, wanted)


def _is_done(call: _Call) -> bool:
    """Whether every way to a nonlinearity is normalized, and there is one."""
    return not call.wanted and bool(call.reach.nonlinear or Role.NORMALIZES in call.reach.met)


def _is_last(traced: Traced, call: _Call) -> bool:
    return bool(call.wanted) and all(is_output(traced, node) for node in call.wanted)


def _open(traced: Traced, calls: list[_Call]) -> list[_Call]:
    """The calls whose output reaches a nonlinearity of a hidden layer that is not normalized."""
    return [call for call in calls if call.wanted and not _is_last(traced, call)]


def _before(traced: Traced, calls: list[_Call]) -> Iterator[Place]:
    """Directly after each linear map."""
    rank = ranks(traced)
    for call in _open(traced, calls):
        module = traced.module(call.node)
        if module is None:
            yield _function(traced, call.node, "it is called as a function, so there is no module to normalize after")
            continue
        name, slot = traced.first_name(module), traced.slot(call.node)
        if problem := _tied(traced, module) or _repeated(traced, call.node, slot):
            yield Place(name, linear=name, problem=problem)
            continue
        place = Place(name, "after", slot, name, PLAIN, len(traced.calls(call.node)) == 1, rank.get(call.node))
        place = place._replace(nonlinear=tuple(_modules(traced, call.wanted)))
        yield _paired(traced, call, place) if traced.observed and slot is None else _beside(traced, place)


def _paired(traced: Traced, call: _Call, place: Place) -> Place:
    """The same place where only an example was seen: the numbers and biases of a ``Sequential`` stay.

    What else the linear map's output goes to there, beside its one nonlinearity, stays what it was.
    """
    linear, first = traced.module(call.node), call.wanted[0]
    following = traced.module(first)
    if linear is None or not traced.is_child(linear):
        return place
    place = place._replace(direct=False)
    if following is None or len(call.wanted) > 1 or len(traced.calls(first)) > 1:
        return place
    if first not in call.node.users or not traced.are_neighbors(linear, following):
        return place
    return place._replace(name=traced.first_name(following), side="before")


def _beside(traced: Traced, place: Place) -> Place:
    """The same place, seen from the nonlinearity where that is next in the ``Sequential``."""
    following = None if place.slot is None else traced.next_in(place.slot)
    if place.slot is None:
        return place
    if following is None or not is_nonlinearity(following[1]):
        return place._replace(name=join(*place.slot))
    slot = (place.slot[0], following[0])
    return place._replace(name=join(*slot), side="before", slot=slot)


def _after(traced: Traced, calls: list[_Call]) -> Iterator[Place]:
    """After each nonlinearity that a linear map reaches."""
    for node in dict.fromkeys(node for call in _open(traced, calls) for node in call.wanted):
        yield _at_nonlinearity(traced, node, "after", calls)


def _at_nonlinearity(traced: Traced, node: fx.Node, side: str, calls: list[_Call]) -> Place:
    module = traced.module(node)
    if module is None:
        return _function(traced, node, "it is called as a function, so there is no module to put a normalization after")
    slot = traced.slot(node)
    name = traced.first_name(module) if slot is None else join(*slot)
    if problem := _repeated(traced, node, slot):
        return Place(name, nonlinear=(name,), problem=problem)
    linear, path = _source(traced, node, calls)
    return Place(name, side, slot, linear, path, nonlinear=(name,))


def _source(traced: Traced, node: fx.Node, calls: list[_Call]) -> tuple[str | None, int]:
    """The last linear map whose channels a nonlinearity gets, also through others, and what happened to them."""
    through = frozenset({Role.NONLINEAR, Role.NORMALIZES})
    found: tuple[str | None, int] = (None, PLAIN)
    for call in calls:
        module, way = traced.module(call.node), reach(traced, call.node, through).nonlinear
        if module is not None and node in way:
            found = (traced.first_name(module), way[node])
    return found


def _alone(traced: Traced) -> Iterator[fx.Node]:
    """The nonlinearities that are called from a ``Sequential``."""
    for node in traced.nodes:
        module = traced.module(node)
        if traced.role(node) is not Role.NONLINEAR or module is None:
            continue
        if traced.slot(node) is not None or (traced.observed and traced.is_child(module)):
            yield node


def _is_normalized(traced: Traced, node: fx.Node) -> bool:
    return is_normalized_after(traced, node) or is_normalized_before(traced, node)


def _repeated(traced: Traced, node: fx.Node, slot: Slot | None) -> str:
    times = len(traced.calls(node))
    if slot is not None or times == 1:
        return ""
    return f"it is called {times} times, and one normalization would mix the statistics of {times} places"


def _tied(traced: Traced, module: nn.Module) -> str:
    """Whether the parameters of a module are used elsewhere too."""
    own = {id(parameter) for parameter in module._parameters.values() if parameter is not None}
    for name, other in traced.network.named_modules():
        if other is not module and any(id(parameter) in own for parameter in other._parameters.values()):
            return f"its parameters are also those of {name or 'the network itself'}"
    if any(id(parameter) in own for parameter in traced.read):
        return "forward reads its parameters itself"
    return ""


def _modules(traced: Traced, nodes: list[fx.Node]) -> Iterator[str]:
    for node in nodes:
        module, slot = traced.module(node), traced.slot(node)
        if module is not None:
            yield traced.first_name(module) if slot is None else join(*slot)


def _function(traced: Traced, node: fx.Node, problem: str) -> Place:
    return Place(traced.within(node), problem=problem, kind=f"{traced.name(node)}()")


def _left(traced: Traced, calls: list[_Call]) -> Iterator[Place]:
    """The linear maps that no place is looked for at, where a reader may wonder why."""
    for call in calls:
        module = traced.module(call.node)
        problem = "" if module is None else has_inside(module) if _is_done(call) else _reason(traced, call)
        if module is not None and problem:
            yield Place(traced.first_name(module), linear=traced.first_name(module), problem=problem)


def has_inside(linear: nn.Module) -> str:
    """Why a linear map that normalizes its own output is left alone; empty for any other."""
    inside = normalization_inside(linear)
    return f"it has a normalization of its own ({inside})" if inside else ""


def _reason(traced: Traced, call: _Call) -> str:
    if _is_last(traced, call):
        names = " and ".join(dict.fromkeys(traced.name(node) for node in call.wanted))
        return f"it is the last layer: {names} makes the network's output"
    if call.wanted:
        return ""
    met = call.reach.met
    attends = [name for name in map(traced.name, met.get(Role.ATTENDS, [])) if "softmax" not in name.lower()]
    if attends:
        return f"its output goes into attention ({attends[0]})"
    if Role.UNKNOWN in met:
        return f"it is not known what {traced.name(met[Role.UNKNOWN][0])} makes of its output"
    return ""


def blocks(network: nn.Module) -> Iterator[Place]:
    """The recurrent and attention modules, each outermost one."""
    for name, module in _outermost(network, is_block):
        kind = "recurrent" if is_recurrent(module) else "attention"
        yield Place(name, problem=f"{kind} modules are left as they are, with all that is inside")


def _uncalled(traced: Traced, is_linear: Callable[[nn.Module], bool]) -> Iterator[Place]:
    called = {module for node in traced.nodes if (module := traced.module(node)) is not None}
    inside = {part for module in called if is_whole(module) or is_linear(module) for part in module.modules()}
    inside |= {part for _, module in _outermost(traced.network, is_block) for part in module.modules()}
    for name, module in traced.network.named_modules():
        if name and is_linear(module) and module not in called | inside:
            yield Place(name, linear=name, problem=_NOT_CALLED[traced.observed])


_NOT_CALLED = {False: "forward does not call it", True: "the example does not reach it"}


def _outermost(network: nn.Module, wanted: Callable[[nn.Module], bool]) -> list[tuple[str, nn.Module]]:
    found = [(name, module) for name, module in network.named_modules() if wanted(module)]
    inner = {part for _, module in found for part in module.modules() if part is not module}
    return [(name, module) for name, module in found if module not in inner]
