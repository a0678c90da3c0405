from __future__ import annotations

import torch
from torch import nn

from normwise.surgery import walk


def network():
    shared = nn.Sequential(nn.Linear(3, 3), nn.ReLU())
    return nn.Sequential(shared, nn.Tanh(), nn.Sequential(shared, nn.ReLU()))


def test_find_gives_each_module_once_parents_first():
    net = network()
    assert [name for name, _ in walk.find(net, lambda module: True)] == ["", "0", "0.0", "0.1", "1", "2", "2.1"]
    assert [name for name, _ in walk.find(net, lambda module: isinstance(module, nn.ReLU))] == ["0.1", "2.1"]


def test_slots_of_a_shared_module():
    net = network()
    assert walk.slots(net)[net[0]] == [(net, "0"), (net[2], "0")]
    assert walk.slots(net)[net[0][1]] == [(net[0], "1")]
    assert net not in walk.slots(net)


def test_insert_numbers_anew():
    net = nn.Sequential(nn.Linear(3, 3), nn.ReLU(), nn.Tanh())
    old = list(net)
    layers = {"1": nn.Identity(), "2": nn.Identity()}
    moved, added = walk.insert(net, layers, "before")
    assert moved == {"0": "0", "1": "2", "2": "4"}
    assert added == {"1": "1", "2": "3"}
    assert list(net._modules) == ["0", "1", "2", "3", "4"]
    assert [net[0], net[2], net[4]] == old
    assert net[1] is layers["1"]


def test_insert_after():
    net = nn.Sequential(nn.Linear(3, 3), nn.ReLU(), nn.Tanh())
    moved, added = walk.insert(net, {"1": nn.Identity()}, "after")
    assert moved == {"0": "0", "1": "1", "2": "3"}
    assert added == {"1": "2"}


def test_insert_names_without_clashes():
    net = nn.Sequential()
    for name in ("relu", "relu_norm", "9"):
        net.add_module(name, nn.ReLU())
    moved, added = walk.insert(net, {"relu": nn.Identity(), "9": nn.Identity()}, "before")
    assert moved == {"relu": "relu", "relu_norm": "relu_norm", "9": "9"}
    assert list(net._modules) == ["relu_norm_", "relu", "relu_norm", "9_norm", "9"]
    assert added == {"relu": "relu_norm_", "9": "9_norm"}
    assert net(torch.ones(2)).shape == (2,)
