"""Running a network without changing anything about it."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterable, Iterator

import torch
from torch import nn

from normwise.nn.trace import no_trace

_SWITCHES = ("momentum", "_momentum_tensor", "_pool", "process_group")


@contextlib.contextmanager
def undisturbed(network: nn.Module, layers: Iterable[nn.Module]) -> Iterator[None]:
    """Leave everything as it was before the body, also when that raises.

    As ``normwise.nn.trace.no_trace``: modes, buffers (the body has copies) and random generators. Moreover momentum,
    pool and process group of the batch normalizations ``layers``, the gradient mode, which is off in the body, and
    autocast. What is compiled runs as written, because it would not see hooks.
    """
    with contextlib.ExitStack() as stack:
        stack.enter_context(no_trace(network))
        stack.enter_context(torch.no_grad())
        for kind in sorted({"cpu", *(tensor.device.type for tensor in network.parameters())}):
            if torch.amp.is_autocast_available(kind):
                stack.enter_context(_same_autocast(kind))
        if "torch._dynamo" in sys.modules:
            stack.enter_context(torch.compiler.set_stance("force_eager"))
        for layer in layers:
            kept = {name: vars(layer)[name] for name in _SWITCHES if name in vars(layer)}
            stack.callback(vars(layer).update, kept)
        yield


def _same_autocast(kind: str) -> torch.autocast:
    """Autocast as it is, to be put back at the end."""
    enabled, dtype = torch.is_autocast_enabled(kind), torch.get_autocast_dtype(kind)
    return torch.autocast(kind, dtype=dtype, enabled=enabled)
