from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from normwise.probes.inputs import InputMoments
from normwise.probes.tail import tail
from normwise.probes.targets import TargetCounts


def counted(loss, *targets, outputs=2):
    z = nn.Linear(3, outputs).double()(torch.randn(len(targets[0]), 3).double())
    found = TargetCounts(tail(loss(z, targets[0])))
    for each in targets:
        found.add(each)
    return found


REGRESSIONS = {
    "mse": F.mse_loss,
    "mae": F.l1_loss,
    "huber": lambda z, t: F.huber_loss(z, t, delta=0.5),
    "smooth": lambda z, t: F.smooth_l1_loss(z, t, beta=0.3),
    "sum": lambda z, t: F.mse_loss(z, t, reduction="sum"),
    "scaled": lambda z, t: 0.3 * F.mse_loss(z, t),
}


@pytest.mark.parametrize("name", REGRESSIONS)
def test_best_constant_of_numbers_is_what_gradient_descent_finds(name):
    targets = torch.randn(60, 2).double() ** 3 + 1
    loss = REGRESSIONS[name]
    constant = targets.median(0).values.clone().requires_grad_()
    optimizer = torch.optim.LBFGS([constant], max_iter=200, tolerance_grad=1e-12, line_search_fn="strong_wolfe")

    def closure():
        optimizer.zero_grad()
        value = loss(constant.expand_as(targets), targets)
        value.backward()
        return value

    optimizer.step(closure)
    expected = loss(constant.expand_as(targets), targets).item()
    assert counted(loss, targets).constant() == pytest.approx(expected, rel=1e-4)  # the search stops early for mae


def test_best_constant_of_classes_is_their_entropy():
    targets = torch.tensor([0, 0, 1, -100]), torch.tensor([0, 3, 3, 0])
    found = counted(F.cross_entropy, *targets, outputs=4)
    shares = np.array([4, 1, 2]) / 7
    assert found.constant() == pytest.approx(-(shares * np.log(shares)).sum())
    assert found.value() == (3, 0.0, 3.0, pytest.approx(1.0), pytest.approx(math.sqrt(12 / 7)), (2 / 3 + 1 / 2) / 2)
    assert counted(F.cross_entropy, torch.zeros(4, dtype=torch.long)).constant() == 0.0


def test_best_constant_of_labels_and_shares():
    labels = torch.tensor([[0.0, 1], [0, 0], [1, 1], [0, 1]]).double()
    per_label = [-(0.25 * math.log(0.25) + 0.75 * math.log(0.75))] * 2
    assert counted(F.binary_cross_entropy_with_logits, labels).constant() == pytest.approx(np.mean(per_label))
    single = counted(lambda z, t: F.binary_cross_entropy(z.sigmoid(), t), labels[:, :1], outputs=1).value()
    assert (single.classes, single.same) == (2, 0.75)
    assert counted(F.cross_entropy, torch.tensor([[0.5, 0.5], [1, 0]]).double()).constant() == pytest.approx(
        -(0.75 * math.log(0.75) + 0.25 * math.log(0.25))
    )


def test_there_is_no_telling_for_other_losses_and_other_targets():
    assert counted(lambda z, t: z.exp().mean(), torch.ones(4)).constant() is None
    assert counted(lambda z, t: F.mse_loss(z, t) * z.exp().mean(), torch.ones(4, 2).double()).constant() is None
    found = counted(F.mse_loss, torch.ones(4, 2).double())
    found.add({"a": 1})
    found.add(None)
    assert found.constant() == 0.0


def test_inputs_over_batches():
    rng = np.random.default_rng(0)
    x = rng.normal([0, 10, 0, 300], [1, 2, 0, 0.1], (60, 4))
    x[:, 2] = 7
    found = InputMoments()
    for part in np.split(x, 3):
        found.add(((torch.from_numpy(part),), {}))
    value = found.value()
    assert (value.examples, value.features, value.worst, value.constant) == (20, 4, 3, 0.25)
    assert (value.low, value.high) == (x.min(), x.max())
    assert value.mean == pytest.approx(x.mean())
    assert value.std == pytest.approx(x.std())
    std = x.std(0)
    assert value.spread == pytest.approx(std[1] / std[3])
    assert value.largest == pytest.approx(abs(x[:, 3].mean()) / std[3])
    broken = np.vstack([x[:20], [[np.nan, 0, 0, 0], [0, np.inf, 0, 0]]])
    with_broken = InputMoments()
    for part in (broken, x[20:40], x[40:]):
        with_broken.add(((torch.from_numpy(part),), {}))
    assert with_broken.value() == value._replace(examples=22)
    images = InputMoments()
    images.add(((torch.randn(5, 3, 4, 4),), {}))
    assert images.value().features == 3
    assert InputMoments().value() == (0, 0, *[None] * 8)
