"""The claims of per-feature-map against numbers that are known."""

import pytest
import torch

from normwise.lab.studies.networks.feature_maps import PerActivation
from normwise.lab.studies.per_feature_map import a_pair_for_each_map, maps_generalize_better, maps_move_with_the_image
from reproductions import outcome, run


def test_normalization_per_activation_is_that_of_each_position():
    x = torch.randn(5, 2, 3, 3)
    expected = (x - x.mean(0)) / (x.var(0, unbiased=False) + 1e-5).sqrt()
    torch.testing.assert_close(PerActivation(2, 3)(x), expected, rtol=1e-5, atol=1e-5)  # float32 rounding


@pytest.mark.parametrize(("activation", "verdict"), [(18816, "holds"), (48, "does not hold")])
def test_parameters_are_counted(activation, verdict):
    counts = {"none": 0, "per feature map": 48, "per activation": activation}
    found = outcome(measured={kind: [{"normalization": count, "all": 9098}] for kind, count in counts.items()})
    assert a_pair_for_each_map(found).verdict == verdict


@pytest.mark.parametrize(
    ("maps", "activation", "verdict"), [(1e-7, 0.5, "holds"), (0.1, 0.5, "does not hold"), (0, 0, "does not hold")]
)
def test_maps_must_move_and_activations_must_not(maps, activation, verdict):
    off = {"none": 0.0, "per feature map": maps, "per activation": activation}
    assert (
        maps_move_with_the_image(outcome(measured={kind: [{"off": each}] for kind, each in off.items()})).verdict
        == verdict
    )


@pytest.mark.parametrize(
    ("maps", "activation", "verdict"),
    [
        ((0.97, 0.971), (0.95, 0.951), "holds"),
        ((0.95, 0.951), (0.97, 0.971), "does not hold"),
        ((0.95, 0.97), (0.95, 0.971), "undecided"),
    ],
)
def test_accuracy_is_decided_beyond_seed_noise(maps, activation, verdict):
    arms = {"per feature map": maps, "per activation": activation}
    found = outcome({arm: [run(arm, seed, best=best) for seed, best in enumerate(each)] for arm, each in arms.items()})
    assert maps_generalize_better(found).verdict == verdict
