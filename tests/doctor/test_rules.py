"""Each rule on numbers that it speaks of, and on the same numbers where the network learned."""

from __future__ import annotations

import math

import pytest

from doctor.evidence import (
    LAYERS,
    LEARNS,
    SLOW,
    STEPS,
    STUCK,
    evidence,
    found,
    observation,
    recorded,
    training,
    treatment,
    units,
    weights,
)
from normwise.doctor.finding import Severity
from normwise.doctor.outcome import Evaluation
from normwise.doctor.rules import judged
from normwise.probes.watched import Inputs, Loss, NotFinite, Optimizer, Targets

JUMPS = tuple(2.3 + (0.6 if step // 16 % 2 else -0.6) for step in range(STEPS))
RISES = (2.3, 80.0, 30.0, *STUCK[3:])
BROKEN = (*STUCK[:50], math.nan)


def rows(gradients=(0.5,) * 4, update=0.01, **changes):
    return [
        weights(layer, gradient=each, update=update, **changes) for layer, each in zip(LAYERS, gradients, strict=True)
    ]


def activations(**changes):
    return [units(str(int(layer) + 1), **changes) for layer in LAYERS[:-1]]


FADING = rows((1e-5, 1e-4, 1e-2, 0.5))
HIGH = recorded(rows=rows(update=20.0))
SIGMOIDS = activations(what="sigmoid", saturated=0.95, dead=None)
SHRINKING = [units(layer, std=std) for layer, std in zip("135", (1.0, 0.05, 0.001), strict=True)]
REGRESSION = {"loss": Loss("mse", (), (32, 1)), "constant": 1.0, "losses": (1.0,) * STEPS}
FAR = Targets(low=-500.0, high=900.0, mean=100.0, std=300.0)

CASES = {
    "vanishing-gradient": {"observations": recorded(rows=FADING, nonlinearities=SIGMOIDS)},
    "vanishing-gradient, all of it": {"observations": recorded(rows=rows((1e-9, 1e-9, 1e-9, 0.5)))},
    "exploding-gradient": {"observations": recorded(rows=rows((5e3, 1e3, 10.0, 1.0)))},
    "exploding-gradient, at once": {
        "losses": (math.inf,),
        "not_finite": NotFinite(1, "activation", "4"),
        "observations": recorded(nonlinearities=activations(std=1e30)),
    },
    "non-finite, divided by 0": {"losses": (math.nan,), "not_finite": NotFinite(1, "activation", "4")},
    "non-finite, the root of 0": {"losses": (2.3, math.nan), "not_finite": NotFinite(1, "gradient", "4")},
    "non-finite, an input": {
        "losses": BROKEN,
        "not_finite": NotFinite(51, "input", ""),
        "inputs": Inputs(32, 784, 0.0, 255.0, 33.0, 79.0, 0, 3.0, 2.0, 0.1),
        "observations": HIGH,
    },
    "dead-units": {"observations": recorded(nonlinearities=activations(dead=1.0, zero=1.0))},
    "saturated-units": {"observations": recorded(nonlinearities=SIGMOIDS)},
    "non-finite": {"losses": BROKEN, "not_finite": NotFinite(51, "loss", "")},
    "learning-rate-too-high": {"observations": HIGH, "losses": RISES},
    "learning-rate-too-high, units died": {
        "observations": (observation(1, rows=rows(update=1.0)), *recorded(nonlinearities=activations(dead=1.0))[1:])
    },
    "learning-rate-too-high, at once": {
        "observations": recorded(rows=rows(update=math.inf)),
        "losses": (2.3, math.nan),
        "not_finite": NotFinite(2, "weight", "0"),
    },
    "learning-rate-too-low": {"observations": recorded(rows=rows(update=1e-6))},
    "bad-initialization": {"observations": recorded(rows=rows(alike=True))},
    "bad-initialization, large": {"losses": tuple(30 + 5 * math.sin(step) for step in range(STEPS))},
    "bad-initialization, small": {"observations": recorded(nonlinearities=SHRINKING)},
    "oscillating-loss": {"losses": JUMPS},
    "ignores-input": {"observations": recorded(outputs=1e-4)},
    "does-not-learn": {},
    "gradients-not-cleared": {"kept_gradients": True},
    "parameters-not-updated": {"observations": recorded(rows=rows(update=0.0)), "checked": False},
    "unscaled-inputs": {"inputs": Inputs(32, 784, 0.0, 255.0, 33.0, 79.0, 0, 3.0, 2.0, 0.1)},
    "unscaled-inputs, apart": {"inputs": Inputs(32, 8, -900.0, 900.0, 2.0, 9.0, 0, 5e4, 2.0, 0.0)},
    "unscaled-inputs, constant": {"inputs": Inputs(32, 64, 1.0, 1.0, 1.0, 0.0, 0, None, None, 1.0)},
    "weight-decay-too-high": {
        "optimizer": Optimizer("SGD", 0.1, None, 1.0, (), ()),
        "observations": (observation(1), *recorded(rows=rows((1e-3,) * 4, weight=0.01, update=1e-3))[1:]),
    },
    "weight-decay-too-high, decoupled": {
        "optimizer": Optimizer("AdamW", 0.1, None, 1.0, (), ()),
        "observations": (observation(1), *recorded(rows=rows(weight=2.0, update=0.3))[1:]),
    },
    "vanishing-gradient, sigmoids": {
        "observations": recorded(rows=rows((1e-3, 1e-2, 0.1, 0.5)), nonlinearities=activations(what="sigmoid"))
    },
    "unscaled-targets": REGRESSION | {"targets": FAR, "losses": (9e4,) * STEPS, "constant": 9e4},
    "output-does-not-fit-loss": {"loss": Loss("cross_entropy", ("relu",), (32, 10))},
    "output-does-not-fit-loss, range": REGRESSION
    | {"loss": Loss("mse", ("sigmoid",), (32, 1)), "targets": Targets(low=-2.0, high=2.0, mean=0.0, std=1.0)},
    "output-does-not-fit-loss, every output with every target": REGRESSION
    | {"loss": Loss("mse", (), (32, 1), 1.0, (32, 32)), "targets": Targets(low=-2.0, high=2.0, mean=0.0, std=1.0)},
    "unscaled-inputs, close to 0": {
        "inputs": Inputs(32, 64, -3e-4, 3e-4, 0.0, 1e-4, 0, 1.5, 0.2, 0.0),
        "observations": recorded(rows=FADING),
    },
    "sorted-batches": {"targets": Targets(classes=10, same=1.0)},
}


def name(case: str) -> str:
    return case.split(",")[0]


@pytest.mark.parametrize("case", CASES)
def test_stuck(case):
    findings = judged(evidence(**({"losses": STUCK} | CASES[case])))
    assert findings[0].name == name(case)
    assert findings[0].severity.is_trouble
    assert findings[0].words.endswith((".", ")."))


CERTAIN = (
    "non-finite",
    "non-finite, divided by 0",
    "non-finite, the root of 0",
    "non-finite, an input",
    "exploding-gradient, at once",
    "learning-rate-too-high, at once",
    "parameters-not-updated",
    "sorted-batches",
)
"""Where there is no learning with such numbers, or it says nothing."""


@pytest.mark.parametrize("case", [case for case in CASES if case not in CERTAIN])
def test_the_same_numbers_are_no_trouble_where_the_network_learned(case):
    changes = CASES[case] | {
        "losses": tuple(CASES[case].get("constant", math.log(10)) * 0.98**step for step in range(STEPS))
    }
    assert not [finding for finding in judged(evidence(**changes)) if finding.severity.is_trouble]


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("vanishing-gradient", CASES["vanishing-gradient"]),
        ("dead-units", CASES["dead-units"]),
        ("learning-rate-too-low", {"observations": recorded(rows=rows(update=1e-5))}),
        ("output-does-not-fit-loss", {"loss": Loss("cross_entropy", ("softmax",), (32, 10))}),
        ("unscaled-inputs", CASES["unscaled-inputs"]),
    ],
)
def test_strong_evidence_is_a_warning_where_a_training_is_slow(name, changes):
    findings = judged(evidence(**({"losses": SLOW} | changes)))
    assert (findings[0].name, findings[0].severity) == (name, Severity.WARNING)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"observations": recorded(nonlinearities=activations(dead=0.5, zero=0.8))},
        {"observations": recorded(rows=rows((5e-3, 5e-3, 0.05, 1.0)))},
        {"observations": recorded(rows=rows(update=5e-3))},
        {"inputs": Inputs(32, 4, 0.1, 7.9, 3.5, 2.0, 0, 2.4, 7.0, 0.0)},  # iris
        {
            "optimizer": Optimizer("SGD", 0.1, None, 0.0, (), ()),
            "losses": tuple(2.6 - 0.01 * step for step in range(20)),
        },
    ],
)
def test_a_slow_training_with_usual_numbers_is_no_trouble(changes):
    assert not [f for f in judged(evidence(**({"losses": SLOW} | changes))) if f.severity.is_trouble]


