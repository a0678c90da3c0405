"""Recording a run of the lab leaves it as it is."""

from dataclasses import replace

import numpy as np
import pytest

from lab.made import small
from normwise.lab.job import Job
from normwise.lab.plan import plan
from normwise.lab.train import train
from normwise.lab.watching import renamed
from normwise.probes.watched_json import from_dict
from normwise.records import RunRecord
from normwise.records.run import BEST, METRICS, WATCHED


def run(directory, watch, arm="bn, dropout=0.3", **options):
    planned = small(directory, arm, **options)
    job = replace(planned.runs[0].job, watch=watch, seconds_between_checkpoints=0.0)
    train(job, planned.data)
    return job


def watched(job: Job):
    return from_dict(RunRecord.read(job.directory, arm="bn").watched)


def test_a_watched_run_is_the_same_run(tmp_path):
    plain, seen = run(tmp_path / "plain", None), run(tmp_path / "watched", 8)
    for name in (METRICS, BEST):
        assert (plain.directory / name).read_bytes() == (seen.directory / name).read_bytes()
    assert not (plain.directory / WATCHED).exists()
    found = watched(seen)
    assert [each.step for each in found.observations] == [1, 2, 4, 8, 16, 24, 32, 40]
    assert len(found.losses) == found.steps == 40
    assert found.constant == pytest.approx(np.log(10), rel=0.01)  # as many digits of each class
    assert found.loss.kind == "cross_entropy"
    assert [each.layer for each in found.observations[-1].weights] == ["linear1", "linear2", "linear3", "output"]
    assert [each.layer for each in found.observations[-1].norms] == ["norm1", "norm2", "norm3"]
    assert (found.evaluating, found.kept_gradients, found.not_finite, found.checked) == ((), False, None, True)


def test_a_watched_run_begins_anew(tmp_path):
    planned = small(tmp_path, "bn")
    job = replace(planned.runs[0].job, watch=8, seconds_between_checkpoints=0.0)

    class KilledError(Exception):
        pass

    def kill(step):
        if step == 20:
            raise KilledError

    with pytest.raises(KilledError):
        train(job, planned.data, kill)
    assert not (job.directory / WATCHED).exists()
    train(job, planned.data)
    assert watched(job).observations[0].step == 1
    assert watched(job).steps == 40


def test_targets_are_those_that_the_loss_is_given(tmp_path):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 3)).astype(np.float32)
    y = (1000 + 300 * X.sum(1)).astype(np.float32)
    parts = ((X[:120], y[:120]), (X[120:160], y[120:160]), (X[160:], y[160:]))
    options = {"steps": 30, "seeds": 1, "batch_size": 40, "eval_every": 10}
    planned = plan(("plain, targets=standard",), lambda: parts, {**options, "out": tmp_path})
    job = replace(planned.runs[0].job, watch=8)
    train(job, planned.data)
    found = watched(job)
    assert found.loss.kind == "mse"
    assert found.targets.mean == pytest.approx(0, abs=0.1)
    assert found.targets.std == pytest.approx(1, abs=0.1)
    assert found.constant == pytest.approx(1, abs=0.2)


def test_a_network_that_starts_without_a_finite_loss_is_recorded_once(tmp_path):
    data = tuple((np.full((20, 3), np.float32(3e38)), np.arange(20) % 2) for _ in range(3))
    planned = plan(
        ("plain, activation=relu",),
        lambda: data,
        {"steps": 30, "seeds": 1, "batch_size": 10, "inputs": "raw", "out": tmp_path},
    )
    job = replace(planned.runs[0].job, watch=8)
    train(job, planned.data)
    assert RunRecord.read(job.directory, arm="plain").done["status"] == "diverged"
    found = watched(job)
    assert (found.steps, found.not_finite.what) == (1, "activation")


def test_names_are_those_of_the_network_as_it_was_given():
    names = {"1": "0", "block.relu_2": "relu"}
    assert renamed("1.relu#2", names) == "0.relu#2"
    assert renamed("block.relu_2#3", names) == "relu#3"
    assert renamed("relu", names) == "relu"
