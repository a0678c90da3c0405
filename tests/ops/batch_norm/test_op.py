from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import oracle
from normwise.errors import InvalidArgumentError, ShapeError
from normwise.ops import BatchNormOutput, batch_norm, normalize

EPS = 1e-5
IMPLS = ["reference", "torch"]
SHAPES = [(7, 5), (2, 3), (3, 4, 9), (5, 3, 7, 1), (2, 5, 3, 3, 5)]
# A handful of float64 operations on sums of at most a few hundred terms of about 1.
FLOAT64 = {"rtol": 1e-9, "atol": 1e-11}


def problem(shape, dtype=torch.float64, channels=None):
    """x, weight, bias and residual that want gradients, and an upstream gradient."""
    channels = channels or shape[1]
    make = [
        torch.randn(shape, dtype=torch.float64) * 2 + 3,
        torch.randn(channels, dtype=torch.float64),
        torch.randn(channels, dtype=torch.float64),
        torch.randn(shape, dtype=torch.float64),
    ]
    return [t.to(dtype).requires_grad_() for t in make], torch.randn(shape, dtype=torch.float64).to(dtype)


def outcome(inputs, upstream, **options) -> list[torch.Tensor]:
    """y, the three moments and the gradients of x, weight, bias and residual."""
    x, weight, bias, residual = inputs
    out = batch_norm(x, weight, bias, residual=residual, eps=EPS, **options)
    return [*out, *torch.autograd.grad(out.y, inputs, upstream)]


def expected(inputs, upstream, activation="identity") -> list[torch.Tensor]:
    x, weight, bias, residual = (t.detach().double().numpy() for t in inputs)
    f = oracle.forward(x, weight, bias, EPS, residual, activation)
    g = oracle.backward(upstream.double().numpy(), x, weight, bias, EPS, residual, activation)
    values = [f.y, f.mean, f.var, np.full(f.mean.shape, f.count), g.x, g.weight, g.bias, g.residual]
    return [torch.tensor(v, dtype=torch.float64) for v in values]


@pytest.mark.parametrize("activation", sorted(oracle.ACTIVATIONS))
@pytest.mark.parametrize("impl", IMPLS)
def test_matches_the_oracle(impl, activation):
    for shape in SHAPES:
        inputs, upstream = problem(shape)
        got = outcome(inputs, upstream, activation=activation, impl=impl)
        torch.testing.assert_close(got, expected(inputs, upstream, activation), **FLOAT64)


