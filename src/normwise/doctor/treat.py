"""Trying the remedies: rounds of runs, with the same seeds as the watched ones, and what came of each."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from typing import Any, NamedTuple

from normwise.doctor.gains import AND, NOTHING, RANDOM, Scale, candidates, treatment
from normwise.doctor.remedies import REMEDIES, Given, Remedy
from normwise.doctor.remedies.choose import ALWAYS
from normwise.doctor.rounds import FINALISTS, idle
from normwise.doctor.treatment import TreatedRun, Treatment

SECOND = 2
"""Remedies of the second choice that are tried on every seed."""

FEWEST = 3
"""Seeds with which a remedy can help beyond noise; with fewer there is no second choice."""

DROPPED = "with seed {seed} it was not among the best, or no better than nothing"
"""Why a remedy was not tried on every seed."""


class Wanted(NamedTuple):
    """A run that is asked for.

    Attributes:
        name: of its treatment.
        settings: the keys that it changes of what was given.
        seed: of the run.
        remedy: of this run, for ``random``.
    """

    name: str
    settings: Mapping[str, Any]
    seed: int
    remedy: str = ""


Train = Callable[[Sequence[Wanted]], list[TreatedRun]]
"""Trains runs, or finds those that have ended, and returns them in the same order."""


def drawn(remedies: Sequence[Remedy], seeds: Sequence[int], study: str) -> list[Remedy]:
    """A remedy for each seed, drawn by lot; ``study`` seeds the generator, so that a study always draws the same."""
    return [random.Random(f"{study} {seed}").choice(remedies) for seed in seeds] if remedies else []


class Treating:
    """The rounds of a treatment.

    1. Every remedy with the first seed.
    2. The best ``FINALISTS`` that are better than nothing with the other seeds, and batch normalization always.
    3. Two that change different keys, combined, with all seeds: the best two that are better than nothing.
    4. Where none of these helped: every other remedy with the first seed, and the best ``SECOND`` of those that are
       better than every run of nothing with the other seeds. A wrong guess of the cause then costs time and no cure.

    The runs of ``random`` fill what would leave a worker idle, and come last.

    Args:
        nothing: the runs of the training as it was given.
        remedies: what to try, the likeliest first.
        lots: a remedy per seed; see ``drawn``.
        given: what the remedies start from.
        train: what makes the runs.
        scale: by what they are compared.
        workers: how many runs are made at once.
        enough: whether there is time for so many runs.
        partners: names of remedies of several findings, which are combined where no two are better than nothing.
        others: the remedies of the second choice.
    """

    def __init__(
        self,
        nothing: Sequence[TreatedRun],
        remedies: Sequence[Remedy],
        lots: Sequence[Remedy],
        given: Given,
        train: Train,
        scale: Scale,
        workers: int,
        enough: Callable[[int], bool] = lambda runs: True,
        partners: Sequence[str] = (),
        others: Sequence[Remedy] = (),
    ) -> None:
        self._nothing, self._scale, self._train, self._workers = list(nothing), scale, train, workers
        self._enough, self._partners = enough, partners
        self._seeds = [run.seed for run in nothing]
        self._settings = {remedy.name: remedy.settings(given) or {} for remedy in remedies}
        self._others = {remedy.name: remedy.settings(given) or {} for remedy in others}
        self._runs: dict[str, list[TreatedRun]] = {name: [] for name in (*self._settings, *self._others)}
        self._waiting = [
            Wanted(RANDOM, lot.settings(given) or {}, seed, lot.name)
            for lot, seed in zip(lots, self._seeds, strict=bool(lots))
        ]

    def go(self) -> list[Treatment]:
        """Make all rounds; ``nothing`` is the first treatment, ``random`` the last."""
        self._round([Wanted(name, settings, self._seeds[0]) for name, settings in self._settings.items()])
        finalists = self._finalists()
        self._round([Wanted(name, self._settings[name], seed) for seed in self._seeds[1:] for name in finalists])
        pair = self._pair(finalists)
        if pair and not self._enough(len(self._seeds) + len(self._waiting)):
            pair = []
        if pair:
            name = AND.join(pair)
            self._settings[name] = {key: value for part in pair for key, value in self._settings[part].items()}
            finalists = [*finalists, name]
        combined = [Wanted(AND.join(pair), self._settings[AND.join(pair)], seed) for seed in self._seeds if pair]
        self._round(combined, last=True)
        if not any(each.helped for each in self._treatments(finalists)):
            finalists = [*finalists, *self._second_choice()]
        return self._treatments(finalists)

    def _second_choice(self) -> list[str]:
        """Try the other remedies, where there is time; names of those that were tried on every seed."""
        first, *others = self._seeds
        if len(others) < FEWEST - 1 or not self._enough(len(self._others) + SECOND * len(others)):
            return []
        self._settings |= self._others
        self._round([Wanted(name, settings, first) for name, settings in self._others.items()])
        best = max(map(self._scale.metric.score, self._scale.counted(self._nothing)), default=-math.inf)
        ranked = sorted(self._others, key=self._score, reverse=True)
        better = [name for name in ranked if self._score(name)[0] > best][:SECOND]
        self._round([Wanted(name, self._settings[name], seed) for seed in others for name in better])
        return better

    def _round(self, wanted: list[Wanted], *, last: bool = False) -> None:
        """Make some runs, and as many of ``random`` as there are workers without one; all that are left at last."""
        free = len(self._waiting) if last else idle(len(wanted), self._workers)
        asked = [*wanted, *self._waiting[:free]]
        self._waiting = self._waiting[free:]
        for each, run in zip(asked, self._train(asked) if asked else [], strict=True):
            self._runs.setdefault(each.name, []).append(run)

    def _finalists(self) -> list[str]:
        """The best remedies by their first run, in the order in which they were chosen: as many as there is time for.

        One that is no better than the worst run of nothing is none of them, but for batch normalization, which always
        is, and the best of all where there is no other. A combination of two is worth more than a third remedy.
        """
        ranked = sorted(self._settings, key=self._score, reverse=True)
        worst = min(map(self._scale.metric.score, self._scale.counted(self._nothing)), default=-math.inf)
        names = [name for name in ranked if name == ALWAYS or self._score(name)[0] > worst] or ranked[:1]
        most, others = min(FINALISTS, len(names)), len(self._seeds) - 1
        while most > 1 and not self._enough(most * others + len(self._seeds) + len(self._waiting)):
            most -= 1
        best = sorted(names, key=lambda name: name != ALWAYS)[:most]
        return [name for name in self._settings if name in best]

    def _score(self, name: str) -> tuple[float, float]:
        """Of the first run: what it counts with, and among those that are no better than guessing what it scored."""
        run, score = self._runs[name][0], self._scale.metric.score
        counted = self._scale.counted([run])
        return score(counted[0]) if counted else -math.inf, -math.inf if run.value is None else score(run.value)

    def _pair(self, finalists: Sequence[str]) -> list[str]:
        """Two that are tried together, in the order of the table; none where no two change different keys.

        They are the best two that are better than nothing. Where fewer are, because it takes two changes to cure two
        troubles, the likeliest remedies of several findings take their place, but none that made it worse.
        """
        every = self._treatments(finalists)
        better = [each.name for each in candidates(every) if (each.gain or 0.0) > 0]
        worse = {each.name for each in every if (each.gain or 0.0) < 0}
        names = dict.fromkeys([*better, *self._partners, *self._settings])
        likely = [name for name in names if name in self._settings and name not in worse]
        order = [remedy.name for remedy in REMEDIES]
        for first, second in combinations(likely, 2):
            if not self._settings[first].keys() & self._settings[second].keys():
                return sorted((first, second), key=order.index)
        return []

    def _treatments(self, finalists: Sequence[str]) -> list[Treatment]:
        """Every treatment, those tried on all seeds before those that were dropped."""
        kept = [name for name in self._settings if name in finalists]
        rest = [name for name in self._settings if name not in finalists]
        reason = DROPPED.format(seed=self._seeds[0]) if len(self._seeds) > 1 else ""
        return [
            self._treatment(NOTHING, {}, self._nothing, kept),
            *(self._treatment(name, self._settings[name], self._runs[name], kept) for name in kept),
            *(self._treatment(name, self._settings[name], self._runs[name], kept, reason) for name in rest),
            *(self._treatment(RANDOM, {}, self._runs[RANDOM], kept) for _ in [0] if RANDOM in self._runs),
        ]

    def _treatment(
        self, name: str, settings: Mapping[str, Any], runs: list[TreatedRun], kept: Sequence[str], dropped: str = ""
    ) -> Treatment:
        runs = sorted(runs, key=lambda run: run.seed)
        return treatment(name, settings, runs, self._nothing, self._scale, compared=len(kept), dropped=dropped)
