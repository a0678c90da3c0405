"""What is added is given to a layer where that is right in every batch."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import normwise as nw
from converted import Both, Odd, Residual, batch, the_same, why
from normwise.surgery import convert
from zoo import randomize


def small_batch(net, y, x):
    return F.relu(y + x.mean(0, keepdim=True))


@pytest.mark.parametrize(
    ("way", "shape"),
    [
        (small_batch, (1, 3, 5, 2)),
        (lambda net, y, x: F.relu(y + x.mean((2, 3), keepdim=True)), (4, 3, 1, 1)),
        (lambda net, y, x: F.relu(y + x[:1]), (1, 3, 5, 2)),
    ],
)
def test_a_residual_that_another_batch_would_broadcast_is_left(way, shape):
    net, x = randomize(Residual(way)), batch()
    surgery = convert(net, "normwise", fuse=True, example=torch.randn(shape))
    assert surgery.model.norm.activation is None
    assert "cannot be told; give a larger one" in why(surgery, "norm")
    the_same(surgery, net, x)


def test_the_axis_of_the_channels_is_the_layer_s():
    net = Both()
    net.left = nw.BatchNorm2d(3, channel_dim=-1)
    net.right = nn.BatchNorm2d(1)
    assert "give a larger one" in why(convert(net, "normwise", fuse=True, example=torch.randn(4, 1, 2, 3)), "left")
    net.left, net.right = nw.BatchNorm2d(1, channel_dim=-1), nn.BatchNorm2d(2)
    assert convert(net, "normwise", fuse=True, example=torch.randn(4, 2, 2, 1)).model.left.activation == "relu"


def test_an_addition_of_a_parameter_is_left():
    net, x = Residual(lambda net, y, x: F.relu(y + net.offset)), batch()
    net.offset = nn.Parameter(torch.randn(4, 3, 5, 2))
    surgery = convert(net, "normwise", fuse=True, example=x)
    assert "a tensor of the network's own" in why(surgery, "norm")
    surgery.model(batch()[:1])


def changed_before(net, y, x):
    z = x * 2
    first = net.norm(x)
    z.neg_()
    return F.relu(first + z)


def changed_after(net, y, x):
    z = net.conv(x)
    first = F.relu(net.norm(x) + z)
    return first + F.relu(z, inplace=True)


def changed_after_by_keyword(net, y, x):
    z = net.conv(x)
    first = F.relu(net.norm(x) + z)
    return first + net.act(input=z)


def view_changed_after(net, y, x):
    z = net.conv(x)
    first = F.relu(net.norm(x) + z)
    z[:, 0].mul_(2)
    return first * z


@pytest.mark.parametrize("way", [changed_before, changed_after, changed_after_by_keyword, view_changed_after])
def test_a_residual_that_changes_in_place_is_left(way):
    net, x = randomize(Odd(lambda net, x: way(net, None, x))), batch()
    net.conv, net.act = nn.Conv2d(3, 3, 1), nn.ReLU(inplace=True)
    surgery = convert(net, "normwise", fuse=True, example=x)
    assert "what is added is changed in place later" in why(surgery, "norm")
    the_same(surgery, net, x)


def other_changed_between(net, y, x):
    z = x * 2
    first = net.norm(x)
    return torch.relu(first + net.conv(x)) + z.neg_()


def made_in_place_afterwards(net, y, x):
    return torch.relu(net.norm(x) + F.relu(net.conv(x), inplace=True))


def changed_before_a_later_addition(net, y, x):
    first = net.norm(x)
    z = net.conv(x)
    z.neg_()
    return torch.relu(first + z)


@pytest.mark.parametrize("way", [other_changed_between, made_in_place_afterwards, changed_before_a_later_addition])
def test_other_changes_in_place_do_not_matter(way):
    net, x = randomize(Odd(lambda net, x: way(net, None, x))).double(), batch().double()
    net.conv = nn.Conv2d(3, 3, 1).double()
    surgery = convert(net, "normwise", fuse=True, example=x)
    assert surgery.model.norm.activation == "relu"
    the_same(surgery, net, x)


def test_a_layer_that_is_called_again_in_between_keeps_the_order_of_its_calls():
    def forward(net, x):
        first = net.norm(x)
        return torch.relu(first + torch.relu(net.norm(2 * x) + x))

    net, x = randomize(Odd(forward)).double(), batch().double()
    surgery = convert(net, "normwise", fuse=True, example=x)
    assert "the layer is called, or its statistics are read, before that" in why(surgery, "norm")
    the_same(surgery, net, x)


class Chained(Both):
    """What one of two fused calls gives changes in place before the other takes it."""

    def forward(self, x):
        other = self.left(x)
        one = self.right(x)
        other = F.silu(other)
        other.neg_()
        return torch.sigmoid(one + other)


def test_a_residual_that_another_fused_call_makes_is_read_when_it_was():
    net, x = randomize(Chained()).double(), batch().double()
    surgery = convert(net, "normwise", fuse=True, example=x)
    assert (surgery.model.left.activation, surgery.model.right.activation) == ("silu", "sigmoid")
    the_same(surgery, net, x)


class Reader(Both):
    def forward(self, x):
        one = self.left(x)
        return torch.relu(one + (x + self.left.running_mean.sum()))


def test_statistics_that_are_read_in_between_keep_their_order():
    net, x = randomize(Reader()).double(), batch().double()
    surgery = convert(net, "normwise", fuse=True, example=x)
    assert "its statistics are read, before that" in why(surgery, "left")
    the_same(surgery, net, x)
