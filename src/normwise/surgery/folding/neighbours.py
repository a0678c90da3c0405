"""Which calls of linear maps and normalizations follow one another, with nothing else in between or beside.

What the network's graph, or the order in a ``Sequential``, says is believed only where an example shows the same: each
module is called as often, and the very tensor that one returns is what the next is given.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any, NamedTuple

from torch import Tensor, fx, nn
from torch.overrides import TorchFunctionMode
from torch.utils import _pytree as pytree

from normwise.surgery import example as example_
from normwise.surgery.calls import described, sole_user
from normwise.surgery.optional import ways
from normwise.surgery.plain import has_hooks, hooked_containers
from normwise.surgery.sites import Link, certain, chains
from normwise.surgery.walk import slots

Call = tuple[nn.Module, int]
"""A module and which of its calls it is, counted from 0."""


class Seen(NamedTuple):
    """A call on the example: its input, output, how many arguments it had, and if one was a mask."""

    x: Tensor
    y: Tensor
    arguments: int
    masked: bool


class Join(NamedTuple):
    """The call ``after`` takes what ``before`` returns, and nothing else does; ``at_once``: nothing runs in between."""

    before: Call
    after: Call
    at_once: bool


class Neighbours(NamedTuple):
    """What runs next to each call of the modules that were asked about.

    Attributes:
        seen: the calls of each module on the example.
        next: for a call the join that it begins.
        previous: for a call the join that it ends.
        reasons: for a call that ends no join, what precedes it; for one that begins none, what follows.
        used: the modules whose parameters or buffers something else uses too.
        problem: why it is not known what may run; empty where it is.
    """

    seen: Mapping[nn.Module, list[Seen]]
    next: Mapping[Call, Join]
    previous: Mapping[Call, Join]
    reasons: Mapping[tuple[str, Call], str]
    used: set[nn.Module]
    problem: str


def look(network: nn.Module, example: Any, wanted: Callable[[nn.Module], bool]) -> Neighbours:
    """The neighbours of the wanted modules, in the mode that the network is in; the network is left as it is."""
    modules = {module for module in network.modules() if wanted(module)}
    seen, used = _watch(network, example, modules)
    found = ways(network, example)
    graphs = [_Graph(network, graph, modules) for graph in found.graphs]
    joins, calls = _from_chains(network, modules) if found.problem else (graphs[0].joins(), graphs[0].calls)
    reasons = {} if found.problem else graphs[0].reasons()
    for graph, changed in zip(graphs[1:], found.changed[1:], strict=False):
        kept = graph.keeps(joins, graphs[0])
        for join in set(joins) - set(kept):
            for key in (("before", join.after), ("after", join.before)):
                reasons[key] += f", but not for all values of {changed}, which the example leaves out"
        joins = kept
    around = hooked_containers(network)
    joins = [join for join in joins if around[join.before[0]] == around[join.after[0]] and _is_so(join, seen, calls)]
    return Neighbours(
        seen,
        {join.before: join for join in joins},
        {join.after: join for join in joins},
        reasons,
        used.union(*(graph.read for graph in graphs)),
        found.problem,
    )


def _watch(
    network: nn.Module, example: Any, modules: set[nn.Module]
) -> tuple[dict[nn.Module, list[Seen]], set[nn.Module]]:
    """The calls of modules on the example, and those whose tensors something else uses there."""
    seen: dict[nn.Module, list[Seen]] = {module: [] for module in modules}
    uses = _Uses(modules)

    def note(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], y: Any) -> None:
        uses.inside[module] -= 1
        given = (*args, *kwargs.values())
        mask = args[2] if len(args) > 2 else kwargs.get("mask")
        seen[module].append(Seen(given[0], y, len(given), mask is not None))

    hooks = [module.register_forward_hook(note, with_kwargs=True) for module in modules]
    hooks += [module.register_forward_pre_hook(uses.enter) for module in modules]
    try:
        example_.run(network, example, within=uses)
    finally:
        for hook in hooks:
            hook.remove()
    return seen, uses.outside


class _Uses(TorchFunctionMode):
    """Finds which modules' parameters and buffers take part in operations outside of their own forwards."""

    def __init__(self, modules: set[nn.Module]) -> None:
        super().__init__()
        self.inside: Counter[nn.Module] = Counter()
        self.outside: set[nn.Module] = set()
        self._owners: dict[int, list[nn.Module]] = {}
        for module in modules:
            for tensor in (*module.parameters(), *module.buffers()):
                self._owners.setdefault(id(tensor), []).append(module)

    def enter(self, module: nn.Module, args: Any) -> None:
        self.inside[module] += 1

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func not in _FACTS:
            for value in pytree.tree_leaves((args, kwargs)):
                owners = self._owners.get(id(value), ())
                if not any(self.inside[owner] for owner in owners):
                    self.outside.update(owners)
        return func(*args, **(kwargs or {}))


