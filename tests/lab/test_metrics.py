"""Metrics against scikit-learn, on batches of uneven size."""

import numpy as np
import pytest
import torch
from sklearn import metrics as sk

from normwise.errors import RequestError
from normwise.lab import meters, metrics


def measured(kind, name, outputs, targets, count=None):
    meter = meters.meter(kind, metrics.named(name, kind), count)
    for start, stop in ((0, 7), (7, 8), (8, len(targets))):
        if start < min(stop, len(targets)):
            meter.update(outputs[start:stop], targets[start:stop])
    return meter.value()


@pytest.fixture
def draw():
    return torch.Generator().manual_seed(3)


def test_classification_as_in_scikit_learn(draw):
    targets = torch.tensor([0, 0, 0, 0, 1, 1, 2] * 12)
    outputs = torch.randn(84, 3, generator=draw) + 2 * torch.nn.functional.one_hot(targets, 3)
    said, probability = outputs.argmax(1), outputs.softmax(1)
    expected = {
        "accuracy": sk.accuracy_score(targets, said),
        "balanced_accuracy": sk.balanced_accuracy_score(targets, said),
        "f1": sk.f1_score(targets, said, average="macro"),
        "precision": sk.precision_score(targets, said, average="macro"),
        "recall": sk.recall_score(targets, said, average="macro"),
        "iou": sk.jaccard_score(targets, said, average="macro"),
        "kappa": sk.cohen_kappa_score(targets, said),
        "mcc": sk.matthews_corrcoef(targets, said),
        "auroc": sk.roc_auc_score(targets, probability, multi_class="ovr", average="macro"),
    }
    for name, value in expected.items():
        assert measured("classification", name, outputs, targets, 3) == pytest.approx(value, abs=1e-6), name


def test_a_class_label_of_minus_100_counts_nowhere(draw):
    targets = torch.tensor([0, 1, 2, -100, -100, 1, 0, 2, 1, -100])
    outputs = torch.randn(10, 3, generator=draw)
    counted = targets != -100
    for name in ("accuracy", "f1"):
        whole = measured("classification", name, outputs, targets, 3)
        assert whole == pytest.approx(measured("classification", name, outputs[counted], targets[counted], 3))


@pytest.mark.parametrize("shape", [(60,), (60, 1)])
def test_one_logit_as_in_scikit_learn(draw, shape):
    targets = (torch.rand(60, generator=draw) < 0.3).float()
    logits = torch.randn(60, generator=draw) + targets
    said = logits > 0
    expected = {
        "accuracy": sk.accuracy_score(targets, said),
        "f1": sk.f1_score(targets, said),
        "precision": sk.precision_score(targets, said),
        "specificity": sk.recall_score(targets, said, pos_label=0),
        "auroc": sk.roc_auc_score(targets, logits),
        "average_precision": sk.average_precision_score(targets, logits),
        "kappa": sk.cohen_kappa_score(targets, said),
    }
    for name, value in expected.items():
        assert measured("binary", name, logits.reshape(shape), targets) == pytest.approx(value, abs=1e-6), name


def test_labels_that_do_not_exclude_each_other_as_in_scikit_learn(draw):
    targets = (torch.rand(60, 4, generator=draw) < 0.4).float()
    logits = torch.randn(60, 4, generator=draw) + targets
    expected = {
        "accuracy": ((logits > 0) == (targets > 0.5)).float().mean(),
        "f1": sk.f1_score(targets, logits > 0, average="macro"),
        "auroc": sk.roc_auc_score(targets, logits, average="macro"),
        "mcc": sk.matthews_corrcoef(targets.ravel(), (logits > 0).ravel()),
    }
    for name, value in expected.items():
        assert measured("multilabel", name, logits, targets, 4) == pytest.approx(float(value), abs=1e-6), name


def test_sequences_of_different_lengths_are_one_column(draw):
    batches = [torch.randn(5, length, generator=draw) + length for length in (3, 7, 2)]
    meter = meters.meter("regression", metrics.named("r2", "regression"), 1)
    for targets in batches:
        meter.update(targets.unsqueeze(2) + 0.3, targets)
    whole = torch.cat([each.reshape(-1) for each in batches]).double()
    assert meter.value() == pytest.approx(sk.r2_score(whole, whole + 0.3), rel=1e-6)


