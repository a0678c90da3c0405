"""Which modules do what their class in torch does, and nothing else."""

from __future__ import annotations

from torch import nn

_HARMLESS = {
    "__annotations__",
    "__annotate__",
    "__annotate_func__",
    "__annotations_cache__",
    "__constants__",
    "__doc__",
    "__firstlineno__",
    "__init__",
    "__module__",
    "__orig_bases__",
    "__parameters__",
    "__qualname__",
    "__repr__",
    "__static_attributes__",
    "extra_repr",
    "reset_parameters",
}
"""What a subclass may define without changing what it computes."""

_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")


def is_plain(module: nn.Module, classes: tuple[type[nn.Module], ...]) -> bool:
    """Whether a module is one of ``classes``, or a subclass that only constructs or prints itself in another way."""
    for cls in type(module).__mro__:
        if cls in classes:
            return not {"forward", "_conv_forward"} & vars(module).keys()
        if vars(cls).keys() - _HARMLESS:
            return False
    return False


def replaced_forward(network: nn.Module) -> str:
    """Why a trace, which follows the forward of the class, would not be that of a network; empty where it would."""
    return "its forward is not that of its class, which a trace follows" if "forward" in vars(network) else ""


def has_hooks(module: nn.Module) -> bool:
    """Whether something of a user's runs whenever the module does."""
    return any(getattr(module, name) for name in _HOOKS)


def hooked_containers(network: nn.Module) -> dict[nn.Module, set[nn.Module]]:
    """For each module those around it, the network itself apart, that have hooks: these see what goes in and out."""
    found: dict[nn.Module, set[nn.Module]] = {module: set() for module in network.modules()}
    for outer in found:
        if outer is not network and has_hooks(outer):
            for inner in outer.modules():
                found[inner] |= {outer} - {inner}
    return found
