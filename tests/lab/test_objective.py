import numpy as np
import pytest
import torch
from torch.nn import functional as F

from normwise.errors import RequestError
from normwise.lab import metrics
from normwise.lab.objective import Objective, chance, check_loss, check_metric, default_loss, score
from normwise.lab.settings import Settings
from normwise.records.metric import LOSS


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


def guess(kind, name, y, outputs):
    return chance(kind, metrics.named(name, kind), y, outputs, None)


def test_chance_is_the_commonest_class_with_its_standard_error():
    found = guess("classification", "accuracy", np.array([0] * 60 + [1] * 40), 2)
    assert found.value == pytest.approx(0.6)
    assert found.margin == pytest.approx(2 * (0.6 * 0.4 / 100) ** 0.5)


def test_the_margin_of_labels_per_position_is_that_of_a_mean_over_examples():
    """Pixels of one image are no examples of their own, and one image is more than one label."""
    draw = np.random.default_rng(0)
    shares = draw.uniform(0.1, 0.3, 60)
    y = np.array([[pixel < 100 * share for pixel in range(100)] for share in shares]).astype(np.int64)
    found = guess("classification", "accuracy", y, 2)
    assert found.value == pytest.approx(1 - y.mean())
    assert found.margin == pytest.approx(2 * y.mean(1).std() / 60**0.5)


def test_chance_of_a_regression_is_the_mean_and_the_median():
    y = np.random.default_rng(0).exponential(size=400).astype(np.float32)
    assert guess("regression", "r2", y, 1).value == pytest.approx(0, abs=1e-6)
    assert guess("regression", "rmse", y, 1).value == pytest.approx(y.std(), rel=1e-5)
    assert guess("regression", "mae", y, 1).value == pytest.approx(np.abs(y - np.median(y)).mean(), rel=1e-3)


def test_chance_of_an_imbalanced_f1_is_that_of_guessing_and_not_0():
    y = (np.arange(500) < 50).astype(np.float32)
    found = guess("binary", "f1", y, 1)
    assert found.value == pytest.approx(
        score("binary", metrics.named("f1", "binary"), torch.ones(500), torch.tensor(y))
    )
    assert found.value > 0.15


@pytest.mark.parametrize(("kind", "name"), [("classification", "f1"), ("regression", "r2"), ("binary", "auroc")])
def test_predictions_that_know_nothing_are_within_the_margin(kind, name):
    """Of 40 random predictors at most a few are beyond two standard errors."""
    draw = np.random.default_rng(1)
    y = draw.integers(0, 2, 300)
    targets = y if kind == "classification" else y.astype(np.float32)
    found, metric = guess(kind, name, targets, 2), metrics.named(name, kind)
    beyond = 0
    for _ in range(40):
        if kind == "regression":
            noise = torch.tensor(draw.normal(size=300), dtype=torch.float32)
            outputs = torch.tensor(targets).mean() + 0.03 * noise
        else:
            outputs = torch.tensor(draw.normal(size=(300, 2) if kind == "classification" else 300))
        beyond += (
            metric.score(score(kind, metric, outputs, torch.tensor(targets))) > metric.score(found.value) + found.margin
        )
    assert beyond <= 4


def test_chance_of_a_cross_entropy_is_the_entropy_of_the_targets():
    y = np.array([0] * 60 + [1] * 30 + [2] * 10)
    found = chance("classification", LOSS, y, 3, loss="cross_entropy")
    logits = torch.tensor([0.6, 0.3, 0.1]).log().expand(100, 3)
    assert found.value == pytest.approx(F.cross_entropy(logits, torch.tensor(y)).item())
    labels = np.array([[1, 0], [1, 1], [0, 0], [1, 0]], dtype=np.float32)
    found = chance("multilabel", LOSS, labels, 2, loss="bce")
    logits = torch.logit(torch.tensor(labels).mean(0)).expand(4, 2)
    assert found.value == pytest.approx(F.binary_cross_entropy_with_logits(logits, torch.tensor(labels)).item())


def test_there_is_no_telling_what_guessing_scores_by_a_loss_of_ones_own():
    assert chance("other", LOSS, np.zeros(5), None) is None
    assert chance("regression", LOSS, np.zeros(5), 1, loss="mse") is None
