"""Networks whose code is made already."""

from __future__ import annotations

import torch
from torch import nn

from normwise.errors import SurgeryError


def refuse(model: nn.Module, verb: str) -> None:
    """Refuse code that is made already and would go on running the layers that it was made from.

    Raises:
        SurgeryError: the network, or a part of it that has batch normalizations, is compiled or scripted.
    """
    for name, module in model.named_modules():
        compiled = isinstance(module, torch.jit.ScriptModule) or "_orig_mod" in module._modules
        if compiled and (not name or any(key.endswith("running_mean") for key, _ in module.named_buffers())):
            raise SurgeryError(
                f"cannot {verb} {name or 'the network'}: it is compiled or scripted ({type(module).__name__}); "
                f"{verb} the network that it was made from, then compile"
            )
