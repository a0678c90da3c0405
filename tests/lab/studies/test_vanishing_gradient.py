"""The gradient by layer against the product of Jacobians, and the claims against numbers that are known."""

import pytest
import torch
from torch import nn

from normwise.lab.studies.shared.gradients import backward, makes_it_learn, relieves
from normwise.lab.studies.vanishing_gradient import sigmoid_vanishes
from reproductions import outcome, run


def made(arms):
    """An outcome of arms with the gradients of two layers and the accuracies at the end, one a seed."""
    runs = {
        arm: [run(arm, seed, accuracy=(0.1, end)) for seed, end in enumerate(ends)] for arm, (_, ends) in arms.items()
    }
    gradients = [{arm: [ratios[seed], 1.0] for arm, (ratios, _) in arms.items()} for seed in range(2)]
    return outcome(runs, {"gradients": gradients})


def test_the_gradient_is_carried_back_by_the_jacobian_of_each_layer():
    torch.manual_seed(0)
    second, last = nn.Linear(3, 3), nn.Linear(3, 3)
    network = nn.Sequential(nn.Identity(), nn.Linear(2, 3))
    network.add_module("activation1", nn.Sigmoid())
    network.add_module("linear2", second)
    network.add_module("activation2", nn.Sigmoid())
    network.add_module("output", last)
    network, X, y = network.double(), torch.randn(1, 2).double(), torch.tensor([1])
    found = backward(network, X, y)
    with torch.no_grad():
        a2 = network[:5](X)
        at_logits = last(a2).softmax(1) - nn.functional.one_hot(y, 3)
        at_second = at_logits @ last.weight
        at_first = (at_second * a2 * (1 - a2)) @ second.weight
    assert found == pytest.approx([at_first.norm().item(), at_second.norm().item()])


@pytest.mark.parametrize(
    ("ratio", "end", "verdict"),
    [
        ((1e-5, 1e-6), (0.1, 0.2), "holds"),
        ((0.1, 0.1), (0.1, 0.2), "does not hold"),
        ((1e-5, 1e-6), (0.9, 0.9), "does not hold"),
        ((1e-5, 1e-2), (0.1, 0.1), "undecided"),
    ],
)
def test_sigmoid_vanishes_only_if_the_gradient_is_small_and_nothing_is_learned(ratio, end, verdict):
    assert sigmoid_vanishes(made({"sigmoid": (ratio, end)})).verdict == verdict


@pytest.mark.parametrize(
    ("ratio", "end", "verdict"),
    [
        ((0.5, 2.0), (0.9, 0.9), "holds"),
        ((2e-4, 2e-4), (0.9, 0.9), "does not hold"),
        ((0.5, 2.0), (0.1, 0.1), "does not hold"),
        ((0.5, 2.0), (0.9, 0.1), "undecided"),
    ],
)
def test_a_remedy_must_level_the_gradient_and_make_the_network_learn(ratio, end, verdict):
    found = made({"sigmoid": ((1e-4, 1e-4), (0.1, 0.1)), "ReLU": (ratio, end)})
    assert relieves(found, "ReLU", "sigmoid").verdict == verdict


def test_a_remedy_that_was_not_needed_does_not_make_a_network_learn():
    found = made({"plain": ((1, 1), (0.9, 0.9)), "clipping": ((1, 1), (0.9, 0.9))})
    assert makes_it_learn(found, "clipping", "plain").verdict == "does not hold"
