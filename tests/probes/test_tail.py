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
    "scaled": (lambda z: F.cross_entropy(z, LABELS) / 4, "cross_entropy", (), None),
    "bce": (lambda z: F.binary_cross_entropy(z.sigmoid(), SHARES), "bce", ("sigmoid",), "mean"),
    "with logits": (lambda z: F.binary_cross_entropy_with_logits(z, SHARES), "bce_with_logits", (), "mean"),
    "mse": (lambda z: F.mse_loss(torch.tanh(F.relu(z)), NUMBERS), "mse", ("relu", "tanh"), "mean"),
    "mse by hand": (lambda z: ((z - NUMBERS) ** 2).mean(), "mse", (), "mean"),
    "sum of squares": (lambda z: (NUMBERS - z).square().sum(), "mse", (), "sum"),
    "mae": (lambda z: F.l1_loss(z, NUMBERS), "mae", (), "mean"),
    "huber": (lambda z: F.huber_loss(z, NUMBERS, delta=2.0), "huber", (), "mean"),
    "with a penalty": (lambda z: F.mse_loss(z, NUMBERS) + 0.1 * z.exp().mean(), "mse", (), "mean"),
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
    assert found.loss == ("mse", ("batch_norm", "softplus"), (4, 2))
    smooth = tail(F.smooth_l1_loss(nn.Linear(5, 3)(torch.randn(4, 5)), NUMBERS, beta=0.25))
    assert (smooth.delta, smooth.factor) == (0.25, 4.0)
