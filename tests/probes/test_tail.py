from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from normwise.probes.tail import tail

LABELS, NUMBERS, SHARES = torch.tensor([0, 1, 2, 1]), torch.randn(4, 3), torch.rand(4, 3)

CASES = {
    "cross_entropy": (lambda z: F.cross_entropy(z, LABELS), "cross_entropy", (), "mean"),
    "softmax before": (lambda z: F.cross_entropy(z.softmax(1), LABELS), "cross_entropy", ("softmax",), "mean"),
    "relu before": (lambda z: F.cross_entropy(F.relu(z), LABELS), "cross_entropy", ("relu",), "mean"),
    "log-softmax twice": (
        lambda z: F.cross_entropy(z.log_softmax(1), LABELS),
        "cross_entropy",
        ("log_softmax",),
        "mean",
    ),
    "nll of log-softmax": (lambda z: F.nll_loss(z.log_softmax(1), LABELS), "cross_entropy", (), "mean"),
    "nll of probabilities": (lambda z: F.nll_loss(z.softmax(1), LABELS), "nll", ("softmax",), "mean"),
    "smoothed": (lambda z: F.cross_entropy(z, LABELS, label_smoothing=0.1), "cross_entropy", (), "mean"),
    "of shares": (lambda z: F.cross_entropy(z, SHARES), "cross_entropy", (), "mean"),
    "weighted": (lambda z: F.cross_entropy(z, LABELS, weight=torch.ones(3)), "cross_entropy", (), None),
    "summed": (lambda z: F.cross_entropy(z, LABELS, reduction="sum"), "cross_entropy", (), "sum"),
    "bce": (lambda z: F.binary_cross_entropy(z.sigmoid(), SHARES), "bce", ("sigmoid",), "mean"),
    "with logits": (lambda z: F.binary_cross_entropy_with_logits(z, SHARES), "bce_with_logits", (), "mean"),
    "mse": (lambda z: F.mse_loss(torch.tanh(F.relu(z)), NUMBERS), "mse", ("relu", "tanh"), "mean"),
    "mse by hand": (lambda z: ((z - NUMBERS) ** 2).mean(), "mse", (), "mean"),
    "sum of squares": (lambda z: (NUMBERS - z).square().sum(), "mse", (), "sum"),
    "mae": (lambda z: F.l1_loss(z, NUMBERS), "mae", (), "mean"),
    "huber": (lambda z: F.huber_loss(z, NUMBERS, delta=2.0), "huber", (), "mean"),
    "with a penalty": (lambda z: F.mse_loss(z, NUMBERS) + 0.1 * z.exp().mean(), "mse", (), None),
    "two losses": (lambda z: F.mse_loss(z, NUMBERS) + F.cross_entropy(z.relu(), LABELS), "other", (), None),
    "unknown": (lambda z: z.exp().mean(), "other", (), None),
}


@pytest.mark.parametrize("backward", [False, True])
@pytest.mark.parametrize("name", CASES)
def test_kind_and_last_functions(name, backward):
    function, kind, last, reduction = CASES[name]
    loss = function(nn.Linear(5, 3)(torch.randn(4, 5)))
    if backward:
        loss.backward()
    found = tail(loss)
    assert (found.loss.kind, found.loss.last, found.reduction) == (kind, last, reduction)
    assert found.loss.outputs == (None if kind == "other" else (4, 3))


def test_reshapes_and_normalization_between():
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Softplus())
    found = tail(F.mse_loss(net(torch.randn(4, 1, 3, 3)).squeeze(), NUMBERS[:, :2]))
    assert found.loss == ("mse", ("batch_norm", "softplus"), (4, 2), 1.0, None)
    smooth = tail(F.smooth_l1_loss(nn.Linear(5, 3)(torch.randn(4, 5)), NUMBERS, beta=0.25))
    assert (smooth.delta, smooth.factor) == (0.25, 4.0)


SCALED = {
    "divided": (lambda z: F.cross_entropy(z, LABELS) / 4, 0.25, "mean"),
    "twice": (lambda z: 0.5 * F.cross_entropy(z, LABELS) / torch.tensor(4.0), 0.125, "mean"),
    "smoothed": (lambda z: F.cross_entropy(z, LABELS, label_smoothing=0.1) * 3, 3.0, "mean"),
    "of shares": (lambda z: F.cross_entropy(z, SHARES) / 4, 0.25, "mean"),
    "of shares, by hand": (lambda z: -(SHARES * z.log_softmax(1)).sum(1).mean() / 2, 0.5, "mean"),
    "a sum over its examples": (lambda z: F.cross_entropy(z, LABELS, reduction="sum") / 4, 0.25, "sum"),
    "within the mean": (lambda z: (0.5 * (z - NUMBERS) ** 2).mean(), 0.5, "mean"),
    "of weighted classes": (lambda z: F.cross_entropy(z, LABELS, weight=torch.ones(3)) * 2, 2.0, None),
    "weighted": (lambda z: (SHARES * (z - NUMBERS) ** 2).mean(), None, None),
    "by what is learned": (lambda z: F.mse_loss(z, NUMBERS) * z.exp().mean(), None, None),
    "and other terms": (lambda z: F.mse_loss(z, NUMBERS) + 0.1 * z.square().mean(), None, None),
    "moved": (lambda z: 1 - F.mse_loss(z, NUMBERS), None, None),
}


@pytest.mark.parametrize("name", SCALED)
def test_what_a_loss_is_multiplied_by(name):
    function, scale, reduction = SCALED[name]
    loss = function(nn.Linear(5, 3)(torch.randn(4, 5)))
    found = tail(loss)
    assert (found.loss.scale, found.reduction) == (None if scale is None else pytest.approx(scale), reduction)


def test_a_backward_frees_what_a_loss_is_multiplied_by():
    loss = F.cross_entropy(nn.Linear(5, 3)(torch.randn(4, 5)), LABELS) / 4
    loss.backward()
    found = tail(loss)
    assert (found.loss.kind, found.loss.scale, found.reduction) == ("cross_entropy", None, None)


@pytest.mark.filterwarnings("ignore:Using a target size")
@pytest.mark.parametrize(
    "function",
    [F.mse_loss, F.l1_loss, F.huber_loss, lambda z, y: ((z - y) ** 2).mean(), lambda z, y: (y - z).abs().mean()],
)
def test_a_column_compared_with_a_row(function):
    z = nn.Linear(5, 1)(torch.randn(6, 5))
    found = tail(function(z, torch.randn(6)))
    assert (found.loss.outputs, found.loss.compared) == ((6, 1), (6, 6))
    assert tail(function(z, torch.randn(6, 1))).loss.compared is None
    assert tail(function(z[:, 0], torch.randn(6))).loss.compared is None
