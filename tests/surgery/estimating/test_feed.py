"""Batches of any structure."""

from __future__ import annotations

from collections import UserDict, namedtuple
from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch.nn.parallel import DataParallel

import normwise as nw
from normwise.errors import SurgeryError
from normwise.surgery import estimate_population

Pair = namedtuple("Pair", ["image", "label"])


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm = nw.BatchNorm1d(3)

    def forward(self, image, scale=1.0):
        return self.norm(image * scale)


X = torch.randn(10, 3, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    "wrap",
    [
        lambda x: x,
        lambda x: (x, "label"),
        lambda x: [x],
        lambda x: Pair(x, 3),
        lambda x: {"image": x},
        lambda x: UserDict(image=x / 2, scale=2.0),
        lambda x: SimpleNamespace(args=(x / 2,), kwargs={"scale": 2.0}),
    ],
    ids=["tensor", "tuple", "list", "namedtuple", "dict", "mapping", "args and kwargs"],
)
def test_every_structure_reaches_the_network(wrap):
    net = Net()
    estimate_population(net, [wrap(part) for part in X.split(4)])
    torch.testing.assert_close(net.norm.running_mean, X.mean(0))


def test_forward_takes_any_batch():
    net = Net()
    estimate_population(net, [*"ab"], forward=lambda model, batch: model(X[:5] if batch == "a" else X[5:]))
    torch.testing.assert_close(net.norm.running_mean, X.mean(0))


def test_some_of_a_batch_may_lie_elsewhere():
    net = Net()
    net.forward = lambda image, lengths: net.norm(image)
    estimate_population(net, [{"image": X, "lengths": torch.ones(10, device="meta")}])
    torch.testing.assert_close(net.norm.running_mean, X.mean(0))


def test_a_wrapper_that_exchanges_buffers_is_looked_through():
    net = Net()
    report = estimate_population(DataParallel(net), X.split(4))
    torch.testing.assert_close(net.norm.running_mean, X.mean(0))
    assert report.layers[0].name == "module.norm"


@pytest.mark.parametrize(
    ("batch", "says"),
    [
        (X.numpy(), "batch 1 is of type ndarray; expected a tensor, a tuple or list"),
        ((), "batch 1 is a tuple of 0; expected"),
        (None, "batch 1 is of type NoneType"),
        ({"picture": X}, r"batch 1, a dict with the keys picture, does not fit Net.forward\(image, scale=1.0\)"),
        ({3: X}, "batch 1, a dict with the keys 3, does not fit"),
        (X.to("meta"), "batch 1 is on meta and the network on cpu: nothing is moved"),
        ((X.to("meta"), 3), "batch 1 is on meta and the network on cpu: nothing is moved"),
    ],
    ids=["array", "empty", "none", "keys", "numbers", "device", "device in tuple"],
)
def test_a_batch_that_does_not_fit_says_so(batch, says):
    net = Net()
    with pytest.raises(SurgeryError, match=says):
        estimate_population(net, [X, batch])
    assert net.norm.num_batches_tracked == 0


@pytest.mark.parametrize("batches", [X, {"image": X}, "images", 3, None], ids=lambda value: type(value).__name__)
def test_one_batch_instead_of_several_is_an_error(batches):
    with pytest.raises(SurgeryError, match=r"expected something to iterate over that gives batches"):
        estimate_population(Net(), batches)


def test_what_the_network_raises_names_the_batch():
    with pytest.raises(RuntimeError, match="expected 3 channels") as caught:
        estimate_population(Net(), [X, (X[:, :2], 1)])
    assert caught.value.__notes__ == [
        "The network was running on batch 1, a tuple of 2, first a tensor of shape (10, 2)."
    ]


def test_what_the_loader_raises_goes_through_as_it_is():
    def loader():
        yield X
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone") as caught:
        estimate_population(Net(), loader())
    assert not hasattr(caught.value, "__notes__")
