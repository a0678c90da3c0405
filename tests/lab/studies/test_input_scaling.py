"""The claims of input-scaling against runs that are known."""

import pytest

from normwise.lab.studies.datasets.cars import cars, price
from normwise.lab.studies.input_scaling import (
    INPUTS,
    SETS,
    best,
    bn_does_the_same,
    raw_is_slow,
    raw_is_unstable,
    scaling_mends_it,
)
from reproductions import outcome, run


def made(**curves):
    """An outcome with two learning rates: R² over steps 0, 1, 2, 3 at 0.01 by way of scaling; all lose at 1."""
    arms = {}
    for data in SETS:
        for how in INPUTS:
            values = curves.get(how.replace(" ", "_"), (0, 0.9, 0.95, 0.99))
            for rate, each in ((0.01, values), (1, (0, 0, 0, 0))):
                name = f"{data}, {how}, {rate:g}"
                arms[name] = [run(name, loss=(1,) * 4, accuracy=each)] * 2
                for line in arms[name][0].metrics:
                    for part in ("train", "validation", "test"):
                        line[part]["r2"] = line[part]["accuracy"]
    return outcome(arms)


def test_the_best_rate_is_that_of_the_largest_r2_at_the_end():
    assert best(made(), "cars", "raw") == 0.01
    assert best(made(raw=(0, 0, 0, -1)), "cars", "raw") == 1


@pytest.mark.parametrize(
    ("raw", "unstable", "slow"),
    [
        ((0, 0, 0, 0.05), "holds", "holds"),
        ((0, 0.2, 0.92, 0.92), "does not hold", "holds"),
        ((0, 0.95, 0.95, 0.95), "does not hold", "does not hold"),
    ],
)
def test_raw_inputs_are_unstable_or_slow_or_neither(raw, unstable, slow):
    found = made(raw=raw)
    assert (raw_is_unstable(found).verdict, raw_is_slow(found).verdict) == (unstable, slow)


def test_scaling_has_to_help_every_run():
    assert scaling_mends_it(made()).verdict == "holds"
    assert scaling_mends_it(made(standardized=(0, 0, 0.1, 0.2))).verdict == "does not hold"


def test_bn_has_to_end_where_standardizing_ends():
    assert bn_does_the_same(made()).verdict == "holds"
    assert bn_does_the_same(made(BN_on_inputs=(0, 0.5, 0.9, 0.95))).verdict == "does not hold"


def test_the_cars_are_what_the_formula_says_but_for_the_noise():
    (X, y), *_ = cars()
    assert (X.max(0) / X[:, 1].max()).round(-3).tolist() == [10_000, 0]
    assert abs((y - price(*X.T)).std() - 0.5) < 0.03
