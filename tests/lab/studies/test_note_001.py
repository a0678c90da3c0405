"""The claims of note-001 against numbers that are known."""

import pytest

from normwise.lab.studies.note_001 import INITS, NORMS, depends_less_on_the_weights, is_faster, overfits_less
from reproductions import outcome, run


@pytest.mark.parametrize(
    ("bn", "plain", "verdict"),
    [((0.96, 0.95), (0.9, 0.95), "holds"), ((0.9, 0.95), (0.94, 0.95), "does not hold"),
     ((0.93, 0.95), (0.92, 0.95), "undecided"), ((0.949, 0.95), (0.947, 0.95), "undecided")],
)  # fmt: skip
def test_initial_weights_matter_less_with_bn(bn, plain, verdict):
    last = list(INITS)[-1]
    accuracies = {
        f"{arm}, {name}": values[name != last] for arm, values in (("bn", bn), ("plain", plain)) for name in INITS
    }
    found = outcome({arm: [run(arm, accuracy=(0.1, value))] for arm, value in accuracies.items()})
    assert set(accuracies) == {f"{arm}, {name}" for arm in NORMS for name in INITS}
    assert depends_less_on_the_weights(found).verdict == verdict


@pytest.mark.parametrize(
    ("bn", "plain", "verdict"),
    [
        ((0.1, 0.2), (0.3, 0.4), "holds"),
        ((0.5, 0.6), (0.3, 0.4), "does not hold"),
        ((0.1, 0.6), (0.3, 0.4), "undecided"),
    ],
)
def test_the_first_epoch_decides_who_is_faster_and_a_mixed_result_nothing(bn, plain, verdict):
    losses = {"bn, Xavier": bn, "plain, Xavier": plain}
    found = {arm: [run(arm, loss=(2.3, loss)) for loss in each] for arm, each in losses.items()}
    assert is_faster(outcome(found)).verdict == verdict


@pytest.mark.parametrize(("bn", "plain", "verdict"), [(0.2, 0.3, "holds"), (0.3, 0.2, "does not hold")])
def test_the_gap_is_test_less_training_loss(bn, plain, verdict):
    found = {}
    for arm, test in {"bn, Xavier": bn, "plain, Xavier": plain}.items():
        found[arm] = [run(arm, seed, loss=(2.3, 0.1)) for seed in (0, 1)]
        for one in found[arm]:
            one.metrics[-1]["test"] = {"loss": test, "accuracy": 0.9}
    assert overfits_less(outcome(found)).verdict == verdict
