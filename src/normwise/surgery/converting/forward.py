"""Giving a network the forward in which its normalizations do more."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NoReturn

from torch import fx, nn

from normwise.errors import SurgeryError
from normwise.surgery.converting.matches import Match
from normwise.surgery.converting.paths import Paths
from normwise.surgery.plain import has_hooks
from normwise.surgery.rewrite import Rewritten


class Spent:
    """The forward of a part of a network that would do something else than the whole network does with the part.

    Args:
        name: the dotted name of the part.
        why: what it would do, and what to do instead.
    """

    def __init__(self, name: str, why: str) -> None:
        self.name, self.why = name, why

    def __call__(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Refuse."""
        raise SurgeryError(f"{self.name} cannot be called by itself any more: {self.why}")


def replaced(network: nn.Module, paths: Paths, matches: Sequence[Match]) -> nn.Module:
    """The network with a forward that calls the layers instead of all that was matched; its parts refuse theirs."""
    flow = paths.flows[0]
    assert flow.graph is not None
    layers = {paths.network.get_submodule(str(match.norm.target)) for match in matches}
    for match, late in [(match, match.late) for match in matches]:  # before any call is moved
        _rewrite(flow.graph, match, late)
    flow.graph.lint()
    for name, part in network.named_modules():
        runs = type(part).forward is not nn.Module.forward
        if part is not network and part not in layers and runs and layers & {*part.modules()}:
            vars(part)["forward"] = Spent(name, f"{_TWICE} (skip=[{name!r}])")
    return Rewritten(network, flow.graph, flow.constants)


_TWICE = (
    "convert(fuse=True) lets its batch normalizations do activations that its own forward does too; call the whole "
    "network, or convert this part by itself, or without fuse"
)


def obstacle(paths: Paths, inplace: bool) -> str:
    """Why the network's forward cannot be replaced by its trace; empty where it can."""
    if depends_on := paths.depends_on:
        return depending(depends_on)
    return losses(paths) or (IN_PLACE if inplace else "")


def depending(depends_on: str) -> str:
    """Why a forward that does not always make the same calls cannot be replaced."""
    return f"its forward depends on {depends_on}, so a traced graph cannot replace it"


IN_PLACE = "that takes another forward, which a network cannot get in place; use inplace=False"


def losses(paths: Paths) -> str:
    """What would be lost with a network's forward, in a sentence; empty where nothing would be."""
    if impure := next((flow.impure for flow in paths.flows if flow.impure), ""):
        return impure
    if any(flow.has_contexts for flow in paths.flows):
        return "its forward enters contexts (no_grad, autocast), which a traced graph would lose"
    if lost := _lost(type(paths.network)):
        return f"its class overrides {', '.join(lost)}, which a traced graph would lose"
    called = {*paths.calls} | paths.hidden | {paths.network}
    hooked = [name for name, module in paths.network.named_modules() if module not in called and has_hooks(module)]
    if hooked:
        return f"a traced graph would not run the hooks of {', '.join(hooked)}"
    return ""


def _lost(cls: type[nn.Module]) -> list[str]:
    """What a class defines that runs without being called by name."""
    if issubclass(cls, fx.GraphModule):
        return []
    own = {name for each in cls.__mro__[: cls.__mro__.index(nn.Module)] for name in vars(each)}
    kept = {name for name in vars(nn.Module) if name.startswith("__") and name != "__call__"}
    return sorted((own & vars(nn.Module).keys()) - kept - {"forward", "extra_repr", "dump_patches"})


def _rewrite(graph: fx.Graph, match: Match, late: bool) -> None:
    """Let one call of the layer be all that there was."""
    norm = match.norm
    if match.addition is not None:
        with graph.inserting_before(match.addition if late else norm):
            norm = graph.call_module(str(norm.target), norm.args, {"residual": match.residual})
        match.addition.replace_all_uses_with(norm)
        graph.erase_node(match.addition)
        graph.erase_node(match.norm)
    match.last.replace_all_uses_with(norm)
    graph.erase_node(match.last)
