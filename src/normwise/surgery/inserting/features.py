"""How many features and spatial axes there are at each place, from an example or from the linear map that precedes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from normwise.surgery import walk
from normwise.surgery.example import run
from normwise.surgery.inserting.places import Place
from normwise.surgery.inserting.put import put
from normwise.surgery.inserting.reach import PERMUTED, PLAIN


class Plan(NamedTuple):
    """What to put in a place.

    Attributes:
        place: the place.
        features: the number of features or channels.
        dims: the number of axes that are neither the batch's nor the features': 0 for (N, features).
        last: whether the features are on the last axis, (N, …, features), else (N, features, …).
        like: a tensor whose device and dtype the layer takes.
        problem: why nothing can be put there; empty where something can.
    """

    place: Place
    features: int
    dims: int
    last: bool
    like: Tensor
    problem: str = ""


def plan(network: nn.Module, places: list[Place], example: Any) -> list[Plan]:
    """What to put in each place; the network and the random generators are left as they are.

    Raises:
        SurgeryError: as ``batch_normalize``.
    """
    modules = dict(network.named_modules(remove_duplicate=False))
    if example is None:
        return [_from_linear(place, modules) for place in places]
    seen = _watch(network, places, example)
    return [_from_example(place, modules, each) for place, each in zip(places, seen, strict=True)]


class _Recorder(nn.Module):
    """Passes its input on and remembers its shape."""

    def __init__(self) -> None:
        super().__init__()
        self.shapes: set[tuple[int, ...]] = set()
        self.like = torch.empty(0)

    def forward(self, x: Tensor) -> Tensor:
        self.shapes.add(tuple(x.shape))
        self.like = x.detach().new_empty(0)
        return x


def _watch(network: nn.Module, places: list[Place], example: Any) -> list[_Recorder]:
    """Run a copy with a recorder in each place: a module may have several places, which a hook cannot tell apart."""
    twin = walk.duplicate(network).eval()
    recorders = [_Recorder() for _ in places]
    put(twin, list(zip(places, recorders, strict=True)))
    run(twin, example)
    return recorders


class _Linear(NamedTuple):
    """What a linear map says of its output: how many features, and on which axis."""

    module: nn.Module
    features: int | None
    last: bool | None
    dims: int | None

    @property
    def like(self) -> Tensor:
        """A tensor of the module."""
        return next(self.module.parameters(), torch.empty(0))


def _describe(linear: Any) -> _Linear:
    """Read ``out_features``, which means (N, …, features), or ``out_channels``, (N, channels, …)."""
    features, channels = (getattr(linear, name, None) for name in ("out_features", "out_channels"))
    dims = len(linear.kernel_size) if isinstance(linear, nn.modules.conv._ConvNd) else None
    if features is None and channels is None:
        return _Linear(linear, None, None, None)
    return _Linear(linear, channels if features is None else features, features is not None, dims)


def _from_linear(place: Place, modules: Mapping[str, nn.Module]) -> Plan:
    kind = type(modules[place.name]).__name__
    unknown = (
        f"the number of features at {place.name} ({kind}) is unknown{{}}; give example=, an input of the network, or "
        f"skip=[{place.name!r}]"
    )
    if place.linear is None or place.path != PLAIN:
        return _nothing(place, unknown.format(": no linear map precedes it directly"))
    linear = _describe(modules[place.linear])
    rank = place.rank if linear.dims is None else linear.dims + 2
    if linear.last is False and rank is None:
        return _nothing(place, unknown.format(" and so is its number of axes"))
    if linear.features is None:
        return _nothing(place, unknown.format(": it has neither out_features nor out_channels"))
    dims = 0 if rank is None else rank - 2
    return Plan(place, linear.features, dims, bool(linear.last) and dims > 0, linear.like)


def _from_example(place: Place, modules: Mapping[str, nn.Module], seen: _Recorder) -> Plan:
    linear = None if place.linear is None else _describe(modules[place.linear])
    if not seen.shapes:
        known = _from_linear(place, modules)
        return known._replace(problem="the example does not reach it") if known.problem else known
    like = seen.like if linear is None else linear.like
    dims = max(len(shape) for shape in seen.shapes) - 2
    last, problem = _axis(place, linear, dims)
    widths = {(shape[-1 if last else 1] if len(shape) > 1 else 0, len(shape) - 2) for shape in seen.shapes}
    problem = _different(widths, last) or problem
    features = next(iter(widths))[0]
    return Plan(place, features, dims, last, like, problem or _contradiction(place, linear, features, dims))


def _axis(place: Place, linear: _Linear | None, dims: int) -> tuple[bool, str]:
    """Whether the features are on the last of several axes, and why that is not known."""
    if dims < 0:
        return False, "its input has no axis of features"
    if dims == 0 or linear is None:
        return False, ""
    if place.path == PERMUTED or linear.last is None or (linear.last and place.path != PLAIN):
        return False, "it is not known which axis has its features, where a normalization takes one for (N, features)"
    return linear.last, ""


def _different(widths: set[tuple[int, int]], last: bool) -> str:
    if len(widths) == 1:
        return ""
    shapes = [
        f"(N{', …' * dims}, {width})" if last else f"(N, {width}{', …' * dims})" for width, dims in sorted(widths)
    ]
    return f"its inputs have different shapes, {' and '.join(shapes)}"


def _contradiction(place: Place, linear: _Linear | None, features: int, dims: int) -> str:
    """Where the example does not show what the linear map says."""
    if linear is None or place.path != PLAIN or linear.features in (None, features):
        return "" if linear is None or linear.dims in (None, dims) or place.path != PLAIN else _UNBATCHED
    return _UNBATCHED


_UNBATCHED = "the example shows other axes than its linear map makes of a batch; give a batch of several inputs"


def _nothing(place: Place, problem: str) -> Plan:
    return Plan(place, 0, 0, False, torch.empty(0), problem)
