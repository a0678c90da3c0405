"""Derivatives of every order, and everything that autograd expects of an operator besides."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch.autograd import forward_ad

import oracle
from normwise.errors import InvalidArgumentError
from normwise.ops import batch_norm, normalize
from tensors import EPS, draw, outcome, same_bits

IMPLS = ["reference", "torch", "cpu"]
EVERYTHING = ["reference", "cpu"]
# Float64: a few operations on sums of some dozen terms of about 1.
FLOAT64 = {"rtol": 1e-9, "atol": 1e-11}
SMOOTH = [None, "silu", "gelu", "gelu_tanh", "sigmoid", "tanh", "mish"]
KINKED = ["relu", "leaky_relu:0.1", "relu6", "elu:1.5", "hardswish"]
SHAPE = (4, 2, 3)
MASK = torch.tensor([[1, 1, 0], [1, 0, 1], [1, 1, 1], [0, 1, 1]]).bool()
OPTIONS = {
    "plain": {},
    "mask": {"mask": MASK},
    "groups": {"groups": 2},
    "channel_dim": {"channel_dim": -1},
    "all": {"mask": torch.tensor([[1, 1], [1, 0], [1, 1], [0, 1]]).bool(), "groups": 2, "channel_dim": 2},
}


def function(impl, activation, **options):
    """y of x, weight, bias and residual; ε is large enough to be visible in the derivatives."""

    def y(x, weight, bias, residual=None):
        return batch_norm(x, weight, bias, residual=residual, eps=1e-2, activation=activation, impl=impl, **options).y

    return y


def arguments(channels=2, activation=None):
    """x, weight, bias and residual that keep z a tenth or more from every kink of the activation."""
    inputs, distance, seed = {}, 0.0, 0
    while distance < 0.1:
        torch.manual_seed(seed)
        inputs, _ = draw(SHAPE, channels)
        x, weight, bias, residual = (t.detach() for t in inputs.values())
        moved = [t.movedim(2, 1) if channels == 3 else t for t in (x, residual)]
        z = oracle.forward(moved[0], weight, bias, 1e-2, moved[1]).z
        distance = min((abs(z - kink).min() for kink in oracle.KINKS.get(activation, ())), default=1.0)
        seed += 1
    return list(inputs.values())


@pytest.mark.parametrize("activation", ["silu", None])
@pytest.mark.parametrize("name", OPTIONS)
@pytest.mark.parametrize("impl", EVERYTHING)
def test_first_and_second_derivatives(impl, name, activation):
    channels = 3 if "channel_dim" in OPTIONS[name] else 2
    y = function(impl, activation, **OPTIONS[name])
    assert torch.autograd.gradcheck(y, arguments(channels))
    assert torch.autograd.gradgradcheck(y, arguments(channels))


@pytest.mark.parametrize("activation", [*SMOOTH, *KINKED])
@pytest.mark.parametrize("impl", ["reference", "torch"])
def test_first_derivatives_of_every_activation(impl, activation):
    assert torch.autograd.gradcheck(function(impl, activation), arguments(activation=activation))


def test_first_derivatives_of_a_kernel_with_a_parameter():
    """All activations of kernels are compared with torch's in tests/ops/cpu/test_activations.py."""
    assert torch.autograd.gradcheck(function("cpu", "leaky_relu:0.1"), arguments(activation="leaky_relu:0.1"))


@pytest.mark.parametrize("impl", IMPLS)
def test_second_derivatives_without_a_residual(impl):
    assert torch.autograd.gradgradcheck(function(impl, "silu"), arguments()[:3])


@pytest.mark.parametrize("impl", IMPLS)
def test_the_penalty_of_a_gradient(impl):
    """A loss that holds the gradient itself, as Wasserstein GANs train: the second derivatives of a real backward."""
    inputs = arguments()
    upstream = torch.randn(SHAPE, dtype=torch.float64)

    def penalty(impl):
        y = function(impl, "silu")(*inputs)
        (d_x,) = torch.autograd.grad(y, inputs[0], upstream, create_graph=True)
        return torch.autograd.grad(d_x.square().sum() + (y * upstream).sum(), inputs)

    torch.testing.assert_close(penalty(impl), penalty("reference"), **FLOAT64)


@pytest.mark.parametrize("activation", [None, "silu"])
@pytest.mark.parametrize("impl", IMPLS)
def test_only_the_gradients_that_are_wanted(impl, activation):
    inputs, upstream = draw((6, 5, 7), 5)
    full = outcome(inputs, upstream, activation=activation, impl=impl)
    for wanted in itertools.product([False, True], repeat=4):
        some = {n: t.detach().requires_grad_(want) for (n, t), want in zip(inputs.items(), wanted, strict=True)}
        if any(wanted):
            got = outcome(some, upstream, activation=activation, impl=impl)
            assert len(got) == 4 + sum(wanted), wanted
        else:
            y = batch_norm(**some, eps=EPS, activation=activation, impl=impl).y
            assert not y.requires_grad
            got = {"y": y}
        torch.testing.assert_close(got, {name: full[name].detach() for name in got}, **FLOAT64)


