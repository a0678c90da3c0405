"""Which calls of linear maps and normalizations follow one another, with nothing else in between or beside.

What the network's graph, or the order in a ``Sequential``, says is believed only where an example shows the same: each
module is called as often, and the very tensor that one returns is what the next is given.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise
from typing import Any, NamedTuple

from torch import Tensor, fx, nn
from torch.overrides import TorchFunctionMode
from torch.utils import _pytree as pytree

from normwise.nn.kinds import is_linear_map
from normwise.surgery import example as example_
from normwise.surgery.graph import Flow, trace
from normwise.surgery.plain import has_hooks, hooked_containers
from normwise.surgery.sites import Link, chains
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
        touched: the linear maps whose weights are used more often than they are called.
        read: the modules whose parameters or buffers the network uses itself, as far as a graph shows it.
        problem: why the network cannot be traced; empty where it can.
    """

    seen: Mapping[nn.Module, list[Seen]]
    next: Mapping[Call, Join]
    previous: Mapping[Call, Join]
    reasons: Mapping[tuple[str, Call], str]
    touched: set[nn.Module]
    read: set[nn.Module]
    problem: str


def look(network: nn.Module, example: Any, wanted: Callable[[nn.Module], bool]) -> Neighbours:
    """The neighbours of the wanted modules, in the mode that the network is in; the network is left as it is."""
    modules = {module for module in network.modules() if wanted(module)}
    seen, touched = _watch(network, example, modules)
    flows = list(_flows(network, example))
    known = [_Graph(network, flow.graph, modules) for flow in flows if flow.graph is not None]
    found = [(graph.joins(), graph.calls) for graph in known] or [_from_chains(network, modules)]
    joins, calls = found[0]
    joins = [join for join in joins if all(join in others for others, _ in found)]
    around = hooked_containers(network)
    joins = [join for join in joins if around[join.before[0]] == around[join.after[0]] and _is_so(join, seen, calls)]
    return Neighbours(
        seen,
        {join.before: join for join in joins},
        {join.after: join for join in joins},
        known[0].reasons() if known else {},
        touched,
        {module for graph in known for module in graph.read},
        "" if known else flows[0].problem,
    )


def _flows(network: nn.Module, example: Any) -> Iterator[Flow]:
    """The graph as the example calls the network; where it leaves arguments out, also the one with these, if any."""
    fixed = example_.fixed(network, example)
    first = trace(network, fixed)
    yield first
    if fixed and first.graph is not None:
        yield trace(network)


def _watch(
    network: nn.Module, example: Any, modules: set[nn.Module]
) -> tuple[dict[nn.Module, list[Seen]], set[nn.Module]]:
    """The calls of modules on the example, and the linear maps whose weights are used more often than that."""
    seen: dict[nn.Module, list[Seen]] = {module: [] for module in modules}

    def note(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], y: Any) -> None:
        given = (*args, *kwargs.values())
        mask = args[2] if len(args) > 2 else kwargs.get("mask")
        seen[module].append(Seen(given[0], y, len(given), mask is not None))

    hooks = [module.register_forward_hook(note, with_kwargs=True) for module in modules]
    try:
        with _Uses() as uses:
            example_.run(network, example)
    finally:
        for hook in hooks:
            hook.remove()
    weights = {module: module._parameters.get("weight") for module in modules if is_linear_map(module)}
    return seen, {module for module, weight in weights.items() if uses.of[id(weight)] > len(seen[module])}


class _Uses(TorchFunctionMode):
    """Counts in how many operations each parameter takes part."""

    def __init__(self) -> None:
        super().__init__()
        self.of: Counter[int] = Counter()

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func.__name__ != "__get__":  # asking for a shape is no use
            given = pytree.tree_leaves((args, kwargs))
            self.of.update({id(value) for value in given if isinstance(value, nn.Parameter)})
        return func(*args, **(kwargs or {}))


def _is_so(join: Join, seen: Mapping[nn.Module, list[Seen]], calls: Mapping[nn.Module, int]) -> bool:
    (before, first), (after, second) = join.before, join.after
    if len(seen[before]) != calls[before] or len(seen[after]) != calls[after]:
        return False
    return seen[before][first].y is seen[after][second].x


class _Graph:
    """The calls of the wanted modules in a graph."""

    def __init__(self, network: nn.Module, graph: fx.Graph, modules: set[nn.Module]) -> None:
        self.called = {
            node: network.get_submodule(str(node.target)) for node in graph.nodes if node.op == "call_module"
        }
        read = {str(node.target).rpartition(".")[0] for node in graph.nodes if node.op == "get_attr"}
        self.read = {network.get_submodule(name) for name in read} & modules
        self.calls: Counter[nn.Module] = Counter()
        self.call: dict[fx.Node, Call] = {}
        for node, module in self.called.items():
            if module in modules:
                self.call[node] = (module, self.calls[module])
                self.calls[module] += 1

    def joins(self) -> list[Join]:
        """Each pair of calls of which the second takes what the first returns and nothing else does."""
        found = []
        for node in self.call:
            after = self._next(node)
            if after in self.call:
                found.append(Join(self.call[node], self.call[after], self._at_once(node, after)))
        return found

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
        if node in self.called:
            return f"{node.target} ({type(self.called[node]).__name__})"
        if node.op in ("placeholder", "output"):
            return "the input" if node.op == "placeholder" else "the output"
        return str(node.target) if isinstance(node.target, str) else getattr(node.target, "__name__", node.name)

    def _next(self, node: fx.Node) -> fx.Node | None:
        """The only call that takes what ``node`` returns, once and as its first argument, past identities."""
        if len(node.users) != 1:
            return None
        (user,) = node.users
        if user.op != "call_module" or _first(user) is not node or _mentions(user, node) != 1:
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


def _mentions(user: fx.Node, node: fx.Node) -> int:
    return pytree.tree_leaves((user.args, user.kwargs)).count(node)


def _from_chains(network: nn.Module, modules: set[nn.Module]) -> tuple[list[Join], Counter[nn.Module]]:
    """Neighbours in plain ``Sequential`` networks, where each module and each ``Sequential`` has one place."""
    places = slots(network)

    def alone(link: Link) -> bool:
        return len(places[link.module]) == 1 and not has_hooks(link.sequential)

    joins = []
    for chain in chains(network):
        links = [link for link in chain if type(link.module) is not nn.Identity]
        for before, after in pairwise(links):
            if {before.module, after.module} <= modules and alone(before) and alone(after):
                joins.append(Join((before.module, 0), (after.module, 0), at_once=True))
    return joins, Counter(modules)
