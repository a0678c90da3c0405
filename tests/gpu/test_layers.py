"""The layers on a GPU, by the kernels, against torch's."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel

import normwise as nw
from gpu_problems import DEVICE, IMPL, LAYOUTS, laid_out
from normwise.bench import networks

SHAPES = {
    "BatchNorm1d": [(4096, 33), (64, 5, 1001)], "BatchNorm2d": [(32, 17, 31, 29)], "BatchNorm3d": [(8, 5, 9, 17, 15)],
}  # fmt: skip
CASES = [(name, shape) for name, shapes in SHAPES.items() for shape in shapes]


def pair(name, channels, **options):
    """Our layer and torch's, with the same random state."""
    ours, theirs = (getattr(package, name)(channels, device=DEVICE, **options) for package in (nw, nn))
    for tensor in theirs.state_dict().values():
        if tensor.is_floating_point():
            nn.init.uniform_(tensor, 0.5, 2)
    ours.load_state_dict(theirs.state_dict())
    return ours, theirs


def step(module, x, upstream):
    x = x.detach().requires_grad_()
    y = module(x)
    return [y, *torch.autograd.grad(y, [x, *module.parameters()], upstream)]


def test_the_kernels_are_what_runs():
    assert nw.explain(torch.empty(32, 64, 56, 56, device=DEVICE)).impl == IMPL


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("momentum", [0.3, None])
@pytest.mark.parametrize(("name", "shape"), CASES, ids=str)
def test_training_and_evaluation_are_those_of_torch(name, shape, momentum, layout):
    ours, theirs = pair(name, shape[1], momentum=momentum)
    for training in (True, True, False):
        x, upstream = (laid_out(torch.randn(shape, device=DEVICE) + 1, layout) for _ in range(2))
        found, want = (step(layer.train(training), x, upstream) for layer in (ours, theirs))
        torch.testing.assert_close(found[:2], want[:2], rtol=1e-4, atol=1e-4)  # float32 in another order
        torch.testing.assert_close(found[2:], want[2:], rtol=1e-3, atol=1e-2)  # sums of ten thousand values of about 1
        torch.testing.assert_close(ours.state_dict(), theirs.state_dict(), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", SHAPES)
def test_state_dicts_are_exchanged(name):
    ours, theirs = pair(name, 5)
    ours(torch.randn(SHAPES[name][-1][0], 5, *SHAPES[name][-1][2:], device=DEVICE))
    theirs.load_state_dict(ours.state_dict())
    assert list(ours.state_dict()) == list(theirs.state_dict())
    for key, value in ours.state_dict().items():
        assert torch.equal(value, theirs.state_dict()[key])
        assert value.device.type == DEVICE


def test_a_channel_that_is_not_finite_is_skipped():
    layer = nw.BatchNorm2d(3, device=DEVICE)
    x = torch.randn(8, 3, 33, 31, device=DEVICE)
    x[0, 1, 2, 3] = torch.nan
    y = layer(x)
    assert y[:, 1].isnan().all()
    assert not y[:, [0, 2]].isnan().any()
    assert layer.skipped.tolist() == [0, 1, 0]
    assert (layer.running_mean[1], layer.running_var[1]) == (0, 1)
    assert (layer.running_mean[[0, 2]] != 0).all()


def test_a_residual_a_mask_and_a_fused_activation():
    layer, plain = nw.BatchNorm2d(5, activation="relu", device=DEVICE), nn.BatchNorm2d(5, device=DEVICE)
    x, residual = torch.randn(2, 8, 5, 33, 31, device=DEVICE)
    torch.testing.assert_close(layer(x, residual), torch.relu(plain(x) + residual), rtol=1e-4, atol=1e-5)
    mask = torch.rand(8, 33, 31, device=DEVICE) > 0.3
    y = layer(x, residual, mask)
    kept = x.movedim(1, -1)[mask]
    want = torch.relu(nn.BatchNorm1d(5, device=DEVICE)(kept) + residual.movedim(1, -1)[mask])
    torch.testing.assert_close(y.movedim(1, -1)[mask], want, rtol=1e-4, atol=1e-5)
    assert not y.movedim(1, -1)[~mask].any()


def test_a_converted_network_trains_as_torchs_does():
    torch.manual_seed(0)
    theirs = nn.Sequential(
        nn.Conv2d(3, 16, 3, bias=False), nn.BatchNorm2d(16), nn.ReLU(),
        nn.Conv2d(16, 16, 3, bias=False), nn.BatchNorm2d(16), nn.SiLU(), nn.Flatten(), nn.LazyLinear(5),
    ).to(DEVICE)  # fmt: skip
    x, target = torch.randn(32, 3, 20, 20, device=DEVICE), torch.randint(5, (32,), device=DEVICE)
    theirs.eval()(x)
    theirs.train()
    ours = nw.convert(theirs, "normwise", fuse=True).model
    losses = []
    for net in (ours, theirs):
        optimizer = torch.optim.SGD(net.parameters(), lr=0.01)
        losses.append([])
        for _ in range(5):
            loss = networks.loss(net, x, target)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses[-1].append(loss.item())
    assert losses[0] == pytest.approx(losses[1], rel=1e-2)  # TF32 convolutions, and five steps that amplify
    assert losses[0][-1] < losses[0][0]


def test_a_training_step_of_resnet_50_with_and_without_recomputing():
    torch.manual_seed(0)
    ours = networks.ResNet50(networks.our_norm(2), 10, 16).to(DEVICE, memory_format=torch.channels_last)
    torch.manual_seed(0)
    theirs = networks.ResNet50(networks.torch_norm(2), 10, 16).to(DEVICE, memory_format=torch.channels_last)
    x = laid_out(torch.randn(64, 3, 128, 128, device=DEVICE), "channels_last")
    target = torch.randint(10, (64,), device=DEVICE)
    losses, peaks = [], []
    for net, context in ((theirs, torch.enable_grad), (ours, torch.enable_grad), (ours, nw.recompute_activations)):
        torch.cuda.reset_peak_memory_stats()
        start = torch.cuda.memory_allocated()
        with torch.autocast(DEVICE, torch.bfloat16), context():
            loss = networks.loss(net, x, target)
        loss.backward()
        peaks.append(torch.cuda.max_memory_allocated() - start)
        net.zero_grad()
        losses.append(loss.item())
    assert losses[1] == pytest.approx(losses[0], rel=0.05)  # bfloat16 through fifty layers
    assert losses[2] == pytest.approx(losses[1], rel=1e-3)
    # Of some 270 MiB, nearly all activations, a fifth: the outputs of the first two normalizations of each block.
    assert peaks[2] < 0.9 * peaks[1]


def test_distributed_data_parallel_with_one_process():
    if not (distributed.is_available() and distributed.is_nccl_available()):
        pytest.skip("needs torch.distributed with NCCL")
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 8, 3), nw.BatchNorm2d(8, activation="relu"), nn.Flatten(), nn.Linear(8 * 900, 2))
    net.to(DEVICE)
    x = torch.randn(8, 3, 32, 32, device=DEVICE)
    net(x).square().sum().backward()
    want = [p.grad.clone() for p in net.parameters()]
    net.zero_grad()
    with tempfile.TemporaryDirectory() as folder:
        meeting = f"file://{Path(folder) / 'rendezvous'}"
        distributed.init_process_group("nccl", init_method=meeting, rank=0, world_size=1)
        try:
            model = DistributedDataParallel(net, device_ids=[torch.cuda.current_device()])
            for _ in range(2):
                net.zero_grad()
                model(x).square().sum().backward()
            found = [p.grad.clone() for p in net.parameters()]
        finally:
            distributed.destroy_process_group()
    torch.testing.assert_close(found, want, rtol=1e-3, atol=1e-3)  # a convolution's sums need not be deterministic
    assert net[1].num_batches_tracked.item() == 3


def test_channel_dim_and_channels_last_are_the_same():
    x = torch.randn(16, 8, 9, 17, device=DEVICE)
    first, last = nw.BatchNorm2d(8, device=DEVICE), nw.BatchNorm2d(8, channel_dim=-1, device=DEVICE)
    moved = x.movedim(1, -1).contiguous()
    torch.testing.assert_close(last(moved).movedim(-1, 1), first(x), rtol=1e-4, atol=1e-5)
