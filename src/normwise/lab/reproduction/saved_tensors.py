"""The memory that a training step needs for its batch, from the sizes of tensors."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks


def saved_bytes(forward: Callable[[], Tensor], parameters: Iterable[Tensor]) -> int:
    """Bytes that autograd keeps from a forward pass for the backward pass: each storage once, parameters not at all.

    The same on every machine, which the memory of a process is not.
    """
    others = {each.untyped_storage().data_ptr() for each in parameters}
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in others:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with saved_tensors_hooks(keep, lambda tensor: tensor):
        loss = forward()  # held until the count is made, so that no storage is given out twice
    count = sum(kept.values())
    del loss
    return count
