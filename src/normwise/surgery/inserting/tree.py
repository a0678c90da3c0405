"""Where a normalization can be put in a network that cannot be traced: next to the children of a ``Sequential``."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from normwise.nn.kinds import nonlinearities
from normwise.surgery.inserting.places import Place, Survey, blocks
from normwise.surgery.inserting.traced import join
from normwise.surgery.sites import Site, certain, sites
from normwise.surgery.walk import find, slots


def survey(network: nn.Module, side: str, is_linear: Callable[[nn.Module], bool]) -> Survey:
    """Find the places of a network from its modules; a nonlinearity that forward calls as a function is not seen."""
    every = sites(network, is_linear)
    names = {module: name for name, module in find(network, lambda _: True)}
    inside = {site.link.module for site in every}
    whole, homes = certain(network), slots(network)
    found = []
    for site in every:
        if not site.normalized:
            place = _place(site, side, names)
            found.append(place if site.link.sequential in whole else _wrapped(place, len(homes[site.link.module])))
    found += [
        Place(name, nonlinear=(name,), problem="it is not a child of a Sequential")
        for name, module in nonlinearities(network)
        if module not in inside
    ]
    return Survey(found + list(blocks(network)), sum(site.normalized for site in every))


def _wrapped(place: Place, places: int) -> Place:
    """The same together with the nonlinearity in its slot, so that a forward that counts finds what it did before."""
    if places == 1:
        return place._replace(slot=None)
    return place._replace(problem=f"it is in {places} places, and which of them run is not known")


def _place(site: Site, side: str, names: dict[nn.Module, str]) -> Place:
    link, linear = site.link, site.linear
    name = join(names[link.sequential], link.key)
    return Place(
        name,
        side,
        (names[link.sequential], link.key),
        None if linear is None else linear.name,
        direct=site.direct and side == "before",
        nonlinear=(name,),
    )
