"""What no surgery can work on: what is no network, and networks whose code is made already."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from normwise.errors import InvalidArgumentError, SurgeryError


def has_statistics(module: nn.Module) -> bool:
    """Whether there is a batch normalization in a part."""
    return any(name.endswith("running_mean") for name, _ in module.named_buffers())


def refuse_others(model: object) -> None:
    """Refuse what is no network.

    Raises:
        InvalidArgumentError: it is none.
    """
    if not isinstance(model, nn.Module):
        given = f"the class {model.__name__}; make one" if isinstance(model, type) else type(model).__name__
        raise InvalidArgumentError(f"model must be an nn.Module, got {given}")


def refuse(model: nn.Module, verb: str, concerns: Callable[[nn.Module], bool] = has_statistics) -> None:
    """Refuse what is no network, and code that is made already and would go on running what it was made from.

    Args:
        model: the network; where it is compiled or scripted as a whole, it is refused whatever is in it.
        verb: what is asked for.
        concerns: whether that concerns a compiled or scripted part.

    Raises:
        InvalidArgumentError: it is no network.
        SurgeryError: the network or such a part is compiled or scripted.
    """
    refuse_others(model)
    for name, module in model.named_modules():
        compiled = isinstance(module, torch.jit.ScriptModule) or "_orig_mod" in module._modules
        if compiled and (not name or concerns(module)):
            raise SurgeryError(
                f"cannot {verb} {name or 'the network'}: it is compiled or scripted ({type(module).__name__}); "
                f"{verb} the network that it was made from, then compile"
            )
