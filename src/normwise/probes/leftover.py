"""Whether gradients of earlier steps were still there when those of a step were added."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

FIRST = 32
"""Backward passes that are looked at: a loop that forgets to clear gradients does so from the start."""


class Leftover:
    """Looks at the gradient of one parameter just before each of the first backward passes adds to it.

    Gradients are kept where, since the last update, no backward pass has found it cleared. Accumulating over several
    passes is therefore none, and neither is clipping.

    Args:
        parameter: a small one.
        updates: whether ``updated`` is called; else an update is seen by the parameter's value.
    """

    def __init__(self, parameter: nn.Parameter, *, updates: bool) -> None:
        self._parameter, self._updates = parameter, updates
        self._left = FIRST
        self._found: list[Tensor] = []
        self._since: list[Tensor | None] = []
        self._updated = False
        self._last: Tensor | None = None
        self._handle: RemovableHandle | None = parameter.register_hook(self._backward)  # type: ignore[no-untyped-call]

    @torch.no_grad()
    def _backward(self, gradient: Tensor) -> None:
        held = self._parameter.grad
        rest = None if held is None else _dense(held.detach()).count_nonzero()
        if self._updates:
            self._since.append(rest)
        elif self._last is not None and rest is not None:
            moved = (self._last != self._parameter.detach()).any()
            self._found.append(moved & (rest > 0))
        if not self._updates:
            self._last = self._parameter.detach().clone()
        self._left -= 1

    def updated(self) -> None:
        """The optimizer has made a step."""
        if self._updated and self._since and all(rest is not None for rest in self._since):
            self._found.append(torch.stack([rest for rest in self._since if rest is not None]).min() > 0)
        self._updated = self._updated or bool(self._since)
        self._since.clear()

    def value(self) -> bool:
        """Whether gradients were kept."""
        return any(bool(found) for found in self._found)

    @property
    def is_over(self) -> bool:
        """Whether all has been seen; ``close`` takes the hook off."""
        return self._left <= 0

    def close(self) -> None:
        """Look no longer."""
        if self._handle is not None:
            self._handle.remove()
        self._handle = None


def _dense(gradient: Tensor) -> Tensor:
    return gradient if gradient.layout is torch.strided else gradient.to_dense()
