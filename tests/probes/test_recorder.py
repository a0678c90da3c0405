"""What a recorder sees of a training, against the definitions; and that it leaves no trace."""

from __future__ import annotations

import copy
import inspect
import json
import math
import pickle
from contextlib import nullcontext

import numpy as np
import pytest
import torch
from torch import nn
from torch.func import vmap
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm

from normwise.errors import InvalidArgumentError
from normwise.probes import watched_json
from normwise.probes.recorder import Recorder
from normwise.records.files import dumps

X, Y = torch.randn(40, 6, generator=torch.Generator().manual_seed(1)), torch.arange(40) % 3


class Net(nn.Module):
    """Linear, BN and tanh as modules; ReLU as a function, twice with shared weights and once in place."""

    def __init__(self):
        super().__init__()
        self.first, self.norm, self.act = nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Tanh()
        self.shared, self.drop, self.last = nn.Linear(8, 8), nn.Dropout(0.3), nn.Linear(8, 3)

    def forward(self, x):
        x = self.act(self.norm(self.first(x)))
        x = F.relu(self.shared(x)).reshape(len(x), 2, 4)
        x = self.shared(x.flatten(1)).relu_()
        return self.last(self.drop(x))


def train(net, steps=9, *, recorder=None, optimizer=None, data=(X, Y), loss=F.cross_entropy):
    optimizer = optimizer or torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
    losses = []
    for _ in range(steps):
        value = loss(net(data[0]), data[1])
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        if recorder is not None:
            recorder.step(value, data[1])
        losses.append(value.item())
    return losses


def recorded(net, steps=9, *, every=3, data=(X, Y), loss=F.cross_entropy):
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with Recorder(net, optimizer, every) as recorder:
        train(net, steps, recorder=recorder, optimizer=optimizer, data=data, loss=loss)
    return recorder.watched()


def state(net, optimizer):
    assert not any("forward" in vars(module) for module in net.modules())
    hooks = [dict(each) for module in net.modules() for key, each in vars(module).items() if "hooks" in key and each]
    own = [dict(each) for key, each in vars(optimizer).items() if "hooks" in key and each]
    grads = [each.grad for each in net.parameters()]
    kept = [value for each in optimizer.state.values() for value in each.values()]
    leaves = [each._backward_hooks or None for each in net.parameters()]
    return [*net.state_dict().values(), *grads, *kept, torch.get_rng_state()], [hooks, own, leaves]


def same(a, b):
    assert a[1] == b[1]
    assert len(a[0]) == len(b[0])
    for one, other in zip(a[0], b[0], strict=True):
        assert one is other is None or torch.equal(one, other)


def run(watch, *, fail=False):
    torch.manual_seed(0)
    net = Net()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
    recorder = Recorder(net, optimizer, 2) if watch else None
    try:
        if recorder is None:
            train(net, optimizer=optimizer)
        else:
            with recorder:
                train(net, recorder=recorder, optimizer=optimizer)
                if fail:
                    net(torch.ones(4, 5))  # raises within the recorded forward
    except RuntimeError:
        assert fail
    return state(net, optimizer)


@pytest.mark.parametrize("fail", [False, True])
def test_leaves_no_trace(fail):
    same(run(watch=False), run(watch=True, fail=fail))
    assert not torch.overrides._get_current_function_mode_stack()


def test_steps_calls_and_what_feeds_what():
    found = recorded(Net())
    assert [each.step for each in found.observations] == [1, 2, 3, 4, 6, 8, 9]
    assert [(call.layer, call.kind, call.feeds) for call in found.calls] == [
        ("first", "linear", ()),
        ("norm", "batch_norm", (0,)),
        ("act", "activation", (1,)),
        ("shared", "linear", (2,)),
        ("relu", "activation", (3,)),
        ("shared#2", "linear", (4,)),
        ("relu#2", "activation", (5,)),
        ("drop", "dropout", (6,)),
        ("last", "linear", (7,)),
    ]
    assert found.calls[1].facts["momentum"] == 0.1
    assert [each.layer for each in found.observations[-1].weights] == ["first", "shared", "last"]
    assert [each.layer for each in found.observations[-1].units] == ["act", "relu", "relu#2"]
    assert (found.steps, found.every, found.checked, found.kept_gradients, found.not_finite) == (
        9,
        3,
        True,
        False,
        None,
    )
    assert (found.parameters, found.frozen) == (sum(each.numel() for each in Net().parameters()), 0)
    assert found.optimizer.name == "SGD"


