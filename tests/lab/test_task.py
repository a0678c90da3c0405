import numpy as np
import pytest
import torch

from normwise.errors import RequestError
from normwise.lab.inference import kind_of_loss, kind_of_outputs
from normwise.lab.task import Chance, Task, fits, kind_named
from normwise.records.metric import ACCURACY, Metric

RMSE = Metric("rmse", "RMSE", higher_is_better=False)


@pytest.mark.parametrize(
    ("outputs", "targets", "kind", "classes", "fit"),
    [
        ((4, 3), (4,), "classification", 3, True),
        ((4, 5), (4,), "classification", 3, True),
        ((4, 2), (4,), "classification", 3, False),
        ((4,), (4,), "classification", 1, False),
        ((4, 3, 8, 8), (4, 8, 8), "classification", 3, True),
        ((4, 8, 8, 3), (4, 8, 8), "classification", 3, False),
        ((4, 1), (4,), "binary", 1, True),
        ((4,), (4, 1), "binary", 1, True),
        ((4, 2), (4,), "binary", 1, False),
        ((4, 1, 8, 8), (4, 8, 8), "binary", 1, True),
        ((4, 3), (4, 3), "multilabel", 3, True),
        ((4, 1), (4,), "regression", 1, True),
        ((4, 64), (4, 8, 8), "regression", 64, True),
        ((4, 3), (4,), "regression", 1, False),
        ((1, 4), (4,), "regression", 1, False),
    ],
)
def test_outputs_fit_targets_as_the_task_compares_them(outputs, targets, kind, classes, fit):
    assert fits(outputs, targets, kind, classes) is fit


@pytest.mark.parametrize(
    ("outputs", "y", "kind"),
    [
        ((4, 1), np.array([0, 1, 1, 0]), "binary"),
        ((4,), np.array([0.0, 1.0, 1.0, 0.0]), "binary"),
        ((4, 2), np.array([0, 1, 1, 0]), None),
        ((4, 1), np.array([0, 1, 2, 0]), None),
        ((4, 3), np.eye(4, 3), "multilabel"),
        ((4, 1, 2, 2), np.zeros((4, 2, 2), int), "binary"),
        ((4, 2, 2, 2), np.zeros((4, 2, 2), int), None),
    ],
)
def test_logits_for_targets_of_0_and_1_tell_the_task(outputs, y, kind):
    found = kind_of_outputs(torch.zeros(outputs), y, 4)
    assert (found and found[0]) == kind


def test_a_loss_tells_the_task():
    assert kind_of_loss("cross_entropy", None) == "classification"
    assert {kind_of_loss(name, None) for name in ("mse", "mae", "huber")} == {"regression"}
    assert kind_of_loss("bce", np.zeros((5, 3))) == "multilabel"
    assert kind_of_loss("bce", np.zeros((5, 1))) == kind_of_loss("bce", np.zeros(5)) == "binary"
    assert kind_of_loss("net.py:loss", None) is None


def test_a_task_that_does_not_exist_is_named():
    with pytest.raises(RequestError, match=r"unknown task 'regresion'; did you mean 'regression'\? Allowed: binary"):
        kind_named("regresion")


def test_beyond_chance_is_better_by_more_than_the_margin():
    up = Task("classification", "cross_entropy", ACCURACY, 2, Chance(0.5, 0.1))
    assert [up.beyond_chance(value) for value in (0.4, 0.59, 0.61)] == [False, False, True]
    down = Task("regression", "mse", RMSE, 1, Chance(5.0, 0.5))
    assert [down.beyond_chance(value) for value in (5.5, 4.6, 4.4)] == [False, False, True]
    assert up._replace(chance=None).beyond_chance(0.0)
