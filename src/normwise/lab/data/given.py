"""What was read, before it is known what is learned."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from normwise.lab.data import targets

if TYPE_CHECKING:
    from normwise.lab.data.loader_data import LoaderData
    from normwise.lab.data.parts import Data
    from normwise.lab.task import Kind


@dataclass(frozen=True, eq=False)
class Given:
    """A data set as it was read.

    Attributes:
        name: what the user asked for.
        targets: the training targets as they were given, those of a sample where they are not in memory;
            None where they are no array.
        classes: the names of the classes where they have names, in the order of their numbers; otherwise empty.
        named: whether this is a named set or a table, whose inputs and targets are scaled by default; a user's own
            arrays are left as they are.
        streams: whether the data are read batch by batch: from a data set or a data loader.
        sampled: whether ``targets`` are those of a sample only.
        own_batches: whether they come from a data loader, which decides the size of its batches.
        build: makes the data for one kind of task.
    """

    name: str
    targets: np.ndarray | None
    classes: tuple[str, ...]
    named: bool
    build: Callable[[Kind], Data | LoaderData]
    streams: bool = False
    sampled: bool = False
    own_batches: bool = False

    def kind(self) -> tuple[Kind, str]:
        """The kind of task that the targets suggest, and why."""
        if self.targets is None:
            return "other", "the targets are no array"
        return targets.kind_of(self.targets, sampled=self.sampled, listed=len(self.classes))

    def finish(self, kind: Kind) -> Data | LoaderData:
        """Converts and checks the targets for a kind of task, and splits validation off where it was not given.

        Raises:
            DataError: the targets do not fit that kind, or the parts do not fit together.
        """
        return self.build(kind)
