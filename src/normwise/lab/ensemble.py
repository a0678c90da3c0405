"""What the averaged outputs of an arm's runs score on the test part."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from normwise.lab.task import Task
from normwise.records.metric import LOSS
from normwise.records.run import read_predictions

CLASSES = 1
"""The axis of the classes, as in PyTorch's cross-entropy."""

Array = np.ndarray[Any, Any]


class Ensemble(NamedTuple):
    """The metric of an ensemble, and how many runs are in it."""

    value: float
    runs: int


def ensemble(runs: Sequence[Path], task: Task, own: Callable[..., Any] | None = None) -> Ensemble | None:
    """Average what the networks of some runs put out for the test part, at their best steps, and score that.

    Args:
        runs: their directories.
        task: what is learned; the kind says what is averaged, see ``average``.
        own: the user's own metric, where it is that.

    Returns:
        None below two runs that kept their predictions, where these are not of the same examples, where only the
        user's loss knows what outputs mean, and where that loss is the metric.
    """
    if len(runs) < 2 or task.kind not in AVERAGES or task.metric == LOSS:
        return None
    kept = [found for run in runs if (found := read_predictions(run)) is not None]
    if len(kept) < 2 or not all(_alike(one, kept[0]) for one in kept[1:]):
        return None
    import torch

    from normwise.lab.objective import score

    outputs = average(task.kind, [one["outputs"] for one in kept])
    targets = torch.from_numpy(kept[0]["targets"])
    value = score(task.kind, task.metric, torch.from_numpy(outputs.astype(np.float32)), targets, own)
    return Ensemble(float(value), len(kept))


def _alike(a: Mapping[str, Array], b: Mapping[str, Array]) -> bool:
    return a["outputs"].shape == b["outputs"].shape and np.array_equal(a["targets"], b["targets"])


def average(kind: str, outputs: Sequence[Array]) -> Array:
    """The outputs of one network whose prediction is the average of several.

    Args:
        kind: for ``classification`` the probabilities of the classes (axis 1) are averaged, for ``binary`` and
            ``multilabel`` those of each output, for ``regression`` the outputs themselves.
        outputs: logits of one shape; in a regression, predictions.

    Returns:
        Logits again: log-probabilities for ``classification``, log-odds for ``binary`` and ``multilabel``; in a
        regression, predictions.
    """
    return AVERAGES[kind](np.stack([each.astype(np.float64) for each in outputs]))


def _classes(logits: Array) -> Array:
    from scipy.special import log_softmax

    return _log_mean(log_softmax(logits, axis=1 + CLASSES))


def _labels(logits: Array) -> Array:
    from scipy.special import log_expit

    return _log_mean(log_expit(logits)) - _log_mean(log_expit(-logits))


def _log_mean(logs: Array) -> Array:
    """The logarithm of the mean over the runs of what the given logarithms are of."""
    from scipy.special import logsumexp

    return np.asarray(logsumexp(logs, axis=0) - np.log(len(logs)))


def _predictions(outputs: Array) -> Array:
    return np.asarray(outputs.mean(axis=0))


AVERAGES: dict[str, Callable[[Array], Array]] = {
    "classification": _classes,
    "binary": _labels,
    "multilabel": _labels,
    "regression": _predictions,
}
