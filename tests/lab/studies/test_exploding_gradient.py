"""The growth per layer of known gradients, and the claims against numbers that are known."""

import pytest

from normwise.lab.studies.exploding_gradient import (
    GROWING,
    YANG,
    a_small_rate_helps,
    bn_grows_as_published,
    explodes,
    the_scale_does_not_matter,
)
from reproductions import outcome, run


def grown(**factors):
    """An outcome whose gradients grow by a factor a layer."""
    every = dict.fromkeys([*GROWING, "plain, He"], 1.0) | factors
    found = {arm: [factor ** (20 - layer) for layer in range(20)] for arm, factor in every.items()}
    return outcome(measured={"growth": [found]})


@pytest.mark.parametrize(("factor", "verdict"), [(YANG, "holds"), (1.0, "does not hold"), (1.4, "does not hold")])
def test_the_growth_is_read_from_the_gradients(factor, verdict):
    judged = bn_grows_as_published(grown(**{"bn, He": factor}))
    assert judged.verdict == verdict
    assert judged.evidence["factors"] == [pytest.approx(factor)]


@pytest.mark.parametrize(("factor", "verdict"), [(1.21, "holds"), (1.0, "does not hold")])
def test_the_scale_does_not_matter_where_the_growth_is_the_same(factor, verdict):
    found = grown(**{"bn, He": 1.21, "bn, std 0.01": 1.2, "bn, std 1": factor})
    assert the_scale_does_not_matter(found).verdict == verdict


@pytest.mark.parametrize(
    ("ratio", "end", "verdict"), [(900, 0.1, "holds"), (900, 0.9, "does not hold"), (2, 0.1, "does not hold")]
)
def test_a_gradient_explodes_only_if_the_network_does_not_learn(ratio, end, verdict):
    found = outcome({"plain": [run("plain", accuracy=(0.1, end))]}, {"gradients": [{"plain": [ratio, 1.0]}]})
    assert explodes(found).verdict == verdict


@pytest.mark.parametrize(
    ("ends", "plain", "verdict"),
    [((0.1, 0.9, 0.1), 0.1, "holds"), ((0.1, 0.1, 0.1), 0.1, "does not hold"), ((0.9, 0.9, 0.9), 0.9, "does not hold")],
)
def test_one_small_rate_is_enough(ends, plain, verdict):
    arms = dict(zip(("rate 0.01", "rate 0.001", "rate 0.0001", "plain"), (*ends, plain), strict=True))
    assert (
        a_small_rate_helps(outcome({arm: [run(arm, accuracy=(0.1, end))] for arm, end in arms.items()})).verdict
        == verdict
    )
