"""Treatments of made-up runs."""

from __future__ import annotations

from normwise.doctor.gains import Scale
from normwise.doctor.remedies import BY_NAME, Given
from normwise.doctor.treat import Treating
from normwise.doctor.treatment import TreatedRun
from normwise.lab.settings import Keys
from normwise.lab.task import Chance
from normwise.records.metric import ACCURACY

SCALE = Scale(ACCURACY, Chance(0.1, 0.02))
GIVEN = Given(
    Keys(lr=0.2, activation="sigmoid"), "classification", own_model=False, streams=False, own_batches=False,
    activations=("sigmoid",), examples=1000,
)  # fmt: skip


class Trainer:
    """Gives each run the score of its treatment, and a little more for a larger seed."""

    def __init__(self, **scores):
        self.scores = scores
        self.rounds = []

    def __call__(self, wanted):
        self.rounds.append([(each.name, each.seed) for each in wanted])
        return [self._run(each) for each in wanted]

    def _run(self, wanted):
        value = self.scores.get((wanted.remedy or wanted.name).replace("-", "_").replace(" + ", "__"), 0.3)
        return run(value, wanted.seed, wanted.remedy)


def run(value, seed=0, remedy=""):
    if value is None:
        return TreatedRun(seed, "diverged", None, learned=False, remedy=remedy)
    return TreatedRun(seed, "finished", round(value + 0.01 * seed, 6), learned=value > 0.1, remedy=remedy)


def treated(
    *names, nothing=0.3, seeds=3, lots=("clip", "adam", "he"), workers=2, enough=None, partners=(), others=(), **scores
):
    """The treatments, and the rounds in which their runs were asked for."""
    train = Trainer(**scores)
    before = [run(nothing, seed) for seed in range(seeds)]
    remedies = [BY_NAME[name] for name in names]
    drawn = [BY_NAME[name] for name in lots[:seeds]]
    treating = Treating(
        before, remedies, drawn, GIVEN, train, SCALE, workers, enough or (lambda runs: True), partners,
        [BY_NAME[name] for name in others],
    )  # fmt: skip
    return treating.go(), train.rounds
