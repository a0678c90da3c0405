"""On which axis the features are."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import normwise as nw
from networks.byhand import Net, conv
from normwise.errors import SurgeryError


class Mixing(nn.Module):
    """A linear map of a user's own."""

    def __init__(self, features):
        super().__init__()
        self.out_features = features
        self.weight, self.bias = nn.Parameter(torch.randn(features, 4)), nn.Parameter(torch.zeros(features))

    def forward(self, x):
        return torch.einsum("...i,oi->...o", x, self.weight) + self.bias


def test_a_user_s_own_linear_maps():
    net = nn.Sequential(Mixing(6), nn.ReLU(), nn.Linear(6, 2))
    surgery = nw.batch_normalize(net, linear=lambda module: isinstance(module, Mixing))
    assert isinstance(surgery.model[1], nw.BatchNorm1d)
    assert surgery.model[0].bias is not None
    assert surgery.model(torch.randn(3, 4)).shape == (3, 2)
    tokens = nw.batch_normalize(net, linear=lambda module: isinstance(module, Mixing), example=torch.zeros(2, 5, 4))
    assert tokens.model[1].channel_dim == -1


def test_a_linear_map_that_says_nothing_of_its_features_needs_an_example():
    net = nn.Sequential(Mixing(6), nn.ReLU(), nn.Linear(6, 2))
    del net[0].out_features
    options = {"linear": lambda module: isinstance(module, Mixing)}
    with pytest.raises(SurgeryError, match="neither out_features nor out_channels; give example="):
        nw.batch_normalize(net, **options)
    assert nw.batch_normalize(net, **options, example=torch.zeros(2, 4)).model[1].num_features == 6
    with pytest.raises(SurgeryError, match="not known which axis"):
        nw.batch_normalize(net, **options, example=torch.zeros(2, 5, 4))


def test_a_layer_of_the_user_s_sees_every_position_as_an_example():
    net = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 2))
    calls = []

    def layer(features, dims):
        calls.append((features, dims))
        return nn.BatchNorm1d(features)

    surgery = nw.batch_normalize(net, layer=layer, example=torch.zeros(2, 5, 4))
    assert calls == [(6, 0)]
    assert surgery.changes[2].after == "BatchNorm1d(6) at each position"
    ours = nw.batch_normalize(net, example=torch.zeros(2, 5, 4)).model
    x = torch.randn(3, 5, 4)
    torch.testing.assert_close(surgery.model(x), ours(x))  # float32: the same moments of 15 values
    assert surgery.model[0].bias is None


@pytest.mark.parametrize(
    "before",
    [
        nn.Embedding(5, 4),
        nn.Sequential(nn.Embedding(5, 4), nn.TransformerEncoderLayer(4, 2, 8, batch_first=True)),
        nn.Sequential(nn.Embedding(5, 4), nn.Unflatten(2, (2, 2)), nn.Flatten(2)),
    ],
)
@pytest.mark.parametrize("example", [None, torch.zeros(2, 7, dtype=torch.int64)])
def test_tokens_need_no_example(before, example):
    net = nn.Sequential(before, nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 2))
    model = nw.batch_normalize(net, example=example).model
    assert model[2].channel_dim == -1
    assert model(torch.zeros(3, 7, dtype=torch.int64)).shape == (3, 7, 2)


RANKS = {
    "mean": (lambda x: x.mean((2, 3)), 1),
    "mean kept": (lambda x: x.mean((2, 3), keepdim=True).flatten(1), 1),
    "flatten": (lambda x: torch.flatten(x, 1), 1),
    "tokens": (lambda x: x.flatten(2).transpose(1, 2), -1),
    "channels last": (lambda x: x.permute(0, 2, 3, 1), -1),
    "view": (lambda x: x.view(x.size(0), -1), 1),
    "view as tokens": (lambda x: x.reshape(x.shape[0], 16, -1).mT, -1),
    "indexed": (lambda x: x[:, :, 0, 0], 1),
    "one axis less": (lambda x: x[..., 0].transpose(1, 2), -1),
}


@pytest.mark.parametrize("name", RANKS)
def test_the_axes_of_a_linear_map_after_a_convolution(name):
    way, axis = RANKS[name]
    x = torch.randn(2, 4, 3, 3)
    features = way(torch.zeros(2, 16, 3, 3)).shape[-1]
    net = Net(lambda self, x: self.c(F.relu(self.b(way(F.relu(self.a(x)))))), a=conv(16), b=nn.Linear(features, 8),
              c=nn.Linear(8, 2))  # fmt: skip
    for model in (nw.batch_normalize(net).model, nw.batch_normalize(net, example=x).model):
        assert model.b.norm.channel_dim == axis
        model(x)
