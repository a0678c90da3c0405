from __future__ import annotations

from types import MethodType

import pytest
import torch
from torch import nn

import normwise as nw
from folds import Calls, chain, check, conv, double, error, hooked, image, why

ONE_USE = {
    "directly": (lambda net, x: net.norm(net.conv(x)), ["norm"]),
    "by keyword": (lambda net, x: net.norm(input=net.conv(input=x)), ["norm"]),
    "the convolution twice": (lambda net, x: net.conv(net.norm(net.conv(x))), []),
    "the convolution twice, added": (lambda net, x: net.norm(net.conv(x)) + net.conv(x * 2), []),
    "its output too": (lambda net, x: net.norm(y := net.conv(x)) + y, []),
    "its output in place": (lambda net, x: net.norm(net.conv(x).mul_(2)), []),
    "its output later, in place": (lambda net, x: [y := net.conv(x), net.norm(y), y.add_(1)][1], []),
    "both twice": (lambda net, x: net.norm(net.conv(net.norm(net.conv(x)))), ["norm"]),
    "the weight too": (lambda net, x: net.norm(net.conv(x)) * net.conv.weight.detach().sum(), []),
    "its parameters too": (lambda net, x: net.norm(net.conv(x)) * net.norm.weight.detach().sum(), []),
    "changed in between": (lambda net, x: [y := x + 1, z := net.norm(y), y.mul_(0), net.conv(z)][3], []),
    "next one after": (lambda net, x: net.conv(net.norm(x)), ["norm"]),
    "next one after, and a return": (lambda net, x: net.conv(y := net.norm(x)) + y, []),
    "next one after, both twice": (lambda net, x: net.conv(net.norm(net.conv(net.norm(x)))), ["norm"]),
    "never": (lambda net, x: net.conv(x), []),
}


@pytest.mark.parametrize("case", ONE_USE)
@pytest.mark.parametrize("traceable", [True, False])
def test_a_value_that_has_another_use_is_not_touched(case, traceable):
    rule, gone = ONE_USE[case]

    def branching(net, x):
        return rule(net, x if x.sum() > -1e9 else -x)

    network = double(Calls(rule if traceable else branching))
    if traceable or case not in ("its parameters too", "never"):
        check(network, image, gone if traceable else [])


class Branch(nn.Module):
    """What torch.fx cannot trace; on the examples of these tests its input."""

    def forward(self, x):
        return x if x.sum() > -1e9 else x * 2


class Past(nn.Module):
    """A ``Sequential`` whose convolution is also called alone, for some inputs."""

    def __init__(self, rule):
        super().__init__()
        self.block, self.rule = nn.Sequential(conv(), nn.BatchNorm2d(3)), rule

    def forward(self, x):
        return self.rule(self.block, x)


PAST = {
    "in each call": lambda block, x: block(x) + (block[0](x) if x.sum() > -1e9 else x),
    "in another branch": lambda block, x: block(x) if x.sum() > 0 else block[0](x),
    "in another branch, in a slice": lambda block, x: block(x) if x.sum() > 0 else block[:1](x),
}


@pytest.mark.parametrize("case", PAST)
def test_a_module_that_is_also_called_past_its_sequential_is_left(case):
    network = double(Past(PAST[case]))
    surgery = check(network, image.abs(), [])
    assert "no linear map is certain to run next to it, because torch.fx cannot trace it" in why(surgery, "block.1")
    assert error(surgery.model(-image.abs()), network(-image.abs())) <= 1e-12


def test_what_cannot_be_traced_is_folded_where_a_sequential_is_all_there_is():
    check(chain(nn.Sequential(conv(), nn.BatchNorm2d(3)), Branch(), conv(), nn.BatchNorm2d(3)), image, ["0.1", "3"])


def test_a_sequential_that_runs_in_another_way_is_not_believed():
    network = chain(nn.Sequential(conv(), nn.BatchNorm2d(3)), Branch())
    rule = lambda block, x: block[1](block[0](x)) if x.sum() > 0 else block[0](x)  # noqa: E731
    network[0].forward = MethodType(rule, network[0])
    surgery = nw.fold(network, example=image.abs())
    assert error(surgery.model(-image.abs()), network(-image.abs())) <= 1e-12


def test_a_hook_between_neighbours_is_not_overlooked():
    def network():
        return chain(Branch(), conv(), nn.Identity(), nn.BatchNorm2d(3))

    check(network(), image, ["3"])
    check(hooked(network(), "2"), image, [])


class Reader(nn.Module):
    """Takes a tensor of a module next to it, which is not its child."""

    def __init__(self, module, rule):
        super().__init__()
        self.others, self.rule = [module], rule

    def forward(self, x):
        return x * self.rule(self.others[0]).sum()


READS = {
    "the weight": (0, lambda conv: conv.weight, "its weight is used elsewhere too"),
    "the weight's data": (0, lambda conv: conv.weight.data, "its weight is used elsewhere too"),
    "gamma": (1, lambda norm: norm.weight, "its parameters or statistics are used elsewhere too"),
    "the running mean": (1, lambda norm: norm.running_mean, "its parameters or statistics are used elsewhere too"),
}


@pytest.mark.parametrize("case", READS)
@pytest.mark.parametrize("traceable", [True, False])
def test_what_something_else_reads_is_left(case, traceable):
    which, rule, reason = READS[case]
    network = chain(conv(), nn.BatchNorm2d(3))
    network.append(Reader(network[which], rule)).append(nn.Identity() if traceable else Branch())
    assert reason in why(check(network, image, []), "1")


def test_a_shape_is_no_use():
    network = chain(conv(), nn.BatchNorm2d(3))
    size = lambda module: torch.tensor(float(module.weight.shape[0] + module.weight.ndim))  # noqa: E731
    network.append(Reader(network[0], size)).append(Branch())
    check(network, image, ["1"])


def test_the_same_residual_as_input_is_not_scaled():
    class Doubled(Calls):
        def forward(self, x):
            y = self.conv(x)
            return self.norm(y, residual=y)

    check(double(Doubled(None, norm=nw.BatchNorm2d(3))), image, [])


@pytest.mark.parametrize("traceable", [True, False])
def test_a_hook_around_the_convolution_alone_keeps_its_values(traceable):
    net, seen = nn.Sequential(nn.Sequential(nn.Conv2d(3, 3, 1)), nn.BatchNorm2d(3)).eval(), []
    x = torch.randn(4, 3, 5, 5)
    net[1].running_mean.normal_()
    net[0].register_forward_hook(lambda module, given, y: seen.append(y))
    if not traceable:
        net.append(Branch())
    folded = nw.fold(net, example=x).model
    seen.clear()
    torch.testing.assert_close(folded(x), net(x))
    torch.testing.assert_close(seen[0], seen[1])
