"""Looking at a network without leaving a trace."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


@contextmanager
def no_trace(model: nn.Module) -> Iterator[None]:
    """Leave a network and the random generators, bit for bit, as they were before the body, also when the body raises.

    Each module's ``training`` flag is put back. The body works on copies of the buffers (running statistics, counters),
    so the network's own are never written to. The random generators of the CPU and of the CUDA devices that the network
    is on are put back. Parameters and their gradients are the body's responsibility: ask ``torch.autograd.grad``, which
    leaves ``.grad`` alone.
    """
    modules = list(model.modules())
    training = [module.training for module in modules]
    buffers = [dict(module._buffers) for module in modules]
    with torch.random.fork_rng(_cuda_devices(model), device_type="cuda"):
        try:
            _lend_copies(modules)
            yield
        finally:
            for module, flag, own in zip(modules, training, buffers, strict=True):
                module.training = flag
                module._buffers.clear()
                module._buffers.update(own)


def _lend_copies(modules: list[nn.Module]) -> None:
    """Replace every buffer by a copy; one that several modules share stays shared."""
    copies: dict[Tensor, Tensor] = {}
    for module in modules:
        for name, buffer in module._buffers.items():
            if buffer is not None:
                module._buffers[name] = copies.setdefault(buffer, buffer.detach().clone())


def _cuda_devices(model: nn.Module) -> list[torch.device]:
    tensors = (*model.parameters(), *model.buffers())
    return sorted({tensor.device for tensor in tensors if tensor.device.type == "cuda"}, key=str)
