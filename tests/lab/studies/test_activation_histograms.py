"""The spread of layers against its expectation, and the claims against numbers that are known."""

import math

import pytest
import torch

from normwise.lab.reproduction.context import Context
from normwise.lab.studies.activation_histograms import (
    bn_keeps_whatever_the_scale,
    he_keeps,
    large_weights_pile_up,
    relu_collapses,
    xavier_shrinks,
    xavier_spreads,
)
from normwise.lab.studies.shared.layer_outputs import ACTIVATIONS, STDS, name, outputs
from reproductions import outcome


def made(activation, weights, spread, **shares):
    """An outcome of one network whose layers have these standard deviations."""
    return outcome(measured={"outputs": [{name(activation, weights): [{"std": std} | shares for std in spread]}]})


def test_relu_shrinks_by_the_root_of_half_with_xaviers_weights():
    found = outputs(Context(0, torch.device("cpu")))["ReLU, Xavier"]
    half_normal = math.sqrt(1 / 2 - 1 / (2 * math.pi))
    assert found[0]["std"] == pytest.approx(half_normal, rel=0.1)
    assert sum(found[0]["counts"]) == pytest.approx(100_000 * (0.5 - 0.0062), rel=0.05)  # 0.6 % lie above 2.5
    assert found[0]["zero"] == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize(("share", "verdict"), [(0.7, "holds"), (0.4, "does not hold")])
def test_a_pile_has_half_of_the_values(share, verdict):
    assert large_weights_pile_up(made("sigmoid", "std 1", [0.4], near_ends=share)).verdict == verdict


@pytest.mark.parametrize(("std", "verdict"), [(0.12, "holds"), (0.05, "does not hold")])
def test_spread_out_is_a_third_of_even(std, verdict):
    assert xavier_spreads(made("sigmoid", "Xavier", [0.2, std], near_ends=0.05)).verdict == verdict


@pytest.mark.parametrize(
    ("judge", "weights", "spread", "verdict"),
    [
        (relu_collapses, "std 0.01", [0.06, 1e-6], "holds"),
        (relu_collapses, "std 0.01", [0.06, 0.01], "does not hold"),
        (xavier_shrinks, "Xavier", [0.6, 0.4, 0.2], "holds"),
        (xavier_shrinks, "Xavier", [0.6, 0.7, 0.2], "does not hold"),
        (he_keeps, "He", [0.8, 0.7], "holds"),
        (he_keeps, "He", [0.8, 0.2], "does not hold"),
    ],
)
def test_relu_is_judged_by_its_spread(judge, weights, spread, verdict):
    assert judge(made("ReLU", weights, spread)).verdict == verdict


@pytest.mark.parametrize(("last", "verdict"), [(0.21, "holds"), (0.3, "does not hold")])
def test_bn_keeps_the_spread_only_if_every_layer_does(last, verdict):
    spreads = {name(activation, weights, norm=True): 0.2 for activation in ACTIVATIONS for weights in STDS}
    spreads["tanh, He, BN"] = last
    found = {key: [{"std": 0.2}, {"std": std}] for key, std in spreads.items()}
    assert bn_keeps_whatever_the_scale(outcome(measured={"outputs": [found]})).verdict == verdict
