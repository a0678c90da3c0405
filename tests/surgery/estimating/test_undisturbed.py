"""Whatever happens while population moments are estimated, nothing else changes."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import normwise as nw
from normwise.surgery import estimate_population

MODES = ["pooled", "paper", "layerwise"]


class Doubled(nn.BatchNorm1d):
    """A subclass with a forward of its own."""

    def forward(self, x):
        return 2 * super().forward(x)


class Net(nn.Module):
    """Dropout, buffers that move in training, a frozen layer, one in evaluation, and a forward that may raise."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(
            nn.Linear(3, 4), nw.BatchNorm1d(4, momentum=0.2), nn.Dropout(), Doubled(4, momentum=None),
            nn.utils.parametrizations.spectral_norm(nn.Linear(4, 4)), nn.BatchNorm1d(4).eval(),
            nw.FrozenBatchNorm(nn.BatchNorm1d(4)), nn.BatchNorm1d(4),
        )  # fmt: skip
        self.register_buffer("calls", torch.zeros(()))
        self.forwards, self.raises = 0, None
        self.body[1].weight.requires_grad_(False)
        self.body[0].register_forward_hook(lambda *_: None)
        self.body[1].register_forward_pre_hook(lambda *_: None)
        self.body[3].register_full_backward_hook(lambda *_: None)

    def forward(self, x):
        self.calls.add_(1)
        torch.rand(3)
        torch.set_autocast_enabled("cpu", True)
        y = self.body(x)
        self.forwards += 1
        if self.raises is not None and self.forwards == 2:
            raise self.raises
        return y


_FLAGS = ("training", "momentum", "track_running_stats", "_momentum_tensor", "_pool")
_HOOKS = [name for name in vars(nn.Module()) if "hooks" in name]


def everything(net, statistics):
    """All that can be told of a network and of torch; without the three statistics of its layers if so wished."""
    tensors = dict(net.named_parameters()) | dict(net.named_buffers())
    names = ("running_mean", "running_var", "num_batches_tracked", "skipped")
    kept = {name: t for name, t in tensors.items() if statistics or not name.endswith(names)}
    for module in net.modules():
        kept |= {f"{id(module)} {name}": tuple(getattr(module, name)) for name in _HOOKS}
        kept[f"{id(module)} flags"] = tuple(
            vars(module).get(n) for n in ("training", "momentum", "track_running_stats")
        )
        kept[f"{id(module)} weight"] = tuple(vars(module).get(n) for n in ("_momentum_tensor", "_pool"))
    values = {name: v.detach().clone() if isinstance(v, torch.Tensor) else v for name, v in kept.items()}
    values["ids"] = {name: id(t) for name, t in tensors.items()}
    values["grads"] = {name: (p.requires_grad, p.grad) for name, p in net.named_parameters()}
    values["torch"] = (
        torch.is_grad_enabled(), torch.is_autocast_enabled("cpu"), torch.get_autocast_dtype("cpu"),
        torch.is_autocast_cache_enabled(), torch.get_rng_state().tolist(),
    )  # fmt: skip
    return values


def assert_same(got, want):
    assert got.keys() == want.keys()
    for name, value in want.items():
        same = torch.equal(got[name], value) if isinstance(value, torch.Tensor) else got[name] == value
        assert same, name


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("grad", [True, False])
def test_only_statistics_change(mode, training, grad):
    net = Net().train(training)
    net.body[5].train(not training)
    with torch.set_grad_enabled(grad):
        before = everything(net, statistics=False)
        estimate_population(net, list(torch.randn(3, 5, 3)), mode=mode)
        torch.manual_seed(0)
        torch.randn(3, 5, 3)
        after = everything(net, statistics=False)
    before["torch"] = before["torch"][:-1] + after["torch"][-1:]
    assert_same(after, before)


class StopByTestError(Exception):
    pass


def raising(error, at=2):
    """A loader that raises half way, after it has drawn random numbers."""

    class Loader:
        def __iter__(self):
            for index in range(5):
                if index == at:
                    raise error
                yield torch.randn(5, 3)

    return Loader()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("error", [StopByTestError, KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("who", ["loader", "network", "forward", "forward at once"])
def test_nothing_changes_when_something_raises(mode, error, who):
    net = Net()
    net(torch.randn(5, 3)).sum().backward()
    torch.set_autocast_enabled("cpu", False)
    net.forwards = 0
    loader, forward = raising(error("on purpose"), 2 if who == "loader" else 9), None
    if who == "network":
        net.raises = error("on purpose")
    if who.startswith("forward"):

        def forward(model, batch):
            if model.forwards == (0 if who.endswith("once") else 2):
                raise error("on purpose")
            model(batch)

    before = everything(net, statistics=True)
    with pytest.raises(error, match="on purpose"):
        estimate_population(net, loader, mode=mode, forward=forward)
    assert_same(everything(net, statistics=True), before)


def test_nothing_changes_when_statistics_cannot_be_written():
    net = nn.Sequential(nn.BatchNorm1d(3), nn.BatchNorm1d(3))
    with torch.inference_mode():
        net[1].running_var = torch.ones(3)  # which cannot be changed outside inference mode
    batches = [torch.randn(8, 3)]
    before = everything(net, statistics=True)
    with pytest.raises(RuntimeError, match="inference"):
        estimate_population(net, batches)
    assert_same(everything(net, statistics=True), before)


def test_weights_that_autocast_would_keep_still_get_gradients():
    net = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        estimate_population(net, [torch.randn(8, 3)])
        net(torch.randn(8, 3)).float().square().sum().backward()
    assert net[0].weight.grad is not None


def test_no_graph_is_made():
    net = nn.Sequential(nn.Linear(3, 4), nw.BatchNorm1d(4))
    seen = []
    net.register_forward_hook(lambda module, args, output: seen.append(output.requires_grad))
    estimate_population(net, [torch.randn(8, 3)])
    assert seen == [False]


def test_dropout_is_off_and_the_estimate_the_same_every_time():
    net = Net()
    batches = list(torch.randn(3, 5, 3))
    estimate_population(net, batches)
    first = {name: buffer.clone() for name, buffer in net.named_buffers()}
    torch.manual_seed(7)
    estimate_population(net, batches)
    assert all(torch.equal(buffer, first[name]) for name, buffer in net.named_buffers())


def test_a_graph_from_before_still_runs_backward():
    net = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    y = net(torch.randn(8, 3)).square().sum()
    estimate_population(net, [torch.randn(8, 3)])
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.backward()
    net = nn.Sequential(nn.Linear(3, 4), nw.BatchNorm1d(4))
    y = net(torch.randn(8, 3)).square().sum()
    estimate_population(net, [torch.randn(8, 3)])
    y.backward()


def test_within_pooled_statistics_the_pool_is_left_alone():
    net = nn.Sequential(nw.BatchNorm1d(3))
    x = torch.randn(8, 3)
    with nw.pooled_statistics(net):
        net(x)
        estimate_population(net, [torch.randn(8, 3) + 5])
        estimated = net[0].running_mean.clone()
    torch.testing.assert_close(net[0].running_mean, 0.9 * estimated + 0.1 * x.mean(0))
