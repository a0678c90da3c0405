"""Population moments, against float64 NumPy of the concatenated data."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import normwise as nw
from normwise.surgery import estimate_population
from populations import assert_moments, deep, numpy_moments, split
from zoo import ZOO, randomize

UNTRACKED = "it has no running statistics"


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


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_half_precision_is_summed_in_more(dtype):
    layer, x = nw.BatchNorm1d(3), (torch.randn(400, 3) + 3).to(dtype)
    estimate_population(layer, split(x, 64))
    assert_moments(layer, numpy_moments(x))
    half = nn.BatchNorm1d(3, dtype=dtype)
    estimate_population(half, split(x, 64))
    torch.testing.assert_close(half.running_mean.float(), layer.running_mean, rtol=torch.finfo(dtype).eps, atol=0)


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
