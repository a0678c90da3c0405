import math
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from lab.made import of_parts, parts, small
from normwise import probes
from normwise.lab import batches as batches_
from normwise.lab import checkpoint, networks
from normwise.lab.batches import MemoryBatches
from normwise.lab.evaluate import evaluate
from normwise.lab.objective import Objective
from normwise.lab.plan import planned
from normwise.lab.question import question
from normwise.lab.train import train
from normwise.records import RunRecord
from normwise.records.run import METRICS

EVERY_KIND_OF_STATE = "bn, dropout=0.3, optimizer=momentum, lr=0.05, schedule=exponential:0.99"


class KilledError(Exception):
    pass


def job(out, arm="bn", **options):
    planned = small(out, arm, **options)
    return replace(planned.runs[0].job, seconds_between_checkpoints=0.0), planned.data


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
    assert {key: found.done[key] for key in ("status", "step", "reason")} == {
        "status": "finished", "step": 40, "reason": None
    }  # fmt: skip
    first, last = found.metrics[0], found.metrics[-1]
    assert first["batch_loss"] is None
    assert first["updates"] == []
    assert last["train"]["loss"] < first["train"]["loss"]
    assert [entry["layer"] for entry in last["gradients"]] == ["linear1", "linear2", "linear3", "output"]
    assert [entry["layer"] for entry in last["preactivations"]] == ["activation1", "activation2", "activation3"]
    assert all(entry["norm"] > 0 for entry in last["updates"])


DATA = parts([0] * 30 + [1] * 30, [0, 1, 1] * 10, [1, 0, 0, 0] * 5)  # sorted by class, as data often are


def weights(run):
    return checkpoint.below("weights", checkpoint.load(run.directory))


def numbers(X):
    """Which examples these are, as ``parts`` numbers them."""
    return X[:, 0].int().tolist()


@pytest.fixture
def used(monkeypatch):
    """What every use of the data was given, in order: (X, y) by use."""
    found = {"trained": [], "probed": [], "train": [], "validation": [], "test": []}
    measure = probes.measure

    class Watched(MemoryBatches):
        def next(self):
            batch = super().next()
            found["trained"].append((batch.args[0], batch.target))
            return batch

    def watched_measure(network, args, y, loss):
        found["probed"].append((args[0], y))
        return measure(network, args, y, loss)

    def watched_evaluate(network, objective, given):
        for name, (batch,) in given.items():
            found[name].append((batch.args[0], batch.target))
        return evaluate(network, objective, given)

    monkeypatch.setattr("normwise.lab.batches.MemoryBatches", Watched)
    monkeypatch.setattr("normwise.lab.train.probes.measure", watched_measure)
    monkeypatch.setattr("normwise.lab.train.evaluate", watched_evaluate)
    return found


def test_each_part_of_the_data_serves_its_own_purpose(tmp_path, monkeypatch, used):
    """Training examples alone fit weights and are probed; each part's numbers are of its own examples."""
    monkeypatch.setattr("normwise.lab.question.samples", lambda *_: {"train": 20, "validation": 30, "test": 20})
    monkeypatch.setattr("normwise.lab.train.PROBED", 10)
    planned = of_parts(tmp_path, "bn", DATA)
    train(planned.runs[0].job, planned.data)
    assert {number for X, _ in used["trained"] for number in numbers(X)} == set(range(60))
    assert all(sorted(numbers(X)) == list(range(60, 90)) for X, _ in used["validation"])
    assert all(sorted(numbers(X)) == list(range(90, 110)) for X, _ in used["test"])
    assert sorted(numbers(used["train"].pop()[0])) == list(range(60))  # with the best weights
    for use, size in (("train", 20), ("probed", 10)):  # a sample of all classes, the same every time
        X, y = used[use][0]
        assert all(torch.equal(X, again) for again, _ in used[use])
        assert len(set(numbers(X)) & set(range(60))) == len(y) == size
        assert set(y.tolist()) == {0, 1}
    labels = [*DATA.train.y, *DATA.validation.y, *DATA.test.y]
    assert all(y.tolist() == [labels[number] for number in numbers(X)] for use in used.values() for X, y in use)


@pytest.mark.parametrize("inputs", ["minmax", "standard"])
def test_the_recorded_numbers_are_those_of_the_saved_weights_on_each_part(tmp_path, monkeypatch, inputs):
    """All parts are scaled as the training part asks, and the network is in evaluation mode."""
    monkeypatch.setattr("normwise.lab.question.samples", lambda *_: {"train": 60, "validation": 30, "test": 20})
    planned = of_parts(tmp_path, f"bn, dropout=0.3, inputs={inputs}", DATA)
    run = planned.runs[0].job
    train(run, planned.data)
    network = networks.build(run.settings, batches_.first(DATA, run.settings, 2)).network
    network.load_state_dict(weights(run))
    network.eval()
    X = DATA.train.X.astype(float)
    shift, scale = (X.min(0), X.max(0) - X.min(0)) if inputs == "minmax" else (X.mean(0), X.std(0))
    last = record(run).metrics[-1]
    for name in ("train", "validation", "test"):
        part = getattr(DATA, name)
        outputs, y = network(torch.from_numpy((part.X - shift) / scale).float()), torch.from_numpy(part.y)
        # float32 sums of at most 60 losses, in another order
        assert last[name]["loss"] == pytest.approx(nn.functional.cross_entropy(outputs, y).item(), rel=1e-5)
        assert last[name]["accuracy"] == pytest.approx((outputs.argmax(1) == y).double().mean().item())