@pytest.mark.parametrize("missing", [("weight",), ("bias",), ("residual",), ("weight", "bias", "residual")])
@pytest.mark.parametrize("impl", IMPLS)
def test_inputs_that_are_not_there(impl, missing):
    inputs, upstream = draw((6, 5, 7), 5)
    neutral = {
        "weight": torch.ones(5).double(),
        "bias": torch.zeros(5).double(),
        "residual": torch.zeros(6, 5, 7).double(),
    }
    want = outcome(
        {**inputs, **{name: neutral[name] for name in missing}}, upstream, activation="silu", impl="reference"
    )
    some = {name: t for name, t in inputs.items() if name not in missing}
    torch.testing.assert_close(outcome(some, upstream, activation="silu", impl=impl), want, **FLOAT64)


@pytest.mark.parametrize("impl", IMPLS)
def test_without_autograd(impl):
    inputs, upstream = draw((6, 5, 7), 5)
    want = outcome(inputs, upstream, activation="silu", impl=impl)["y"].detach()
    x, weight, bias, residual = inputs.values()
    for mode in (torch.no_grad, torch.inference_mode):
        with mode():
            y = batch_norm(x, weight, bias, residual=residual, eps=EPS, activation="silu", impl=impl).y
        assert not y.requires_grad
        same_bits(torch.as_tensor(y.numpy()), want)


BATCHES = {
    "plain": {},
    "silu": {"activation": "silu"},
    "everything": {"activation": "silu", "groups": 2, "mask": MASK},
}


@pytest.mark.parametrize("options", BATCHES.values(), ids=BATCHES)
@pytest.mark.parametrize("create_graph", [False, True])
def test_a_batch_of_gradients_at_once(create_graph, options):
    inputs, _ = draw(SHAPE, 2)
    y = batch_norm(**inputs, eps=EPS, impl="cpu", **options).y
    upstreams = torch.randn(3, *SHAPE, dtype=torch.float64)
    wanted, common = list(inputs.values()), {"retain_graph": True, "create_graph": create_graph}
    got = torch.autograd.grad(y, wanted, upstreams, is_grads_batched=True, **common)
    each = [torch.autograd.grad(y, wanted, upstream, **common) for upstream in upstreams]
    torch.testing.assert_close(got, tuple(map(torch.stack, zip(*each, strict=True))), **FLOAT64)


def test_a_batch_of_gradients_with_given_moments():
    inputs, _ = draw(SHAPE, 2)
    moments = torch.randn(2).double(), torch.rand(2).double()
    x, residual, vectors = inputs["x"], inputs["residual"], (inputs["weight"], inputs["bias"])
    y = normalize(x, *moments, *vectors, residual=residual, eps=EPS, activation="silu", impl="cpu")
    upstreams, wanted = torch.randn(3, *SHAPE, dtype=torch.float64), list(inputs.values())
    got = torch.autograd.grad(y, wanted, upstreams, is_grads_batched=True, retain_graph=True)
    each = [torch.autograd.grad(y, wanted, upstream, retain_graph=True) for upstream in upstreams]
    torch.testing.assert_close(got, tuple(map(torch.stack, zip(*each, strict=True))), **FLOAT64)


@pytest.mark.filterwarnings("ignore:.*torch.jit.script:DeprecationWarning")  # torch's forward mode imports with it
def test_a_gradient_with_a_tangent():
    inputs, upstream = draw(SHAPE, 2)
    y = batch_norm(**inputs, eps=EPS, activation="leaky_relu:0.1", impl="cpu").y
    tangent = torch.randn_like(upstream)
    with forward_ad.dual_level():
        dual = forward_ad.make_dual(upstream, tangent)
        (d_x,) = torch.autograd.grad(y, inputs["x"], dual, retain_graph=True)
        got = forward_ad.unpack_dual(d_x).tangent
    (want,) = torch.autograd.grad(y, inputs["x"], tangent)  # the gradient is linear in the upstream one
    torch.testing.assert_close(got, want, **FLOAT64)


@pytest.mark.parametrize("impl", IMPLS)
def test_a_graph_that_is_kept_gives_the_same_twice(impl):
    inputs = arguments()
    y, upstream = function(impl, "silu")(*inputs), torch.randn(SHAPE, dtype=torch.float64)
    first = torch.autograd.grad(y, inputs, upstream, retain_graph=True)
    same_bits(torch.autograd.grad(y, inputs, upstream), first)
    with pytest.raises(RuntimeError, match="second time"):
        torch.autograd.grad(y, inputs, upstream)


