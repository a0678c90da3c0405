"""Data that stream: a user's data sets and data loaders."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from normwise.errors import DataError
from normwise.lab import factory
from normwise.lab.batch import Batch, Batches
from normwise.lab.data import loader_sources, returned
from normwise.lab.data.loader_batches import LoaderBatches
from normwise.lab.data.loader_parts import Indexed, StreamPart
from normwise.lab.options import Source
from normwise.lab.task import Kind


@dataclass(eq=False)
class LoaderData:
    """A data set that is read batch by batch.

    It pickles as the name of the function it comes from, and another process reads it anew when it opens it.

    Attributes:
        name: what the user asked for.
        source: the data function, or its name.
        source_hash: what identifies the file of that function.
        kind: of which kind the targets are.
        fingerprint: 16 hexadecimal digits over the source file, the lengths of the parts, how they are read, and arrays
            in memory, or else a fixed sample of each part; a change outside of the sample is not seen.
        n_outputs: how many outputs the targets ask for: the classes of a classification (those that the data set lists
            in ``classes``, those of all targets in memory, else those of the sample), 1 for binary, columns otherwise;
            None where the targets are no array.
        classes: for classification the names of the classes; otherwise empty.
        notes: what looks suspicious and is not wrong, one line each.
        own_batches: whether the training part is a loader, which decides the size of its batches.
        column: whether targets are a single column, (N, 1).
    """

    name: str
    source: Source
    source_hash: str
    kind: Kind
    fingerprint: str
    n_outputs: int | None
    classes: tuple[str, ...]
    notes: tuple[str, ...]
    own_batches: bool
    column: bool
    _parts: dict[str, StreamPart] | None = field(default=None, repr=False)
    _process: int = field(default_factory=os.getpid, repr=False)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_parts": None}

    @property
    def example_shape(self) -> tuple[int, ...] | None:
        """The shape of one example where the network takes one tensor; otherwise None."""
        first = self.first(1)
        one = len(first.args) == 1 and not first.kwargs and isinstance(first.args[0], Tensor)
        return tuple(first.args[0].shape[1:]) if one else None

    def batches_per_epoch(self, batch_size: int | None = None) -> int | None:
        """How many training batches an epoch has; None where only reading them tells."""
        train = self._read()["train"]
        return len(train.epoch(0, 0, batch_size)) if isinstance(train, Indexed) else None

    def examples(self, part: str) -> int | None:
        """How many examples a part has; None where only reading them tells."""
        there = self._read()[part]
        return len(there.keys) if isinstance(there, Indexed) and there.grouped else None

    def first(self, n: int) -> Batch:
        """A batch of ``n`` training examples, the same every time; the first batch where items have no index."""
        train = self._read()["train"]
        if isinstance(train, Indexed) and train.grouped:
            train = replace(train, batch_size=n)
        return LoaderBatches({"train": train}, self.on_target, seed=0).sample("train", n)[0]

    def targets(self, part: str, size: int) -> np.ndarray | None:
        """The targets of a fixed sample of a part, as the task needs them.

        Returns:
            An array; of targets with other lengths in each batch, their values one after another; None where targets
            are no tensors.
        """
        batches = LoaderBatches(self._read(), self.on_target, seed=0)
        return joined([batch.target for batch in batches.sample(part, size)])

    def open(self, seed: int, device: Any = "cpu", batch_size: int | None = None) -> Batches:
        """The batches of one run.

        Args:
            seed: of the order and of all that is drawn while items are read.
            device: where the batches go.
            batch_size: of a data set; a loader has its own.

        Raises:
            DataError: the source changed since the study began.
        """
        return LoaderBatches(self._read(), self.on_target, seed=seed, device=device, batch_size=batch_size)

    def on_target(self, target: Any) -> Any:
        """A batch's target in the type that the task needs."""
        if not isinstance(target, Tensor) or self.kind == "other":
            return target
        if self.kind != "classification":
            return target.float()
        return (target[:, 0] if self.column else target).long()

    def _read(self) -> dict[str, StreamPart]:
        """The parts, read anew in a process that has not read them: open files are not shared between processes."""
        if self._parts is None or self._process != os.getpid():
            make_data = factory.resolve(self.source, what="data function")
            if make_data.source_hash != self.source_hash:
                raise DataError(f"the source of {self.name} changed while the study ran; run the same command again")
            self._parts = loader_sources.stream_parts(returned.read(factory.call(make_data), self.name), self.name)
            self._process = os.getpid()
        return self._parts


def joined(found: list[Any]) -> np.ndarray | None:
    """The targets of several batches as one array, of different shapes flat; None where they are no tensors."""
    if not all(isinstance(target, Tensor | np.ndarray) for target in found):
        return None
    arrays = [torch.as_tensor(target).cpu() for target in found]
    if any(each.shape[1:] != arrays[0].shape[1:] for each in arrays) or not arrays[0].ndim:
        arrays = [each.reshape(-1) for each in arrays]
    joined = torch.cat(arrays)
    return np.asarray((joined.float() if joined.dtype == torch.bfloat16 else joined).numpy())
