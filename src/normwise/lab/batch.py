"""What passes from the data to the network and the loss."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple, Protocol

from torch import Tensor, nn


class Batch(NamedTuple):
    """Some examples, on the run's device.

    Attributes:
        args: what ``forward`` takes by position.
        kwargs: what it takes by name.
        target: what its outputs are compared with.
        size: how many examples there are.
    """

    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    target: Any
    size: int

    def through(self, network: nn.Module) -> Any:
        """The network's outputs."""
        return network(*self.args, **self.kwargs)


class Position(NamedTuple):
    """Where a run is in its data: the random state when the epoch began, and how many batches of it are used."""

    epoch_rng: Tensor
    used: int


class Batches(Protocol):
    """The data of one run: endless training batches, a fixed sample of each part, and the whole of each part."""

    def next(self) -> Batch:
        """The next mini-batch of the training part; a new epoch begins where one has ended."""

    def position(self) -> Position:
        """The current position, for a checkpoint."""

    def seek(self, position: Position) -> None:
        """Go to a position that ``position`` returned, of batches over the same data."""

    def sample(self, part: str, size: int) -> list[Batch]:
        """About ``size`` examples of ``train``, ``validation`` or ``test``, the same ones every time."""

    def whole(self, part: str) -> Iterable[Batch]:
        """All examples of a part, in order."""
