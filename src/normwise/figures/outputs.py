"""What a network put out for the test data at its best step, beside what was right."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from normwise.records import RunRecord
from normwise.records.metric import IGNORED
from normwise.records.run import PREDICTIONS


class Outputs(NamedTuple):
    """The outputs and targets of the whole test part of one run, as arrays."""

    outputs: np.ndarray[Any, Any]
    targets: np.ndarray[Any, Any]


def read(runs: Sequence[RunRecord]) -> list[Outputs]:
    """What the runs that kept their outputs put out, in their order; runs that kept none are left out."""
    from safetensors.numpy import load_file

    files = [run.directory / PREDICTIONS for run in runs]
    tensors = [load_file(file) for file in files if file.exists()]
    return [Outputs(found["outputs"], found["targets"]) for found in tensors]


Pair = tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]


def pairs(found: Outputs, kind: str) -> Pair | None:
    """Predicted and true class of each example or position, as flat integer arrays; None where shapes do not fit.

    Args:
        found: logits of shape (N, classes, …) with targets (N, …) for ``classification``; a logit beside each target
            for ``binary``.
        kind: ``classification`` or ``binary``.
    """
    outputs, true = found.outputs, found.targets.astype(np.int64)
    if kind == "binary":
        return ((outputs > 0).ravel().astype(np.int64), true.ravel()) if outputs.size == true.size else None
    if outputs.ndim < 2 or outputs.shape[:1] + outputs.shape[2:] != true.shape:
        return None
    counted = true != IGNORED
    return outputs.argmax(axis=1)[counted], true[counted]


def columns(found: Outputs) -> Pair | None:
    """Predicted and true values of a regression, each of shape (examples, targets); None where shapes do not fit.

    Targets of more than two dimensions, an image for example, are one target per position.
    """
    outputs, targets = found
    if outputs.size != targets.size or not targets.size:
        return None
    shape = (len(targets), -1) if targets.ndim < 3 else (-1, 1)
    return outputs.reshape(shape), targets.reshape(shape)