@pytest.mark.parametrize(
    "memory_format", [torch.contiguous_format, torch.channels_last], ids=["contiguous", "channels_last"]
)
@pytest.mark.parametrize("impl", IMPLS)
def test_memory_formats_in_float32(impl, memory_format):
    inputs, upstream = problem((4, 5, 7, 3), torch.float32)
    want = expected(inputs, upstream)
    inputs[0] = inputs[0].detach().contiguous(memory_format=memory_format).requires_grad_()
    got = [t.double() for t in outcome(inputs, upstream, impl=impl)]
    # Serial float32 sums of 84 values of about 3: relative error up to 84 · 6e-8 = 5e-6, times 1/σ and γ, both about 1.
    torch.testing.assert_close(got, want, rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize("impl", IMPLS)
def test_a_huge_mean_costs_only_the_mean_its_last_digit(impl):
    x = torch.randn(40, 3, 8, dtype=torch.float64).float() + 1e4
    got = batch_norm(x, None, None, eps=EPS, impl=impl)
    want = oracle.forward(x.numpy(), 1, 0, EPS)
    # One unit in the last place of 1e4 is 1e-3. E[x²] − E[x]² in float32 would make the variance wrong by about 6.
    torch.testing.assert_close(got.y.double(), torch.tensor(want.y), rtol=0, atol=4e-3)
    torch.testing.assert_close(got.var.double(), torch.tensor(want.var), rtol=1e-4, atol=0)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("weights", ["same", "float32"])
@pytest.mark.parametrize("impl", IMPLS)
def test_half_precision_has_float32_moments(impl, dtype, weights):
    (x, weight, bias, residual), upstream = problem((32, 3, 9), dtype)
    if weights == "float32":
        weight, bias = (t.detach().float().requires_grad_() for t in (weight, bias))
    inputs = [x, weight, bias, residual]
    got = outcome(inputs, upstream, activation="relu", impl=impl)
    want = expected(inputs, upstream, "relu")
    assert got[0].dtype == dtype
    assert {m.dtype for m in got[1:4]} == {torch.float32}
    # The moments are float32 sums of 288 exactly known values.
    torch.testing.assert_close([m.double() for m in got[1:4]], want[1:4], rtol=1e-4, atol=1e-5)
    # y is rounded to dtype up to twice, at a size of up to about 8; eps is 1e-3 (float16) or 8e-3 (bfloat16).
    step = torch.finfo(dtype).eps
    torch.testing.assert_close(got[0].double(), want[0], rtol=2 * step, atol=8 * step)


TYPES = [torch.float16, torch.bfloat16, torch.float32, torch.float64]


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("impl", ["auto", "torch"])
def test_the_types_of_vectors_may_differ_from_that_of_x(impl, dtype):
    for others in TYPES:
        assert_types_may_differ(impl, others, dtype)


def assert_types_may_differ(impl, others, dtype):
    inputs, upstream = problem((6, 4, 3), dtype)
    inputs[1] = inputs[1].detach().to(others).requires_grad_()
    mean, var = torch.randn(4).to(others), torch.rand(4).to(torch.float32) + 1
    x, weight, bias, residual = inputs

    def values(impl):
        y = normalize(x, mean, var, weight, bias, residual=residual, eps=EPS, impl=impl)
        return [y, *torch.autograd.grad(y, inputs, upstream), *outcome(inputs, upstream, impl=impl)]

    # Sums and gradients are rounded to the type once or twice; they are up to about 8.
    step = max(torch.finfo(dtype).eps, torch.finfo(others).eps)
    torch.testing.assert_close(values(impl), values("reference"), rtol=4 * step, atol=16 * step)


@pytest.mark.parametrize("impl", IMPLS)
def test_weight_and_bias_may_each_be_missing(impl):
    (x, weight, bias, _), _ = problem((6, 4))
    ones, zeros = torch.ones(4).double(), torch.zeros(4).double()
    full = batch_norm(x, ones, bias, eps=EPS, impl=impl).y
    torch.testing.assert_close(batch_norm(x, None, bias, eps=EPS, impl=impl).y, full, **FLOAT64)
    full = batch_norm(x, weight, zeros, eps=EPS, impl=impl).y
    torch.testing.assert_close(batch_norm(x, weight, None, eps=EPS, impl=impl).y, full, **FLOAT64)


@pytest.mark.parametrize("impl", IMPLS)
def test_moments_are_not_differentiable_and_inputs_stay(impl):
    inputs, _ = problem((6, 4))
    before = [t.detach().clone() for t in inputs]
    x, weight, bias, residual = inputs
    out = batch_norm(x, weight, bias, residual=residual, eps=EPS, activation="relu", impl=impl)
    assert isinstance(out, BatchNormOutput)
    assert not any(m.requires_grad for m in out[1:])
    torch.testing.assert_close([t.detach() for t in inputs], before, rtol=0, atol=0)


@pytest.mark.parametrize("impl", IMPLS)
def test_first_and_second_derivatives(impl):
    inputs, _ = problem((4, 2, 3))

    def y(x, weight, bias, residual):
        return batch_norm(x, weight, bias, residual=residual, eps=1e-2, activation="tanh", impl=impl).y

    assert torch.autograd.gradcheck(y, inputs)
    assert torch.autograd.gradgradcheck(y, inputs)


def test_derivatives_with_mask_and_groups():
    (x, weight, bias, residual), _ = problem((4, 2, 5))
    mask = torch.tensor([[1, 1, 1, 0, 0], [1, 0, 1, 1, 1], [1, 1, 1, 1, 0], [0, 1, 1, 0, 0]]).bool()

    def y(*t):
        options = {"residual": t[3], "activation": "silu", "mask": mask, "groups": 2}
        return batch_norm(*t[:3], eps=1e-2, **options).y

    assert torch.autograd.gradcheck(y, (x, weight, bias, residual))
    assert torch.autograd.gradgradcheck(y, (x, weight, bias, residual))


@pytest.mark.parametrize("mask_axes", ["NL", "N1L"])
def test_a_mask_is_the_same_as_leaving_the_padding_out(mask_axes):
    inputs, upstream = problem((5, 3, 8))
    mask = torch.rand(5, 8) > 0.4
    got = outcome(inputs, upstream, activation="silu", mask=mask if mask_axes == "NL" else mask.unsqueeze(1))

    def kept(t):
        return t.detach().movedim(1, -1)[mask]

    x, weight, bias, residual = inputs
    flat = [kept(x), weight.detach(), bias.detach(), kept(residual)]
    want = expected(flat, kept(upstream), "silu")
    for index in (0, 4, 7):  # y and the gradients of x and the residual: zero in the padding, as unpadded elsewhere
        torch.testing.assert_close(kept(got[index]), want[index], **FLOAT64)
        assert not got[index].movedim(1, -1)[~mask].any()
        got[index] = want[index]
    torch.testing.assert_close(got, want, **FLOAT64)


def test_a_nan_in_the_padding_goes_nowhere():
    inputs, upstream = problem((5, 3, 8))
    mask = torch.rand(5, 1, 8) > 0.4
    poisoned = [t.detach().clone() for t in inputs]
    for index in (0, 3):
        poisoned[index] = torch.where(mask, poisoned[index], torch.nan)
    got = outcome([t.requires_grad_() for t in poisoned], upstream, activation="silu", mask=mask)
    torch.testing.assert_close(got, outcome(inputs, upstream, activation="silu", mask=mask), rtol=0, atol=0)


def test_a_mask_that_hides_everything_gives_zeros():
    inputs, upstream = problem((5, 3, 8))
    assert not any(t.any() for t in outcome(inputs, upstream, mask=torch.zeros(5, 8, dtype=torch.bool)))


@pytest.mark.parametrize("groups", [2, 3])
def test_groups_are_separate_calls(groups):
    inputs, upstream = problem((6, 4, 3))
    got = outcome(inputs, upstream, activation="silu", groups=groups)
    x, weight, bias, residual = inputs
    parts = zip(x.chunk(groups), residual.chunk(groups), strict=True)
    outs = [batch_norm(a, weight, bias, residual=r, eps=EPS, activation="silu", impl="torch") for a, r in parts]
    y = torch.cat([o.y for o in outs])
    moments = [torch.stack([o[i] for o in outs]) for i in (1, 2, 3)]
    torch.testing.assert_close(got, [y, *moments, *torch.autograd.grad(y, inputs, upstream)], **FLOAT64)


@pytest.mark.parametrize("dim", [-1, 2, 0])
def test_channel_dim_is_a_transposition(dim):
    inputs, upstream = problem((6, 4, 3))
    want = outcome(inputs, upstream, activation="silu", impl="torch")
    x, weight, bias, residual = inputs
    moved = [t.detach().movedim(1, dim).requires_grad_() if t.ndim == 3 else t for t in (x, weight, bias, residual)]
    got = outcome(moved, upstream.movedim(1, dim), activation="silu", channel_dim=dim)
    got = [t.movedim(dim, 1) if t.ndim == 3 else t for t in got]
    torch.testing.assert_close(got, want, **FLOAT64)


def test_channel_dim_groups_and_mask_together():
    (x, weight, bias, _), _ = problem((6, 7, 4), channels=4)
    mask = torch.rand(6, 7) > 0.3
    got = batch_norm(x, weight, bias, eps=EPS, mask=mask, channel_dim=-1, groups=2)
    for k, part in enumerate((slice(0, 3), slice(3, 6))):
        want = batch_norm(x[part][mask[part]], weight, bias, eps=EPS, impl="torch")
        torch.testing.assert_close(got.y[part][mask[part]], want.y, **FLOAT64)
        torch.testing.assert_close([m[k] for m in got[1:]], list(want[1:]), **FLOAT64)


@pytest.mark.parametrize("in_dim", [0, 1])
def test_vmap_is_a_loop(in_dim):
    (x, weight, bias, _), _ = problem((3, 6, 4), channels=4)
    batches = x.detach().movedim(0, in_dim)

    def transform(batch):
        return batch_norm(batch, weight, bias, eps=EPS, activation="relu").y

    got = torch.vmap(transform, in_dims=in_dim)(batches)
    torch.testing.assert_close(got, torch.stack([transform(batch) for batch in x]), **FLOAT64)


@pytest.mark.filterwarnings("ignore:.*torch.jit.script:DeprecationWarning")  # torch's forward mode imports with it
def test_jacobians_and_hessian_vector_products():
    (x, weight, bias, _), upstream = problem((4, 2))

    def y(x):
        return batch_norm(x, weight.detach(), bias.detach(), eps=1e-2, activation="tanh").y

    want = torch.autograd.functional.jacobian(y, x.detach())
    torch.testing.assert_close(torch.func.jacrev(y)(x.detach()), want, **FLOAT64)
    torch.testing.assert_close(torch.func.jacfwd(y)(x.detach()), want, **FLOAT64)

    def loss(x):
        return (y(x) * upstream).sum()

    _, want = torch.autograd.functional.hvp(loss, x.detach(), upstream)
    _, got = torch.func.jvp(torch.func.grad(loss), (x.detach(),), (upstream,))
    torch.testing.assert_close(got, want, **FLOAT64)


@pytest.mark.parametrize("shape", [(0, 3), (0, 3, 5), (4, 3, 0)], ids=str)
def test_an_empty_batch(shape):
    inputs, upstream = problem(shape)
    got = outcome(inputs, upstream)
    assert got[0].shape == shape
    assert not any(t.any() for t in got[1:])


def test_a_single_value_per_channel_is_the_bias():
    inputs, upstream = problem((1, 3))
    y, mean, var, count, d_x, *_ = outcome(inputs, upstream)
    torch.testing.assert_close(y, inputs[2].unsqueeze(0) + inputs[3], **FLOAT64)
    torch.testing.assert_close(mean, inputs[0][0].detach(), **FLOAT64)
    assert not var.any()
    assert not d_x.any()
    assert count.tolist() == [1, 1, 1]


@pytest.mark.parametrize(("dtype", "impl"), [(torch.float32, "cpu"), (torch.float16, "torch")])
def test_auto_takes_our_kernels_where_they_can_run_however_small_the_input(dtype, impl):
    x = torch.randn(50, 3).to(dtype)
    auto, chosen = (batch_norm(x, None, None, eps=EPS, impl=name).y for name in ("auto", impl))
    torch.testing.assert_close(auto, chosen, rtol=0, atol=0)


GRADIENTS = {
    "contiguous": lambda g: g.contiguous(),
    "channels_last": lambda g: g.contiguous(memory_format=torch.channels_last),
    "transposed": lambda g: g.transpose(1, 3).contiguous().transpose(1, 3),
}


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("shape", [(1, 4, 1, 5), (3, 4, 1, 5), (3, 4, 5, 1), (1, 4, 5, 1), (3, 1, 5, 4)], ids=str)
def test_torchs_kernel_reads_a_gradient_of_any_layout(shape, training):
    """By itself it does not, where axes of size 1 leave open in which format a tensor is."""
    x, g = torch.randn(shape), torch.randn(shape)
    moments = torch.randn(shape[1]), torch.rand(shape[1]) + 1

    def gradient(impl, x, g):
        x = x.clone(memory_format=torch.preserve_format).requires_grad_()
        if training:
            y = batch_norm(x, None, None, eps=EPS, impl=impl).y
        else:
            y = normalize(x, *moments, None, None, eps=EPS, impl=impl)
        return torch.autograd.grad(y, x, g)[0]

    want = gradient("reference", x.double(), g.double()).float()
    for lay_x in GRADIENTS.values():
        for lay_g in GRADIENTS.values():
            # A dozen roundings of numbers about 1, of which three or fifteen values make a deviation.
            torch.testing.assert_close(gradient("torch", lay_x(x), lay_g(g)), want, rtol=1e-4, atol=1e-4)


# The paper's equations (Ioffe & Szegedy 2015, section 3.3), with eps far below the variance where they hold up to eps.

FACTORS = st.floats(0.1, 100)


def layer(weight, u, eps=0.0):
    return batch_norm(u @ weight.T, None, None, eps=eps, impl="reference").y


def draw(seed):
    generator = torch.Generator().manual_seed(seed)
    u, weight, upstream = (torch.randn(n, 4, dtype=torch.float64, generator=generator) for n in (9, 4, 9))
    return u.requires_grad_(), weight.requires_grad_(), upstream


@settings(deadline=None, max_examples=30)
@given(a=FACTORS, seed=st.integers(0, 2**16))
def test_the_scale_of_the_weights_does_not_matter(a, seed):
    u, weight, upstream = draw(seed)
    scaled = (a * weight).detach().requires_grad_()
    plain, larger = layer(weight, u), layer(scaled, u)
    # An almost singular draw of W loses digits; 1e-7 leaves room for a variance 1e-8 of its usual size.
    torch.testing.assert_close(larger, plain, rtol=1e-7, atol=1e-7)
    d_u, d_weight = torch.autograd.grad(plain, (u, weight), upstream)
    d_u_scaled, d_scaled = torch.autograd.grad(larger, (u, scaled), upstream)
    torch.testing.assert_close(d_u_scaled, d_u, rtol=1e-6, atol=1e-7)
    torch.testing.assert_close(d_scaled * a, d_weight, rtol=1e-6, atol=1e-7)


@settings(deadline=None, max_examples=30)
@given(
    gamma=st.floats(-5, 5),
    beta=st.floats(-5, 5),
    mean=st.floats(-100, 100),
    std=st.floats(0.1, 100),
    n=st.integers(2, 50),
)
def test_the_output_has_mean_beta_and_standard_deviation_gamma(gamma, beta, mean, std, n):
    x = torch.linspace(-1, 1, n, dtype=torch.float64).unsqueeze(1) * std + mean
    weight, bias = torch.tensor([gamma], dtype=torch.float64), torch.tensor([beta], dtype=torch.float64)
    out = batch_norm(x, weight, bias, eps=EPS)
    assert out.y.mean().item() == pytest.approx(beta, abs=1e-10)
    # Up to eps means exactly |γ|·σ/√(σ² + ε).
    shrunk = abs(gamma) * (out.var / (out.var + EPS)).sqrt().item()
    assert out.y.std(correction=0).item() == pytest.approx(shrunk, rel=1e-9, abs=1e-10)
    # var is at least 0.1²/3, so ε/(2·var) is below 2e-3.
    assert shrunk == pytest.approx(abs(gamma), rel=2e-3)


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 2**16))
def test_the_gradient_of_a_normalized_output_sums_to_zero(seed):
    u, _, upstream = draw(seed)
    (d_u,) = torch.autograd.grad(batch_norm(u, None, None, eps=EPS).y, u, upstream)
    torch.testing.assert_close(d_u.sum(0), torch.zeros(4).double(), rtol=0, atol=1e-11)
    torch.testing.assert_close((d_u * u).sum(0), torch.zeros(4).double(), rtol=0, atol=1e-3)  # up to eps / var


