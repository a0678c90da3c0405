"""The mode of a part of a network, as a value in a traced graph."""

from __future__ import annotations

from torch import nn


class Mode(nn.Module):
    """Says whether it is in training mode, and with it the part of the network that it is a child of.

    A traced graph calls it where forward read ``self.training``, which the graph would otherwise keep as it was.
    """

    def forward(self) -> bool:
        """Whether the mode is training."""
        return self.training
