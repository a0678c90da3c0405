import pytest
import torch
from torch import nn

from normwise.lab.optimizers import optimizer, rate


@pytest.mark.parametrize(
    ("schedule", "at", "expected"),
    [
        ("constant", 5000, 0.2),
        ("step:1000:0.1", 999, 0.2),
        ("step:1000:0.1", 1000, 0.02),
        ("step:1000:0.5", 2500, 0.05),
        ("exponential:0.999", 100, 0.2 * 0.999**100),
    ],
)
def test_schedules(schedule, at, expected):
    assert rate({"lr": 0.2, "schedule": schedule})(at) == pytest.approx(expected)


@pytest.mark.parametrize("name", ["sgd", "momentum", "adagrad", "adam"])
def test_each_optimizer_steps_downhill_with_weight_decay(name):
    weight = nn.Parameter(torch.tensor([1.0]))
    made = optimizer({"optimizer": name, "lr": 0.1, "weight_decay": 0.5}, [weight])
    weight.grad = torch.zeros(1)
    made.step()
    assert weight.item() < 1.0
    assert made.param_groups[0].get("momentum", 0) == (0.9 if name == "momentum" else 0)
