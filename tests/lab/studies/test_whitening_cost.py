"""The claims of whitening-cost against numbers that are known."""

import pytest

from normwise.lab.studies.whitening_cost import (
    at_time,
    exponent,
    grows_cubically,
    is_behind_at_equal_time,
    is_expensive,
    learns_sooner,
)
from reproductions import outcome

GROUPED = "Newton, groups of 64"
WIDTHS = [16, 32, 64, 128]


def timed(**powers):
    """An outcome in which each layer's time is 10⁻⁶ s times a power of the width."""
    given = {"BN": 1, "ZCA": 3, "Newton": 3} | powers
    seconds = {name: [1e-6 * width**power for width in WIDTHS] for name, power in given.items()}
    return outcome(measured={"times": [{"widths": WIDTHS, **seconds, GROUPED: seconds["BN"]}]})


def learned(**arms):
    """An outcome in which each network reaches accuracies at 0, 1, 2, … times its seconds a step; two equal seeds."""
    return outcome(
        measured={
            name: [{"accuracy": values, "seconds": [seconds * at for at in range(len(values))]}] * 2
            for name, (seconds, values) in arms.items()
        }
    )


def test_the_exponent_is_that_of_the_largest_widths():
    assert exponent(WIDTHS, [5, 32**2, 64**2, 128**2]) == pytest.approx(2)


@pytest.mark.parametrize(
    ("powers", "verdict"), [({}, "holds"), ({"ZCA": 2}, "does not hold"), ({"BN": 2}, "does not hold")]
)
def test_whitening_is_cubic_and_normalizing_linear(powers, verdict):
    assert grows_cubically(timed(**powers)).verdict == verdict
    assert is_expensive(timed(**powers)).verdict == "holds"


def test_what_costs_as_much_is_not_expensive():
    assert is_expensive(timed(ZCA=1.1)).verdict == "does not hold"


def test_equal_steps_and_equal_time_are_two_things():
    slow_and_good = (10.0, [0.1, 0.9, 0.95])
    found = learned(BN=(1.0, [0.1, 0.8, 0.9]), ZCA=slow_and_good, Newton=slow_and_good, **{GROUPED: slow_and_good})
    assert learns_sooner(found, "ZCA").verdict == "holds"
    assert is_behind_at_equal_time(found).verdict == "holds"
    fast = learned(
        BN=(1.0, [0.1, 0.8, 0.9]), ZCA=slow_and_good, Newton=(0.5, [0.1, 0.9, 0.95]), **{GROUPED: slow_and_good}
    )
    assert is_behind_at_equal_time(fast).verdict == "does not hold"
    assert at_time({"seconds": [0, 1, 2], "accuracy": [0.1, 0.2, 0.3]}, 1.5) == 0.2
    assert learns_sooner(fast, GROUPED).verdict == "holds"


def test_each_way_to_whiten_is_judged_alone():
    found = learned(BN=(1.0, [0.1, 0.8]), ZCA=(1.0, [0.1, 0.9]), Newton=(1.0, [0.1, 0.7]))
    assert [learns_sooner(found, kind).verdict for kind in ("ZCA", "Newton")] == ["holds", "does not hold"]