# The reference saves x − μ and torch's composite x + residual: what is not saved may change.
SAVED = [
    ("reference", "weight"),
    ("torch", "x"),
    ("torch", "weight"),
    ("cpu", "x"),
    ("cpu", "weight"),
    ("cpu", "residual"),
]


@pytest.mark.parametrize(("impl", "name"), SAVED)
def test_an_input_changed_before_the_backward_is_an_error(impl, name):
    """Its gradient would be that of numbers that were never used."""
    inputs, upstream = draw((6, 5, 7), 5)
    copies = {n: t * 1 for n, t in inputs.items()}
    x, weight, bias, residual = copies.values()
    y = batch_norm(x, weight, bias, residual=residual, eps=EPS, activation="silu", impl=impl).y
    with torch.no_grad():
        copies[name].add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        torch.autograd.grad(y, list(inputs.values()), upstream)


@pytest.mark.parametrize("impl", IMPLS)
def test_an_output_may_be_changed_afterwards(impl):
    inputs = arguments()
    y, upstream = function(impl, "silu")(*inputs), torch.randn(SHAPE, dtype=torch.float64)
    want = torch.autograd.grad(y * 2, inputs, upstream, retain_graph=True)
    torch.testing.assert_close(torch.autograd.grad(y.mul_(2), inputs, upstream), want, **FLOAT64)


@pytest.mark.parametrize("impl", IMPLS)
def test_moments_are_constants(impl):
    inputs = arguments()
    out = batch_norm(*inputs[:3], eps=EPS, impl=impl)
    assert [m.requires_grad for m in out] == [True, False, False, False]
    assert out.y.grad_fn is not None


@pytest.mark.parametrize("impl", IMPLS)
def test_an_input_used_twice(impl):
    """x is its own residual, and the output feeds the same operator again with the same weights."""
    inputs, upstream = draw((6, 5, 7), 5)
    x, weight, bias, _ = inputs.values()

    def block(impl):
        y = x
        for _ in range(2):
            y = batch_norm(y, weight, bias, residual=y, eps=EPS, activation="silu", impl=impl).y
        return torch.autograd.grad((y * x).sum() + y.mul(upstream).sum(), (x, weight, bias))

    torch.testing.assert_close(block(impl), block("reference"), **FLOAT64)


@pytest.mark.parametrize("dtypes", ["bf16 x", "f32 weights", "f64 residual", "bf16 residual"])
@pytest.mark.parametrize("impl", EVERYTHING)
def test_types_that_differ(impl, dtypes):
    """Gradients have the types of their inputs, whatever those of the others; y has that of x."""
    dtype = torch.bfloat16 if dtypes != "bf16 residual" else torch.float32
    inputs, upstream = draw((6, 5, 7), 5, dtype)
    other = {"f32 weights": torch.float32, "f64 residual": torch.float64, "bf16 residual": torch.bfloat16}.get(dtypes)
    changed = [] if other is None else ["residual"] if "residual" in dtypes else ["weight", "bias"]
    for name in changed:
        inputs[name] = inputs[name].detach().to(other).requires_grad_()
    got, want = (outcome(inputs, upstream, activation="silu", impl=i) for i in (impl, "reference"))
    for name, t in inputs.items():
        assert got[f"d_{name}"].dtype is t.dtype
    assert got["y"].dtype is dtype
    # Both round to bfloat16 once (2⁻⁸) but for the reference's gradient of x, three times.
    torch.testing.assert_close(got, want, rtol=2.0**-7, atol=4 * 2.0**-8)


@pytest.mark.parametrize("impl", ["auto", "reference", "cpu"])
def test_autocast(impl):
    """A convolution in bfloat16 between float32 weights: what arrives is bfloat16, what is learned is float32."""
    conv = torch.nn.Conv2d(3, 5, 3)
    weight, bias = torch.randn(5, requires_grad=True), torch.randn(5, requires_grad=True)
    x, upstream = torch.randn(4, 3, 9, 9), torch.randn(4, 5, 7, 7)
    with torch.autocast("cpu", torch.bfloat16):
        out = batch_norm(conv(x), weight, bias, eps=EPS, activation="silu", impl=impl)
    assert out.y.dtype is torch.bfloat16
    assert out.mean.dtype is torch.float32
    (out.y.float() * upstream).sum().backward()
    assert weight.grad.dtype is conv.weight.grad.dtype is torch.float32
    plain = torch.nn.functional.batch_norm(conv(x), None, None, weight, bias, training=True, eps=EPS)
    # bfloat16's 2⁻⁹ for the inputs of the convolution and for its output, of values up to 4.
    torch.testing.assert_close(out.y.float(), torch.nn.functional.silu(plain), rtol=0, atol=0.1)


