import math

import pytest
import torch
from torch import nn

from lab.studies import small
from normwise.lab import checkpoint, networks
from normwise.lab.train import train
from normwise.records import RunRecord
from normwise.records.run import METRICS

EVERY_KIND_OF_STATE = "bn, dropout=0.3, optimizer=momentum, lr=0.05, schedule=exponential:0.99"


class KilledError(Exception):
    pass


def job(out, arm="bn", **options):
    planned = small(out, arm, **options)
    return planned.runs[0].job._replace(seconds_between_checkpoints=0.0), planned.data


def train_killed_at(step, run, data):
    def kill(made):
        if made >= step:
            raise KilledError

    with pytest.raises(KilledError):
        train(run, data, kill)


def metrics(run):
    return (run.directory / METRICS).read_bytes()


def record(run):
    return RunRecord.read(run.directory, arm="bn")


def test_a_run_is_recorded_from_the_start_to_the_last_step(tmp_path):
    run, data = job(tmp_path)
    steps = []
    train(run, data, steps.append)
    found = record(run)
    assert [line["step"] for line in found.metrics] == [0, 10, 20, 30, 40]
    assert steps == [10, 20, 30, 40]
    assert found.done == {"status": "finished", "step": 40, "reason": None}
    first, last = found.metrics[0], found.metrics[-1]
    assert first["batch_loss"] is None
    assert first["updates"] == []
    assert last["train"]["loss"] < first["train"]["loss"]
    assert [entry["layer"] for entry in last["gradients"]] == ["linear1", "linear2", "linear3", "output"]
    assert [entry["layer"] for entry in last["preactivations"]] == ["activation1", "activation2", "activation3"]
    assert all(entry["norm"] > 0 for entry in last["updates"])


def test_the_recorded_accuracy_is_that_of_the_saved_weights(tmp_path):
    run, data = job(tmp_path)
    train(run, data)
    network = networks.build(run.settings, data.example_shape, data.classes)
    tensors = checkpoint.load(run.directory)
    network.load_state_dict(
        {name.removeprefix("weights."): value for name, value in tensors.items() if "weights." in name}
    )
    network.eval()
    outputs = network(torch.from_numpy(data.test.X).float() / 16)
    right = (outputs.argmax(1) == torch.from_numpy(data.test.y)).float().mean().item()
    assert record(run).metrics[-1]["test"]["accuracy"] == pytest.approx(right, abs=1e-6)  # float32 division


@pytest.mark.parametrize("arm", ["plain", EVERY_KIND_OF_STATE, "bn, optimizer=adam, lr=0.01", "bn, optimizer=adagrad"])
@pytest.mark.parametrize("step", [10, 30])
def test_a_run_that_was_killed_ends_with_the_same_bytes(tmp_path, arm, step):
    whole, data = job(tmp_path / "whole", arm)
    train(whole, data)
    killed, _ = job(tmp_path / "killed", arm)
    train_killed_at(step, killed, data)
    assert record(killed).done is None
    train(killed, data)
    assert metrics(killed) == metrics(whole)
    ours, theirs = checkpoint.load(killed.directory), checkpoint.load(whole.directory)
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_lines_after_the_last_checkpoint_are_written_again(tmp_path):
    run, data = job(tmp_path)
    train_killed_at(20, run, data)
    with (run.directory / METRICS).open("ab") as file:
        file.write(b'{"step":30,"half a li')
    train(run, data)
    assert [line["step"] for line in record(run).metrics] == [0, 10, 20, 30, 40]


@pytest.mark.parametrize("damage", [b"", b"not a checkpoint"])
def test_a_checkpoint_that_cannot_be_read_means_from_the_start(tmp_path, damage):
    run, data = job(tmp_path)
    train(run, data)
    whole = metrics(run)
    (run.directory / checkpoint.NAME).write_bytes(damage)
    train(run, data)
    assert metrics(run) == whole


def test_a_record_shorter_than_its_checkpoint_means_from_the_start(tmp_path):
    run, data = job(tmp_path)
    train(run, data)
    whole = metrics(run)
    (run.directory / METRICS).write_bytes(whole[:100])
    train(run, data)
    assert metrics(run) == whole


def test_seeds_change_weights_and_batches(tmp_path):
    one, data = job(tmp_path, seeds=2)
    other = small(tmp_path, "bn", seeds=2).runs[1].job
    train(one, data)
    train(other, data)
    assert metrics(one) != metrics(other)


def test_a_loss_that_is_not_finite_ends_the_run_as_diverged_at_that_step(tmp_path):
    run, data = job(tmp_path, "plain, activation=relu, lr=1e12")
    train(run, data)
    found = record(run)
    assert found.done["status"] == "diverged"
    assert 1 <= found.done["step"] <= 10
    assert "not finite" in found.done["reason"]
    assert [line["step"] for line in found.metrics] == [0]


def test_the_step_of_divergence_is_the_first_bad_loss(tmp_path, monkeypatch):
    seen = []
    real = nn.functional.cross_entropy

    def bad(outputs, labels, **options):
        loss = real(outputs, labels, **options)
        if options or not torch.is_grad_enabled() or len(labels) != 60:
            return loss
        seen.append(1)
        return loss * math.nan if len(seen) == 17 else loss

    monkeypatch.setattr(nn.functional, "cross_entropy", bad)
    run, data = job(tmp_path)
    train(run, data)
    assert record(run).done["step"] == 17


def test_the_learning_rate_follows_its_schedule(tmp_path):
    run, data = job(tmp_path, "plain, schedule=step:20:0.5")
    train(run, data)
    assert [line["lr"] for line in record(run).metrics] == [0.2, 0.2, 0.1, 0.1, 0.05]
    norms = [line["updates"][-1]["norm"] for line in record(run).metrics[1:]]
    assert norms[-1] < norms[0]


def test_clocks_are_kept_apart_from_the_metrics(tmp_path):
    run, data = job(tmp_path)
    train(run, data)
    timing = record(run).timing
    assert [line["step"] for line in timing] == [0, 10, 20, 30, 40]
    assert set(timing[-1]) == {"step", "seconds", "train", "evaluate", "probe", "record"}
    parts = sum(sum(value for key, value in line.items() if key not in ("step", "seconds")) for line in timing)
    assert timing[-1]["seconds"] == pytest.approx(parts)
