"""Networks that cannot be folded as they are."""

from __future__ import annotations

from typing import Any

from torch import nn
from torch.nn.modules.lazy import LazyModuleMixin

from normwise.errors import SurgeryError


def refuse_parallel(model: nn.Module) -> None:
    """Refuse a wrapper that runs copies of what it wraps."""
    for name, module in model.named_modules():
        if isinstance(module, (nn.DataParallel, nn.parallel.DistributedDataParallel)):
            inner = f"{name}.module" if name else "model.module"
            use = f"put {inner} in the place of {name}" if name else f"give {inner}"
            raise SurgeryError(
                f"cannot fold {name or 'the network'}: it is a {type(module).__name__}, which runs copies; {use}"
            )


def refuse_lazy(model: nn.Module) -> None:
    """Refuse layers that have no weights yet."""
    for name, module in model.named_modules():
        lazy: Any = module
        if isinstance(module, LazyModuleMixin) and lazy.has_uninitialized_params():
            raise SurgeryError(
                f"cannot fold {type(model).__name__}: {name} ({type(module).__name__}) has no weights until it has "
                "seen a batch; run the network once first"
            )


def refuse_meta(model: nn.Module) -> None:
    """Refuse a network without values."""
    for name, tensor in (*model.named_parameters(), *model.named_buffers()):
        if tensor.is_meta:
            raise SurgeryError(
                f"cannot fold {type(model).__name__}: {name} is on the meta device and has no values; "
                "make room for them (model.to_empty) and load them first"
            )
