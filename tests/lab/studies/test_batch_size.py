"""The claims of batch-size against runs and clocks that are known."""

import pytest
import torch

from normwise.lab.reproduction.context import Context
from normwise.lab.studies.batch_size import (
    at_equal_time,
    epochs_are_shorter,
    goal_is_sooner,
    memory,
    memory_grows,
    sizes,
    steps_are_counted,
)
from reproductions import outcome, run


def made(small=(1.0, 2.0), large=(0.1, 0.3), accuracy=((0.5, 0.95), (0.5, 0.95)), steps=2000):
    """Runs of 10 and of all 1,000 digits: seconds and accuracies at the middle and the end of 20 epochs."""
    runs = {}
    for size, seconds, values, count in ((10, small, accuracy[0], steps), (1000, large, accuracy[1], 20)):
        at = (0, count // 2, count)
        one = run(str(size), loss=(1,) * 3, accuracy=(0.1, *values), steps=at, lr=0.1)
        one.settings["steps"] = count
        laps = (0, seconds[0], seconds[1] - seconds[0])
        one.timing.extend({"step": step, "train": lap} for step, lap in zip(at, laps, strict=True))
        runs[f"{size}, 0.1"] = [one]
    return outcome(runs, {"memory": [{"sizes": [10, 1000], "bytes": [400, 40_000]}]}, data="digits")


@pytest.fixture(autouse=True)
def two_sizes(monkeypatch):
    monkeypatch.setattr("normwise.lab.studies.batch_size.QUICK", (10,))


def test_the_last_size_is_all_examples():
    assert sizes(made().asked) == [10, 1000]


def test_steps_are_examples_over_batch_size():
    assert steps_are_counted(made()).verdict == "holds"
    assert steps_are_counted(made(steps=2020)).verdict == "does not hold"


@pytest.mark.parametrize(("large", "verdict"), [((0.1, 0.3), "holds"), ((0.7, 1.5), "does not hold")])
def test_an_epoch_has_to_take_half_the_time(large, verdict):
    assert epochs_are_shorter(made(large=large)).verdict == verdict


@pytest.mark.parametrize(
    ("large", "reached", "verdict"),
    [
        ((0.1, 0.3), 0.95, "holds"),
        ((1.0, 2.5), 0.95, "does not hold"),
        ((1.0, 2.5), 0.5, "does not hold"),
        ((0.1, 0.3), 0.5, "undecided"),  # it did not train for as long as the other needed
    ],
)
def test_the_goal_is_sooner_only_by_the_clock(large, reached, verdict):
    found = made(large=large, accuracy=((0.5, 0.95), (0.5, reached)))
    assert goal_is_sooner(found).verdict == verdict


def test_at_equal_time_a_run_has_what_it_measured_last():
    budget, found = at_equal_time(made(large=(0.6, 1.2)))
    assert (budget, found) == (1.2, {10: [0.5], 1000: [0.95]})


def test_a_step_keeps_inputs_activations_and_outputs():
    found = memory(Context(0, torch.device("cpu")), [10, 1000], 784)
    per_example = 4 * (784 + 100 + 100 + 10) + 8  # float32, and the label
    assert [kept - size * per_example for kept, size in zip(found["bytes"], found["sizes"], strict=True)] == [4, 4]
    assert memory_grows(outcome(measured={"memory": [found]}, data="mnist")).verdict == "holds"
    assert memory_grows(made()).verdict == "holds"
