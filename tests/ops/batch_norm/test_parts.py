"""The four parts: together they are the fused operator, also where each process has a part of the batch."""

import pytest
import torch

from normwise import ops
from normwise.moments import merge
from normwise.ops.activations import activation as parse
from normwise.ops.batch_norm import cpu, parts
from normwise.ops.batch_norm.transform import Transform

EPS = 1e-5
# A handful of float64 operations on sums of some hundred terms of about 1.
FLOAT64 = {"rtol": 1e-9, "atol": 1e-11}


@pytest.fixture(params=["kernels", "plain torch"])
def way(request, monkeypatch):
    if request.param == "plain torch":
        monkeypatch.setattr(cpu, "obstacle", lambda *given: "not wanted")
    return request.param


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize(
    ("activation", "with_residual"),
    [(None, False), (None, True), ("identity", True), ("silu", True)],
)
@pytest.mark.parametrize("shape", [(12, 5), (12, 5, 7), (6, 3, 40, 9)], ids=str)
def test_parts_of_a_batch_give_what_the_whole_gives(shape, activation, with_residual):
    for processes in (1, 3):
        assert_parts_are_the_whole(shape, activation, with_residual, processes)


def assert_parts_are_the_whole(shape, activation, with_residual, processes):
    x, residual = (torch.randn(shape, dtype=torch.float64, requires_grad=True) for _ in range(2))
    weight, bias = (torch.randn(shape[1], dtype=torch.float64, requires_grad=True) for _ in range(2))
    upstream = torch.randn(shape, dtype=torch.float64)
    inputs = [x, weight, bias, *([residual] if with_residual else [])]
    options = {"eps": EPS, "activation": activation}
    whole = ops.batch_norm(x, weight, bias, residual=residual if with_residual else None, impl="reference", **options)
    expected = torch.autograd.grad(whole.y, inputs, upstream)

    shares = [t.detach().chunk(processes) for t in (x, residual, upstream)]
    over = parts.moments(shares[0][0])
    for share in shares[0][1:]:
        over = merge(over, parts.moments(share))
    torch.testing.assert_close([over.mean, over.var, over.count], [whole.mean, whole.var, whole.count], **FLOAT64)
    function = None if activation is None else parse(activation)
    common = (over, Transform(weight.detach(), bias.detach(), None, EPS, function))
    each = [(a, r if with_residual else None, g) for a, r, g in zip(*shares, strict=True)]
    y = torch.cat([parts.normalize(a, *common, residual=r) for a, r, _ in each])
    torch.testing.assert_close(y, whole.y.detach(), **FLOAT64)
    reduced = [parts.backward_reduce(g, a, *common, residual=r) for a, r, g in each]
    sums = tuple(sum(values) for values in zip(*reduced, strict=True))
    torch.testing.assert_close(sums, expected[1:3], **FLOAT64)
    grads = [parts.backward_elementwise(g, a, *common, sums, residual=r) for a, r, g in each]
    torch.testing.assert_close(torch.cat([g[0] for g in grads]), expected[0], **FLOAT64)
    if with_residual:
        torch.testing.assert_close(torch.cat([g[1] for g in grads]), expected[3], **FLOAT64)


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize(("shape", "channel_dim"), [((12, 5, 7), 1), ((12, 7, 5), -1)], ids=str)
def test_moments_under_a_mask_are_those_of_what_it_shows(shape, channel_dim):
    x, mask = torch.randn(shape, dtype=torch.float64), torch.rand(12, 7) < 0.5
    rows = x.movedim(channel_dim, -1)[mask]
    x.movedim(channel_dim, -1)[~mask] = torch.nan
    got = parts.moments(x, mask=mask, channel_dim=channel_dim)
    want = [torch.full((5,), float(len(rows)), dtype=x.dtype), rows.mean(0), rows.var(0, correction=0)]
    torch.testing.assert_close(list(got), want, **FLOAT64)
