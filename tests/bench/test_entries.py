from contextlib import contextmanager

import torch
from torch import nn

import normwise
from normwise.bench import entries, networks
from normwise.bench.contenders import OURS, TORCH
from normwise.bench.entries import RECOMPUTING, Network

MLP = Network("small MLP", lambda norm: networks.mlp(norm, inputs=9, width=8), (12, 9))
CHAIN = Network("small chain", lambda norm: networks.chain(norm, features=8), (4, 8, 16, 16), 0)
STACK = Network("small stack", lambda norm: networks.stack(norm, depth=3, features=8), (4, 8, 16, 16), 0)


def test_a_step_times_every_arm():
    state = torch.get_rng_state()
    step = entries.step(MLP, seconds=0.01)
    assert torch.equal(torch.get_rng_state(), state)
    assert {OURS, TORCH} <= set(step.seconds)
    assert set(step.speed) == set(step.seconds) - {OURS}
    assert step.speed[TORCH].n >= 5
    assert list(step.as_dict()) == ["name", "seconds", "speed", "notes"]


def test_arms_that_compute_something_else_get_no_speed(monkeypatch):
    def wrong_norm(dims):
        return lambda features, activation=None: nn.Sequential(nn.BatchNorm1d(features), nn.ReLU())

    monkeypatch.setattr(networks, "our_norm", wrong_norm)
    step = entries.step(MLP, seconds=0.01)
    assert not step.speed
    assert not step.seconds
    assert "apart" in step.notes[0]


def test_torch_keeps_four_tensors_of_the_chain():
    found = entries.kept(CHAIN)
    assert found.unit == "tensors"
    assert round(found.amounts[TORCH], 1) == 4.0  # inputs of both convolutions, of BN and of SiLU
    assert found.amounts[OURS] <= found.amounts[TORCH] + 0.01
    assert found.shares[OURS] == found.amounts[OURS] / found.amounts[TORCH]


def test_the_peak_counts_what_is_there_and_what_comes():
    found = entries.peak(STACK)
    x, _ = STACK.batch()
    assert found.amounts[TORCH] * 2**20 > 6 * x.numel() * 4  # two tensors for each layer, besides input and target
    assert found.amounts[OURS] <= found.amounts[TORCH] * 1.01
    assert entries.peak(STACK) == found


def test_recomputing_is_an_arm_of_its_own(monkeypatch):
    entered = []

    @contextmanager
    def recompute_activations():
        entered.append(True)
        yield

    monkeypatch.setattr(normwise, "recompute_activations", recompute_activations)
    assert set(entries.step(MLP, seconds=0.0).speed) == {TORCH, RECOMPUTING}
    assert len(entered) >= 5
    assert set(entries.kept(CHAIN).shares) == {OURS, RECOMPUTING}
