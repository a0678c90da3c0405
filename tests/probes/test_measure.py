from __future__ import annotations

import copy
from collections import OrderedDict

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from normwise import probes
from normwise.nn import BatchNorm1d


def mlp():
    layers = OrderedDict()
    for index, (features, width) in enumerate([(6, 9), (9, 8)], start=1):
        layers[f"linear{index}"] = nn.Linear(features, width, bias=False)
        layers[f"norm{index}"] = BatchNorm1d(width)
        layers[f"activation{index}"] = nn.Sigmoid()
        layers[f"dropout{index}"] = nn.Dropout(0.4)
    layers["output"] = nn.Linear(8, 3)
    return nn.Sequential(layers)


@pytest.fixture
def batch():
    return torch.randn(32, 6), torch.randint(3, (32,))


def test_agrees_with_a_pass_made_by_hand(batch):
    X, y = batch
    net = mlp().eval()
    twin = copy.deepcopy(net).train()
    state = torch.get_rng_state()
    found = probes.measure(net, X, y, F.cross_entropy)

    torch.set_rng_state(state)  # the same dropout masks
    u1 = twin.norm1(twin.linear1(X))
    u2 = twin.norm2(twin.linear2(twin.dropout1(u1.sigmoid())))
    F.cross_entropy(twin.output(twin.dropout2(u2.sigmoid())), y).backward()

    assert list(found) == ["preactivations", "activations", "gradients"]
    assert [row["layer"] for row in found["preactivations"]] == ["activation1", "activation2"]
    for row, u in zip(found["preactivations"], (u1, u2), strict=True):
        wide = u.detach().double().numpy()
        expected = [wide.mean(), wide.std(), *np.percentile(wide, [15, 50, 85])]
        # the same float32 numbers, summed in float64
        np.testing.assert_allclose([row[key] for key in ("mean", "std", "p15", "p50", "p85")], expected, atol=1e-6)
        assert row["saturated"] == probes.saturated(net.activation1, u)
        assert list(row) == ["layer", "mean", "std", "p15", "p50", "p85", "saturated"]
    for row, u in zip(found["activations"], (u1, u2), strict=True):
        counts = np.histogram(u.sigmoid().detach().double().numpy(), 30, (0, 1))[0].tolist()
        assert row == {"layer": row["layer"], "low": 0.0, "high": 1.0, "counts": counts}
    assert [row["layer"] for row in found["gradients"]] == ["linear1", "linear2", "output"]
    for row in found["gradients"]:
        expected = getattr(twin, row["layer"]).weight.grad.norm().item()
        assert row["norm"] == pytest.approx(expected, rel=1e-5)  # float32 gradients of the same operations


def trace(net):
    return {
        "state": {name: tensor.clone() for name, tensor in net.state_dict().items()},
        "training": [module.training for module in net.modules()],
        "grads": [parameter.grad for parameter in net.parameters()],
        "values": [None if p.grad is None else p.grad.clone() for p in net.parameters()],
        "hooks": [
            (len(m._forward_hooks), len(m._forward_pre_hooks), len(m._forward_hooks_with_kwargs)) for m in net.modules()
        ],
        "rng": torch.get_rng_state(),
    }


def assert_no_trace(net, before):
    after = trace(net)
    assert after["state"].keys() == before["state"].keys()
    assert all(torch.equal(after["state"][name], before["state"][name]) for name in before["state"])
    assert after["training"] == before["training"]
    assert all(one is other for one, other in zip(after["grads"], before["grads"], strict=True))
    assert all(a is b or torch.equal(a, b) for a, b in zip(after["values"], before["values"], strict=True))
    assert after["hooks"] == before["hooks"]
    assert torch.equal(after["rng"], before["rng"])


def trained(batch):
    net = mlp()
    F.cross_entropy(net(batch[0]), batch[1]).backward()
    net.norm1.eval()
    net.output.bias.grad = None
    net.linear1.register_forward_hook(lambda *_: None)
    return net


def test_leaves_no_trace(batch):
    net = trained(batch)
    before = trace(net)
    probes.measure(net, *batch, F.cross_entropy)
    assert_no_trace(net, before)


