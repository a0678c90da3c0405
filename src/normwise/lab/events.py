"""What a run measures as events of TensorBoard, beside its records: ``tensorboard --logdir runs/…``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from normwise.errors import RequestError
from normwise.records import RunRecord
from normwise.records.metric import Metric

FOLDER = "tensorboard"


def require() -> None:
    """RequestError where TensorBoard is not installed."""
    try:
        import tensorboard  # noqa: F401
    except ImportError:
        raise RequestError("--tensorboard needs the package tensorboard: pip install 'normwise[tensorboard]'") from None


def complete(record: RunRecord) -> None:
    """Write the events of a run that has ended, where there are none: it was trained without them."""
    if record.metrics and not (record.directory / FOLDER).exists():
        events = Events(record.directory)
        for line in record.metrics:
            events.add(line, record.metric)
        events.close()


class Events:
    """Writes lines of ``metrics.jsonl`` as events: curves by part, norms by layer, and histograms of activations.

    Args:
        directory: the run's.
        step: that at which the run goes on, whose later events are dropped; −1 for one that begins.
    """

    def __init__(self, directory: Path, step: int = -1) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(str(directory / FOLDER), purge_step=step + 1)

    def add(self, line: Mapping[str, Any], metric: Metric) -> None:
        """Add one line."""
        step = line["step"]
        for part in ("train", "validation", "test"):
            for name, value in line[part].items():
                label = metric.label if name == metric.name else name
                self._scalar(f"{label}/{part}", value, step)
        self._scalar("learning rate", line["lr"], step)
        for row in line["gradients"]:
            self._scalar(f"gradient norm/{row['layer']}", row["norm"], step)
        for row in line["preactivations"]:
            self._scalar(f"saturated/{row['layer']}", row["saturated"], step)
        for row in line["activations"]:
            self._histogram(f"activations/{row['layer']}", row, step)

    def _scalar(self, tag: str, value: float | None, step: int) -> None:
        if value is not None and np.isfinite(value):
            self._writer.add_scalar(tag, value, step)

    def _histogram(self, tag: str, row: Mapping[str, Any], step: int) -> None:
        counts = np.array(row["counts"], dtype=np.float64)
        if not counts.sum():
            return
        edges = np.linspace(row["low"], row["high"], len(counts) + 1)
        middle = (edges[1:] + edges[:-1]) / 2
        self._writer.add_histogram_raw(
            tag,
            min=row["low"],
            max=row["high"],
            num=counts.sum(),
            sum=float(counts @ middle),
            sum_squares=float(counts @ middle**2),
            bucket_limits=edges[1:].tolist(),
            bucket_counts=counts.tolist(),
            global_step=step,
        )

    def close(self) -> None:
        """Write what is left and close."""
        self._writer.close()