@pytest.mark.parametrize("impl", ["cpu"])
def test_float16_is_refused_with_a_way_out(impl):
    with pytest.raises(InvalidArgumentError, match=r"float16.*impl='(torch|reference|auto)'"):
        batch_norm(torch.randn(4, 3).half(), None, None, eps=EPS, impl=impl)
    assert batch_norm(torch.randn(4, 3).half(), None, None, eps=EPS).y.dtype is torch.float16


@pytest.mark.parametrize("impl", ["cpu"])
def test_another_device_is_refused(impl):
    with pytest.raises(InvalidArgumentError, match=r"impl='(torch|reference|auto)'"):
        batch_norm(torch.randn(4, 3, device="meta"), None, None, eps=EPS, impl=impl)


def _transforms(impl):
    """Each torch.func transform of the operator, by name, as a function of x of shape (3, 4, 2)."""

    def y(x):
        return batch_norm(x, None, None, eps=1e-2, activation="tanh", impl=impl).y

    def loss(x):
        return (y(x) * torch.linspace(-1, 1, 8, dtype=x.dtype).reshape(4, 2)).sum()

    return {
        "vmap": torch.vmap(y),
        "grad": lambda x: torch.func.grad(loss)(x[0]),
        "jacrev": lambda x: torch.func.jacrev(y)(x[0]),
        "hessian": lambda x: torch.func.hessian(loss)(x[0]),
        "jvp": lambda x: torch.func.jvp(y, (x[0],), (x[1],))[1],
    }


# torch's forward mode imports with a deprecated decorator.
forward_mode = pytest.mark.filterwarnings("ignore:.*torch.jit.script:DeprecationWarning")


@forward_mode
@pytest.mark.parametrize("name", _transforms("auto"))
def test_transforms_take_the_reference(name):
    x = torch.randn(3, 4, 2, dtype=torch.float64)
    torch.testing.assert_close(_transforms("auto")[name](x), _transforms("reference")[name](x), **FLOAT64)


@forward_mode
@pytest.mark.parametrize("name", _transforms("auto"))
@pytest.mark.parametrize("impl", ["cpu"])
def test_transforms_are_refused(impl, name):
    with pytest.raises(InvalidArgumentError, match=r"torch\.func|forward"):
        _transforms(impl)[name](torch.randn(3, 4, 2, dtype=torch.float64))


@forward_mode
@pytest.mark.parametrize("impl", ["auto", "reference", "cpu"])
def test_forward_mode(impl):
    x, tangent = torch.randn(2, 4, 3, dtype=torch.float64)
    forward_ad = torch.autograd.forward_ad
    with forward_ad.dual_level():
        dual = forward_ad.make_dual(x, tangent)
        if impl == "cpu":
            with pytest.raises(InvalidArgumentError, match="forward"):
                batch_norm(dual, None, None, eps=1e-2, activation="tanh", impl=impl)
            return
        got = forward_ad.unpack_dual(batch_norm(dual, None, None, eps=1e-2, activation="tanh", impl=impl).y).tangent
    x.requires_grad_()
    rows = torch.autograd.functional.jacobian(lambda x: batch_norm(x, None, None, eps=1e-2, activation="tanh").y, x)
    torch.testing.assert_close(got, torch.einsum("abcd,cd->ab", rows, tangent), **FLOAT64)


def saved_for_the_backward(impl, dtype, activation, with_residual) -> list[torch.Tensor]:
    inputs, _ = draw((16, 5, 31), 5, dtype)
    residual = inputs["residual"] if with_residual else None
    saved = []

    def pack(tensor):
        saved.append(tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        x, weight, bias, _ = inputs.values()
        batch_norm(x, weight, bias, residual=residual, eps=EPS, activation=activation, impl=impl)
    storages = {t.untyped_storage().data_ptr(): t for t in saved if t.numel() >= x.numel()}
    known = {x.untyped_storage().data_ptr()} | ({residual.untyped_storage().data_ptr()} if with_residual else set())
    assert storages.keys() <= known, "something was saved that the caller does not hold anyway"
    return list(storages.values())


@pytest.mark.parametrize(
    ("activation", "dtype"),
    [(None, torch.float32), ("identity", torch.float32), ("silu", torch.float32), ("silu", torch.bfloat16)],
)
def test_nothing_large_is_saved_but_the_inputs(activation, dtype):
    assert len(saved_for_the_backward("cpu", dtype, activation, with_residual=False)) == 1
    # An activation's derivative is taken at z, which the residual is a part of; the identity's is 1.
    residuals = 0 if activation in (None, "identity") else 1
    assert len(saved_for_the_backward("cpu", dtype, activation, with_residual=True)) == 1 + residuals
