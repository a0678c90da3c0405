"""Suspending and pooling statistics. pytorch#20967, #44415 (suspend); pytorch#46516, keras#16633 (accumulation)."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch
from torch import nn

import normwise as nw
from normwise.errors import InvalidArgumentError


def network(make=nw.BatchNorm1d, **options):
    return nn.Sequential(nn.Linear(3, 4), make(4, **options), nn.ReLU(), make(4, **options))


class StopError(Exception):
    pass


@pytest.mark.parametrize("make", [nw.BatchNorm1d, nn.BatchNorm1d])
def test_suspended_statistics_stay_and_the_outputs_are_the_same(make):
    net = network(make)
    twin, x, before = copy.deepcopy(net), torch.randn(5, 3), copy.deepcopy(net.state_dict())
    with nw.suspend_statistics(net):
        y = net(x)
    torch.testing.assert_close(net.state_dict(), before, rtol=0, atol=0)
    torch.testing.assert_close(y, twin(x), rtol=0, atol=0)
    net(x)
    torch.testing.assert_close(net.state_dict(), twin.state_dict(), rtol=0, atol=0)


def test_suspension_nests_and_ends_with_an_exception():
    net, x = network(), torch.randn(5, 3)

    def body():
        with nw.suspend_statistics(net):
            with nw.suspend_statistics(net[1]):
                net(x)
            net(x)
            raise StopError

    with pytest.raises(StopError):
        body()
    assert net[1].num_batches_tracked.item() == net[3].num_batches_tracked.item() == 0
    net(x)
    assert net[1].num_batches_tracked.item() == 1


def test_contexts_that_overlap_end_with_the_last():
    layer, x = nw.BatchNorm1d(3), torch.randn(5, 3)
    first, second = nw.suspend_statistics(layer), nw.suspend_statistics(layer)
    first.__enter__(), second.__enter__()
    first.__exit__(None, None, None)
    layer(x)
    second.__exit__(None, None, None)
    assert layer.num_batches_tracked.item() == 0
    layer(x)
    assert layer.num_batches_tracked.item() == 1


@pytest.mark.parametrize("clone", [copy.copy, copy.deepcopy, lambda layer: pickle.loads(pickle.dumps(layer))])
def test_a_copy_is_not_in_the_pool_of_the_original(clone):
    layer, x = nw.BatchNorm1d(3), torch.randn(5, 3)
    with nw.pooled_statistics(layer):
        twin = clone(layer)
        twin(x)
        assert twin.num_batches_tracked.item() == 1
    with nw.pooled_statistics(twin):
        twin(x)
    assert twin.num_batches_tracked.item() == 2


def test_evaluation_and_layers_without_statistics_are_as_before_within():
    net, x = network().eval(), torch.randn(5, 3)
    free = network(track_running_stats=False)
    want = net(x), free(x)
    with nw.suspend_statistics(net), nw.suspend_statistics(free):
        got = net(x), free(x)
    torch.testing.assert_close(got, want, rtol=0, atol=0)
    assert not free[1].track_running_stats
    assert net[1].track_running_stats


@pytest.mark.parametrize("momentum", [0.1, None])
@pytest.mark.parametrize("sizes", [(4, 4, 4), (7, 2, 30)], ids=str)
def test_pooled_forwards_are_one_batch(momentum, sizes):
    layer = nw.BatchNorm1d(3, momentum=momentum, dtype=torch.float64)
    twin = copy.deepcopy(layer)
    parts = [torch.randn(n, 3).double() * 5 + 100 * k for k, n in enumerate(sizes)]
    for scale in (1, 2):
        with nw.pooled_statistics(layer):
            for part in parts:
                layer(part * scale)
        twin(torch.cat(parts) * scale)
    # Merging rounds a handful of times in float64.
    torch.testing.assert_close(layer.state_dict(), twin.state_dict(), rtol=1e-12, atol=1e-12)


def test_accumulating_gradients_over_micro_batches():
    net = nn.Sequential(nn.Conv2d(2, 4, 3), nw.BatchNorm2d(4, activation="relu"))
    twin, x = copy.deepcopy(net), torch.randn(12, 2, 6, 6)
    with nw.pooled_statistics(net):
        for part in x.split(4):
            net(part).sum().backward()
    twin(x)
    torch.testing.assert_close(net.state_dict(), twin.state_dict())


@pytest.mark.xfail(strict=True, reason="torch updates with every micro-batch")
def test_accumulating_with_torchs_layer():
    layer, twin, x = nn.BatchNorm1d(3), nn.BatchNorm1d(3), torch.randn(12, 3)
    for part in x.split(4):
        layer(part)
    twin(x)
    torch.testing.assert_close(layer.state_dict(), twin.state_dict())


def test_pooled_masked_batches_count_what_counts():
    layer, twin = nw.BatchNorm1d(3).double(), nw.BatchNorm1d(3).double()
    x, mask = torch.randn(8, 3, 5).double(), torch.rand(8, 5) > 0.4
    with nw.pooled_statistics(layer):
        for part, where in zip(x.split(2), mask.split(2), strict=True):
            layer(part, mask=where)
    twin(x, mask=mask)
    torch.testing.assert_close(layer.state_dict(), twin.state_dict())


def test_a_channel_that_was_not_finite_once_is_skipped_for_the_whole():
    layer, x = nw.BatchNorm1d(3), torch.randn(3, 5, 3)
    x[1, 0, 2] = float("inf")
    with nw.pooled_statistics(layer):
        for part in x:
            layer(part)
    assert layer.skipped.tolist() == [0, 0, 1]
    assert (layer.running_mean[2].item(), layer.running_var[2].item()) == (0, 1)
    assert layer.running_mean[:2].all()


def test_an_exception_leaves_the_statistics_as_they_were():
    net = network()
    before = copy.deepcopy(net.state_dict())

    def body():
        with nw.pooled_statistics(net):
            net(torch.randn(5, 3))
            raise StopError

    with pytest.raises(StopError):
        body()
    torch.testing.assert_close(net.state_dict(), before, rtol=0, atol=0)
    net(torch.randn(5, 3))
    assert net[1].num_batches_tracked.item() == 1


def test_layers_that_did_not_run_or_are_suspended_change_nothing():
    net = network()
    with nw.pooled_statistics(net):
        net[:2](torch.randn(5, 3))
        with nw.suspend_statistics(net):
            net(torch.randn(5, 3))
        net.eval()(torch.randn(5, 3))
    assert [net[k].num_batches_tracked.item() for k in (1, 3)] == [1, 0]


def test_both_work_on_compiled_networks():
    net, x = network(), torch.randn(4, 5, 3)
    twin = copy.deepcopy(net)
    compiled = torch.compile(net, fullgraph=True, backend="aot_eager")
    with nw.suspend_statistics(compiled):
        compiled(x[0])
    with nw.pooled_statistics(compiled):
        for part in x:
            compiled(part)
    with nw.pooled_statistics(twin):
        for part in x:
            twin(part)
    torch.testing.assert_close(net.state_dict(), twin.state_dict())
    assert net[1].num_batches_tracked.item() == 1


@pytest.mark.parametrize("context", [nw.suspend_statistics, nw.pooled_statistics])
def test_a_network_without_normalization_is_an_error(context):
    with pytest.raises(InvalidArgumentError, match="no batch normalization in this Linear"), context(nn.Linear(2, 2)):
        pass


def test_pooling_torchs_layers_is_an_error_that_names_them():
    net = nn.Sequential(nw.BatchNorm1d(3), nn.BatchNorm1d(3))
    with pytest.raises(InvalidArgumentError, match="with every forward: 1;"), nw.pooled_statistics(net):
        pass
    net[1].eval()
    with nw.pooled_statistics(net):  # in evaluation it updates nothing
        net(torch.randn(4, 3))
    assert net[0].num_batches_tracked.item() == 1


def test_pooling_twice_is_an_error_that_leaves_the_outer_pool():
    net = network()
    with nw.pooled_statistics(net):
        with pytest.raises(InvalidArgumentError, match="pooled already"), nw.pooled_statistics(net[1]):
            pass
        net(torch.randn(5, 3))
    assert net[1].num_batches_tracked.item() == 1


@pytest.mark.parametrize("context", [nw.suspend_statistics, nw.pooled_statistics])
def test_frozen_layers_are_batch_normalization_that_has_nothing_to_do(context):
    frozen = nw.freeze(network()).model.train()
    before = copy.deepcopy(frozen.state_dict())
    with context(frozen):
        frozen(torch.randn(5, 3))
    torch.testing.assert_close(frozen.state_dict(), before, rtol=0, atol=0)
