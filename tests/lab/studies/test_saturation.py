"""The claims of saturation against numbers that are known."""

import pytest

from normwise.lab.studies.saturation import (
    CASES,
    DEEP_RATES,
    deeper_is_worse,
    keeps_units_out_of_saturation,
    trains_deep_sigmoids,
)
from reproductions import outcome, run


def saturated_run(arm, shares):
    """A run whose three hidden layers end with these shares of saturated units."""
    one = run(arm)
    for line in one.metrics:
        line["preactivations"] = [{"layer": f"activation{at}", "saturated": each} for at, each in enumerate(shares)]
    return one


def made(plain, bn):
    shares = {f"{arm}, {case}": each for arm, each in (("plain", plain), ("bn", bn)) for case in CASES}
    return outcome({arm: [saturated_run(arm, each)] * 2 for arm, each in shares.items()})


@pytest.mark.parametrize(
    ("plain", "bn", "fewer", "deeper"),
    [
        ((0.1, 0.2, 0.3), (0.0, 0.0, 0.1), "holds", "holds"),
        ((0.3, 0.2, 0.1), (0.1, 0.1, 0.2), "does not hold", "does not hold"),
        ((0.0, 0.0, 0.01), (0.0, 0.0, 0.1), "undecided", "holds"),
    ],
)
def test_shares_at_the_end_decide(plain, bn, fewer, deeper):
    assert keeps_units_out_of_saturation(made(plain, bn)).verdict == fewer
    assert deeper_is_worse(made(plain, bn)).verdict == deeper


@pytest.mark.parametrize(
    ("bn", "plain", "verdict"), [(0.95, 0.11, "holds"), (0.95, 0.5, "does not hold"), (0.5, 0.11, "does not hold")]
)
def test_one_rate_at_which_the_plain_network_trains_is_enough(bn, plain, verdict):
    last = dict.fromkeys((f"plain, 8 layers, rate {lr:g}" for lr in DEEP_RATES), 0.1)
    last |= {f"plain, 8 layers, rate {DEEP_RATES[-1]:g}": plain, "bn, 8 layers, rate 0.5": bn}
    found = outcome({arm: [run(arm, accuracy=(0.1, value))] for arm, value in last.items()})
    assert trains_deep_sigmoids(found).verdict == verdict
