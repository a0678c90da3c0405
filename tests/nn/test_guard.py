"""A batch that is not finite leaves the running statistics alone. pytorch#88474, pytorch#115500."""

from __future__ import annotations

import copy
import shutil

import pytest
import torch
from torch import nn

import normwise as nw

POISON = [float("nan"), float("inf"), -float("inf")]
TORCH_TAKES_IT_IN = pytest.mark.xfail(strict=True, reason="torch's running statistics become NaN for good")


# The small way, the kernels that take a channel at once, and those that split it.
SHAPES = [(60, 5), (8, 60, 70, 5), (8, 5, 70, 60)]


def train(layer, *batches):
    for x in batches:
        layer(x)
    return layer


@pytest.mark.parametrize("make", [nw.BatchNorm1d, pytest.param(nn.BatchNorm1d, marks=TORCH_TAKES_IT_IN)])
@pytest.mark.parametrize("value", POISON)
def test_one_bad_value_does_not_reach_the_statistics(make, value):
    good, bad = torch.randn(9, 3), torch.randn(9, 3)
    bad[4, 1] = value
    layer = train(make(3), good)
    before = layer.running_mean[1].item(), layer.running_var[1].item()
    layer(bad)
    assert (layer.running_mean[1].item(), layer.running_var[1].item()) == before
    assert layer.eval()(good).isfinite().all()


@pytest.mark.parametrize("value", POISON)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_only_the_bad_channels_are_left_out_and_counted(shape, value, way):
    make = {2: nw.BatchNorm1d, 4: nw.BatchNorm2d}[len(shape)]
    layer, clean = make(shape[1]), make(shape[1])
    x = torch.randn(shape) + 3
    bad = x.clone()
    bad.select(1, 2)[-1] = value
    for batch in (x, bad, bad):
        layer(batch)
    for batch in (x, x, x):
        clean(batch)
    others = [c for c in range(shape[1]) if c != 2]
    for name in ("running_mean", "running_var"):
        got, want = getattr(layer, name), getattr(clean, name)
        torch.testing.assert_close(got[others], want[others])
        once = getattr(train(make(shape[1]), x), name)
        torch.testing.assert_close(got[2], once[2])
    assert layer.skipped.tolist() == [2 if c == 2 else 0 for c in range(shape[1])]
    assert layer.num_batches_tracked.item() == 3


def test_the_output_hides_nothing():
    x = torch.randn(9, 3)
    x[0, 1] = float("nan")
    y = nw.BatchNorm1d(3, activation="relu")(x.requires_grad_())
    assert y[:, 1].isnan().all()
    assert y[:, [0, 2]].isfinite().all()
    (grad,) = torch.autograd.grad(y, x, torch.randn(9, 3))
    assert grad[:, 1].isnan().all()
    assert grad[:, [0, 2]].isfinite().all()


@pytest.mark.parametrize("value", POISON)
def test_a_bad_batch_does_not_weigh_in_the_plain_average(value):
    layer, average = nw.BatchNorm1d(1, momentum=None), nw.BatchNorm1d(1, momentum=None)
    bad = torch.full((9, 1), value)
    first, second = torch.randn(2, 9, 1)
    train(layer, bad, first, bad, second)
    train(average, first, second)
    torch.testing.assert_close(layer.running_mean, average.running_mean)
    torch.testing.assert_close(layer.running_var, average.running_var)
    assert (layer.num_batches_tracked.item(), layer.skipped.item()) == (4, 2)


def test_values_whose_variance_overflows_are_left_out():
    layer = train(nw.BatchNorm1d(2), torch.tensor([[1e30, 1.0], [-1e30, 2.0]]))
    assert layer.running_var[0].item() == 1
    assert layer.skipped.tolist() == [1, 0]


def test_moments_that_the_type_can_hold_are_taken_even_if_their_sum_is_too_large():
    layer = nw.BatchNorm1d(1).half()
    train(layer, torch.tensor([[40000.0], [40192.0], [39808.0]]).half())
    assert layer.skipped.tolist() == [0]
    assert layer.running_mean.item() == pytest.approx(4000, rel=1e-2)


def test_statistics_of_a_type_that_cannot_hold_the_variance_are_left_alone():
    layer = nw.BatchNorm1d(2).half()
    train(layer, torch.tensor([[600.0, 1], [-600, 2]]).half())
    assert layer.running_var.isfinite().all()
    assert layer.skipped.tolist() == [1, 0]


NEEDS_COMPILER = pytest.mark.skipif(shutil.which("g++") is None, reason="inductor needs a C++ compiler")


# What the compiler itself does with deprecated parts of torch.
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("backend", ["aot_eager", pytest.param("inductor", marks=NEEDS_COMPILER)])
def test_compiled_layers_are_guarded_too(backend):
    net = nn.Sequential(nw.BatchNorm1d(3), nw.BatchNorm1d(3, momentum=None))
    eager = copy.deepcopy(net)
    compiled = torch.compile(net, fullgraph=True, backend=backend)
    for value in (1.0, float("nan"), 2.0):
        x = torch.randn(9, 3)
        x[0, 1] *= value
        torch.testing.assert_close(compiled(x), eager(x), equal_nan=True)
    torch.testing.assert_close(net.state_dict(), eager.state_dict())
    assert [layer.skipped.tolist() for layer in (*net, *eager)] == [[0, 1, 0]] * 4


def test_a_gradient_scaler_sees_the_overflow_and_nothing_is_lost():
    net = nn.Sequential(nn.Linear(3, 4), nw.BatchNorm1d(4), nn.Linear(4, 1))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0)
    before = copy.deepcopy(net.state_dict())
    x = torch.randn(8, 3)
    x[0, 0] = float("inf")
    scaler.scale(net(x).square().mean()).backward()
    scaler.step(optimizer)
    scaler.update()
    after = net.state_dict()
    counter = "1.num_batches_tracked"
    assert after.pop(counter).item() == before.pop(counter).item() + 1
    torch.testing.assert_close(after, before, rtol=0, atol=0)
    assert net[1].skipped.tolist() == [1, 1, 1, 1]


def test_skipped_starts_anew_with_the_statistics():
    layer = train(nw.BatchNorm1d(2), torch.full((3, 2), float("nan")))
    state = layer.state_dict()
    assert "skipped" not in state
    assert layer.skipped.tolist() == [1, 1]
    assert copy.deepcopy(layer).skipped.tolist() == [1, 1]
    layer.load_state_dict(state)
    assert layer.skipped.tolist() == [0, 0]
    train(layer, torch.full((3, 2), float("nan"))).reset_running_stats()
    assert layer.skipped.tolist() == [0, 0]


def test_a_layer_made_without_memory_loads():
    with torch.device("meta"):
        layer = nw.BatchNorm1d(2)
    layer.load_state_dict(nn.BatchNorm1d(2).state_dict(), assign=True)
    train(layer, torch.full((3, 2), float("nan")))
    assert layer.skipped.tolist() == [1, 1]


def test_no_value_is_read_back_from_the_device():
    """On a device without values any read raises."""
    layer = nw.BatchNorm2d(3, momentum=None, device="meta")
    layer(torch.empty(4, 3, 5, 5, device="meta"))
    nw.BatchNorm2d(3, device="meta")(torch.empty(4, 3, 5, 5, device="meta"))
