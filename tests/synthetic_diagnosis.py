"""Diagnoses of trainings that were never made: plausible numbers from formulas and a seeded generator."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from typing import Any

from normwise.doctor.diagnosis import Diagnosis
from normwise.doctor.evidence import Evidence, Training
from normwise.doctor.examination import Examination, ExaminedNorm, Measured
from normwise.doctor.finding import Finding, Severity
from normwise.doctor.outcome import Evaluation, Outcome, Status
from normwise.doctor.treatment import Recommendation, TreatedRun, Treatment
from normwise.probes.watched import Inputs, Loss, NotFinite, Observation, Units, Watched, Weights
from normwise.records.metric import ACCURACY

Value = float | None
Of = Callable[[int, int], Value]  # of depth and step

STEPS, EVERY = 320, 16
SETTINGS = {
    "data": "digits", "model": "mlp:100x20", "activation": "sigmoid", "optimizer": "sgd", "lr": 0.1, "batch_size": 60,
    "steps": STEPS, "loss": "cross_entropy", "inputs": "standard", "init": "xavier", "seed": 0, "clip": None,
    "metric": ACCURACY._asdict(),
}  # fmt: skip
SCORED: dict[str, Any] = {"metric": ACCURACY, "chance": 0.1}


def watched(
    names: Sequence[str],
    gradient: Of,
    *,
    loss: Callable[[int], float] = lambda step: 2.31,
    what: str = "sigmoid",
    saturated: Of = lambda depth, step: None,
    dead: Of = lambda depth, step: None,
    deviation: Of = lambda depth, step: 1.0,
    not_finite: NotFinite | None = None,
    steps: int = STEPS,
    seed: int = 0,
) -> Watched:
    """One training of a network whose linear maps are ``names``; each but the last has an activation behind it."""
    noise = random.Random(seed)
    observations = []
    for step in sorted({1, 2, 3, *range(EVERY, steps + 1, EVERY)}):
        weights, units = [], []
        for depth, name in enumerate(names):
            norm = gradient(depth, step)
            jitter = math.exp(noise.gauss(0, 0.2))
            scaled = None if norm is None else norm * jitter * 100
            weights.append(Weights(name, 8.0, scaled, None if scaled is None else 0.1 * scaled, 10_000, None))
            if depth < len(names) - 1:
                spread = deviation(depth, step)
                units.append(
                    Units(f"{name}.{what}", what, 0.1, spread or 0.0, saturated(depth, step), dead(depth, step), 0.5,
                          100, 0.5)
                )  # fmt: skip
        observations.append(Observation(step, loss(step), 0.1, tuple(weights), tuple(units), (), None))
    losses = tuple(loss(step) + noise.gauss(0, 0.04) * min(loss(step), 1.0) for step in range(1, steps + 1))
    return Watched(
        steps, EVERY, (), Inputs(60, 64, -1.0, 3.0, 0.0, 1.0), None, Loss("cross_entropy"), None, losses, 2.303,
        tuple(observations), not_finite, False, 200_000, 0, (), True,
    )  # fmt: skip


def training(
    seen: Watched, status: Status, seed: int | None = 0, metric: Callable[[int], Value] | None = None
) -> Training:
    """What came of it, with evaluations every 40 steps where there is a metric."""
    at = range(0, seen.steps + 1, 40) if metric else ()
    evaluations = tuple(
        Evaluation(
            step, seen.losses[max(step - 1, 0)], seen.losses[max(step - 1, 0)] + 0.05, metric(step), metric(step)
        )
        for step in at
        if metric
    )
    end = seen.losses[-1] if math.isfinite(seen.losses[-1]) else None
    learned = status is Status.LEARNED if metric else None
    outcome = Outcome(status, seen.steps, seen.losses[0], end, end, 2.303, 0.0, False, 0.02, evaluations, learned)
    return Training(seen, outcome, seed)


def treatment(
    name: str, values: Sequence[Value], base: float = 0.112, margin: float | None = 0.05, **rest: Any
) -> Treatment:
    """A treatment with these values, one per seed; None of a run that diverged."""
    runs = tuple(
        TreatedRun(seed, "diverged" if value is None else "finished", value, (value or 0.0) > 0.3)
        for seed, value in enumerate(values)
    )
    numbers = [0.1 if value is None else value for value in values]
    mean = sum(numbers) / len(numbers)
    std = math.sqrt(sum((value - mean) ** 2 for value in numbers) / (len(numbers) - 1)) if len(numbers) > 1 else None
    gain = mean - base
    helped = margin is not None and gain > margin
    return Treatment(name, rest.pop("settings", {}), runs, mean, std, gain, margin, helped, **rest)


TREATMENTS = (
    treatment("nothing", (0.112, 0.104, 0.12), margin=None),
    treatment("random", (0.11, 0.35, 0.10), margin=0.41),
    treatment("batch-normalization", (0.93, 0.924, 0.936), settings={"norm": "batch"}),
    treatment("relu-he", (0.62, 0.71, None), margin=0.6, settings={"activation": "relu", "init": "he"}),
    treatment("tanh-xavier", (0.91, 0.90, 0.915), settings={"activation": "tanh", "init": "xavier"}),
    treatment("adam", (0.108,), margin=None, settings={"optimizer": "adam", "lr": 0.001},
              dropped="it scored 10.8 %, no better than nothing"),
    treatment("lr*100", (None, None, None), margin=0.01, settings={"lr": 10.0}),
    treatment("batch-normalization + relu-he", (0.971, 0.968, 0.973),
              settings={"norm": "batch", "activation": "relu", "init": "he"}),
)  # fmt: skip

VERDICT = (
    "The gradient vanishes: from the last layer to the first it shrinks 4·10⁷ times, because sigmoid units let at most "
    "a quarter of it through. Of 6 remedies tried over 3 seeds, batch normalization with ReLU and He's initialization "
    "helped most: accuracy 11.2 % → 97.1 %; batch normalization alone: 93.0 %."
)
CHANGE = (
    "Batch normalization before each activation, ReLU in place of sigmoid, and He's initialization:\n"
    "net = nw.batch_normalize(net, example).model"
)


def deep(names: Sequence[str] = tuple(f"hidden{place + 1}" for place in range(20)), **options: Any) -> Diagnosis:
    """A deep sigmoid network whose gradient vanishes, watched at three seeds and treated."""
    count = len(names)

    def seen(seed: int) -> Watched:
        return watched(
            names,
            lambda depth, step: 10 ** (-2 - 0.4 * (count - 1 - depth) - 0.003 * step),
            loss=lambda step: 2.31 - 0.002 * seed,
            saturated=lambda depth, step: min(1.0, 0.02 * depth * step / STEPS),
            deviation=lambda depth, step: 0.3 + 0.05 * depth,
            seed=seed,
        )

    trainings = [
        training(seen(seed), Status.STUCK, seed, lambda step, seed=seed: 0.1 + 0.01 * math.sin(step + seed))
        for seed in range(3)
    ]
    findings = (
        Finding(
            "NW101", "vanishing-gradient", Severity.CRITICAL, tuple(names[:3]), 1,
            {"ratio": 4.1e7, "first": 2.2e-10, "last": 0.0091, "loss": 2.31, "constant": 2.303},
            ("batch-normalization", "relu-he", "tanh-xavier"),
            "The gradient of the first layers is 4·10⁷ times smaller than that of the last, so they hardly change. "
            "The loss stays where a constant prediction is.",
        ),
        Finding("NW104", "saturated-units", Severity.WARNING, tuple(names[12:19]), 160, {"saturated": 0.38},
                ("batch-normalization",), "More than a third of the units of seven layers are saturated."),
        Finding("NW301", "useless-bias", Severity.INFO, (), None, {}, (),
                "The bias in front of a normalization does nothing: the normalization subtracts it."),
    )  # fmt: skip
    given: dict[str, Any] = {
        "treatments": TREATMENTS, "verdict": VERDICT, "learned": False,
        "recommendation": Recommendation("batch-normalization + relu-he", CHANGE, 0.859, 0.02),
        "notes": ("adam was dropped after its first seed.",), **SCORED,
    }  # fmt: skip
    given |= options
    return Diagnosis(findings, Evidence(trainings, SETTINGS, None, given["treatments"]), **given)


def dead() -> Diagnosis:
    """A ReLU network most of whose layers die, in a loop of one's own."""
    names = [f"features.{2 * place}" for place in range(6)] + ["classifier"]

    def died(depth: int, step: int) -> bool:
        return step > 60 and depth < 4

    seen = watched(
        names,
        lambda depth, step: 0.0 if died(depth, step) else 10 ** (-3 + 0.2 * depth),
        loss=lambda step: 1.4 if step < 60 else 2.31,
        what="relu",
        dead=lambda depth, step: None if step < 3 else 1.0 if died(depth, step) else 0.08 * depth,
    )
    found = Finding("NW103", "dead-units", Severity.CRITICAL, tuple(names[:4]), 64, {"dead": 1.0, "units": 400},
                    ("he", "leaky-relu-he", "lr/10"), "All units of four layers are 0 for every example.")  # fmt: skip
    verdict = "All units of features.0 to features.6 are dead since step 64: no gradient passes them."
    return Diagnosis((found,), Evidence([training(seen, Status.STUCK, None)]), verdict=verdict, learned=False)


