"""The claims of recurrent against numbers that are known, and its networks."""

import pytest
import torch

from normwise.lab.studies.networks.recurrent import bn_7, lstm_7
from normwise.lab.studies.recurrent import LSTM, SMALL, generalizes_as_well, trains_faster
from reproductions import outcome, run


def made(small, plain):
    """An outcome whose arms have these accuracies, one a seed, and the losses 1 − accuracy."""
    arms = {SMALL: small, LSTM: plain}
    return outcome(
        {
            arm: [run(arm, seed, loss=[2.3, 1 - each], accuracy=[0.1, each]) for seed, each in enumerate(found)]
            for arm, found in arms.items()
        }
    )


@pytest.mark.parametrize(
    ("small", "plain", "faster", "as_well"),
    [
        ((0.9, 0.8), (0.7, 0.6), "holds", "holds"),
        ((0.6, 0.7), (0.8, 0.9), "does not hold", "does not hold"),
        ((0.6, 0.7), (0.5, 0.82), "undecided", "undecided"),
    ],
)
def test_a_difference_counts_beyond_the_noise_of_seeds(small, plain, faster, as_well):
    assert trains_faster(made(small, plain)).verdict == faster
    assert generalizes_as_well(made(small, plain)).verdict == as_well


def test_the_network_sees_the_means_of_patches_in_the_order_of_reading():
    network = lstm_7().eval()
    x = torch.randn(2, 1, 28, 28)
    steps = x.reshape(2, 7, 4, 7, 4).mean((2, 4)).reshape(2, 49).t().unsqueeze(-1)
    torch.testing.assert_close(network(x), network.head(network.lstm(steps)[0][-1]))
    assert bn_7().lstm.norm_c_l0.running_mean.shape == (49, 100)
