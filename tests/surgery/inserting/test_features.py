from __future__ import annotations

import pytest
import torch
from torch import nn

import normwise.nn as nwn
from normwise.errors import SurgeryError
from normwise.surgery import batch_normalize


def test_the_default_layer_fits_the_axes():
    net = nn.Sequential(
        nn.Conv3d(1, 2, 2), nn.ReLU(), nn.Flatten(3), nn.Conv2d(2, 3, 2), nn.ReLU(), nn.Flatten(2), nn.Conv1d(3, 4, 2),
        nn.Tanh(), nn.Flatten(), nn.ReLU(), nn.Linear(4 * 8, 2)
    )  # fmt: skip
    x = torch.randn(2, 1, 3, 4, 4)
    net[10] = nn.Linear(net[:9](x).shape[1], 2)
    model = batch_normalize(net, example=x).model
    found = [module for module in model if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    assert [type(module) for module in found] == [nwn.BatchNorm3d, nwn.BatchNorm2d, nwn.BatchNorm1d, nwn.BatchNorm1d]
    assert [module.num_features for module in found] == [2, 3, 4, net[:9](x).shape[1]]
    assert model(x).shape == (2, 2)


def test_a_lazy_network_stays_lazy():
    net = nn.Sequential(nn.LazyLinear(5), nn.ReLU(), nn.LazyLinear(2))
    model = batch_normalize(net, example=torch.zeros(2, 7)).model
    assert model[1].num_features == 5
    assert isinstance(model[0].weight, nn.UninitializedParameter)
    assert model(torch.randn(3, 4)).shape == (3, 2)


@pytest.mark.parametrize("example", [None, torch.zeros(2, 3)])
def test_a_lazy_normalization_stays_lazy(example):
    net = nn.Sequential(nn.LazyBatchNorm1d(), nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    model = batch_normalize(net, example=example).model
    assert model[0].has_uninitialized_params()
    assert model(torch.randn(5, 3)).shape == (5, 2)


@pytest.mark.parametrize(
    "example", [(torch.zeros(2, 3), 2.0), [torch.zeros(2, 3), 2.0], {"scale": 2.0, "x": torch.zeros(2, 3)}]
)
def test_examples_of_several_arguments(example):
    class Scaled(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = nn.Sequential(nn.Flatten(), nn.ReLU(), nn.Linear(3, 2))

        def forward(self, x, scale):
            return self.net(scale * x)

    model = batch_normalize(Scaled(), example=example).model
    assert model.net[1].num_features == 3


def test_unknown_features_without_an_example():
    net = nn.Sequential(nn.Flatten(), nn.ReLU(), nn.Linear(12, 2))
    with pytest.raises(SurgeryError, match=r"features at 1 \(ReLU\) is unknown.*give example=.*skip=\['1'\]"):
        batch_normalize(net)
    assert batch_normalize(net, example=torch.zeros(2, 3, 4)).model[1].num_features == 12


def test_an_example_of_the_wrong_shape():
    with pytest.raises(SurgeryError, match=r"does not run on the example of shape \(2, 9\).*as the network takes it"):
        batch_normalize(nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 2)), example=torch.zeros(2, 9))


def test_more_axes_than_batch_normalization_takes():
    net = nn.Sequential(nn.ReLU())
    with pytest.raises(SurgeryError, match="up to 3 spatial axes"):
        batch_normalize(net, example=torch.zeros(2, 3, 1, 1, 1, 1))


def test_an_example_of_one_runs_in_evaluation_mode():
    net = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Flatten(), nn.Tanh(), nn.Linear(4, 2))
    assert batch_normalize(net, example=torch.zeros(1, 3)).model[4].num_features == 4