def healthy(count: int = 4) -> Diagnosis:
    """A network that learns; no finding."""
    seen = watched(
        [str(2 * place) for place in range(count)],
        lambda depth, step: 10 ** (-2.2 - 0.1 * depth - 0.004 * step),
        loss=lambda step: 0.1 + 2.2 * math.exp(-step / 60),
        what="tanh",
        saturated=lambda depth, step: 0.0,
    )
    known = training(seen, Status.LEARNED, 0, lambda step: 0.95 - 0.85 * math.exp(-step / 60))
    verdict = "The network learns, and nothing is wrong with it."
    return Diagnosis((), Evidence([known], SETTINGS), verdict=verdict, **SCORED)


def diverged() -> Diagnosis:
    """A training whose loss is nan from step 150 on."""
    names = [f"block{place // 3}.conv{place % 3 + 1}" for place in range(9)]

    def gone(step: int) -> bool:
        return step >= 150

    seen = watched(
        names,
        lambda depth, step: math.nan if gone(step) else 10 ** (-2 + 0.0008 * step**1.8 / 4 - 0.1 * depth),
        loss=lambda step: math.nan if gone(step) else 2.3 + 10 ** (-2 + step / 20),
        what="relu",
        deviation=lambda depth, step: math.nan if gone(step) else 10 ** (step / 60),
        not_finite=NotFinite(150, "activation", "block2.conv1"),
    )
    found = Finding(
        "NW105", "non-finite", Severity.CRITICAL, ("block2.conv1",), 150, {"what": "activation"}, ("lr/10", "clip"),
        "The activations of block2.conv1 are not finite since step 150.",
    )  # fmt: skip
    verdict = "The training diverges: at step 150 the activations of block2.conv1 are no longer finite."
    return Diagnosis((found,), Evidence([training(seen, Status.DIVERGED, None)]), verdict=verdict, learned=False)