def test_overfitting():
    def curve(values):
        return tuple(
            Evaluation(16 * step, 2.0 * 0.8**step, 1.0 + 0.1 * step, 1 - 0.8**step, value)
            for step, value in enumerate(values)
        )

    suffers = training(curve([0.1, 0.5, 0.7, 0.8, 0.75, 0.7, 0.65, 0.6, 0.55, 0.5]), learned=True)
    certain = training(curve([0.1, 0.5, 0.7, 0.8, 0.8, 0.8, 0.8, 0.8, 0.8, 0.8]), learned=True)
    assert found(judged(evidence(suffers))) == [("overfitting", "warning")]
    assert found(judged(evidence(certain))) == [("overfitting", "info")]


@pytest.mark.parametrize(("metric", "words"), [(0.1, "no better than guessing"), (0.01, "its targets may not belong")])
def test_validation_at_chance_and_far_below(metric, words):
    rows_ = tuple(Evaluation(16 * step, 2.0 * 0.8**step, 2.3 + 0.5 * step, 1 - 0.8**step, metric) for step in range(20))
    first = judged(evidence(training(rows_, learned=False), chance=0.1))[0]
    assert (first.name, words in first.words) == ("overfitting", True)


def test_parameters_that_the_optimizer_does_not_hold():
    missing = Optimizer("SGD", 0.1, None, 0.0, (), ("6.weight", "6.bias"))
    assert found(judged(evidence(optimizer=missing, losses=STUCK))) == [("parameters-not-updated", "warning")]
    assert found(judged(evidence(optimizer=missing))) == [("parameters-not-updated", "info")]


