"""The one walker. What a surgery does to a module is a policy on top of it."""

from __future__ import annotations

import copy
from collections.abc import Callable, Container, Mapping

from torch import Tensor, nn
from torch.nn.parameter import UninitializedBuffer

from normwise.errors import SurgeryError

Slot = tuple[nn.Module, str]
"""A place for a child: the parent and the child's own name in it."""


def duplicate(model: nn.Module) -> nn.Module:
    """A deep copy, also of lazy layers that have seen no batch, whose buffers ``copy.deepcopy`` cannot copy.

    Raises:
        SurgeryError: a tensor that autograd knows the history of is kept in the network.
    """
    lazy = [buffer for buffer in model.buffers() if isinstance(buffer, UninitializedBuffer)]
    copies = [UninitializedBuffer(device=each.device, dtype=each.dtype) for each in lazy]  # type: ignore[call-arg]
    try:
        return copy.deepcopy(model, {id(old): new for old, new in zip(lazy, copies, strict=True)})
    except RuntimeError as error:
        if not str(error).startswith("Only Tensors created explicitly by the user"):
            raise
        kept = ", ".join(f"{name}.{key}".lstrip(".") for name, key in _with_history(model)) or "something in it"
        raise SurgeryError(
            f"cannot copy {type(model).__name__}: {kept} is a tensor that was computed and keeps its history; "
            "detach it, or run the network under torch.no_grad() once"
        ) from error


def _with_history(model: nn.Module) -> list[tuple[str, str]]:
    """Where tensors are kept that autograd has computed: names of modules and attributes."""
    return [
        (name, key)
        for name, module in model.named_modules()
        for key, value in (*vars(module).items(), *module._buffers.items())
        if isinstance(value, Tensor) and not value.is_leaf
    ]


def find(model: nn.Module, wanted: Callable[[nn.Module], bool]) -> list[tuple[str, nn.Module]]:
    """Each wanted module once, under its first dotted name, in registration order, parents before their children."""
    return [(name, module) for name, module in model.named_modules() if wanted(module)]


def slots(model: nn.Module) -> dict[nn.Module, list[Slot]]:
    """Where each module but the root is a child; a shared module is a child in several places."""
    found: dict[nn.Module, list[Slot]] = {}
    for parent in model.modules():
        for key, child in parent._modules.items():
            if child is not None:
                found.setdefault(child, []).append((parent, key))
    return found


def replace(model: nn.Module, policy: Callable[[nn.Module], nn.Module | None]) -> nn.Module:
    """Put what ``policy`` makes of a module in all of its places, in place; None leaves the module where it is.

    Each module is asked about once, parents before their children.

    Returns:
        The root, which may have been replaced too.
    """
    places = slots(model)
    made = {module: new for module in list(model.modules()) if (new := policy(module)) is not None}
    for module, new in made.items():
        for parent, key in places.get(module, ()):
            parent._modules[key] = new
    return made.get(model, model)


def insert(
    sequential: nn.Sequential, layers: Mapping[tuple[str, str], nn.Module]
) -> tuple[dict[str, str], dict[tuple[str, str], str]]:
    """Insert layers into a ``Sequential``, in place.

    Where the children are numbered, they are numbered anew; where they are named, the layer next to ``relu`` is
    ``relu_norm``, with more underscores where that is taken.

    Args:
        sequential: the modules that run one after another.
        layers: for ``"before"`` or ``"after"`` and a child's name, the layer that goes there.

    Returns:
        For each child its new name, and for each place in ``layers`` the new layer's name.
    """
    old = dict(sequential._modules)
    numbered = list(old) == [str(index) for index in range(len(old))]
    moved: dict[str, str] = {}
    added: dict[tuple[str, str], str] = {}
    children: dict[str, nn.Module | None] = {}

    def put(name: str, module: nn.Module | None) -> str:
        key = str(len(children)) if numbered else name
        children[key] = module
        return key

    for key, child in old.items():
        for side in ("before", "", "after"):
            if not side:
                moved[key] = put(key, child)
            elif (side, key) in layers:
                added[side, key] = put(_free(f"{key}_norm", sequential, children), layers[side, key])
    sequential._modules.clear()
    sequential._modules.update(children)  # type: ignore[arg-type]
    return moved, added


def _free(name: str, module: nn.Module, taken: Container[str]) -> str:
    while hasattr(module, name) or name in taken:
        name += "_"
    return name
