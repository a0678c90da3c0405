"""A treatment: a remedy that was tried on every seed, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from normwise.records.metric import Metric


@dataclass(frozen=True)
class TreatedRun:
    """One run of a treatment.

    Attributes:
        seed: of the run.
        status: ``finished``, ``diverged`` or ``failed``.
        value: the validation metric, on the whole part at the best step; None where there is none.
        learned: whether its validation metric stayed beyond chance.
        remedy: the remedy of this run, where it is another one in every run (``random``).
        directory: the run's directory.
    """

    seed: int
    status: str
    value: float | None
    learned: bool
    remedy: str = ""
    directory: str = ""

    def as_dict(self) -> dict[str, Any]:
        """The run as plain data."""
        return asdict(self)


@dataclass(frozen=True)
class Treatment:
    """A remedy that was tried.

    Attributes:
        name: ``nothing``, ``random``, the remedy's name, or two names with `` + `` between them.
        settings: the keys that it changes, with their values; empty for ``nothing`` and ``random``.
        runs: one per seed; of a remedy that was dropped after its first seed, that one.
        mean: of the runs' values; None where no run has one.
        std: their standard deviation; None below two.
        gain: how much better than ``nothing`` with the same seeds, in the direction of the metric: more is better; None
            where there is nothing to compare. On both sides a run that is worse than guessing, or diverged without a
            value, counts as guessing.
        margin: half the width of Student's 95 % interval of that, widened for the number of treatments compared; None
            where there are too few runs.
        helped: whether gain > margin.
        dropped: why it was not tried on every seed, in words; empty where it was.
    """

    name: str
    settings: Mapping[str, Any]
    runs: tuple[TreatedRun, ...]
    mean: float | None
    std: float | None
    gain: float | None
    margin: float | None
    helped: bool
    dropped: str = ""

    def write(self, metric: Metric) -> str:
        """The mean, and how many runs have no value: ``9.7 % (1 of 3 diverged)``."""
        without = [run.status for run in self.runs if run.value is None]
        if not without:
            return metric.write(self.mean)
        how = without[0] if len(set(without)) == 1 else "without a value"
        return f"{metric.write(self.mean)} ({len(without)} of {len(self.runs)} {how})"

    def as_dict(self) -> dict[str, Any]:
        """The treatment as plain data, as ``normwise doctor --json`` prints it."""
        return {
            "name": self.name,
            "settings": dict(self.settings),
            "mean": self.mean,
            "std": self.std,
            "gain": self.gain,
            "margin": self.margin,
            "helped": self.helped,
            "runs": [run.as_dict() for run in self.runs],
            "dropped": self.dropped,
        }


@dataclass(frozen=True)
class Recommendation:
    """The smallest change among the treatments that helped and are within noise of the best.

    Attributes:
        name: of the treatment.
        change: what to change, in words and code: what somebody types.
        gain: as in ``Treatment``.
        margin: likewise.
    """

    name: str
    change: str
    gain: float
    margin: float | None

    def as_dict(self) -> dict[str, Any]:
        """The recommendation as plain data."""
        return {"name": self.name, "change": self.change, "gain": self.gain, "margin": self.margin}
