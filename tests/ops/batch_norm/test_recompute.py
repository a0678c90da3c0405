"""Recomputing changes what is kept and nothing else: gradients are compared bit for bit."""

import contextlib
import gc
import threading

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from normwise import ops, recompute_activations
from normwise.bench import memory
from normwise.ops.batch_norm import cpu

SHAPE = (4, 8, 16, 16)
BYTES = 4 * 8 * 16 * 16 * 4


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def normalize(x, weight=None, bias=None, activation="relu", residual=None, **options):
    options = {"impl": "cpu", "eps": 1e-5} | options
    return ops.batch_norm(x, weight, bias, activation=activation, residual=residual, **options).y


class Layer(nn.Module):
    """Convolution, normalization, activation."""

    def __init__(self, activation="relu"):
        super().__init__()
        self.conv = nn.Conv2d(8, 8, 3, padding=1, bias=False)
        self.weight = nn.Parameter(torch.rand(8) + 0.5)
        self.bias = nn.Parameter(torch.randn(8))
        self.activation = activation

    def forward(self, x, residual=None):
        return normalize(self.conv(x), self.weight, self.bias, self.activation, residual)


class Block(nn.Module):
    def __init__(self, activation="relu"):
        super().__init__()
        self.first, self.second = Layer(activation), Layer(activation)

    def forward(self, x):
        return self.second(self.first(x), x)


def made(*modules):
    torch.manual_seed(0)
    return nn.Sequential(*(module() for module in modules))


def gradients(network, x, context, forward=None, backward=None):
    """Of a random upstream gradient, by the input and all parameters."""
    network.zero_grad()
    x = x.detach().clone(memory_format=torch.preserve_format).requires_grad_()
    with context:
        y = (forward or network)(x)
    upstream = torch.randn(y.shape, generator=torch.Generator().manual_seed(1)).to(y.dtype)
    (backward or (lambda y, upstream: y.backward(upstream)))(y, upstream)
    return [y.detach(), x.grad, *(parameter.grad for parameter in network.parameters())]


def assert_unchanged(network, forward=None, backward=None, x=None, outer=contextlib.nullcontext):
    x = torch.randn(SHAPE) if x is None else x
    with outer():
        expected = gradients(network, x, contextlib.nullcontext(), forward, backward)
        found = gradients(network, x, recompute_activations(), forward, backward)
    assert all(gradient is not None and gradient.abs().sum() > 0 for gradient in expected)
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