def test_leaves_no_trace_when_the_loss_raises(batch):
    net = trained(batch)
    before = trace(net)
    with pytest.raises(ZeroDivisionError):
        probes.measure(net, *batch, lambda output, y: output.sum() / (0 // 0))
    assert_no_trace(net, before)


def test_leaves_no_trace_when_the_network_raises(batch):
    net = trained(batch)
    net.output = nn.Linear(99, 3)  # the layers before it have run when it raises
    before = trace(net)
    with pytest.raises(RuntimeError, match="mat1 and mat2"):
        probes.measure(net, *batch, F.cross_entropy)
    assert_no_trace(net, before)


def test_training_goes_on_as_if_nothing_had_been_measured(batch):
    def train(*, measured):
        torch.manual_seed(3)
        net = mlp()
        optimizer = torch.optim.SGD(net.parameters(), 0.3, momentum=0.9)
        for _ in range(4):
            optimizer.zero_grad()
            F.cross_entropy(net(batch[0]), batch[1]).backward()
            if measured:
                probes.measure(net, *batch, F.cross_entropy)
            optimizer.step()
        return net.state_dict()

    plain, looked_at = train(measured=False), train(measured=True)
    assert all(torch.equal(plain[name], looked_at[name]) for name in plain)


def test_is_the_same_twice(batch):
    net = mlp()
    assert probes.measure(net, *batch, F.cross_entropy) == probes.measure(net, *batch, F.cross_entropy)


def test_measures_the_modes_alike(batch):
    net = mlp()
    training = probes.measure(net.train(), *batch, F.cross_entropy)
    assert probes.measure(net.eval(), *batch, F.cross_entropy) == training


def test_works_where_gradients_are_off(batch):
    net = mlp()
    with torch.no_grad():
        found = probes.measure(net, *batch, F.cross_entropy)
        assert not torch.is_grad_enabled()
    assert all(row["norm"] > 0 for row in found["gradients"])


class Reused(nn.Module):
    """One ReLU called three times, registered before the linear maps."""

    def __init__(self):
        super().__init__()
        self.relu = nn.ReLU(inplace=True)
        self.a = nn.Linear(6, 5)
        self.b = nn.Linear(5, 4)
        self.tanh = nn.Tanh()
        self.c = nn.Linear(4, 3)

    def forward(self, x):
        hidden = self.relu(input=self.a(x))
        hidden = self.tanh(self.b(hidden))
        return self.relu(self.relu(self.c(hidden)) - 0.1)


def test_a_module_called_several_times_has_an_entry_per_call_in_calling_order(batch):
    net = Reused()
    found = probes.measure(net, *batch, F.cross_entropy)
    names = ["relu", "tanh", "relu#2", "relu#3"]
    assert [row["layer"] for row in found["preactivations"]] == names
    assert [row["layer"] for row in found["activations"]] == names
    again = probes.measure(net, *batch, F.cross_entropy)
    assert [row["layer"] for row in again["preactivations"]] == names


def test_an_inplace_nonlinearity_is_measured_on_its_input(batch):
    net = Reused()
    u = net.a(batch[0]).detach()
    found = probes.measure(net, *batch, F.cross_entropy)["preactivations"][0]
    assert u.min() < 0
    assert found["mean"] == pytest.approx(u.double().mean().item(), rel=1e-6)  # the same float32 numbers


def test_a_diverged_network_is_measured_without_an_error(batch):
    net = mlp()
    nn.init.constant_(net.linear2.weight, float("nan"))
    found = probes.measure(net, *batch, F.cross_entropy)
    assert np.isnan(found["preactivations"][1]["p50"])
    assert np.isnan(found["preactivations"][1]["saturated"])
    assert found["activations"][1]["counts"] == [0] * 30
    assert np.isnan(found["gradients"][0]["norm"])
    assert np.isfinite(found["preactivations"][0]["p50"])


def test_a_network_without_layers_has_empty_lists(batch):
    net = nn.Sequential(nn.Identity())
    assert probes.measure(net, *batch, F.cross_entropy) == {"preactivations": [], "activations": [], "gradients": []}


def test_convolutions_are_measured_per_channel():
    net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 3))
    nn.init.constant_(net[0].bias[:1], -100)
    found = probes.measure(net, torch.rand(5, 1, 8, 8), torch.randint(3, (5,)), F.cross_entropy)
    assert found["preactivations"][0]["saturated"] >= 0.25
    assert sum(found["activations"][0]["counts"]) == 5 * 4 * 36
