"""Where a graph takes the place of a forward, and where it must not."""

from __future__ import annotations

import copy
import pickle
import random

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import normwise as nw
from converted import FUNCTIONS, RESIDUALS, Residual, batch, close, run, the_same, why
from normwise.errors import SurgeryError
from normwise.surgery import convert
from tensors import same_bits
from zoo import randomize


class Impure(nn.Module):
    def __init__(self, rule):
        super().__init__()
        self.conv, self.norm, self.rule = nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3), rule
        self.register_buffer("seen", torch.zeros(()))

    def forward(self, x):
        return torch.relu(self.norm(self.conv(x))) + self.rule(self)


@pytest.mark.parametrize(
    ("rule", "reason"),
    [
        (lambda net: torch.randn(1), "draws random numbers"),
        (lambda net: random.random(), "draws random numbers"),
        (lambda net: (net._buffers["seen"].add_(1), 0)[1], "changes its buffers"),
    ],
    ids=["torch", "python", "buffers"],
)
def test_a_forward_that_a_graph_would_freeze_is_left(rule, reason):
    net = Impure(rule)
    before, state = net.seen.item(), torch.get_rng_state()
    surgery = convert(net, "normwise", fuse=True)
    assert type(surgery.model) is Impure
    assert reason in why(surgery, "norm")
    assert net.seen.item() == before
    assert torch.equal(torch.get_rng_state(), state)


def test_hooks_of_a_block_are_not_lost_in_a_graph():
    net = nn.Sequential(randomize(Residual(RESIDUALS["plus"])))
    calls = []
    net[0].register_forward_hook(lambda *args: calls.append(1))
    surgery = convert(net, "normwise", fuse=True, example=batch())
    assert "would not run the hooks of 0" in why(surgery, "0.norm")
    calls.clear()
    surgery.model(batch())
    assert calls == [1]


class Tuned(Residual):
    """Keeps its normalization in evaluation."""

    def train(self, mode=True):
        super().train(mode)
        self.norm.eval()
        return self


def without_gradients(net, y, x):
    with torch.no_grad():
        z = x * 2
    return F.relu(y + z)


def without_gradients_in_evaluation(net, y, x):
    with torch.set_grad_enabled(net.training and torch.is_grad_enabled()):
        return F.relu(y)


@pytest.mark.parametrize(
    ("net", "reason"),
    [
        (Tuned(FUNCTIONS["relu"]), "its class overrides train"),
        (Residual(without_gradients), "enters contexts"),
        (Residual(without_gradients_in_evaluation), "enters contexts"),
    ],
)
def test_a_forward_is_not_replaced_where_a_graph_would_lose_something(net, reason):
    surgery = convert(net, "normwise", fuse=True, example=batch())
    assert type(surgery.model) is type(net)
    assert reason in why(surgery, "norm")


def test_a_residual_needs_an_example_and_another_forward_a_copy():
    net, x = Residual(RESIDUALS["plus"]), batch()
    assert "give example=" in why(convert(net, "normwise", fuse=True), "norm")
    assert "use inplace=False" in why(convert(net, "normwise", fuse=True, example=x, inplace=True), "norm")
    assert type(net.norm) is nw.BatchNorm2d


class Parts(nn.Module):
    """A network whose parts are called by themselves too; the activation is done by another part than the norm."""

    def __init__(self, block):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3))
        self.block, self.act, self.listed = block, nn.SiLU(), nn.ModuleList([nn.Conv2d(3, 3, 1)])

    def forward(self, x):
        return self.listed[0](self.block(self.act(self.stem(x))))


def gelu(net, y, x):
    return F.gelu(y)


def parts():
    return randomize(Parts(Residual(gelu))).double()


def test_parts_refuse_to_be_called_by_themselves_where_they_would_compute_something_else():
    net, x = parts(), batch().double()
    surgery = convert(net, "normwise", fuse=True, example=x)
    the_same(surgery, net, x)
    for part in ("stem", "block"):
        with pytest.raises(SurgeryError, match=rf"{part} cannot be called by itself .*skip=\['{part}'\]"):
            surgery.model.get_submodule(part)(x)
    same_bits(surgery.model.listed[0](x), net.listed[0](x))
    for twin in (copy.deepcopy(surgery.model), pickle.loads(pickle.dumps(surgery.model))):
        with pytest.raises(SurgeryError, match="cannot be called by itself"):
            twin.stem(x)
    back = convert(surgery.model, "torch").model
    close(run(back, x, True)[0], run(net, x, True)[0])
    with pytest.raises(SurgeryError, match="cannot be called by itself"):
        back.block(x)


def test_a_part_that_keeps_its_modules_gives_what_it_gave():
    """In place nothing but modules can be fused, and these only in the part that calls both."""
    net, x = parts(), batch().double()
    net.block = nn.Sequential(nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3), nn.Tanh()).double()
    model = convert(net, "normwise", fuse=True, inplace=True).model
    fresh = copy.deepcopy(net)
    assert (model.stem[1].activation, model.block[1].activation) == (None, "tanh")
    assert type(model.act) is nn.SiLU
    same_bits(model.stem(x), fresh.stem(x))


class Scaled(Residual):
    """Makes another tensor in training than in evaluation."""

    def forward(self, x):
        return F.relu(self.norm(self.conv(x))) * torch.tensor(0.5 if self.training else self.in_evaluation)


def test_a_tensor_that_forward_makes_is_that_of_each_mode():
    for in_evaluation, cls in ((1.0, Scaled), (0.5, None)):
        net, x = randomize(Scaled(None)).double(), batch().double()
        net.in_evaluation = in_evaluation
        surgery = convert(net, "normwise", fuse=True)
        assert (type(surgery.model) is Scaled) is (cls is Scaled)
        the_same(surgery, net, x)
