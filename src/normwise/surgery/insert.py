"""Inserting normalization: lines 1 to 5 of Algorithm 2 in Ioffe & Szegedy 2015."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn

from normwise.errors import InvalidArgumentError, SurgeryError, choice
from normwise.nn import BatchNorm1d, BatchNorm2d, BatchNorm3d
from normwise.nn.kinds import linear_maps, nonlinearities
from normwise.surgery import walk
from normwise.surgery.change import Change, Surgery
from normwise.surgery.edit import apply
from normwise.surgery.features import Plan, plan
from normwise.surgery.sites import Site, sites
from normwise.surgery.skip import Skip, skipper

Layer = Callable[[int, int], nn.Module]


def batch_normalize(
    model: nn.Module,
    *,
    place: str = "before",
    example: Any = None,
    skip: Skip = (),
    layer: Layer | None = None,
    inplace: bool = False,
) -> Surgery:
    """Put a batch normalization at each nonlinearity of a network built from ``nn.Sequential``.

    A normalization goes directly before each elementwise nonlinearity that is a child of a ``Sequential``, at any
    depth, or directly after it. The bias of a linear map is removed where batch normalization directly follows, because
    subtracting the mean cancels it (section 3.2 of the paper). The last layer, which no nonlinearity follows, and
    places that are already normalized are left alone. Names change as in the published ``_bn`` networks: where children
    are numbered, the new layer shifts the numbers after it; where they are named, that of ``relu`` is called
    ``relu_norm``.

    Args:
        model: the network. It is not modified unless ``inplace``.
        place: ``"before"`` the nonlinearity, as in the paper, or ``"after"`` it.
        example: an input, from which the numbers of features are measured by running a copy of the network once in
            evaluation mode; a tuple or list is passed as arguments, a dict as keywords. Without it they are those of
            the linear map that precedes, whose output is taken to be (N, features) or (N, channels, *spatial).
        skip: dotted names (a network inside is skipped whole), or ``skip(name, module)``; for nonlinearities or linear
            maps.
        layer: ``layer(features, dims)`` makes a normalization for inputs with ``dims`` spatial axes, 0 for (N,
            features). By default ``BatchNorm1d``, ``BatchNorm2d`` or ``BatchNorm3d``.
        inplace: change ``model`` itself.

    Returns:
        The network, in which modules that were shared are shared, and what was changed, with ``Surgery.renamed``. A
        nonlinearity where nothing could be placed is listed with the reason.

    Raises:
        InvalidArgumentError: ``place`` does not exist.
        SurgeryError: there is no place for a normalization, a number of features is unknown without an example, the
            network does not run on the example, or ``skip`` names nothing.
    """
    if place not in ("before", "after"):
        raise InvalidArgumentError(choice(place, ("before", "after"), "place"))
    network = model if inplace else walk.duplicate(model)
    skipped = _skipper(network, skip)
    every = sites(network)
    plans = plan(network, [site for site in every if not site.normalized and not skipped(site)], place, example)
    good = [(each, _make(each, layer or _batch_norm)) for each in plans if not each.problem]
    if not good:
        raise SurgeryError(_nothing(network, every, plans))
    changes = apply(network, good, [each for each in plans if each.problem], place)
    return Surgery(network, changes + [_left_alone(*item) for item in _outside(network, every).items()])


def _batch_norm(features: int, dims: int) -> nn.Module:
    if dims > 3:
        raise SurgeryError(f"batch normalization takes up to 3 spatial axes, the network has {dims}; give layer=")
    return (BatchNorm1d, BatchNorm1d, BatchNorm2d, BatchNorm3d)[dims](features)


def _make(each: Plan, layer: Layer) -> nn.Module:
    """The layer of one place, on the device and in the dtype and mode of what surrounds it."""
    made = layer(each.features, each.dims).to(each.like.device, each.like.dtype)
    return made.train(each.site.link.sequential.training)


def _skipper(network: nn.Module, skip: Skip) -> Callable[[Site], bool]:
    wanted = skipper(network, skip)
    return lambda site: any(wanted(link.name, link.module) for link in (site.link, site.linear) if link is not None)


def _outside(network: nn.Module, every: list[Site]) -> dict[str, nn.Module]:
    """The nonlinearities that are not children of a ``Sequential``."""
    inside = {site.link.module for site in every}
    return {name: module for name, module in nonlinearities(network) if module not in inside}


def _left_alone(name: str, module: nn.Module) -> Change:
    kind = type(module).__name__
    return Change(name, kind, kind, "left alone: it is not a child of a Sequential")


def _nothing(network: nn.Module, every: list[Site], plans: list[Plan]) -> str:
    """The sentence for a network without a place: what was looked for, what was found and what to do."""
    normalized = sum(site.normalized for site in every)
    outside = _outside(network, every)
    counts = {
        "linear maps": len(linear_maps(network)),
        f"nonlinearities outside a Sequential ({', '.join(outside)})": len(outside),
        "places already normalized": normalized,
        "places skipped": len(every) - normalized - len(plans),
    }
    found = [f"{what}: {count}" for what, count in counts.items() if count]
    found += [f"{each.site.link.name}: {each.problem}" for each in plans]
    return (
        f"nothing to normalize in {type(network).__name__}: looked for nonlinearities that are children of an "
        f"nn.Sequential and not normalized yet; found {'; '.join(found) or 'no layers'}. "
        + ("" if normalized == len(every) > 0 else _ADVICE)
    ).rstrip()


_ADVICE = (
    "Only Sequential-like networks are supported so far, and a nonlinearity that forward calls as a function cannot be "
    "seen: write the hidden layers as an nn.Sequential with nn.ReLU or the like in it, or add the normalization by hand"
)
