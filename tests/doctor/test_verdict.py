import dataclasses

import pytest

from doctor.treating import GIVEN, SCALE, treated
from normwise.doctor.finding import Finding, Severity
from normwise.doctor.gains import recommended
from normwise.doctor.outcome import Outcome, Status
from normwise.doctor.remedies import BY_NAME
from normwise.doctor.treatment import TreatedRun
from normwise.doctor.verdict import Said, first_sentence, recommendation, verdict
from normwise.records.metric import ACCURACY

CAUSE = "The gradient vanishes: from layer 12 to layer 1 it shrinks 4·10⁷ times."
VANISHING = Finding(
    "NW101", "vanishing-gradient", Severity.CRITICAL, remedies=("relu-he", "batch-normalization"),
    words=f"{CAUSE} The first layers stay as they are.",
)  # fmt: skip
REMARK = Finding("NW301", "useless-bias", Severity.INFO, words="A bias is useless.")
SIZES = {name: remedy.size for name, remedy in BY_NAME.items()}


def outcomes(*statuses):
    return [Outcome(Status(status), 500, 2.3, 0.1, 0.1, 2.3, 0.9, improving=False, noise=0.1) for status in statuses]


def said(*names, findings=(VANISHING,), statuses=("stuck",) * 3, value=0.31, untried="", without="", **options):
    treatments = treated(*names, **options)[0] if names else []
    found = recommended(treatments, SIZES, SCALE) if treatments else None
    return verdict(Said(findings, outcomes(*statuses), treatments, found, ACCURACY, value, untried, without))


def finished(value, seed, remedy, noisy):
    value = noisy[seed] if value == 0.9 else round(value + 0.01 * seed, 6)
    return TreatedRun(seed, "finished", value, learned=True, remedy=remedy)


THREE = ("relu-he", "lr*10", "adam", "batch-normalization")


def test_what_helped_most_and_what_the_controls_did():
    assert said(*THREE, relu_he=0.9, batch_normalization=0.5, lots=("he", "he", "he")) == (
        f"{CAUSE} Of 5 remedies tried (3 of them over 3 seeds), ReLU and He initialization helped most: 31.0 % → "
        "91.0 %; batch normalization alone: 51.0 %; a remedy drawn by lot: 31.0 %."
    )


def test_two_that_helped_together():
    assert said(*THREE, relu_he=0.6, batch_normalization=0.7, batch_normalization__relu_he=0.95) == (
        f"{CAUSE} Of 5 remedies tried (3 of them over 3 seeds), batch normalization with ReLU and He initialization "
        "helped most: 31.0 % → 96.0 %; batch normalization alone: 71.0 %; a remedy drawn by lot: 31.0 %."
    )


def test_a_smaller_change_that_is_as_good():
    found = said(*THREE, relu_he=0.9, adam=0.9, batch_normalization=0.3, adam__relu_he=0.3)
    assert "Adam helped: 31.0 % → 91.0 %" in found
    assert "batch normalization alone: 31.0 % (no better beyond seed noise); a remedy drawn by lot" in found


def test_one_that_is_better_and_not_clear_of_noise_is_not_taken_for_the_best(monkeypatch):
    noisy = [0.4, 0.99, 0.95]
    monkeypatch.setattr("doctor.treating.run", lambda value, seed=0, remedy="": finished(value, seed, remedy, noisy))
    found = said("clip", "adam", clip=0.7, adam=0.9, adam__clip=0.3)
    assert "a norm of 1 helped most: 31.0 % → 71.0 %; Adam (78.0 %) is not clear of seed noise; a remedy" in found


def test_no_improvement_is_said_plainly():
    assert said("relu-he", "batch-normalization", relu_he=0.31, batch_normalization=0.3) == (
        f"{CAUSE} No improvement found: of 3 remedies tried over 3 seeds, none was better than nothing beyond seed "
        "noise; the best is ReLU and He initialization: 31.0 % → 32.0 %; batch normalization alone: 31.0 %; a "
        "remedy drawn by lot: 31.0 %."
    )
    assert said("relu-he", relu_he=0.2) == (
        f"{CAUSE} No improvement found: of 1 remedy tried over 3 seeds, none was better than nothing (31.0 %); a "
        "remedy drawn by lot: 31.0 %."
    )
    assert "no improvement is certain, since one seed tells nothing about seed noise: of" in (
        said("relu-he", seeds=1, relu_he=0.9).lower()
    )


def test_where_batch_normalization_could_not_be_tried():
    found = said("relu-he", relu_he=0.9, without="the network has normalization already")
    assert "; batch normalization could not be tried: the network has normalization already; a remedy" in found


@pytest.mark.parametrize(
    ("statuses", "expected"),
    [
        (
            ("learned",) * 3,
            "Nothing is wrong: the network learns, validation accuracy 97.2 %, the mean of 3 runs of 500 steps.",
        ),
        (("learned",), "Nothing is wrong: the network learns, validation accuracy 97.2 %, after 500 steps."),
        (
            ("slow", "learned", "slow"),
            "No rule says what is wrong, and not every run learned well: of 3, 2 learned slowly, 1 learned; "
            "validation "
            "accuracy 97.2 %.",
        ),
    ],
)  # fmt: skip
def test_a_healthy_network(statuses, expected):
    assert said(findings=(REMARK,), statuses=statuses, value=0.972) == expected


def test_nothing_tried():
    assert said(untried="--no-treat was given") == (
        f"{CAUSE} Nothing was tried: --no-treat was given. What may help: ReLU and He initialization, batch "
        "normalization."
    )


def test_a_sentence_ends_before_a_capital_letter():
    assert first_sentence("It is 4.5 at step 3. Then it grows.") == "It is 4.5 at step 3."
    assert first_sentence("It shrinks, e.g. by half") == "It shrinks, e.g. by half"


def test_the_recommendation_says_what_to_type():
    found, _ = treated("lr/10", "batch-normalization", **{"lr/10": 0.9}, batch_normalization=0.3)
    assert recommendation(found, GIVEN, SCALE).change == (
        "a learning rate 10 times smaller: lr=0.02  # of the optimizer"
    )
    found, _ = treated(*THREE, relu_he=0.6, batch_normalization=0.7, batch_normalization__relu_he=0.95)
    both = recommendation(found, GIVEN, SCALE)
    assert both.name == "batch-normalization + relu-he"
    assert both.change.splitlines()[:3] == [
        "batch normalization with ReLU and He initialization:",
        "net = nw.batch_normalize(net, example=x).model  # before the optimizer is made",
        'net = nw.activate(net, "relu", example=x).model  # before the optimizer is made',
    ]
    assert both.as_dict() == {**dataclasses.asdict(both)}
    assert recommendation(treated("clip", clip=0.3)[0], GIVEN, SCALE) is None


def test_runs_that_diverged_are_said_to_have_no_value():
    found = said("clip", "adam", clip=0.9, adam=None, adam__clip=None, lots=("adam", "he", "he"))
    assert "a norm of 1 helped most: 31.0 % → 91.0 %; a remedy drawn by lot: 31.5 % (1 of 3 diverged)." in found


def test_a_healthy_network_could_be_a_little_better():
    found = said("clip", findings=(), clip=0.33)
    assert found.startswith("No rule says what is wrong, and not every run learned well: ")
    assert ". It could be a little better: of 1 remedy tried over 3 seeds, gradients clipped to a norm of 1" in found
