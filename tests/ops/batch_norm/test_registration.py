"""The operator inside torch's own machinery: opcheck, torch.compile, fake and meta tensors, torch.export."""

from __future__ import annotations

import copy
import itertools

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

import normwise as nw
from normwise import ops
from normwise.errors import InvalidArgumentError
from tensors import EPS, INPUTS, draw, outcome, same_bits

FLOAT64 = {"rtol": 1e-9, "atol": 1e-11}
MASK = torch.tensor([[1, 1, 0, 1, 1], [1, 0, 1, 1, 1], [1, 1, 1, 1, 0], [0, 1, 1, 0, 1]]).bool()
SHAPE = (4, 3, 5)
CONFIGURATIONS = {
    "plain": {},
    "silu": {"activation": "silu"},
    "leaky_relu": {"activation": "leaky_relu:0.2"},
    "mask": {"mask": MASK, "activation": "silu"},
    "groups": {"groups": 2, "activation": "silu"},
    "channel_dim": {"channel_dim": -1, "groups": 2},
}


@pytest.fixture(autouse=True)
def nothing_compiled():
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


def channels_of(options) -> int:
    return SHAPE[options.get("channel_dim", 1)]


def positional(**given):
    """The arguments of the registered operator, in the order of its schema."""
    schema = torch.ops.normwise.batch_norm.default._schema
    defaults = {
        "eps": EPS,
        "residual": None,
        "activation": None,
        "mask": None,
        "channel_dim": 1,
        "groups": 1,
    }
    given = {**defaults, **given}
    return [given[argument.name] for argument in schema.arguments]


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_opcheck(name):
    opcheck(name, INPUTS, torch.float64)


@pytest.mark.parametrize("wanted", [(), ("x",), ("weight", "bias")], ids=str)
def test_opcheck_of_what_wants_no_gradient(wanted):
    for name in ("plain", "mask"):
        opcheck(name, wanted, torch.float64)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_opcheck_of_other_types(dtype):
    opcheck("silu", INPUTS, dtype)


def opcheck(name, wanted, dtype):
    options = CONFIGURATIONS[name]
    inputs, _ = draw(SHAPE, channels_of(options), dtype)
    inputs = {n: t.detach().requires_grad_(n in wanted) for n, t in inputs.items()}
    # Its comparisons allow what float32's roundings make of sums of twenty terms; bfloat16's output has 2⁻⁸.
    tolerance = {"rtol": 2.0**-7, "atol": 2.0**-7} if dtype is torch.bfloat16 else {}
    torch.library.opcheck(torch.ops.normwise.batch_norm, positional(**inputs, **options), **tolerance)


@pytest.mark.parametrize("form", ["channels_last", "gaps", "empty", "transposed"])
def test_opcheck_of_layouts(form):
    x = torch.randn(4, 3, 6, 5)
    x = {
        "channels_last": x.contiguous(memory_format=torch.channels_last),
        "gaps": x[..., ::2],
        "empty": x[:0],
        "transposed": x.transpose(1, 3),
    }[form].requires_grad_()
    inputs = {"x": x, "weight": None, "bias": None}
    torch.library.opcheck(torch.ops.normwise.batch_norm, positional(**inputs, activation="silu"))


def compiled(function, **options):
    """A graph without breaks, forward and backward, run by torch's own kernels and ours."""
    return torch.compile(function, fullgraph=True, backend="aot_eager", **options)


@pytest.mark.parametrize(
    ("impl", "name", "with_residual"),
    [
        *itertools.product(["cpu"], CONFIGURATIONS, [True]),
        *itertools.product(["auto", "reference"], ["mask", "channel_dim"], [True]),
        *itertools.product(["auto", "torch", "reference"], ["plain", "leaky_relu"], [False]),
        ("cpu", "silu", False),
        ("torch", "silu", True),
    ],
)
def test_compiled_is_eager(impl, name, with_residual):
    options = {**CONFIGURATIONS[name], "impl": impl}
    inputs, upstream = draw(SHAPE, channels_of(options))
    if not with_residual:
        del inputs["residual"]
    want = outcome(inputs, upstream, **options)

    @compiled
    def transform(inputs):
        given = {n: inputs.get(n) for n in INPUTS}
        return ops.batch_norm(given.pop("x"), given.pop("weight"), given.pop("bias"), **given, eps=EPS, **options)

    out = transform(inputs)
    gradients = torch.autograd.grad(out.y, list(inputs.values()), upstream)
    got = dict(zip(want, [*out, *gradients], strict=True))
    torch.testing.assert_close(got, want, **FLOAT64)


