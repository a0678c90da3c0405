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


def test_duplicate_copies_lazy_layers():
    lazy = nn.LazyBatchNorm1d(dtype=torch.float64)
    net = nn.Sequential(lazy, nn.Tanh(), lazy)
    twin = walk.duplicate(net)
    assert twin[0] is twin[2] is not lazy
    assert twin[0].running_mean is not twin[0].running_var
    assert twin(torch.randn(4, 3).double()).dtype == torch.float64
    assert lazy.has_uninitialized_params()
    assert type(twin[0]) is nn.BatchNorm1d


def test_replace_asks_once_and_replaces_everywhere():
    net, asked = network(), []

    def policy(module):
        asked.append(module)
        return nn.Sigmoid() if isinstance(module, nn.ReLU) else None

    modules = list(net.modules())
    assert walk.replace(net, policy) is net
    assert asked == modules
    assert type(net[0][1]) is type(net[2][1]) is nn.Sigmoid
    assert net[2][0] is net[0]
    assert net[2][1] is not net[0][1]


def test_replace_shared_modules_and_the_root():
    net = network()
    new = nn.Identity()
    assert walk.replace(net, lambda module: new if module is net[0] else None) is net
    assert net[0] is net[2][0] is new
    assert walk.replace(net, lambda module: new if module is net else None) is new


def test_insert_numbers_anew():
    net = nn.Sequential(nn.Linear(3, 3), nn.ReLU(), nn.Tanh())
    old = list(net)
    layers = {"1": nn.Identity(), "2": nn.Identity()}
    moved, added = walk.insert(net, {("before", key): layer for key, layer in layers.items()})
    assert moved == {"0": "0", "1": "2", "2": "4"}
    assert added == {("before", "1"): "1", ("before", "2"): "3"}
    assert list(net._modules) == ["0", "1", "2", "3", "4"]
    assert [net[0], net[2], net[4]] == old
    assert net[1] is layers["1"]


def test_insert_after():
    net = nn.Sequential(nn.Linear(3, 3), nn.ReLU(), nn.Tanh())
    moved, added = walk.insert(net, {("after", "1"): nn.Identity()})
    assert moved == {"0": "0", "1": "1", "2": "3"}
    assert added == {("after", "1"): "2"}


def test_insert_names_without_clashes():
    net = nn.Sequential()
    for name in ("relu", "relu_norm", "9"):
        net.add_module(name, nn.ReLU())
    moved, added = walk.insert(net, {("before", "relu"): nn.Identity(), ("before", "9"): nn.Identity()})
    assert moved == {"relu": "relu", "relu_norm": "relu_norm", "9": "9"}
    assert list(net._modules) == ["relu_norm_", "relu", "relu_norm", "9_norm", "9"]
    assert added == {("before", "relu"): "relu_norm_", ("before", "9"): "9_norm"}
    assert net(torch.ones(2)).shape == (2,)