@pytest.mark.parametrize("gradient", [None, 0.0])
def test_layers_without_a_gradient(gradient):
    cut = {"observations": recorded(rows=rows((gradient, gradient, 0.5, 0.5)))}
    first = judged(evidence(**cut, losses=STUCK))[0]
    assert (first.name, first.severity, first.where) == ("parameters-not-updated", Severity.WARNING, ("0", "2"))
    assert found(judged(evidence(**cut))) == [("parameters-not-updated", "info")]
    frozen = {"observations": recorded(rows=[*rows(learned=False)[:2], *rows()[2:]])}
    assert judged(evidence(**frozen)) == []


def test_no_gradient_at_all_when_the_optimizer_steps():
    cleared = {"observations": recorded(rows=rows((None,) * 4, update=0.0)), "checked": False, "losses": STUCK}
    first = judged(evidence(**cleared))[0]
    assert (first.name, first.severity) == ("parameters-not-updated", Severity.CRITICAL)
    assert "zero_grad()" in first.words


def test_layers_that_are_frozen_during_the_training():
    seen = list(recorded())
    seen[10:] = [
        each._replace(weights=(each.weights[0]._replace(learned=False), *each.weights[1:])) for each in seen[10:]
    ]
    late = {"observations": tuple(seen)}
    finding = next(each for each in judged(evidence(**late, losses=STUCK)) if each.name == "parameters-not-updated")
    assert (finding.severity, finding.where, finding.since_step) == (Severity.INFO, ("0",), seen[10].step)
    assert judged(evidence(**late)) == []


def test_biases_alone():
    few = {"observations": recorded(rows=rows((None,) * 4, update=0.0, learned=False)), "frozen": 39_990}
    assert found(judged(evidence(**few, parameters=10, losses=STUCK))) == [("parameters-not-updated", "warning")]
    assert judged(evidence(**few, parameters=10)) == []


def test_a_long_first_step_of_the_last_layer_is_usual():
    """Without harm: the loss does not rise, and no unit is lost."""
    long = (*rows()[:-1], weights(LAYERS[-1], update=1.0))
    assert found(judged(evidence(losses=STUCK, observations=(observation(1, rows=long), *recorded()[1:])))) == [
        ("does-not-learn", "critical")
    ]


def test_slow_for_long():
    """A squared error of sigmoids against 0 and 1 is flat; of linear outputs nothing says why."""
    slow = {"losses": tuple(0.09 - 0.003 * step / STEPS for step in range(STEPS)), "constant": 0.09}
    classes = Targets(low=0.0, high=1.0, mean=0.1, std=0.3)
    flat = evidence(loss=Loss("mse", ("sigmoid",), (32, 10)), targets=classes, **slow)
    assert found(judged(flat)) == [("output-does-not-fit-loss", "warning")]
    linear = evidence(loss=Loss("mse", (), (32, 10)), targets=classes, **slow)
    assert found(judged(linear)) == [("does-not-learn", "info")]


def test_what_is_learned_of_labels_by_chance_is_by_heart():
    rows_ = tuple(Evaluation(16 * step, 2.3 - 0.02 * step, 2.3 + 0.02 * step, 0.2, 0.1) for step in range(20))
    assert found(judged(evidence(training(rows_, learned=False, losses=SLOW)))) == [("does-not-learn", "warning")]


