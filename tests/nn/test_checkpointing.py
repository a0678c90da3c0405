"""Gradient checkpointing repeats forwards; statistics see each batch once. pytorch#96136, fairscale#1035."""

from __future__ import annotations

import copy
import functools

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import CheckpointPolicy, checkpoint, create_selective_checkpoint_contexts

import normwise as nw

REENTRANT = pytest.mark.parametrize("reentrant", [True, False], ids=["reentrant", "non-reentrant"])
TORCH_UPDATES_TWICE = pytest.mark.xfail(strict=True, reason="torch updates the statistics in the repeated forward too")


def networks(make_1d, make_2d, **options):
    """One of small tensors, one that the kernels take."""
    small = nn.Sequential(nn.Linear(3, 4), make_1d(4, **options), nn.Tanh(), nn.Linear(4, 2))
    large = nn.Sequential(nn.Conv2d(3, 8, 3), make_2d(8, **options), nn.Tanh(), nn.Conv2d(8, 2, 3))
    return [(small, torch.randn(6, 3)), (large, torch.randn(8, 3, 40, 40))]


def step(net, x, run):
    """The output, and the gradients of the input and the parameters."""
    x = x.detach().requires_grad_()
    y = run(net, x)
    return [y, *torch.autograd.grad(y.square().sum(), [x, *net.parameters()])]


def plain_backward(net, x, run):
    """The same through ``backward()``, which is what reentrant checkpointing works in."""
    x = x.detach().requires_grad_()
    y = run(net, x)
    y.square().sum().backward()
    return [y.detach(), x.grad, *(p.grad for p in net.parameters())]


@REENTRANT
@pytest.mark.parametrize(
    "layers",
    [
        (nw.BatchNorm1d, nw.BatchNorm2d),
        pytest.param((nn.BatchNorm1d, nn.BatchNorm2d), marks=TORCH_UPDATES_TWICE),
    ],
    ids=["ours", "torch"],
)
@pytest.mark.parametrize("momentum", [0.1, None])
def test_statistics_see_a_checkpointed_batch_once(layers, reentrant, momentum):
    for net, x in networks(*layers, momentum=momentum):
        twin = copy.deepcopy(net)
        got = plain_backward(net, x, lambda net, x: checkpoint(net, x, use_reentrant=reentrant))
        want = plain_backward(twin, x, lambda net, x: net(x))
        torch.testing.assert_close(got, want, rtol=0, atol=0)
        torch.testing.assert_close(net.state_dict(), twin.state_dict(), rtol=0, atol=0)


@REENTRANT
def test_with_every_other_option(reentrant):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second = nn.Linear(6, 6), nn.Linear(6, 6)
            self.norm = nw.BatchNorm1d(6, activation="silu", channel_dim=-1, small_batch="running")

        def forward(self, x):
            mask = x[..., 0] > 0
            return self.second(self.norm(self.first(x), residual=x, mask=mask))

    net, x = Net().double(), torch.randn(4, 7, 6).double()
    twin = copy.deepcopy(net)
    with nw.recompute_activations():
        got = plain_backward(net, x, lambda net, x: checkpoint(net, x, use_reentrant=reentrant))
    torch.testing.assert_close(got, plain_backward(twin, x, lambda net, x: net(x)), rtol=0, atol=0)
    torch.testing.assert_close(net.state_dict(), twin.state_dict(), rtol=0, atol=0)


def test_pooled_statistics_see_a_checkpointed_batch_once():
    for net, x in networks(nw.BatchNorm1d, nw.BatchNorm2d):
        twin = copy.deepcopy(net)
        with nw.pooled_statistics(net):
            plain_backward(net, x, lambda net, x: checkpoint(net, x, use_reentrant=False))
        twin(x)
        torch.testing.assert_close(net.state_dict(), twin.state_dict())


def test_a_second_backward_through_a_kept_graph_repeats_without_counting():
    (net, x), _ = networks(nw.BatchNorm1d, nw.BatchNorm2d)
    y = checkpoint(net, x.requires_grad_(), use_reentrant=False)
    for _ in range(2):
        y.sum().backward(retain_graph=True)
    assert net[1].num_batches_tracked.item() == 1


def test_selective_checkpointing():
    def keep_matrix_products(ctx, operator, *args, **kwargs):
        kept = operator in (torch.ops.aten.addmm.default, torch.ops.aten.convolution.default)
        return CheckpointPolicy.MUST_SAVE if kept else CheckpointPolicy.PREFER_RECOMPUTE

    def run(net, x):
        context = functools.partial(create_selective_checkpoint_contexts, keep_matrix_products)
        return checkpoint(net, x, use_reentrant=False, context_fn=context)

    for net, x in networks(nw.BatchNorm1d, nw.BatchNorm2d):
        twin = copy.deepcopy(net)
        got = step(net, x, run)
        # The operator for dispatch modes and the eager call order their sums alike; its gradients pass one more cast.
        torch.testing.assert_close(got, step(twin, x, lambda net, x: net(x)))
        torch.testing.assert_close(net.state_dict(), twin.state_dict())


def test_a_checkpoint_inside_a_compiled_function_counts_once():
    (net, x), _ = networks(nw.BatchNorm1d, nw.BatchNorm2d)  # where it is traced, a size decides nothing
    twin = copy.deepcopy(net)
    run = torch.compile(lambda x: checkpoint(net, x, use_reentrant=False), fullgraph=True, backend="aot_eager")
    got = step(net, x, lambda net, x: run(x))
    torch.testing.assert_close(got, step(twin, x, lambda net, x: net(x)))
    torch.testing.assert_close(net.state_dict(), twin.state_dict())


def test_a_compiled_network_that_is_checkpointed_from_outside_counts_twice():
    """As documented: what is compiled cannot know that it is being repeated."""
    (net, x), _ = networks(nw.BatchNorm1d, nw.BatchNorm2d)
    compiled = torch.compile(net, backend="aot_eager")
    step(net, x, lambda net, x: checkpoint(compiled, x, use_reentrant=False))
    assert net[1].num_batches_tracked.item() == 2


def test_a_forward_inside_a_backward_hook_does_not_count():
    """As documented: it looks like a checkpoint's."""
    layer, other = nw.BatchNorm1d(3), nw.BatchNorm1d(3)
    y = layer(torch.randn(5, 3, requires_grad=True))
    y.register_hook(lambda grad: other(torch.randn(5, 3)).detach())
    y.sum().backward()
    assert (layer.num_batches_tracked.item(), other.num_batches_tracked.item()) == (1, 0)
    other(torch.randn(5, 3))
    assert other.num_batches_tracked.item() == 1
