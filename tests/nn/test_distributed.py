"""DistributedDataParallel. pytorch#110363, #65907."""

from __future__ import annotations

import pytest
import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel

import normwise as nw
from processes import in_two_processes

pytestmark = pytest.mark.skipif(not distributed.is_available(), reason="this torch has no torch.distributed")


def two_forwards(rank, broadcast, evaluating):
    """One step whose loss needs two forwards, as with a discriminator or a siamese network."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(3, 4), nw.BatchNorm1d(4), nn.Linear(4, 2))
    if evaluating:
        net[1].eval()
    model = DistributedDataParallel(net, broadcast_buffers=broadcast)
    torch.manual_seed(10 + rank)
    first, second = torch.randn(2, 5, 3)
    (model(first) * model(second)).square().sum().backward()
    return {
        "state": net.state_dict(),
        "gradients": [p.grad for p in net.parameters()],
        "inputs": (first, second),
    }


CASES = [(broadcast, evaluating) for broadcast in (True, False) for evaluating in (True, False)]


def every_case(rank):
    return {case: two_forwards(rank, *case) for case in CASES}


@pytest.fixture(scope="module")
def results():
    """What both processes returned: starting them takes longer than all they do."""
    found = in_two_processes(every_case)
    assert len(found) == 2
    assert not any("error" in rank for rank in found), found
    return found


@pytest.mark.parametrize(("broadcast", "evaluating"), CASES)
def test_two_forwards_before_a_backward(results, broadcast, evaluating):
    ranks = [rank[broadcast, evaluating] for rank in results]
    torch.testing.assert_close(ranks[0]["gradients"], ranks[1]["gradients"], rtol=0, atol=0)
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(3, 4), nw.BatchNorm1d(4), nn.Linear(4, 2))
    if evaluating:
        net[1].eval()
    for rank in ranks:
        first, second = rank["inputs"]
        ((net(first) * net(second)).square().sum() / 2).backward()
    # The processes' gradients are averaged.
    torch.testing.assert_close(ranks[0]["gradients"], [p.grad for p in net.parameters()])
    for rank in ranks:
        assert rank["state"]["1.num_batches_tracked"].item() == (0 if evaluating else 2)


@pytest.mark.parametrize(
    ("make", "shape"),
    [
        (nw.BatchNorm1d, (4, 3)),
        (nw.BatchNorm2d, (4, 3, 2, 5)),
        (nw.BatchNorm2d, (4, 3, 150, 120)),
        (nw.BatchNorm3d, (4, 3, 2, 5, 2)),
        pytest.param(
            nn.BatchNorm1d,
            (4, 3),
            marks=pytest.mark.xfail(strict=True, raises=RuntimeError, reason="torch's backward keeps the buffers"),
        ),
    ],
)
@pytest.mark.parametrize("training", [True, False])
def test_statistics_that_change_in_place_before_the_backward(make, shape, training):
    """What a broadcast does between two forwards, in one process."""
    layer = make(3).train(training)
    x = torch.randn(shape, requires_grad=True)
    layer.running_mean.normal_()
    (want,) = torch.autograd.grad(layer(x).pow(3).sum(), x)
    y = layer(x)
    layer.running_mean.add_(1), layer.running_var.mul_(2)
    torch.testing.assert_close(torch.autograd.grad(y.pow(3).sum(), x)[0], want, rtol=0, atol=0)


@pytest.mark.parametrize("training", [True, False])
def test_they_may_change_before_the_backward_of_a_compiled_layer(training):
    layer, x = nw.BatchNorm1d(3).train(training), torch.randn(4, 3, requires_grad=True)
    compiled, upstream = torch.compile(layer, backend="aot_eager"), torch.randn(4, 3)
    (want,) = torch.autograd.grad(layer(x), x, upstream)
    layer.running_mean.zero_(), layer.running_var.fill_(1)
    y = compiled(x)
    layer.running_mean.add_(1), layer.running_var.mul_(2)
    torch.testing.assert_close(torch.autograd.grad(y, x, upstream)[0], want)