def kept(forward, context=recompute_activations):
    """How many tensors of full size are left after ``forward`` and with its result, by what torch allocated."""

    def work():
        with context():
            return forward()

    work()
    gc.collect()
    gc.disable()
    try:
        return int(memory.live(work).kept // BYTES)
    finally:
        gc.enable()


@pytest.mark.parametrize(
    ("activation", "memory_format"),
    [
        (None, torch.contiguous_format),
        ("relu", torch.contiguous_format),
        ("silu", torch.contiguous_format),
        ("silu", torch.channels_last),
    ],
)
def test_gradients_are_the_same_bit_for_bit(activation, memory_format):
    network = made(lambda: Layer(activation), lambda: Block(activation), lambda: Block(activation), Layer)
    assert_unchanged(network.to(memory_format=memory_format), x=torch.randn(SHAPE).to(memory_format=memory_format))


def test_an_activation_with_a_parameter():
    network = made(*[lambda: Layer("leaky_relu:0.1")] * 2).to(memory_format=torch.channels_last)
    assert_unchanged(network, x=torch.randn(SHAPE).to(memory_format=torch.channels_last))


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_other_types(dtype):
    network = made(lambda: Layer("silu"), lambda: Block("silu"), lambda: Layer("silu"))
    assert_unchanged(network.to(dtype), x=torch.randn(SHAPE, dtype=dtype))


@pytest.mark.parametrize("shape", [(2, 3, 96, 96), (600, 70), (3, 5), (2, 4, 9, 7, 5), (64, 3, 40), (1, 6, 3, 3)])
@pytest.mark.parametrize("transposed", [False, True])
def test_recomputed_values_are_the_same_for_every_layout(shape, transposed):
    torch.manual_seed(0)
    x = torch.randn(shape[::-1]).permute(*range(len(shape))[::-1]) if transposed else torch.randn(shape)
    x.requires_grad_()
    with recompute_activations():
        y = normalize(x * 1, torch.rand(shape[1]), torch.randn(shape[1]), "silu")
        product = y * torch.ones_like(y, requires_grad=True)
    (found,) = (t for t in (product.grad_fn._saved_self, product.grad_fn._saved_other) if not torch.all(t == 1))
    assert found.data_ptr() != y.data_ptr()
    assert torch.equal(found, y)
    assert found.stride() == y.stride()


@pytest.mark.parametrize("options", [{"groups": 2}, {"channel_dim": 0}, {"mask": torch.rand(4, 16, 16) < 0.7}])
def test_masks_groups_and_the_channel_s_axis(options):
    layer = made(Layer)
    channels = SHAPE[options.get("channel_dim", 1)]
    weight = torch.rand(channels)
    if "channel_dim" in options:
        options = options | {"mask": None}
    assert_unchanged(layer, lambda x: layer(normalize(x * 2, weight, None, "silu", x, **options)))


def test_evaluation():
    layer = made(Layer)
    mean, var = torch.randn(8), torch.rand(8) + 0.1

    def forward(x):
        options = {"eps": 1e-5, "activation": "silu", "impl": "cpu"}
        return layer(ops.normalize(x * 2, mean, var, layer[0].weight, layer[0].bias, **options))

    assert_unchanged(layer, forward)


def test_a_stack_keeps_half_the_tensors():
    stack, x = made(*[Layer] * 6), torch.randn(SHAPE)
    assert kept(lambda: stack(x), contextlib.nullcontext) == 2 * 6
    assert kept(lambda: stack(x)) == 6 + 1, "x of each normalization, and the output of the last"


def test_an_output_that_is_a_residual_is_kept_once():
    network, x = made(Layer, *[Block] * 3), torch.randn(SHAPE)
    assert kept(lambda: network(x), contextlib.nullcontext) == 2 * 7
    assert kept(lambda: network(x)) == 7 + 4, "x of each, the three residuals and the last output"


def test_no_recomputation_of_what_is_kept(monkeypatch):
    network, calls = made(Layer, *[Block] * 3), []
    normalize_again = cpu.normalize
    monkeypatch.setattr(cpu, "normalize", lambda *args: calls.append(1) or normalize_again(*args))
    gradients(network, torch.randn(SHAPE), recompute_activations())
    assert len(calls) == 3, "the first output of each block; the others are residuals, or the last"


def test_nothing_is_left_after_the_backward_but_the_output():
    network, x = made(Layer, Block, Layer), torch.randn(SHAPE)

    def step():
        y = network(x)
        y.backward(torch.ones_like(y))
        return y

    assert kept(step) == 1


def test_nothing_is_left_of_a_forward_without_cycles_to_collect():
    network, x = made(Layer, Block, Block, nn.ReLU), torch.randn(SHAPE)
    assert kept(lambda: network(x).detach()) == 1


@pytest.mark.parametrize(
    "use",
    [
        lambda y: y[1:] * y[:-1],
        lambda y: y.flatten(2).transpose(1, 2) @ y.flatten(2),
        lambda y: y[..., ::2, 1:] ** 3,
        lambda y: y.mean((2, 3), keepdim=True).expand_as(y) * y,
        lambda y: y[:, :4].chunk(2)[1].unsqueeze(0).exp() * y[2:, 4:],
        lambda y: torch.view_as_complex(y.view(*y.shape[:3], 8, 2)).abs(),
        lambda y: y * y,
        lambda y: F.max_pool2d(y, 2) + F.conv2d(y, y[:2, :, :3, :3])[..., :8, :8].sum(1, keepdim=True),
        lambda y: y.relu_() * 2,
        lambda y: y.mul_(2).sin(),
        lambda y: F.dropout(y, 0.0) * y.detach(),
    ],
)
def test_views_slices_and_double_use(use):
    network = made(lambda: Layer("silu"))
    assert_unchanged(network, lambda x: use(network(x)))


def test_an_output_normalized_again():
    network = made(Layer)
    assert_unchanged(
        network, lambda x: normalize(normalize(normalize(network(x), activation="silu")), None, None, "silu").sin()
    )


def twice(y, upstream):
    y.backward(upstream, retain_graph=True)
    y.backward(2 * upstream, retain_graph=True)
    y.backward(upstream)


def test_retained_graphs():
    assert_unchanged(made(Layer, Block, Layer), backward=twice)


def test_second_derivatives():
    network = made(lambda: Layer("silu"), lambda: Layer("silu"))

    def backward(y, upstream):
        first = torch.autograd.grad(y, list(network.parameters()), upstream, create_graph=True)
        (y.square().mean() + sum(gradient.square().mean() for gradient in first)).backward()

    assert_unchanged(network, backward=backward)


def test_part_of_the_graph_after_the_rest_was_freed():
    network, conv = made(Layer), nn.Conv2d(8, 8, 1)
    with recompute_activations():
        y = network(torch.randn(SHAPE))
        loss, other = y.square().sum(), conv(y).square().sum()
    loss.backward()
    (found,) = torch.autograd.grad(other, [conv.weight])
    (expected,) = torch.autograd.grad(conv(y.detach()).square().sum(), [conv.weight])
    assert torch.equal(found, expected)


def test_nested_contexts():
    network = made(Layer, Block, Layer)

    def forward(x):
        with recompute_activations():
            x = network[1](network[0](x))
        return network[2](x)

    assert_unchanged(network, forward)


@pytest.mark.parametrize("reentrant", [True, False])
def test_checkpoints_within_the_context(reentrant):
    network = made(Layer, Block, Layer, Block, Layer)

    def forward(x):
        x = network[0](x)
        x = checkpoint(network[1], x, use_reentrant=reentrant)
        x = network[2](x)
        return network[4](checkpoint(network[3], x, use_reentrant=reentrant))

    assert_unchanged(network, forward)


@pytest.mark.parametrize("reentrant", [True, False])
def test_the_context_within_checkpoints(reentrant):
    network = made(Layer, Block, Layer)

    def region(x):
        with recompute_activations():
            return network[1](x)

    assert_unchanged(network, lambda x: network[2](checkpoint(region, network[0](x), use_reentrant=reentrant)))


def test_a_checkpoint_is_not_unpacked_in_the_forward():
    network, runs = made(Layer, Layer), []
    network[0].register_forward_pre_hook(lambda *_: runs.append(1))
    with recompute_activations():
        y = network[1](checkpoint(network[0], torch.randn(SHAPE), use_reentrant=False))
    assert len(runs) == 1
    y.sum().backward()
    assert len(runs) == 2


def test_autocast():
    network = made(Layer, Block, Layer)
    assert_unchanged(network, outer=lambda: torch.autocast("cpu", torch.bfloat16))


def test_hooks_on_gradients_as_distributed_training_has_them():
    network, seen = made(Layer, Block, Layer), []
    for parameter in network.parameters():
        parameter.register_post_accumulate_grad_hook(lambda p: seen.append(p.grad.clone()))
    assert_unchanged(network)
    half = len(seen) // 2
    assert all(torch.equal(a, b) for a, b in zip(seen[:half], seen[half:], strict=True))


def test_a_backward_in_another_thread():
    def backward(y, upstream):
        thread = threading.Thread(target=y.backward, args=(upstream,))
        thread.start()
        thread.join()

    assert_unchanged(made(Layer, Block, Layer), backward=backward)


def test_a_forward_without_gradients_leaves_nothing():
    network, x = made(Layer, Layer), torch.randn(SHAPE)

    def forward():
        with torch.no_grad():
            return network(x)

    assert kept(forward) == 1


def overwritten(what):
    """A loss, of which something was modified in place after it was saved."""
    network = made(lambda: Layer("silu"))
    z = network[0].conv(torch.randn(SHAPE))
    residual, weight, bias = torch.randn(SHAPE), torch.rand(8, requires_grad=True), torch.rand(8, requires_grad=True)
    y = normalize(z, weight, bias, "silu", residual)
    other = nn.Conv2d(8, 8, 1)
    tensors = {
        "x": z,
        "residual": residual,
        "weight": weight,
        "bias": bias,
        "y": y,
        "view": y[1:],
        "other": other.weight,
    }
    result = other(y)
    with torch.no_grad():
        tensors[what].mul_(2)
    return result, other, y


@pytest.mark.parametrize("what", ["x", "residual", "weight", "bias", "y", "view", "other"])
@pytest.mark.parametrize("context", [contextlib.nullcontext, recompute_activations])
def test_what_is_modified_in_place_raises_as_without(what, context):
    with context():
        result, _, _ = overwritten(what)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        result.backward(torch.randn(SHAPE))


def test_the_convolution_itself_refuses_a_recipe_that_was_spoilt():
    with recompute_activations():
        result, other, _ = overwritten("x")
    with pytest.raises(RuntimeError, match=r"torch.FloatTensor \[4, 8, 16, 16\]\] is at version 1; expected version 0"):
        torch.autograd.grad(result.sum(), [other.weight])


def test_a_modification_through_an_alias_that_outlives_the_output_raises():
    conv = nn.Conv2d(8, 8, 1)
    with recompute_activations():
        y = normalize(torch.randn(SHAPE, requires_grad=True) * 1)
        alias, loss = y.detach(), conv(y).sum()
    del y
    alias.mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_an_input_that_was_modified_before_the_output_is_saved():
    with recompute_activations():
        z = torch.randn(SHAPE, requires_grad=True) * 1
        y = normalize(z)
        z.detach().mul_(2)
        loss = nn.Conv2d(8, 8, 1)(y).sum()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


@pytest.mark.parametrize("name", ["recipe", "_normwise_recipe"])
@pytest.mark.parametrize("value", ["flour", Block], ids=["text", "callable"])
def test_attributes_of_another_function_s_context_are_its_own(name, value):
    class Double(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            setattr(ctx, name, value)
            return 2 * x

        @staticmethod
        def backward(ctx, grad):
            return 2 * grad

    network = made(Layer)
    assert_unchanged(network, lambda x: network(Double.apply(x)).square())
