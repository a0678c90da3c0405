from __future__ import annotations

from collections import OrderedDict

import pytest
import torch
from torch import nn

from networks.byhand import Net
from normwise.surgery import Change, Surgery, batch_normalize
from normwise.surgery.change import original_names


def surgery():
    return Surgery(
        nn.Identity(),
        [
            Change("1", "", "BatchNorm1d(5)", "normalizes the input of 2 (ReLU)"),
            Change("2", "1", "2", "renumbered"),
            Change("ReLU", "ReLU", "ReLU", "left alone: not a child of a Sequential"),
        ],
    )


def test_prints_as_an_aligned_table():
    assert str(surgery()).splitlines() == [
        "name  before  after           why",
        "────  ──────  ──────────────  ───────────────────────────────────────",
        "1             BatchNorm1d(5)  normalizes the input of 2 (ReLU)",
        "2     1       2               renumbered",
        "ReLU  ReLU    ReLU            left alone: not a child of a Sequential",
    ]
    assert repr(surgery()) == str(surgery())


def test_an_empty_surgery_prints_its_head():
    assert str(Surgery(nn.Identity(), [])).splitlines()[0] == "name  before  after  why"


def test_unpacks():
    model, changes = surgery()
    assert isinstance(model, nn.Identity)
    assert changes[0].after == "BatchNorm1d(5)"


def test_renamed_holds_only_what_moved():
    assert surgery().renamed == {"1": "2"}


def test_left_alone_holds_only_what_stayed_as_it_was():
    followed = Change("", "Net", "Net", "followed with torch.fx")
    made = Surgery(nn.Identity(), [followed, *surgery().changes])
    assert [change.name for change in made.left_alone] == ["ReLU"]


def of_numbers():
    inner = nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 4))
    return nn.Sequential(nn.Linear(3, 4), nn.ReLU(), inner, nn.ReLU(), nn.Linear(4, 2))


def of_names():
    return nn.Sequential(OrderedDict(fc=nn.Linear(3, 4), relu=nn.ReLU(), more=of_numbers()[2], out=nn.Linear(4, 2)))


def by_hand():
    net = Net(lambda self, x: self.out(self.body(self.act(self.fc1(x)))), fc1=nn.Linear(3, 3), act=nn.ReLU())
    net.body, net.out = of_numbers()[:3], nn.Linear(4, 2)
    net.alias = net.body
    return net


@pytest.mark.parametrize("make", [of_numbers, of_names, by_hand])
@pytest.mark.parametrize("place", ["before", "after"])
def test_original_names_are_those_of_the_network_that_was_given(make, place):
    net = make()
    old = dict(net.named_modules(remove_duplicate=False))
    surgery = batch_normalize(net, place=place, inplace=True, example=torch.zeros(2, 3))
    found = original_names(surgery)
    assert sorted(found.values()) == sorted(old)
    assert all(surgery.model.get_submodule(new) is old[name] for new, name in found.items())


def test_original_names_of_a_network_that_was_not_changed():
    net = by_hand()
    assert original_names(Surgery(net, [])) == {name: name for name, _ in net.named_modules(remove_duplicate=False)}
