"""Hand-made evidence: a healthy training, of which a test changes a few numbers."""

from __future__ import annotations

import math

from normwise.doctor.evidence import Evidence, Training
from normwise.doctor.finding import Finding
from normwise.doctor.outcome import Evaluation, outcome
from normwise.doctor.treatment import TreatedRun, Treatment
from normwise.probes.watched import (
    Call,
    Inputs,
    Loss,
    Observation,
    Optimizer,
    Outputs,
    Targets,
    Units,
    Watched,
    Weights,
)

STEPS, EVERY, CLASSES = 320, 16, 10
LAYERS = ("0", "2", "4", "6")
LEARNS = tuple(2.3 * 0.98**step + 0.1 for step in range(STEPS))
STUCK = tuple(2.304 + 0.004 * math.sin(7 * step) for step in range(STEPS))
SLOW = tuple(2.3 - 0.5 * step / STEPS for step in range(STEPS))


def weights(
    layer: str, weight=5.0, gradient=0.5, update=0.01, size=10_000, zero=0.0, alike=False, learned=True
) -> Weights:
    return Weights(layer, weight, gradient, update, size, zero, alike, learned)


def units(
    layer: str, what="relu", mean=0.0, std=1.0, saturated=None, dead=0.0, zero=0.5, count=100, spread=0.8
) -> Units:
    return Units(layer, what, mean, std, saturated, dead, zero, count, spread)


def observation(step: int, rows=None, nonlinearities=None, loss=1.0, lr=0.1, outputs=0.8) -> Observation:
    """One recorded step.

    Args:
        rows: of ``weights``.
        nonlinearities: of ``units``.
        outputs: how much they depend on the example.
    """
    rows = tuple(weights(layer) for layer in LAYERS) if rows is None else tuple(rows)
    nonlinearities = (
        tuple(units(str(int(layer) + 1)) for layer in LAYERS[:-1]) if nonlinearities is None else nonlinearities
    )
    return Observation(step, loss, lr, rows, tuple(nonlinearities), (), Outputs(0.0, 1.0, outputs))


def recorded(**changes) -> tuple[Observation, ...]:
    """The same numbers at every recorded step."""
    return tuple(observation(step, **changes) for step in (1, 2, 3, *range(EVERY, STEPS + 1, EVERY)))


def watched(**changes) -> Watched:
    """A healthy classifier with ReLU that learns; ``changes`` are attributes of ``Watched``."""
    healthy = {
        "steps": STEPS,
        "every": EVERY,
        "calls": tuple(Call(layer, "linear", "Linear", (), (32, 64), (32, 100), {"bias": True}) for layer in LAYERS),
        "inputs": Inputs(32, 64, -3.0, 3.0, 0.0, 1.0, 0, 1.5, 0.2, 0.0),
        "targets": Targets(classes=CLASSES, same=0.2),
        "loss": Loss("cross_entropy", (), (32, CLASSES)),
        "optimizer": Optimizer("SGD", 0.1, None, 0.0, (), ()),
        "losses": LEARNS,
        "constant": math.log(CLASSES),
        "observations": recorded(),
        "not_finite": None,
        "kept_gradients": False,
        "parameters": 40_000,
        "frozen": 0,
        "evaluating": (),
        "checked": True,
    }
    return Watched(**(healthy | changes))


def training(evaluations: tuple[Evaluation, ...] = (), learned: bool | None = None, seed=None, **changes) -> Training:
    seen = watched(**changes)
    return Training(seen, outcome(seen, evaluations, learned=learned), seed)


def evidence(*trainings: Training, treatments=(), chance=None, **changes) -> Evidence:
    """Of these trainings, or of one with ``changes``."""
    return Evidence(trainings or (training(**changes),), treatments=treatments, chance=chance)


def treatment(name: str, mean: float, gain: float, margin=0.02) -> Treatment:
    runs = tuple(TreatedRun(seed, "finished", mean, True) for seed in range(3))
    return Treatment(name, {}, runs, mean, 0.01, gain, margin, gain > margin)


def found(findings: list[Finding]) -> list[tuple[str, str]]:
    return [(finding.name, str(finding.severity)) for finding in findings]
