"""Where a normalization can be put in a network that cannot be traced: next to the children of a ``Sequential``.

A ``Sequential`` that is certain to run as a whole is changed as in a traced network. In any other, a forward may index,
slice or tap what is in it, so its children keep their numbers and biases: a nonlinearity is replaced by itself and its
normalization, which changes only what the nonlinearity is given.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection

from torch import nn

from normwise.nn.kinds import nonlinearities
from normwise.surgery.inserting.places import Place, Survey, blocks, has_inside
from normwise.surgery.inserting.reach import FOLLOWED, SATURATING
from normwise.surgery.inserting.roles import module_role
from normwise.surgery.inserting.traced import join
from normwise.surgery.sites import Link, Site, certain, chains, sites
from normwise.surgery.walk import find


def survey(
    network: nn.Module, side: str, is_linear: Callable[[nn.Module], bool], known: Collection[nn.Module] = ()
) -> Survey:
    """Find the places of a network from its modules; a nonlinearity that forward calls as a function is not seen.

    Args:
        network: the network.
        side: ``"before"`` or ``"after"`` the nonlinearities.
        is_linear: which modules are linear maps.
        known: modules of which it is known what they are given and where their output goes; they have no places here.
    """
    tree = _Tree(network)
    every = [site for site in sites(network, is_linear) if site.link.module not in known and _map(site) not in known]
    inside = {site.link.module for site in every}.union(known)
    places = [tree.place(site, side) for site in every if not tree.is_normalized(site)]
    places += [tree.own(site) for site in every if _own(site)]
    places += [
        Place(name, nonlinear=(name,), problem="it is not a child of a Sequential")
        for name, module in nonlinearities(network)
        if module not in inside
    ]
    return Survey([*dict.fromkeys(places), *blocks(network)], sum(map(tree.is_normalized, every)))


class _Tree:
    """The modules of a network."""

    def __init__(self, network: nn.Module) -> None:
        self._names = {module: name for name, module in find(network, lambda _: True)}
        self._homes = Counter(module for _, module in network.named_modules(remove_duplicate=False))
        self._whole = certain(network)
        self._last = {_slot(link) for link in _ends(network)}

    def is_normalized(self, site: Site) -> bool:
        """Whether a nonlinearity is next to a normalization, by the order of the modules."""
        return site.normalized or bool(_own(site))

    def own(self, site: Site) -> Place:
        """What is said of a linear map that normalizes its own output."""
        assert site.linear is not None
        return Place(site.linear.name, linear=site.linear.name, problem=_own(site))

    def place(self, site: Site, side: str) -> Place:
        """The place at a nonlinearity, or why there is none."""
        link, linear, whole = site.link, site.linear, self._is_whole(site)
        name = join(self._names[link.sequential], link.key)
        slot = (self._names[link.sequential], link.key) if whole else None
        direct = whole and site.direct and side == "before"
        problem = self._problem_of_whole(link) if whole else self._problem(link)
        return Place(
            name, side, slot, None if linear is None else linear.name, direct=direct, nonlinear=(name,), problem=problem
        )

    def _is_whole(self, site: Site) -> bool:
        return site.link.sequential in self._whole

    def _problem_of_whole(self, link: Link) -> str:
        if (times := self._homes[link.sequential]) > 1:
            return f"it is called {times} times, and one normalization would mix the statistics of {times} places"
        return _makes_output(link) if _slot(link) in self._last else ""

    def _problem(self, link: Link) -> str:
        """As above, for a ``Sequential`` of which forward may call any part."""
        if (places := self._homes[link.module]) > 1:
            return f"it is in {places} places, and which of them run is not known"
        if _slot(link) not in self._last:
            return ""
        kind = type(link.module).__name__
        return f"it may be the last layer, where {kind} makes the network's output; give an example that reaches it"


def _makes_output(link: Link) -> str:
    return f"it is the last layer: {type(link.module).__name__} makes the network's output"


def last_modules(network: nn.Module) -> set[nn.Module]:
    """The nonlinearities that bound what a chain of modules makes, so that they may make the network's output."""
    return {link.module for link in _ends(network)}


def _ends(network: nn.Module) -> list[Link]:
    return [link for link in map(_end, chains(network)) if link is not None]


def _end(chain: list[Link]) -> Link | None:
    """The nonlinearity that bounds what a chain makes, such as a sigmoid; None where there is none."""
    kept = (link for link in reversed(chain) if module_role(link.module) not in FOLLOWED)
    last = next(kept, None)
    return last if last is not None and type(last.module).__name__.lower() in SATURATING else None


def _own(site: Site) -> str:
    """Why the linear map of a place needs no normalization; empty where it does."""
    return "" if site.linear is None else has_inside(site.linear.module)


def _map(site: Site) -> nn.Module | None:
    return None if site.linear is None else site.linear.module


def _slot(link: Link) -> tuple[nn.Module, str]:
    return link.sequential, link.key
