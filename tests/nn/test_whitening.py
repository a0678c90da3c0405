"""Whitening against NumPy in float64, batch normalization and finite differences."""

import copy

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

import normwise as nw
from normwise.errors import InvalidArgumentError, ShapeError, TensorError

METHODS = ["newton", "zca"]
FLOAT64 = {
    "rtol": 1e-9,
    "atol": 1e-11,
}  # products of a hundred values of about 1, times a condition number of about 100


def mixed(shape, dtype=torch.float64):
    """Correlated features on axis 1 with different scales and means."""
    features = shape[1]
    mixing = torch.randn(features, features, dtype=torch.float64) / 3 + torch.diag(torch.linspace(0.5, 2, features))
    return (torch.tensordot(torch.randn(shape).double(), mixing, ([1], [0])).movedim(-1, 1) + 3).to(dtype)


def flat(x):
    """The features in rows."""
    return x.detach().movedim(1, 0).flatten(1)


def oracle(x, groups, method, iterations, eps, mean=None, cov=None):
    """The formula in NumPy, a group at a time: the output before γ and β, the mean and the covariances."""
    rows = flat(x).numpy().astype(np.float64)
    y, means, covs = [], [], []
    for g, part in enumerate(np.split(rows, groups)):
        mu = part.mean(1) if mean is None else np.split(mean, groups)[g]
        sigma = np.cov(part, bias=True).reshape(len(part), len(part)) if cov is None else cov[g]
        loaded = sigma + eps * np.eye(len(part))
        if method == "zca":
            u, s, _ = np.linalg.svd(loaded)
            root = u @ np.diag(s**-0.5) @ u.T
        else:
            normed, root = loaded / np.trace(loaded), np.eye(len(part))
            for _ in range(iterations):
                root = 0.5 * (3 * root - np.linalg.matrix_power(root, 3) @ normed)
            root = root / np.sqrt(np.trace(loaded))
        y.append(root @ (part - mu[:, None]))
        means.append(mu)
        covs.append(sigma)
    return np.concatenate(y), np.concatenate(means), np.stack(covs)


def off_identity(y):
    """How far the covariance of the features is from I."""
    return (torch.cov(flat(y).double(), correction=0) - torch.eye(y.shape[1])).abs().max().item()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("shape", "groups"), [((41, 6), 1), ((23, 6), 3), ((5, 7, 13), 1), ((3, 6, 5, 7), 2), ((11, 4), 4)], ids=str
)
def test_trains_and_evaluates_like_the_oracle(shape, groups, method):
    layer = nw.nn.Whitening(shape[1], groups=groups, method=method, iterations=4, momentum=0.3, dtype=torch.float64)
    for parameter in layer.parameters():
        nn.init.normal_(parameter)
    weight, bias = (parameter.detach().numpy()[:, None] for parameter in (layer.weight, layer.bias))
    size = shape[1] // groups
    running_mean, running_cov = np.zeros(shape[1]), np.stack([np.eye(size)] * groups)
    for _ in range(3):
        x = mixed(shape)
        y, mean, cov = oracle(x, groups, method, 4, layer.eps)
        torch.testing.assert_close(flat(layer(x)), torch.from_numpy(weight * y + bias), **FLOAT64)
        values = x.numel() // shape[1]
        running_mean = 0.7 * running_mean + 0.3 * mean
        running_cov = 0.7 * running_cov + 0.3 * cov * values / (values - 1)
    torch.testing.assert_close(layer.running_mean, torch.from_numpy(running_mean), **FLOAT64)
    torch.testing.assert_close(layer.running_cov, torch.from_numpy(running_cov), **FLOAT64)
    before = copy.deepcopy(layer.state_dict())
    y, _, _ = oracle(x, groups, method, 4, layer.eps, running_mean, running_cov)
    torch.testing.assert_close(flat(layer.eval()(x)), torch.from_numpy(weight * y + bias), **FLOAT64)
    torch.testing.assert_close(layer.state_dict(), before, rtol=0, atol=0)


