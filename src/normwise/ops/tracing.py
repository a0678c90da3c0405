"""What PyTorch is doing while a call runs, and what kind of tensors it is given.

The answers come from functions that PyTorch keeps to itself; they are asked for here and nowhere else, and a test sees
that each is there.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch.overrides import TorchFunctionMode

_ORDINARY = frozenset({Tensor, nn.Parameter, type(None)})

is_transformed = torch._C._are_functorch_transforms_active
"""Whether a ``torch.func`` transform is active (vmap, grad, jvp, functionalize)."""


innermost_function_mode: Callable[[], TorchFunctionMode | None] = torch.overrides._get_current_function_mode
"""The ``TorchFunctionMode`` that sees a function first; None where there is none."""


def is_jit_traced() -> bool:
    """Whether ``torch.jit`` traces: sizes are tensors then, and are not to be compared."""
    return torch._C._get_tracing_state() is not None


def is_traced() -> bool:
    """Whether ``torch.compile``, ``torch.export`` or ``torch.jit`` records what a call does."""
    return torch.compiler.is_compiling() or torch._C._get_tracing_state() is not None


def is_exported() -> bool:
    """Whether this call becomes part of an exported program."""
    return torch.compiler.is_exporting() or is_jit_traced()


def is_eager(*tensors: Tensor | None) -> bool:
    """Whether tensors are no subclasses, and no compilation, trace or dispatch mode is active."""
    return (
        not torch.compiler.is_compiling()
        and not torch._C._len_torch_dispatch_stack()
        and torch._C._get_tracing_state() is None
        and _ORDINARY.issuperset(map(type, tensors))
    )


def is_in_backward() -> bool:
    """Whether this thread is within a backward, where a checkpoint recomputes its forward."""
    return torch._C._current_graph_task_id() != -1


def is_forward_differentiated() -> bool:
    """Whether forward-mode differentiation is active."""
    return forward_ad._current_level >= 0


def is_zero(tensor: Tensor) -> bool:
    """Whether an eager tensor stands for zeros that have no memory."""
    return tensor._is_zerotensor()


def is_in_memory(tensor: Tensor) -> bool:
    """Whether the values of an eager tensor are what lies at its address: strided, not negated, no such zeros."""
    return tensor.layout is torch.strided and not tensor.is_neg() and not tensor._is_zerotensor()


def is_batch_of_gradients(tensor: Tensor) -> bool:
    """Whether an eager tensor stands for several: ``torch.autograd.grad(..., is_grads_batched=True)``."""
    return bool(torch._C._functorch.is_legacy_batchedtensor(tensor))


def is_ordinary(tensor: Tensor, *others: Tensor | None) -> bool:
    """Whether what holds for this call holds for the next that looks like it.

    That is so for eager tensors (``is_eager``), strided and with their values in memory, all on the CPU or all on GPUs,
    outside ``torch.func`` transforms and forward-mode differentiation.
    """
    if (
        torch.compiler.is_compiling()
        or torch._C._len_torch_dispatch_stack()
        or torch._C._get_tracing_state() is not None
        or is_transformed()
        or forward_ad._current_level >= 0
        or type(tensor) not in _ORDINARY
    ):
        return False
    new = _new(tensor.is_cuda)
    for each in (tensor, *others):
        if each is not None and (type(each) not in _ORDINARY or torch._C._dispatch_keys(each).raw_repr() not in new):
            return False
    return True


@functools.cache
def _new(on_cuda: bool) -> frozenset[int]:
    """The dispatch keys of new tensors, outside and inside of ``torch.inference_mode``."""
    device = "cuda" if on_cuda else "cpu"
    with torch.inference_mode():
        inside = torch.empty(0, device=device)
    with torch.inference_mode(False):
        outside = torch.empty(0, device=device)
    return frozenset(torch._C._dispatch_keys(tensor).raw_repr() for tensor in (inside, outside))