@pytest.mark.parametrize("impl", IMPLS)
def test_four_five_six(impl):
    y = batch_norm(torch.tensor([[4.0], [5.0], [6.0]]), None, None, eps=1e-5, impl=impl).y
    # √(3/2) = 1.22474; eps takes 9e-6 of it.
    torch.testing.assert_close(y, torch.tensor([[-1.2247], [0.0], [1.2247]]), rtol=0, atol=5e-5)


@pytest.mark.parametrize(
    ("options", "error", "says"),
    [
        ({"x": torch.zeros(4)}, ShapeError, "at least two axes, (N, C, ...), got shape (4,)"),
        ({"x": torch.zeros(4, 3, dtype=torch.long)}, InvalidArgumentError, "got torch.int64; convert it"),
        ({"weight": torch.ones(4)}, ShapeError, "weight must have shape (3,)"),
        ({"bias": torch.ones(1)}, ShapeError, "got bias of shape (1,)"),
        ({"residual": torch.zeros(3)}, ShapeError, "residual must have the shape of x, (4, 3, 5), got (3,)"),
        (
            {"weight": torch.ones(3).long()},
            InvalidArgumentError,
            "weight must be of a floating-point type, got torch.int",
        ),
        ({"residual": torch.zeros(4, 3, 5).cfloat()}, InvalidArgumentError, "residual.float()"),
        ({"channel_dim": 3}, InvalidArgumentError, "from -3 to 2, got 3"),
        ({"groups": 3}, ShapeError, "divide the 4 examples of the batch, got groups=3"),
        ({"groups": 0}, ShapeError, "at least 1"),
        ({"mask": torch.ones(4, 5)}, InvalidArgumentError, "mask must be boolean, got torch.float32"),
        ({"mask": torch.ones(4, 3, 5).bool()}, ShapeError, "(4, 5), the shape of x without its channel axis 1"),
        ({"activation": "rele"}, InvalidArgumentError, "did you mean 'relu'"),
        ({"impl": "refrence"}, InvalidArgumentError, "did you mean 'reference'? Allowed: auto, cpu, reference, torch"),
        (
            {"impl": "torch", "groups": 2},
            InvalidArgumentError,
            "it needs groups=1, got 2; use impl='cpu' or impl='reference'",
        ),
        ({"impl": "torch", "mask": torch.ones(4, 5).bool()}, InvalidArgumentError, "it takes no mask"),
        ({"impl": "torch", "channel_dim": 0}, InvalidArgumentError, "axis 1 or the last, got channel_dim=0"),
        ({"eps": -1.0}, InvalidArgumentError, "eps must be positive, got -1.0"),
        ({"eps": float("nan")}, InvalidArgumentError, "eps must be positive, got nan"),
        ({"impl": "torch", "x": torch.zeros(1, 3)}, InvalidArgumentError, "more than one value per channel"),
    ],
)
def test_errors_say_what_was_given_and_what_to_do(options, error, says, monkeypatch):
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)  # which lets the GPU's kernels take these tensors too
    options = {"x": torch.zeros(4, 3, 5), "weight": None, "bias": None, "eps": EPS, **options}
    with pytest.raises(error) as raised:
        batch_norm(options.pop("x"), options.pop("weight"), options.pop("bias"), **options)
    assert says in str(raised.value)