def examined(count: int = 8) -> Diagnosis:
    """A trained network whose statistics were never updated."""
    noise = random.Random(0)
    norms = tuple(
        ExaminedNorm(
            f"layer{place // 2 + 1}.{place % 2}.bn1", True, 12, 0.1, 0.28, False, True, 512,
            gap := 10 ** noise.uniform(-0.6, 1.6), gap * noise.uniform(0.2, 0.6), noise.uniform(0.2, 6), 1.0, 0.02,
            0.0, 0.0, False,
        )
        for place in range(count)
    )  # fmt: skip
    seen = Examination(norms, 0, Measured(0.41, 0.887), Measured(3.12, 0.412), Measured(0.39, 0.891), 0.08, "accuracy",
                       True, "accuracy", True, 0.1, 20, 100)  # fmt: skip
    found = Finding(
        "NW402", "stale-statistics", Severity.CRITICAL, tuple(norm.layer for norm in norms[:5]), None,
        {"batches": 12, "momentum": 0.1, "stored loss": 3.12, "estimated loss": 0.39},
        ("estimate-population",), "The running statistics are too young for their momentum.",
    )  # fmt: skip
    verdict = (
        "In evaluation mode the stored statistics are wrong: validation accuracy 41.2 → 89.1 % after re-estimating."
    )
    change = Recommendation("estimate-population", "nw.estimate_population(net, loader)", 0.479, 0.02)
    return Diagnosis((found,), Evidence((), {}, seen), verdict=verdict, recommendation=change, **SCORED)


def korean() -> Diagnosis:
    """Names of layers in Korean, and one that is long."""
    names = [f"은닉층_{place + 1}" for place in range(6)] + ["출력층.아주_긴_이름을_가진_마지막_선형_변환"]
    return deep(names, treatments=())


ALL: dict[str, Callable[[], Diagnosis]] = {
    "deep": deep,
    "dead": dead,
    "healthy": healthy,
    "diverged": diverged,
    "one-layer": lambda: healthy(1),
    "sixty": lambda: deep([f"encoder.layers.{place}.linear" for place in range(60)], treatments=()),
    "examined": examined,
    "many-norms": lambda: examined(53),
    "korean": korean,
}
