"""Which batch normalizations can do the activation, and the addition, that follow them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, fx, nn
from torch.nn.modules.batchnorm import _BatchNorm

from normwise.errors import SurgeryError
from normwise.nn import FrozenBatchNorm
from normwise.nn.layer import Layer
from normwise.ops.activations import activation_of
from normwise.surgery import calls, walk
from normwise.surgery.converting.paths import Paths
from normwise.surgery.example import arguments, run
from normwise.surgery.plain import has_hooks
from normwise.surgery.rewrite import Rewritten

Shapes = Mapping[str, tuple[torch.Size, torch.dtype]]


class Match(NamedTuple):
    """One call of a layer, and what follows it.

    Attributes:
        norm: the call of the layer.
        addition: the addition that alone takes its output; None where there is none.
        last: the call of the activation.
        activation: its specification.
    """

    norm: fx.Node
    addition: fx.Node | None
    last: fx.Node
    activation: str

    @property
    def residual(self) -> Any:
        """What is added to the output of the layer, as the graph has it now."""
        first, second = (None, None) if self.addition is None else calls.added(self.addition) or (None, None)
        return second if first is self.norm else first

    @property
    def is_first(self) -> bool:
        """Whether the layer's output is not the second argument of the addition."""
        return self.addition is None or self.addition.args[0] is self.norm

    @property
    def late(self) -> bool:
        """Whether the residual is made after the layer is called."""
        return isinstance(self.residual, fx.Node) and self.norm < self.residual


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
    flow = paths.flows[0]
    assert flow.graph is not None
    for match in matches:
        _rewrite(flow.graph, match)
    flow.graph.lint()
    return Rewritten(network, flow.graph, flow.constants)


def _name(module: nn.Module) -> str | None:
    activation = activation_of(module)
    return None if activation is None or activation.name == "identity" else str(activation)


def _obstacle(layer: nn.Module, paths: Paths) -> str:
    inner = layer._layer if isinstance(layer, FrozenBatchNorm) else layer
    assert isinstance(inner, _BatchNorm)
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
    matched = {layer: _matches(paths, layer) for layer in layers}
    if not any(isinstance(each, list) for each in matched.values()):
        return {layer: Fusion(problem=str(each)) for layer, each in matched.items()}
    matched = _each_addition_once(matched)
    fixed = _fixed(paths, inplace)
    shapes = None if fixed or example is None else _shapes(paths, example)
    return {layer: _fusion(each, fixed, shapes, paths.network) for layer, each in matched.items()}


def _each_addition_once(matched: dict[nn.Module, list[Match] | str]) -> dict[nn.Module, list[Match] | str]:
    """Where two layers are added, the first argument of the addition takes the second."""
    taken: set[fx.Node] = set()
    found = dict(matched)
    for first in (True, False):
        for layer, matches in matched.items():
            if isinstance(matches, str) or first is not all(match.is_first for match in matches):
                continue
            additions = {match.addition for match in matches if match.addition is not None}
            if additions & taken:
                found[layer] = "it is added to what another layer takes up"
            else:
                taken |= additions
    return found


def _fusion(matches: list[Match] | str, fixed: str, shapes: Shapes | None, network: nn.Module) -> Fusion:
    if isinstance(matches, str):
        return Fusion(problem=matches)
    problem = fixed or "" if matches else "its forward calls it in evaluation only"
    problem = problem or next(filter(None, (_misfit(match, shapes, network) for match in matches)), "")
    if problem:
        after = f"{calls.described(matches[0].last, network)} follows, but " if matches else ""
        return Fusion(problem=f"{after}{problem}")
    return Fusion(matches[0].activation, matches=tuple(matches))


def _fixed(paths: Paths, inplace: bool) -> str:
    """Why the network's forward cannot be replaced by its trace; empty where it can."""
    if not paths.same:
        return "its forward depends on self.training, so a traced graph cannot replace it"
    if impure := next((flow.impure for flow in paths.flows if flow.impure), ""):
        return impure
    if paths.flows[0].has_contexts:
        return "its forward enters contexts (no_grad, autocast), which a traced graph would lose"
    if lost := _lost(type(paths.network)):
        return f"its class overrides {', '.join(lost)}, which a traced graph would lose"
    called = {*paths.calls} | paths.hidden | {paths.network}
    hooked = [name for name, module in paths.network.named_modules() if module not in called and has_hooks(module)]
    if hooked:
        return f"a traced graph would not run the hooks of {', '.join(hooked)}"
    return "that takes another forward, which a network cannot get in place; use inplace=False" if inplace else ""


def _lost(cls: type[nn.Module]) -> list[str]:
    """What a class defines that runs without being called by name."""
    if issubclass(cls, fx.GraphModule):
        return []
    own = {name for each in cls.__mro__[: cls.__mro__.index(nn.Module)] for name in vars(each)}
    kept = {name for name in vars(nn.Module) if name.startswith("__") and name != "__call__"}
    return sorted((own & vars(nn.Module).keys()) - kept - {"forward", "extra_repr", "dump_patches"})


