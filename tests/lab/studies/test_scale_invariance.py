"""The claims of scale-invariance against numbers that are known."""

import pytest
import torch

from normwise.lab.reproduction.context import Context
from normwise.lab.studies.scale_invariance import (
    SCALES,
    holds_with_the_usual_epsilon,
    is_more_resilient,
    learns_at_every_scale,
)
from normwise.lab.studies.shared.scale_invariance import FACTORS, layer
from reproductions import outcome, run


def made(plain, bn):
    """An outcome whose arms reach these accuracies, one a scale."""
    values = {"plain": plain, "BN": bn}
    return outcome(
        {f"{norm} × {scale:g}": [run(f"{norm} × {scale:g}", seed, best=best) for seed in range(2)]
         for norm, each in values.items() for scale, best in zip(SCALES, each, strict=True)}
    )  # fmt: skip


GOOD, ONE = [0.95] * 5, [0.1, 0.1, 0.94, 0.1, 0.1]


@pytest.mark.parametrize(("bn", "verdict"), [(GOOD, "holds"), ([0.95] * 4 + [0.5], "does not hold")])
def test_every_scale_has_to_learn(bn, verdict):
    assert learns_at_every_scale(made(ONE, bn)).verdict == verdict


@pytest.mark.parametrize(
    ("plain", "bn", "verdict"), [(ONE, GOOD, "holds"), (GOOD, ONE, "does not hold"), (ONE, ONE, "undecided")]
)
def test_resilience_is_a_number_of_scales(plain, bn, verdict):
    assert is_more_resilient(made(plain, bn)).verdict == verdict


def test_epsilon_shows_where_the_variance_comes_near_it():
    found = layer(Context(0, torch.device("cpu")), 1e-5)
    # a²·σ² = 10⁻⁴ for σ² of about 1, so that ε = 10⁻⁵ shrinks the output by about 1/√1.1.
    assert FACTORS[0] == 0.01
    assert 0.03 < found["output"][0] < 0.1
    assert found["norms"][-1] == pytest.approx(0.01, rel=1e-4)
    assert holds_with_the_usual_epsilon(outcome(measured={"layer, ε = 1e-05": [found]})).verdict == "does not hold"
