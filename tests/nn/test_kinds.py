from __future__ import annotations

import pytest
from torch import nn

import normwise as nw
from normwise.nn.kinds import is_batch_norm, is_linear_map, is_nonlinearity, linear_maps, nonlinearities, thawed
from normwise.ops.activations import NAMES, activation


@pytest.mark.parametrize("name", NAMES)
def test_the_whole_table_but_the_identity_is_nonlinear(name):
    assert is_nonlinearity(activation(name).module()) == (name != "identity")


@pytest.mark.parametrize(
    "kind", [nn.PReLU, nn.Softplus, nn.Softsign, nn.Hardtanh, nn.LogSigmoid, nn.CELU, nn.Tanhshrink]
)
def test_knows_torchs_other_nonlinearities(kind):
    assert is_nonlinearity(kind())


@pytest.mark.parametrize(
    "module", [nn.Identity(), nn.Softmax(1), nn.GLU(), nn.Dropout(), nn.MaxPool1d(2), nn.BatchNorm1d(3)]
)
def test_knows_what_is_not_an_elementwise_nonlinearity(module):
    assert not is_nonlinearity(module)


@pytest.mark.parametrize(
    "module", [nn.Linear(2, 3), nn.Conv1d(2, 3, 1), nn.Conv3d(2, 3, 1), nn.ConvTranspose2d(2, 3, 1), nn.LazyLinear(3)]
)
def test_knows_linear_maps(module):
    assert is_linear_map(module)


def test_lists_in_registration_order_and_shared_modules_once():
    act = nn.ReLU()
    linear = nn.Linear(3, 3)
    net = nn.Sequential(linear, act, nn.Sequential(nn.Conv1d(3, 3, 1), nn.Tanh(), linear), act)
    assert [name for name, _ in nonlinearities(net)] == ["1", "2.1"]
    assert [name for name, _ in linear_maps(net)] == ["0", "2.0"]
    assert nonlinearities(net)[0][1] is act
    assert linear_maps(net)[0][1] is linear


def test_batch_normalizations_frozen_or_not():
    layer = nn.BatchNorm2d(3)
    frozen = nw.nn.FrozenBatchNorm(layer)
    assert all(map(is_batch_norm, (layer, frozen, nw.nn.BatchNorm1d(3), nn.SyncBatchNorm(3))))
    assert not any(map(is_batch_norm, (nn.InstanceNorm2d(3), nn.LayerNorm(3), nn.Sequential(layer))))
    assert thawed(frozen) is thawed(layer) is layer