@pytest.mark.parametrize("impl", ["auto", "cpu", "torch"])
def test_compiled_in_channels_last(impl):
    inputs, upstream = draw((4, 3, 6, 5), 3)
    inputs = {n: t.detach() for n, t in inputs.items()}
    for name in ("x", "residual"):
        inputs[name] = inputs[name].contiguous(memory_format=torch.channels_last)
    inputs = {n: t.requires_grad_() for n, t in inputs.items()}

    @compiled
    def y(x, weight, bias, residual):
        return ops.batch_norm(x, weight, bias, residual=residual, eps=EPS, activation="silu", impl=impl).y

    got = y(*inputs.values())
    assert got.is_contiguous(memory_format=torch.channels_last)
    want = outcome(inputs, upstream, activation="silu", impl="reference")
    torch.testing.assert_close(got, want["y"], **FLOAT64)
    gradients = torch.autograd.grad(got, list(inputs.values()), upstream)
    torch.testing.assert_close(list(gradients), [want[f"d_{n}"] for n in inputs], **FLOAT64)


@pytest.mark.parametrize("impl", ["auto", "cpu", "torch"])
def test_one_graph_for_every_size(impl):
    @compiled
    def y(x):
        return ops.batch_norm(x, None, None, eps=EPS, activation="silu", impl=impl).y

    for n in (4, 7, 9):
        x = torch.randn(n, 3, 2 * n, dtype=torch.float64, requires_grad=True)
        torch._dynamo.mark_dynamic(x, 0)
        torch._dynamo.mark_dynamic(x, 2)
        with torch._dynamo.config.patch(error_on_recompile=True):
            got = y(x)
        want = ops.batch_norm(x, None, None, eps=EPS, activation="silu", impl="reference").y
        upstream = torch.randn_like(got)
        torch.testing.assert_close(got, want, **FLOAT64)
        (d_got,), (d_want,) = (torch.autograd.grad(t, x, upstream) for t in (got, want))
        torch.testing.assert_close(d_got, d_want, **FLOAT64)


@pytest.mark.parametrize("impl", ["auto", "torch", "reference"])
@pytest.mark.parametrize("channels_last", [False, True])
def test_compiled_with_given_moments(impl, channels_last):
    inputs, upstream = draw((4, 3, 6, 5), 3)
    moments = {"mean": torch.randn(3).double(), "var": torch.rand(3).double()}

    def y(x):
        form = torch.channels_last if channels_last else torch.contiguous_format
        x = x.contiguous(memory_format=form)
        given = {n: t for n, t in inputs.items() if n != "x"}
        return ops.normalize(x, **moments, **given, eps=EPS, activation="silu", impl=impl)

    got, want = compiled(y)(inputs["x"]), y(inputs["x"])
    torch.testing.assert_close(got, want, **FLOAT64)
    gradients = [torch.autograd.grad(t, list(inputs.values()), upstream) for t in (got, want)]
    torch.testing.assert_close(*gradients, **FLOAT64)


@pytest.mark.parametrize("way", ["compiled", "fake"])
def test_the_kernels_refuse_given_moments_while_tracing(way):
    def y(x):
        return ops.normalize(x, torch.zeros(3), torch.ones(3), None, None, eps=EPS, impl="cpu")

    says = "no operator that torch can trace.*use impl='torch' or impl='reference'"
    if way == "fake":
        with FakeTensorMode(), pytest.raises(InvalidArgumentError, match=says):
            y(torch.randn(9, 3))
    else:
        with pytest.raises(Exception, match=says):  # dynamo wraps what a function raises
            compiled(y)(torch.randn(9, 3))


LAYERS = {
    "1d": (nw.BatchNorm1d, (8, 5)),
    "1d sequences": (nw.BatchNorm1d, (8, 5, 7)),
    "2d": (nw.BatchNorm2d, (4, 5, 6, 7)),
    "3d": (nw.BatchNorm3d, (2, 5, 3, 4, 3)),
}


def run_layer(layer, forward, shape, steps=3):
    """Every output, input gradient, parameter gradient and buffer of some steps."""
    torch.manual_seed(1)
    seen = []
    for _ in range(steps):
        x = torch.randn(shape, dtype=torch.float64, requires_grad=True)
        residual = torch.randn(shape, dtype=torch.float64)
        y = forward(x, residual)
        wanted = [x, *layer.parameters()]
        seen += [y, *torch.autograd.grad(y, wanted, torch.randn(shape, dtype=torch.float64))]
        seen += [buffer.clone() for buffer in layer.buffers()]
    return seen


