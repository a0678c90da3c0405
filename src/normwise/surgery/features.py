"""How many features and spatial axes there are at each place, from an example or from the linear map that precedes."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from normwise.errors import SurgeryError
from normwise.surgery import example as example_
from normwise.surgery import walk
from normwise.surgery.sites import Site, sites


class Plan(NamedTuple):
    """What to put at a site.

    Attributes:
        site: the place.
        features: the number of features or channels.
        dims: the number of spatial axes, 0 for (N, features).
        like: a tensor whose device and dtype the layer takes.
        problem: why nothing can be put there; empty where something can.
    """

    site: Site
    features: int
    dims: int
    like: Tensor
    problem: str = ""


def plan(network: nn.Module, chosen: list[Site], place: str, example: Any) -> list[Plan]:
    """What to put at each of the chosen sites; the network and the random generators are left as they are.

    Raises:
        SurgeryError: as ``batch_normalize``.
    """
    if example is None:
        return [_from_linear(site) for site in chosen]
    return [
        _from_example(site, seen) for site, seen in zip(chosen, _watch(network, chosen, place, example), strict=True)
    ]


class _Recorder(nn.Module):
    """Passes its input on and remembers its shape."""

    def __init__(self) -> None:
        super().__init__()
        self.shapes: set[tuple[int, int]] = set()
        self.like = torch.empty(0)

    def forward(self, x: Tensor) -> Tensor:
        self.shapes.add((x.shape[1] if x.ndim > 1 else 0, x.ndim - 2))
        self.like = x.detach().new_empty(0)
        return x


def _watch(network: nn.Module, chosen: list[Site], place: str, example: Any) -> list[_Recorder]:
    """Run a copy with a recorder at each site: a module may have several places, which a hook cannot tell apart."""
    twin = walk.duplicate(network).eval()
    there = {site.link.name: site.link for site in sites(twin)}
    recorders = {site.link.name: _Recorder() for site in chosen}
    layers: dict[nn.Sequential, dict[str, nn.Module]] = {}
    for name, recorder in recorders.items():
        layers.setdefault(there[name].sequential, {})[there[name].key] = recorder
    for sequential, added in layers.items():
        walk.insert(sequential, added, place)
    example_.run(twin, example)
    return list(recorders.values())


def _from_linear(site: Site) -> Plan:
    if site.linear is None:
        raise SurgeryError(
            f"the number of features at {site.link.name} ({type(site.link.module).__name__}) is unknown: no linear map "
            f"precedes it directly; give example=, an input of the network, or skip=[{site.link.name!r}]"
        )
    linear: Any = site.linear.module
    if isinstance(linear, nn.Linear):
        return Plan(site, linear.out_features, 0, linear.weight)
    return Plan(site, linear.out_channels, len(linear.kernel_size), linear.weight)


def _from_example(site: Site, seen: _Recorder) -> Plan:
    if not seen.shapes and site.linear is not None:
        return _from_linear(site)
    features, dims = next(iter(seen.shapes), (0, 0))
    like: Tensor = seen.like if site.linear is None else site.linear.module.weight  # type: ignore[assignment]
    return Plan(site, features, dims, like, _problem(site, seen))


def _problem(site: Site, seen: _Recorder) -> str:
    if not seen.shapes:
        return "the example does not reach it"
    if len(seen.shapes) > 1:
        shapes = [f"(N, {features}{', …' * dims})" for features, dims in sorted(seen.shapes)]
        return f"its inputs have different shapes, {' and '.join(shapes)}"
    ((_, dims),) = seen.shapes
    if dims < 0:
        return "its input has no axis of features"
    if dims > 0 and site.linear is not None and isinstance(site.linear.module, nn.Linear):
        return "its features are on the last axis, (N, …, features), where a normalization takes (N, features, …)"
    return ""