def test_the_output_of_zca_is_white_and_that_of_newton_becomes_so_with_iterations():
    x = mixed((500, 8))
    assert off_identity(nw.nn.Whitening(8, method="zca", eps=1e-12, dtype=torch.float64)(x)) < 1e-10
    off = [
        off_identity(nw.nn.Whitening(8, iterations=steps, eps=1e-12, dtype=torch.float64)(x))
        for steps in (1, 3, 5, 20, 40)
    ]
    assert off[:4] == sorted(off[:4], reverse=True)
    assert off[0] > 0.5
    assert max(off[3:]) < 1e-6  # and it stays there, which the iteration as it is printed does not


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("training", [True, False])
def test_gradients_are_those_of_finite_differences(method, training):
    layer = nw.nn.Whitening(4, groups=2, method=method, dtype=torch.float64, track_running_stats=not training)
    x, weight, bias = mixed((5, 4, 2)).requires_grad_(), torch.randn(4).double(), torch.randn(4).double()
    layer.train(training)
    weight.requires_grad_(), bias.requires_grad_()

    def f(x, weight, bias):
        return torch.func.functional_call(layer, {"weight": weight, "bias": bias}, x)

    assert torch.autograd.gradcheck(f, (x, weight, bias))


def test_equal_eigenvalues_have_a_gradient():
    x = torch.tensor([[1.0, 1], [1, -1], [-1, 1], [-1, -1]], dtype=torch.float64, requires_grad=True)
    layer = nw.nn.Whitening(2, method="zca", track_running_stats=False, dtype=torch.float64)
    assert torch.autograd.gradcheck(layer, x)


@pytest.mark.parametrize("method", METHODS)
def test_groups_of_one_feature_are_batch_normalization(method):
    ours = nw.nn.Whitening(5, groups=5, method=method, dtype=torch.float64)
    theirs = nn.BatchNorm1d(5, dtype=torch.float64)
    for layer in (ours, theirs):
        nn.init.constant_(layer.weight, 2.0)
    for _ in range(2):
        x = mixed((9, 5, 3)).requires_grad_()
        upstream = torch.randn_like(x)
        y = [layer(x) for layer in (ours, theirs)]
        gradients = [torch.autograd.grad(each, x, upstream) for each in y]
        torch.testing.assert_close(y[0], y[1], **FLOAT64)
        torch.testing.assert_close(*gradients, **FLOAT64)
    torch.testing.assert_close(ours.running_cov.flatten(), theirs.running_var, **FLOAT64)
    torch.testing.assert_close(ours.eval()(x), theirs.eval()(x), **FLOAT64)


