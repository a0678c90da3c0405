"""The claims of covariate-shift against numbers that are known, and both measures of shift."""

import copy

import pytest
import torch
from scipy.stats import wasserstein_distance
from torch.nn import functional as F

from normwise.lab.studies.covariate_shift import (
    gradients_shift_as_much,
    noisy_beats_plain,
    noisy_is_as_good,
    reduces,
)
from normwise.lab.studies.networks.shifting import Network, distances, gradient_shift
from reproductions import outcome


def made(**arms):
    """An outcome of the deep network: by arm, the distance, difference, cosine and accuracy of two seeds."""
    rows = {
        name.replace("_", " "): [
            {"distances": [[a]], "jumps": [[a]], "differences": [[b]], "cosines": [[c]], "accuracy": [d], "steps": [20]}
            for a, b, c, d in seeds
        ]
        for name, seeds in arms.items()
    }
    return outcome(measured={f"ReLU × 10, {name}": seeds for name, seeds in rows.items()})


PLAIN = [(1.0, 1.0, 0.5, 0.90), (1.0, 1.0, 0.5, 0.91)]


@pytest.mark.parametrize(
    ("bn", "verdict"),
    [
        ((0.50, 0.51), "holds"),
        ((1.50, 1.51), "does not hold"),
        ((0.5, 0.7), "undecided"),
        ((None, 0.5), "undecided"),
    ],
)
def test_shift_is_less_beyond_the_noise_of_seeds(bn, verdict):
    assert reduces("ReLU × 10", made(plain=PLAIN, BN=[(a, 1, 0.5, 0.9) for a in bn])).verdict == verdict


@pytest.mark.parametrize(
    ("bn", "verdict"),
    [
        (((1.0, 0.5), (1.01, 0.5)), "holds"),
        (((0.4, 0.5), (0.4, 0.5)), "does not hold"),
        (((0.4, 0.5), (None, None)), "undecided"),
        (((1.0, 0.9), (1.0, 0.9)), "does not hold"),
        (((1.0, 0.5), (0.4, 0.5)), "undecided"),
    ],
)
def test_gradients_shift_by_length_and_angle(bn, verdict):
    assert gradients_shift_as_much(made(plain=PLAIN, BN=[(1, a, b, 0.9) for a, b in bn])).verdict == verdict


def test_noise_is_judged_by_accuracy_and_shift():
    good, shifting = [(0.5, 1, 0.5, 0.95)] * 2, [(2.0, 1, 0.5, 0.94)] * 2
    assert noisy_is_as_good(made(BN=good, noisy_BN=shifting)).verdict == "holds"
    assert noisy_is_as_good(made(BN=good, noisy_BN=PLAIN[:1] * 2)).verdict == "does not hold"
    assert noisy_beats_plain(made(plain=PLAIN[:1] * 2, noisy_BN=shifting)).verdict == "holds"
    assert noisy_beats_plain(made(plain=PLAIN[:1] * 2, noisy_BN=good)).verdict == "does not hold"
    assert noisy_beats_plain(made(plain=PLAIN, noisy_BN=shifting)).verdict == "undecided"


def test_distances_are_wasserstein_s_in_deviations():
    a, b = torch.randn(50, 3), 2 * torch.randn(50, 3) + 1
    want = [
        wasserstein_distance(a[:, j].numpy(), b[:, j].numpy()) / ((a[:, j].var() + b[:, j].var()) / 2).sqrt()
        for j in range(3)
    ]
    assert distances([a], [b]) == pytest.approx([float(sum(want)) / 3], rel=1e-5)


def test_gradients_are_those_of_networks_updated_up_to_a_layer():
    before = Network(4, 3, [5, 5], "tanh", None, norm=True, noisy=False)
    after = copy.deepcopy(before)
    with torch.no_grad():
        for parameter in after.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    x, y = torch.randn(8, 4), torch.randint(3, (8,))
    differences, cosines = gradient_shift(before, after, x, y)

    def gradient(mixed):
        return torch.autograd.grad(F.cross_entropy(mixed(x), y), mixed.layers[2][0].weight)[0]

    mixed = copy.deepcopy(after)
    mixed.layers[2].load_state_dict(before.layers[2].state_dict())
    old, new = gradient(copy.deepcopy(before)), gradient(mixed)
    assert len(differences) == len(cosines) == 2
    assert differences[1] == pytest.approx((old - new).norm().item(), rel=1e-4)
    assert cosines[1] == pytest.approx(F.cosine_similarity(old.flatten(), new.flatten(), dim=0).item(), rel=1e-4)
