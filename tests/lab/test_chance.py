import numpy as np
import pytest
import torch
from torch.nn import functional as F

from normwise.lab import metrics
from normwise.lab.chance import chance
from normwise.lab.objective import score
from normwise.records.metric import LOSS


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
