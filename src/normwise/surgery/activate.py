"""Other activations for a network, and an output without any."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from torch import fx, nn

from normwise.errors import SurgeryError
from normwise.nn.kinds import is_linear_map, thawed
from normwise.nn.nonlinearity import canonical, function, nonlinearity, specification
from normwise.ops.activations import NAMES
from normwise.surgery import calls, compiled, walk
from normwise.surgery.activating import ends, sites
from normwise.surgery.activating.rewriting import Exchange, Rewriting
from normwise.surgery.activating.sites import Site
from normwise.surgery.change import OBSERVED, TRACED, Change, Surgery, in_order
from normwise.surgery.inserting.traced import Traced


def activate(model: nn.Module, activation: str, *, example: Any = None, inplace: bool = False) -> Surgery:
    """Put another elementwise activation wherever a network has one in a hidden layer.

    Modules are replaced in all their places, so that what was shared is shared, and so is the activation that a
    normalization of ours does (``BatchNorm2d(…, activation="relu")``). Activations that forward calls as functions or
    methods (``F.relu(x)``, ``x.tanh()``) take another forward, as for ``convert(fuse=True)``: the result is then a
    ``torch.fx.GraphModule`` with the network's modules, names and state-dict keys, but without its other methods. That
    needs a forward that can be traced, has no optional arguments and makes the same calls in training and in
    evaluation, but for arguments such as ``F.dropout(x, training=self.training)``, which go on following the mode.

    Left alone and listed with the reason: the activation that makes the network's output; one whose output is
    multiplied by another value, as a gate; softmax and gated linear units, which are not elementwise; what is inside
    recurrent and attention modules of torch; modules with hooks, and those that forward does not call; one that works
    in place on a value that is used again; and functions where forward cannot be replaced. What computes ``activation``
    already stays and is not listed. Where forward cannot be traced, it is followed on the example; without one, all
    activation modules are taken for hidden ones, but a sigmoid, tanh or the like at the end of a ``Sequential``.

    Args:
        model: the network. It is not modified unless ``inplace``.
        activation: a name, with its parameter after a colon where it has one: ``"relu"``, ``"leaky_relu:0.1"``,
            ``"selu"``; ``"identity"`` for none.
        example: an input as the network takes it; a tuple or list is passed as arguments, a dict as keywords, and what
            has ``args`` and ``kwargs`` as both.
        inplace: change ``model`` itself; functions are left alone then.

    Returns:
        The network, and what was changed or left alone.

    Raises:
        InvalidArgumentError: ``model`` is no network, or there is no such activation.
        SurgeryError: there is no activation to replace, the network does not run on the example, or something is
            compiled or scripted.
    """
    spec = canonical(activation)
    compiled.refuse(model, "activate", lambda _: True)
    network = model if inplace else walk.duplicate(model)
    traced = Traced(network, is_linear_map, example)
    found = _sorted(traced, spec, sites.survey(traced))
    if found.calls:
        rewriting = Rewriting(network, example, inplace=inplace)
        if rewriting.problem:
            found = found.without_calls(rewriting.problem)
        else:
            traced = Traced(network, is_linear_map, flow=rewriting.flow)
            found = _sorted(traced, spec, sites.survey(traced))
    if not (found.modules or found.calls or found.same):
        raise SurgeryError(_nothing(network, found.left))
    changes = [*_modules(network, spec, found.modules), *map(_left_alone, found.left)]
    changes += [Change(each.name, each.kind, _written(spec), _WHY) for each in found.calls]
    changed: nn.Module = network
    if found.calls:
        changed, more = rewriting.rewritten(dict.fromkeys([each.node for each in found.calls if each.node], _put(spec)))
        changes += more
    return Surgery(changed, [_followed(traced), *in_order(changed, changes)])


def linear_output(model: nn.Module, *, example: Any = None) -> Surgery:
    """Take off what stands between a network's last linear maps and its output: softmax, sigmoid, ReLU, log, ….

    The network then puts out what its last linear maps give, moved and scaled as before: logits, where it put out
    probabilities. Modules become an ``nn.Identity``; functions take another forward, as for ``activate``.

    Args:
        model: the network, which is not modified.
        example: as in ``activate``.

    Raises:
        InvalidArgumentError: ``model`` is no network.
        SurgeryError: nothing stands there, it cannot be known or taken off, the network does not run on the example, or
            something is compiled or scripted.
    """
    compiled.refuse(model, "linearize", lambda _: True)
    network = walk.duplicate(model)
    kind = type(model).__name__
    traced = Traced(network, is_linear_map, example)
    if traced.problem and not traced.observed:
        raise SurgeryError(f"cannot tell what makes the output of {kind}: {traced.problem}; give an example")
    nodes = ends.ends(traced)
    modules, rest = _whole(traced, nodes)
    changed: nn.Module = network
    if rest:
        rewriting = Rewriting(network, example, inplace=False)
        if rewriting.problem:
            named = ", ".join(calls.described(node, network) for node in rest)
            raise SurgeryError(f"cannot take {named} off the output of {kind}: {rewriting.problem}")
        traced = Traced(network, is_linear_map, flow=rewriting.flow)
        modules, rest = _whole(traced, ends.ends(traced))
    if not nodes:
        raise SurgeryError(
            f"nothing to take off the output of {kind}: looked for a softmax, sigmoid or other nonlinearity that only "
            "makes the output; found none"
        )
    why = "what stood before the output"
    changes = [Change(traced.first_name(module), str(module), "Identity()", why) for module in modules]
    changes += [Change(_owner(traced, node), calls.described(node, network), "identity()", why) for node in rest]
    walk.replace(network, lambda module: nn.Identity().train(module.training) if module in modules else None)
    if rest:
        changed, more = rewriting.rewritten(dict.fromkeys(rest, lambda _, node: node.all_input_nodes[0]))
        changes += more
    return Surgery(changed, [_followed(traced), *in_order(changed, changes)])


class _Sorted(NamedTuple):
    """The activations by what is to be done with them.

    Attributes:
        modules: those that are replaced, with all their calls.
        calls: those that take another forward.
        left: those that stay, with the reason.
        same: how many are what was asked for already.
    """

    modules: list[Site]
    calls: list[Site]
    left: list[Site]
    same: int = 0

    def without_calls(self, problem: str) -> _Sorted:
        """The same, where forward cannot be replaced."""
        why = f"it is called as a function, and {problem}"
        return self._replace(calls=[], left=self.left + [each._replace(problem=why) for each in self.calls])


def _sorted(traced: Traced, spec: str, found: Sequence[Site]) -> _Sorted:
    """What is to be done with each; a module that is hidden in one call and not in another takes another forward."""
    same = [site for site in found if not site.problem and _computes(traced, site) == spec]
    rest = [site for site in found if site not in same]
    kept = {site.module for site in rest if site.problem}
    result = _Sorted([], [], [site for site in rest if site.problem], len(same))
    for site in rest:
        own = sites.own_activation(site.module)
        if site.problem:
            continue
        if own and (site.module in kept or spec.partition(":")[0] not in NAMES):
            result.left.append(site._replace(problem=_SHARED if site.module in kept else _UNFUSED.format(spec)))
        elif site.module is None or (site.module in kept and site.node is not None):
            result.calls.append(site)
        elif site.module not in [each.module for each in result.modules]:
            result.modules.append(site)
    left = list({(site.name, site.kind, site.problem): site for site in result.left}.values())
    return result._replace(left=left)


def _computes(traced: Traced, site: Site) -> str | None:
    """The specification of what an activation computes; None where it has none."""
    if site.module is not None:
        return sites.own_activation(site.module) or specification(site.module)
    known = None if site.node is None else calls.activation_at(site.node, traced.network)
    return site.kind.removesuffix("()") if known is None else str(known)


def _modules(network: nn.Module, spec: str, found: Sequence[Site]) -> list[Change]:
    """Replace modules, in place."""
    before = {site.module: site for site in found}
    changes = []

    def replaced(module: nn.Module) -> nn.Module | None:
        if module not in before:
            return None
        if not sites.own_activation(module):
            return nonlinearity(spec).train(module.training)
        thawed(module).activation = None if spec == "identity" else spec  # type: ignore[assignment]
        return None

    walk.replace(network, replaced)
    for site in found:
        now = network.get_submodule(site.name)
        changes.append(Change(site.name, site.kind, sites.described(now), _WHY))
    return changes


def _put(spec: str) -> Exchange:
    """Puts a call of a function in the place of another activation."""

    def exchange(graph: fx.Graph, node: fx.Node) -> fx.Node:
        given = node.all_input_nodes[0]
        if spec == "identity":
            return given
        called, keywords = function(spec)
        new = graph.call_function(called, (given,), keywords)
        new.meta.update(node.meta)
        return new

    return exchange


def _whole(traced: Traced, nodes: Sequence[fx.Node]) -> tuple[list[nn.Module], list[fx.Node]]:
    """The modules all of whose calls are among some, and the rest of these."""
    modules = {module for node in nodes if (module := traced.module(node)) is not None}
    whole = [module for module in modules if {*traced.calls_of(module)} <= {*nodes}]
    return whole, [node for node in nodes if traced.module(node) not in whole]


def _owner(traced: Traced, node: fx.Node) -> str:
    """The name of a module that is called, or of that whose forward calls a function."""
    module = traced.module(node)
    return traced.within(node) if module is None else traced.first_name(module)


def _written(spec: str) -> str:
    name, _, parameter = spec.partition(":")
    return f"{name}({parameter})"


def _left_alone(site: Site) -> Change:
    return Change(site.name, site.kind, site.kind, f"left alone: {site.problem}")


def _followed(traced: Traced) -> Change:
    """How the network's calls were found."""
    kind = type(traced.network).__name__
    if traced.observed:
        return Change("", kind, kind, f"{OBSERVED}, because {traced.problem}")
    if traced.problem:
        why = f"only modules are seen: {traced.problem}; give an example, on which the rest is followed"
        return Change("", kind, kind, why)
    return Change("", kind, kind, TRACED)


def _nothing(network: nn.Module, left: Sequence[Site]) -> str:
    found = [f"{site.name or 'the network itself'} ({site.kind}): {site.problem}" for site in left]
    return (
        f"no activation to replace in {type(network).__name__}: looked for elementwise activations of hidden layers; "
        f"found {'; '.join(found) or 'none'}"
    )


_WHY = "an activation of a hidden layer"
_SHARED = "another of its calls makes the network's output or a gate"
_UNFUSED = "a normalization cannot compute {} itself; convert the network to torch's layers first"