def test_a_run_is_a_plain_training_loop(tmp_path):
    """Weights, order of the batches, learning rate and update norms are those of the loop that a reader would write."""
    arm = "bn, optimizer=momentum, lr=0.05, schedule=step:3:0.5"
    planned = of_parts(tmp_path, arm, DATA, seeds=2, steps=10, eval_every=5)
    run = planned.runs[1].job
    train(run, planned.data)
    torch.manual_seed(1)
    network = networks.build(run.settings, batches_.first(DATA, run.settings, 2)).network
    optimizer = torch.optim.SGD(network.parameters(), 0.05, momentum=0.9)
    batches = MemoryBatches({"train": (torch.from_numpy(DATA.train.X), torch.from_numpy(DATA.train.y))}, 20, seed=1)
    losses = []
    for step in range(10):
        optimizer.param_groups[0]["lr"] = 0.05 * 0.5 ** (step // 3)
        batch = batches.next()
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(network(batch.args[0]), batch.target)
        loss.backward()
        before = network.output.weight.detach().clone()
        optimizer.step()
        losses.append(loss.item())
    saved = weights(run)
    assert all(torch.equal(value, saved[name]) for name, value in network.state_dict().items())
    last = record(run).metrics[-1]
    assert last["updates"][-1]["norm"] == pytest.approx((network.output.weight - before).norm().item())
    assert last["batch_loss"] == pytest.approx(sum(losses[5:]) / 5)  # the mean since the measurement before


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
    assert record(killed).done == record(whole).done
    ours, theirs = checkpoint.load(killed.directory), checkpoint.load(whole.directory)
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_lines_after_the_last_checkpoint_are_written_again(tmp_path):
    whole, data = job(tmp_path / "whole")
    train(whole, data)
    run, _ = job(tmp_path / "killed")
    train_killed_at(20, run, data)
    with (run.directory / METRICS).open("ab") as file:
        file.write(b'{"step":30,"half a li')
    train(run, data)
    assert metrics(run) == metrics(whole)


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


def test_a_seed_changes_the_first_weights_and_the_order_of_the_examples(tmp_path, used):
    planned = of_parts(tmp_path, "plain", DATA, seeds=2, steps=10)
    orders, starts = [], []
    for run in planned.runs:
        used["trained"].clear()
        train(run.job, planned.data)
        orders.append([numbers(X) for X, _ in used["trained"]])
        starts.append(record(run.job).metrics[0]["train"]["loss"])  # before the first update: of the weights alone
    assert orders[0] != orders[1]
    assert starts[0] != starts[1]


def test_a_loss_that_is_not_finite_ends_the_run_as_diverged_at_that_step(tmp_path):
    run, data = job(tmp_path, "plain, activation=relu, lr=1e12")
    train(run, data)
    found = record(run)
    assert found.done["status"] == "diverged"
    assert 1 <= found.done["step"] <= 10
    assert "not finite" in found.done["reason"]
    assert [line["step"] for line in found.metrics] == [0]


def test_weights_that_are_not_finite_end_the_run_as_diverged(tmp_path):
    planned = of_parts(tmp_path, "plain, activation=relu, lr=3e38", DATA, steps=1)  # the one loss is before the update
    train(planned.runs[0].job, planned.data)
    found = record(planned.runs[0].job)
    assert (found.done["status"], found.done["step"]) == ("diverged", 1)
    assert [line["step"] for line in found.metrics] == [0]


def test_the_step_of_divergence_is_the_first_bad_loss(tmp_path, monkeypatch):
    seen, probed = [], None
    real = Objective.loss

    def bad(self, outputs, labels):
        loss = real(self, outputs, labels)
        if not torch.is_grad_enabled() or labels is probed:
            return loss
        seen.append(1)
        return loss * math.nan if len(seen) == 17 else loss

    measure = probes.measure

    def watched_measure(network, args, y, loss):
        nonlocal probed
        probed = y
        return measure(network, args, y, loss)

    monkeypatch.setattr(Objective, "loss", bad)
    monkeypatch.setattr("normwise.lab.train.probes.measure", watched_measure)
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
    assert [line["step"] for line in timing] == [0, 10, 20, 30, 40, 40]  # the last one is of the whole parts
    assert set(timing[-2]) == {"step", "seconds", "train", "evaluate", "probe", "record"}
    parts = sum(sum(value for key, value in line.items() if key not in ("step", "seconds")) for line in timing)
    assert timing[-1]["seconds"] == pytest.approx(parts)


def best(run):
    return record(run).done["best"]


def test_the_best_step_is_evaluated_on_the_whole_parts_with_its_weights(tmp_path, monkeypatch):
    """Curves are of samples, of the validation part too; what is chosen there is reported once on the whole."""
    monkeypatch.setattr("normwise.lab.question.samples", lambda *_: {"train": 20, "validation": 10, "test": 10})
    planned = of_parts(tmp_path, "bn, dropout=0.3, lr=2", DATA)
    run = planned.runs[0].job
    train(run, planned.data)
    found = record(run)
    curve = [line["validation"]["accuracy"] for line in found.metrics]
    first_best = found.metrics[curve.index(max(curve))]
    assert best(run)["step"] == first_best["step"] < 40
    network = networks.build(run.settings, batches_.first(DATA, run.settings, 2)).network.eval()
    network.load_state_dict(load_file(run.directory / "best.safetensors"))
    last = weights(run)
    assert any(not torch.equal(value, last[name]) for name, value in network.state_dict().items())
    kept = load_file(run.directory / "predictions.safetensors")
    for name in ("validation", "test"):
        part = getattr(DATA, name)
        outputs, y = network(torch.from_numpy(part.X)), torch.from_numpy(part.y)
        assert best(run)[name]["accuracy"] == pytest.approx((outputs.argmax(1) == y).double().mean().item())
    assert torch.equal(kept["targets"], y)
    torch.testing.assert_close(kept["outputs"], outputs.detach())


def test_curves_of_a_whole_part_are_what_the_whole_part_gives(tmp_path):
    given = {"steps": 10, "eval_every": 5, "model": "mlp:8", "out": tmp_path}
    plan = planned(question("digits", given, whole=["validation", "test"]), [("bn", {})], seeds=[0])
    train(plan.runs[0].job, plan.data)
    found = record(plan.runs[0].job)
    line = next(line for line in found.metrics if line["step"] == found.best["step"])
    for part in ("validation", "test"):
        assert line[part] == pytest.approx(found.best[part])


def test_a_run_that_diverged_keeps_the_best_step_before_that(tmp_path):
    planned = of_parts(tmp_path, "plain, activation=relu, schedule=constant, lr=1e4", DATA, steps=40, eval_every=1)
    run = planned.runs[0].job
    train(run, planned.data)
    found = record(run)
    assert found.done["status"] == "diverged"
    assert found.done["best"]["step"] <= found.metrics[-1]["step"]
    assert (run.directory / "best.safetensors").exists()


def test_patience_ends_a_run_that_no_longer_gets_better(tmp_path):
    planned = of_parts(tmp_path, "plain, lr=1e-9", DATA, patience=2, steps=100)
    run = planned.runs[0].job
    train(run, planned.data)
    found = record(run)
    assert [line["step"] for line in found.metrics] == [0, 10, 20]
    assert (found.done["status"], found.done["step"]) == ("finished", 20)
    assert found.done["reason"] == "no better validation accuracy in 2 measurements"


def test_a_network_whose_first_outputs_are_not_finite_diverges_at_step_0(tmp_path):
    class Endless(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(3, 2)

        def forward(self, x):
            return self.linear(x) / 0

    planned = of_parts(tmp_path, "plain", DATA, model=Endless)
    train(planned.runs[0].job, planned.data)
    assert {key: record(planned.runs[0].job).done[key] for key in ("status", "step", "best")} == {
        "status": "diverged", "step": 0, "best": None
    }  # fmt: skip


def test_clipping_bounds_the_gradient_of_a_step(tmp_path):
    planned = of_parts(tmp_path, "plain, lr=1, clip=1e-3", DATA, steps=1)
    run = planned.runs[0].job
    train(run, planned.data)
    moved = record(run).metrics[-1]["updates"]
    assert 0 < sum(row["norm"] ** 2 for row in moved) ** 0.5 <= 1e-3 * 1.0001


def test_what_is_measured_is_written_as_events_too(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    planned = of_parts(tmp_path, "bn", DATA, tensorboard=True)
    run = planned.runs[0].job
    train_killed_at(20, run, planned.data)  # before the first checkpoint: it starts over
    train_killed_at(30, replace(run, seconds_between_checkpoints=0.0), planned.data)
    train(run, planned.data)
    events = EventAccumulator(str(run.directory / "tensorboard"))
    events.Reload()
    written = events.Scalars("accuracy/validation")
    lines = record(run).metrics
    assert [each.step for each in written] == [line["step"] for line in lines]  # no step twice
    assert [each.value for each in written] == pytest.approx([line["validation"]["accuracy"] for line in lines])
    assert "activations/activation1" in events.Tags()["histograms"]
