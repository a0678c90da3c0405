"""How many examples are measured while a run trains."""

from __future__ import annotations

from normwise.probes import Schedule

MOST = {"train": 500, "validation": 1000, "test": 500}
"""Examples of each part that are measured at most."""

VALUES = 480_000
"""Input values that are always measured: of examples of up to 190 values these are the most that are measured."""

SHARE = 0.075
"""Of larger examples, how many are measured of those that a run trains on between two measurements."""

FINAL = 500
"""Training examples on which the best step is measured at the end."""

BATCH = 60
"""The batch size that steps are counted in, so that arms which differ in theirs are measured on the same examples."""

PROBED = 32
"""Training examples on which activations and gradients are measured."""


def samples(steps: int, eval_every: int | None, values: int) -> dict[str, int]:
    """How many examples of each part curves are measured on, the same ones every time.

    Measuring is to cost a small part of training, and it need not be small where it is quick: it takes ``VALUES`` input
    values, or ``SHARE`` of the examples that a run trains on between two measurements if that is more, most of them
    validation, up to ``MOST``.

    Args:
        steps: updates of a run, in batches of ``BATCH``.
        eval_every: steps between measurements; None for the default schedule.
        values: how many an example has.
    """
    between = steps * BATCH / len(Schedule(steps, eval_every).at)
    total = max(SHARE * between, VALUES / max(1, values))
    weights = {"train": 0.2, "validation": 0.6, "test": 0.2}
    return {part: int(min(MOST[part], max(1, total * weight))) for part, weight in weights.items()}
