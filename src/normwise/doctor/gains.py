"""How much better a treatment is than nothing, whether that is beyond seed noise, and which one is recommended."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from statistics import fmean, stdev
from typing import Any, NamedTuple

from normwise.doctor.treatment import TreatedRun, Treatment
from normwise.lab.task import Chance
from normwise.records.metric import Metric

NOTHING, RANDOM = "nothing", "random"
"""The controls: the training as it was given, and a remedy drawn by lot for each seed."""

AND = " + "
"""Between the names of two remedies that are combined."""

CONFIDENCE = 0.95

ALIKE = 0.9
"""The share of the best gain that a smaller change has to reach, besides being within noise of it: with three seeds
noise alone would let a treatment with widely scattered runs pass for the best."""


class Scale(NamedTuple):
    """By what runs are compared.

    Attributes:
        metric: of the task.
        chance: what guessing scores; None where there is no telling.
    """

    metric: Metric
    chance: Chance | None

    def counted(self, runs: Sequence[TreatedRun]) -> list[float]:
        """What each run counts with in a comparison: guessing where it is worse, or diverged before it was measured.

        Otherwise one loss of 10⁹ would make every remedy look good, and the interval infinitely wide.
        """
        found = [self._counted(run) for run in runs]
        return [value for value in found if value is not None]

    def _counted(self, run: TreatedRun) -> float | None:
        guess = None if self.chance is None else self.chance.value
        if run.value is None:
            return guess if run.status == "diverged" else None
        return run.value if guess is None else self.metric.best([run.value, guess])

    def gain(self, a: Sequence[TreatedRun], b: Sequence[TreatedRun], compared: int) -> tuple[float, float | None]:
        """How much better ``a`` is than ``b``, and the margin of that, by what their runs count with.

        The margin is half of Student's interval with the pooled variance, at a confidence of 1 − 0.05/``compared``
        (Bonferroni's correction): a remedy that does nothing has the spread of the runs without it, and of three runs
        each an interval without that assumption is twice as wide. Runs that count as guessing have the spread of their
        own values, up to that of the others or to that by which a metric is told from guessing. Where no run differs
        from the others of its kind, the margin is the latter. Of a share it is 1 at most.

        Raises:
            ValueError: one of them has no value.
        """
        ours, theirs = self.counted(a), self.counted(b)
        if not ours or not theirs:
            raise ValueError("there is nothing to compare")
        margin = None
        if min(len(ours), len(theirs)) > 1:
            varies = len({*ours}) > 1 or len({*theirs}) > 1
            least = 0.0 if self.chance is None else self.chance.margin
            margin = self._margin(a, b, compared) if varies else least
            margin = min(1.0, margin) if self.metric.percent else margin
        return self.metric.score(fmean(ours) - fmean(theirs)), margin

    def _margin(self, a: Sequence[TreatedRun], b: Sequence[TreatedRun], compared: int) -> float:
        from scipy.stats import t

        ours, theirs = self.counted(a), self.counted(b)
        count, other = len(ours) - 1, len(theirs) - 1
        squares = count * self._spread(a, theirs) ** 2 + other * self._spread(b, ours) ** 2
        pooled = math.sqrt(squares / (count + other))
        quantile = float(t.ppf(1 - (1 - CONFIDENCE) / max(1, compared) / 2, count + other))
        return quantile * pooled * math.sqrt(1 / len(ours) + 1 / len(theirs))

    def _spread(self, runs: Sequence[TreatedRun], others: Sequence[float]) -> float:
        """The standard deviation of what runs count with, or of their values where some count as guessing."""
        counted = self.counted(runs)
        values = [run.value for run in runs if run.value is not None]
        if self.chance is None or counted == values:
            return stdev(counted)
        most = max(stdev(others), self.chance.margin)
        return max(stdev(counted), min(stdev(values), most) if len(values) == len(counted) else most)


def treatment(
    name: str,
    settings: Mapping[str, Any],
    runs: Sequence[TreatedRun],
    nothing: Sequence[TreatedRun],
    scale: Scale,
    *,
    compared: int,
    dropped: str = "",
) -> Treatment:
    """A treatment from its runs.

    Args:
        name: of the treatment.
        settings: the keys that it changes.
        runs: its runs.
        nothing: those of the training as it was given.
        scale: by what they are compared.
        compared: how many treatments are compared with nothing.
        dropped: why it was not tried on every seed.
    """
    values = [run.value for run in runs if run.value is not None]
    mean = fmean(values) if values else None
    std = stdev(values) if len(values) > 1 else None
    made = Treatment(name, settings, tuple(runs), mean, std, None, None, helped=False, dropped=dropped)
    if name == NOTHING:
        return replace(made, gain=0.0 if scale.counted(runs) else None)
    seeds = {run.seed for run in runs}
    same = [run for run in nothing if run.seed in seeds]
    if not scale.counted(runs) or not scale.counted(same):
        return made
    gain, margin = scale.gain(runs, same, compared)
    return replace(made, gain=gain, margin=margin, helped=margin is not None and gain > margin)


def candidates(treatments: Sequence[Treatment]) -> list[Treatment]:
    """What could be recommended: what was tried on every seed, without the controls; the largest gain first."""
    found = [each for each in treatments if each.name not in (NOTHING, RANDOM) and not each.dropped]
    return sorted((each for each in found if each.gain is not None), key=lambda each: -(each.gain or 0.0))


def recommended(treatments: Sequence[Treatment], sizes: Mapping[str, int], scale: Scale) -> Treatment | None:
    """The smallest change among those that helped and are as good as the best of them; None where nothing helped.

    As good means that the difference is within its own margin, at a confidence of 0.95, and that the gain is most of
    the best one (``ALIKE``).
    Of changes of one size it is that with the larger gain.

    Args:
        treatments: those that were tried.
        sizes: how large a change each remedy is, by its name; a combination is as large as both.
        scale: by what they are compared.
    """
    helped = [each for each in candidates(treatments) if each.helped]
    if not helped:
        return None
    best = helped[0]
    alike = [each for each in helped if _is_alike(each, best, scale)]
    return min(alike, key=lambda each: (sum(sizes[part] for part in each.name.split(AND)), -(each.gain or 0.0)))


def _is_alike(one: Treatment, best: Treatment, scale: Scale) -> bool:
    if one is best:
        return True
    behind, margin = scale.gain(best.runs, one.runs, compared=1)
    return (one.gain or 0.0) >= ALIKE * (best.gain or 0.0) and margin is not None and behind <= margin
