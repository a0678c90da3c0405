import math

import pytest
import torch
from torch import nn

from normwise.lab.arms import resolve
from normwise.lab.optimizers import clip, optimizer, rate
from normwise.lab.settings import DEFAULT_RATES, MOMENTUM, Settings


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
    assert rate(Settings(lr=0.2, schedule=schedule))(at) == pytest.approx(expected)


def test_a_warmup_rises_linearly_to_the_schedule():
    warmed = rate(Settings(lr=0.2, schedule="step:8:0.5", warmup=4))
    assert [warmed(step) for step in (0, 1, 3, 7, 8)] == pytest.approx([0.05, 0.1, 0.2, 0.2, 0.1])


@pytest.mark.parametrize("name", DEFAULT_RATES)
def test_each_optimizer_steps_downhill_with_weight_decay(name):
    (arm,) = resolve([f"optimizer={name}, weight_decay=0.5"], {})
    settings = Settings(**vars(arm.at(arm.points[0])))
    weight = nn.Parameter(torch.tensor([1.0]))
    made = optimizer(settings, [weight])
    weight.grad = torch.zeros(1)
    made.step()
    assert weight.item() < 1.0
    group = made.param_groups[0]
    assert (group["lr"], group.get("momentum") or 0) == (DEFAULT_RATES[name], MOMENTUM.get(name) or 0)
    assert bool(group.get("nesterov")) == (name == "nesterov")


def test_clipping_scales_all_gradients_to_the_norm_and_only_down():
    parameters = [nn.Parameter(torch.zeros(2)), nn.Parameter(torch.zeros(1))]
    for norm, expected in ((1.0, 1.0), (20.0, 13.0), (None, 13.0)):
        parameters[0].grad, parameters[1].grad = torch.tensor([3.0, 4.0]), torch.tensor([12.0])
        clip(iter(parameters), Settings(clip=norm))
        assert math.hypot(*parameters[0].grad, *parameters[1].grad) == pytest.approx(expected, rel=1e-5)
        assert parameters[1].grad.item() == pytest.approx(12 / 13 * expected, rel=1e-5)