@pytest.mark.parametrize("name", ["auroc", "average_precision"])
def test_a_class_without_an_example_is_left_out_of_a_ranking(draw, name):
    assert np.isnan(measured("binary", name, torch.randn(9, generator=draw), torch.zeros(9)))
    labels = torch.tensor([0, 1, 1, 0, 1, 0, 1, 1, 0])
    outputs = torch.randn(9, 3, generator=draw)
    probability = outputs.softmax(1)
    score = {"auroc": sk.roc_auc_score, "average_precision": sk.average_precision_score}[name]
    expected = np.mean([score(labels == label, probability[:, label]) for label in (0, 1)])
    assert measured("classification", name, outputs, labels, 3) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("columns", [1, 3])
def test_regression_as_in_scikit_learn(draw, columns):
    targets = 1e4 + torch.randn(60, columns, generator=draw)
    outputs = targets + 0.3 * torch.randn(60, columns, generator=draw)
    y, p = targets.double(), outputs.double()
    expected = {
        "r2": sk.r2_score(y, p),
        "mse": sk.mean_squared_error(y, p),
        "rmse": sk.mean_squared_error(y, p) ** 0.5,
        "mae": sk.mean_absolute_error(y, p),
        "explained_variance": sk.explained_variance_score(y, p),
    }
    for name, value in expected.items():
        assert measured("regression", name, outputs, targets, columns) == pytest.approx(value, rel=1e-9), name


def test_one_output_column_is_compared_with_targets_without_that_axis(draw):
    targets = torch.randn(60, generator=draw)
    outputs = targets[:, None] + 0.1
    assert measured("regression", "mae", outputs, targets) == pytest.approx(0.1, rel=1e-5)


def test_every_row_of_the_table_says_the_direction_that_the_library_says():
    for row in metrics._ROWS:
        if row.library:
            meter = meters._Library(row.kinds[0], row.library, 3)
            meter._make()
            found = meter._metric.higher_is_better
            assert found is None or found == row.metric.higher_is_better, row.metric.name


def test_every_metric_of_the_table_is_computed_for_every_task_that_it_judges(draw):
    labels = torch.tensor([0, 1, 2, 1, 0, 2] * 4)
    cases = {
        "classification": (torch.randn(24, 3, generator=draw), labels, 3),
        "binary": (torch.randn(24, generator=draw), (labels > 0).float(), 1),
        "multilabel": (torch.randn(24, 2, generator=draw), torch.stack([labels > 0, labels > 1], 1).float(), 2),
        "regression": (torch.randn(24, 2, generator=draw), torch.randn(24, 2, generator=draw), 2),
    }
    for row in metrics._ROWS:
        for kind in row.kinds:
            assert np.isfinite(measured(kind, row.metric.name, *cases[kind])), (row.metric.name, kind)


def test_a_metric_of_ones_own_sees_all_outputs_at_once():
    def largest(outputs, targets):
        assert len(outputs) == 12
        return (outputs - targets).abs().max()

    meter = meters.meter("regression", metrics.Metric("largest", "largest"), 1, largest)
    for rows in torch.arange(12.0).split(5):
        meter.update(rows + 0.5, rows)
    assert meter.value() == 0.5


def test_a_metric_of_ones_own_that_raises_is_named():
    def broken(outputs, targets):
        raise IndexError("no such column")

    meter = meters.meter("regression", metrics.Metric("net.py:broken", "broken"), 1, broken)
    meter.update(torch.ones(3), torch.ones(3))
    with pytest.raises(RequestError, match=r"metric net.py:broken raised IndexError: no such column; it is called as"):
        meter.value()


@pytest.mark.parametrize(
    ("name", "kind", "message"),
    [
        ("acuracy", "classification", "did you mean 'accuracy'"),
        ("r2", "classification", "metric 'r2' does not judge a task of kind classification; allowed: accuracy"),
        ("f1", "regression", "metric 'f1' does not judge a task of kind regression; allowed: r2"),
    ],
)
def test_a_metric_that_does_not_fit_is_refused(name, kind, message):
    with pytest.raises(RequestError, match=message):
        metrics.named(name, kind)
