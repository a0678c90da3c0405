"""What a network put out for the test data at its best step, beside what was right."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from normwise.records import RunRecord

FILE = "predictions.safetensors"
IGNORED = -100  # a target that counts for nothing, as in torch


class Outputs(NamedTuple):
    """The outputs and targets of the whole test part of one run, as arrays."""

    outputs: np.ndarray[Any, Any]
    targets: np.ndarray[Any, Any]


def read(runs: Sequence[RunRecord]) -> list[Outputs]:
    """What the runs that kept their outputs put out, in their order; runs that kept none are left out."""
    from safetensors.numpy import load_file

    files = [run.directory / FILE for run in runs]
    tensors = [load_file(file) for file in files if file.exists()]
    return [Outputs(found["outputs"], found["targets"]) for found in tensors]


def pairs(found: Outputs, kind: str) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Predicted and true class of each example or position, as flat integer arrays.

    Args:
        found: logits of shape (N, classes, …) with targets (N, …) for ``classification``; a logit beside each target
            for ``binary``.
        kind: ``classification`` or ``binary``.
    """
    if kind == "binary":
        predicted = (found.outputs > 0).ravel().astype(np.int64)
        return predicted, found.targets.ravel().astype(np.int64)
    predicted, true = found.outputs.argmax(axis=1).ravel(), found.targets.ravel()
    counted = true != IGNORED
    return predicted[counted], true[counted].astype(np.int64)


def columns(found: Outputs) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Predicted and true values of a regression, each of shape (examples, targets)."""
    targets = found.targets.reshape(len(found.targets), -1) if found.targets.ndim < 3 else found.targets.reshape(-1, 1)
    return found.outputs.reshape(targets.shape), targets
