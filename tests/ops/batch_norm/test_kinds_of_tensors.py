"""Tensors that are more than an address: subclasses, fakes, and values that are not what lies in memory."""

from __future__ import annotations

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils import _pytree as pytree

from normwise import ops
from normwise.errors import InvalidArgumentError
from normwise.ops.batch_norm import parts
from normwise.ops.batch_norm.transform import DEFAULT
from tensors import EPS, draw, outcome

FLOAT64 = {"rtol": 1e-9, "atol": 1e-11}
SHAPE = (8, 3, 5)
MASK = torch.arange(8 * 5).reshape(8, 1, 5) % 3 > 0


class Wrapped(torch.Tensor):
    """A tensor that holds another and has no memory; it writes down every operator that it meets."""

    seen: list[str] = []  # noqa: RUF012

    def __new__(cls, held):
        wrapped = torch.Tensor._make_wrapper_subclass(
            cls, held.shape, strides=held.stride(), dtype=held.dtype, requires_grad=held.requires_grad
        )
        wrapped.held = held.detach()
        return wrapped

    @classmethod
    def __torch_dispatch__(cls, function, types, args=(), kwargs=None):
        def held(value):
            return value.held if isinstance(value, cls) else value

        cls.seen.append(function._schema.name)
        out = function(*pytree.tree_map(held, args), **pytree.tree_map(held, kwargs or {}))
        return pytree.tree_map_only(torch.Tensor, cls, out)


def options(activation="silu"):
    return {"mask": MASK, "activation": activation}


@pytest.mark.parametrize("impl", ["auto", "cpu"])
@pytest.mark.parametrize("name", ["x", "weight", "bias", "residual", "mask"])
def test_a_wrapped_tensor_meets_an_operator_that_torch_knows(name, impl):
    inputs, _ = draw(SHAPE, 3)
    given = {n: t.detach() for n, t in inputs.items()} | options()
    want = ops.batch_norm(**given, eps=EPS, impl="reference").y
    Wrapped.seen.clear()
    got = ops.batch_norm(**given | {name: Wrapped(given[name])}, eps=EPS, impl=impl).y
    assert "normwise::batch_norm" in Wrapped.seen
    torch.testing.assert_close(got.held, want, **FLOAT64)


@pytest.mark.parametrize("name", ["x", "mean", "var", "weight", "bias", "residual"])
@pytest.mark.parametrize("size", [8, 100_000])
def test_a_wrapped_tensor_is_normalized_by_torch(name, size):
    inputs, _ = draw((size, 3), 3)
    given = {n: t.detach() for n, t in inputs.items()} | {"mean": torch.ones(3).double(), "var": torch.ones(3).double()}
    want = ops.normalize(**given, eps=EPS, impl="reference")
    got = ops.normalize(**given | {name: Wrapped(given[name])}, eps=EPS)
    torch.testing.assert_close(got.held, want, **FLOAT64)
    with pytest.raises(InvalidArgumentError, match="use impl='torch' or impl='reference'"):
        ops.normalize(**given | {name: Wrapped(given[name])}, eps=EPS, impl="cpu")


def test_a_wrapped_gradient():
    inputs, upstream = draw(SHAPE, 3)
    want = outcome(inputs, upstream, **options(), impl="reference")
    got = outcome(inputs, Wrapped(upstream), **options(), impl="cpu")
    torch.testing.assert_close({n: getattr(t, "held", t) for n, t in got.items()}, want, **FLOAT64)


def test_fake_tensors_reach_no_part():
    x = torch.randn(SHAPE)
    real = parts.moments(x)
    with FakeTensorMode() as mode:
        fake, over = mode.from_tensor(x), pytree.tree_map(mode.from_tensor, real)
        assert [t.shape for t in parts.moments(fake)] == [t.shape for t in real]
        assert parts.normalize(fake, over, DEFAULT).shape == SHAPE
        sums = parts.backward_reduce(fake, fake, over, DEFAULT)
        assert parts.backward_elementwise(fake, fake, over, DEFAULT, sums)[0].shape == SHAPE


