"""Population moments, against float64 NumPy of the concatenated data."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F
from torch.optim.swa_utils import update_bn

import normwise as nw
from normwise.errors import InvalidArgumentError, SurgeryError
from normwise.surgery import estimate_population
from zoo import ZOO, randomize

UNTRACKED = "it has no running statistics"
# Of float32 the rounding of a sum of some hundred terms of about 1; of float64 the same.
TOLERANCE = {torch.float32: {"rtol": 1e-6, "atol": 1e-6}, torch.float64: {"rtol": 1e-12, "atol": 1e-12}}


def numpy_moments(x, axis=1, mask=None):
    """Mean and unbiased variance of each channel, in float64."""
    values = np.moveaxis(x.double().numpy(), axis, -1)
    values = values.reshape(-1, values.shape[-1]) if mask is None else values[mask.numpy()]
    return values.mean(0), values.var(0, ddof=1)


def assert_moments(layer, want, dtype=torch.float32):
    for got, expected in zip((layer.running_mean, layer.running_var), want, strict=True):
        torch.testing.assert_close(got, torch.tensor(expected, dtype=dtype), **TOLERANCE[dtype])


def split(x, sizes):
    return list(x.split(sizes))


KINDS = [
    (nn.BatchNorm1d, (23, 4), {}),
    (nn.BatchNorm1d, (23, 4, 5), {}),
    (nn.BatchNorm2d, (23, 4, 3, 5), {}),
    (nn.BatchNorm3d, (23, 4, 3, 2, 5), {}),
    (nn.SyncBatchNorm, (23, 4, 3), {}),
    (nw.BatchNorm1d, (23, 4), {}),
    (nw.BatchNorm1d, (23, 5, 4), {"channel_dim": -1}),
    (nw.BatchNorm2d, (23, 4, 3, 5), {"activation": "relu"}),
    (nw.BatchNorm2d, (23, 3, 5, 4), {"channel_dim": -1, "activation": "gelu", "small_batch": "running"}),
    (nw.BatchNorm3d, (23, 4, 3, 2, 5), {"affine": False}),
    (nw.BatchNorm1d, (23, 4), {"momentum": None}),
]


@pytest.mark.parametrize(("make", "shape", "options"), KINDS, ids=lambda value: getattr(value, "__name__", str(value)))
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_pooled_statistics_are_the_moments_of_all_values(make, shape, options, dtype):
    layer = make(4, **options).to(dtype)
    x = torch.randn(shape, dtype=dtype) * 3 + 7
    estimate_population(nn.Sequential(layer), split(x, [8, 8, 6, 1]))
    assert_moments(layer, numpy_moments(x, options.get("channel_dim", 1)), dtype)
    assert layer.num_batches_tracked == 4


@given(st.data())
@settings(deadline=None, max_examples=40)
def test_pooled_statistics_do_not_depend_on_the_split_into_batches(data):
    x = torch.randn(31, 3, 2, dtype=torch.float64) * 5 + 100
    cuts = sorted(data.draw(st.sets(st.integers(1, 30))))
    sizes = np.diff([0, *cuts, 31]).tolist()
    layer = nw.BatchNorm1d(3, dtype=torch.float64)
    estimate_population(layer, split(x, sizes))
    assert_moments(layer, numpy_moments(x), torch.float64)


def test_a_mean_much_larger_than_the_deviation_costs_no_digits():
    x = torch.randn(500, 3) + 5000
    layer = nw.BatchNorm1d(3)
    estimate_population(layer, split(x, 64))
    mean, var = numpy_moments(x)
    # float32 has steps of 5e-4 around 5000, by which each batch's mean may be off from the others.
    torch.testing.assert_close(layer.running_mean.double().numpy(), mean, rtol=0, atol=5e-4)
    torch.testing.assert_close(layer.running_var.double().numpy(), var, rtol=1e-4, atol=0)


def test_what_a_mask_hides_does_not_count():
    class Padded(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm = nw.BatchNorm1d(3)

        def forward(self, x, mask):
            return self.norm(x, mask=mask)

    x, mask = torch.randn(9, 3, 7), torch.rand(9, 7) < 0.6
    x[~mask.unsqueeze(1).expand_as(x)] = torch.nan
    mask[4:6] = False  # a batch that is all padding
    net = Padded()
    batches = [{"x": a, "mask": b} for a, b in zip(x.split(2), mask.split(2), strict=True)]
    report = estimate_population(net, batches)
    assert_moments(net.norm, numpy_moments(x, mask=mask))
    assert report.layers == [("norm", 4, mask.sum().item(), "")]
    assert report.batches == 5


@pytest.mark.parametrize("kind", [nn.BatchNorm1d, nw.BatchNorm1d])
@pytest.mark.parametrize("sizes", [[8, 8, 8], [8, 8, 3], [16, 1, 5]])
def test_the_paper_s_formula_weighs_every_example_the_same(kind, sizes):
    x = torch.randn(sum(sizes), 3, dtype=torch.float64) * torch.arange(1, sum(sizes) + 1).unsqueeze(1)
    layer = kind(3, dtype=torch.float64)
    estimate_population(layer, split(x, sizes), mode="paper")
    parts = [part.numpy() for part in x.split(sizes)]
    examples, batches = sum(sizes), len(sizes)
    m = examples / batches
    within = sum(len(part) * part.var(0) for part in parts) / examples  # E_B[σ²_B]
    assert_moments(layer, (x.numpy().mean(0), m / (m - 1) * within), torch.float64)


def test_the_paper_s_variance_has_no_bias_however_unequal_the_batches():
    sizes, repetitions = [2, 3, 7], 4000
    x = torch.randn(12, repetitions, dtype=torch.float64)  # a channel for each repetition
    layer = nw.BatchNorm1d(repetitions, dtype=torch.float64)
    estimate_population(layer, split(x, sizes), mode="paper")
    # 9 degrees of freedom each: the mean of 4000 has a standard deviation of √(2/9/4000) = 0.0075.
    assert abs(layer.running_var.mean() - 1) < 4 * 0.0075


def deep(kind=nw.BatchNorm1d):
    net = nn.Sequential(
        nn.Linear(4, 6), kind(6), nn.ReLU(), nn.Dropout(),
        nn.Linear(6, 5), kind(5), nn.Tanh(),
        nn.Linear(5, 3), kind(3), nn.Linear(3, 2),
    ).double()  # fmt: skip
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(torch.randn_like(parameter))
    return net


@pytest.mark.parametrize("kind", [nn.BatchNorm1d, nw.BatchNorm1d])
@pytest.mark.parametrize("sizes", [[7, 7, 7, 1], [22], [1] * 22], ids=str)
def test_layerwise_is_what_evaluating_layer_by_layer_gives(kind, sizes):
    net, x = deep(kind), torch.randn(22, 4, dtype=torch.float64)
    estimate_population(net, split(x, sizes), mode="layerwise")
    h = x
    with torch.no_grad():
        for module in copy.deepcopy(net).eval():
            if isinstance(module, nn.BatchNorm1d):
                assert_moments(module, numpy_moments(h), torch.float64)
            h = module(h)


@pytest.mark.parametrize("kind", [nn.BatchNorm1d, nw.BatchNorm1d])
def test_pooled_normalizes_with_the_moments_of_each_batch_and_drops_nothing(kind):
    net, x = deep(kind), torch.randn(20, 4, dtype=torch.float64)
    estimate_population(net, split(x, 8), mode="pooled")
    h = list(x.split(8))
    with torch.no_grad():
        for module in copy.deepcopy(net).eval():
            if isinstance(module, nn.BatchNorm1d):
                assert_moments(module, numpy_moments(torch.cat(h)), torch.float64)
                module.train()
            h = [module(part) for part in h]


@pytest.mark.parametrize("kind", [nn.BatchNorm1d, nw.BatchNorm1d, nn.SyncBatchNorm])
def test_a_batch_of_one_is_normalized_with_all_that_was_seen_so_far(kind):
    net = nn.Sequential(kind(3), kind(3)).double()
    x = torch.randn(9, 3, dtype=torch.float64)
    estimate_population(net, split(x, [5, 3, 1]))
    seen = x.numpy()
    parts = [(part - part.mean(0)) / np.sqrt(part.var(0) + 1e-5) for part in (seen[:5], seen[5:8])]
    parts.append((seen[8:] - seen.mean(0)) / np.sqrt(seen.var(0) + 1e-5))
    assert_moments(net[1], numpy_moments(torch.tensor(np.concatenate(parts))), torch.float64)


def test_all_calls_of_a_shared_layer_count():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.one = nw.BatchNorm1d(3)
            self.other = self.one

        def forward(self, a):
            return self.one(a) + self.other(2 * a + 1)

    net, x = Twice(), torch.randn(10, 3)
    for mode in ("pooled", "layerwise"):
        report = estimate_population(net, split(x, 4), mode=mode)
        assert_moments(net.one, numpy_moments(torch.cat([x, 2 * x + 1])))
        assert report.layers == [("one", 6, 20, "")]


@pytest.mark.parametrize("kind", [nn.BatchNorm1d, nw.BatchNorm1d])
@pytest.mark.parametrize("size", [1, 2, 5])
def test_the_estimate_does_not_depend_on_the_old_statistics(kind, size):
    fresh, stale = deep(kind), None
    stale = copy.deepcopy(fresh)
    for module in stale.modules():
        if isinstance(module, nn.BatchNorm1d):
            module.running_mean.fill_(torch.nan), module.running_var.fill_(-3), module.num_batches_tracked.fill_(9)
    batches = split(torch.randn(20, 4, dtype=torch.float64), size)
    for net in (fresh, stale):
        estimate_population(net, batches)
    torch.testing.assert_close(stale.state_dict(), fresh.state_dict(), rtol=0, atol=0)


def test_steps_takes_that_many_batches_and_not_one_more():
    x = torch.randn(20, 3)
    batches = iter(split(x, 4))
    layer = nw.BatchNorm1d(3)
    report = estimate_population(layer, batches, steps=2)
    assert_moments(layer, numpy_moments(x[:8]))
    assert report.batches == 2
    torch.testing.assert_close(next(batches), x[8:12])


def test_training_goes_on_as_if_the_layer_had_seen_those_batches():
    x = torch.randn(12, 3)
    trained, estimated = nw.BatchNorm1d(3, momentum=None), nw.BatchNorm1d(3, momentum=None)
    estimated(torch.full((4, 3), torch.inf))
    assert estimated.skipped.sum() == 3
    estimate_population(estimated, split(x, 4), mode="paper")
    assert estimated.skipped.sum() == 0
    for part in x.split(4):
        trained(part)
    more = torch.randn(4, 3)
    trained(more), estimated(more)
    torch.testing.assert_close(estimated.state_dict(), trained.state_dict())


class Branches(nn.Module):
    def __init__(self):
        super().__init__()
        self.used, self.unused = nw.BatchNorm1d(3), nn.BatchNorm1d(3)
        self.frozen = nw.FrozenBatchNorm(nn.BatchNorm1d(3))
        self.untracked = nn.BatchNorm1d(3, track_running_stats=False)
        self.suspended = nw.BatchNorm1d(3)
        self.suspended.track_running_stats = False

    def forward(self, x):
        return self.suspended(self.untracked(self.frozen(self.used(x))))


def test_what_is_left_alone_is_reported_and_unchanged():
    net = Branches()
    with torch.no_grad():
        for buffer in net.buffers():
            buffer.add_(2)
    before = copy.deepcopy(net.state_dict())
    report = estimate_population(net, [torch.randn(4, 3), torch.randn(2, 3)])
    assert {name for name, value in net.state_dict().items() if not torch.equal(value, before[name])} == {
        "used.running_mean", "used.running_var",
    }  # fmt: skip
    assert before["used.num_batches_tracked"] == net.used.num_batches_tracked == 2
    assert str(report).splitlines() == [
        "name       batches  values per channel  statistics",
        "─────────  ───────  ──────────────────  ───────────────────────────────────────",
        "used       2        6                   new",
        "unused     0        0                   as before: no batch reached it",
        "frozen     0        0                   as before: it is frozen",
        "untracked  0        0                   as before: it has no running statistics",
        "suspended  0        0                   as before: track_running_stats is False",
    ]
    assert repr(report) == str(report)


class Functional(nn.Module):
    """Gives buffers of its own to functions, in one of two forwards."""

    def __init__(self, normalize):
        super().__init__()
        self.norm, self.unused, self.normalize = nw.BatchNorm1d(3), nn.BatchNorm1d(3), normalize
        self.register_buffer("mean", torch.full((3,), 2.0))
        self.register_buffer("var", torch.full((3,), 4.0))

    def forward(self, x):
        return self.normalize(self.norm(x), self.mean, self.var)


def by_keywords(x, mean, var):
    return F.batch_norm(x, running_var=var, running_mean=mean, training=True)


def by_torch(x, mean, var):
    return torch.batch_norm(x, None, None, mean, var, False, 0.1, 1e-5, False)


@pytest.mark.parametrize("normalize", [F.batch_norm, by_keywords, by_torch])
@pytest.mark.parametrize("mode", ["pooled", "layerwise"])
def test_functions_with_buffers_of_the_network_are_reported_and_left_alone(normalize, mode):
    net = nn.Sequential(nw.FrozenBatchNorm(nn.BatchNorm1d(3)), nn.SyncBatchNorm(3), Functional(normalize))
    report = estimate_population(net, [torch.randn(4, 3), torch.randn(3, 3)], mode=mode)
    assert [each.name for each in report.layers] == ["0", "1", "2.norm", "2.unused", "2.mean"]
    assert report.layers[-1][1:3] == (0, 0)
    assert "a function normalizes with it" in report.layers[-1].note
    assert net[2].mean.eq(2).all()
    assert net[2].var.eq(4).all()


def test_functions_without_statistics_have_none_to_report():
    net = Functional(lambda x, mean, var: F.batch_norm(x, None, None, training=True))
    assert [each.name for each in estimate_population(net, [torch.randn(4, 3)]).layers] == ["norm", "unused"]


def test_a_layer_that_saw_one_value_is_left_alone():
    class Pool(nn.Module):
        def __init__(self):
            super().__init__()
            self.map, self.one = nw.BatchNorm2d(3), nw.BatchNorm1d(3)

        def forward(self, x):
            return self.one(self.map(x).mean((2, 3)))

    net = Pool()
    report = estimate_population(net, [torch.randn(1, 3, 4, 4)])
    assert report.layers == [("map", 1, 16, ""), ("one", 1, 1, "fewer than two values")]
    assert net.one.running_var.eq(1).all()
    with pytest.raises(SurgeryError, match="no batch had two values per channel; mode='pooled' needs none"):
        estimate_population(nw.BatchNorm1d(3), split(torch.randn(4, 3), 1), mode="paper")


class Changed(nn.BatchNorm1d):
    """A layer for (N, L, C)."""

    def forward(self, x):
        return torch.relu(super().forward(x.transpose(1, 2)).transpose(1, 2))


class Halved(nn.BatchNorm1d):
    """A layer that normalizes half of what it is given."""

    def forward(self, x):
        return super().forward(x[: len(x) // 2])


class Activated(nw.BatchNorm1d):
    def forward(self, x, residual=None, mask=None):
        return super().forward(x, residual, mask).tanh()


@pytest.mark.parametrize("length", [4, 6])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_a_subclass_is_asked_which_axis_it_normalizes(length, dtype):
    layer, x = Changed(4, momentum=0.3, dtype=dtype), torch.randn(20, length, 4, dtype=dtype)
    x = x * torch.arange(1, 5) + torch.arange(length).unsqueeze(1)
    estimate_population(layer, [*split(x[:18], 6), x[18:19], x[19:]])
    assert_moments(layer, numpy_moments(x, -1), dtype)
    assert layer.momentum == 0.3
    assert layer.track_running_stats


def test_a_subclass_with_more_behaviour_is_estimated():
    net, x = nn.Sequential(Activated(3, momentum=None), nn.BatchNorm1d(3)), torch.randn(20, 3)
    estimate_population(net, [*split(x[:18], 6), x[18:19], x[19:]])
    assert_moments(net[0], numpy_moments(x))
    assert net[0].momentum is None
    assert net[0]._momentum_tensor is None
    assert net[1].running_var.max() < 0.6  # of a tanh


def test_a_subclass_that_normalizes_something_else_is_left_alone():
    net, x = nn.Sequential(Halved(3), nn.BatchNorm1d(3)), torch.randn(20, 3)
    for mode in ("pooled", "layerwise"):
        report = estimate_population(net, split(x, 10), mode=mode)
        assert [each.note for each in report.layers] == ["Halved normalizes something else than its input", ""]
        assert net[0].running_mean.eq(0).all()
        assert net[0].num_batches_tracked == 0


@pytest.mark.parametrize("index", [0, 2])
@pytest.mark.parametrize("mode", ["pooled", "paper", "layerwise"])
@pytest.mark.parametrize("value", [torch.nan, torch.inf, 1e200])
def test_a_batch_that_is_not_finite_is_refused(index, mode, value):
    net = nn.Sequential(nn.Identity(), nw.BatchNorm1d(3), nn.BatchNorm1d(3)).double()
    batches = split(torch.randn(12, 3, dtype=torch.float64), 4)
    batches[index][1, 2] = value
    before = copy.deepcopy(net.state_dict())
    with pytest.raises(SurgeryError, match=f"batch {index}: the input of 1 holds NaN"):
        estimate_population(net, batches, mode=mode)
    torch.testing.assert_close(net.state_dict(), before, rtol=0, atol=0)


@pytest.mark.parametrize("batches", [[], iter([]), torch.utils.data.DataLoader([])], ids=["list", "iterator", "loader"])
def test_no_batch_is_an_error(batches):
    with pytest.raises(SurgeryError, match="there was no batch"):
        estimate_population(nw.BatchNorm1d(3), batches)


@pytest.mark.parametrize("steps", [0, -1])
def test_steps_below_one_are_an_error(steps):
    with pytest.raises(InvalidArgumentError, match=f"steps must be at least 1, or None for all batches, got {steps}"):
        estimate_population(nw.BatchNorm1d(3), [torch.randn(4, 3)], steps=steps)


def test_a_mode_that_does_not_exist_is_an_error():
    with pytest.raises(InvalidArgumentError, match="unknown mode 'pool'; did you mean 'pooled'"):
        estimate_population(nw.BatchNorm1d(3), [torch.randn(4, 3)], mode="pool")


def test_layerwise_refuses_what_can_be_passed_over_once():
    with pytest.raises(SurgeryError, match="a generator can be passed over only once; give a list or a DataLoader"):
        estimate_population(deep(), (x for x in torch.randn(3, 4, 4, dtype=torch.float64)), mode="layerwise")

    class Once:
        def __init__(self):
            self.batches = iter(torch.randn(3, 4, 4, dtype=torch.float64))

        def __iter__(self):
            return self.batches

    with pytest.raises(SurgeryError, match="there was no batch"):
        estimate_population(deep(), Once(), mode="layerwise")

    class Shrinking:
        size = 4

        def __iter__(self):
            self.size -= 1
            return iter(torch.randn(self.size, 4, 4, dtype=torch.float64))

    with pytest.raises(SurgeryError, match="the first pass gave 3 batches and a later one 2"):
        estimate_population(deep(), Shrinking(), mode="layerwise")


@pytest.mark.parametrize(
    ("net", "says"),
    [
        (nn.Linear(3, 3), r"found none \(normalizations in the network: none\)"),
        (nn.Sequential(nn.LayerNorm(3)), "LayerNorm × 1"),
        (nw.FrozenBatchNorm(nn.BatchNorm1d(3)), "the network itself: it is frozen"),
        (nn.Sequential(nn.BatchNorm1d(3, track_running_stats=False)), "0: it has no running statistics"),
        (nn.Sequential(nn.LazyBatchNorm1d()), r"0 \(LazyBatchNorm1d\) has no size yet"),
        (torch.compile(nn.Sequential(nn.BatchNorm1d(3)), backend="eager"), "compiled or scripted"),
    ],
    ids=str,
)
def test_networks_with_nothing_to_estimate_are_refused(net, says):
    with pytest.raises(SurgeryError, match=says):
        estimate_population(net, [torch.randn(4, 3)])


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_scripted_networks_are_refused():
    net = nn.Sequential(torch.jit.script(nn.BatchNorm1d(3)))
    with pytest.raises(SurgeryError, match=r"cannot estimate the population of 0: it is compiled or scripted"):
        estimate_population(net, [torch.randn(4, 3)])


def test_a_network_none_of_whose_layers_is_reached_is_an_error():
    net = Branches()
    with pytest.raises(SurgeryError, match="used: no batch reached it"):
        estimate_population(net, [torch.randn(4, 3)], forward=lambda model, x: x)


@pytest.mark.parametrize("part", ["network", "layer", "function"])
def test_what_is_compiled_inside_runs_as_written(part):
    net = nn.Sequential(nw.BatchNorm1d(3))
    forward = None
    if part == "function":
        inner = torch.compile(lambda x: net[0](x), backend="eager")

        def forward(model, batch):
            inner(batch)

        with torch.no_grad():
            inner(torch.randn(5, 3))
    else:
        compiled = net if part == "network" else net[0]
        compiled.compile(backend="eager")
        with torch.no_grad():
            compiled(torch.randn(5, 3))
    x = torch.randn(12, 3)
    estimate_population(net, split(x, 5), forward=forward)
    assert_moments(net[0], numpy_moments(x))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_half_precision_is_summed_in_more(dtype):
    layer, x = nw.BatchNorm1d(3), (torch.randn(400, 3) + 3).to(dtype)
    estimate_population(layer, split(x, 64))
    assert_moments(layer, numpy_moments(x))
    half = nn.BatchNorm1d(3, dtype=dtype)
    estimate_population(half, split(x, 64))
    torch.testing.assert_close(half.running_mean.float(), layer.running_mean, rtol=torch.finfo(dtype).eps, atol=0)


def test_statistics_that_overflow_their_type_change_nothing():
    net = nn.Sequential(nn.BatchNorm1d(3), nn.BatchNorm1d(3).half())
    before = copy.deepcopy(net.state_dict())
    with pytest.raises(SurgeryError, match=r"too large for torch.float16"):
        estimate_population(net, [torch.randn(9, 3) * 300], forward=lambda net, x: (net[0](x), net[1](x.half())))
    torch.testing.assert_close(net.state_dict(), before, rtol=0, atol=0)


@pytest.mark.parametrize("entry", [entry for entry in ZOO.values() if entry.norms], ids=str)
@pytest.mark.parametrize("mode", ["pooled", "layerwise"])
def test_networks_as_people_write_them(entry, mode):
    """Each layer has the moments of what it is given: with one batch in training, or, layerwise, in evaluation."""
    net = randomize(entry.make()).double()
    batches = [entry.example().double() for _ in range(3)]
    if mode == "pooled":
        batches = batches[:1]
    report = estimate_population(net, batches, mode=mode)
    names = {name for name, module in net.named_modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)}
    assert {each.name for each in report.layers} == names
    given = {}
    for module in net.modules():
        module.training = isinstance(module, nn.modules.batchnorm._BatchNorm) and mode == "pooled"
    for name, layer in net.named_modules():
        if name in names and layer.track_running_stats:
            layer.register_forward_pre_hook(lambda _, args, name=name: given.setdefault(name, []).append(args[0]))
    before = copy.deepcopy(net.state_dict())
    with torch.no_grad():
        for batch in batches:
            net(batch)
    net.load_state_dict(before)
    for name, batches_, values, note in report.layers:
        layer = net.get_submodule(name)
        assert note == ("" if name in given else "no batch reached it" if layer.track_running_stats else UNTRACKED)
        if name not in given or (mode == "layerwise" and batches_ > len(batches)):
            continue  # the second call of a shared layer is given what the first one made
        x = torch.cat([each.movedim(getattr(layer, "channel_dim", 1), -1).flatten(0, -2) for each in given[name]])
        assert len(x) == values
        assert_moments(layer, numpy_moments(x), torch.float64)


# What torch does instead. pytorch#49082.

ESTIMATES = [
    estimate_population,
    pytest.param(
        lambda net, batches: update_bn(batches, net),
        marks=pytest.mark.xfail(strict=True, reason="pytorch#49082, and what fvcore has in common with it"),
        id="update_bn",
    ),
]


@pytest.mark.parametrize("estimate", ESTIMATES)
def test_a_last_batch_of_two_weighs_as_two(estimate):
    x = torch.cat([torch.randn(64, 3), torch.randn(2, 3) + 10])
    layer = nn.BatchNorm1d(3)
    estimate(nn.Sequential(layer), split(x, 64))
    assert_moments(layer, numpy_moments(x))


@pytest.mark.parametrize("estimate", ESTIMATES)
def test_a_dict_is_passed_as_keywords(estimate):
    net, x = nn.Sequential(nn.BatchNorm1d(3)), torch.randn(12, 3)
    estimate(net, [{"input": part} for part in x.split(12)])
    assert_moments(net[0], numpy_moments(x))


@pytest.mark.parametrize("estimate", ESTIMATES)
def test_a_last_batch_of_one_is_no_error(estimate):
    net, x = nn.Sequential(nn.BatchNorm1d(3)), torch.randn(9, 3)
    estimate(net, split(x, 8))
    assert_moments(net[0], numpy_moments(x))


@pytest.mark.parametrize("estimate", ESTIMATES)
def test_an_unused_layer_keeps_its_statistics(estimate):
    net = Branches()
    net.unused.running_mean.fill_(3)
    estimate(net, [torch.randn(9, 3)])
    assert net.unused.running_mean.eq(3).all()
