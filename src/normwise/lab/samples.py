"""How many examples are measured while a run trains."""

from __future__ import annotations

from normwise.probes import Schedule

MOST = {"train": 500, "validation": 1000, "test": 500}
LEAST = {"train": 50, "validation": 200, "test": 50}
SHARE = 0.075
"""Examples that are measured, of those that a run trains on between two measurements."""

BATCH = 60
"""The batch size that steps are counted in, so that arms which differ in theirs are measured on the same examples."""

PROBED = 60
"""Training examples on which activations and gradients are measured."""


def samples(steps: int, eval_every: int | None) -> dict[str, int]:
    """How many examples of each part curves are measured on, the same ones every time.

    Measuring is to cost a small part of training: ``SHARE`` of the examples that a run trains on between two
    measurements, half of them validation, within ``LEAST`` and ``MOST``.

    Args:
        steps: updates of a run, in batches of ``BATCH``.
        eval_every: steps between measurements; None for the default schedule.
    """
    between = steps * BATCH / len(Schedule(steps, eval_every).at)
    weights = {"train": 0.25, "validation": 0.5, "test": 0.25}
    return {part: int(min(MOST[part], max(LEAST[part], SHARE * between * weight))) for part, weight in weights.items()}
