"""Watching a loop of one's own."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from normwise.doctor.watch import watch
from normwise.errors import InvalidArgumentError


def deep(width=8, depth=12):
    layers = [each for _ in range(depth) for each in (nn.Linear(width, width), nn.Sigmoid())]
    return nn.Sequential(nn.Linear(6, width), nn.Sigmoid(), *layers, nn.Linear(width, 3))


def shallow():
    return nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 3))


def batches(count, seed=0):
    generator = torch.Generator().manual_seed(seed)
    for _ in range(count):
        X = torch.randn(32, 6, generator=generator)
        yield X, X[:, :3].argmax(1)


def train(net, found, steps=200):
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with found(net, optimizer) as seen:
        for X, y in batches(steps):
            loss = F.cross_entropy(net(X), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            seen.step(loss, y)
    return seen


def test_finds_why_a_deep_network_does_not_learn_and_nothing_in_one_that_does(tmp_path):
    sick = train(deep(), watch)
    assert sick.findings[0].rule == "NW101"
    assert not sick.diagnosis.healthy
    assert not sick.diagnosis.learned
    path = sick.report(tmp_path / "page.html")
    assert "NW101" in path.read_text(encoding="utf-8")
    assert sick.diagnosis.verdict.startswith("The gradient vanishes")
    assert f"{sick.findings}" == "\n".join(map(str, sick.findings))
    well = train(shallow(), watch)
    assert well.diagnosis.verdict.startswith("Nothing is wrong: the loss went from 1.")
    assert repr(well.findings) == "no findings"
    assert well.diagnosis.healthy
    assert well.diagnosis.learned


def test_answers_within_the_loop():
    net = deep()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.5)
    counts = []
    with watch(net, optimizer, every=4) as seen:
        for step, (X, y) in enumerate(batches(60), start=1):
            loss = F.cross_entropy(net(X), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            seen.step(loss, y)
            if step % 20 == 0:
                counts.append(len(seen.diagnosis.evidence.trainings[0].watched.observations))
    assert counts == [7, 12, 17]


class Cut(nn.Module):
    """A network whose graph is cut behind its first layer."""

    def __init__(self, cut):
        super().__init__()
        self.a, self.b, self.cut = nn.Linear(6, 16), nn.Linear(16, 3), cut

    def forward(self, x):
        return self.b(torch.relu(self.cut(self.a(x))))


@pytest.mark.parametrize("cut", [torch.Tensor.detach, torch.sign, lambda a: a.data + 1])
def test_a_cut_graph(cut):
    (finding,) = train(Cut(cut), watch).findings
    assert (finding.name, finding.where) == ("parameters-not-updated", ("a",))


@pytest.mark.parametrize("scale", [0.25, 1e-3])
@pytest.mark.parametrize("before", [True, False])
def test_a_loss_that_is_scaled(scale, before):
    """What is scaled is compared with what is scaled, and a loss that does not fall is not learned."""
    for net, learns in ((deep(), False), (shallow(), True)):
        optimizer = torch.optim.SGD(net.parameters(), lr=0.1 / scale)
        with watch(net, optimizer) as seen:
            for X, y in batches(200):
                loss = scale * F.cross_entropy(net(X), y)
                if before:
                    seen.step(loss, y)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                if not before:
                    seen.step(loss, y)
        assert (seen.diagnosis.learned, seen.diagnosis.healthy) == (learns, learns)


def test_a_network_that_was_trained_before_is_healthy_with_gradients_that_are_accumulated():
    net = shallow()
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)
    for X, y in batches(500):
        optimizer.zero_grad()
        F.cross_entropy(net(X), y).backward()
        optimizer.step()
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-5)
    with watch(net, optimizer) as seen:
        for step, (X, y) in enumerate(batches(240, seed=1), start=1):
            loss = F.cross_entropy(net(X), y) / 2
            loss.backward()
            if step % 2 == 0:
                optimizer.step()
                optimizer.zero_grad()
                seen.step(loss, y)
    assert seen.diagnosis.evidence.trainings[0].watched.loss.scale == pytest.approx(0.5)
    assert seen.diagnosis.learned
    assert seen.diagnosis.healthy


def test_only_process_0_has_findings(monkeypatch):
    seen = train(deep(), watch)
    monkeypatch.setattr("torch.distributed.is_initialized", lambda: True)
    monkeypatch.setattr("torch.distributed.get_rank", lambda: 1)
    assert seen.findings == []


def test_says_that_step_was_never_called():
    with watch(shallow()) as seen, pytest.raises(InvalidArgumentError, match=r"watch\.step was never called"):
        _ = seen.findings