_PROPERTIES = ("device", "dtype", "is_cuda", "layout", "ndim", "requires_grad", "shape")
_FACTS = {Tensor.dim, Tensor.numel, Tensor.size, *(getattr(Tensor, name).__get__ for name in _PROPERTIES)}
"""What asks for a fact about a tensor, which is no use of its values."""


def _is_so(join: Join, seen: Mapping[nn.Module, list[Seen]], calls: Mapping[nn.Module, int]) -> bool:
    (before, first), (after, second) = join.before, join.after
    if len(seen[before]) != calls[before] or len(seen[after]) != calls[after]:
        return False
    return seen[before][first].y is seen[after][second].x


class _Graph:
    """The calls of the wanted modules in a graph."""

    def __init__(self, network: nn.Module, graph: fx.Graph, modules: set[nn.Module]) -> None:
        self.network = network
        self.called = {
            node: network.get_submodule(str(node.target)) for node in graph.nodes if node.op == "call_module"
        }
        read = {str(node.target).rpartition(".")[0] for node in graph.nodes if node.op == "get_attr"}
        self.read = {network.get_submodule(name) for name in read} & modules
        self.calls: Counter[nn.Module] = Counter()
        self.call: dict[fx.Node, Call] = {}
        self.given: dict[nn.Module, list[int]] = {}
        for node, module in self.called.items():
            if module in modules:
                self.call[node] = (module, self.calls[module])
                self.calls[module] += 1
                self.given.setdefault(module, []).append(len(node.args) + len(node.kwargs))

    def joins(self) -> list[Join]:
        """Each pair of calls of which the second takes what the first returns and nothing else does."""
        found = []
        for node in self.call:
            after = self._next(node)
            if after in self.call:
                found.append(Join(self.call[node], self.call[after], self._at_once(node, after)))
        return found

    def keeps(self, joins: list[Join], other: _Graph) -> list[Join]:
        """The joins of another graph that are there too, or of which this one calls neither module.

        Both call the two modules as often, with as many arguments: a residual may be one.
        """
        own = set(self.joins())

        def same(join: Join) -> bool:
            modules = (join.before[0], join.after[0])
            if not any(self.calls[module] for module in modules):
                return True
            return join in own and all(self.given[module] == other.given[module] for module in modules)

        return [join for join in joins if same(join)]

    def reasons(self) -> dict[tuple[str, Call], str]:
        """What precedes and follows each call, in words."""
        found = {}
        for node, call in self.call.items():
            following = [user for user in node.users if not self._passes(user)] or list(node.users)
            found["after", call] = " and ".join(sorted({self._named(user) for user in following})) or "nothing"
            source = _first(node)
            while source is not None and self._passes(source):
                source = _first(source)
            found["before", call] = "nothing" if source is None else self._named(source)
            if source in self.call and len(source.users) > 1:
                found["before", call] += ", whose output is used elsewhere too"
        return found

    def _named(self, node: fx.Node) -> str:
        return described(node, self.network)

    def _next(self, node: fx.Node) -> fx.Node | None:
        """The only call that takes what ``node`` returns, once and as its first argument, past identities."""
        user = sole_user(node)
        if user is None or user.op != "call_module" or _first(user) is not node:
            return None
        return self._next(user) if self._passes(user) else user

    def _passes(self, node: fx.Node) -> bool:
        return node in self.called and type(self.called[node]) is nn.Identity and not has_hooks(self.called[node])

    def _at_once(self, node: fx.Node, after: fx.Node) -> bool:
        node = node.next
        while node is not after and (self._passes(node) or node.op == "get_attr"):
            node = node.next
        return node is after


def _first(node: fx.Node) -> fx.Node | None:
    """The node that a call takes first."""
    given = (*node.args, *node.kwargs.values())
    return given[0] if given and isinstance(given[0], fx.Node) else None


def _from_chains(network: nn.Module, modules: set[nn.Module]) -> tuple[list[Join], Counter[nn.Module]]:
    """Neighbours in the ``Sequential`` modules that are certain to run as wholes, where each module has one place."""
    places, wholes = slots(network), certain(network)

    def alone(link: Link) -> bool:
        return link.sequential in wholes and len(places[link.module]) == 1 and not has_hooks(link.sequential)

    joins = []
    for chain in chains(network):
        links = [link for link in chain if type(link.module) is not nn.Identity]
        for before, after in pairwise(links):
            if {before.module, after.module} <= modules and alone(before) and alone(after):
                joins.append(Join((before.module, 0), (after.module, 0), at_once=True))
    return joins, Counter(modules)
