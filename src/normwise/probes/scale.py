"""What a loss is multiplied by, where its graph does not say so any more: from its value."""

from __future__ import annotations

from collections.abc import Callable
from math import isfinite
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from normwise.probes.tail import MEAN, Tail

STEPS = 2
"""First steps in which the loss is computed a second time."""
CLOSE = 1e-3

_LOSSES: dict[str, Callable[..., Tensor]] = {
    "cross_entropy": F.cross_entropy,
    "nll": F.nll_loss,
    "bce": F.binary_cross_entropy,
    "bce_with_logits": F.binary_cross_entropy_with_logits,
    "mse": F.mse_loss,
    "mae": F.l1_loss,
}


class Scale:
    """Compares the losses of the first steps with those of the network's outputs, which are kept so long.

    Attributes:
        output: of the network's last forward; None where that is no tensor.
    """

    def __init__(self) -> None:
        self.output: Tensor | None = None
        self._ratios: list[Tensor] = []

    def keep(self, output: Any) -> None:
        """Keep the output of a forward."""
        self.output = output.detach() if type(output) is Tensor else None

    @torch.no_grad()
    def compare(self, tail: Tail, loss: Tensor, target: Any) -> None:
        """Compare the loss of a step, whose factor is not known, with that of the last output."""
        output, self.output = self.output, None
        function = _LOSSES.get(tail.loss.kind)
        if function is None or output is None or not isinstance(target, Tensor):
            return
        same = tail.loss.kind in ("cross_entropy", "nll") or output.shape == target.shape
        if tuple(output.shape) != tail.loss.outputs or not same:
            return
        try:
            self._ratios.append(loss.detach() / function(output.float(), target))
        except (RuntimeError, ValueError, IndexError):
            return

    def known(self, tail: Tail) -> Tail:
        """The loss with its factor, where that was the same in each of the first steps."""
        ratios = [float(ratio) for ratio in self._ratios]
        if tail.loss.scale is not None or len(ratios) < STEPS or not all(map(isfinite, ratios)):
            return tail
        if min(ratios) <= 0 or max(ratios) - min(ratios) > CLOSE * min(ratios):
            return tail
        return tail._replace(loss=tail.loss._replace(scale=ratios[0]), reduction=MEAN)