def elsewhere(name):
    return rf"{name} must be on the device of x, cpu, got one on meta; move it: {name}.to\(x.device\)"


@pytest.mark.parametrize("impl", ["auto", "cpu", "torch", "reference"])
def test_a_tensor_on_another_device_is_refused(impl):
    x, vector, mask = torch.zeros(4, 3, 5), torch.ones(3, device="meta"), torch.ones(4, 1, 5, dtype=torch.bool)
    for name, tensor in {"weight": vector, "bias": vector, "residual": x, "mask": mask}.items():
        given = {"weight": None, "bias": None, name: tensor.to("meta")}
        with pytest.raises(InvalidArgumentError, match=elsewhere(name)):
            batch_norm(x, **given, eps=EPS, impl=impl)
    for name in ("mean", "var"):
        given = {"mean": torch.ones(3), "var": torch.ones(3), name: vector}
        with pytest.raises(InvalidArgumentError, match=elsewhere(name)):
            normalize(x, **given, weight=None, bias=None, eps=EPS, impl=impl)


def test_torch_refuses_to_run_under_a_transform():
    with pytest.raises(InvalidArgumentError, match=r"torch\.func transforms refuse"):
        torch.vmap(lambda x: batch_norm(x, None, None, eps=EPS, impl="torch").y)(torch.randn(2, 4, 3))
