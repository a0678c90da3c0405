"""Calls of batch normalizations in a traced network that an activation, or an addition and one, follow."""

from __future__ import annotations

from typing import Any, NamedTuple

from torch import fx, nn

from normwise.surgery import calls
from normwise.surgery.converting.paths import Paths
from normwise.surgery.plain import has_hooks


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


def matches_of(paths: Paths, layer: nn.Module) -> list[Match] | str:
    """The calls of a layer in training, each with what follows, or why they do not all have the same to do."""
    nodes = paths.calls.get(layer)
    if not nodes:
        return "its forward does not call it"
    found = [_match(node, paths) for node in nodes]
    if problem := next((each for each in found if isinstance(each, str)), ""):
        always = all(isinstance(each, str) for each in found)
        return problem if always else f"{problem}, in one of the ways in which forward runs"
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


def each_addition_once(matched: dict[nn.Module, list[Match] | str]) -> dict[nn.Module, list[Match] | str]:
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
