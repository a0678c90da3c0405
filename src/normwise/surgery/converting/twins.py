"""torch's batch normalizations and ours: a layer of the one becomes one of the other by changing its class."""

from __future__ import annotations

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from normwise import nn as ours
from normwise.errors import InvalidArgumentError
from normwise.nn import FrozenBatchNorm, frozen, options
from normwise.nn.kinds import thawed
from normwise.nn.layer import Layer
from normwise.surgery.converting.paths import Paths
from normwise.surgery.plain import has_hooks

_TWINS: dict[type[nn.Module], type[Layer]] = {
    nn.BatchNorm1d: ours.BatchNorm1d,
    nn.BatchNorm2d: ours.BatchNorm2d,
    nn.BatchNorm3d: ours.BatchNorm3d,
}
_BACK = {twin: cls for cls, twin in _TWINS.items()}
_ADDED = {name: value for name, value in vars(ours.BatchNorm1d(1)).items() if name not in vars(nn.BatchNorm1d(1))}
"""The attributes that our layers have besides, as a new layer has them."""


SAME = "the same parameters, statistics and options"


def inner(layer: nn.Module) -> _BatchNorm:
    """The layer itself, or the one in a ``FrozenBatchNorm``."""
    found = thawed(layer)
    assert isinstance(found, _BatchNorm)
    return found


def belongs(layer: nn.Module) -> str:
    """Whose layer it is, ``"normwise"`` or ``"torch"``; a subclass belongs where its class does."""
    return "normwise" if isinstance(inner(layer), Layer) else "torch"


def activation_of(layer: nn.Module) -> str | None:
    """What a layer of ours does after normalizing; None where that is nothing."""
    found = inner(layer)
    spec = found.activation if isinstance(found, Layer) else None
    return None if spec == "identity" else spec


def described(layer: nn.Module) -> str:
    """The class, with whose it is, and the activation, for example ``normwise.BatchNorm2d(activation='relu')``."""
    if isinstance(layer, FrozenBatchNorm):
        return f"FrozenBatchNorm of {described(inner(layer))}"
    cls, spec = type(layer), activation_of(layer)
    home = "torch.nn." if cls in _TWINS else "normwise." if cls in _BACK else ""
    return f"{home}{cls.__name__}" + (f"(activation={spec!r})" if spec else "")


def subclass_obstacle(layer: nn.Module) -> str:
    """Why a layer is more than its class in torch or here; empty where it is not."""
    found = inner(layer)
    cls = type(found)
    if isinstance(found, nn.SyncBatchNorm):
        return "its statistics are synchronised across processes"
    if cls not in _TWINS and cls not in _BACK:
        return f"{cls.__name__} is a subclass, which may do something else"
    return "it has a forward of its own" if "forward" in vars(found) else ""


def obstacle(layer: nn.Module, to: str, paths: Paths) -> str:
    """Why a layer cannot become the other's; empty where it can."""
    problem = frozen.obstacle(inner(layer), statistics=False) or subclass_obstacle(layer)
    return problem or (_not_ours(layer) if to == "normwise" else _not_torch(layer, paths))


def _not_ours(layer: nn.Module) -> str:
    found = inner(layer)
    taken = {*vars(found), *found._buffers, *found._parameters, *found._modules}
    taken &= {*_ADDED, "skipped"}
    if taken:
        return f"its attributes {', '.join(sorted(taken))} are options of normwise's layer"
    try:
        options.check_momentum(found.momentum)
    except InvalidArgumentError as error:
        return str(error)
    return "" if found.eps >= 0 else f"its eps is negative, {found.eps}"


def _not_torch(layer: nn.Module, paths: Paths) -> str:
    found = inner(layer)
    assert isinstance(found, Layer)
    public = {name: value for name, value in _ADDED.items() if name[0] != "_" and name != "activation"}
    given = [name for name, value in public.items() if getattr(found, name) != value]
    if given:
        values = ", ".join(f"{name}={getattr(found, name)!r}" for name in given)
        return f"torch's layer has no {values}"
    if found._pool is not None:
        return "its statistics are being pooled"
    if any(len(node.args) != 1 or node.kwargs for node in paths.calls.get(layer, ())):
        return "it is called with a residual or a mask, which torch's layer does not take"
    if activation_of(layer) is None:
        return ""
    if isinstance(layer, FrozenBatchNorm):
        return "it is frozen with an activation; unfreeze the network first"
    return "it has hooks, which see the output of its activation" if has_hooks(layer) else ""


def become_normwise(layer: nn.Module) -> None:
    """Make a layer of torch one of ours, in place."""
    found = inner(layer)
    found.__class__ = _TWINS[type(found)]
    assert isinstance(found, Layer)
    vars(found).update(_ADDED)
    found.momentum = found.momentum  # which some of those depend on
    found.register_buffer("skipped", None, persistent=False)
    found._forget_skipped()


def become_torch(layer: nn.Module) -> None:
    """Make a layer of ours one of torch, in place; its options must be torch's, its activation is dropped."""
    found = inner(layer)
    for name in _ADDED:
        del vars(found)[name]
    del found._buffers["skipped"]
    found._non_persistent_buffers_set.discard("skipped")
    found.__class__ = _BACK[type(found)]  # type: ignore[assignment,index]
