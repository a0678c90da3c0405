"""What is found to be learned, and what is refused, before anything is started."""

import numpy as np
import pytest
import torch
from torch import nn

from normwise.errors import RequestError
from normwise.lab.check import check
from normwise.lab.plan import plan

DRAW = np.random.default_rng(0)
X = DRAW.normal(size=(90, 3)).astype(np.float32)
CLASSES = np.arange(90) % 3


def data(y, inputs=X):
    return lambda: ((inputs[:60], y[:60]), (inputs[60:], y[60:]))


def network(outputs, last=None):
    return lambda: nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, outputs), *([] if last is None else [last]))


def planned(y, **options):
    return plan(("plain",), data(y), {"batch_size": 20, "steps": 5, "seeds": 1, **options})


def checked(y, **options):
    found = planned(y, **options)
    run = found.runs[0]
    return check(run.arm, run.job.settings, run.job.own, found.data, found.task)


def embedded(outputs, targets):
    return outputs.square().mean()


@pytest.mark.parametrize(
    ("y", "options", "expected"),
    [
        (CLASSES, {}, ("classification", "cross_entropy", "accuracy", 3)),
        (CLASSES.astype(str), {}, ("classification", "cross_entropy", "accuracy", 3)),
        (CLASSES.astype(float), {"task": "classification"}, ("classification", "cross_entropy", "accuracy", 3)),
        (CLASSES.astype(float), {"loss": "cross_entropy"}, ("classification", "cross_entropy", "accuracy", 3)),
        (CLASSES.astype(float), {}, ("regression", "mse", "r2", 1)),
        (X[:, :2], {}, ("regression", "mse", "r2", 2)),
        (X[:, 0], {"loss": "huber", "metric": "mae"}, ("regression", "huber", "mae", 1)),
        (CLASSES, {"task": "regression", "loss": "mse"}, ("regression", "mse", "r2", 1)),
        (CLASSES % 2, {}, ("classification", "cross_entropy", "accuracy", 2)),
        (CLASSES % 2, {"model": network(1)}, ("binary", "bce", "accuracy", 1)),
        (CLASSES % 2, {"model": network(2)}, ("classification", "cross_entropy", "accuracy", 2)),
        (CLASSES % 2, {"loss": "bce"}, ("binary", "bce", "accuracy", 1)),
        ((X > 0).astype(int), {"model": network(3)}, ("multilabel", "bce", "accuracy", 3)),
        (X[:, 0], {"model": network(7), "loss": embedded}, ("other", "test_inference:embedded", "loss", 1)),
    ],
)
def test_the_task_is_what_was_asked_what_the_network_puts_out_or_what_the_targets_are(y, options, expected):
    task = planned(y, **options).task
    found = (task.kind, task.loss.rpartition(".")[2], task.metric.name, task.outputs)
    assert found == (expected[0], expected[1].rpartition(".")[2], *expected[2:])


def test_a_regression_has_a_default_rate_of_its_own():
    rates = [planned(y).runs[0].job.settings.lr for y in (CLASSES, X[:, 0])]
    assert rates == [0.2, 0.02]


def test_a_metric_of_ones_own_says_which_way_is_better():
    def distance(outputs, targets):
        return (outputs - targets).abs().max()

    distance.higher_is_better = False
    metric = planned(X[:, 0], metric=distance).task.metric
    assert (metric.label, metric.higher_is_better) == ("distance", False)


@pytest.mark.parametrize(
    ("y", "options", "said"),
    [
        (CLASSES, {"loss": "mse"}, "loss 'mse' is for numbers, and the targets of .* are classes"),
        (
            X[:, 0],
            {"loss": "cross_entropy"},
            "loss 'cross_entropy' is for classes, .* are numbers: the",
        ),
        (CLASSES, {"task": "multilabel"}, "a column for each label"),
        (CLASSES, {"loss": "mse", "task": "classification"}, "loss 'mse' is not for a task of kind classification"),
        (CLASSES, {"targets": "standard"}, "targets=standard scales the targets of a regression"),
        (CLASSES, {"baseline": "bn"}, "unknown baseline 'bn'. Allowed: plain"),
        (X[:, 0], {"task": "other"}, "has no loss of its own; give one: --loss"),
    ],
)
def test_what_does_not_go_together_is_refused(y, options, said):
    with pytest.raises(RequestError, match=said):
        planned(y, **options)


@pytest.mark.parametrize(
    ("y", "options", "said"),
    [
        (CLASSES, {"model": network(2)}, r"returned shape \(8, 2\).*for classification it must return logits of shape"),
        (X[:, 0], {"model": network(2)}, r"returned shape \(8, 2\).*for a regression it must return one number per"),
        (CLASSES % 2, {"model": network(2), "task": "binary"}, "for a binary task it must return one logit per target"),
        (
            X > 0,
            {"model": network(2), "task": "multilabel"},
            "for a multilabel task it must return one logit per label",
        ),
        (X, {"model": lambda: nn.Flatten()}, "there is nothing to train"),
    ],
)
def test_a_network_that_does_not_fit_the_task_is_refused_in_the_task_s_words(y, options, said):
    with pytest.raises(RequestError, match=said):
        checked(y, **options)


def test_inputs_that_are_integers_are_named():
    found = plan(("plain",), data(CLASSES, np.arange(270).reshape(90, 3)), {"model": network(3), "steps": 5})
    job = found.runs[0].job
    with pytest.raises(RequestError, match=r"the inputs are integers, as for an embedding: .* return X.float\(\)"):
        check("plain", job.settings, job.own, found.data, found.task)


@pytest.mark.parametrize(
    ("y", "model", "said"),
    [
        (CLASSES, network(3, nn.Softmax(1)), "leave its last softmax out"),
        (CLASSES % 2, network(1, nn.Sigmoid()), "leave its last sigmoid out"),
        (CLASSES, network(3, nn.LogSoftmax(1)), None),  # cross_entropy of these is that of the logits
        (X[:, 0] > 0, network(1, nn.Hardtanh(0.4, 0.6)), None),  # between 0 and 1, and no probabilities
    ],
)
def test_outputs_that_are_probabilities_are_remarked_on(y, model, said):
    notes = [note for note in checked(y, model=model) if "probabilities" in note]
    assert len(notes) == (said is not None)
    assert said is None or said in notes[0]
    assert said is None or notes[0].endswith(" or give output=linear")


def test_a_network_whose_outputs_are_not_finite_is_no_wrong_request():
    class Endless(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(3, 3)

        def forward(self, x):
            return self.linear(x) / torch.zeros(())

    assert checked(CLASSES, model=Endless) == []


def test_a_network_that_changes_its_inputs_is_refused():
    class InPlace(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(3, 3)

        def forward(self, x):
            return self.linear(x.clamp_(min=0))

    with pytest.raises(RequestError, match="changes its inputs in place"):
        checked(CLASSES, model=InPlace)
