"""Whether a changed network still computes what its source does."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from normwise.errors import SurgeryError
from normwise.surgery import example as example_

TOLERANCES = {torch.float64: 1e-12, torch.float32: 1e-5}
"""Of the largest absolute output. A folded weight is one rounding away from the exact one."""

HALF = 8.0
"""In other types the tolerance is this many times the type's own precision: rounding takes up to half of that from each
weight, every layer adds its share, and the shares grow like the root of the number of layers."""

SHOWN = 5


def tolerance_of(network: nn.Module, outputs: list[Tensor]) -> float:
    """The tolerance for the coarsest floating-point type among parameters and outputs."""
    types = floating_types(network, outputs)
    return max((TOLERANCES.get(dtype, HALF * torch.finfo(dtype).eps) for dtype in types), default=0.0)


def floating_types(network: nn.Module, outputs: list[Tensor]) -> set[torch.dtype]:
    """The floating-point types of parameters and outputs: what rounds between them."""
    return {tensor.dtype for tensor in (*network.parameters(), *outputs) if tensor.is_floating_point()}


class Gap(NamedTuple):
    """How far outputs are from those that are expected, relative to the largest of these, and how far they may be."""

    worst: float
    allowed: float

    @property
    def too_large(self) -> bool:
        """Whether they are further apart, or not numbers where they should be."""
        return not self.worst <= self.allowed

    def __str__(self) -> str:
        return f"{self.worst:.3g} of the largest output on the example, more than tolerance={self.allowed:.3g}"


def gap(source: nn.Module, expected: list[Tensor], outputs: list[Tensor], tolerance: float | None) -> Gap:
    """Compare what the network ``source`` gives with other outputs; without a tolerance, with that of the types."""
    return Gap(difference(expected, outputs), tolerance_of(source, expected) if tolerance is None else tolerance)


def refuse_unsteady(source: nn.Module, example: Any, tolerance: float | None) -> None:
    """Refuse a network that cannot be compared with anything, because it differs from itself.

    Raises:
        SurgeryError: it gives no floating-point tensor, or others when it runs on the example again.
    """
    first, second = (floats(example_.run(source, example)) for _ in range(2))
    if not first:
        raise SurgeryError(
            f"{type(source).__name__} returned no floating-point tensor for the example, so that there is nothing to "
            "compare; wrap it in a module that returns its outputs as tensors, or in tuples, lists or dicts of them"
        )
    found = gap(source, first, second, tolerance)
    if found.too_large:
        raise SurgeryError(
            f"{type(source).__name__} differs from itself when it runs on the example again, by {found}: its forward "
            "counts its calls, keeps something from one to the next or draws random numbers, in evaluation too; make "
            "it give the same for the same input"
        )


def check(source: nn.Module, changed: nn.Module, example: Any, tolerance: float | None, moved: set[str]) -> float:
    """Compare two networks on an example.

    Args:
        source: the network as it was, in evaluation.
        changed: the network as it is.
        example: an input, as the networks take it.
        tolerance: the largest difference, relative to the largest absolute output; None for that of the type.
        moved: names of modules whose own outputs are meant to differ.

    Returns:
        The largest relative difference.

    Raises:
        SurgeryError: the difference is larger.
    """
    expected, outputs = (floats(example_.run(network, example)) for network in (source, changed))
    found = gap(source, expected, outputs, tolerance)
    if found.too_large:
        raise SurgeryError(
            f"the changed network differs from its source by {found}; "
            f"{_parts(source, changed, example, found.allowed, moved)}; "
            "give a larger tolerance if that is close enough, or a network in float64"
        )
    return found.worst


def floats(outputs: Any) -> list[Tensor]:
    """The floating-point tensors in nested tuples, lists, dicts and what else torch can look into."""
    leaves = pytree.tree_leaves(outputs)
    return [leaf.detach() for leaf in leaves if isinstance(leaf, Tensor) and leaf.is_floating_point()]


def difference(expected: list[Tensor], outputs: list[Tensor]) -> float:
    """The largest difference of tensors, relative to the largest absolute value of the tensor that is expected."""
    if [tensor.shape for tensor in expected] != [tensor.shape for tensor in outputs]:
        return float("inf")
    return max((_difference(*pair) for pair in zip(expected, outputs, strict=True)), default=0.0)


def _difference(expected: Tensor, output: Tensor) -> float:
    if not expected.numel():
        return 0.0
    exact, ours = expected.double(), output.double()
    apart = torch.where((exact == ours) | (exact.isnan() & ours.isnan()), 0.0, (exact - ours).abs())
    largest = torch.where(exact.isfinite(), exact.abs(), 0.0).max()
    worst = apart.nan_to_num(nan=float("inf"), posinf=float("inf")).max()
    return float(worst / largest) if worst else 0.0


def _parts(source: nn.Module, changed: nn.Module, example: Any, allowed: float, moved: set[str]) -> str:
    """The first modules whose outputs differ, with how much."""
    then, now = dict(_outputs(source, example)), dict(_outputs(changed, example))
    apart = {name: difference(then[name], now[name]) for name in then if name in now and name not in moved}
    worst = [f"{name} {value:.3g}" for name, value in apart.items() if not value <= allowed][:SHOWN]
    return f"first at {', '.join(worst)}" if worst else "no module that both have differs by more"


def _outputs(network: nn.Module, example: Any) -> Iterator[tuple[str, list[Tensor]]]:
    """The first output of each module, in the order of the calls."""
    found: dict[str, list[Tensor]] = {}
    hooks = [
        module.register_forward_hook(lambda _, __, y, name=name: found.setdefault(name, floats(y)) and None)
        for name, module in network.named_modules()
        if name
    ]
    try:
        example_.run(network, example)
    finally:
        for hook in hooks:
            hook.remove()
    yield from found.items()
