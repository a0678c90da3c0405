import numpy as np
import pytest
from safetensors.numpy import save_file
from scipy.special import expit, logit, softmax

from normwise.lab.ensemble import Ensemble, average, ensemble
from normwise.lab.task import Task
from normwise.records.metric import ACCURACY, LOSS, Metric
from normwise.records.run import PREDICTIONS


@pytest.mark.parametrize("shape", [(7, 3), (2, 3, 4, 4)])
def test_probabilities_of_classes_are_averaged_along_their_axis(shape):
    runs = np.random.default_rng(0).normal(0, 3, (3, *shape))
    expected = np.mean([softmax(each, axis=1) for each in runs], axis=0)
    assert np.exp(average("classification", runs)) == pytest.approx(expected)


@pytest.mark.parametrize("kind", ["binary", "multilabel"])
def test_probabilities_of_labels_are_averaged_each_for_itself(kind):
    runs = np.random.default_rng(0).normal(0, 3, (3, 5, 2))
    assert average(kind, runs) == pytest.approx(logit(expit(runs).mean(0)))


def test_outputs_of_a_regression_are_averaged():
    assert average("regression", [np.array([1.0, 2.0]), np.array([3.0, 6.0])]) == pytest.approx([2.0, 4.0])


@pytest.mark.parametrize("kind", ["classification", "binary"])
def test_sure_and_wrong_networks_give_finite_outputs(kind):
    sure = np.array([[1000.0, -1000.0]], dtype=np.float32)
    assert np.isfinite(average(kind, [sure, sure])).all()


def kept(folder, outputs, targets):
    folder.mkdir()
    outputs, targets = np.array(outputs, dtype=np.float32), np.array(targets)
    save_file({"outputs": outputs, "targets": targets}, folder / PREDICTIONS)
    return folder


CLASSES = Task("classification", "cross_entropy", ACCURACY, 2)


def three(tmp_path, targets=(0, 1)):
    """Two networks that are right about the first example and sure of it, and unsure and wrong of the second."""
    return [
        kept(tmp_path / "a", [[5.0, 0.0], [0.1, 0.0]], targets),
        kept(tmp_path / "b", [[0.0, 0.1], [0.0, 9.0]], targets),
        kept(tmp_path / "c", [[5.0, 0.0], [0.1, 0.0]], targets),
    ]


def test_an_ensemble_is_scored_by_the_task_s_metric(tmp_path):
    assert ensemble(three(tmp_path), CLASSES) == Ensemble(1.0, 3)
    r2 = Task("regression", "mse", Metric("r2", "R²"), 1)
    pair = [kept(tmp_path / name, [1.0 + d, 2.0, 3.0 - d], [1.0, 2.0, 3.0]) for name, d in (("d", 0.5), ("e", -0.5))]
    assert ensemble(pair, r2).value == pytest.approx(1.0)


def test_an_ensemble_is_scored_by_the_user_s_metric(tmp_path):
    own = CLASSES._replace(metric=Metric("net.py:largest", "largest"))
    found = ensemble(three(tmp_path), own, lambda outputs, targets: float(outputs.exp().sum() + targets.sum()))
    assert found.value == pytest.approx(3.0)


def test_there_is_none_below_two_runs_or_of_runs_that_cannot_be_averaged(tmp_path):
    a, b, _ = three(tmp_path)
    assert ensemble([a, tmp_path / "nothing"], CLASSES) is None
    assert ensemble([a, b], CLASSES._replace(kind="other")) is None
    assert ensemble([a, b], CLASSES._replace(metric=LOSS)) is None
    assert ensemble([a, kept(tmp_path / "d", [[0.0, 1.0]], [0])], CLASSES) is None
    assert ensemble([a, kept(tmp_path / "e", [[0.0, 1.0], [1.0, 0.0]], [1, 0])], CLASSES) is None