FORMS = {
    "negated": lambda t: torch._neg_view(-t),
    "zero": lambda t: torch._efficientzerotensor(t.shape, dtype=t.dtype),
    "sparse": lambda t: t.detach().to_sparse(),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", ["weight", "bias", "residual"])
def test_values_that_are_not_in_memory(name, form):
    inputs, upstream = draw(SHAPE, 3)
    given = {n: t.detach() for n, t in inputs.items()}
    given["x"].requires_grad_()
    given[name] = FORMS[form](given[name])
    plain = given | {name: given[name].to_dense().clone()}
    torch.testing.assert_close(
        outcome(given, upstream, **options(), impl="cpu"), outcome(plain, upstream, **options(), impl="cpu")
    )


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", ["mean", "var", "residual", "weight"])
def test_moments_that_are_not_in_memory(name, form):
    x, residual = torch.randn(2, *SHAPE)
    given = {"mean": torch.randn(3), "var": torch.rand(3), "weight": torch.randn(3), "residual": residual}
    odd = given | {name: FORMS[form](given[name])}
    plain = given | {name: odd[name].to_dense().clone()}
    got, want = (ops.normalize(x, **g, bias=None, eps=EPS, impl="cpu") for g in (odd, plain))
    torch.testing.assert_close(got, want)


def test_a_negated_input_and_its_gradient():
    inputs, upstream = draw(SHAPE, 3)
    want = outcome(inputs, upstream, **options())
    negated = inputs | {"x": torch._neg_view(-inputs["x"].detach()).requires_grad_()}
    torch.testing.assert_close(outcome(negated, upstream, **options(), impl="cpu"), want, **FLOAT64)


@pytest.mark.parametrize("form", ["negated", "zero"])
@pytest.mark.parametrize("activation", [None, "silu"])
def test_a_gradient_that_is_not_in_memory(activation, form):
    inputs, upstream = draw(SHAPE, 3)
    odd = FORMS[form](upstream)
    want = outcome(inputs, odd.clone(), **options(activation), impl="cpu")
    torch.testing.assert_close(outcome(inputs, odd, **options(activation), impl="cpu"), want, **FLOAT64)


def test_parts_of_what_is_not_in_memory():
    x = torch.randn(SHAPE)
    negated, over = torch._neg_view(-x), parts.moments(x)
    torch.testing.assert_close(parts.moments(negated), over)
    want = parts.normalize(x, over, DEFAULT, residual=x)
    torch.testing.assert_close(parts.normalize(negated, over, DEFAULT, residual=negated), want)


@pytest.mark.parametrize(
    ("x", "says"),
    [
        (torch.randn(SHAPE).to_sparse(), "it needs a strided tensor, got one of layout sparse_coo"),
        (torch._efficientzerotensor(SHAPE), "it needs values in memory"),
    ],
)
def test_an_input_without_memory_is_not_for_the_kernels(x, says):
    with pytest.raises(InvalidArgumentError, match=says):
        ops.batch_norm(x, None, None, eps=EPS, impl="cpu")


def test_zeros_without_memory_are_zeros():
    x = torch._efficientzerotensor((70_000, 2))
    assert not ops.batch_norm(x, None, None, eps=EPS).y.any()
    assert not ops.normalize(x, torch.zeros(2), torch.ones(2), None, None, eps=EPS).any()


@pytest.mark.filterwarnings("ignore")  # jit.trace is deprecated, and warns of every Python number
@pytest.mark.parametrize("training", [True, False])
def test_torch_jit_trace_sees_the_operator(training):
    def y(x):
        if training:
            return ops.batch_norm(x, None, None, eps=EPS, activation="relu").y
        return ops.normalize(x, torch.zeros(3), torch.ones(3), None, None, eps=EPS, activation="relu")

    x, other = torch.randn(2, 30_000, 3)
    traced = torch.jit.trace(y, (x,))
    torch.testing.assert_close(traced(other), y(other))


@pytest.mark.parametrize("shape", [(300, 5), (4, 3, 40, 40), (2, 2, 200, 200)], ids=str)
def test_a_default_device_is_not_that_of_the_statistics(shape):
    inputs, upstream = draw(shape, shape[1])
    want = outcome(inputs, upstream, impl="reference")
    with torch.device("meta"):
        got = outcome(inputs, upstream, impl="cpu")
    torch.testing.assert_close(got, want, **FLOAT64)


def test_gradients_of_weight_and_bias_share_no_memory():
    inputs, upstream = draw(SHAPE, 3)
    y = ops.batch_norm(**inputs, eps=EPS, impl="cpu").y
    weight, bias = torch.autograd.grad(y, (inputs["weight"], inputs["bias"]), upstream)
    before = bias.clone()
    weight.mul_(2)
    assert bias._version == 0
    torch.testing.assert_close(bias, before)
    assert weight.untyped_storage().data_ptr() != bias.untyped_storage().data_ptr()
