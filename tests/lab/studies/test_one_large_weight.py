"""The damage to a network, and the claims against numbers that are known."""

from collections import OrderedDict

import pytest
import torch
from torch import nn

from normwise.lab.studies.one_large_weight import (
    heals_sooner,
    keeps_it_from_traveling,
    shrinks_the_weight,
    steps_to_heal,
)
from normwise.lab.studies.shared.damage import damage, probed
from reproductions import outcome


def made(deviation=1.0, losses=(1, 1, 1), weights=(10.0, 10.0)):
    """What is measured of one network, the same for every factor."""
    found = {"deviations": [deviation], "losses": list(losses), "weights": list(weights)}
    return {"1": {"losses": [1.0] * len(losses)}, **dict.fromkeys(("10", "100", "1000"), found)}


def test_one_weight_is_changed_and_the_layers_after_it_are_seen():
    torch.manual_seed(0)
    parts = [("linear1", nn.Linear(3, 4)), ("activation1", nn.ReLU()), ("output", nn.Linear(4, 2))]
    network = nn.Sequential(OrderedDict(parts))
    X, y = torch.tensor([[0.0, 5.0, 1.0], [0.0, -5.0, 1.5]]), torch.tensor([0, 1])
    before = network.linear1.weight.clone()
    unit, pixel = damage(network, X, 10)
    changed = (network.linear1.weight != before).nonzero().tolist()
    assert changed == [[unit, pixel]]
    assert pixel == 1
    layers, loss = probed(network, X, y)
    torch.testing.assert_close(layers, [network[:2](X).detach()])
    assert loss == pytest.approx(nn.functional.cross_entropy(network(X), y).item())


@pytest.mark.parametrize(
    ("bn", "verdict"), [((0.1, 0.4), "holds"), ((0.6, 0.7), "does not hold"), ((0.1, 0.9), "undecided")]
)
def test_it_is_kept_from_traveling_only_in_every_seed(bn, verdict):
    found = outcome(measured={"bn": [made(each) for each in bn], "plain": [made(), made()]})
    assert keeps_it_from_traveling(found, "bn").verdict == verdict


@pytest.mark.parametrize(
    ("losses", "steps"), [((1, 1, 1), 0), ((9, 9, 1.1, 1.1), 20), ((9, 1, 9, 1, 1), 30), ((None, 9, 9), None)]
)
def test_healed_is_close_twice_in_a_row(losses, steps):
    assert steps_to_heal(made(losses=losses), 100) == steps


def test_the_sooner_one_is_back_before_the_other():
    early, late = made(losses=(1, 1, 1, 1)), made(losses=(9, 9, 1, 1))
    assert heals_sooner(outcome(measured={"plain": [late], "bn": [early], "bn after": [early]})).verdict == "holds"
    assert heals_sooner(outcome(measured={"plain": [early], "bn": [late], "bn after": [late]})).verdict == (
        "does not hold"
    )


@pytest.mark.parametrize(("end", "verdict"), [(1.0, "holds"), (-9.0, "does not hold")])
def test_a_weight_is_back_where_less_than_half_is_left(end, verdict):
    run = made(weights=(10.0, end))
    assert shrinks_the_weight(outcome(measured={"bn": [run], "bn after": [run]})).verdict == verdict
