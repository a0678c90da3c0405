"""Which batch normalizations can do the activation, and the addition, that follow them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from torch import nn

from normwise.nn.kinds import thawed
from normwise.nn.layer import Layer
from normwise.ops.activations import activation_of
from normwise.surgery import calls, walk
from normwise.surgery.converting import forward, residuals
from normwise.surgery.converting.matches import Match, each_addition_once, matches_of
from normwise.surgery.converting.paths import Paths
from normwise.surgery.converting.residuals import Values
from normwise.surgery.plain import has_hooks


class Fusion(NamedTuple):
    """What a layer can do besides, or why it cannot.

    Attributes:
        activation: the specification; empty where there is a problem.
        modules: the activation modules that have nothing left to do.
        matches: where forward must call the layer instead of other things; empty where modules are all it takes.
        problem: why nothing can be fused.
    """

    activation: str = ""
    modules: frozenset[nn.Module] = frozenset()
    matches: tuple[Match, ...] = ()
    problem: str = ""


def plan(paths: Paths, layers: Mapping[nn.Module, str], example: Any, inplace: bool) -> dict[nn.Module, Fusion]:
    """What each layer can do besides.

    Args:
        paths: the calls of the network.
        layers: batch normalizations, with why each one cannot be changed, empty where it can.
        example: an input, from which the shapes of what is added are known; or None.
        inplace: whether the network must stay the object that it is, so that its forward cannot be replaced.
    """
    problems = {layer: problem or _obstacle(layer, paths) for layer, problem in layers.items()}
    free = [layer for layer, problem in problems.items() if not problem]
    by_modules = paths.followed(free, lambda layer, after: _name(after) is not None)
    found: dict[nn.Module, Fusion] = {}
    for layer, after in by_modules.items():
        names = {str(_name(each)) for each in after}
        if len(names) == 1:
            found[layer] = Fusion(names.pop(), frozenset(after))
    found = _whole(found, paths)
    rest = [layer for layer in free if layer not in found]
    found |= _in_graph(paths, rest, example, inplace)
    return {layer: found.get(layer) or Fusion(problem=problem) for layer, problem in problems.items()}


def apply(network: nn.Module, paths: Paths, fusions: Mapping[nn.Module, Fusion]) -> nn.Module:
    """Carry out what was planned, in place but for a forward that must be replaced."""
    idle = {module for fusion in fusions.values() if not fusion.matches for module in fusion.modules}
    network = walk.replace(network, lambda module: nn.Identity().train(module.training) if module in idle else None)
    matches: list[Match] = []
    for layer, fusion in fusions.items():
        if fusion.activation:
            layer.activation = fusion.activation  # type: ignore[assignment]
            matches += fusion.matches
    if not matches:
        return network
    return forward.replaced(network, paths, matches)


def _name(module: nn.Module) -> str | None:
    activation = activation_of(module)
    return None if activation is None or activation.name == "identity" else str(activation)


def _obstacle(layer: nn.Module, paths: Paths) -> str:
    inner = thawed(layer)
    if isinstance(inner, Layer) and inner.activation is not None:
        return "it has an activation already"
    if has_hooks(layer):
        return "it has hooks, which would see another output"
    if any(len(node.args) != 1 or node.kwargs.keys() - {"residual"} for node in paths.calls.get(layer, ())):
        return "it is called with a mask"
    return "a module that forward calls has it inside" if layer in paths.hidden else ""


def _whole(found: dict[nn.Module, Fusion], paths: Paths) -> dict[nn.Module, Fusion]:
    """Those whose activation modules serve them alone, now that some layers are out."""
    kept = paths.followed(found, lambda layer, after: after in found[layer].modules)
    return {layer: found[layer] for layer in kept}


def _in_graph(paths: Paths, layers: list[nn.Module], example: Any, inplace: bool) -> dict[nn.Module, Fusion]:
    """What takes another forward."""
    if paths.problem:
        why = f"no activation module follows it in a Sequential, and {paths.problem}"
        return {layer: Fusion(problem=why) for layer in layers}
    matched = {layer: matches_of(paths, layer) for layer in layers}
    if not any(isinstance(each, list) for each in matched.values()):
        return {layer: Fusion(problem=str(each)) for layer, each in matched.items()}
    matched = each_addition_once(matched)
    fixed = forward.obstacle(paths, inplace)
    values = None if fixed or example is None else residuals.values_on(paths, example)
    return {layer: _fusion(each, fixed, values, paths.network) for layer, each in matched.items()}


def _fusion(matches: list[Match] | str, fixed: str, values: Values | None, network: nn.Module) -> Fusion:
    if isinstance(matches, str):
        return Fusion(problem=matches)
    problem = fixed or "" if matches else "its forward calls it in evaluation only"
    problem = problem or next(filter(None, (residuals.obstacle(match, values, network) for match in matches)), "")
    if problem:
        after = f"{calls.described(matches[0].last, network)} follows, but " if matches else ""
        return Fusion(problem=f"{after}{problem}")
    return Fusion(matches[0].activation, matches=tuple(matches))
