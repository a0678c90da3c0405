"""The samples of ``nn.functional.batch_norm`` in torch's OpInfo database, by our operators and by torch's."""

from __future__ import annotations

import inspect
from typing import NamedTuple

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from normwise import moments, ops
from normwise.errors import ShapeError
from suites.entries import OPERATORS, samples

FUNCTIONAL = "nn.functional.batch_norm"
close = torch.testing.assert_close  # with the tolerances that it has by itself, as in torch's suites
IMPLS = pytest.mark.parametrize("impl", ["auto", "cpu", "torch", "reference"])
DTYPES = pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)


class Call(NamedTuple):
    """The arguments of ``torch.nn.functional.batch_norm``."""

    input: Tensor
    running_mean: Tensor | None
    running_var: Tensor | None
    weight: Tensor | None
    bias: Tensor | None
    training: bool
    momentum: float
    eps: float

    def differentiable(self) -> list[Tensor]:
        return [t for t in (self.input, self.weight, self.bias) if t is not None and t.requires_grad]


def sampled(sample, apart=False) -> Call:
    sample = sample.noncontiguous() if apart else sample
    bound = inspect.signature(F.batch_norm).bind(sample.input, *sample.args, **sample.kwargs)
    bound.apply_defaults()
    return Call(**bound.arguments)


def each(dtype=torch.float64, requires_grad=True, apart=False):
    """The calls of F.batch_norm that we take; of what is printed, the last line names the one that failed."""
    for index, sample in enumerate(samples(FUNCTIONAL, dtype, requires_grad)):
        if sample.input.ndim >= 2:
            print(index, sample)
            yield sampled(sample, apart)


def by_us(call, impl="auto"):
    """y and, in training, the moments of the batch."""
    if call.training:
        return ops.batch_norm(call.input, call.weight, call.bias, eps=call.eps, impl=impl)
    y = ops.normalize(call.input, call.running_mean, call.running_var, call.weight, call.bias, eps=call.eps, impl=impl)
    return y, None, None, None


def outcome(call, y, upstream):
    return [y, *(torch.autograd.grad(y, call.differentiable(), upstream) if y.requires_grad else [])]


def test_torch_ships_samples_in_both_modes_and_no_errors():
    calls = list(each())
    assert len(calls) >= 10
    assert {call.training for call in calls} == {True, False}
    assert OPERATORS[FUNCTIONAL].error_inputs_func is None


def test_samples_without_an_axis_for_channels_are_refused():
    flat = [sample for sample in samples(FUNCTIONAL) if sample.input.ndim < 2]
    assert flat
    for sample in flat:
        with pytest.raises(ShapeError, match="at least two axes"):
            by_us(sampled(sample))


@IMPLS
@DTYPES
@pytest.mark.parametrize(
    ("requires_grad", "apart"), [(True, False), (False, False), (True, True)], ids=["grad", "no_grad", "noncontiguous"]
)
def test_samples(impl, dtype, requires_grad, apart):
    for call in each(dtype, requires_grad, apart):
        y, mean, var, count = by_us(call, impl)
        running = [None if t is None else t.clone() for t in (call.running_mean, call.running_var)]
        expected = F.batch_norm(call.input, *running, *call[3:])
        upstream = torch.randn_like(expected)
        assert y.requires_grad == requires_grad
        close(outcome(call, y, upstream), outcome(call, expected, upstream))
        if call.training and call.running_mean is not None:
            new_mean = moments.running(call.running_mean, mean, call.momentum)
            new_var = moments.running(call.running_var, moments.unbiased(var, count), call.momentum)
            close([new_mean, new_var], running)


@pytest.mark.filterwarnings("ignore:.*torch.jit.script:DeprecationWarning")  # torch's forward mode imports with it
@pytest.mark.parametrize("check", [torch.autograd.gradcheck, torch.autograd.gradgradcheck])
def test_gradients_of_samples(check):
    options = {"check_forward_ad": True} if check is torch.autograd.gradcheck else {"check_fwd_over_rev": True}
    for call in each():
        names = [name for name in ("input", "weight", "bias") if getattr(call, name) is not None]

        def function(*tensors, call=call, names=names):
            given = dict(zip(names, tensors, strict=True))
            return by_us(call._replace(**given))[0]

        assert check(function, call.differentiable(), fast_mode=True, **options)


@IMPLS
@DTYPES
def test_the_moments_are_those_that_torch_saves(impl, dtype):
    training_modes = set()
    for sample in samples("native_batch_norm", dtype):
        print(sample)
        weight, bias, _, _, training, _, eps = sample.args
        training_modes.add(training)
        _, mean, scale = torch.native_batch_norm(sample.input, *sample.args)
        if training:
            got = ops.batch_norm(sample.input, weight, bias, eps=eps, impl=impl)
            close([got.mean, (got.var + eps).rsqrt()], [mean, scale])
        else:
            assert mean.numel() == 0
    assert True in training_modes
