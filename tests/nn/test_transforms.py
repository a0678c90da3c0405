"""``torch.func`` in training mode. pytorch#85533."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn
from torch.func import functional_call, grad, hessian, jacfwd, jacrev, stack_module_state, vjp, vmap

import normwise as nw

# torch's forward-mode differentiation compiles with it.
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")
# The same float64 sums of a dozen values, in another order.
FLOAT64 = {"rtol": 1e-9, "atol": 1e-11}
TORCH_RAISES = pytest.mark.xfail(strict=True, raises=RuntimeError, reason="torch writes into buffers")


def layer_of(make, **options):
    layer = make(3, dtype=torch.float64, **options)
    for parameter in layer.parameters():
        nn.init.normal_(parameter)
    return layer


BOTH = pytest.mark.parametrize("make", [nw.BatchNorm1d, pytest.param(nn.BatchNorm1d, marks=TORCH_RAISES)])
OURS = pytest.mark.parametrize("options", [{"activation": "tanh"}, {"channel_dim": -1}, {"momentum": None}], ids=str)


@BOTH
def test_vmap_normalizes_each_batch_by_itself(make):
    layer = layer_of(make)
    before, batches = copy.deepcopy(layer.state_dict()), torch.randn(5, 6, 3).double()
    got = vmap(layer)(batches)
    torch.testing.assert_close(layer.state_dict(), before, rtol=0, atol=0)
    torch.testing.assert_close(got, torch.stack([layer(batch) for batch in batches]), **FLOAT64)


@pytest.mark.parametrize("transform", [jacrev, jacfwd])
@OURS
def test_jacobians(transform, options):
    layer, x = layer_of(nw.BatchNorm1d, **options), torch.randn(6, 3).double()
    before = copy.deepcopy(layer.state_dict())
    got = transform(layer)(x)
    torch.testing.assert_close(layer.state_dict(), before, rtol=0, atol=0)
    torch.testing.assert_close(got, torch.autograd.functional.jacobian(layer, x), **FLOAT64)


@TORCH_RAISES
def test_jacrev_with_torchs_layer():
    jacrev(layer_of(nn.BatchNorm1d))(torch.randn(6, 3).double())


def test_hessian():
    layer, x = layer_of(nw.BatchNorm1d, activation="tanh"), torch.randn(4, 3).double()
    got = hessian(lambda x: layer(x).pow(3).sum())(x)
    want = torch.autograd.functional.hessian(lambda x: layer(x).pow(3).sum(), x)
    torch.testing.assert_close(got, want, **FLOAT64)


def test_gradients_of_parameters_by_grad_and_vjp():
    layer, x, upstream = layer_of(nw.BatchNorm1d), torch.randn(6, 3).double(), torch.randn(6, 3).double()
    parameters = dict(layer.named_parameters())

    def output(parameters):
        return functional_call(layer, parameters, (x,))

    got = grad(lambda parameters: (output(parameters) * upstream).sum())(parameters)
    (again,) = vjp(output, parameters)[1](upstream)
    want = dict(zip(parameters, torch.autograd.grad(layer(x), list(parameters.values()), upstream), strict=True))
    torch.testing.assert_close(got, want, **FLOAT64)
    torch.testing.assert_close(again, want, **FLOAT64)


def test_an_ensemble_trains_under_vmap():
    networks = [nn.Sequential(nn.Linear(4, 3), nw.BatchNorm1d(3, activation="relu")).double() for _ in range(3)]
    parameters, buffers = stack_module_state(networks)
    x = torch.randn(6, 4).double()

    def loss(parameters, buffers):
        return functional_call(networks[0], (parameters, buffers), (x,)).square().sum()

    got = vmap(grad(loss))(parameters, buffers)
    for k, network in enumerate(networks):
        network(x).square().sum().backward()
        for name, parameter in network.named_parameters():
            torch.testing.assert_close(got[name][k], parameter.grad, **FLOAT64)


def test_masks_residuals_and_evaluation_under_vmap():
    layer = layer_of(nw.BatchNorm1d, activation="silu")
    x, residual, mask = torch.randn(5, 6, 3).double(), torch.randn(5, 6, 3).double(), torch.rand(5, 6) > 0.3
    got = vmap(layer)(x, residual, mask)
    want = torch.stack([layer(*each) for each in zip(x, residual, mask, strict=True)])
    torch.testing.assert_close(got, want, **FLOAT64)
    layer.eval()
    torch.testing.assert_close(
        vmap(layer)(x, residual), layer(x.flatten(0, 1), residual.flatten(0, 1)).reshape(x.shape)
    )
