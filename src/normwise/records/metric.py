"""What a run is judged by, as plain data: its name, which way is better, and how it is written."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, NamedTuple, Self


class Metric(NamedTuple):
    """A metric.

    Attributes:
        name: its key in ``metrics.jsonl``, for example ``accuracy``, ``r2``, ``loss`` or ``net.py:score``.
        label: how it is called in sentences and on axes, for example ``accuracy`` or ``R²``.
        higher_is_better: its direction.
        percent: whether it is a share between 0 and 1 that is written in percent.
    """

    name: str
    label: str
    higher_is_better: bool = True
    percent: bool = False

    @classmethod
    def of(cls, values: dict[str, Any]) -> Self:
        """From the plain data of ``settings.json``."""
        return cls(**values)

    @property
    def heading(self) -> str:
        """The label as a sentence or a heading begins with it."""
        return f"{self.label[:1].upper()}{self.label[1:]}"

    @property
    def unit(self) -> str:
        """``%`` for a share, else nothing: a metric of a regression is in the unit of its target."""
        return "%" if self.percent else ""

    def better(self, a: float, b: float) -> bool:
        """Whether ``a`` is better than ``b``."""
        return a > b if self.higher_is_better else a < b

    def score(self, value: float) -> float:
        """The value with the sign that makes larger better."""
        return value if self.higher_is_better else -value

    def best(self, values: Iterable[float]) -> float:
        """The best of some values; ValueError where there is none."""
        return max(values) if self.higher_is_better else min(values)

    def write(self, value: float | None) -> str:
        """A value in a sentence or a table: ``97.2 %``, ``0.613``, ``4.31``; a dash where there is none."""
        if value is None or not math.isfinite(value):
            return "–"
        return f"{100 * value:.1f} %" if self.percent else f"{value:.3g}"

    def write_difference(self, value: float) -> str:
        """A difference of two values with its sign: ``+3.9 points``, ``-0.12``."""
        return f"{100 * value:+.1f} points" if self.percent else f"{value:+.2g}"

    def write_interval(self, value: float, margin: float) -> str:
        """A difference with half the width of its interval: ``+3.9 ± 1.2 points``, ``-0.12 ± 0.05``."""
        if self.percent:
            return f"{100 * value:+.1f} ± {100 * margin:.1f} points"
        return f"{value:+.2g} ± {margin:.2g}"


ACCURACY = Metric("accuracy", "accuracy", percent=True)
LOSS = Metric("loss", "loss", higher_is_better=False)

IGNORED = -100
"""A class label that counts nowhere, as in ``torch.nn.CrossEntropyLoss``."""