@pytest.mark.parametrize("method", METHODS)
def test_a_large_mean_costs_no_digits(method):
    # Steps of 1/1024 are exact at 5,000 in float32, so that the shifted values are the same and only rounding differs.
    x = (mixed((200, 6), torch.float32) * 1024).round() / 1024
    layer = nw.nn.Whitening(6, method=method)
    torch.testing.assert_close(layer(x + 5000), layer(x), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_inputs_are_whitened_in_float32(dtype):
    layer, x = nw.nn.Whitening(6), mixed((64, 6), torch.float32).to(dtype)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y = layer(x)
    assert y.dtype == dtype
    exact, _, _ = oracle(x.double(), 1, "newton", 5, 1e-5)
    assert nw.nn.Whitening(6, dtype=dtype)(x).dtype == dtype
    resolution = torch.finfo(dtype).eps  # the output, of up to about 4, is rounded once
    torch.testing.assert_close(flat(y).double(), torch.from_numpy(exact), rtol=resolution, atol=resolution)


@pytest.mark.parametrize("method", METHODS)
def test_a_group_that_is_not_finite_is_nan_and_keeps_its_statistics(method):
    layer, x = nw.nn.Whitening(4, groups=2, method=method), torch.randn(10, 4)
    x[3, 2] = torch.inf
    y = layer(x)
    assert y[:, :2].isfinite().all()
    assert y[:, 2:].isnan().all()
    assert layer.running_mean[2:].tolist() == [0, 0]
    assert layer.running_cov[1].tolist() == [[1, 0], [0, 1]]
    assert (layer.running_mean[:2] != 0).all()


def test_state_and_copies():
    layer = nw.nn.Whitening(6, groups=2)
    layer(torch.randn(20, 6))
    assert {name: tuple(value.shape) for name, value in layer.state_dict().items()} == {
        "weight": (6,), "bias": (6,), "running_mean": (6,), "running_cov": (2, 3, 3),
    }  # fmt: skip
    other = nw.nn.Whitening(6, groups=2)
    other.load_state_dict(layer.state_dict())
    x = torch.randn(3, 6)
    torch.testing.assert_close(other.eval()(x), layer.eval()(x), rtol=0, atol=0)
    bare = nw.nn.Whitening(6, affine=False, track_running_stats=False)
    assert not bare.state_dict()
    x = mixed((50, 6), torch.float32)
    torch.testing.assert_close(bare.eval()(x), bare.train()(x), rtol=0, atol=0)
    assert repr(layer) == (
        "Whitening(6, groups=2, method='newton', iterations=5, eps=1e-05, momentum=0.1, affine=True, "
        "track_running_stats=True)"
    )


def test_a_recomputed_forward_counts_once():
    once, twice = nw.nn.Whitening(3), nw.nn.Whitening(3)
    x = torch.randn(8, 3, requires_grad=True)
    once(x)
    checkpoint(twice, x, use_reentrant=False).sum().backward()
    torch.testing.assert_close(twice.state_dict(), once.state_dict(), rtol=0, atol=0)


def test_statistics_can_be_suspended():
    layer, x = nw.nn.Whitening(3), torch.randn(8, 3)
    with nw.suspend_statistics(layer):
        y = layer(x)
    assert layer.running_mean.tolist() == [0, 0, 0]
    assert layer.running_cov.tolist() == [torch.eye(3).tolist()]
    assert (y == layer(x)).all()
    assert (layer.running_mean != 0).all()


def test_torch_fx_keeps_it_as_one_module():
    graph = torch.fx.symbolic_trace(nn.Sequential(nn.Linear(4, 6), nw.nn.Whitening(6)))
    assert [node.op for node in graph.graph.nodes].count("call_module") == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"groups": 4}, "groups=4 and num_features=6"),
        ({"groups": 0}, "groups must divide"),
        ({"method": "newtons"}, "did you mean 'newton'"),
        ({"iterations": 0}, "iterations must be 1 or more"),
        ({"iterations": 1.5}, "iterations must be a whole number"),
        ({"eps": 0.0}, "eps must be positive and finite"),
        ({"eps": float("inf")}, "eps must be positive and finite"),
        ({"momentum": 1.5}, "between 0 and 1"),
        ({"momentum": None}, "between 0 and 1"),
    ],
)
def test_what_cannot_be_is_refused(options, message):
    with pytest.raises(InvalidArgumentError, match=message):
        nw.nn.Whitening(6, **options)


@pytest.mark.parametrize(
    ("x", "error", "message"),
    [
        (torch.zeros(1, 6), ShapeError, "more than one value per feature"),
        (torch.zeros(0, 6), ShapeError, "more than one value per feature"),
        (torch.zeros(4, 5), ShapeError, r"\(N, 6\).*got \(4, 5\)"),
        (torch.zeros(6), ShapeError, r"got \(6,\)"),
        (torch.zeros(4, 6, dtype=torch.int64), TensorError, "floating-point"),
    ],
)
def test_a_batch_that_does_not_fit_is_refused_and_changes_nothing(x, error, message):
    layer = nw.nn.Whitening(6)
    with pytest.raises(error, match=message):
        layer(x)
    assert layer.running_mean.tolist() == [0] * 6


def test_an_empty_batch_is_evaluated_and_shapes_are_known_without_numbers():
    assert nw.nn.Whitening(6, groups=2).eval()(torch.zeros(0, 6, 3)).shape == (0, 6, 3)
    assert nw.nn.Whitening(6, device="meta")(torch.zeros(4, 6, device="meta")).shape == (4, 6)


def test_a_second_gradient_of_zca_is_refused():
    x = torch.randn(8, 4, requires_grad=True)
    loss = nw.nn.Whitening(4, method="zca")(x).pow(3).sum()
    with pytest.raises(RuntimeError, match='method="newton"'):
        torch.autograd.grad(loss, x, create_graph=True)
