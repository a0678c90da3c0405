"""The claims of dropout-ensemble against numbers that are known, and the scaling against every mask."""

from itertools import product

import pytest
import torch

from normwise.lab.studies.dropout_ensemble import (
    accuracies_agree,
    dropout_is_like_an_ensemble,
    dropped_share_does_too,
    probabilities_agree,
    scaling_beats_one_mask,
)
from normwise.lab.studies.networks.side_by_side import he, over_masks
from normwise.lab.studies.shared.thinned import COUNTS, distance
from reproductions import outcome


def made(kept=0.9, many=0.9, one=0.85, off=0.02, dropped=0.2, single=0.88, ensemble=0.91, seeds=2):
    """An outcome of seeds that agree."""
    way = {
        "kept": kept, "masks": [one, *[many] * (len(COUNTS) - 1)], "kept_distance": off, "one_mask_distance": 0.1,
        "dropped_distance": dropped, "mask_distances": [0.1] * len(COUNTS),
    }  # fmt: skip
    found = {"half": way, "fifth": way, "single": single, "members": [1, 10], "ensemble": [single, ensemble]}
    return outcome(measured={"networks": [found] * seeds})


@pytest.mark.parametrize(
    ("judge", "numbers", "verdict"),
    [
        (accuracies_agree, {}, "holds"),
        (accuracies_agree, {"many": 0.91}, "does not hold"),
        (accuracies_agree, {"seeds": 1}, "undecided"),
        (probabilities_agree, {}, "holds"),
        (probabilities_agree, {"off": 0.06}, "does not hold"),
        (scaling_beats_one_mask, {}, "holds"),
        (scaling_beats_one_mask, {"one": 0.95}, "does not hold"),
        (dropout_is_like_an_ensemble, {}, "holds"),
        (dropout_is_like_an_ensemble, {"kept": 0.89}, "does not hold"),
        (dropout_is_like_an_ensemble, {"ensemble": 0.87}, "undecided"),
        (dropped_share_does_too, {}, "does not hold"),
        (dropped_share_does_too, {"dropped": 0.03}, "holds"),
    ],
)
def test_each_claim_can_hold_and_fail(judge, numbers, verdict):
    assert judge(made(**numbers)).verdict == verdict


def test_scaling_gives_the_average_of_the_logits_over_all_masks():
    torch.manual_seed(0)
    network, x = he(1, [3, 4, 2], torch.device("cpu")), torch.randn(5, 3)
    (first, second), (bias, last) = ([each[0] for each in layers] for layers in network)
    hidden, share = (x @ first + bias).relu(), 0.3
    average = sum(
        (hidden * torch.tensor(mask)) @ second * (1 - share) ** sum(mask) * share ** (4 - sum(mask))
        for mask in product((0, 1), repeat=4)
    )
    torch.testing.assert_close(network.outputs(x, scale=1 - share)[0], average + last)


def test_masks_are_averaged_as_probabilities():
    torch.manual_seed(0)
    network, x = he(1, [3, 8, 8, 10], torch.device("cpu")), torch.randn(5, 3)
    none = over_masks(network, x, 0.0, [1, 3])
    torch.testing.assert_close(none[3], network.outputs(x)[0].softmax(1))
    some = over_masks(network, x, 0.5, [1, 3])
    assert distance(some[1], none[1]) > 0.01
    torch.testing.assert_close(some[3].sum(1), torch.ones(5))


def test_the_distance_is_the_total_variation():
    assert distance(torch.tensor([[1.0, 0.0], [0.5, 0.5]]), torch.tensor([[0.0, 1.0], [0.5, 0.5]])) == 0.5