def _matches(paths: Paths, layer: nn.Module) -> list[Match] | str:
    """The calls of a layer in training, each with what follows, or why they do not all have the same to do."""
    nodes = paths.calls.get(layer)
    if not nodes:
        return "its forward does not call it"
    found = [_match(node, paths) for node in nodes]
    if problem := next((each for each in found if isinstance(each, str)), ""):
        return problem
    matches = [each for each in found if isinstance(each, Match)]
    if len({match.activation for match in matches}) > 1:
        return "different activations follow its calls"
    return [match for match in matches if match.norm.graph is paths.flows[0].graph]


def _match(norm: fx.Node, paths: Paths) -> Match | str:
    network = paths.network
    user = calls.sole_user(norm)
    if user is None:
        return f"{len(norm.users)} calls take its output" if len(norm.users) > 1 else "one call takes its output twice"
    if (activation := calls.activation_at(user, network)) is not None:
        return _kept(user, paths) or Match(norm, None, user, str(activation))
    last = calls.sole_user(user) if (pair := calls.added(user)) else None
    activation = None if last is None else calls.activation_at(last, network)
    if pair is None or last is None or activation is None:
        return f"{calls.described(user, network)} follows, no activation that can be fused"
    if problem := _kept(last, paths):
        return problem
    if norm.kwargs or (pair[0] is not norm and calls.in_place(user, network)):
        return "two are added to it" if norm.kwargs else "it is added in place to something else"
    return Match(norm, user, last, str(activation))


def _kept(call: fx.Node, paths: Paths) -> str:
    """Why the call of an activation must go on being made; empty where it need not."""
    if call.op != "call_module":
        return ""
    module, text = paths.network.get_submodule(str(call.target)), calls.described(call, paths.network)
    return f"{text} follows, which has hooks" if has_hooks(module) else f"{text} is skipped" * (module in paths.fixed)


def _misfit(match: Match, shapes: Shapes | None, network: nn.Module) -> str:
    """Why a residual cannot be given to the layer; empty where there is none."""
    if match.addition is None:
        return ""
    if not isinstance(match.residual, fx.Node):
        return "what is added is a number"
    if shapes is None:
        return "the shape of what is added is unknown; give example="
    if shapes.get(match.residual.name) != shapes.get(match.norm.name):
        return "what is added has another shape or type"
    nodes = list(match.norm.graph.nodes)
    between = nodes[nodes.index(match.norm) + 1 : nodes.index(match.addition)]
    if match.late and any(_matters(node, match, network) for node in between):
        return "something changes in place before it is added"
    return ""


def _matters(node: fx.Node, match: Match, network: nn.Module) -> bool:
    """Whether a call may not come before that of the layer instead of after it."""
    return calls.in_place(node, network) or (node.op, node.target) == (match.norm.op, match.norm.target)


def _rewrite(graph: fx.Graph, match: Match) -> None:
    """Let one call of the layer be all that there was."""
    norm = match.norm
    if match.addition is not None:
        with graph.inserting_before(match.addition if match.late else norm):
            norm = graph.call_module(str(norm.target), norm.args, {"residual": match.residual})
        match.addition.replace_all_uses_with(norm)
        graph.erase_node(match.addition)
        graph.erase_node(match.norm)
    match.last.replace_all_uses_with(norm)
    graph.erase_node(match.last)


class _Recorder(nn.Module):
    """Runs a graph and remembers the shape and type of every tensor."""

    def __init__(self, network: nn.Module, graph: fx.Graph) -> None:
        super().__init__()
        self.network, self.graph = network, graph
        self.shapes: dict[str, tuple[torch.Size, torch.dtype]] = {}

    def forward(self, *args: Any, **kwargs: Any) -> None:
        shapes = self.shapes

        class Interpreter(fx.Interpreter):
            def run_node(self, n: fx.Node) -> Any:
                value = super().run_node(n)
                if isinstance(value, Tensor):
                    shapes[n.name] = (value.shape, value.dtype)
                return value

        inputs = [str(node.target) for node in self.graph.nodes if node.op == "placeholder"]
        Interpreter(self.network, graph=self.graph).run(*args, *(kwargs[name] for name in inputs[len(args) :]))


def _shapes(paths: Paths, example: Any) -> Shapes:
    flow, twin = paths.flows[0], walk.duplicate(paths.network).eval()
    for name, value in flow.constants.items():
        setattr(twin, name, value)
    assert flow.graph is not None
    args, kwargs = arguments(example)
    wanted = [str(node.target) for node in flow.graph.nodes if node.op == "placeholder"]
    if sorted(wanted[len(args) :]) != sorted(kwargs):
        raise SurgeryError(
            f"the example does not give the arguments of forward, {', '.join(wanted)}; give each of them"
        )
    recorder = _Recorder(twin, flow.graph)
    run(recorder, example)
    return recorder.shapes
