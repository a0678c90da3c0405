"""How the kernels run: large tensors, graphs, streams, devices, tracing, autograd, recomputing."""

from __future__ import annotations

import contextlib

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import normwise as nw
from gpu_problems import DEVICE, IMPL, LAYOUTS, answer, assert_right, computed, laid_out, options_of, placed, problem
from normwise import ops
from normwise.ops.batch_norm import parts
from tensors import EPS, outcome, same_bits

GIB = 2**30


def given(shape=(16, 8, 33, 31), dtype=torch.float32, **options):
    return problem(shape, dtype, **{"activation": "silu", "residual": True} | options)


def settled(work):
    """What ``work`` returns, once everything that it needs has been compiled and tuned."""
    work()
    torch.cuda.synchronize()
    return work()


@pytest.mark.parametrize(
    ("shape", "layout"),
    [
        ((33, 64, 1024, 1024), "contiguous"),
        ((33, 64, 1024, 1024), "channels_last"),
        ((3, 1, 27_000, 27_000), "contiguous"),
        ((9_000_000, 256), "contiguous"),
    ],
    ids=str,
)
def test_more_than_two_to_the_31_values(shape, layout):
    """All examples alike: their outputs and gradients are alike to the bit, and those of one example by itself."""
    torch.cuda.empty_cache()
    if torch.cuda.mem_get_info()[0] < 40 * GIB:
        pytest.skip("needs 40 GiB of memory on the GPU")
    some = 3_000 if len(shape) == 2 else 1  # examples that are repeated
    first, upstream = torch.randn(2, some, *shape[1:], device=DEVICE, dtype=torch.bfloat16)
    weight, bias = torch.rand(2, shape[1], device=DEVICE)

    def repeated(t):
        whole = torch.empty(shape, device=DEVICE, dtype=t.dtype)
        return laid_out(whole, layout).copy_(t.repeat(shape[0] // some, *[1] * (len(shape) - 1)))

    def run(x, upstream):
        out = ops.batch_norm(x.requires_grad_(), weight, bias, eps=EPS, activation="silu", impl=IMPL)
        return out, torch.autograd.grad(out.y, x, upstream)[0]

    assert repeated(first).numel() > 2**31
    want, d_want = run(laid_out(first, layout), laid_out(upstream, layout))
    found, d_found = run(repeated(first), repeated(upstream))
    # Sums over thirty times as many values, in another order.
    torch.testing.assert_close([found.mean, found.var], [want.mean, want.var], rtol=1e-4, atol=1e-5)
    assert (found.count == want.count * (shape[0] // some)).all()
    for whole, part in ((found.y, want.y), (d_found, d_want)):
        for start in (0, shape[0] // 2 // some * some, shape[0] - some):
            torch.testing.assert_close(whole[start : start + some], part, rtol=0.02, atol=1e-3)  # roundings of bfloat16
            same_bits(whole[start : start + some], whole[:some])


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_graph_captures_and_replays(layout):
    first, second = given(seed=0), given(seed=1)
    inputs, upstream = placed(first, layout)

    def work():
        return outcome(inputs, upstream, **options_of(first))

    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            work()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        captured = work()
    for problem_ in (first, second):
        with torch.no_grad():
            for name, tensor in inputs.items():
                tensor.copy_(getattr(problem_, name))
            upstream.copy_(problem_.upstream)
        for tensor in captured.values():
            tensor.fill_(torch.nan)
        graph.replay()
        same_bits(captured, computed(problem_, layout))


def test_work_is_queued_on_the_current_stream():
    """The stream's earlier work is long, and what the kernels read is written at its end."""
    problem_ = given((64, 64, 56, 56))
    want = computed(problem_)
    inputs, upstream = placed(problem_)
    values = inputs["x"].detach().clone()
    side = torch.cuda.Stream()
    torch.cuda.synchronize()
    with torch.cuda.stream(side):
        with torch.no_grad():
            inputs["x"].fill_(torch.nan)
            torch.cuda._sleep(100_000_000)
            inputs["x"].copy_(values)
        found = outcome(inputs, upstream, **options_of(problem_))
    side.synchronize()
    same_bits(found, want)


def test_tensors_on_another_device_than_the_current_one():
    if torch.cuda.device_count() < 2:
        pytest.skip("needs two GPUs")
    inputs, upstream = placed(given())
    moved = {name: t.detach().to("cuda:1").requires_grad_() for name, t in inputs.items()}
    same_bits(
        {n: t.cpu() for n, t in outcome(moved, upstream.to("cuda:1"), **options_of(given())).items()},
        {n: t.cpu() for n, t in computed(given()).items()},
    )


@contextlib.contextmanager
def nothing_waits():
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize("options", [{}, {"groups": 2}, {"mask": True}], ids=str)
def test_the_operator_waits_for_nothing(options):
    problem_ = given(**options)
    inputs, upstream = placed(problem_)
    on_device = options_of(problem_)

    def work():
        return outcome(inputs, upstream, **on_device)

    settled(work)
    with nothing_waits():
        work()


@pytest.mark.parametrize("momentum", [0.1, None])
@pytest.mark.parametrize("training", [True, False])
def test_a_layer_waits_for_nothing(training, momentum):
    layer = nw.BatchNorm2d(8, activation="relu", momentum=momentum, device=DEVICE).train(training)
    x = torch.randn(16, 8, 33, 31, device=DEVICE, requires_grad=True)

    def work():
        layer(x, x).backward(x.detach())

    settled(work)
    with nothing_waits():
        work()


def test_it_runs_in_another_thread_of_autograd():
    """Backwards run in a thread of the device, which has a current stream of its own."""
    problem_ = given()
    inputs, upstream = placed(problem_)
    out = ops.batch_norm(**{name: t * 1 for name, t in inputs.items()}, eps=EPS, activation="silu", impl=IMPL)
    out.y.backward(upstream)
    want = answer(problem_)
    found = {f"d_{name}": t.grad for name, t in inputs.items()}
    assert_right(found, {name: want[name] for name in found}, problem_)


@pytest.mark.parametrize("activation", ["tanh", "silu"])
def test_second_derivatives_are_those_of_the_reference(activation):
    def second(impl):
        problem_ = given((6, 5, 4, 3), activation=activation)
        inputs, upstream = placed(problem_)
        upstream.requires_grad_()
        y = ops.batch_norm(**inputs, eps=EPS, activation=activation, impl=impl).y
        first = torch.autograd.grad(y, list(inputs.values()), upstream, create_graph=True)
        total = sum(g.square().sum() for g in first)
        return torch.autograd.grad(total, [*inputs.values(), upstream])

    # Two backwards in float32, whose sums are in another order.
    torch.testing.assert_close(second(IMPL), second("reference"), rtol=1e-3, atol=1e-3)


def test_func_transforms_take_the_reference():
    inputs, upstream = placed(given((6, 5, 4, 3), residual=False))

    def loss(x):
        return (ops.batch_norm(x, None, None, eps=EPS, activation="silu").y * upstream).sum()

    x = inputs["x"].detach()
    (want,) = torch.autograd.grad(loss(inputs["x"]), inputs["x"])
    torch.testing.assert_close(torch.func.grad(loss)(x), want, rtol=1e-4, atol=1e-5)  # float32 in another order


quiet_compiler = pytest.mark.filterwarnings("ignore:.*torch.jit.script:DeprecationWarning")  # of its own imports


@quiet_compiler
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("residual", [False, True])
def test_a_compiled_layer(training, residual):
    torch.manual_seed(0)
    layer = nw.BatchNorm2d(8, activation="relu", device=DEVICE).train(training)
    twin = nw.BatchNorm2d(8, activation="relu", device=DEVICE).train(training)
    compiled = torch.compile(layer, fullgraph=True)
    for size in (33, 33, 40):
        x, upstream = torch.randn(2, 16, 8, size, 31, device=DEVICE)
        results = []
        for module in (compiled, twin):
            leaf = x.clone().requires_grad_()
            y = module(leaf, leaf if residual else None)
            parameters = (layer if module is compiled else twin).parameters()
            results.append([y, *torch.autograd.grad(y, [leaf, *parameters], upstream)])
        torch.testing.assert_close(*results, rtol=1e-4, atol=1e-4)  # what is fused around it rounds elsewhere
    torch.testing.assert_close(layer.state_dict(), twin.state_dict(), rtol=1e-5, atol=1e-6)


@quiet_compiler
def test_a_compiled_network_under_autocast():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 8, 3), nw.BatchNorm2d(8, activation="relu"), nn.Conv2d(8, 4, 3)).to(DEVICE)
    x = torch.randn(8, 3, 32, 32, device=DEVICE)
    compiled = torch.compile(net, fullgraph=True)
    with torch.autocast(DEVICE, torch.bfloat16):
        found, want = compiled(x), net(x)
    assert found.dtype is want.dtype is torch.bfloat16
    torch.testing.assert_close(found, want, rtol=0.05, atol=0.05)  # a few roundings of bfloat16
    found.float().square().mean().backward()
    assert all(p.grad.isfinite().all() for p in net.parameters())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_autocast_leaves_half_precision_as_it_is(dtype):
    torch.manual_seed(0)
    layer = nw.BatchNorm2d(8, activation="relu", device=DEVICE)
    conv = nn.Conv2d(3, 8, 3, device=DEVICE)
    x = torch.randn(8, 3, 32, 32, device=DEVICE)
    with torch.autocast(DEVICE, dtype):
        half = conv(x)
        y = layer(half)
    assert (half.dtype, y.dtype) == (dtype, dtype)
    want = F.relu(F.batch_norm(half.float(), None, None, layer.weight, layer.bias, training=True))
    torch.testing.assert_close(y.float(), want, rtol=torch.finfo(dtype).eps, atol=1e-4)  # rounded once
    y.float().square().mean().backward()
    assert layer.weight.grad.dtype is torch.float32


class Chain(nn.Module):
    """Convolution, normalization, activation, convolution; a residual."""

    def __init__(self):
        super().__init__()
        self.first, self.second = (nn.Conv2d(16, 16, 3, padding=1, bias=False) for _ in range(2))
        self.norm = nw.BatchNorm2d(16, activation="silu")

    def forward(self, x):
        y = self.first(x)
        return self.second(self.norm(y, x))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_recomputing_keeps_less_and_changes_no_bit(layout):
    torch.manual_seed(0)
    net = Chain().to(DEVICE)
    x = laid_out(torch.randn(32, 16, 64, 64, device=DEVICE), layout)
    upstream = torch.randn_like(x)

    def run(context):
        net.zero_grad()
        leaf = x.clone(memory_format=torch.preserve_format).requires_grad_()
        with context():
            y = net(leaf)
        kept = torch.cuda.memory_allocated()
        y.backward(upstream)
        return kept, [y.detach(), leaf.grad, *(p.grad.clone() for p in net.parameters())]

    run(contextlib.nullcontext), run(nw.recompute_activations)
    before, want = run(contextlib.nullcontext)
    after, found = run(nw.recompute_activations)
    size = x.numel() * x.element_size()
    # ``want`` is there now and was not before.
    held = sum(t.numel() * t.element_size() for t in want)
    assert after - held <= before - 0.9 * size
    same_bits(found[0], want[0])
    torch.testing.assert_close(found, want, rtol=1e-4, atol=1e-4)  # a convolution's sums need not be deterministic


def test_the_four_parts_are_the_whole():
    problem_ = given()
    inputs, upstream = placed(problem_)
    want = computed(problem_)
    x, weight, bias, residual = (inputs[name].detach() for name in ("x", "weight", "bias", "residual"))
    options = {"eps": EPS, "residual": residual, "activation": "silu"}
    over = parts.moments(x)
    sums = parts.backward_reduce(upstream, x, over, weight, bias, **options)
    d_x, d_residual = parts.backward_elementwise(upstream, x, over, weight, bias, sums, **options)
    found = {"y": parts.normalize(x, over, weight, bias, **options), "mean": over.mean, "var": over.var}
    found |= {"d_x": d_x, "d_residual": d_residual, "d_weight": sums[0].flatten(), "d_bias": sums[1].flatten()}
    for name, value in found.items():
        torch.testing.assert_close(value, want[name], rtol=1e-4, atol=1e-4)  # float32 in another order