class Plain(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.norm, self.b, self.c = nn.Linear(6, 7), nn.BatchNorm1d(7), nn.Linear(7, 7), nn.Linear(7, 3)

    def forward(self, x):
        x = torch.tanh(4 * self.norm(self.a(x)))
        return self.c(F.relu(self.b(x)))


def test_numbers_are_those_of_the_definitions():
    """In float64, against numpy; at step 3, the third recorded one, so that dead units are known."""
    net, x = Plain().double(), X.double()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with Recorder(net, optimizer, every=3) as recorder:
        train(net, 2, recorder=recorder, optimizer=optimizer, data=(x, Y))
        with torch.no_grad():
            net.b.bias[:2] = -50.0  # dead from here on, and not before
        before = copy.deepcopy(net)
        train(net, 7, recorder=recorder, optimizer=optimizer, data=(x, Y))
    found = {each.step: each for each in recorder.watched().observations}

    before.train()
    u = before.a(x)
    normalized = 4 * before.norm(u)
    y = torch.tanh(normalized)
    v = before.b(y)
    output = before.c(v.relu())
    loss = F.cross_entropy(output, Y)
    loss.backward()
    third = found[3]
    tanh, relu = third.units

    def spread(values):
        values = values.detach().numpy()
        return math.sqrt(values.var(axis=0).mean() / (values**2).mean())

    slope = (1 - y.detach().numpy() ** 2) < 0.05
    assert third.loss == pytest.approx(loss.item(), rel=1e-12)
    assert third.lr == 0.1
    assert (tanh.layer, tanh.what, tanh.units, tanh.dead) == ("tanh", "tanh", 7, None)
    assert tanh.mean == pytest.approx(normalized.mean().item(), abs=1e-12)
    assert tanh.std == pytest.approx(normalized.std(correction=0).item(), rel=1e-12)
    assert tanh.saturated == (slope.mean(0) > 0.95).mean()
    assert tanh.spread == pytest.approx(spread(y), rel=1e-12)
    assert relu.zero == pytest.approx((v <= 0).double().mean().item(), rel=1e-12)
    assert relu.spread == pytest.approx(spread(v.relu()), rel=1e-12)
    assert (relu.saturated, relu.dead) == (None, 0.0)
    assert found[4].units[1].dead == 0.0
    assert found[8].units[1].dead == pytest.approx(2 / 7)
    (norm,) = third.norms
    assert norm.values == 40
    for each, layer in zip(third.weights, (before.a, before.b, before.c), strict=True):
        grad = layer.weight.grad
        assert each.weight == pytest.approx(layer.weight.norm().item(), rel=1e-12)
        assert each.gradient == pytest.approx(grad.norm().item(), rel=1e-12)
        assert each.update == pytest.approx(0.1 * grad.norm().item(), rel=1e-9)  # a difference of two weights
        assert each.zero == (grad == 0).all(1).double().mean().item()
        assert each.size == layer.weight.numel()
    assert third.weights[1].zero == pytest.approx(2 / 7)
    assert third.outputs.mean == pytest.approx(output.mean().item(), rel=1e-9)
    assert third.outputs.std == pytest.approx(output.std(correction=0).item(), rel=1e-12)
    assert third.outputs.spread == pytest.approx(spread(output), rel=1e-12)


def test_batch_normalization_is_compared_with_its_statistics_before_the_step():
    net = nn.Sequential(nn.BatchNorm2d(3), nn.Flatten(), nn.Linear(12, 2)).double()
    with torch.no_grad():
        net[0].running_mean.copy_(torch.tensor([0.5, -1.0, 0.0]))
        net[0].running_var.copy_(torch.tensor([4.0, 1.0, 0.25]))
    x = torch.randn(20, 3, 2, 2).double() * 2 + 1
    found = recorded(net, 1, data=(x, Y[:20] % 2))
    mean, var = x.numpy().mean((0, 2, 3)), x.numpy().var((0, 2, 3))
    running_mean, running_var = np.array([0.5, -1, 0]), np.array([4, 1, 0.25])
    (norm,) = found.observations[0].norms
    assert (norm.layer, norm.training, norm.values, norm.finite) == ("0", True, 80, True)
    assert norm.gap == pytest.approx(np.max(abs(mean - running_mean) / np.sqrt(running_var + 1e-5)), rel=1e-12)
    assert norm.ratio == pytest.approx(np.max(abs(np.log2((var + 1e-5) / (running_var + 1e-5)))), rel=1e-12)


MODULES = {
    "module": lambda: nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3)),
    "in place": lambda: nn.Sequential(nn.Linear(6, 5), nn.ReLU(inplace=True), nn.Linear(5, 3)),
}
FUNCTIONS = {
    "F.relu": F.relu,
    "torch.relu": torch.relu,
    "method": lambda x: x.relu(),
    "method in place": lambda x: x.relu_(),
    "F.relu in place": lambda x: F.relu(x, inplace=True),
    "positional": lambda x: F.relu(x, True),
}


