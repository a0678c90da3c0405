import numpy as np
import pytest
import torch
from torch.nn import functional as F

from normwise.errors import RequestError
from normwise.lab import metrics
from normwise.lab.objective import Objective, check_loss, check_metric, default_loss
from normwise.lab.settings import Settings


def objective(kind, loss=None, metric=None, scaling=None, outputs=1, own=None):
    named = metrics.default(kind) if metric is None else metrics.named(metric, kind)
    settings = Settings(task=kind, loss=loss or default_loss(kind), metric=named, outputs=outputs)
    return Objective(settings, own, scaling)


@pytest.fixture
def draw():
    return torch.Generator().manual_seed(3)


@pytest.mark.parametrize(
    ("kind", "loss", "expected"),
    [
        ("classification", "cross_entropy", F.cross_entropy),
        ("binary", "bce", F.binary_cross_entropy_with_logits),
        ("regression", "mse", F.mse_loss),
        ("regression", "mae", F.l1_loss),
        ("regression", "huber", F.huber_loss),
    ],
)
def test_a_named_loss_is_torchs(draw, kind, loss, expected):
    outputs = torch.randn(6, 3, generator=draw)
    targets = torch.tensor([0, 2, 1, 1, 0, 2]) if kind == "classification" else torch.rand(6, 3, generator=draw).round()
    assert objective(kind, loss).loss(outputs, targets) == expected(outputs, targets)


def test_labels_of_minus_100_weigh_nothing(draw):
    targets = torch.tensor([[0, 1, -100], [1, -100, -100], [-100, -100, -100]])
    outputs = torch.randn(3, 2, 3, generator=draw)
    made = objective("classification", outputs=2)
    assert [made.weight(row) for row in targets] == [2, 1, 0]
    weighted = sum(float(made.loss(o[None], t[None])) * made.weight(t) for o, t in zip(outputs, targets, strict=True))
    assert weighted / 3 == pytest.approx(F.cross_entropy(outputs, targets).item())


def test_a_function_that_broadcasts_is_refused():
    outputs, targets = torch.arange(4.0, requires_grad=True)[:, None], torch.arange(4.0)
    broken = objective("regression", "net.py:broken", own={"loss": lambda o, t: ((o - t) ** 2).mean()})
    with pytest.raises(
        RequestError, match=r"loss net.py:broken compares every output with every target: it is 2.5 for"
    ):
        check_loss(broken, outputs, targets, "net.py:broken")
    paired = objective("regression", "net.py:paired", own={"loss": lambda o, t: ((o[:, 0] - t) ** 2).mean()})
    check_loss(paired, outputs, targets, "net.py:paired")
    metric = objective("regression", own={"metric": lambda o, t: (o - t).abs().mean()})
    with pytest.raises(RequestError, match="metric r2 compares every output with every target"):
        check_metric(metric, outputs.detach(), targets)


def test_one_output_column_does_not_broadcast_against_targets(draw):
    """(N, 1) against (N,) would be N² differences, the best-known silent error of regressions in torch."""
    targets = torch.randn(6, generator=draw)
    outputs = targets[:, None]
    assert objective("regression").loss(outputs, targets) == 0


def test_the_loss_is_of_scaled_targets_and_the_metric_in_their_own_unit(draw):
    targets = 1000 + 50 * torch.randn(40, 2, generator=draw)
    shift, std = targets.mean(0), targets.std(0, correction=0)
    made = objective("regression", metric="rmse", scaling=(shift.numpy(), (1 / std).numpy()), outputs=2)
    outputs = torch.zeros(40, 2)
    assert made.loss(outputs, targets) == pytest.approx(1.0, rel=1e-5)
    meter = made.meter()
    meter.update(made.in_own_unit(outputs), targets)
    assert meter.value() == pytest.approx(float(((targets - shift) ** 2).mean().sqrt()), rel=1e-5)


def test_outputs_of_a_column_come_back_in_the_unit_of_a_vector_of_targets():
    made = objective("regression", scaling=(np.float32(100.0), np.float32(0.5)))
    assert made.in_own_unit(torch.tensor([[1.0], [2.0]])).tolist() == [[102.0], [104.0]]


def test_outputs_of_a_row_come_back_in_the_shape_of_targets_with_more_axes():
    made = objective("regression", scaling=(np.zeros((2, 3)), np.full((2, 3), 0.5)))
    assert made.in_own_unit(torch.ones(4, 6)).shape == (4, 2, 3)


def test_a_loss_of_ones_own_gets_what_the_network_puts_out():
    seen = []

    def loss(outputs, targets):
        seen.append((outputs, targets))
        return outputs[0].sum()

    pair = (torch.ones(2), torch.zeros(2))
    assert objective("other", "net.py:loss", "loss", own={"loss": loss}).loss(pair, "anything") == 2
    assert seen == [(pair, "anything")]


def broken(outputs, targets):
    raise KeyError("mask")


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        (lambda p, t: (p - t) ** 2, r"returned a tensor of shape \(4,\); it must return a scalar tensor"),
        (lambda p, t: 1.5, r"returned a float; it must return a scalar tensor"),
        (lambda p, t: (p - t).detach().mean(), r"gives no gradient; compute it from the outputs"),
        (lambda p, t: (p.mean() - p.mean()).log(), r"is -inf for finite outputs; check it for log\(0\)"),
        (broken, r"raised KeyError: 'mask'; it is called as loss\(outputs, targets\) with outputs of a tensor of"),
    ],
)
def test_a_loss_that_cannot_be_trained_with_is_refused(loss, message):
    made = objective("regression", "net.py:loss", own={"loss": loss})
    with pytest.raises(RequestError, match=f"loss net.py:loss {message}"):
        check_loss(made, torch.ones(4, requires_grad=True), torch.zeros(4), "net.py:loss")


def test_a_task_of_another_kind_has_no_loss_of_its_own():
    with pytest.raises(RequestError, match=r"give one: --loss FILE.py:function"):
        default_loss("other")
