"""What PyTorch keeps to itself is there, and says what it is asked for."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.autograd import forward_ad
from torch.utils._python_dispatch import TorchDispatchMode

from normwise.ops import tracing


class Wrapped(torch.Tensor):
    pass


class Quiet(TorchDispatchMode):
    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        return func(*args, **kwargs or {})


def test_ordinary_are_eager_tensors_with_values_in_memory():
    x = torch.randn(4, 3)
    for tensor in (x, x.t(), x[::2], nn.Parameter(x), x.double(), x.bfloat16(), x > 0, x.view(2, 2, 3)[0]):
        assert tracing.is_ordinary(tensor)
    assert tracing.is_ordinary(x, None, nn.Parameter(x))
    with torch.inference_mode():
        made = torch.randn(4, 3)
        assert tracing.is_ordinary(made, x)
    assert tracing.is_ordinary(made)


ODD = {
    "subclass": lambda x: x.as_subclass(Wrapped),
    "sparse": lambda x: x.to_sparse(),
    "negated": lambda x: torch._neg_view(x),
    "zeros without memory": lambda x: torch._efficientzerotensor(x.shape),
    "meta": lambda x: x.to("meta"),
}


@pytest.mark.parametrize("name", ODD)
def test_no_other_tensor_is_ordinary(name):
    odd = ODD[name](torch.randn(4, 3))
    assert not tracing.is_ordinary(odd)
    assert not tracing.is_ordinary(torch.randn(4), odd)


def test_nothing_is_ordinary_within_a_mode_a_transform_or_a_trace():
    x, seen = torch.randn(4, 3), []

    def ask(x):
        seen.append((tracing.is_ordinary(torch.randn(2)), tracing.is_transformed(), tracing.is_jit_traced()))
        return x * 2

    torch.func.vmap(ask, randomness="different")(x)
    with Quiet():
        ask(x)
    with forward_ad.dual_level():
        assert tracing.is_forward_differentiated()
        ask(x)
    with pytest.warns(DeprecationWarning, match="torch.jit.trace"):
        torch.jit.trace(ask, x, check_trace=False)
    assert [ordinary for ordinary, *_ in seen] == [False] * 4
    assert [transformed for _, transformed, _ in seen] == [True, False, False, False]
    assert [traced for *_, traced in seen] == [False, False, False, True]
    assert tracing.is_ordinary(x)


def test_a_batch_of_gradients_is_known():
    seen = []

    class Ask(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x.clone()

        @staticmethod
        def backward(ctx, grad):
            seen.append((tracing.is_batch_of_gradients(grad), tracing.is_ordinary(grad), tracing.is_in_backward()))
            return grad

    x = torch.randn(3, requires_grad=True)
    y = Ask.apply(x)
    torch.autograd.grad(y, x, torch.ones(3), retain_graph=True)
    torch.autograd.grad(y, x, torch.eye(3), is_grads_batched=True)
    assert seen == [(False, True, True), (True, False, True)]
    assert not tracing.is_in_backward()