def test_remedies_without_a_gain_speak_against_a_cause():
    both = {"losses": STUCK, "inputs": CASES["unscaled-inputs"]["inputs"], "targets": Targets(classes=10, same=0.2)}
    both |= {"loss": Loss("cross_entropy", ("softmax",), (32, 10)), "chance": 0.1}
    gains = [
        treatment("nothing", 0.1, 0.0),
        treatment("linear-output", 0.1, 0.0),
        treatment("standard-inputs", 0.9, 0.8),
    ]
    assert judged(evidence(**both))[0].name == "output-does-not-fit-loss"
    assert found(judged(evidence(**both, treatments=gains))) == [
        ("unscaled-inputs", "critical"),
        ("output-does-not-fit-loss", "info"),
    ]


def test_small_inputs_are_no_matter_of_a_smaller_learning_rate():
    first = judged(evidence(losses=STUCK, **CASES["unscaled-inputs, close to 0"]))[0]
    assert first.remedies == ("standard-inputs", "batch-normalization", "lr*10", "lr*100")


def test_many_layers_are_counted():
    deep = [weights(str(layer), gradient=10.0 ** (layer - 8)) for layer in range(9)]
    finding = judged(evidence(losses=STUCK, observations=recorded(rows=deep)))[0]
    assert "(0 to 7 (8 layers)):" in str(finding)
    assert len(finding.where) == 8


def test_a_first_loss_of_rare_classes_is_no_sign_of_large_weights():
    rare = {"losses": tuple(0.69 + 0.001 * math.sin(step) for step in range(STEPS)), "constant": 0.1}
    binary = Loss("cross_entropy", (), (32, 2))
    assert "bad-initialization" not in [each.name for each in judged(evidence(**rare, loss=binary))]


def test_a_gradient_that_mixed_precision_skipped_is_information():
    assert found(judged(evidence(not_finite=NotFinite(1, "gradient", "6")))) == [("non-finite", "info")]


@pytest.mark.parametrize(("losses", "sudden"), [(BROKEN, True), ((*STUCK[:48], 9.0, 80.0, math.nan), False)])
def test_a_loss_that_is_not_finite_of_a_sudden_may_come_from_its_batch(losses, sudden):
    first = judged(evidence(losses=losses, not_finite=NotFinite(51, "loss", "")))[0]
    assert first.name == "non-finite"
    assert ("in the inputs and targets of that batch" in first.words) is sudden


def test_one_seed_of_many_is_a_warning():
    stuck = training(**CASES["dead-units"], losses=STUCK, seed=0)
    many = [training(seed=seed) for seed in range(1, 5)]
    findings = judged(evidence(stuck, *many))
    assert found(findings) == [("dead-units", "warning")]
    assert "1 of 5 runs" in findings[0].words
    assert judged(evidence(stuck, *many[:2]))[0].severity is Severity.CRITICAL


def test_a_large_gain_makes_a_warning_of_what_it_cures():
    nothing = treatment("nothing", 0.3, 0.0)
    many = {"losses": SLOW, "chance": 0.1}
    assert found(judged(evidence(**many, treatments=[nothing, treatment("lr*10", 0.9, 0.6)]))) == [
        ("learning-rate-too-low", "warning")
    ]
    assert judged(evidence(**many, treatments=[nothing, treatment("lr*10", 0.45, 0.15)])) == []
    better = [nothing, treatment("lr*10", 0.8, 0.5), treatment("he", 0.95, 0.65)]
    assert found(judged(evidence(**many, treatments=better))) == [("bad-initialization", "warning")]


def test_a_large_gain_that_no_rule_explains_is_a_warning_and_a_small_one_nothing():
    tried = [treatment("nothing", 0.3, 0.0), treatment("dropout", 0.9, 0.6), treatment("random", 0.95, 0.65)]
    finding = judged(evidence(losses=SLOW, chance=0.1, treatments=tried))[0]
    assert (finding.name, finding.severity) == ("learns-less-than-it-could", Severity.WARNING)
    assert "metric is 0.3, and 0.9 with dropout, where guessing has 0.1." in finding.words
    assert judged(evidence(losses=SLOW, chance=0.1, treatments=[tried[0], treatment("dropout", 0.45, 0.15)])) == []
    assert judged(evidence(losses=SLOW, chance=0.1, treatments=[tried[0], tried[2]])) == []


def test_a_rule_is_ignored_by_id_or_name():
    dead = {"losses": STUCK} | CASES["dead-units"]
    assert judged(evidence(**dead))[0].rule == "NW103"
    for ignore in ("NW103", "dead-units"):
        assert "NW103" not in [each.rule for each in judged(evidence(**dead), ignore=(ignore,))]


def test_learning_is_healthy_with_unusual_numbers():
    assert judged(evidence(losses=LEARNS, observations=(observation(1), *recorded(rows=FADING)))) == []