@pytest.mark.parametrize(
    ("name", "training", "momentum"),
    [
        *itertools.product(["2d"], [True, False], [0.1, None]),
        ("1d", True, 0.1),
        ("1d sequences", False, 0.1),
        ("3d", True, None),
    ],
)
def test_compiled_layers_are_eager_ones(name, training, momentum):
    make, shape = LAYERS[name]
    eager = make(5, momentum=momentum, activation="silu", dtype=torch.float64)
    for parameter in eager.parameters():
        torch.nn.init.normal_(parameter)
    eager.running_mean.normal_()
    eager.train(training)
    other = copy.deepcopy(eager)
    got, want = run_layer(other, compiled(other), shape), run_layer(eager, eager, shape)
    torch.testing.assert_close(got, want, **FLOAT64)
    assert eager.num_batches_tracked == (3 if training else 0)


def test_a_compiled_network_learns_what_an_eager_one_does():
    def network():
        torch.manual_seed(0)
        conv = [torch.nn.Conv2d(a, b, 3, bias=False) for a, b in ((1, 4), (4, 4))]
        norms = [nw.BatchNorm2d(4, activation="silu"), nw.BatchNorm2d(4, activation="silu")]
        pieces = [conv[0], norms[0], conv[1], norms[1], torch.nn.Flatten(), torch.nn.LazyLinear(3)]
        net = torch.nn.Sequential(*pieces).double()
        net(torch.randn(2, 1, 8, 8).double())
        return net

    x, target = torch.randn(16, 1, 8, 8).double(), torch.randint(3, (16,))
    states = []
    for wrap in (lambda net: net, compiled):
        net = network()
        forward, optimizer = wrap(net), torch.optim.SGD(net.parameters(), 0.1)
        for _ in range(5):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(forward(x), target).backward()
            optimizer.step()
        states.append(net.state_dict())
    torch.testing.assert_close(*states, rtol=1e-7, atol=1e-9)  # five steps multiply roundings of 1e-15 a little


def _x(form) -> torch.Tensor:
    x = torch.randn(4, 6, 5, 3)
    return {
        "contiguous": x,
        "channels_last": x.contiguous(memory_format=torch.channels_last),
        "transposed": x.transpose(2, 3),
        "gaps": x[:, ::2],
        "channels_last gaps": x.contiguous(memory_format=torch.channels_last)[:, :3],
        "expanded": x[:, :, :1].expand(4, 6, 5, 3),
        "empty": x[:0],
        "vectors": x.reshape(-1, 3),
        "transposed vectors": x.reshape(-1, 3).T,
    }[form]


FORMS = [
    "contiguous",
    "channels_last",
    "transposed",
    "gaps",
    "channels_last gaps",
    "expanded",
    "empty",
    "vectors",
    "transposed vectors",
]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("impl", ["reference", "cpu"])
def test_fake_tensors_have_the_shapes_types_and_strides_of_real_ones(impl, form):
    def run(x):
        x = x.detach().requires_grad_()
        out = ops.batch_norm(x, None, None, eps=EPS, activation="relu", impl=impl)
        return [*out, *torch.autograd.grad(out.y, x, torch.ones_like(out.y))]

    real = _x(form)
    want = [(t.shape, t.dtype, t.stride()) for t in run(real)]
    with FakeTensorMode() as mode:
        got = run(mode.from_tensor(real))
        assert [(t.shape, t.dtype, t.stride()) for t in got] == want


@pytest.mark.parametrize("form", FORMS)
def test_meta_tensors(form):
    x = _x(form).to("meta").requires_grad_()
    out = ops.batch_norm(x, None, None, eps=EPS, activation="silu")
    assert out.y.is_meta
    assert out.y.shape == x.shape
    assert out.mean.shape == (x.shape[1],)
    (gradient,) = torch.autograd.grad(out.y, x, torch.ones_like(out.y))
    assert gradient.shape == x.shape


@pytest.mark.parametrize("name", LAYERS)
def test_exported_layers_evaluate_the_same(name):
    make, shape = LAYERS[name]
    layer = make(5, activation="silu")
    layer.running_mean.normal_()
    layer.eval()
    x = torch.randn(shape)
    program = torch.export.export(layer, (x,), dynamic_shapes=({0: torch.export.Dim("n", min=2)},))
    for n in (2, 9):
        batch = torch.randn(n, *shape[1:])
        # Float32: the same few roundings, perhaps in another order.
        torch.testing.assert_close(program.module()(batch), layer(batch), rtol=1e-6, atol=1e-6)


def test_a_copy_and_a_pickle_of_a_layer_are_the_layer(tmp_path):
    layer = nw.BatchNorm2d(5, activation="relu")
    x = torch.randn(4, 5, 6, 6)
    twin = copy.deepcopy(layer)
    torch.save(layer, tmp_path / "layer.pt")
    loaded = torch.load(tmp_path / "layer.pt", weights_only=False)
    want = layer(x)
    same_bits([twin(x), loaded(x)], [want, want])
