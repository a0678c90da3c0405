"""The arrays behind a part that streams, where it is in memory: all of it can be checked, and not only a sample."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Subset, TensorDataset, default_collate

from normwise.errors import DataError
from normwise.lab.data import collated
from normwise.lab.data.loader_parts import Indexed, Inputs, StreamPart

CHUNK = 4096
"""Examples that are looked at together."""


@dataclass(frozen=True, eq=False)
class PartArrays:
    """The arrays of a part.

    Attributes:
        name: of the part, for errors.
        inputs: by the argument of ``forward``, or ``input 0``, ``input 1``, …
        target: of all examples of the data set.
        rows: the ones that belong to the part.
    """

    name: str
    inputs: dict[str, Tensor]
    target: Tensor
    rows: Tensor

    @property
    def y(self) -> np.ndarray:
        """The targets of the part."""
        return _numpy(self.target[self.rows])

    def hashes(self) -> list[int]:
        """A number for each example that follows from the bytes of its inputs."""
        found: list[int] = []
        for rows in torch.split(self.rows, CHUNK):
            inputs = [_numpy(value[rows]) for value in self.inputs.values()]
            found += [hash(tuple(row.tobytes() for row in example)) for example in zip(*inputs, strict=True)]
        return found

    def digest(self) -> str:
        """Of the rows and all values."""
        return collated.digest([self.rows, self.inputs, self.target])

    def check_finite(self) -> None:
        """Checks that all numbers are finite; a mask of 0 and -inf, which is added to attention weights, is let be.

        Raises:
            DataError: it names the first that is not.
        """
        for what, value in {**self.inputs, "the target": self.target}.items():
            for rows in torch.split(self.rows, CHUNK):
                wrong = collated.first_not_finite(value[rows])
                if wrong is not None:
                    row, *rest = int(rows[wrong[0]]), *wrong[1:]
                    inside = f" at {tuple(rest)}" if rest else ""
                    raise DataError(
                        f"{what} is {value[row][tuple(rest)]:g} in row {row}{inside} of {self.name}; networks need "
                        f"finite numbers: remove or replace such values"
                    )


def arrays_of(part: StreamPart) -> PartArrays | None:
    """The arrays that a part is read from; None where its items are the data set's or the loader's own business."""
    if not isinstance(part, Indexed) or part.sampler is not None or not part.grouped:
        return None
    if part.collate is not default_collate:
        return None
    dataset: Any = part.dataset
    picked = [part.keys]
    while type(dataset) is Subset:
        picked.append(dataset.indices)
        dataset = dataset.dataset
    dataset = tensors(dataset)
    if not isinstance(dataset, Inputs):
        return None
    rows = torch.arange(len(dataset))
    for indices in reversed(picked):
        rows = rows[torch.as_tensor(list(indices), dtype=torch.int64)]
    named = dataset.inputs if isinstance(dataset.inputs, dict) else _numbered(dataset.inputs)
    return PartArrays(part.name, named, dataset.y, rows)


def tensors(dataset: object) -> object:
    """A ``TensorDataset`` as its inputs and targets, which are gathered a batch at a time; others as they are."""
    if type(dataset) is TensorDataset and len(dataset.tensors) > 1:
        return Inputs(dataset.tensors[:-1], dataset.tensors[-1])
    return dataset


def _numpy(values: Tensor) -> np.ndarray:
    values = values.detach().cpu()
    return np.asarray((values.float() if values.dtype == torch.bfloat16 else values).numpy())


def _numbered(inputs: tuple[Tensor, ...]) -> dict[str, Tensor]:
    return {f"input {index}": each for index, each in enumerate(inputs)}
