"""Everything that rules judge: what was measured of the training, of the trained network and of the treatments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from normwise.doctor.examination import Examination
from normwise.doctor.outcome import Outcome
from normwise.doctor.treatment import Treatment
from normwise.probes.watched import Watched


@dataclass(frozen=True)
class Training:
    """One watched training: what was measured, and what came of it.

    Attributes:
        watched: what the recorder saw.
        outcome: what came of it.
        seed: of the run; None in a loop of one's own.
    """

    watched: Watched
    outcome: Outcome
    seed: int | None = None


@dataclass(frozen=True)
class Evidence:
    """What rules judge.

    Attributes:
        trainings: one per seed, the first of them the one that is shown in detail; empty for a trained network.
        settings: those of the run (``lr``, ``batch_size``, ``inputs``, …) where the lab trained it; else empty.
        examination: of a trained network; None where none was examined.
        treatments: the remedies that were tried, ``nothing`` first; empty before there are any.
        chance: what guessing scores in the metric of the treatments; None where there is no telling.
    """

    trainings: Sequence[Training] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    examination: Examination | None = None
    treatments: Sequence[Treatment] = ()
    chance: float | None = None
