from __future__ import annotations

import pytest
import torch
from torch import nn

import normwise as nw
from normwise.nn import statistics


def batch(mean, var, count):
    """As operators return them: mean, variance, what rounding took from the mean, and count."""
    return torch.tensor([[float(value)] for value in (mean, var, 0, count)])


def test_momentum_is_the_weight_of_the_newest_batch_and_the_variance_is_unbiased(way):
    layer = nw.BatchNorm1d(1, momentum=0.25)
    statistics.update(layer, batch(mean=8, var=6, count=4), ordinary=True)
    assert layer.running_mean.item() == 2  # 0.75·0 + 0.25·8
    assert layer.running_var.item() == 2.75  # 0.75·1 + 0.25·6·4/3
    assert layer.num_batches_tracked.item() == 1


def test_without_momentum_every_batch_weighs_the_same(way):
    layer = nw.BatchNorm1d(1, momentum=None)
    for mean in (1, 2, 6):
        statistics.update(layer, batch(mean, var=3, count=4), ordinary=True)
    # 1/3 is rounded, so the average is known to a unit in the last place.
    assert layer.running_mean.item() == pytest.approx(3, rel=1e-6)
    assert layer.running_var.item() == pytest.approx(4, rel=1e-6)


@pytest.mark.parametrize("momentum", [None, 0.25, 0.0])
@pytest.mark.parametrize("counted", [True, False])
def test_every_momentum_is_taken_as_torch_takes_it(momentum, counted):
    layers = [make(3, momentum=momentum) for make in (nw.BatchNorm1d, nn.BatchNorm1d)]
    for _ in range(3):
        x = torch.randn(9, 3)
        for layer in layers:
            if not counted:
                layer.num_batches_tracked = None
            layer(x)
    torch.testing.assert_close(*(layer.state_dict() for layer in layers))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.filterwarnings("ignore::normwise.errors.MomentumWarning")
def test_momentum_1_forgets_even_a_large_mean(dtype, way):
    layers = [make(3, momentum=1.0).to(dtype) for make in (nw.BatchNorm1d, nn.BatchNorm1d)]
    x = torch.tensor([[0.00099993], [0.00099993]], dtype=dtype) * torch.tensor([1.0, 0.7, -3.0], dtype=dtype)
    for layer in layers:
        layer.running_mean.fill_(1e4)
        layer(x)
    assert torch.equal(layers[0].running_mean, x[0])
    torch.testing.assert_close(*(layer.state_dict() for layer in layers))


ODD = {
    "float64": lambda t: t.double(),
    "gaps": lambda t: torch.stack([t, t], -1)[..., 0],
    "wrapped": lambda t: t.as_subclass(Other),
    "negated": lambda t: torch._neg_view(-t),
}


class Other(torch.Tensor):
    pass


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("name", ["running_mean", "running_var", "num_batches_tracked", "skipped"])
def test_odd_buffers_are_updated_as_well(name, odd):
    layer, plain = nw.BatchNorm1d(3, momentum=None), nw.BatchNorm1d(3, momentum=None)
    setattr(layer, name, ODD[odd](getattr(layer, name)))
    for x in torch.randn(2, 9, 3):
        layer(x), plain(x)
    for got, want in zip(layer.buffers(), plain.buffers(), strict=True):
        torch.testing.assert_close(got.as_subclass(torch.Tensor), want, check_dtype=False)


def test_a_variance_of_another_size_is_an_error():
    layer = nw.BatchNorm1d(3)
    layer.running_var = torch.ones(2)
    with pytest.raises(RuntimeError, match=r"running_mean and running_var must have one shape"):
        layer(torch.randn(9, 3))
    assert layer.num_batches_tracked.item() == 0


@pytest.mark.parametrize("count", [0, 1])
def test_a_batch_without_variance_changes_nothing(count, way):
    layer = nw.BatchNorm1d(1)
    statistics.update(layer, batch(5 * count, 0, count), ordinary=True)
    assert (layer.running_mean.item(), layer.running_var.item(), layer.num_batches_tracked.item()) == (0, 1, 0)
    assert layer.skipped.item() == 0


def test_a_batch_without_values_only_counts_as_in_torch():
    layer = nw.BatchNorm1d(1)
    statistics.update(layer, None, ordinary=True)
    assert (layer.running_mean.item(), layer.running_var.item(), layer.num_batches_tracked.item()) == (0, 1, 1)


@pytest.mark.parametrize("shape", [(9, 3), (9, 3, 8000)], ids=["small", "large"])
@pytest.mark.parametrize("make", [nw.BatchNorm1d, nn.BatchNorm1d])
def test_a_layer_that_was_made_smaller_trains(make, shape):
    layer, fresh = make(8), make(3)
    layer.num_features = 3
    for tensor in (layer.weight, layer.bias, layer.running_mean, layer.running_var):
        tensor.data = tensor.data[:3].clone()
    x = torch.randn(shape)
    layer(x), fresh(x)
    torch.testing.assert_close(layer.state_dict(), fresh.state_dict(), rtol=0, atol=0)


def test_a_layer_without_statistics_has_nothing_to_update():
    layer = nw.BatchNorm1d(1, track_running_stats=False)
    statistics.update(layer, batch(1, 1, 4), ordinary=True)
    assert not list(layer.buffers())
    assert layer.skipped is None


def test_statistics_of_few_digits_are_rounded_once():
    layer = nw.BatchNorm1d(1, momentum=0.5).bfloat16()
    layer.running_mean.fill_(1)
    step = 2.0**-7  # of bfloat16 from 1 on
    statistics.update(layer, batch(mean=1 + 1.4 * step, var=1, count=4), ordinary=True)
    # 1 + 0.7·step; of a batch's mean that was rounded before, 1 + 0.5·step, which rounds to 1.
    assert layer.running_mean.item() == 1 + step
