"""Where a network has activations, and which of them have another part to play than that of a hidden layer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from torch import fx, nn

from normwise.nn.kinds import is_nonlinearity, nonlinearities, thawed
from normwise.nn.layer import Layer
from normwise.surgery import calls
from normwise.surgery.activating import ends
from normwise.surgery.inserting import tree
from normwise.surgery.inserting.places import blocks
from normwise.surgery.inserting.reach import FOLLOWED, SATURATING
from normwise.surgery.inserting.roles import Role, function_name
from normwise.surgery.inserting.traced import Traced
from normwise.surgery.plain import has_hooks


class Site(NamedTuple):
    """A call of an activation, or a module whose calls are not known.

    Attributes:
        name: the dotted name of the module that is called, or of that whose forward calls a function.
        kind: what is called, in words.
        module: the module; None for a function.
        node: the call; None where it is not known.
        problem: why it is to stay, empty where it may be another one.
    """

    name: str
    kind: str
    module: nn.Module | None = None
    node: fx.Node | None = None
    problem: str = ""


_NOT_ELEMENTWISE = {"softmax", "softmax2d", "log_softmax", "logsoftmax", "softmin", "glu"}
_CLAMPS = {"clamp", "clamp_max", "clamp_min", "clip"}
_PRODUCTS = {"mul", "imul", "rmul", "multiply"}


def survey(traced: Traced) -> list[Site]:
    """Every activation of a network, in the order of the calls; those that are not called come last."""
    network = traced.network
    if traced.problem and not traced.observed:
        return [*_unfollowed(network), *_blocks(network)]
    found = [_site(traced, node) for node in traced.nodes if _is_activation(traced, node)]
    return [*found, *_uncalled(traced), *_blocks(network)]


def own_activation(module: nn.Module | None) -> str:
    """The activation that a normalization of ours does besides; empty where it does none, and for all else."""
    layer = None if module is None else thawed(module)
    spec = layer.activation if isinstance(layer, Layer) else None
    return "" if spec in (None, "identity") else str(spec)


def _is_activation(traced: Traced, node: fx.Node) -> bool:
    module, name = traced.module(node), traced.name(node).lower()
    if module is None and node.op not in ("call_function", "call_method"):
        return False
    elementwise = traced.role(node) is Role.NONLINEAR and name not in _CLAMPS
    return elementwise or name in _NOT_ELEMENTWISE or bool(own_activation(module))


def _site(traced: Traced, node: fx.Node) -> Site:
    module = traced.module(node)
    if module is None:
        return Site(traced.within(node), f"{function_name(node)}()", None, node, _problem(traced, node))
    name = traced.first_name(module)
    return Site(name, described(module), module, node, _problem(traced, node) or _hooked(module))


def described(module: nn.Module) -> str:
    """A module in words: an activation with its parameters, a normalization with its activation."""
    spec = own_activation(module)
    return f"{type(module).__name__}(activation={spec!r})" if spec else str(module)


def _problem(traced: Traced, node: fx.Node) -> str:
    """Why an activation is not that of a hidden layer; empty where it is."""
    if ends.is_output(traced, node):
        return "it makes the network's output"
    if traced.name(node).lower() in _NOT_ELEMENTWISE:
        return "it is not elementwise"
    if _is_used_changed(traced, node):
        return "it changes its input in place, and what comes after it takes that"
    return "its output multiplies another value, as a gate" if _is_gate(traced, node) else ""


def _hooked(module: nn.Module) -> str:
    return "it has hooks, which a new module would not" if has_hooks(module) and is_nonlinearity(module) else ""


def _is_used_changed(traced: Traced, node: fx.Node) -> bool:
    """Whether a call works in place on a value that later calls take too."""
    given = node.all_input_nodes[:1]
    later = set(traced.after(node))
    return calls.in_place(node, traced.network) and any(later & each.users.keys() for each in given)


def _is_gate(traced: Traced, node: fx.Node) -> bool:
    """Whether an activation's output is multiplied by a value that was computed without it.

    What is gated, as in x·sigmoid(w·x), is no gate: the other factor depends on it. A factor that comes from no layer
    is taken for a mask where the activation is unbounded.
    """
    bounded = traced.name(node).lower() in SATURATING
    happened = {node}
    for user in traced.after(node):
        inputs = user.all_input_nodes
        if not happened & {*inputs}:
            continue
        others = [each for each in inputs if each not in happened and each.op != "get_attr"]
        if function_name(user) in _PRODUCTS and others:
            before = {each for other in others for each in _ancestors(other)}
            if node not in before and (bounded or any(_is_layer(traced, each) for each in before)):
                return True
        elif len(inputs) == 1 and traced.role(user) in FOLLOWED:
            happened.add(user)
    return False


def _ancestors(node: fx.Node) -> set[fx.Node]:
    """What a value is computed from, itself included."""
    found, left = {node}, [node]
    while left:
        new = {*left.pop().all_input_nodes} - found
        found |= new
        left += new
    return found


def _is_layer(traced: Traced, node: fx.Node) -> bool:
    module = traced.module(node)
    return traced.role(node) is Role.LINEAR or (module is not None and any(True for _ in module.parameters()))


def _unfollowed(network: nn.Module) -> Iterator[Site]:
    """The modules of a network whose calls are not known: all are taken for hidden ones but those that end a chain."""
    last, hidden = tree.last_modules(network), _inside_blocks(network)
    for name, module in network.named_modules():
        if (is_nonlinearity(module) or own_activation(module)) and module not in hidden:
            kind = type(module).__name__
            problem = f"it may be the last layer, where {kind} makes the network's output" if module in last else ""
            yield Site(name, described(module), module, None, problem or _hooked(module))


def _uncalled(traced: Traced) -> Iterator[Site]:
    called, blocked = traced.called, _inside_blocks(traced.network)
    inside = {part for module in called for part in module.modules() if part is not module}
    for name, module in nonlinearities(traced.network):
        if module in inside - blocked:
            yield Site(name, described(module), module, None, "a module that is called as a whole has it inside")
        elif module not in called | blocked:
            why = "the example does not reach it" if traced.observed else "forward does not call it"
            yield Site(name, described(module), module, None, why)


def _blocks(network: nn.Module) -> Iterator[Site]:
    for place in blocks(network):
        module = network.get_submodule(place.name)
        yield Site(place.name, type(module).__name__, module, None, place.problem)


def _inside_blocks(network: nn.Module) -> set[nn.Module]:
    return {part for place in blocks(network) for part in network.get_submodule(place.name).modules()}