class Functional(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.a, self.b, self.function = nn.Linear(6, 5), nn.Linear(5, 3), function

    def forward(self, x):
        return self.b(self.function(self.a(x)))


def test_activations_are_seen_alike_in_every_form():
    made = {
        **MODULES,
        **{n: lambda f=f: Functional(f) for n, f in FUNCTIONS.items()},
    }
    found = {}
    for name, make in made.items():
        torch.manual_seed(0)
        found[name] = recorded(make(), 4)
    expected = [each.units[0]._replace(layer="") for each in found["module"].observations]
    assert 0 < expected[0].zero < 1
    for name, each in found.items():
        assert [row.units[0]._replace(layer="") for row in each.observations] == expected, name
    assert found["module"].observations[0].units[0].layer == "1"
    assert found["F.relu"].observations[0].units[0].layer == "relu"


def test_activations_that_are_called_as_functions_only_later_are_seen():
    class Later(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.act, self.b, self.forwards = nn.Linear(6, 5), nn.Hardtanh(-0.5, 0.5), nn.Linear(5, 3), 0

        def forward(self, x):
            self.forwards += 1
            x = self.act(self.a(x))
            return self.b(F.relu(x) if self.forwards > 4 else x)

    found = recorded(Later(), 12, every=1).observations
    layers = [[unit.layer for unit in each.units] for each in found]
    assert layers == [["act"]] * 7 + [["act", "relu"]] * 5
    assert all(0 < each.units[0].zero < 1 and each.units[0].saturated is not None for each in found)


def test_a_value_that_is_overwritten_later_is_measured_before():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(6, 3), nn.Linear(3, 3)

        def forward(self, x):
            return self.b(F.gelu(self.a(x)).mul_(0))

    net = Net()
    (unit,) = recorded(net, 1).observations[0].units
    assert unit.zero == 0
    assert unit.spread > 0


@pytest.mark.parametrize("clip", [False, True])
@pytest.mark.parametrize("passes", [1, 3])
@pytest.mark.parametrize("with_optimizer", [True, False])
@pytest.mark.parametrize("clears", [True, False])
def test_gradients_of_earlier_steps(clip, passes, with_optimizer, clears):
    """Accumulating over several passes and clipping are no leftovers."""
    net = Net()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01)
    with Recorder(net, optimizer if with_optimizer else None) as recorder:
        for _ in range(4):
            if clears:
                optimizer.zero_grad(set_to_none=passes == 1)
            for _ in range(passes):
                loss = F.cross_entropy(net(X), Y) / passes
                loss.backward()
            if clip:
                nn.utils.clip_grad_norm_(net.parameters(), 1e-3)
            optimizer.step()
            recorder.step(loss, Y)
    found = recorder.watched()
    assert found.kept_gradients is not clears
    assert all(row.update > 0 for each in found.observations for row in each.weights)
    if clip:
        assert math.hypot(*(row.gradient for row in found.observations[0].weights)) <= 1e-3


def test_without_an_optimizer_numbers_are_the_same_whether_step_is_called_before_or_after_the_update():
    found = []
    for order in ("optimizer", "after", "before"):
        torch.manual_seed(0)
        net = Net()
        optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
        with Recorder(net, optimizer if order == "optimizer" else None, 4) as recorder:
            for _ in range(9):
                loss = F.cross_entropy(net(X), Y)
                optimizer.zero_grad()
                loss.backward()
                if order == "before":
                    recorder.step(loss, Y)
                optimizer.step()
                if order != "before":
                    recorder.step(loss, Y)
        found.append([each._replace(lr=None) for each in recorder.watched().observations])
    assert found[0] == found[1] == found[2]


def test_evaluation_is_not_seen():
    net, optimizer = Net(), None
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    torch.manual_seed(0)
    alone = copy.deepcopy(net)
    with Recorder(net, optimizer, 2) as recorder:
        for _ in range(5):
            net.eval()
            net(X)  # with gradients, and of the same step
            with torch.no_grad():
                net(X)
            net.train()
            with recorder.paused():
                net(5 * X)
            train(net, 1, recorder=recorder, optimizer=optimizer)
    found = recorder.watched()
    assert found.evaluating == ()
    assert [each.step for each in found.observations] == [1, 2, 4]
    assert found.inputs.examples == 40
    assert found.observations[0].units[0].mean == pytest.approx(
        recorded(alone, 1).observations[0].units[0].mean, rel=1e-5
    )


def test_a_network_that_trains_in_evaluation_mode_is_seen():
    found = recorded(Net().eval(), 3)
    assert len(found.observations) == 3
    assert "norm" in found.evaluating
    assert found.observations[0].norms[0].training is False


def test_tuples_integers_and_recurrent_layers():
    class Words(nn.Module):
        def __init__(self):
            super().__init__()
            self.embed, self.rnn, self.head = nn.Embedding(9, 4), nn.LSTM(4, 5, batch_first=True), nn.Linear(5, 3)

        def forward(self, words):
            sequence, (hidden, _) = self.rnn(self.embed(words))
            return {"logits": self.head(torch.tanh(sequence[:, -1])), "hidden": hidden}

    words = torch.randint(9, (40, 7))
    found = recorded(Words(), 3, data=(words, Y), loss=lambda out, y: F.cross_entropy(out["logits"], y))
    assert [(each.kind, each.feeds) for each in found.calls] == [
        ("embedding", ()), ("recurrent", (0,)), ("activation", ()), ("linear", (2,))
    ]  # fmt: skip
    assert found.inputs._replace(examples=0) == (0, 0, *[None] * 8)
    assert [each.layer for each in found.observations[0].weights] == ["head"]
    assert found.observations[0].outputs is not None


def test_features_of_a_sequence_are_on_the_last_axis():
    net = nn.Sequential(nn.Linear(3, 6), nn.ReLU(), nn.Flatten(), nn.Linear(24, 2))
    with torch.no_grad():
        net[0].bias[2] = -99.0
    found = recorded(net, 4, data=(torch.randn(10, 4, 3), Y[:10] % 2))
    assert [each.units[0].units for each in found.observations] == [6] * 4
    assert found.observations[-1].units[0].dead == pytest.approx(1 / 6)


def test_what_is_first_not_finite():
    net = Plain()
    with torch.no_grad():
        net.b.weight[0, 0] = math.inf
    assert recorded(net, 1).not_finite == (1, "weight", "b")
    assert recorded(Plain(), 1, data=(X / 0, Y)).not_finite == (1, "input", "")
    assert recorded(Plain(), 1, loss=lambda out, y: out.mean() * math.nan).not_finite == (1, "loss", "")
    net = Plain()
    net.b.weight.register_hook(lambda grad: grad * math.inf)
    found = recorded(net, 1)
    assert found.not_finite == (1, "gradient", "b")

    class Overflow(nn.Linear):
        def forward(self, x):
            return super().forward(x) / 0

    net = nn.Sequential(nn.Linear(6, 5), nn.Tanh(), Overflow(5, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 3))
    assert recorded(net, 1).not_finite == (1, "activation", "2")


def test_the_step_behind_a_loss_that_is_not_finite_is_recorded():
    net, optimizer = Plain(), None
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with Recorder(net, optimizer, 100) as recorder:
        train(net, 10, recorder=recorder, optimizer=optimizer)
        train(net, 1, recorder=recorder, optimizer=optimizer, loss=lambda out, y: out.mean() / 0)
        train(net, 2, recorder=recorder, optimizer=optimizer)
    found = recorder.watched()
    assert [each.step for each in found.observations] == [1, 2, 4, 8, 12, 13]
    assert found.not_finite == (11, "loss", "")
    assert math.isnan(found.observations[-1].loss)


def test_inputs_that_are_not_finite_where_another_step_is_recorded():
    net = Plain()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with Recorder(net, optimizer, 100) as recorder:
        train(net, 2, recorder=recorder, optimizer=optimizer)
        train(net, 3, recorder=recorder, optimizer=optimizer, data=(X / 0, Y))
    assert recorder.watched().not_finite == (3, "input", "")


def test_plain_data_and_back():
    found = recorded(Plain(), 3, data=(X / 0, Y))
    back = watched_json.from_dict(json.loads(dumps(watched_json.as_dict(found))))
    assert repr(back) == repr(found).replace("-inf", "nan").replace("inf", "nan")
    whole = recorded(Net(), 9)
    assert watched_json.from_dict(json.loads(dumps(watched_json.as_dict(whole)))) == whole


def test_optimizer_and_frozen_parts():
    net = Net()
    net.shared.requires_grad_(False)
    net.norm.eval()
    optimizer = torch.optim.AdamW([*net.first.parameters(), *net.norm.parameters()], lr=1e-3, betas=(0.8, 0.99))
    with Recorder(net, optimizer) as recorder:
        train(net, 1, recorder=recorder, optimizer=optimizer)
    found = recorder.watched()
    assert found.optimizer == ("AdamW", 1e-3, 0.8, 0.01, ("norm",), ("last.weight", "last.bias"))
    assert found.frozen == 72
    assert found.evaluating == ("norm",)
    assert found.observations[0].weights[1].gradient is None
    assert [call.facts["frozen"] for call in found.calls if call.layer.startswith("shared")] == [True, True]


def test_a_network_that_is_never_updated():
    net = Plain()
    optimizer = torch.optim.SGD(Plain().parameters(), lr=0.1)
    with Recorder(net, optimizer) as recorder:
        train(net, 3, recorder=recorder, optimizer=optimizer)
    found = recorder.watched()
    assert not found.checked
    assert "a.weight" in found.optimizer.missing


@pytest.mark.parametrize(
    "device",
    ["cpu", pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU"))],
)
def test_half_precision_is_promoted(device):
    net = Plain().to(device, torch.bfloat16)
    found = recorded(net, 4, data=(1000 + X.to(device, torch.bfloat16), Y.to(device)))
    assert found.not_finite is None
    assert all(math.isfinite(row.gradient) for row in found.observations[-1].weights)


def test_refuses_what_it_cannot_watch():
    net = Plain()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with pytest.raises(InvalidArgumentError, match="no parameters"):
        Recorder(nn.ReLU())
    with pytest.raises(InvalidArgumentError, match=r"without torch\.compile"):
        Recorder(torch.compile(net, backend="eager"))
    with pytest.warns(DeprecationWarning, match="torch.jit"):
        scripted = torch.jit.trace(Plain().eval(), X)
    with pytest.raises(InvalidArgumentError, match="scripted"):
        Recorder(scripted)
    with pytest.raises(InvalidArgumentError, match=r"torch\.optim\.Optimizer, got dict"):
        Recorder(net, {})
    with pytest.raises(InvalidArgumentError, match="1 or more, got 0"):
        Recorder(net, every=0)
    with pytest.raises(InvalidArgumentError, match=r"must be an nn\.Module"):
        Recorder(Plain)
    with Recorder(net, optimizer) as recorder:
        with pytest.raises(InvalidArgumentError, match="watched already"), Recorder(net):
            pass
        with pytest.raises(InvalidArgumentError, match=r"watch\.step was never called"):
            recorder.watched()
        with pytest.raises(InvalidArgumentError, match="has no graph"):
            recorder.step(torch.tensor(1.0))
        with pytest.raises(InvalidArgumentError, match=r"shape \(2,\)"):
            recorder.step(torch.ones(2))
    with Recorder(net, optimizer):
        pass


def test_layers_whose_rows_start_the_same_and_so_do_those_of_their_gradients():
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv1d(2, 3, 1), nn.ConvTranspose1d(3, 2, 1), nn.Flatten(), nn.Linear(8, 4), nn.Linear(4, 1)
    )
    for layer in (network[0], network[1], network[3]):  # whose outputs are not weighted alike
        nn.init.constant_(layer.weight, 0.01)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    with Recorder(network, optimizer, every=1) as recorder:
        for _ in range(2):
            optimizer.zero_grad()
            loss = network(torch.randn(5, 2, 4)).square().mean()
            loss.backward()
            optimizer.step()
            recorder.step(loss)
    first, second = recorder.watched().observations
    assert [row.alike for row in first.weights] == [True, True, False, False]
    assert not any(row.alike for row in second.weights)


def test_a_computed_parameter_is_not_looked_at():
    def losses(watch):
        torch.manual_seed(0)
        net = nn.Sequential(spectral_norm(nn.Linear(6, 8)), nn.Tanh(), nn.Linear(8, 3))
        optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
        with Recorder(net, optimizer) if watch else nullcontext() as recorder:
            return train(net, 4, recorder=recorder, optimizer=optimizer)

    assert losses(watch=True) == losses(watch=False)


def test_a_frozen_encoder_stays_on_its_fast_path():
    def outputs(watch):
        torch.manual_seed(0)
        layer = nn.TransformerEncoderLayer(6, 2, 8, batch_first=True).requires_grad_(False).eval()
        net = nn.Sequential(layer, nn.Linear(6, 3))
        with Recorder(net) if watch else nullcontext():
            return net(X.reshape(8, 5, 6))

    assert torch.equal(outputs(watch=True), outputs(watch=False))


class Copying(nn.Module):
    """Copies and pickles a part of itself while it runs."""

    def __init__(self):
        super().__init__()
        self.part, self.made = Plain(), []

    def forward(self, x):
        self.made = [copy.deepcopy(self.part), pickle.loads(pickle.dumps(self.part))]
        assert "input" in inspect.signature(self.part.a.forward).parameters
        return self.part(x) + sum(each(x).detach() for each in self.made)


def test_copies_and_pickles_within_the_loop_are_not_watched():
    net = Copying()
    with Recorder(net, every=1) as recorder:
        for _ in range(3):
            recorder.step(net(X).sum())
            for each in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
                each(X)
    assert {"part.tanh", "part.relu"} <= {unit.layer for unit in recorder.watched().observations[-1].units}
    torch.testing.assert_close(net.made[0](X), net.part(X))


def test_a_forward_that_the_network_replaces_stays():
    class Switching(nn.Linear):
        def forward(self, x):
            self.forward = self.doubled
            return super().forward(x)

        def doubled(self, x):
            return 2 * super().forward(x)

    net = nn.Sequential(Switching(6, 3))
    with Recorder(net):
        once = net(X)
    torch.testing.assert_close(net(X), 2 * once)


ODD = {
    "complex": (lambda x: x.cfloat(), lambda x: torch.tanh(x).real),
    "integer": (lambda x: x.long(), lambda x: F.relu(x).float()),
    "sparse": (lambda x: x.to_sparse(), lambda x: x.to_dense()),
    "nested": (lambda x: torch.nested.as_nested_tensor([x[:9], x[9:]]), lambda x: torch.cat(x.unbind())),
    "transformed": (lambda x: x, vmap(lambda row: row.relu())),
}


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
@pytest.mark.parametrize("kind", ODD)
def test_other_tensors_than_real_ones_are_left_out(kind):
    given, made = ODD[kind]

    class Odd(Plain):
        def forward(self, x):
            return super().forward(made(x))

    net = Odd()
    found = recorded(net, 3, data=(given(X), Y))
    assert len(found.observations) == 3
    assert found.not_finite is None


@pytest.mark.parametrize("trace", [torch.export.export, lambda net, x: vmap(net)(*x)])
def test_a_trace_is_no_step(trace):
    net = nn.Sequential(nn.Linear(6, 3), nn.ReLU())
    with Recorder(net, every=1) as recorder:
        for _ in range(2):
            trace(net, (X,))
            recorder.step(net(X).sum())
    assert recorder.watched().observations[-1].outputs is not None


def test_an_output_made_by_a_function_is_not_called_the_input():
    class Broken(Plain):
        def forward(self, x):
            return super().forward(x) / 0

    assert recorded(Broken(), 1).not_finite == (1, "activation", "output")


def test_a_sparse_gradient_that_is_kept():
    net = nn.EmbeddingBag(3, 3, sparse=True)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with Recorder(net, optimizer) as recorder:
        for _ in range(3):
            loss = net(Y[:, None]).square().sum()
            loss.backward()
            optimizer.step()
            recorder.step(loss)
    assert recorder.watched().kept_gradients


def test_refuses_a_step_outside_of_the_block_and_lazy_layers():
    net = Plain()
    recorder = Recorder(net)
    with recorder:
        recorder.step(net(X).sum())
    with pytest.raises(InvalidArgumentError, match="outside of the with block"):
        recorder.step(net(X).sum())
    assert not net._forward_pre_hooks
    with pytest.raises(InvalidArgumentError, match=r"0\.weight has no shape"):
        Recorder(nn.Sequential(nn.LazyLinear(3)))


@pytest.mark.parametrize(
    "change", [{"steps": "a"}, {"losses": "x"}, {"observations": [5]}, {"inputs": None}, {"loss": []}]
)
def test_a_recording_of_other_kinds_is_refused(change):
    plain = watched_json.as_dict(recorded(Plain(), 2))
    watched_json.from_dict(json.loads(dumps(plain)))
    with pytest.raises(ValueError, match="does not belong there"):
        watched_json.from_dict({**plain, **change})
    with pytest.raises(ValueError, match="Watched has no calls, "):
        watched_json.from_dict({})
